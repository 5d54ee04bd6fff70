//! How a record becomes bytes.

use super::{AppendError, Header};
use crate::wire::varint;

/// A record to append.
///
/// `H` is anything that can be iterated twice, once to measure and once to write: an array of
/// [`Header`]s, the [`Headers`](super::Headers) of a lent record, or a mapping iterator over the
/// application's own.
#[derive(Debug, Clone, Copy)]
pub struct NewRecord<'a, H = [Header<'a>; 0]> {
    /// Milliseconds since 1970; any `i64` is kept.
    pub timestamp: i64,
    /// Its key; null and empty are different.
    pub key: Option<&'a [u8]>,
    /// Its value; null is a tombstone in a compacted topic.
    pub value: Option<&'a [u8]>,
    /// Its headers: order and duplicates are kept.
    pub headers: H,
}

impl<'a> NewRecord<'a> {
    /// A record without headers.
    #[must_use]
    pub const fn new(timestamp: i64, key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> Self {
        Self { timestamp, key, value, headers: [] }
    }
}

/// A record's fields, measured and ready to be written.
#[derive(Debug)]
pub(super) struct Encoding<'a, H> {
    lead: Lead,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    header_count: i32,
    headers: H,
    /// Bytes of the whole record.
    len: usize,
}

/// The numbers in front of the value, and between them the key.
#[derive(Debug)]
enum Lead {
    /// Every number takes at most three bytes, as is nearly always so. They are put together in
    /// registers: written byte by byte, they cost more than the rest of a small record.
    Short {
        /// Record length, attributes, timestamp delta.
        first: Packed,
        /// Offset delta, key length.
        second: Packed,
        value_len: Packed,
    },
    Long(Numbers),
}

#[derive(Debug, Clone, Copy)]
struct Numbers {
    timestamp_delta: i64,
    offset_delta: i32,
    key_len: i32,
    value_len: i32,
    body_len: i32,
}

/// Below this, a zig-zagged number takes at most three bytes.
const SHORT: i32 = 1 << 20;

/// Bytes of the attributes and four short numbers.
const MAX_SHORT_NUMBERS_LEN: i32 = 1 + 4 * 3;

impl<'a, H: IntoIterator<Item = Header<'a>> + Clone> Encoding<'a, H> {
    /// Measures the record.
    #[inline]
    pub(super) fn new(
        record: NewRecord<'a, H>,
        base_timestamp: i64,
        offset_delta: i32,
    ) -> Result<Self, AppendError> {
        let NewRecord { timestamp, key, value, headers } = record;
        let (header_count, headers_len) = measure(headers.clone())?;
        let payload_len = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers_len;
        let mut numbers = Numbers {
            // Wraps as Java's does, and wraps back when read.
            timestamp_delta: timestamp.wrapping_sub(base_timestamp),
            offset_delta,
            key_len: nullable_len(key)?,
            value_len: nullable_len(value)?,
            body_len: 0,
        };
        let header_count_len = varint::len_i32(header_count);
        let (lead, len) = match Lead::short(&numbers, payload_len + header_count_len) {
            Some(short) => short,
            None => numbers.measure(payload_len + header_count_len)?,
        };
        Ok(Self { lead, key, value, header_count, headers, len })
    }

    /// Bytes that [`Self::write`] appends.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Appends the record.
    #[inline]
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.reserve(self.len + Packed::CAPACITY);
        match self.lead {
            Lead::Short { first, second, value_len } => {
                first.write(out);
                if let Some(key) = self.key {
                    second.write(out);
                    out.extend_from_slice(key);
                    value_len.write(out);
                } else {
                    second.then(value_len).write(out);
                }
            }
            Lead::Long(numbers) => numbers.write(self.key, out),
        }
        out.extend_from_slice(self.value.unwrap_or_default());
        if self.header_count == 0 {
            out.push(0);
            return;
        }
        varint::write_i32(out, self.header_count);
        for Header { key, value } in self.headers {
            write_nullable(out, Some(key));
            write_nullable(out, value);
        }
    }
}

impl Lead {
    /// The short form and the record's length, given the bytes of all else; `None` when a number
    /// is too large.
    #[inline]
    fn short(numbers: &Numbers, rest_len: usize) -> Option<(Self, usize)> {
        let Numbers { timestamp_delta, offset_delta, key_len, value_len, .. } = *numbers;
        let timestamp_delta = i32::try_from(timestamp_delta).ok()?;
        let rest_len = i32::try_from(rest_len).ok()?;
        let is_short = timestamp_delta.unsigned_abs() < SHORT.unsigned_abs()
            && offset_delta < SHORT
            // Counts the key and the value as well.
            && rest_len < SHORT - MAX_SHORT_NUMBERS_LEN;
        if !is_short {
            return None;
        }
        let attributes_and_timestamp = Packed::ATTRIBUTES.then(Packed::varint(timestamp_delta));
        let second = Packed::varint(offset_delta).then(Packed::varint(key_len));
        let value_len = Packed::varint(value_len);
        let body_len =
            attributes_and_timestamp.len + second.len + value_len.len + rest_len.unsigned_abs();
        let length = Packed::varint(body_len.cast_signed());
        let len = (length.len + body_len) as usize;
        Some((Self::Short { first: length.then(attributes_and_timestamp), second, value_len }, len))
    }
}

impl Numbers {
    /// Completes the body's length, given the bytes of all else.
    #[cold]
    fn measure(&mut self, rest_len: usize) -> Result<(Lead, usize), AppendError> {
        let body_len = 1
            + varint::len_i64(self.timestamp_delta)
            + varint::len_i32(self.offset_delta)
            + varint::len_i32(self.key_len)
            + varint::len_i32(self.value_len)
            + rest_len;
        self.body_len = i32::try_from(body_len).map_err(|_| AppendError::RecordTooLarge)?;
        Ok((Lead::Long(*self), varint::len_i32(self.body_len) + body_len))
    }

    #[cold]
    fn write(&self, key: Option<&[u8]>, out: &mut Vec<u8>) {
        varint::write_i32(out, self.body_len);
        out.push(0);
        varint::write_i64(out, self.timestamp_delta);
        varint::write_i32(out, self.offset_delta);
        varint::write_i32(out, self.key_len);
        out.extend_from_slice(key.unwrap_or_default());
        varint::write_i32(out, self.value_len);
    }
}

/// Up to eight bytes in a register.
#[derive(Debug, Clone, Copy)]
struct Packed {
    bytes: u64,
    len: u32,
}

impl Packed {
    const CAPACITY: usize = size_of::<u64>();

    /// The attributes of a record: one byte, none of them assigned.
    const ATTRIBUTES: Self = Self { bytes: 0, len: 1 };

    /// A varint of at most three bytes: the value is above −[`SHORT`] and below it.
    ///
    /// Branches, because the sizes of a topic's records rarely differ in their number of bytes.
    #[inline]
    const fn varint(value: i32) -> Self {
        let zigzag = ((value << 1) ^ (value >> 31)).cast_unsigned() as u64;
        if zigzag < 1 << 7 {
            return Self { bytes: zigzag, len: 1 };
        }
        let two = (zigzag & 0x7f) | (zigzag & 0x3f80) << 1 | 0x80;
        if zigzag < 1 << 14 {
            return Self { bytes: two, len: 2 };
        }
        Self { bytes: two | (zigzag & 0x1f_c000) << 2 | 0x8000, len: 3 }
    }

    /// These bytes, then those; together at most eight.
    #[inline]
    const fn then(self, next: Self) -> Self {
        Self { bytes: self.bytes | next.bytes << (8 * self.len), len: self.len + next.len }
    }

    /// Appends all eight bytes, which is one store, and takes back those that are not used.
    #[inline]
    fn write(self, out: &mut Vec<u8>) {
        let end = out.len() + self.len as usize;
        out.extend_from_slice(&self.bytes.to_le_bytes());
        out.truncate(end);
    }
}

/// How many headers, and their bytes.
#[inline]
fn measure<'a>(headers: impl IntoIterator<Item = Header<'a>>) -> Result<(i32, usize), AppendError> {
    let (mut count, mut len) = (0_i32, 0_usize);
    for Header { key, value } in headers {
        count = count.checked_add(1).ok_or(AppendError::RecordTooLarge)?;
        let lengths =
            varint::len_i32(nullable_len(Some(key))?) + varint::len_i32(nullable_len(value)?);
        len = len.saturating_add(lengths + key.len() + value.map_or(0, <[u8]>::len));
    }
    Ok((count, len))
}

/// The length as it is written: −1 for null.
#[inline]
fn nullable_len(bytes: Option<&[u8]>) -> Result<i32, AppendError> {
    match bytes {
        None => Ok(-1),
        Some(bytes) => i32::try_from(bytes.len()).map_err(|_| AppendError::RecordTooLarge),
    }
}

fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    // Measured before: it fits.
    varint::write_i32(out, nullable_len(bytes).unwrap_or(-1));
    out.extend_from_slice(bytes.unwrap_or_default());
}
