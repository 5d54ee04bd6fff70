//! The 61 bytes at the front of a batch of magic 2.

use super::{Attributes, BatchFault, RecordsError, TimestampType, crc, fields::take};
use crate::compression::{Compression, CompressionError};

/// A batch's producer, and the place of its first record in the producer's sequence (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProducerStamp {
    /// The producer id; −1 when the producer is not idempotent.
    pub producer_id: i64,
    /// The producer's epoch; −1 when it is not idempotent.
    pub producer_epoch: i16,
    /// The sequence of the first record; −1 when there is none.
    pub base_sequence: i32,
}

impl ProducerStamp {
    /// No idempotent producer: every field is −1.
    pub const NONE: Self = Self { producer_id: -1, producer_epoch: -1, base_sequence: -1 };
}

impl Default for ProducerStamp {
    fn default() -> Self {
        Self::NONE
    }
}

/// The header of a batch of magic 2: every field but the magic, in the order of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BatchHeader {
    /// Offset that the deltas of the records count from; 0 in a produce request.
    pub base_offset: i64,
    /// Bytes after this field: the batch's length is 12 more.
    pub batch_length: i32,
    /// Leader epoch of the broker that appended the batch (KIP-101); −1 in a produce request.
    pub partition_leader_epoch: i32,
    /// CRC32C of the bytes that follow this field.
    pub crc: u32,
    /// Codec, timestamp type and flags.
    pub attributes: Attributes,
    /// Offset of the batch's last record less the base offset. Kept by compaction, so it may be
    /// beyond the last record that is left.
    pub last_offset_delta: i32,
    /// Milliseconds since 1970 that the deltas of the records count from; with a delete horizon,
    /// that horizon.
    pub base_timestamp: i64,
    /// The latest timestamp of the records, or the append time of them all; −1 when unknown.
    pub max_timestamp: i64,
    /// Who produced it; [`ProducerStamp::NONE`] without idempotence.
    pub producer: ProducerStamp,
    /// Records in the batch; 0 when compaction left none.
    pub record_count: i32,
}

impl BatchHeader {
    /// Bytes of the header.
    pub const LEN: usize = 61;
    /// Bytes before those that the length field counts.
    pub(super) const LENGTH_END: usize = 12;
    /// Bytes before those that the CRC covers.
    pub(super) const CRC_END: usize = 21;
    pub(super) const MAGIC: i8 = 2;

    /// Reads the header at the front of `bytes` and checks what can be checked without the
    /// records.
    ///
    /// # Errors
    ///
    /// [`BatchFault`]: the bytes are too few, the magic is not 2, or lengths, offsets or counts
    /// contradict each other.
    pub fn parse(bytes: &[u8]) -> Result<Self, BatchFault> {
        let magic = bytes.get(16).map_or(Self::MAGIC, |magic| magic.cast_signed());
        if magic != Self::MAGIC {
            return Err(BatchFault::Magic { magic });
        }
        let truncated = BatchFault::Truncated { needed: Self::LEN, present: bytes.len() };
        let header = Self::read(bytes).ok_or(truncated)?;
        header.check()?;
        Ok(header)
    }

    /// Reads the header at the front of `bytes` and checks nothing, not even the magic; `None` when
    /// the bytes are too few. For a broker, which answers each thing that is wrong in its turn.
    #[must_use]
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        let bytes = &mut bytes;
        let base_offset = i64::from_be_bytes(take(bytes)?);
        let batch_length = i32::from_be_bytes(take(bytes)?);
        let partition_leader_epoch = i32::from_be_bytes(take(bytes)?);
        let _magic: [u8; 1] = take(bytes)?;
        Some(Self {
            base_offset,
            batch_length,
            partition_leader_epoch,
            crc: u32::from_be_bytes(take(bytes)?),
            attributes: Attributes::from_bits(i16::from_be_bytes(take(bytes)?)),
            last_offset_delta: i32::from_be_bytes(take(bytes)?),
            base_timestamp: i64::from_be_bytes(take(bytes)?),
            max_timestamp: i64::from_be_bytes(take(bytes)?),
            producer: ProducerStamp {
                producer_id: i64::from_be_bytes(take(bytes)?),
                producer_epoch: i16::from_be_bytes(take(bytes)?),
                base_sequence: i32::from_be_bytes(take(bytes)?),
            },
            record_count: i32::from_be_bytes(take(bytes)?),
        })
    }

    fn check(&self) -> Result<(), BatchFault> {
        let Self { base_offset, last_offset_delta, record_count, .. } = *self;
        if self.batch_len().is_none_or(|len| len < Self::LEN) {
            return Err(BatchFault::Length { length: self.batch_length });
        }
        let last = base_offset.checked_add(i64::from(last_offset_delta));
        // An offset of i64::MAX would have no next one.
        if base_offset < 0 || last_offset_delta < 0 || last.is_none_or(|last| last == i64::MAX) {
            return Err(BatchFault::Offsets { base_offset, last_offset_delta });
        }
        // More records than offsets are not refused: Kafka before 1.1 took such batches, and has them.
        if record_count < 0 {
            return Err(BatchFault::RecordCount { count: record_count });
        }
        Ok(())
    }

    /// The header as it is on the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; Self::LEN] {
        let Self {
            base_offset,
            batch_length,
            partition_leader_epoch,
            crc,
            attributes,
            last_offset_delta,
            base_timestamp,
            max_timestamp,
            producer: ProducerStamp { producer_id, producer_epoch, base_sequence },
            record_count,
        } = self;
        let mut out = [0; Self::LEN];
        let mut rest = out.as_mut_slice();
        put(&mut rest, base_offset.to_be_bytes());
        put(&mut rest, batch_length.to_be_bytes());
        put(&mut rest, partition_leader_epoch.to_be_bytes());
        put(&mut rest, Self::MAGIC.to_be_bytes());
        put(&mut rest, crc.to_be_bytes());
        put(&mut rest, attributes.bits().to_be_bytes());
        put(&mut rest, last_offset_delta.to_be_bytes());
        put(&mut rest, base_timestamp.to_be_bytes());
        put(&mut rest, max_timestamp.to_be_bytes());
        put(&mut rest, producer_id.to_be_bytes());
        put(&mut rest, producer_epoch.to_be_bytes());
        put(&mut rest, base_sequence.to_be_bytes());
        put(&mut rest, record_count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch, this header included; `None` when the length field is negative.
    #[must_use]
    pub fn batch_len(&self) -> Option<usize> {
        Some(usize::try_from(self.batch_length).ok()? + Self::LENGTH_END)
    }

    /// Offset of the batch's last record, whether compaction left it there or not.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// Where to go on after this batch.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// The codec of the records section.
    ///
    /// # Errors
    ///
    /// As [`Attributes::compression`].
    pub const fn compression(&self) -> Result<Compression, CompressionError> {
        self.attributes.compression()
    }

    /// Who set the timestamps.
    #[must_use]
    pub const fn timestamp_type(&self) -> TimestampType {
        self.attributes.timestamp_type()
    }

    /// Milliseconds since 1970 from which the batch's tombstones may be deleted (KIP-534).
    #[must_use]
    pub fn delete_horizon(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// Hashes the `batch` that this header was read from, header included, and compares it with the
    /// CRC.
    ///
    /// # Errors
    ///
    /// [`RecordsError::CrcMismatch`].
    pub fn verify_crc(&self, batch: &[u8]) -> Result<(), RecordsError> {
        let covered = batch.get(Self::CRC_END..).unwrap_or_default();
        let (stored, computed) = (self.crc, crc::checksum(covered));
        if stored == computed {
            return Ok(());
        }
        Err(RecordsError::CrcMismatch { base_offset: self.base_offset, stored, computed })
    }

    /// CRC of the header's part of what the batch's CRC covers.
    pub(super) fn own_crc(&self) -> u32 {
        crc::checksum(self.encode().get(Self::CRC_END..).unwrap_or_default())
    }
}

fn put<const N: usize>(out: &mut &mut [u8], bytes: [u8; N]) {
    if let Some((field, rest)) = std::mem::take(out).split_first_chunk_mut() {
        *field = bytes;
        *out = rest;
    }
}
