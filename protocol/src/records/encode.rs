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

/// A record whose headers are measured.
#[derive(Debug, Clone)]
pub(super) struct Encoding<'a, H> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    header_count: i32,
    headers: H,
    /// Bytes of the key, the value and the headers.
    payload_len: usize,
}

impl<'a, H: IntoIterator<Item = Header<'a>> + Clone> Encoding<'a, H> {
    /// Measures the headers.
    #[inline(always)]
    pub(super) fn new(
        record: NewRecord<'a, H>,
        base_timestamp: i64,
        offset_delta: i32,
    ) -> Result<Self, AppendError> {
        let NewRecord { timestamp, key, value, headers } = record;
        let (header_count, headers_len) = measure(headers.clone())?;
        let payload_len = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers_len;
        // Wraps as Java's does, and wraps back when read.
        let timestamp_delta = timestamp.wrapping_sub(base_timestamp);
        Ok(Self { timestamp_delta, offset_delta, key, value, header_count, headers, payload_len })
    }

    /// Bytes that [`Self::append_to`] appends.
    #[inline]
    pub(super) fn len(&self) -> Result<usize, AppendError> {
        match ShortLead::new(self) {
            Some(lead) => Ok(lead.record_len),
            None => Ok(LongLead::new(self)?.record_len),
        }
    }

    /// Appends the record, unless `out` would then be longer than `max_len`.
    #[inline(always)]
    pub(super) fn append_to(self, out: &mut Vec<u8>, max_len: usize) -> Result<(), AppendError> {
        let Some(lead) = ShortLead::new(&self) else { return self.append_long(out, max_len) };
        check_room(lead.record_len, out, max_len)?;
        lead.write(self.key, out);
        out.extend_from_slice(self.value.unwrap_or_default());
        write_headers(self.header_count, self.headers, out);
        Ok(())
    }

    /// Takes the record apart, so that only a long one is put together in memory.
    #[inline(always)]
    fn append_long(self, out: &mut Vec<u8>, max_len: usize) -> Result<(), AppendError> {
        let Self { timestamp_delta, offset_delta, key, value, header_count, headers, payload_len } =
            self;
        append_long(
            Self { timestamp_delta, offset_delta, key, value, header_count, headers, payload_len },
            out,
            max_len,
        )
    }
}

#[cold]
#[inline(never)]
fn append_long<'a, H: IntoIterator<Item = Header<'a>>>(
    record: Encoding<'a, H>,
    out: &mut Vec<u8>,
    max_len: usize,
) -> Result<(), AppendError> {
    let lead = LongLead::new(&record)?;
    check_room(lead.record_len, out, max_len)?;
    out.reserve(lead.record_len);
    lead.write(&record, out);
    out.extend_from_slice(record.value.unwrap_or_default());
    write_headers(record.header_count, record.headers, out);
    Ok(())
}

/// Appends the headers and, first, how many there are.
#[inline(always)]
fn write_headers<'a>(count: i32, headers: impl IntoIterator<Item = Header<'a>>, out: &mut Vec<u8>) {
    if count == 0 {
        return out.push(0);
    }
    varint::write_i32(out, count);
    for Header { key, value } in headers {
        write_nullable(out, Some(key));
        write_nullable(out, value);
    }
}

/// The numbers in front of the value when all are short, as is nearly always so. They are put
/// together in registers: written byte by byte, they cost more than the rest of a small record.
#[derive(Debug)]
struct ShortLead {
    /// Record length, attributes, timestamp delta.
    first: Packed,
    /// Offset delta, key length.
    second: Packed,
    value_len: Packed,
    record_len: usize,
}

impl ShortLead {
    /// Below this, an offset delta and a payload's length take at most three bytes, and so does
    /// the record's length, in which the numbers are counted as well.
    const MAX: u64 = 1 << 19;
    /// Below this, a timestamp delta takes at most three bytes: a quarter of an hour.
    const MAX_TIMESTAMP: u64 = 1 << 21;

    /// The lead, or `None` when a number is too large.
    #[inline(always)]
    fn new<H>(record: &Encoding<'_, H>) -> Option<Self> {
        let timestamp = varint::zigzag_i64(record.timestamp_delta);
        // Never negative.
        let offset = u64::from(record.offset_delta.cast_unsigned());
        // One comparison for both. That the payload is short says as much of its parts.
        if timestamp >= Self::MAX_TIMESTAMP || offset | record.payload_len as u64 >= Self::MAX {
            return None;
        }
        let timestamp = Packed::ATTRIBUTES.then(Packed::varint(timestamp));
        let second = Packed::varint(2 * offset).then(Packed::nullable_len(record.key));
        let value_len = Packed::nullable_len(record.value);
        let numbers_len = (timestamp.bits + second.bits + value_len.bits) as usize / 8
            + varint::len_i32(record.header_count);
        let body_len = numbers_len + record.payload_len;
        let length = Packed::varint(2 * body_len as u64);
        let record_len = length.len() + body_len;
        Some(Self { first: length.then(timestamp), second, value_len, record_len })
    }

    /// Appends the numbers, and between them the key.
    #[inline(always)]
    fn write(&self, key: Option<&[u8]>, out: &mut Vec<u8>) {
        let Some(key) = key else {
            return self.first.write_with(self.second.then(self.value_len), out);
        };
        self.first.write_with(self.second, out);
        out.extend_from_slice(key);
        self.value_len.write_with(Packed::NOTHING, out);
    }
}

/// The lengths that stand in front of the value, whatever they are.
#[derive(Debug)]
struct LongLead {
    key_len: i32,
    value_len: i32,
    body_len: i32,
    record_len: usize,
}

impl LongLead {
    #[cold]
    fn new<H>(record: &Encoding<'_, H>) -> Result<Self, AppendError> {
        let (key_len, value_len) = (nullable_len(record.key)?, nullable_len(record.value)?);
        let numbers_len = 1
            + varint::len_i64(record.timestamp_delta)
            + varint::len_i32(record.offset_delta)
            + varint::len_i32(key_len)
            + varint::len_i32(value_len)
            + varint::len_i32(record.header_count);
        let body_len = i32::try_from(numbers_len.saturating_add(record.payload_len))
            .map_err(|_| AppendError::RecordTooLarge)?;
        let record_len = numbers_len + record.payload_len + varint::len_i32(body_len);
        Ok(Self { key_len, value_len, body_len, record_len })
    }

    /// Appends the numbers, and between them the key.
    fn write<H>(&self, record: &Encoding<'_, H>, out: &mut Vec<u8>) {
        varint::write_i32(out, self.body_len);
        out.push(0);
        varint::write_i64(out, record.timestamp_delta);
        varint::write_i32(out, record.offset_delta);
        varint::write_i32(out, self.key_len);
        out.extend_from_slice(record.key.unwrap_or_default());
        varint::write_i32(out, self.value_len);
    }
}

/// Up to eight bytes in a register, and none set above them.
#[derive(Debug, Clone, Copy)]
struct Packed {
    bytes: u64,
    bits: u32,
}

impl Packed {
    const NOTHING: Self = Self { bytes: 0, bits: 0 };

    /// The attributes of a record: one byte, none of them assigned.
    const ATTRIBUTES: Self = Self { bytes: 0, bits: 8 };

    /// A varint of at most three bytes.
    ///
    /// Branches, because the sizes of a topic's records rarely differ in their number of bytes.
    #[inline]
    const fn varint(raw: u64) -> Self {
        if raw < 1 << 7 {
            return Self { bytes: raw, bits: 8 };
        }
        let two = (raw & 0x7f) | (raw & 0x3f80) << 1 | 0x80;
        if raw < 1 << 14 {
            return Self { bytes: two, bits: 16 };
        }
        Self { bytes: two | (raw & 0x1f_c000) << 2 | 0x8000, bits: 24 }
    }

    /// The varint of a length that is short; −1 for null.
    #[inline]
    fn nullable_len(bytes: Option<&[u8]>) -> Self {
        match bytes {
            None => Self { bytes: 1, bits: 8 },
            Some(bytes) => Self::varint(2 * bytes.len() as u64),
        }
    }

    #[inline]
    const fn len(self) -> usize {
        self.bits as usize / 8
    }

    /// These bytes, then those; together at most eight.
    #[inline]
    const fn then(self, next: Self) -> Self {
        Self { bytes: self.bytes | next.bytes << self.bits, bits: self.bits + next.bits }
    }

    /// Appends these bytes, one to seven, then those: all sixteen in one store, and takes back what
    /// is not used.
    #[inline(always)]
    fn write_with(self, next: Self, out: &mut Vec<u8>) {
        let end = out.len() + (self.bits + next.bits) as usize / 8;
        // By hand: a shift of a `u128` costs twice as much.
        let low = self.bytes | next.bytes << self.bits;
        let high = next.bytes >> (64 - self.bits);
        out.extend_from_slice([low, high].map(u64::to_le_bytes).as_flattened());
        out.truncate(end);
    }
}

#[inline]
fn check_room(size: usize, out: &[u8], max_len: usize) -> Result<(), AppendError> {
    // `out` is never longer than that.
    if size > max_len - out.len() {
        return Err(AppendError::BatchFull { size });
    }
    Ok(())
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
