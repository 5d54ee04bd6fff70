//! What every message can do.

use bytes::Bytes;

use super::error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};
use super::frame::Frame;
use super::{Reader, Writer};
use crate::ApiKey;
use crate::version::VersionRange;

/// A value that has bytes in each version of a message: a field, or a structure of fields.
pub trait Wire: Sized {
    /// Fewest bytes that one value takes in `version`.
    ///
    /// An array may claim no more elements than the bytes left have room for.
    fn min_size(version: i16) -> usize;

    /// Appends the value to `writer`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`], when `version` cannot carry the value.
    fn write(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError>;

    /// Takes a value off the front of `reader`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when the bytes are not such a value.
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError>;

    /// Takes `count` values off the front of `reader`; the bytes left have room for them.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), naming the element of `field`.
    fn read_array(
        reader: &mut Reader<'_>,
        field: &'static str,
        count: usize,
        version: i16,
    ) -> Result<Vec<Self>, DecodeError> {
        let mut values = Vec::with_capacity(count);
        for index in 0..count {
            // Not `map_err`: it would move a structure of hundreds of bytes once more.
            match Self::read(reader, version) {
                Ok(value) => values.push(value),
                Err(error) => return Err(error.in_element(field, index)),
            }
        }
        Ok(values)
    }
}

/// A whole message, or the value of a record that Kafka keeps in a log.
pub trait Message: Wire + Default {
    /// Kafka's name for it.
    const NAME: &'static str;

    /// The versions that can be read and written.
    const VERSIONS: VersionRange;

    /// The first flexible version (KIP-482): compact lengths and tagged fields. Above
    /// [`VERSIONS`](Self::VERSIONS) where there is none.
    const FIRST_FLEXIBLE: i16;

    /// Appends the message to `writer`.
    ///
    /// # Errors
    ///
    /// [`EncodeError`], when `version` is unknown or cannot carry the message. What `writer` holds
    /// then is of no use.
    fn encode_into(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError> {
        if !Self::VERSIONS.contains(version) {
            let kind = EncodeErrorKind::UnsupportedVersion { version, known: Self::VERSIONS };
            return Err(EncodeError::new("version", kind).in_message(Self::NAME));
        }
        writer.set_flexible(version >= Self::FIRST_FLEXIBLE);
        self.write(writer, version).map_err(|error| error.in_message(Self::NAME))
    }

    /// The message's bytes in `version`, without header or length.
    ///
    /// # Errors
    ///
    /// [`EncodeError`], when `version` is unknown or cannot carry the message.
    fn encode(&self, version: i16) -> Result<Frame, EncodeError> {
        let mut writer = Writer::new();
        self.encode_into(&mut writer, version)?;
        Ok(writer.finish())
    }

    /// Takes the message off the front of `reader`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when `version` is unknown or the bytes are not such a message.
    fn decode_from(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        if !Self::VERSIONS.contains(version) {
            let kind = DecodeErrorKind::UnsupportedVersion { version, known: Self::VERSIONS };
            return Err(DecodeError::new("version", 0, kind).in_message(Self::NAME));
        }
        reader.set_flexible(version >= Self::FIRST_FLEXIBLE);
        Self::read(reader, version).map_err(|error| error.in_message(Self::NAME))
    }

    /// The message whose bytes are `bytes`, all of them. What is returned shares their memory.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when `version` is unknown, or the bytes are not such a message or go on
    /// after it.
    fn decode(bytes: &Bytes, version: i16) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, false);
        let message = Self::decode_from(&mut reader, version)?;
        reader.expect_end("end").map_err(|error| error.in_message(Self::NAME))?;
        Ok(message)
    }
}

/// A message that a client sends.
pub trait Request: Message {
    /// The API it belongs to.
    const API: ApiKey;

    /// What it is answered with, in the same version.
    type Response: Response;
}

/// A message that a broker answers with.
pub trait Response: Message {
    /// The API it belongs to.
    const API: ApiKey;
}

/// The key of a record in a coordinator's topic: it says what kind of record this is.
pub trait CoordinatorKey: Message {
    /// The number of the kind, unique in its topic. It stands in front of the key.
    const RECORD_TYPE: i16;
}
