//! What batches promise, as seen from outside.

mod batches;
mod builder;
mod control;
mod hostile;
mod known_bytes;
mod legacy;
mod owned;
mod pitfalls;
mod restamp;
mod round_trip;

use bytes::Bytes;

use super::*;
use crate::compression::{Codec, Compression, Compressor};

pub(super) const LIMIT: usize = 64 << 20;

/// A batch of `count` small records, one a millisecond from 1,000 on.
pub(super) fn batch_of(count: i64) -> RecordBatch {
    let mut builder = BatchBuilder::new();
    for n in 0..count {
        let value = format!("value {n}");
        builder.append(NewRecord::new(1_000 + n, None, Some(value.as_bytes()))).unwrap();
    }
    builder.seal(&SealOptions::default()).freeze()
}

/// The batch with one header field changed and its CRC put right.
pub(super) fn with_header(
    batch: &RecordBatch,
    change: impl FnOnce(&mut BatchHeader),
) -> Result<RecordBatch, BatchFault> {
    let mut header = *batch.header();
    change(&mut header);
    let mut bytes = batch.bytes().to_vec();
    bytes[..61].copy_from_slice(&header.encode());
    header.crc = crc::checksum(&bytes[21..]);
    bytes[..61].copy_from_slice(&header.encode());
    RecordBatch::parse(Bytes::from(bytes))
}

/// A batch of `count` records around a section written by hand.
pub(super) fn with_section(count: i32, last_offset_delta: i32, section: &[u8]) -> RecordBatch {
    let mut builder = BatchBuilder::new();
    builder.retain_last_offset_delta(last_offset_delta);
    let header =
        BatchHeader { record_count: count, ..*builder.seal(&SealOptions::default()).header() };
    let mut bytes = header.encode().to_vec();
    bytes.extend(section);
    SealedBatch::seal(header, bytes).freeze()
}

/// Every record of the batch, or the first error.
pub(super) fn read(batch: &RecordBatch) -> Result<Vec<OwnedRecord>, RecordsError> {
    BatchDecoder::new(LIMIT).owned_records(batch)?.collect()
}

/// What is wrong with the batch's records, and where.
pub(super) fn fault(batch: &RecordBatch) -> (usize, RecordFault) {
    match read(batch) {
        Err(RecordsError::Record { at, fault, .. }) => (at, fault),
        other => panic!("{other:?}"),
    }
}

/// Seals with a codec, without the producer's care for buffers.
pub(super) fn seal_with(
    builder: &BatchBuilder,
    options: &SealOptions,
    compression: Compression,
) -> SealedBatch {
    let codec = Codec::new(compression);
    builder.seal_compressed(options, codec, &mut Compressor::new(), Vec::new()).unwrap()
}

pub(super) fn enabled() -> impl Iterator<Item = Compression> {
    Compression::ALL.into_iter().filter(|compression| compression.is_enabled())
}
