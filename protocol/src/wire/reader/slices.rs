//! What lies in the frame as one slice: strings, bytes and records.

use bytes::Bytes;
use bytestring::ByteString;

use super::{Mark, Reader};
use crate::wire::error::{DecodeError, DecodeErrorKind};
use crate::wire::{MAX_STRING_LEN, RecordChunks};

impl<'a> Reader<'a> {
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
}
