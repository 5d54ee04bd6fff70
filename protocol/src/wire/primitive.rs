//! Values that can be the elements of an array.

use bytestring::ByteString;

use super::error::{DecodeError, EncodeError};
use super::{Reader, Wire, Writer};
use crate::uuid::Uuid;

/// What errors call an element that has no name of its own.
const ELEMENT: &str = "value";

/// Numbers of a fixed width are read in one go.
macro_rules! fixed_width {
    ($($type:ty, $method:ident, $from:expr;)*) => {$(
        impl Wire for $type {
            fn min_size(_: i16) -> usize {
                size_of::<Self>()
            }

            fn write(&self, writer: &mut Writer, _: i16) -> Result<(), EncodeError> {
                writer.$method(*self);
                Ok(())
            }

            fn read_into(&mut self, reader: &mut Reader<'_>, _: i16) -> Result<(), DecodeError> {
                *self = reader.$method(ELEMENT)?;
                Ok(())
            }

            fn read_array(
                values: &mut Vec<Self>,
                reader: &mut Reader<'_>,
                field: &'static str,
                count: usize,
                _: i16,
            ) -> Result<(), DecodeError> {
                reader.fixed_array(field, values, count, $from)
            }
        }
    )*};
}

fixed_width! {
    i8, i8, Self::from_be_bytes;
    i16, i16, Self::from_be_bytes;
    i32, i32, Self::from_be_bytes;
    i64, i64, Self::from_be_bytes;
    Uuid, uuid, Self::from_bytes;
}

impl Wire for ByteString {
    fn min_size(_: i16) -> usize {
        // One byte in flexible versions. In others two, but then the frame ends that much earlier.
        1
    }

    fn write(&self, writer: &mut Writer, _: i16) -> Result<(), EncodeError> {
        writer.string(ELEMENT, self)
    }

    fn read_into(&mut self, reader: &mut Reader<'_>, _: i16) -> Result<(), DecodeError> {
        reader.string(ELEMENT, self)
    }
}
