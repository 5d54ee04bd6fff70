//! Record batches of 1,000 records: encoding and decoding, CRC included.

use std::hint::black_box;

use bytes::{Bytes, BytesMut};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, SamplingMode, Throughput};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, NO_PARTITION_LEADER_EPOCH, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE, Record,
    RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};
use ottla_protocol::records::{Batch, BatchBuilder, BatchDecoder, Batches, NewRecord, SealOptions};

const RECORDS: usize = 1_000;

/// Distinct values. Few, so that they stay in a near cache, as a value just serialized would be.
const VALUES: usize = 64;

/// When the first record was created; the others follow, one a millisecond.
const TIMESTAMP: i64 = 1_700_000_000_000;

/// What no batch here unpacks to.
const LIMIT: usize = 64 << 20;

pub fn encode_100(criterion: &mut Criterion) {
    encode(criterion, 100);
}

pub fn encode_1024(criterion: &mut Criterion) {
    encode(criterion, 1_024);
}

pub fn decode_100(criterion: &mut Criterion) {
    decode(criterion, 100);
}

pub fn decode_1024(criterion: &mut Criterion) {
    decode(criterion, 1_024);
}

/// The speed of the machine, next to which the others are to be read.
pub fn crc32c(criterion: &mut Criterion) {
    let bytes = vec![0xa7; 256 << 10];
    let mut group = criterion.benchmark_group("crc32c");
    group.throughput(Throughput::Bytes(256 << 10));
    group.bench_function("256-KiB", |bencher| {
        bencher.iter(|| crc32c::crc32c(black_box(&bytes)));
    });
}

fn encode(criterion: &mut Criterion, value_len: usize) {
    let values = values(value_len);
    assert_eq!(ours(Vec::new(), &values), theirs(BytesMut::new(), &values), "not the same bytes");
    let mut group = group(criterion, &format!("encode-{value_len}"));
    group.bench_function("ottla", |bencher| {
        let mut buffer = Vec::new();
        bencher.iter(|| buffer = ours(std::mem::take(&mut buffer), black_box(&values)));
    });
    group.bench_function("kafka-protocol", |bencher| {
        let mut buffer = BytesMut::new();
        bencher.iter(|| buffer = theirs(std::mem::take(&mut buffer), black_box(&values)));
    });
}

fn decode(criterion: &mut Criterion, value_len: usize) {
    let bytes = Bytes::from(ours(Vec::new(), &values(value_len)));
    let mut group = group(criterion, &format!("decode-{value_len}"));
    group.bench_function("ottla", |bencher| {
        let mut decoder = BatchDecoder::new(LIMIT);
        bencher.iter(|| read_lent(&mut decoder, black_box(&bytes)));
    });
    group.bench_function("ottla-owned", |bencher| {
        let mut decoder = BatchDecoder::new(LIMIT);
        bencher.iter(|| read_owned(&mut decoder, black_box(&bytes)));
    });
    group.bench_function("kafka-protocol", |bencher| {
        bencher.iter(|| read_theirs(black_box(&bytes)));
    });
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    // Samples of one length: as short as the sample size allows.
    group.sampling_mode(SamplingMode::Flat).throughput(Throughput::Elements(RECORDS as u64));
    group
}

/// The batch, in the buffer of the batch before.
fn ours(buffer: Vec<u8>, values: &[Bytes]) -> Vec<u8> {
    let mut builder = BatchBuilder::with_buffer(buffer);
    for (timestamp, value) in (TIMESTAMP..).zip(values) {
        builder.append(NewRecord::new(timestamp, None, Some(value))).unwrap();
    }
    builder.seal(&SealOptions::default()).into_buffer()
}

fn theirs(mut buffer: BytesMut, values: &[Bytes]) -> BytesMut {
    let records: Vec<_> = (0..).zip(values).map(their_record).collect();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    buffer.clear();
    RecordBatchEncoder::encode(&mut buffer, &records, &options).unwrap();
    buffer
}

/// Its value costs a refcount, not a copy: what an application at best pays for it.
fn their_record((index, value): (i32, &Bytes)) -> Record {
    Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
        producer_id: NO_PRODUCER_ID,
        producer_epoch: NO_PRODUCER_EPOCH,
        timestamp_type: TimestampType::Creation,
        offset: i64::from(index),
        // Only records whose sequence ascends with their offset share a batch.
        sequence: NO_SEQUENCE.wrapping_add(index),
        timestamp: TIMESTAMP + i64::from(index),
        key: None,
        value: Some(value.clone()),
        headers: IndexMap::new(),
    }
}

fn read_lent(decoder: &mut BatchDecoder, bytes: &Bytes) -> u64 {
    let mut sum = 0;
    for batch in Batches::new(bytes.clone()) {
        let Batch::V2(batch) = batch.unwrap() else { panic!("magic 2 was written") };
        batch.verify_crc().unwrap();
        for record in decoder.records(&batch).unwrap() {
            sum += ends(record.unwrap().value);
        }
    }
    sum
}

fn read_owned(decoder: &mut BatchDecoder, bytes: &Bytes) -> u64 {
    let mut sum = 0;
    for batch in Batches::new(bytes.clone()) {
        let Batch::V2(batch) = batch.unwrap() else { panic!("magic 2 was written") };
        batch.verify_crc().unwrap();
        for record in decoder.owned_records(&batch).unwrap() {
            sum += ends(record.unwrap().value());
        }
    }
    sum
}

fn read_theirs(bytes: &Bytes) -> u64 {
    let sets = RecordBatchDecoder::decode_all(&mut bytes.clone()).unwrap();
    let records = sets.iter().flat_map(|set| &set.records);
    records.map(|record| ends(record.value.as_deref())).sum()
}

/// Touches the first and the last byte of a value.
fn ends(value: Option<&[u8]>) -> u64 {
    match value {
        Some(&[first, .., last]) => u64::from(first) + u64::from(last),
        _ => 0,
    }
}

/// One value per record.
fn values(len: usize) -> Vec<Bytes> {
    let value = |seed: usize| (0..len).map(|at| (seed * 31 + at * 7) as u8).collect();
    let distinct: Vec<Bytes> = (0..VALUES).map(value).collect();
    distinct.into_iter().cycle().take(RECORDS).collect()
}
