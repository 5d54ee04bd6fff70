//! Record batches as a producer sends them.

use std::ops::Range;

use bytes::Bytes;
use ottla_protocol::ErrorCode;
use ottla_protocol::compression::{Compression, CompressionError, Decompressor};
use ottla_protocol::records::{BatchFault, BatchHeader, RecordBatch, SealedBatch, TimestampType};
use ottla_protocol::wire::RecordChunks;

use super::batch::{Batch, MAX_DECOMPRESSED};
use super::walk::{Head, Section, walk};

/// A batch from a producer, framed; [`verify`](Self::verify) and [`read`](Self::read) tell whether a
/// log may take it.
///
/// Both read every byte, and so are done outside the world's lock, unless a fault rule injects an
/// error among the partitions of a request.
#[derive(Debug, Clone)]
pub struct Incoming {
    batch: RecordBatch,
    /// None until its records have been read.
    found: Option<Found>,
}

/// What the records of a batch have come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// The earliest timestamp, in milliseconds since 1970; `i64::MAX` when no record has one.
    pub earliest: i64,
    /// The latest timestamp, likewise; −1 when no record has one.
    pub latest: i64,
    /// Bytes of the longest record, if they are compressed: Kafka limits only those.
    pub longest: i32,
    /// Whether a log can keep them as they are. Kafka writes compressed records anew whose offsets do
    /// not ascend one by one, and never asks that of those that are not.
    pub is_kept: bool,
}

/// A record, as far as a topic may have something against it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordHead {
    /// Its place in the batch, from 0 on.
    pub index: i32,
    /// The offset that it gives itself, which without compression need not be its place.
    pub offset: i32,
    /// Milliseconds since 1970; −1 for none.
    pub timestamp: i64,
    /// Whether its key is not null.
    pub has_key: bool,
}

/// Unpacks one batch after another.
#[derive(Debug)]
pub struct Unpacker {
    decompressor: Decompressor,
    records: Vec<u8>,
    limit: Limit,
}

/// What may be unpacked to, in bytes.
#[derive(Debug, Clone, Copy)]
enum Limit {
    ByEach(usize),
    ByAll(usize),
}

/// What a produce request carries for a partition.
#[derive(Debug, Clone)]
pub struct Carried {
    /// What its first batch says of itself, whether that agrees or not; `None` where there is no
    /// batch of the current magic.
    pub header: Option<BatchHeader>,
    /// Bytes of that batch, which are what `max.message.bytes` limits; 0 where there is none.
    pub len: usize,
    /// The batch, or why it is none.
    pub batch: Result<Incoming, NoBatch>,
}

/// Why bytes are no batch that a log could be asked to take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoBatch {
    /// They do not begin with one: the whole request is refused.
    Unreadable(Refusal),
    /// No bytes, several batches, or what cannot be told from them: refused before anything else.
    Unframed(Refusal),
    /// One batch whose header contradicts itself: refused where the log would take it.
    Contradictory(Refusal),
}

impl Carried {
    /// Looks for the one batch that a produce request of `version` may carry for a partition, with
    /// what Kafka asks of it before it looks at `acks` and at the log.
    ///
    /// `frame_len` is the size of the request in bytes: a batch that is a small part of it is
    /// copied, so that a log never pins a frame for the sake of a few records. So is a small batch,
    /// for the sake of which it would pin other frames: those that were received with its own.
    #[must_use]
    pub fn new(records: Option<RecordChunks>, version: i16, frame_len: usize) -> Self {
        let bytes = records.unwrap_or_default().into_bytes();
        let (len, magic) = match next_batch(&bytes) {
            Ok(Some(first)) => first,
            Ok(None) => return Self::nothing(NoBatch::Unframed(not_one())),
            Err(refusal) => return Self::nothing(NoBatch::Unreadable(refusal)),
        };
        if magic != CURRENT_MAGIC {
            let reason = format!("produced batches have magic 2, this one has {magic}");
            return Self::nothing(NoBatch::Unframed(invalid(&reason)));
        }
        let header = bytes.get(..len).and_then(BatchHeader::read);
        let rest = bytes.get(len..).unwrap_or_default();
        let batch = match check_frame(header.as_ref(), rest, version) {
            Ok(()) => Incoming::take(bytes.slice(..len), header.as_ref(), frame_len),
            Err(refusal) => Err(NoBatch::Unframed(refusal)),
        };
        Self { header, len, batch }
    }

    fn nothing(why: NoBatch) -> Self {
        Self { header: None, len: 0, batch: Err(why) }
    }
}

impl NoBatch {
    /// What the producer is to be told.
    #[must_use]
    pub fn refusal(&self) -> &Refusal {
        let (Self::Unreadable(refusal) | Self::Unframed(refusal) | Self::Contradictory(refusal)) =
            self;
        refusal
    }
}

impl Incoming {
    fn take(bytes: Bytes, header: Option<&BatchHeader>, frame_len: usize) -> Result<Self, NoBatch> {
        let Some(header) = header else {
            let reason = "a batch is smaller than its header";
            let refusal = Refusal::new(ErrorCode::CorruptMessage, reason);
            return Err(NoBatch::Contradictory(refusal));
        };
        let batch = RecordBatch::parse(bytes.clone())
            .map_err(|fault| NoBatch::Contradictory(contradiction(header, &bytes, fault)))?;
        let len = batch.bytes().len();
        let pins_too_much = len < COPY_BELOW || len.saturating_mul(4) < frame_len;
        Ok(Self::trusted(if pins_too_much { batch.to_sealed().freeze() } else { batch }))
    }

    /// Whether a log may take it, as far as its topic has no say in that: CRC, header and records. Those
    /// of a batch that unpacks to more than `at_once` may are left to [`read`](Self::read).
    ///
    /// # Errors
    ///
    /// [`Refusal`], with what the producer is to be told.
    pub fn verify(&mut self, at_once: &mut Unpacker) -> Result<(), Refusal> {
        check_base(self.header())?;
        check_crc(self.header(), self.batch.bytes())?;
        check_header(self.header())?;
        match self.read(at_once, |_| {}) {
            Err(Unread::TooLarge(_)) => return Ok(()),
            read => read.map(drop).map_err(Refusal::from)?,
        }
        if self.header().timestamp_type() == TimestampType::CreateTime {
            self.stamp_latest();
        }
        Ok(())
    }

    /// A batch that the broker made itself and that needs no checking.
    #[must_use]
    pub fn trusted(batch: RecordBatch) -> Self {
        Self { batch, found: None }
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        self.batch.header()
    }

    /// What its records have come to; `None` until they were read.
    #[must_use]
    pub fn found(&self) -> Option<Found> {
        self.found
    }

    /// Its size in bytes, which is what `max.message.bytes` limits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.bytes().len()
    }

    /// Whether it has no bytes; a checked batch always has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Calls `visit` with every record, and returns what they have come to.
    ///
    /// # Errors
    ///
    /// [`Unread`], when the records cannot be read.
    pub fn read(
        &mut self,
        unpacker: &mut Unpacker,
        visit: impl FnMut(RecordHead),
    ) -> Result<Found, Unread> {
        let codec = self.header().compression();
        let found = match codec.map_err(|error| Unread::malformed(UNPREPARED, error))? {
            Compression::None => self.walk(self.batch.encoded_records(), Section::Plain, visit)?,
            codec => self.walk(unpacker.unpack(codec, &self.batch)?, Section::Packed, visit)?,
        };
        self.found = Some(found);
        Ok(found)
    }

    /// Has the header say what a log keeps whose topic leaves timestamps to producers: the latest of
    /// the records, which the producer may have got wrong. Copies the batch if it has.
    pub fn stamp_latest(&mut self) {
        let Some(found) = self.found else { return };
        if let Some(stamped) = self.with_time(TimestampType::CreateTime, found.latest) {
            self.batch = stamped;
        }
    }

    /// The same records as a log keeps them, stamped with the time of the append if that is what
    /// the topic has for timestamps (`message.timestamp.type`).
    ///
    /// That time is known only where the batch is appended, under the world's lock: there the whole
    /// batch is copied, which all other topics are spared by [`stamp_latest`](Self::stamp_latest).
    #[must_use]
    pub fn stamped(&self, append_time: Option<i64>) -> Self {
        let mut stamped = self.clone();
        match append_time.and_then(|time| self.with_time(TimestampType::LogAppendTime, time)) {
            Some(batch) => stamped.batch = batch,
            None if append_time.is_none() => stamped.stamp_latest(),
            None => {}
        }
        stamped
    }

    /// A copy of the batch with this in its header, unless that is there.
    fn with_time(&self, kind: TimestampType, latest: i64) -> Option<RecordBatch> {
        let header = self.header();
        if (header.timestamp_type(), header.max_timestamp) == (kind, latest) {
            return None;
        }
        let mut sealed: SealedBatch = self.batch.to_sealed();
        sealed.set_max_timestamp(kind, latest);
        Some(sealed.freeze())
    }

    /// The batch as the log of a leader in `epoch` keeps it at `base`.
    #[must_use]
    pub fn place(&self, base: i64, epoch: i32) -> Batch {
        Batch::place(&self.batch, base, epoch)
    }

    fn walk(
        &self,
        records: &[u8],
        section: Section,
        mut visit: impl FnMut(RecordHead),
    ) -> Result<Found, Unread> {
        let header = self.header();
        let stamped = (header.timestamp_type() == TimestampType::LogAppendTime)
            .then_some(header.max_timestamp);
        let mut found =
            Found { earliest: i64::MAX, latest: NO_TIMESTAMP, longest: 0, is_kept: true };
        let mut index = 0;
        walk(records, header.record_count, section, |head: Head| {
            // Java wraps around as well.
            let own = header.base_timestamp.wrapping_add(head.timestamp_delta);
            let timestamp = stamped.unwrap_or(own);
            let Head { offset_delta: offset, has_key, .. } = head;
            visit(RecordHead { index, offset, timestamp, has_key });
            found.add_timestamp(timestamp);
            if section == Section::Packed {
                found.longest = found.longest.max(head.len);
                found.is_kept &= head.offset_delta == index;
            }
            index += 1;
        })
        .map_err(|(code, reason)| Unread::malformed(code, reason))?;
        Ok(found)
    }
}

impl Found {
    #[inline]
    fn add_timestamp(&mut self, timestamp: i64) {
        if timestamp != NO_TIMESTAMP {
            self.earliest = self.earliest.min(timestamp);
        }
        self.latest = self.latest.max(timestamp);
    }
}

impl Unpacker {
    /// One for whoever must not be held up for long.
    #[must_use]
    pub fn at_once() -> Self {
        Self::new(Limit::ByAll(AT_ONCE))
    }

    /// One for batches of any size that is sane: each may unpack to 256 MiB. Kafka has no such limit,
    /// so that this is where records that it takes are refused.
    #[must_use]
    pub fn at_leisure() -> Self {
        Self::new(Limit::ByEach(MAX_DECOMPRESSED))
    }

    fn new(limit: Limit) -> Self {
        Self { decompressor: Decompressor::new(), records: Vec::new(), limit }
    }

    fn unpack(&mut self, codec: Compression, batch: &RecordBatch) -> Result<&[u8], Unread> {
        let packed = batch.encoded_records();
        // Nothing at all is a sound zstd stream to Kafka, of no frames.
        if codec == Compression::Zstd && packed.is_empty() {
            return Ok(&[]);
        }
        let (Limit::ByEach(limit) | Limit::ByAll(limit)) = self.limit;
        if limit == 0 {
            return Err(Unread::TooLarge(CompressionError::OutputTooLarge { limit }));
        }
        let unpacked = self.decompressor.decompress(codec, packed, &mut self.records, limit);
        if let Limit::ByAll(left) = &mut self.limit {
            // What was unpacked before it failed is gone, and was work all the same.
            let spent = if unpacked.is_ok() { self.records.len() } else { limit };
            *left = left.saturating_sub(spent);
        }
        match unpacked {
            Ok(()) => Ok(&self.records),
            Err(error @ CompressionError::OutputTooLarge { .. }) => Err(Unread::TooLarge(error)),
            Err(error) => Err(Unread::malformed(UNPREPARED, error)),
        }
    }
}

/// Why the records of a batch could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unread {
    /// Whoever reads them is not to unpack as much.
    TooLarge(CompressionError),
    /// They are not what Kafka takes.
    Malformed(Refusal),
}

impl Unread {
    fn malformed(code: ErrorCode, reason: impl ToString) -> Self {
        Self::Malformed(Refusal::new(code, reason))
    }
}

impl From<Unread> for Refusal {
    fn from(unread: Unread) -> Self {
        match unread {
            // Kafka has no such limit, because it never unpacks all of them at once.
            Unread::TooLarge(error) => Self::new(ErrorCode::InvalidRecord, error),
            Unread::Malformed(refusal) => refusal,
        }
    }
}

/// Why records are not appended, as the producer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the partition's row answers.
    pub code: ErrorCode,
    /// The reason in words.
    pub message: Option<String>,
    /// The records at fault: index within the batch and reason. Empty when the whole batch is.
    pub records: Vec<(i32, String)>,
}

impl Refusal {
    /// A refusal of the whole batch.
    pub fn new(code: ErrorCode, reason: impl ToString) -> Self {
        Self { code, message: Some(reason.to_string()), records: Vec::new() }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

/// What `ProduceRequest.validateRecords` asks of the first batch and of the `rest` behind it, which
/// may be part of a batch.
fn check_frame(header: Option<&BatchHeader>, rest: &[u8], version: i16) -> Result<(), Refusal> {
    if version < 7 && header.is_some_and(|header| header.compression() == Ok(Compression::Zstd)) {
        let reason = "produce requests below version 7 cannot carry zstd";
        return Err(Refusal::new(ErrorCode::UnsupportedCompressionType, reason));
    }
    match next_batch(rest)? {
        None => Ok(()),
        Some(_) => Err(not_one()),
    }
}

fn not_one() -> Refusal {
    invalid("a produce request must have exactly one record batch per partition")
}

/// The size and the magic of the batch at the front of `bytes`; `None` if it is cut off.
fn next_batch(bytes: &[u8]) -> Result<Option<(usize, i8)>, Refusal> {
    let Some(Ok(length)) = bytes.get(LENGTH).map(TryFrom::try_from) else { return Ok(None) };
    let length = i32::from_be_bytes(length);
    let whole = usize::try_from(length).ok().filter(|_| length >= LEAST_LENGTH);
    let Some(size) = whole.map(|length| length.saturating_add(LENGTH.end)) else {
        let reason = format!(
            "Record size {length} is less than the minimum record overhead ({LEAST_LENGTH})"
        );
        return Err(Refusal::new(ErrorCode::CorruptMessage, reason));
    };
    let Some(magic) = bytes.get(MAGIC_AT).map(|magic| magic.cast_signed()) else { return Ok(None) };
    if !(0..=CURRENT_MAGIC).contains(&magic) {
        let reason = format!("Invalid magic found in record: {magic}");
        return Err(Refusal::new(ErrorCode::CorruptMessage, reason));
    }
    Ok((bytes.len() >= size).then_some((size, magic)))
}

/// Whether the records of a batch count their offsets from 0, which Kafka asks before anything else.
///
/// # Errors
///
/// [`Refusal`], when they do not.
pub fn check_base(header: &BatchHeader) -> Result<(), Refusal> {
    match header.base_offset {
        0 => Ok(()),
        _ => Err(invalid("the base offset of a produced batch must be 0")),
    }
}

fn check_crc(header: &BatchHeader, batch: &[u8]) -> Result<(), Refusal> {
    header.verify_crc(batch).map_err(|error| Refusal::new(ErrorCode::CorruptMessage, error))
}

/// What is said of a batch that cannot be read because of its header, in the order of
/// [`Incoming::verify`].
fn contradiction(header: &BatchHeader, batch: &[u8], fault: BatchFault) -> Refusal {
    let earlier = check_crc(header, batch).and_then(|()| check_header(header));
    earlier.err().unwrap_or_else(|| Refusal::new(ErrorCode::InvalidRecord, fault))
}

/// What `LogValidator` asks of a client's batch before it looks at the records.
fn check_header(header: &BatchHeader) -> Result<(), Refusal> {
    let attributes = header.attributes;
    let unknown = |error| Refusal::new(UNPREPARED, error);
    header.compression().map(drop).map_err(unknown)?;
    if i64::from(header.record_count) != i64::from(header.last_offset_delta) + 1 {
        return Err(invalid("the record count disagrees with the last offset delta"));
    }
    if attributes.is_control() {
        return Err(invalid("clients cannot write control records"));
    }
    if header.producer.producer_id >= 0 && header.producer.base_sequence < 0 {
        return Err(invalid("a batch with a producer id needs a sequence"));
    }
    Ok(())
}

fn invalid(reason: &str) -> Refusal {
    Refusal::new(ErrorCode::InvalidRecord, reason)
}

/// Where in a batch of any magic its length is, which counts what follows it.
const LENGTH: Range<usize> = 8..12;

/// That of the smallest batch there is, of magic 0.
const LEAST_LENGTH: i32 = 14;

const MAGIC_AT: usize = 16;

const CURRENT_MAGIC: i8 = 2;

/// Batches below this size in bytes are copied.
const COPY_BELOW: usize = 4096;

/// What Kafka answers where it fails on what it is not prepared for, such as an unknown codec.
const UNPREPARED: ErrorCode = ErrorCode::UnknownServerError;

/// What a request may unpack to, in bytes, while others wait: more than a few batches of Java's
/// default size do, and about a millisecond of work.
const AT_ONCE: usize = 512 << 10;

/// What a record has for a timestamp that has none.
pub const NO_TIMESTAMP: i64 = -1;
