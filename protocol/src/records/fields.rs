//! Reading the fields of a record, one after the other.

use super::RecordFault;
use crate::wire::varint;

/// Takes the first `N` bytes off `bytes`; leaves it alone when there are fewer.
pub(super) fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (field, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*field)
}

/// What is left to read. A refused field stays at the front, so that its place can be told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

/// A fault, and what was left to read when it was met.
#[derive(Debug)]
pub(super) struct Refused<'a> {
    pub(super) fault: RecordFault,
    pub(super) fields: Fields<'a>,
}

impl<'a> Fields<'a> {
    /// Where the front is within `section`, of which this is a part.
    pub(super) fn position_in(self, section: &[u8]) -> usize {
        self.0.as_ptr().addr().saturating_sub(section.as_ptr().addr())
    }

    #[inline]
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], RecordFault> {
        take(&mut self.0).ok_or(RecordFault::Truncated)
    }

    #[inline(always)]
    pub(super) fn varint(&mut self) -> Result<i32, RecordFault> {
        let (value, rest) = match short_varint(self.0) {
            Some(short) => short,
            None => long_varint(self.0)?,
        };
        self.0 = rest;
        Ok(value)
    }

    #[inline(always)]
    pub(super) fn varlong(&mut self) -> Result<i64, RecordFault> {
        let (value, rest) = match short_varint(self.0) {
            Some((value, rest)) => (i64::from(value), rest),
            None => long_varlong(self.0)?,
        };
        self.0 = rest;
        Ok(value)
    }

    /// The next `len` bytes; a negative length is refused.
    #[inline(always)]
    pub(super) fn bytes(&mut self, len: i32) -> Result<&'a [u8], RecordFault> {
        let size = usize::try_from(len).map_err(|_| RecordFault::NegativeLength { length: len })?;
        let (bytes, rest) = self.0.split_at_checked(size).ok_or(RecordFault::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The next `len` bytes. Below 0 is null: −1 is written, and Java and its brokers take any.
    #[inline(always)]
    pub(super) fn nullable_bytes(&mut self, len: i32) -> Result<Option<&'a [u8]>, RecordFault> {
        if len < 0 { Ok(None) } else { self.bytes(len).map(Some) }
    }

    /// Refuses what is left, if anything is.
    #[inline]
    pub(super) const fn finish(self) -> Result<(), RecordFault> {
        match self.0.len() {
            0 => Ok(()),
            bytes => Err(RecordFault::LeftoverBytes { bytes }),
        }
    }
}

/// A zig-zagged number of one or two bytes, which is most of them: worth not calling for.
///
/// Takes and returns the bytes by value, as those below do, so that they stay in registers.
#[inline(always)]
fn short_varint(bytes: &[u8]) -> Option<(i32, &[u8])> {
    let (raw, rest) = match bytes {
        [low, rest @ ..] if *low < 0x80 => (u32::from(*low), rest),
        [low, high, rest @ ..] if *high < 0x80 => {
            (u32::from(*low & 0x7f) | u32::from(*high) << 7, rest)
        }
        _ => return None,
    };
    Some(((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed(), rest))
}

/// The first eight bytes, in a register: one look at memory for all numbers that lie within them.
///
/// It reads short numbers only and says nothing about what it does not read: that is for
/// [`Fields`] to look into.
#[derive(Debug)]
pub(super) struct Window {
    bytes: u64,
    /// Bytes taken.
    pub(super) taken: usize,
}

impl Window {
    #[inline(always)]
    pub(super) fn over(bytes: &[u8]) -> Option<Self> {
        Some(Self { bytes: u64::from_le_bytes(*bytes.first_chunk()?), taken: 0 })
    }

    #[inline(always)]
    pub(super) const fn skip(&mut self, bytes: usize) {
        self.bytes >>= 8 * bytes;
        self.taken += bytes;
    }

    /// A number of one or two bytes, still zig-zagged.
    #[inline(always)]
    pub(super) const fn raw_varint(&mut self) -> Option<u64> {
        let bytes = self.bytes;
        if bytes & 0x80 == 0 {
            self.skip(1);
            return Some(bytes & 0x7f);
        }
        if bytes & 0x8000 == 0 {
            self.skip(2);
            return Some(bytes & 0x7f | bytes >> 1 & 0x3f80);
        }
        None
    }

    /// As [`Self::raw_varint`], for a length that is not negative.
    #[inline(always)]
    pub(super) fn size(&mut self) -> Option<usize> {
        let raw = self.raw_varint()?;
        if raw & 1 == 0 { usize::try_from(raw / 2).ok() } else { None }
    }

    #[inline(always)]
    pub(super) fn varint(&mut self) -> Option<i32> {
        let raw = u32::try_from(self.raw_varint()?).ok()?;
        Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
    }
}

/// The field at the front of `bytes`, its length before it, and what follows it; `None` when that
/// needs a closer look.
#[inline(always)]
pub(super) fn short_nullable(bytes: &[u8]) -> Option<(Option<&[u8]>, &[u8])> {
    let mut window = Window::over(bytes)?;
    let raw = window.raw_varint()?;
    let rest = bytes.get(window.taken..)?;
    match raw {
        NULL => Some((None, rest)),
        _ if raw & 1 != 0 => None,
        _ => {
            let (field, rest) = rest.split_at_checked(usize::try_from(raw / 2).ok()?)?;
            Some((Some(field), rest))
        }
    }
}

/// The length of what is null: −1, zig-zagged.
const NULL: u64 = 1;

#[inline(never)]
fn long_varint(bytes: &[u8]) -> Result<(i32, &[u8]), RecordFault> {
    Ok(varint::read_i32(bytes)?)
}

#[inline(never)]
fn long_varlong(bytes: &[u8]) -> Result<(i64, &[u8]), RecordFault> {
    Ok(varint::read_i64(bytes)?)
}
