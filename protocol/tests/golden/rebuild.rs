//! Batches built again from what was read in others.

use bytes::Bytes;
use ottla_protocol::compression::{Codec, Compression, Compressor};
use ottla_protocol::records::{
    Batch, BatchBuilder, Batches, Headers, NewRecord, OwnedRecord, Record, RecordBatch,
    SealOptions, SealedBatch, TimestampType,
};

use crate::index;

/// The batch as our builder makes it, uncompressed.
pub(crate) fn uncompressed(batch: &RecordBatch) -> SealedBatch {
    builder(batch).seal(&options(batch))
}

/// The whole batches of a file in another codec; `None` where there are none of magic 2.
pub(crate) fn whole_file(bytes: Bytes, compression: Compression) -> Option<Bytes> {
    let mut compressor = Compressor::new();
    let mut out = Vec::new();
    for batch in Batches::new(bytes) {
        let Batch::V2(batch) = batch.unwrap() else { return None };
        let sealed = match compression {
            Compression::None => builder(&batch).seal(&options(&batch)),
            codec => builder(&batch)
                .seal_compressed(&options(&batch), Codec::new(codec), &mut compressor, Vec::new())
                .unwrap(),
        };
        out.extend_from_slice(sealed.as_bytes());
    }
    (!out.is_empty()).then(|| out.into())
}

fn builder(batch: &RecordBatch) -> BatchBuilder {
    let header = batch.header();
    let mut builder = BatchBuilder::new();
    if let Some(horizon) = header.delete_horizon() {
        builder.set_delete_horizon(horizon);
    }
    for record in index::records(&with_own_times(batch)) {
        let delta = i32::try_from(record.offset() - header.base_offset).unwrap();
        builder.append_at(delta, new_record(&record)).unwrap();
    }
    builder.retain_last_offset_delta(header.last_offset_delta);
    builder
}

/// The batch with the time of append taken out of its header: records then show the times that they
/// were written with.
fn with_own_times(batch: &RecordBatch) -> RecordBatch {
    let mut sealed = batch.to_sealed();
    sealed.set_max_timestamp(TimestampType::CreateTime, batch.header().max_timestamp);
    sealed.freeze()
}

fn new_record(record: &OwnedRecord) -> NewRecord<'_, Headers<'_>> {
    let Record { timestamp, key, value, headers, .. } = record.as_record();
    NewRecord { timestamp, key, value, headers }
}

fn options(batch: &RecordBatch) -> SealOptions {
    let header = batch.header();
    let append_time = header.timestamp_type() == TimestampType::LogAppendTime;
    SealOptions {
        base_offset: header.base_offset,
        partition_leader_epoch: header.partition_leader_epoch,
        producer: header.producer,
        log_append_time: append_time.then_some(header.max_timestamp),
        transactional: header.attributes.is_transactional(),
        control: header.attributes.is_control(),
    }
}
