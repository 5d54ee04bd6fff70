//! Structures, and the tagged fields that end them.

use super::Reader;
use crate::wire::Wire;
use crate::wire::error::{DecodeError, DecodeErrorKind};
use crate::wire::tagged::{UnknownTaggedField, UnknownTaggedFields};

impl Reader<'_> {
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
}

/// Fewest bytes of a tagged field: a tag and a size.
const MIN_TAGGED_FIELD: usize = 2;

/// What errors call the tagged fields of a structure.
const TAGGED_FIELDS: &str = "tagged_fields";
