//! What the suites of this crate share.

#[rustfmt::skip]
pub(crate) mod every_element;
#[rustfmt::skip]
pub(crate) mod every_message;
pub(crate) mod path;

use std::sync::LazyLock;

use bytes::Bytes;
use every_message::every_message;
use ottla_codegen::schema::{Message as MessageSchema, Schema};
use ottla_protocol::wire::Message;
use ottla_protocol::{DecodeError, EncodeError};

/// Every message of the schema files.
pub(crate) fn every_schema() -> &'static [MessageSchema] {
    static SCHEMAS: LazyLock<Vec<MessageSchema>> = LazyLock::new(|| {
        let schemas: Vec<Schema> = ottla_codegen::read_schemas().unwrap();
        schemas.into_iter().flat_map(|schema| schema.messages).collect()
    });
    &SCHEMAS
}

/// The bytes that `hex` spells; spaces and a lone `-` spell none.
pub(crate) fn unhex(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// A message seen without its type: what the suites do with each of them.
pub(crate) struct AnyMessage {
    /// Decodes bytes and encodes what they said.
    pub(crate) recode: fn(&Bytes, i16) -> Result<Encoded, DecodeError>,
    /// Encodes the default.
    pub(crate) encode_default: fn(i16) -> Encoded,
    /// Decodes bytes and shows what they said.
    pub(crate) show: fn(&Bytes, i16) -> Result<String, DecodeError>,
}

/// A message's bytes, where it has some.
pub(crate) type Encoded = Result<Bytes, EncodeError>;

/// The message called `name`.
pub(crate) fn message(name: &str) -> AnyMessage {
    macro_rules! find {
        ($($message:ident)*) => {
            match name {
                $(stringify!($message) => any_message::<ottla_protocol::messages::$message>(),)*
                _ => panic!("{name} has a schema but no generated message"),
            }
        };
    }
    every_message!(find)
}

fn any_message<M: Message + std::fmt::Debug>() -> AnyMessage {
    AnyMessage {
        recode: |bytes, version| {
            let decoded = M::decode(bytes, version)?;
            Ok(decoded.encode(version).map(ottla_protocol::Frame::into_bytes))
        },
        encode_default: |version| {
            M::default().encode(version).map(ottla_protocol::Frame::into_bytes)
        },
        show: |bytes, version| M::decode(bytes, version).map(|message| format!("{message:?}")),
    }
}
