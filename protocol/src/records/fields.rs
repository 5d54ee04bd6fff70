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

impl<'a> Fields<'a> {
    /// Where the front is within `section`, of which this is a part.
    pub(super) fn position_in(self, section: &[u8]) -> usize {
        self.0.as_ptr().addr().saturating_sub(section.as_ptr().addr())
    }

    #[inline]
    pub(super) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], RecordFault> {
        take(&mut self.0).ok_or(RecordFault::Truncated)
    }

    #[inline]
    pub(super) fn varint(&mut self) -> Result<i32, RecordFault> {
        let (value, rest) = varint::read_i32(self.0)?;
        self.0 = rest;
        Ok(value)
    }

    #[inline]
    pub(super) fn varlong(&mut self) -> Result<i64, RecordFault> {
        let (value, rest) = varint::read_i64(self.0)?;
        self.0 = rest;
        Ok(value)
    }

    /// The next `len` bytes; a negative length is refused.
    #[inline]
    pub(super) fn bytes(&mut self, len: i32) -> Result<&'a [u8], RecordFault> {
        let size = usize::try_from(len).map_err(|_| RecordFault::NegativeLength { length: len })?;
        let (bytes, rest) = self.0.split_at_checked(size).ok_or(RecordFault::Truncated)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// The next `len` bytes; −1 is null.
    #[inline]
    pub(super) fn nullable_bytes(&mut self, len: i32) -> Result<Option<&'a [u8]>, RecordFault> {
        if len == -1 { Ok(None) } else { self.bytes(len).map(Some) }
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
