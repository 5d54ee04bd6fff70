//! Runs of fields, checked at once.

use crate::uuid::Uuid;

/// Fields of fixed width that have been found to be there, all at once.
///
/// Each method takes the next field; a run is as long as its fields, so none is ever missing.
#[derive(Debug)]
pub(crate) struct Run<'a>(&'a [u8]);

impl<'a> Run<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    #[inline]
    pub(crate) fn bool(&mut self) -> bool {
        self.fixed::<1>() != [0]
    }

    #[inline]
    pub(crate) fn i8(&mut self) -> i8 {
        i8::from_be_bytes(self.fixed())
    }

    #[inline]
    pub(crate) fn i16(&mut self) -> i16 {
        i16::from_be_bytes(self.fixed())
    }

    #[inline]
    pub(crate) fn i32(&mut self) -> i32 {
        i32::from_be_bytes(self.fixed())
    }

    #[inline]
    pub(crate) fn i64(&mut self) -> i64 {
        i64::from_be_bytes(self.fixed())
    }

    #[inline]
    pub(crate) fn uuid(&mut self) -> Uuid {
        Uuid::from_bytes(self.fixed())
    }

    #[inline]
    fn fixed<const N: usize>(&mut self) -> [u8; N] {
        let Some((front, rest)) = self.0.split_first_chunk::<N>() else { return [0; N] };
        self.0 = rest;
        *front
    }
}
