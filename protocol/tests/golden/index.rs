//! What is in a file of batches, in the words of `golden/README.md`.

use std::fmt::Write;

use bytes::Bytes;
use ottla_protocol::records::{
    Batch, BatchDecoder, Batches, LegacyMessage, OwnedRecord, Record, RecordBatch, TimestampType,
};

/// The lines that the index has about `bytes`.
pub(crate) fn describe(bytes: &Bytes) -> String {
    let mut text = String::new();
    let mut batches = Batches::new(bytes.clone());
    for batch in batches.by_ref() {
        let batch = batch.unwrap();
        batch.verify_crc().unwrap();
        match batch {
            Batch::V2(batch) => describe_batch(&mut text, &batch),
            Batch::Legacy(message) => describe_legacy(&mut text, &message),
        }
    }
    if batches.truncated_len() > 0 {
        writeln!(text, "tail {}", batches.truncated_len()).unwrap();
    }
    text
}

/// Every record of a batch, lent and owned, which must be the same.
pub(crate) fn records(batch: &RecordBatch) -> Vec<OwnedRecord> {
    let mut decoder = BatchDecoder::new(LIMIT);
    let owned: Vec<_> = decoder.owned_records(batch).unwrap().map(Result::unwrap).collect();
    let mut decoder = BatchDecoder::new(LIMIT);
    let lent: Vec<_> = decoder.records(batch).unwrap().map(Result::unwrap).collect();
    assert!(owned.iter().map(OwnedRecord::as_record).eq(lent), "lent and owned records differ");
    owned
}

fn describe_batch(text: &mut String, batch: &RecordBatch) {
    let header = batch.header();
    let records = records(batch);
    let horizon = header.delete_horizon().map_or_else(|| "none".to_owned(), |ms| ms.to_string());
    let producer = header.producer;
    writeln!(
        text,
        "batch magic=2 size={} codec={} time={} max_timestamp={} delete_horizon={horizon} \
         base_offset={} last_offset={} leader_epoch={} producer_id={} producer_epoch={} \
         base_sequence={} last_sequence={} transactional={} control={} records={}",
        batch.bytes().len(),
        header.compression().unwrap(),
        time(header.timestamp_type()),
        header.max_timestamp,
        header.base_offset,
        header.last_offset(),
        header.partition_leader_epoch,
        producer.producer_id,
        producer.producer_epoch,
        producer.base_sequence,
        last_sequence(producer.base_sequence, header.last_offset_delta),
        header.attributes.is_transactional(),
        header.attributes.is_control(),
        records.len(),
    )
    .unwrap();
    records.iter().for_each(|record| describe_record(text, &record.as_record()));
}

fn describe_legacy(text: &mut String, message: &LegacyMessage) {
    let mut decoder = BatchDecoder::new(LIMIT);
    let records: Vec<_> = decoder.legacy_records(message).unwrap().map(Result::unwrap).collect();
    let time = if message.magic() == 0 { "none" } else { time(message.timestamp_type()) };
    writeln!(
        text,
        "batch magic={} size={} codec={} time={time} max_timestamp={} delete_horizon=none \
         base_offset={} last_offset={} leader_epoch=-1 producer_id=-1 producer_epoch=-1 \
         base_sequence=-1 last_sequence=-1 transactional=false control=false records={}",
        message.magic(),
        message.bytes().len(),
        message.compression().unwrap(),
        records.iter().map(|record| record.timestamp).max().unwrap_or(-1),
        records.first().map_or_else(|| message.offset(), |record| record.offset),
        message.offset(),
        records.len(),
    )
    .unwrap();
    records.iter().for_each(|record| describe_record(text, record));
}

fn describe_record(text: &mut String, record: &Record<'_>) {
    let (key, value) = (blob(record.key), blob(record.value));
    write!(text, "record {} {} {key} {value}", record.offset, record.timestamp).unwrap();
    for header in record.headers.iter() {
        write!(text, " {}={}", blob(Some(header.key)), blob(header.value)).unwrap();
    }
    text.push('\n');
}

fn blob(bytes: Option<&[u8]>) -> String {
    match bytes {
        None => "null".to_owned(),
        Some([]) => "-".to_owned(),
        Some(long) if long.len() > 256 => {
            format!("{}:{:08x}", long.len(), crc_fast::crc32_iscsi(long))
        }
        Some(short) => short.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

fn time(timestamp_type: TimestampType) -> &'static str {
    match timestamp_type {
        TimestampType::CreateTime => "create",
        TimestampType::LogAppendTime => "append",
    }
}

/// Sequences go on at 0 behind 2³¹ − 1.
fn last_sequence(base: i32, delta: i32) -> i64 {
    if base < 0 {
        return -1;
    }
    (i64::from(base) + i64::from(delta)) & i64::from(i32::MAX)
}

/// More than any golden batch unpacks to, in bytes.
const LIMIT: usize = 16 << 20;
