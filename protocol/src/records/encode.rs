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

/// A record's fields with their sizes, ready to be written.
#[derive(Debug)]
pub(super) struct Encoding<'a, H> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'a [u8]>,
    key_len: i32,
    value: Option<&'a [u8]>,
    value_len: i32,
    header_count: i32,
    headers: H,
    /// Bytes after the length field.
    body_len: i32,
}

/// Below this, a zig-zagged number takes at most three bytes.
const SHORT: u32 = 1 << 20;

impl<'a, H: IntoIterator<Item = Header<'a>> + Clone> Encoding<'a, H> {
    /// Measures the record.
    #[inline]
    pub(super) fn new(
        record: NewRecord<'a, H>,
        base_timestamp: i64,
        offset_delta: i32,
    ) -> Result<Self, AppendError> {
        let NewRecord { timestamp, key, value, headers } = record;
        // Wraps as Java's does, and wraps back when read.
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);
        let (key_len, value_len) = (nullable_len(key)?, nullable_len(value)?);
        let (header_count, headers_len) = measure(headers.clone())?;
        let body_len = 1
            + varint::len_i64(timestamp_delta)
            + varint::len_i32(offset_delta)
            + varint::len_i32(key_len)
            + key.map_or(0, <[u8]>::len)
            + varint::len_i32(value_len)
            + value.map_or(0, <[u8]>::len)
            + varint::len_i32(header_count)
            + headers_len;
        let body_len = i32::try_from(body_len).map_err(|_| AppendError::RecordTooLarge)?;
        Ok(Self {
            timestamp_delta,
            offset_delta,
            key,
            key_len,
            value,
            value_len,
            header_count,
            headers,
            body_len,
        })
    }

    /// Bytes that [`Self::write`] appends.
    #[inline]
    pub(super) fn len(&self) -> usize {
        varint::len_i32(self.body_len) + self.body_len.unsigned_abs() as usize
    }

    /// Appends the record.
    #[inline]
    pub(super) fn write(self, out: &mut Vec<u8>) {
        out.reserve(self.len() + Packed::CAPACITY);
        if self.is_short() {
            self.write_short_lead(out);
        } else {
            self.write_lead(out);
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

    /// Whether every number takes at most three bytes: nearly always.
    #[inline]
    fn is_short(&self) -> bool {
        self.body_len.unsigned_abs() < SHORT
            && self.offset_delta.unsigned_abs() < SHORT
            && self.timestamp_delta.unsigned_abs() < u64::from(SHORT)
    }

    /// What comes before the value, put together in registers: byte by byte it would cost more
    /// than the rest of a small record.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "the delta is known to be short")]
    fn write_short_lead(&self, out: &mut Vec<u8>) {
        Packed::default()
            .varint(self.body_len)
            .byte(0)
            .varint(self.timestamp_delta as i32)
            .write(out);
        let mut lengths = Packed::default().varint(self.offset_delta).varint(self.key_len);
        if let Some(key) = self.key {
            lengths.write(out);
            out.extend_from_slice(key);
            lengths = Packed::default();
        }
        lengths.varint(self.value_len).write(out);
    }

    #[cold]
    fn write_lead(&self, out: &mut Vec<u8>) {
        varint::write_i32(out, self.body_len);
        out.push(0);
        varint::write_i64(out, self.timestamp_delta);
        varint::write_i32(out, self.offset_delta);
        varint::write_i32(out, self.key_len);
        out.extend_from_slice(self.key.unwrap_or_default());
        varint::write_i32(out, self.value_len);
    }
}

/// Up to eight bytes in a register.
#[derive(Debug, Clone, Copy, Default)]
struct Packed {
    bytes: u64,
    len: u32,
}

impl Packed {
    const CAPACITY: usize = size_of::<u64>();

    #[inline]
    const fn byte(self, byte: u8) -> Self {
        Self { bytes: self.bytes | (byte as u64) << (8 * self.len), len: self.len + 1 }
    }

    /// A varint of at most three bytes: the value is above −[`SHORT`] and below it.
    #[inline]
    fn varint(self, value: i32) -> Self {
        let zigzag = ((value << 1) ^ (value >> 31)).cast_unsigned();
        let len = 1 + u32::from(zigzag >= 1 << 7) + u32::from(zigzag >= 1 << 14);
        let groups = (zigzag & 0x7f) | (zigzag & 0x3f80) << 1 | (zigzag & 0x1f_c000) << 2;
        let continuations = 0x8080 >> (24 - 8 * len);
        let varint = u64::from(groups | continuations);
        Self { bytes: self.bytes | varint << (8 * self.len), len: self.len + len }
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
