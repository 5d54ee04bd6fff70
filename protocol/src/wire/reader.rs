//! Reading values from the front of a frame.

use std::mem;

use bytes::Bytes;
use bytestring::ByteString;

use super::error::{DecodeError, DecodeErrorKind};
use super::run::Run;
use super::tagged::{UnknownTaggedField, UnknownTaggedFields};
use super::varint::{self, VarintError};
use super::{Int32Array, MAX_STRING_LEN, RecordChunks, Wire};
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
        let memory = frame.len().saturating_mul(MEMORY_PER_BYTE).saturating_add(FREE_MEMORY);
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

    pub(crate) fn string(
        &mut self,
        field: &'static str,
        value: &mut ByteString,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        let Some(length) = self.string_length(field)? else {
            return Err(self.unexpected_null(field, mark));
        };
        *value = self.string_of(field, length)?;
        Ok(())
    }

    pub(crate) fn nullable_string(
        &mut self,
        field: &'static str,
        value: &mut Option<ByteString>,
        nullable: bool,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        let Some(length) = self.string_length(field)? else {
            *value = None;
            return self.null(field, mark, nullable);
        };
        *value = Some(self.string_of(field, length)?);
        Ok(())
    }

    /// Reads a string with a two-byte length even where the rest of the message is flexible.
    pub(crate) fn inflexible_nullable_string(
        &mut self,
        field: &'static str,
        value: &mut Option<ByteString>,
    ) -> Result<(), DecodeError> {
        *value = match self.inflexible_string_length(field)? {
            Some(length) => Some(self.string_of(field, length)?),
            None => None,
        };
        Ok(())
    }

    pub(crate) fn bytes(
        &mut self,
        field: &'static str,
        value: &mut Bytes,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        let Some(length) = self.length(field)? else {
            return Err(self.unexpected_null(field, mark));
        };
        self.slice(field, length, value)
    }

    pub(crate) fn nullable_bytes(
        &mut self,
        field: &'static str,
        value: &mut Option<Bytes>,
        nullable: bool,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        let Some(length) = self.length(field)? else {
            *value = None;
            return self.null(field, mark, nullable);
        };
        self.slice(field, length, value.get_or_insert_default())
    }

    pub(crate) fn records(
        &mut self,
        field: &'static str,
        value: &mut RecordChunks,
    ) -> Result<(), DecodeError> {
        self.bytes(field, value.only())
    }

    #[inline]
    pub(crate) fn nullable_records(
        &mut self,
        field: &'static str,
        value: &mut Option<RecordChunks>,
        nullable: bool,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        let Some(length) = self.length(field)? else {
            *value = None;
            return self.null(field, mark, nullable);
        };
        self.slice(field, length, value.get_or_insert_default().only())
    }

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

    /// Reads a string that stays in the frame.
    pub(crate) fn lent_string(&mut self, field: &'static str) -> Result<&'a str, DecodeError> {
        let mark = self.mark();
        let Some(length) = self.string_length(field)? else {
            return Err(self.unexpected_null(field, mark));
        };
        let mark = self.mark();
        let text = self.text(field, length)?;
        str::from_utf8(text).map_err(|_| self.invalid_utf8(field, mark, text))
    }

    /// Reads bytes that stay in the frame; `None` for null.
    #[inline]
    pub(crate) fn lent_nullable_bytes(
        &mut self,
        field: &'static str,
    ) -> Result<Option<&'a [u8]>, DecodeError> {
        let Some(length) = self.length(field)? else { return Ok(None) };
        self.take(field, length).map(Some)
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

    #[inline]
    pub(crate) fn structure<T: Wire>(
        &mut self,
        field: &'static str,
        value: &mut T,
        version: i16,
    ) -> Result<(), DecodeError> {
        value.read_into(self, version).map_err(|error| error.in_field(field))
    }

    /// Reads a structure that is the content of a tagged field.
    pub(crate) fn optional_structure<T: Wire>(
        &mut self,
        field: &'static str,
        value: &mut Option<Box<T>>,
        version: i16,
    ) -> Result<(), DecodeError> {
        self.structure(field, value.get_or_insert_default().as_mut(), version)
    }

    /// Reads a structure behind a byte that says whether it is there: −1 for null, else 1.
    pub(crate) fn nullable_structure<T: Wire>(
        &mut self,
        field: &'static str,
        value: &mut Option<T>,
        version: i16,
        nullable: bool,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        if self.i8(field)? < 0 {
            *value = None;
            return self.null(field, mark, nullable);
        }
        self.structure(field, value.get_or_insert_default(), version)
    }

    /// Reads a structure that is a tagged field: behind 0 for null, else 1.
    pub(crate) fn tagged_nullable_structure<T: Wire>(
        &mut self,
        field: &'static str,
        value: &mut Option<T>,
        version: i16,
        nullable: bool,
    ) -> Result<(), DecodeError> {
        let mark = self.mark();
        if self.i8(field)? == 0 {
            *value = None;
            return self.null(field, mark, nullable);
        }
        self.structure(field, value.get_or_insert_default(), version)
    }

    /// Reads the tagged fields that end a structure, none of which is known, into `unknown`, which
    /// is empty.
    #[inline]
    pub(crate) fn tagged_fields(
        &mut self,
        unknown: &mut UnknownTaggedFields,
    ) -> Result<(), DecodeError> {
        self.known_tagged_fields(unknown, |_, _| Ok(false))
    }

    /// Reads the tagged fields that end a structure. `known` reads those it has a name for and
    /// returns true; the others go into `unknown`, which is empty.
    #[inline]
    pub(crate) fn known_tagged_fields(
        &mut self,
        unknown: &mut UnknownTaggedFields,
        known: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        // Almost every structure ends so.
        if let [0, rest @ ..] = self.rest {
            self.rest = rest;
            return Ok(());
        }
        self.present_tagged_fields(unknown, known)
    }

    #[cold]
    fn present_tagged_fields(
        &mut self,
        unknown: &mut UnknownTaggedFields,
        mut known: impl FnMut(u32, &mut Self) -> Result<bool, DecodeError>,
    ) -> Result<(), DecodeError> {
        let mut previous = None;
        let mark = self.mark();
        let count = self.varint(TAGGED_FIELDS)? as usize;
        self.check_count(TAGGED_FIELDS, mark, count, MIN_TAGGED_FIELD)?;
        for left in (1..=count).rev() {
            let mark = self.mark();
            let tag = self.varint(TAGGED_FIELDS)?;
            if previous.is_some_and(|previous| tag <= previous) {
                return Err(self.wrong(TAGGED_FIELDS, mark, DecodeErrorKind::UnorderedTag { tag }));
            }
            previous = Some(tag);
            let size = self.varint(TAGGED_FIELDS)? as usize;
            let mut content = self.split_front(TAGGED_FIELDS, size)?;
            if known(tag, &mut content)? {
                content.expect_end(TAGGED_FIELDS)?;
                self.memory = content.memory;
            } else {
                if unknown.is_empty() {
                    self.take_memory::<Vec<UnknownTaggedField>>(TAGGED_FIELDS, mark, 1)?;
                    self.take_memory::<UnknownTaggedField>(TAGGED_FIELDS, mark, left)?;
                    *unknown = UnknownTaggedFields::with_capacity(left);
                }
                unknown.push(UnknownTaggedField { tag, data: content.into_rest() });
            }
        }
        Ok(())
    }

    /// Fails if anything is left to read.
    pub(crate) fn expect_end(&self, field: &'static str) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let kind = DecodeErrorKind::TrailingBytes { count: self.rest.len() };
        Err(DecodeError::new(field, self.offset(), kind))
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
    fn check_count(
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

    /// Reads the length of a string; `None` for null.
    #[inline]
    fn string_length(&mut self, field: &'static str) -> Result<Option<usize>, DecodeError> {
        if self.flexible {
            return self.compact_length(field);
        }
        self.inflexible_string_length(field)
    }

    #[inline]
    fn inflexible_string_length(
        &mut self,
        field: &'static str,
    ) -> Result<Option<usize>, DecodeError> {
        let mark = self.mark();
        let length = i64::from(self.i16(field)?);
        self.nullable_length(field, mark, length)
    }

    fn string_of(&mut self, field: &'static str, length: usize) -> Result<ByteString, DecodeError> {
        let mark = self.mark();
        let text = self.text(field, length)?;
        if text.is_empty() {
            return Ok(ByteString::new());
        }
        ByteString::try_from(self.frame.slice_ref(text))
            .map_err(|_| self.invalid_utf8(field, mark, text))
    }

    /// Takes the bytes of a string off the front, which may not be UTF-8.
    #[inline]
    fn text(&mut self, field: &'static str, length: usize) -> Result<&'a [u8], DecodeError> {
        if length > MAX_STRING_LEN {
            let length = i64::try_from(length).unwrap_or(i64::MAX);
            let kind = DecodeErrorKind::InvalidLength { length };
            return Err(DecodeError::new(field, self.offset(), kind));
        }
        self.take(field, length)
    }

    /// The error of a string whose bytes lie at `mark`.
    #[cold]
    fn invalid_utf8(&self, field: &'static str, mark: Mark, text: &[u8]) -> DecodeError {
        let valid_up_to = str::from_utf8(text).map_or_else(|e| e.valid_up_to(), str::len);
        self.wrong(field, mark, DecodeErrorKind::InvalidUtf8 { valid_up_to })
    }

    /// Takes `length` bytes off the front, sharing the memory of the frame.
    fn slice(
        &mut self,
        field: &'static str,
        length: usize,
        value: &mut Bytes,
    ) -> Result<(), DecodeError> {
        let offset = self.offset();
        self.take(field, length)?;
        *value = self.frame.slice(offset..offset + length);
        Ok(())
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

    /// Sets aside the memory of `count` values, or fails if the frame is too short for so much.
    #[inline]
    fn take_memory<T>(
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

/// Bytes of memory that arrays may take for each byte of the frame.
///
/// An empty string takes 32 in memory for one on the wire; `tests/messages/elements.rs` shows that
/// no structure of an honest message takes more.
const MEMORY_PER_BYTE: usize = 32;

/// Bytes of memory that arrays may take however short the frame is.
const FREE_MEMORY: usize = 32 * 1024;

/// Fewest bytes of a tagged field: a tag and a size.
const MIN_TAGGED_FIELD: usize = 2;

/// What errors call the tagged fields of a structure.
const TAGGED_FIELDS: &str = "tagged_fields";

/// Numbers that an [`Int32Array`] holds without memory of its own.
const INLINE_NUMBERS: usize = 4;

/// A place in the frame, for an error that may come: how many bytes were left there. An offset would
/// cost a subtraction at every field.
#[derive(Debug, Clone, Copy)]
struct Mark(usize);
