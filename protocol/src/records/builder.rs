//! Encodes records at append, and seals them into a batch.

use super::{
    AppendError, Attributes, BatchHeader, Header, NewRecord, ProducerStamp, SealError, SealedBatch,
    TimestampType, encode::Encoding,
};
use crate::compression::{Codec, Compression, Compressor};

/// The largest batch: its length field counts what comes after the first 12 bytes.
const MAX_BATCH_LEN: usize = i32::MAX as usize + BatchHeader::LENGTH_END;

/// What a batch is sealed with, besides its records.
///
/// The default is what a producer without idempotence sends: offset 0, no leader epoch, no
/// producer, timestamps as appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealOptions {
    /// Offset that the records' deltas count from; 0 in a produce request.
    pub base_offset: i64,
    /// Leader epoch of the appending broker; −1 in a produce request.
    pub partition_leader_epoch: i32,
    /// Who produced the records.
    pub producer: ProducerStamp,
    /// The time of all records, in place of their own, for a topic with LogAppendTime.
    pub log_append_time: Option<i64>,
    /// Whether the records belong to a transaction.
    pub transactional: bool,
    /// Whether they are control records.
    pub control: bool,
}

impl Default for SealOptions {
    fn default() -> Self {
        Self {
            base_offset: 0,
            partition_leader_epoch: -1,
            producer: ProducerStamp::NONE,
            log_append_time: None,
            transactional: false,
            control: false,
        }
    }
}

/// A batch that is still open: its records, already encoded, behind a hole for the header.
///
/// ```
/// use ottla_protocol::records::{BatchBuilder, NewRecord, SealOptions};
///
/// let mut builder = BatchBuilder::new();
/// builder.append(NewRecord::new(1_700_000_000_000, Some(b"key"), Some(b"value")))?;
/// let batch = builder.seal(&SealOptions::default());
/// assert_eq!(batch.header().record_count, 1);
/// # Ok::<(), ottla_protocol::records::AppendError>(())
/// ```
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    buffer: Vec<u8>,
    record_count: i32,
    /// −1 before the first record.
    last_offset_delta: i32,
    /// `None` before the first record.
    base_timestamp: Option<i64>,
    /// The least there is before the first record.
    max_timestamp: i64,
    delete_horizon: bool,
}

impl BatchBuilder {
    /// A builder with a buffer of its own.
    #[must_use]
    pub fn new() -> Self {
        Self::with_buffer(Vec::new())
    }

    /// A builder over a buffer from the caller's pool: its contents go, its capacity stays.
    #[must_use]
    pub fn with_buffer(mut buffer: Vec<u8>) -> Self {
        buffer.clear();
        buffer.resize(BatchHeader::LEN, 0);
        Self {
            buffer,
            record_count: 0,
            last_offset_delta: -1,
            base_timestamp: None,
            max_timestamp: i64::MIN,
            delete_horizon: false,
        }
    }

    /// Appends a record behind the last one, and returns its offset delta.
    ///
    /// The first record's timestamp becomes the base timestamp.
    ///
    /// # Errors
    ///
    /// [`AppendError`], when the record cannot be encoded or the batch is full; the builder is then
    /// as it was.
    #[inline(always)]
    pub fn append<'a, H>(&mut self, record: NewRecord<'a, H>) -> Result<i32, AppendError>
    where
        H: IntoIterator<Item = Header<'a>> + Clone,
    {
        let offset_delta = self.next_offset_delta()?;
        self.append_above_last(offset_delta, record)?;
        Ok(offset_delta)
    }

    /// Appends a record at an offset delta of the caller's choice, above the last one: what a
    /// compacting broker leaves has gaps.
    ///
    /// # Errors
    ///
    /// As [`Self::append`], and when the delta is not above the last one.
    #[inline]
    pub fn append_at<'a, H>(
        &mut self,
        offset_delta: i32,
        record: NewRecord<'a, H>,
    ) -> Result<(), AppendError>
    where
        H: IntoIterator<Item = Header<'a>> + Clone,
    {
        if offset_delta <= self.last_offset_delta {
            return Err(self.offset_delta_error(offset_delta));
        }
        self.append_above_last(offset_delta, record)
    }

    /// Always inlined, as is all that it calls for a short record: called, it would cost a quarter
    /// more, and what is known of the record where it is appended would be lost.
    #[inline(always)]
    fn append_above_last<'a, H>(
        &mut self,
        offset_delta: i32,
        record: NewRecord<'a, H>,
    ) -> Result<(), AppendError>
    where
        H: IntoIterator<Item = Header<'a>> + Clone,
    {
        let timestamp = record.timestamp;
        let base_timestamp = self.base_timestamp.unwrap_or(timestamp);
        let encoding = Encoding::new(record, base_timestamp, offset_delta)?;
        encoding.append_to(&mut self.buffer, MAX_BATCH_LEN)?;
        self.base_timestamp = Some(base_timestamp);
        self.max_timestamp = self.max_timestamp.max(timestamp);
        self.record_count += 1;
        self.last_offset_delta = offset_delta;
        Ok(())
    }

    /// Bytes by which [`Self::append`] would make the batch longer, before compression.
    ///
    /// # Errors
    ///
    /// As [`Self::append`], but for a batch that is full.
    pub fn size_of_next<'a, H>(&self, record: NewRecord<'a, H>) -> Result<usize, AppendError>
    where
        H: IntoIterator<Item = Header<'a>> + Clone,
    {
        let base_timestamp = self.base_timestamp.unwrap_or(record.timestamp);
        Encoding::new(record, base_timestamp, self.next_offset_delta()?)?.len()
    }

    /// Keeps the batch's last offset where it is, although compaction removed the record there.
    ///
    /// A smaller delta than that of a record is ignored.
    pub fn retain_last_offset_delta(&mut self, last_offset_delta: i32) {
        self.last_offset_delta = self.last_offset_delta.max(last_offset_delta);
    }

    /// Sets the time from which the batch's tombstones may be deleted, in milliseconds since 1970
    /// (KIP-534). It takes the place of the base timestamp, so it must come before the first
    /// record; later it is ignored.
    pub const fn set_delete_horizon(&mut self, delete_horizon: i64) {
        if self.record_count == 0 {
            self.base_timestamp = Some(delete_horizon);
            self.delete_horizon = true;
        }
    }

    /// Bytes of the batch as it stands, header included and uncompressed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether no record was appended.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.record_count == 0
    }

    /// Records appended.
    #[must_use]
    pub const fn record_count(&self) -> i32 {
        self.record_count
    }

    /// Bytes that the buffer has room for, those of the batch as it stands included.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Goes on in another buffer, a larger one from the caller's pool, and gives back the old one,
    /// empty.
    #[must_use]
    pub fn move_to(&mut self, mut buffer: Vec<u8>) -> Vec<u8> {
        buffer.clear();
        buffer.extend_from_slice(&self.buffer);
        let mut old = std::mem::replace(&mut self.buffer, buffer);
        old.clear();
        old
    }

    /// The buffer, for the pool. The records in it are given up.
    #[must_use]
    pub fn into_buffer(self) -> Vec<u8> {
        self.buffer
    }

    /// Seals the batch without compression, in the buffer it was built in.
    #[must_use]
    pub fn seal(self, options: &SealOptions) -> SealedBatch {
        let header = self.header(options, Compression::None);
        SealedBatch::seal(header, self.buffer)
    }

    /// Seals the batch with its records compressed into `out`, whose capacity is reused.
    ///
    /// The builder keeps its own buffer: [`Self::into_buffer`] gives it back.
    ///
    /// # Errors
    ///
    /// [`SealError`], when the codec is off or gives up, or made the batch too large.
    pub fn seal_compressed(
        &self,
        options: &SealOptions,
        codec: Codec,
        compressor: &mut Compressor,
        mut out: Vec<u8>,
    ) -> Result<SealedBatch, SealError> {
        out.clear();
        out.resize(BatchHeader::LEN, 0);
        let records = self.buffer.get(BatchHeader::LEN..).unwrap_or_default();
        compressor.compress(codec, records, &mut out)?;
        if out.len() > MAX_BATCH_LEN {
            return Err(SealError::TooLarge { len: out.len() });
        }
        Ok(SealedBatch::seal(self.header(options, codec.compression()), out))
    }

    /// The header but for its length and CRC.
    fn header(&self, options: &SealOptions, compression: Compression) -> BatchHeader {
        let SealOptions {
            base_offset,
            partition_leader_epoch,
            producer,
            log_append_time,
            transactional,
            control,
        } = *options;
        let timestamp_type = match log_append_time {
            Some(_) => TimestampType::LogAppendTime,
            None => TimestampType::CreateTime,
        };
        let max_timestamp = if self.is_empty() { -1 } else { self.max_timestamp };
        BatchHeader {
            base_offset,
            batch_length: 0,
            partition_leader_epoch,
            crc: 0,
            attributes: Attributes::default()
                .with_compression(compression)
                .with_timestamp_type(timestamp_type)
                .with_transactional(transactional)
                .with_control(control)
                .with_delete_horizon(self.delete_horizon),
            // An empty batch still takes up its base offset.
            last_offset_delta: self.last_offset_delta.max(0),
            base_timestamp: self.base_timestamp.unwrap_or(-1),
            max_timestamp: log_append_time.unwrap_or(max_timestamp),
            producer,
            record_count: self.record_count,
        }
    }

    #[inline]
    fn next_offset_delta(&self) -> Result<i32, AppendError> {
        let next = self.last_offset_delta.checked_add(1);
        next.ok_or_else(|| self.offset_delta_error(self.last_offset_delta))
    }

    #[cold]
    const fn offset_delta_error(&self, offset_delta: i32) -> AppendError {
        AppendError::OffsetDelta { offset_delta, previous: self.last_offset_delta }
    }
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}
