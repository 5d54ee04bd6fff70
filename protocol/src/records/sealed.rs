//! A whole batch in its own buffer, which can be stamped anew.

use bytes::Bytes;

use super::{BatchFault, BatchHeader, ProducerStamp, RecordBatch, TimestampType, crc};

/// A sealed batch whose header can still change: a producer stamps a sequence, a broker an offset.
///
/// No stamp reads the records again. What lies before the CRC costs nothing; what lies within it
/// is a small computation on the CRC, of about 0.2 µs whatever the batch's size. A batch whose CRC
/// was wrong before a stamp is just as wrong after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedBatch {
    header: BatchHeader,
    /// The batch, header included; the header is kept in step.
    buffer: Vec<u8>,
}

impl SealedBatch {
    /// Writes the header into the hole at the front of `buffer`, with its length and CRC.
    pub(super) fn seal(header: BatchHeader, buffer: Vec<u8>) -> Self {
        let length = buffer.len() - BatchHeader::LENGTH_END;
        // The builder refuses what would not fit.
        let batch_length = i32::try_from(length).unwrap_or(i32::MAX);
        let mut sealed = Self { header: BatchHeader { batch_length, ..header }, buffer };
        sealed.write_header();
        let hashed = sealed.buffer.get(BatchHeader::CRC_END..);
        sealed.header.crc = crc::checksum(hashed.unwrap_or_default());
        sealed.write_header();
        sealed
    }

    pub(super) const fn from_parts(header: BatchHeader, buffer: Vec<u8>) -> Self {
        Self { header, buffer }
    }

    /// Takes over a buffer that holds exactly one batch of magic 2. Its CRC is not verified.
    ///
    /// # Errors
    ///
    /// As [`RecordBatch::parse`].
    pub fn from_buffer(buffer: Vec<u8>) -> Result<Self, BatchFault> {
        let header = super::batch::parse_exactly_one(&buffer)?;
        Ok(Self { header, buffer })
    }

    /// The header as it stands.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, as on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The buffer, with the batch in it: for the pool, or for the wire.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Moves the batch into `buffer`, whose capacity is reused, and gives back the one it was in.
    #[must_use]
    pub fn move_to(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        buffer.clear();
        buffer.extend_from_slice(&self.buffer);
        std::mem::replace(&mut self.buffer, buffer)
    }

    /// The batch as a reader sees it. Nothing is copied.
    #[must_use]
    pub fn freeze(self) -> RecordBatch {
        RecordBatch::from_parts(self.header, Bytes::from(self.buffer))
    }

    /// Stamps the producer and the sequence of the first record.
    pub fn stamp_producer(&mut self, producer: ProducerStamp) {
        self.restamp(BatchHeader { producer, ..self.header });
    }

    /// Sets the offset that the records' deltas count from. Costs no CRC.
    pub fn set_base_offset(&mut self, base_offset: i64) {
        self.header.base_offset = base_offset;
        self.write_header();
    }

    /// Sets the leader epoch of the appending broker. Costs no CRC.
    pub fn set_partition_leader_epoch(&mut self, partition_leader_epoch: i32) {
        self.header.partition_leader_epoch = partition_leader_epoch;
        self.write_header();
    }

    /// Sets the batch's maximum timestamp, and whether it is the time of all records.
    pub fn set_max_timestamp(&mut self, timestamp_type: TimestampType, max_timestamp: i64) {
        let attributes = self.header.attributes.with_timestamp_type(timestamp_type);
        self.restamp(BatchHeader { attributes, max_timestamp, ..self.header });
    }

    fn restamp(&mut self, header: BatchHeader) {
        let records_len = self.buffer.len().saturating_sub(BatchHeader::LEN);
        let (before, after) = (self.header.own_crc(), header.own_crc());
        let crc = crc::replace_first(self.header.crc, before, after, records_len);
        self.header = BatchHeader { crc, ..header };
        self.write_header();
    }

    fn write_header(&mut self) {
        if let Some(front) = self.buffer.first_chunk_mut() {
            *front = self.header.encode();
        }
    }
}

impl AsRef<[u8]> for SealedBatch {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}
