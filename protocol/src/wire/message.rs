//! What every message can do.

use bytes::Bytes;

use super::error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};
use super::frame::Frame;
use super::{Reader, Writer};
use crate::ApiKey;
use crate::version::VersionRange;

/// A value that has bytes in each version of a message: a field, or a structure of fields.
pub trait Wire: Default {
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

    /// Takes a value off the front of `reader` into this one, which is the default: what `version`
    /// does not have stays as it is.
    ///
    /// Into and not out of the call, because structures are large and arrays of them long: each
    /// element is put together where it will stay, and never moved.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when the bytes are not such a value. What this one holds then is of no use.
    fn read_into(&mut self, reader: &mut Reader<'_>, version: i16) -> Result<(), DecodeError>;

    /// Takes a value off the front of `reader`.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when the bytes are not such a value.
    fn read(reader: &mut Reader<'_>, version: i16) -> Result<Self, DecodeError> {
        let mut value = Self::default();
        value.read_into(reader, version)?;
        Ok(value)
    }

    /// Takes `count` values off the front of `reader` into `values`, which is empty; the bytes left
    /// have room for them.
    ///
    /// # Errors
    ///
    /// As [`read_into`](Self::read_into), naming the element of `field`.
    fn read_array(
        values: &mut Vec<Self>,
        reader: &mut Reader<'_>,
        field: &'static str,
        count: usize,
        version: i16,
    ) -> Result<(), DecodeError> {
        values.reserve_exact(count);
        while values.len() < count {
            let start = values.len();
            values.resize_with(count.min(start + AT_ONCE), Self::default);
            for (index, value) in values.iter_mut().enumerate().skip(start) {
                value.read_into(reader, version).map_err(|error| error.in_element(field, index))?;
            }
        }
        Ok(())
    }
}

/// Elements of an array that are made before they are read: enough to pay for the loop, and few
/// enough to be in the nearest cache still when it is their turn.
const AT_ONCE: usize = 32;

/// A whole message, or the value of a record that Kafka keeps in a log.
pub trait Message: Wire {
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

    /// The message's bytes behind its version in two bytes: how the consumer protocol and the
    /// values of the coordinators' records are kept.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    fn encode_versioned(&self, version: i16) -> Result<Bytes, EncodeError> {
        encode_behind(version, self, version)
    }

    /// The message behind its version in two bytes, and that version.
    ///
    /// A version newer than those known here is read as the newest that is, and what follows is
    /// left alone, as Java's `ConsumerProtocol` does: members of a group need not all be upgraded
    /// at once.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when the version is below the known ones, or the bytes are not such a
    /// message.
    fn decode_versioned(bytes: &Bytes) -> Result<(i16, Self), DecodeError> {
        let in_message = |error: DecodeError| error.in_message(Self::NAME);
        let mut reader = Reader::new(bytes, false);
        let version = reader.i16("version").map_err(in_message)?;
        let message = Self::decode_from(&mut reader, version.min(Self::VERSIONS.max))?;
        if version <= Self::VERSIONS.max {
            reader.expect_end("end").map_err(in_message)?;
        }
        Ok((version, message))
    }
}

/// The record type in front of the key of a record in a coordinator's topic.
///
/// # Errors
///
/// [`DecodeError`], when there are fewer than two bytes.
pub fn record_type(key: &Bytes) -> Result<i16, DecodeError> {
    Reader::new(key, false).i16("record_type").map_err(|error| error.in_message("record key"))
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

    /// How long the broker asks to be left alone, in milliseconds (KIP-219); 0 where an API has no
    /// quotas.
    fn throttle_time_ms(&self) -> i32 {
        0
    }
}

/// The key of a record in a coordinator's topic: it says what kind of record this is.
///
/// On disk the number of the kind stands in front of the key; [`record_type`](super::record_type)
/// reads it. The record's value is then one that [`Message::decode_versioned`] reads.
pub trait CoordinatorKey: Message {
    /// The number of the kind, unique in its topic.
    const RECORD_TYPE: i16;

    /// The key's bytes, behind its record type.
    ///
    /// # Errors
    ///
    /// [`EncodeError`], when a name in it is too long.
    fn encode_key(&self) -> Result<Bytes, EncodeError> {
        encode_behind(Self::RECORD_TYPE, self, Self::VERSIONS.max)
    }

    /// The key whose bytes are `bytes`, record type included.
    ///
    /// # Errors
    ///
    /// [`DecodeError`], when the record type is another or the bytes are not such a key.
    fn decode_key(bytes: &Bytes) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes, false);
        let code = reader.i16("record_type").map_err(|error| error.in_message(Self::NAME))?;
        if code != Self::RECORD_TYPE {
            let unknown = DecodeErrorKind::UnknownType { code };
            return Err(DecodeError::new("record_type", 0, unknown).in_message(Self::NAME));
        }
        let key = Self::decode_from(&mut reader, Self::VERSIONS.max)?;
        reader.expect_end("end").map_err(|error| error.in_message(Self::NAME))?;
        Ok(key)
    }
}

/// The message's bytes behind a number in two bytes.
fn encode_behind<M: Message>(number: i16, message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new();
    writer.i16(number);
    message.encode_into(&mut writer, version)?;
    Ok(writer.finish().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{ConsumerProtocolSubscription, OffsetCommitKey, OffsetCommitValue};
    use crate::wire::record_type;

    fn key() -> OffsetCommitKey {
        let (group, topic) = ("billing".into(), "orders".into());
        OffsetCommitKey { group, topic, partition: 3 }
    }

    #[test]
    fn a_key_stands_behind_its_record_type() {
        let bytes = key().encode_key().unwrap();
        assert_eq!(&bytes[..], b"\0\x01\0\x07billing\0\x06orders\0\0\0\x03");
        assert_eq!(record_type(&bytes), Ok(1));
        assert_eq!(OffsetCommitKey::decode_key(&bytes), Ok(key()));
    }

    #[test]
    fn a_key_of_another_type_is_refused() {
        let mut bytes = key().encode_key().unwrap().to_vec();
        bytes[1] = 2;
        let refused = OffsetCommitKey::decode_key(&bytes.into()).unwrap_err();
        assert_eq!(refused.kind(), DecodeErrorKind::UnknownType { code: 2 });
    }

    #[test]
    fn a_value_stands_behind_its_version() {
        let value = OffsetCommitValue { offset: 42, ..OffsetCommitValue::default() };
        for version in OffsetCommitValue::VERSIONS.iter() {
            let bytes = value.encode_versioned(version).unwrap();
            assert_eq!(bytes[..2], version.to_be_bytes());
            assert_eq!(OffsetCommitValue::decode_versioned(&bytes), Ok((version, value.clone())));
        }
    }

    #[test]
    fn a_newer_subscription_is_read_as_far_as_it_is_known() {
        let known = ConsumerProtocolSubscription {
            topics: vec!["orders".into()],
            generation_id: 7,
            ..ConsumerProtocolSubscription::default()
        };
        let mut bytes = known.encode_versioned(3).unwrap().to_vec();
        bytes[1] = 9;
        bytes.extend_from_slice(b"what version 9 adds");
        let read = ConsumerProtocolSubscription::decode_versioned(&bytes.into());
        assert_eq!(read, Ok((9, known)));
    }

    #[test]
    fn what_follows_a_known_version_is_refused() {
        let mut bytes =
            ConsumerProtocolSubscription::default().encode_versioned(1).unwrap().to_vec();
        bytes.push(0);
        let refused = ConsumerProtocolSubscription::decode_versioned(&bytes.into()).unwrap_err();
        assert_eq!(refused.kind(), DecodeErrorKind::TrailingBytes { count: 1 });
    }
}
