//! Writing values into a frame.

use bytes::Bytes;

use super::error::{EncodeError, EncodeErrorKind};
use super::frame::Frame;
use super::tagged::{UnknownTaggedField, UnknownTaggedFields};
use super::{MAX_STRING_LEN, RecordChunks, Wire, varint};
use crate::uuid::Uuid;

/// A growing frame.
///
/// Everything but record batches is written into one buffer. Record batches are only noted with
/// the place where they belong, so that they go to the socket from where they lie.
#[derive(Debug, Default)]
pub struct Writer {
    buffer: Vec<u8>,
    /// Record batches, and how many bytes of `buffer` precede each.
    records: Vec<(usize, Bytes)>,
    records_len: usize,
    flexible: bool,
}

impl Writer {
    /// An empty frame.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty frame with room for `bytes` bytes, records not counted.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { buffer: Vec::with_capacity(bytes), ..Self::default() }
    }

    /// Bytes written so far, records included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.buffer.len() + self.records_len
    }

    /// Whether nothing has been written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The frame as chunks in the order they go to the socket.
    #[must_use]
    pub fn finish(self) -> Frame {
        Frame::interleave(Bytes::from(self.buffer), self.records)
    }

    /// Overwrites the four bytes at the front with the number of bytes that follow them.
    pub(crate) fn patch_frame_length(&mut self) -> Result<(), EncodeError> {
        let length = self.len().saturating_sub(size_of::<i32>());
        let too_long = EncodeErrorKind::TooLong { length, limit: MAX_LENGTH };
        let length = i32::try_from(length).map_err(|_| EncodeError::new("frame", too_long))?;
        if let Some(prefix) = self.buffer.first_chunk_mut() {
            *prefix = length.to_be_bytes();
        }
        Ok(())
    }

    /// Changes whether the fields that follow are flexible (KIP-482).
    pub(crate) fn set_flexible(&mut self, flexible: bool) {
        self.flexible = flexible;
    }

    pub(crate) fn bool(&mut self, value: bool) {
        self.buffer.push(u8::from(value));
    }

    pub(crate) fn i8(&mut self, value: i8) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i16(&mut self, value: i16) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn u16(&mut self, value: u16) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i32(&mut self, value: i32) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn i64(&mut self, value: i64) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn f64(&mut self, value: f64) {
        self.buffer.extend_from_slice(&value.to_be_bytes());
    }

    pub(crate) fn uuid(&mut self, value: Uuid) {
        self.buffer.extend_from_slice(value.as_bytes());
    }

    pub(crate) fn string(&mut self, field: &'static str, value: &str) -> Result<(), EncodeError> {
        if !self.flexible {
            return self.inflexible_string(field, value);
        }
        check_string_length(field, value)?;
        self.compact_length(value.len());
        self.buffer.extend_from_slice(value.as_bytes());
        Ok(())
    }

    pub(crate) fn nullable_string(
        &mut self,
        field: &'static str,
        value: Option<&str>,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => self.string(field, value),
            None if !nullable => Err(unexpected_null(field)),
            None if self.flexible => self.compact_null(),
            None => {
                self.i16(-1);
                Ok(())
            }
        }
    }

    /// Writes a string with a two-byte length even where the rest of the message is flexible.
    pub(crate) fn inflexible_nullable_string(
        &mut self,
        field: &'static str,
        value: Option<&str>,
    ) -> Result<(), EncodeError> {
        let Some(value) = value else {
            self.i16(-1);
            return Ok(());
        };
        self.inflexible_string(field, value)
    }

    pub(crate) fn bytes(&mut self, field: &'static str, value: &[u8]) -> Result<(), EncodeError> {
        self.length(field, value.len())?;
        self.buffer.extend_from_slice(value);
        Ok(())
    }

    pub(crate) fn nullable_bytes(
        &mut self,
        field: &'static str,
        value: Option<&[u8]>,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => self.bytes(field, value),
            None => self.null(field, nullable),
        }
    }

    /// Notes record batches to be sent from where they lie.
    pub(crate) fn records(
        &mut self,
        field: &'static str,
        value: &RecordChunks,
    ) -> Result<(), EncodeError> {
        self.length(field, value.len())?;
        self.records_len += value.len();
        let at = self.buffer.len();
        self.records.extend(value.chunks().map(|chunk| (at, chunk.clone())));
        Ok(())
    }

    pub(crate) fn nullable_records(
        &mut self,
        field: &'static str,
        value: Option<&RecordChunks>,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => self.records(field, value),
            None => self.null(field, nullable),
        }
    }

    /// Writes an array of 32-bit numbers.
    pub(crate) fn int32_array(
        &mut self,
        field: &'static str,
        values: &[i32],
    ) -> Result<(), EncodeError> {
        self.length(field, values.len())?;
        values.iter().for_each(|value| self.i32(*value));
        Ok(())
    }

    pub(crate) fn nullable_int32_array(
        &mut self,
        field: &'static str,
        values: Option<&[i32]>,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        match values {
            Some(values) => self.int32_array(field, values),
            None => self.null(field, nullable),
        }
    }

    pub(crate) fn array<T: Wire>(
        &mut self,
        field: &'static str,
        values: &[T],
        version: i16,
    ) -> Result<(), EncodeError> {
        self.length(field, values.len())?;
        for (index, value) in values.iter().enumerate() {
            value.write(self, version).map_err(|error| error.in_element(field, index))?;
        }
        Ok(())
    }

    pub(crate) fn nullable_array<T: Wire>(
        &mut self,
        field: &'static str,
        values: Option<&[T]>,
        version: i16,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        match values {
            Some(values) => self.array(field, values, version),
            None => self.null(field, nullable),
        }
    }

    pub(crate) fn structure<T: Wire>(
        &mut self,
        field: &'static str,
        value: &T,
        version: i16,
    ) -> Result<(), EncodeError> {
        value.write(self, version).map_err(|error| error.in_field(field))
    }

    /// Writes a structure that is the content of a tagged field, if it is there.
    pub(crate) fn optional_structure<T: Wire>(
        &mut self,
        field: &'static str,
        value: Option<&T>,
        version: i16,
    ) -> Result<(), EncodeError> {
        value.map_or(Ok(()), |value| self.structure(field, value, version))
    }

    /// Writes a structure behind a byte that says whether it is there: −1 for null, else 1.
    pub(crate) fn nullable_structure<T: Wire>(
        &mut self,
        field: &'static str,
        value: Option<&T>,
        version: i16,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(value) => {
                self.i8(1);
                self.structure(field, value, version)
            }
            None if nullable => {
                self.i8(-1);
                Ok(())
            }
            None => Err(unexpected_null(field)),
        }
    }

    /// Writes a structure that is a tagged field: behind 0 for null, else 1.
    ///
    /// Unlike other nullable structures, whose null is −1: Kafka writes a length of 0 here.
    pub(crate) fn tagged_nullable_structure<T: Wire>(
        &mut self,
        field: &'static str,
        value: Option<&T>,
        version: i16,
        nullable: bool,
    ) -> Result<(), EncodeError> {
        match value {
            Some(_) => self.nullable_structure(field, value, version, nullable),
            None if nullable => {
                self.i8(0);
                Ok(())
            }
            None => Err(unexpected_null(field)),
        }
    }

    /// Writes how many tagged fields follow: `known` of the message's own and the `unknown` ones.
    pub(crate) fn tagged_field_count(&mut self, known: u32, unknown: &UnknownTaggedFields) {
        let unknown = unknown.as_slice().len() as u64;
        varint::write_u64(&mut self.buffer, u64::from(known) + unknown);
    }

    /// Writes one of the message's own tagged fields.
    pub(crate) fn tagged_field(
        &mut self,
        tag: u32,
        content: impl FnOnce(&mut Self) -> Result<(), EncodeError>,
    ) -> Result<(), EncodeError> {
        varint::write_u32(&mut self.buffer, tag);
        let start = self.buffer.len();
        content(self)?;
        let size = (self.buffer.len() - start) as u64;
        // The size goes in front of what it counts; moving the few bytes beats a second buffer.
        let mut prefix = Vec::with_capacity(varint::MAX_VARINT_LEN);
        varint::write_u64(&mut prefix, size);
        self.buffer.splice(start..start, prefix);
        Ok(())
    }

    /// Writes unknown tagged fields behind the message's own, the last of which was `last_known`
    /// (−1 for none).
    pub(crate) fn unknown_tagged_fields(
        &mut self,
        unknown: &UnknownTaggedFields,
        last_known: i64,
    ) -> Result<(), EncodeError> {
        let mut previous = last_known;
        for UnknownTaggedField { tag, data } in unknown.as_slice() {
            if i64::from(*tag) <= previous {
                let kind = EncodeErrorKind::UnorderedTag { tag: *tag };
                return Err(EncodeError::new("unknown_tagged_fields", kind));
            }
            previous = i64::from(*tag);
            varint::write_u32(&mut self.buffer, *tag);
            varint::write_u64(&mut self.buffer, data.len() as u64);
            self.buffer.extend_from_slice(data);
        }
        Ok(())
    }

    fn inflexible_string(&mut self, field: &'static str, value: &str) -> Result<(), EncodeError> {
        let length = check_string_length(field, value)?;
        self.i16(length);
        self.buffer.extend_from_slice(value.as_bytes());
        Ok(())
    }

    /// Writes the length of bytes or the count of an array.
    fn length(&mut self, field: &'static str, length: usize) -> Result<(), EncodeError> {
        let limit = MAX_LENGTH;
        let Ok(fixed) = i32::try_from(length) else {
            return Err(EncodeError::new(field, EncodeErrorKind::TooLong { length, limit }));
        };
        if self.flexible {
            self.compact_length(length);
        } else {
            self.i32(fixed);
        }
        Ok(())
    }

    fn compact_length(&mut self, length: usize) {
        varint::write_u64(&mut self.buffer, length as u64 + 1);
    }

    #[expect(clippy::unnecessary_wraps, reason = "an arm of matches whose other arms can fail")]
    fn compact_null(&mut self) -> Result<(), EncodeError> {
        self.buffer.push(0);
        Ok(())
    }

    /// Writes the null of bytes, records or an array.
    fn null(&mut self, field: &'static str, nullable: bool) -> Result<(), EncodeError> {
        if !nullable {
            return Err(unexpected_null(field));
        }
        if self.flexible {
            return self.compact_null();
        }
        self.i32(-1);
        Ok(())
    }
}

/// The longest bytes, array or frame: lengths are signed 32-bit numbers.
const MAX_LENGTH: usize = i32::MAX as usize;

fn check_string_length(field: &'static str, value: &str) -> Result<i16, EncodeError> {
    let kind = EncodeErrorKind::TooLong { length: value.len(), limit: MAX_STRING_LEN };
    i16::try_from(value.len()).map_err(|_| EncodeError::new(field, kind))
}

#[cold]
fn unexpected_null(field: &'static str) -> EncodeError {
    EncodeError::new(field, EncodeErrorKind::UnexpectedNull)
}
