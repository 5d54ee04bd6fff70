//! From what was fetched to what an application reads.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use bytes::Bytes;
use ottla_core::conn::BufferPool;
use ottla_core::types::{ConsumerGroupMetadata, LeaderEpoch};
use ottla_protocol::compression::{Compression, Decompressor};
use ottla_protocol::records::{
    Batch as Stored, BatchBuilder, BatchDecoder, BatchHeader, LegacyMessage, NewRecord,
    RecordBatch, Records, RecordsError, SealOptions, TimestampType,
};

use super::{Batch, Section};
use crate::driver::Shared;
use crate::machine::fetch::{Origin, Taken};

/// Turns what was fetched into what an application reads; on the application's side, so that it is
/// done by as many tasks as read.
#[derive(Debug)]
pub(crate) struct Opener {
    decompressor: Decompressor,
    /// Of the batch that was cut last.
    rest: Option<Rest>,
}

/// The records behind those that a batch was left with when it was cut.
#[derive(Debug)]
pub(super) struct Rest {
    pub(super) origin: Origin,
    /// The offset of the first.
    pub(super) from: i64,
    /// Behind the batch's last offset.
    pub(super) end: i64,
    /// The batch's, with the count of these.
    pub(super) header: BatchHeader,
    pub(super) bytes: Bytes,
}

impl Rest {
    /// Whether it is what there is to read of a batch.
    fn is_of(&self, taken: &Taken) -> bool {
        let end = taken.batch.next_offset();
        (self.origin, self.from, self.end) == (taken.origin(), taken.from.offset, end)
    }
}

impl Opener {
    pub(crate) fn new() -> Self {
        Self { decompressor: Decompressor::new(), rest: None }
    }

    /// Verifies the checksum, if that is wanted, and decompresses. Of a batch with more than
    /// `max.poll.records`, those behind are put back.
    pub(crate) fn open(
        &mut self,
        taken: Taken,
        reader: Option<ConsumerGroupMetadata>,
        shared: &Arc<Shared>,
        now: Instant,
    ) -> Result<Batch, RecordsError> {
        let (header, bytes) = match self.rest.take().filter(|rest| rest.is_of(&taken)) {
            Some(rest) => (rest.header, rest.bytes),
            None => self.unpack(&taken, shared)?,
        };
        let Taken { slot, generation, tenure, partition, topic_id: _, batch: stored, from, next } =
            taken;
        let leader_epoch = LeaderEpoch::from_wire(header.partition_leader_epoch);
        let marks = shared.marks(&partition);
        let end = stored.next_offset();
        let section = Section {
            bytes,
            partition,
            leader_epoch,
            timestamp_type: header.timestamp_type(),
            slot,
            generation,
            tenure,
            shared: Arc::downgrade(shared),
            reader,
            marks,
            end,
            fault: OnceLock::new(),
        };
        let section = Arc::new(section);
        let (from, until) = (from.offset, i64::MAX);
        let mut batch = Batch { header, section, from, until, next, stored };
        if let Some(most) = shared.config().max_poll_records {
            self.rest = batch.cut(most, shared, now);
        }
        Ok(batch)
    }

    fn unpack(
        &mut self,
        taken: &Taken,
        shared: &Shared,
    ) -> Result<(BatchHeader, Bytes), RecordsError> {
        let config = shared.config();
        if config.check_crcs {
            taken.batch.verify_crc()?;
        }
        let rewritten;
        let batch = match &taken.batch {
            Stored::V2(batch) => batch,
            Stored::Legacy(message) => {
                rewritten = rewrite(message, config.max_decompressed_batch)?;
                &rewritten
            }
        };
        let bytes = self.section(batch, shared.pool(), config.max_decompressed_batch)?;
        // What the header promises is compared with what is there now, and need not be later.
        Records::over(batch.header(), &bytes)?;
        Ok((*batch.header(), bytes))
    }

    fn section(
        &mut self,
        batch: &RecordBatch,
        pool: &BufferPool,
        limit: usize,
    ) -> Result<Bytes, RecordsError> {
        let encoded = batch.encoded_records();
        match batch.header().compression()? {
            Compression::None => Ok(batch.bytes().slice_ref(encoded)),
            compression => {
                let mut unpacked = pool.take(encoded.len());
                self.decompressor.decompress(compression, encoded, &mut unpacked, limit)?;
                Ok(pool.freeze(unpacked))
            }
        }
    }
}

/// A message of an old format as a batch of today's, so that there is one way to read records. No
/// broker of Kafka 4 has any that was not there before the upgrade from 2.8.
fn rewrite(message: &LegacyMessage, limit: usize) -> Result<RecordBatch, RecordsError> {
    let mut decoder = BatchDecoder::new(limit);
    let records: Vec<_> = decoder.legacy_records(message)?.collect::<Result<_, RecordsError>>()?;
    let first = records.first();
    let base_offset = first.map_or_else(|| message.offset(), |record| record.offset);
    let mut builder = BatchBuilder::new();
    for record in &records {
        let delta = i32::try_from(record.offset - base_offset).unwrap_or(i32::MAX);
        let copy = NewRecord::new(record.timestamp, record.key, record.value);
        // What was read fits into what is written, and its offsets ascend.
        let _ = builder.append_at(delta, copy);
    }
    // All records of a message share the time that its broker gave it.
    let by_broker = message.timestamp_type() == TimestampType::LogAppendTime;
    let log_append_time = first.filter(|_| by_broker).map(|record| record.timestamp);
    let options = SealOptions { base_offset, log_append_time, ..SealOptions::default() };
    Ok(builder.seal(&options).freeze())
}

#[cfg(test)]
mod tests {
    use ottla_protocol::records::Batches;

    use super::*;

    #[test]
    fn a_message_of_an_old_format_keeps_whose_times_its_records_have() {
        let of = |file: &[u8]| -> Vec<_> {
            let messages = Batches::new(Bytes::copy_from_slice(file)).map(Result::unwrap);
            let rewritten = messages.map(|message| match message {
                Stored::Legacy(message) => rewrite(&message, 1 << 20).unwrap(),
                Stored::V2(_) => panic!("of an old format"),
            });
            rewritten.map(|batch| batch.header().timestamp_type()).collect()
        };
        let appended = of(include_bytes!("../../../protocol/golden/batches/v1-none-append.bin"));
        assert!(appended.len() > 1);
        assert!(appended.iter().all(|kind| *kind == TimestampType::LogAppendTime));
        let packed = of(include_bytes!("../../../protocol/golden/batches/v1-lz4-append.bin"));
        assert!(packed.iter().all(|kind| *kind == TimestampType::LogAppendTime));
        let created = of(include_bytes!("../../../protocol/golden/batches/v1-none-create.bin"));
        assert!(created.iter().all(|kind| *kind == TimestampType::CreateTime));
    }
}
