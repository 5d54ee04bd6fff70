//! Arrays, and the memory that they may take.

use std::mem;

use super::{Mark, Reader};
use crate::wire::error::{DecodeError, DecodeErrorKind};
use crate::wire::{Int32Array, Wire};

/// Bytes that arrays and unknown tagged fields may take for a frame of `len` bytes.
pub(super) fn memory_for(len: usize) -> usize {
    len.saturating_mul(MEMORY_PER_BYTE).saturating_add(FREE_MEMORY)
}

impl Reader<'_> {
    #[inline]
    pub(crate) fn array<T: Wire>(
        &mut self,
        field: &'static str,
        values: &mut Vec<T>,
        version: i16,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        let Some(count) = self.length(field)? else {
            return Err(self.unexpected_null(field, mark));
        };
        self.elements(field, mark, count, values, version)
    }

    #[inline]
    pub(crate) fn nullable_array<T: Wire>(
        &mut self,
        field: &'static str,
        values: &mut Option<Vec<T>>,
        version: i16,
        nullable: bool,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        let Some(count) = self.length(field)? else {
            // What is there is empty: to forget it is cheaper than to call for it to be freed.
            match values.take_if(|values| values.capacity() == 0) {
                Some(nothing) => mem::forget(nothing),
                None => *values = None,
            }
            return self.null(field, mark, nullable);
        };
        self.elements(field, mark, count, values.get_or_insert_default(), version)
    }

    fn elements<T: Wire>(
        &mut self,
        field: &'static str,
        mark: Mark,
        count: usize,
        values: &mut Vec<T>,
        version: i16,
    ) -> Result<(), DecodeError> {
        self.check_count(field, mark, count, T::min_size(version))?;
        self.take_memory::<T>(field, mark, count)?;
        T::read_array(values, self, field, count, version)
    }

    /// Reads an array of 32-bit numbers.
    pub(crate) fn int32_array(
        &mut self,
        field: &'static str,
        values: &mut Int32Array,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        let Some(count) = self.length(field)? else {
            return Err(self.unexpected_null(field, mark));
        };
        *values = self.numbers(field, mark, count)?;
        Ok(())
    }

    pub(crate) fn nullable_int32_array(
        &mut self,
        field: &'static str,
        values: &mut Option<Int32Array>,
        nullable: bool,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        let Some(count) = self.length(field)? else {
            *values = None;
            return self.null(field, mark, nullable);
        };
        *values = Some(self.numbers(field, mark, count)?);
        Ok(())
    }

    #[inline]
    fn numbers(
        &mut self,
        field: &'static str,
        mark: Mark,
        count: usize,
    ) -> Result<Int32Array, DecodeError> {
        self.check_count(field, mark, count, size_of::<i32>())?;
        let here = self.rest;
        let numbers = self.take(field, count.saturating_mul(size_of::<i32>()))?;
        if count <= INLINE_NUMBERS
            && let Some(four) = here.first_chunk::<{ INLINE_NUMBERS * size_of::<i32>() }>()
        {
            // As many as there is room for, whatever they are: cheaper than to count.
            let (four, _) = four.as_chunks();
            let number = |index: usize| four.get(index).map_or(0, |four| i32::from_be_bytes(*four));
            let four = [number(0), number(1), number(2), number(3)];
            return Ok(Int32Array::from_buf_and_len(four, count));
        }
        self.take_memory::<i32>(field, mark, count)?;
        let (numbers, _) = numbers.as_chunks();
        Ok(numbers.iter().map(|number| i32::from_be_bytes(*number)).collect())
    }

    /// Reads the count of an array of `T`, whose elements are then read one by one.
    pub(crate) fn count<T: Wire>(
        &mut self,
        field: &'static str,
        version: i16,
    ) -> Result<usize, DecodeError> {
        let mark = self.mark();
        let count = self.nullable_count::<T>(field, version)?;
        count.ok_or_else(|| self.unexpected_null(field, mark))
    }

    /// As [`count`](Self::count); `None` for null.
    #[inline]
    pub(crate) fn nullable_count<T: Wire>(
        &mut self,
        field: &'static str,
        version: i16,
    ) -> Result<Option<usize>, DecodeError> {
        let mark = self.mark();
        let Some(count) = self.length(field)? else { return Ok(None) };
        self.check_count(field, mark, count, T::min_size(version))?;
        Ok(Some(count))
    }

    /// Takes `count` fixed-width elements off the front at once. The caller has checked that they
    /// are there.
    pub(crate) fn fixed_array<const N: usize, T>(
        &mut self,
        field: &'static str,
        values: &mut Vec<T>,
        count: usize,
        read: impl Fn([u8; N]) -> T,
    ) -> Result<(), DecodeError> {
        let front = self.take(field, count.saturating_mul(N))?;
        let (elements, _) = front.as_chunks::<N>();
        values.extend(elements.iter().map(|element| read(*element)));
        Ok(())
    }

    /// Refuses an array of `count` elements, whose length lies at `mark`, if the bytes left cannot
    /// hold as many of `each` bytes or more.
    #[inline]
    pub(super) fn check_count(
        &self,
        field: &'static str,
        mark: Mark,
        count: usize,
        each: usize,
    ) -> Result<(), DecodeError> {
        let (each, remaining) = (each.max(1), self.rest.len());
        if count.saturating_mul(each) <= remaining {
            return Ok(());
        }
        Err(self.wrong(field, mark, DecodeErrorKind::ArrayTooLong { count, remaining, each }))
    }

    /// Sets aside the memory of `count` values, or fails if the frame is too short for so much.
    #[inline]
    pub(super) fn take_memory<T>(
        &mut self,
        field: &'static str,
        mark: Mark,
        count: usize,
    ) -> Result<(), DecodeError> {
        let needed = count.saturating_mul(size_of::<T>());
        let Some(left) = self.memory.checked_sub(needed) else {
            let kind = DecodeErrorKind::MemoryLimit { needed, left: self.memory };
            return Err(self.wrong(field, mark, kind));
        };
        self.memory = left;
        Ok(())
    }
}

/// Bytes of memory that arrays may take for each byte of the frame.
///
/// An empty string takes 32 in memory for one on the wire; `tests/messages/elements.rs` shows that
/// no structure of an honest message takes more.
const MEMORY_PER_BYTE: usize = 32;

/// Bytes of memory that arrays may take however short the frame is.
const FREE_MEMORY: usize = 32 * 1024;

/// Numbers that an [`Int32Array`] holds without memory of its own.
const INLINE_NUMBERS: usize = 4;
