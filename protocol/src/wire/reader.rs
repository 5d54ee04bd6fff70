//! Reading values from the front of a frame.

mod arrays;
mod slices;
mod structures;

use bytes::Bytes;

use super::error::{DecodeError, DecodeErrorKind};
use super::run::Run;
use super::varint::{self, VarintError};
use crate::uuid::Uuid;

/// A cursor over one frame.
///
/// What it returns borrows from the frame: strings, bytes and records are slices that share its
/// memory. Only arrays and unknown tagged fields are allocated, once each, and not before it is
/// known that the bytes left could fill them, and that the memory of all of them together stays
/// within `MEMORY_PER_BYTE` times the frame and a constant.
///
/// Each method takes the name of the field it reads, for the error. What has a length is read into
/// its place, which holds the field's default, so that it is not moved there.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    frame: &'a Bytes,
    /// What has not been read yet.
    rest: &'a [u8],
    /// Bytes of the frame after `rest`: not zero while a tagged field is being read.
    beyond: usize,
    /// Bytes that may still be allocated for what is read.
    memory: usize,
    flexible: bool,
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `frame`. It reads compact lengths and tagged fields if `flexible`
    /// (KIP-482).
    #[must_use]
    pub fn new(frame: &'a Bytes, flexible: bool) -> Self {
        let memory = arrays::memory_for(frame.len());
        Self { frame, rest: frame, beyond: 0, memory, flexible }
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn remaining(&self) -> usize {
        self.rest.len()
    }

    /// What has not been read yet, sharing the memory of the frame.
    #[must_use]
    pub fn into_rest(self) -> Bytes {
        let offset = self.offset();
        self.frame.slice(offset..offset + self.rest.len())
    }

    /// What has not been read yet, where it lies.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// A cursor at `rest`, the end of `frame` that began there when it was last read.
    pub(crate) fn again(frame: &'a Bytes, rest: &'a [u8], flexible: bool) -> Self {
        Self { rest, ..Self::new(frame, flexible) }
    }

    /// Changes whether the fields that follow are flexible.
    pub(crate) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    /// Reads a boolean: any byte but 0 is true.
    #[inline]
    pub(crate) fn bool(&mut self, field: &'static str) -> Result<bool, DecodeError> {
        self.fixed::<1>(field).map(|bytes| bytes != [0])
    }

    #[inline]
    pub(crate) fn i8(&mut self, field: &'static str) -> Result<i8, DecodeError> {
        self.fixed(field).map(i8::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i16(&mut self, field: &'static str) -> Result<i16, DecodeError> {
        self.fixed(field).map(i16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        self.fixed(field).map(u16::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i32(&mut self, field: &'static str) -> Result<i32, DecodeError> {
        self.fixed(field).map(i32::from_be_bytes)
    }

    #[inline]
    pub(crate) fn i64(&mut self, field: &'static str) -> Result<i64, DecodeError> {
        self.fixed(field).map(i64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn f64(&mut self, field: &'static str) -> Result<f64, DecodeError> {
        self.fixed(field).map(f64::from_be_bytes)
    }

    #[inline]
    pub(crate) fn uuid(&mut self, field: &'static str) -> Result<Uuid, DecodeError> {
        self.fixed(field).map(Uuid::from_bytes)
    }

    /// Takes a run of fields off the front: `N` bytes, of which each of `fields` has its width.
    ///
    /// One check for all of them, instead of one each.
    #[inline]
    pub(crate) fn run<const N: usize>(
        &mut self,
        fields: &'static [(&'static str, usize)],
    ) -> Result<Run<'a>, DecodeError> {
        let Some((front, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated_run(fields));
        };
        self.rest = rest;
        Ok(Run::new(front))
    }

    #[inline]
    fn fixed<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let Some((front, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.truncated(field, N));
        };
        self.rest = rest;
        Ok(*front)
    }

    /// Reads the length of bytes or the count of an array; `None` for null.
    #[inline]
    fn length(&mut self, field: &'static str) -> Result<Option<usize>, DecodeError> {
        if self.flexible {
            return self.compact_length(field);
        }
        let mark = self.mark();
        let length = i64::from(self.i32(field)?);
        self.nullable_length(field, mark, length)
    }

    /// Reads a length written as itself plus one, with 0 for null.
    #[inline]
    fn compact_length(&mut self, field: &'static str) -> Result<Option<usize>, DecodeError> {
        Ok((self.varint(field)? as usize).checked_sub(1))
    }

    #[inline]
    fn varint(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        // Lengths below 127, the count of no tagged fields: one byte, which needs no loop.
        if let [byte, rest @ ..] = self.rest
            && *byte < 0x80
        {
            self.rest = rest;
            return Ok(u32::from(*byte));
        }
        self.long_varint(field)
    }

    #[inline(never)]
    fn long_varint(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        match varint::read_u32(self.rest) {
            Ok((value, rest)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(VarintError::Truncated) => Err(self.truncated(field, self.rest.len() + 1)),
            Err(VarintError::Overflow) => {
                Err(DecodeError::new(field, self.offset(), DecodeErrorKind::VarintOverflow))
            }
        }
    }

    /// Takes `length` bytes off the front.
    #[inline]
    fn take(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], DecodeError> {
        let Some((front, rest)) = self.rest.split_at_checked(length) else {
            return Err(self.truncated(field, length));
        };
        self.rest = rest;
        Ok(front)
    }

    /// A cursor over the next `length` bytes, which this one has then passed.
    fn split_front(&mut self, field: &'static str, length: usize) -> Result<Self, DecodeError> {
        let rest = self.take(field, length)?;
        let beyond = self.beyond + self.rest.len();
        Ok(Reader { rest, beyond, ..*self })
    }

    /// Bytes of the frame that lie before what has not been read yet.
    #[inline]
    fn offset(&self) -> usize {
        self.frame.len() - self.beyond - self.rest.len()
    }

    /// This place, in case what follows turns out to be wrong.
    #[inline]
    fn mark(&self) -> Mark {
        Mark(self.rest.len())
    }

    /// A length of which −1 means null.
    #[inline]
    fn nullable_length(
        &self,
        field: &'static str,
        mark: Mark,
        length: i64,
    ) -> Result<Option<usize>, DecodeError> {
        if length == -1 {
            return Ok(None);
        }
        let invalid = |_| self.wrong(field, mark, DecodeErrorKind::InvalidLength { length });
        usize::try_from(length).map(Some).map_err(invalid)
    }

    #[cold]
    fn wrong(&self, field: &'static str, mark: Mark, kind: DecodeErrorKind) -> DecodeError {
        DecodeError::new(field, self.frame.len() - self.beyond - mark.0, kind)
    }

    /// What becomes of a null whose length lies at `mark`.
    #[inline]
    fn null(&self, field: &'static str, mark: Mark, nullable: bool) -> Result<(), DecodeError> {
        if nullable { Ok(()) } else { Err(self.unexpected_null(field, mark)) }
    }

    #[cold]
    fn unexpected_null(&self, field: &'static str, mark: Mark) -> DecodeError {
        self.wrong(field, mark, DecodeErrorKind::UnexpectedNull)
    }

    /// The error of the first of `fields` that is not there.
    #[cold]
    fn truncated_run(&mut self, fields: &'static [(&'static str, usize)]) -> DecodeError {
        let mut last = "run";
        for (field, width) in fields {
            last = field;
            if let Err(error) = self.take(field, *width) {
                return error;
            }
        }
        self.truncated(last, 0)
    }

    #[cold]
    fn truncated(&self, field: &'static str, needed: usize) -> DecodeError {
        let kind = DecodeErrorKind::Truncated { needed, remaining: self.rest.len() };
        DecodeError::new(field, self.offset(), kind)
    }
}

/// A place in the frame, for an error that may come: how many bytes were left there. An offset would
/// cost a subtraction at every field.
#[derive(Debug, Clone, Copy)]
struct Mark(usize);
