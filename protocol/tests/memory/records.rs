//! Record batches and message sets, and what they unpack to.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use ottla_protocol::compression::{Codec, Compression, CompressionError, Compressor, Decompressor};
use ottla_protocol::records::{
    Batch, BatchBuilder, BatchDecoder, Batches, NewRecord, RecordsError, SealOptions,
};

use crate::{check, measure};

/// Most bytes that the records of one batch may unpack to.
const CAP: usize = 64 * 1024;

/// What `ruzstd` takes for the window that a frame declares, at most 8 MiB of it, once for each
/// decoder; the C library needs none, because it is given all of the output to look back into.
const WINDOW: usize =
    if cfg!(all(feature = "zstd-pure", not(feature = "zstd"))) { 8 * 1024 * 1024 } else { 0 };

pub(crate) fn a_partition_full_of_batches_takes_one_allocation_each() {
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord::new(0, None, None)).unwrap();
    let batch = builder.seal(&SealOptions::default());
    let count = (1 << 20) / batch.as_bytes().len();
    let bytes = Bytes::from(batch.as_bytes().repeat(count));
    let ((records, error), allocated) = measure(|| read(&bytes));
    assert_eq!((records, error), (count, None));
    check(&"a partition of small batches", bytes.len(), allocated);
    // That of the records that outlive their batch. The bytes begin to be shared, once, and the
    // harness allocates now and then.
    assert!(allocated.allocations <= count + 10, "{} allocations", allocated.allocations);
}

/// Every number in the first bytes of what Kafka wrote is made a large, a small and a negative one.
pub(crate) fn a_lying_batch_buys_no_memory() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/batches");
    for file in fs::read_dir(golden).unwrap() {
        let path = file.unwrap().path();
        let mut honest = fs::read(&path).unwrap();
        honest.truncate(2 * 1024);
        for at in 0..honest.len().min(120) {
            for lie in [[0x7f, 0xff, 0xff, 0xff], [0xff; 4], [0; 4], [0x80, 0, 0, 0]] {
                let mut bytes = honest.clone();
                bytes.splice(at..honest.len().min(at + 4), lie);
                let bytes = Bytes::from(bytes);
                let (_, allocated) = measure(|| read(&bytes));
                // Each codec keeps its context and the buffer it unpacks into.
                check(&path.display(), bytes.len() + (CAP + WINDOW) / 32, allocated);
            }
        }
    }
}

pub(crate) fn a_bomb_takes_what_its_cap_allows() {
    let sizes = [
        (Compression::Gzip, 900 * 1024),
        (Compression::Snappy, 20 * 1024),
        (Compression::Lz4, 200 * 1024),
        (Compression::Zstd, 8 * 1024 * 1024),
    ];
    for (compression, size) in sizes.into_iter().filter(|(codec, _)| codec.is_enabled()) {
        let mut bomb = Vec::new();
        Compressor::new().compress(Codec::new(compression), &vec![0; size], &mut bomb).unwrap();
        assert!(bomb.len() <= 1024, "{compression}: a bomb of {} bytes", bomb.len());
        for limit in [0, 1, 16 * 1024, CAP.min(size - 1), size - 1] {
            let mut out = Vec::new();
            let unpack = || Decompressor::new().decompress(compression, &bomb, &mut out, limit);
            let (unpacked, allocated) = measure(unpack);
            assert_eq!(unpacked, Err(CompressionError::OutputTooLarge { limit }), "{compression}");
            let input = bomb.len() + (limit + WINDOW) / 32;
            check(&format_args!("{compression}, {limit}"), input, allocated);
        }
    }
}

/// How many records can be read from `partition`, lent and owned, and why not more.
fn read(partition: &Bytes) -> (usize, Option<RecordsError>) {
    let mut decoder = BatchDecoder::new(CAP);
    let mut count = 0;
    let mut read = |batch: &Batch| -> Result<(), RecordsError> {
        match batch {
            Batch::V2(batch) => {
                for record in decoder.records(batch)? {
                    record?;
                }
                for record in decoder.owned_records(batch)? {
                    record?;
                    count += 1;
                }
            }
            Batch::Legacy(message) => {
                for record in decoder.legacy_records(message)? {
                    record?;
                }
                for record in decoder.owned_legacy_records(message)? {
                    record?;
                    count += 1;
                }
            }
        }
        Ok(())
    };
    let error =
        Batches::new(partition.clone()).find_map(|batch| batch.and_then(|b| read(&b)).err());
    (count, error)
}
