//! Message sets of magic 0 and 1, which Kafka wrote before 0.11 and brokers may still store.
//!
//! Read-only. A set is a row of messages; a compressed message is a wrapper whose value is another
//! set. In a wrapper of magic 0 the inner offsets are absolute; in one of magic 1 (KIP-31) they
//! count from the first, and the wrapper has the offset of the last.

use bytes::Bytes;

use super::{
    BatchFault, Headers, Record, RecordFault, RecordsError, TimestampType,
    fields::{Fields, take},
};
use crate::compression::{Compression, CompressionError, HeaderChecksum};

/// Bytes before those that the CRC covers.
const CRC_END: usize = 16;

/// Bytes of the smallest message: null key, null value.
pub(super) const fn min_len(magic: i8) -> usize {
    if magic == 0 { 26 } else { 34 }
}

/// One message of magic 0 or 1: a record, or a wrapper of compressed ones.
///
/// Its CRC and its records have not been looked at. A clone costs one refcount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegacyMessage {
    offset: i64,
    crc: u32,
    magic: i8,
    attributes: u8,
    /// −1 in magic 0.
    timestamp: i64,
    bytes: Bytes,
}

impl LegacyMessage {
    /// Takes bytes that hold exactly one message; the caller read its size.
    pub(super) fn parse(bytes: Bytes) -> Result<Self, BatchFault> {
        let needed = min_len(bytes.get(CRC_END).map_or(0, |magic| magic.cast_signed()));
        let truncated = BatchFault::Truncated { needed, present: bytes.len() };
        let (offset, crc, magic, attributes, timestamp) = Self::read(&bytes).ok_or(truncated)?;
        if !(0..i64::MAX).contains(&offset) {
            return Err(BatchFault::Offsets { base_offset: offset, last_offset_delta: 0 });
        }
        Ok(Self { offset, crc, magic, attributes, timestamp, bytes })
    }

    fn read(mut bytes: &[u8]) -> Option<(i64, u32, i8, u8, i64)> {
        let bytes = &mut bytes;
        let offset = i64::from_be_bytes(take(bytes)?);
        let _size: [u8; 4] = take(bytes)?;
        let crc = u32::from_be_bytes(take(bytes)?);
        let magic = i8::from_be_bytes(take(bytes)?);
        let [attributes] = take(bytes)?;
        let timestamp = if magic == 0 { -1 } else { i64::from_be_bytes(take(bytes)?) };
        Some((offset, crc, magic, attributes, timestamp))
    }

    /// Its offset; for a wrapper, that of the last record within.
    #[must_use]
    pub const fn offset(&self) -> i64 {
        self.offset
    }

    /// 0 or 1.
    #[must_use]
    pub const fn magic(&self) -> i8 {
        self.magic
    }

    /// The whole message, as on the wire.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The codec of the set within; `None` for a message that is a record itself.
    ///
    /// # Errors
    ///
    /// [`CompressionError::UnknownCodec`] for the ids that Kafka has not assigned, and for zstd,
    /// which these formats do not know (KIP-110).
    pub const fn compression(&self) -> Result<Compression, CompressionError> {
        match self.attributes & 0b111 {
            id @ 4 => Err(CompressionError::UnknownCodec { id }),
            id => Compression::from_id(id),
        }
    }

    /// Who set its timestamp.
    #[must_use]
    pub const fn timestamp_type(&self) -> TimestampType {
        if self.magic == 1 && self.attributes & 1 << 3 != 0 {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Hashes the message and compares it with its CRC: zlib's, not Castagnoli's. That of a
    /// wrapper covers what it holds.
    ///
    /// # Errors
    ///
    /// [`RecordsError::CrcMismatch`].
    pub fn verify_crc(&self) -> Result<(), RecordsError> {
        let computed = crc_fast::crc32_iso_hdlc(self.bytes.get(CRC_END..).unwrap_or_default());
        if self.crc == computed {
            return Ok(());
        }
        Err(RecordsError::CrcMismatch { base_offset: self.offset, stored: self.crc, computed })
    }

    /// The compressed set: a wrapper's value.
    pub(super) fn wrapped(&self) -> Result<&[u8], RecordsError> {
        let mut fields = Fields(&self.bytes);
        let message = Message::parse(&mut fields)
            .map_err(|fault| self.error(fields.position_in(&self.bytes), fault))?;
        Ok(message.value.unwrap_or_default())
    }

    /// Kafka's writers of magic 0 hashed the wrong bytes into their lz4 frames' headers.
    pub(super) const fn lz4_header_checksum(&self) -> HeaderChecksum {
        if self.magic == 0 { HeaderChecksum::Ignored } else { HeaderChecksum::Verified }
    }

    const fn error(&self, at: usize, fault: RecordFault) -> RecordsError {
        RecordsError::Record { base_offset: self.offset, at, fault }
    }
}

/// A message's fields as they stand, its offset not yet made absolute.
struct Message<'a> {
    offset: i64,
    magic: i8,
    attributes: u8,
    timestamp: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

impl<'a> Message<'a> {
    /// Takes the message at the front of `fields`; after a fault, `fields` is at the field that
    /// was refused.
    fn parse(fields: &mut Fields<'a>) -> Result<Self, RecordFault> {
        let (offset, body) = split_entry(fields)?;
        let rest = *fields;
        *fields = body;
        let _crc: [u8; 4] = fields.fixed()?;
        let magic = i8::from_be_bytes(fields.fixed()?);
        let [attributes] = fields.fixed()?;
        let timestamp = if magic == 0 { -1 } else { i64::from_be_bytes(fields.fixed()?) };
        let key_len = i32::from_be_bytes(fields.fixed()?);
        let key = fields.nullable_bytes(key_len)?;
        let value_len = i32::from_be_bytes(fields.fixed()?);
        let value = fields.nullable_bytes(value_len)?;
        fields.finish()?;
        *fields = rest;
        Ok(Self { offset, magic, attributes, timestamp, key, value })
    }
}

/// Takes a message off `fields`: its offset, and what its size counts.
fn split_entry<'a>(fields: &mut Fields<'a>) -> Result<(i64, Fields<'a>), RecordFault> {
    let mut rest = *fields;
    let offset = i64::from_be_bytes(rest.fixed()?);
    let size = i32::from_be_bytes(rest.fixed()?);
    let body = rest.bytes(size)?;
    *fields = rest;
    Ok((offset, Fields(body)))
}

/// Where in a set the next message is, and how its offset and timestamp are to be read.
#[derive(Debug, Clone)]
pub(super) struct LegacyCursor {
    /// The outer message's.
    last_offset: i64,
    magic: i8,
    /// What the offsets in the set count from.
    base_offset: i64,
    previous_offset: i64,
    /// Replaces every message's own timestamp.
    append_time: Option<i64>,
    at: usize,
}

impl LegacyCursor {
    /// A cursor before the first message of `section`: the set within a wrapper, or the message
    /// itself.
    pub(super) fn new(outer: &LegacyMessage, section: &[u8]) -> Result<Self, RecordsError> {
        let wrapper = outer.compression()? != Compression::None;
        let last = last_entry_offset(section).map_err(|(at, fault)| outer.error(at, fault))?;
        // Wraps only for hostile offsets, which the order of the records then gives away.
        let base_offset =
            if wrapper && outer.magic == 1 { outer.offset.wrapping_sub(last) } else { 0 };
        let append_time = match outer.timestamp_type() {
            TimestampType::CreateTime => None,
            TimestampType::LogAppendTime => Some(outer.timestamp),
        };
        Ok(Self {
            last_offset: outer.offset,
            magic: outer.magic,
            base_offset,
            previous_offset: -1,
            append_time,
            at: 0,
        })
    }

    /// The next record; after an error, nothing.
    pub(super) fn next<'a>(
        &mut self,
        section: &'a [u8],
    ) -> Option<Result<Record<'a>, RecordsError>> {
        let rest = section.get(self.at..).filter(|rest| !rest.is_empty())?;
        let mut fields = Fields(rest);
        let record = Message::parse(&mut fields).and_then(|message| {
            // From here on, what is wrong is the message, not a field of it.
            let after = std::mem::replace(&mut fields, Fields(rest));
            let record = self.record(&message)?;
            fields = after;
            Ok(record)
        });
        let at = fields.position_in(section);
        self.at = if record.is_ok() { at } else { usize::MAX };
        Some(record.map_err(|fault| RecordsError::Record {
            base_offset: self.last_offset,
            at,
            fault,
        }))
    }

    fn record<'a>(&mut self, message: &Message<'a>) -> Result<Record<'a>, RecordFault> {
        let nested = message.attributes & 0b111 != 0;
        if message.magic != self.magic {
            return Err(RecordFault::InnerMagic { magic: message.magic });
        }
        if nested {
            return Err(RecordFault::NestedCompression);
        }
        let offset = self.base_offset.wrapping_add(message.offset);
        let (previous, last) = (self.previous_offset, self.last_offset);
        if offset <= previous || offset > last {
            return Err(RecordFault::OffsetOrder { offset, previous, last });
        }
        self.previous_offset = offset;
        Ok(Record {
            offset,
            timestamp: self.append_time.unwrap_or(message.timestamp),
            key: message.key,
            value: message.value,
            headers: Headers::default(),
        })
    }
}

/// The offset field of the last message in the set.
fn last_entry_offset(section: &[u8]) -> Result<i64, (usize, RecordFault)> {
    let mut fields = Fields(section);
    let mut last = Err((0, RecordFault::EmptyWrapper));
    while !fields.0.is_empty() {
        let (offset, _) =
            split_entry(&mut fields).map_err(|fault| (fields.position_in(section), fault))?;
        last = Ok(offset);
    }
    last
}

/// Lends the records of a legacy message, in order. The first error is the last item.
#[derive(Debug, Clone)]
pub struct LegacyRecords<'a> {
    section: &'a [u8],
    cursor: LegacyCursor,
}

impl<'a> LegacyRecords<'a> {
    pub(super) fn new(outer: &LegacyMessage, section: &'a [u8]) -> Result<Self, RecordsError> {
        Ok(Self { section, cursor: LegacyCursor::new(outer, section)? })
    }
}

impl<'a> Iterator for LegacyRecords<'a> {
    type Item = Result<Record<'a>, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.next(self.section)
    }
}

impl std::iter::FusedIterator for LegacyRecords<'_> {}
