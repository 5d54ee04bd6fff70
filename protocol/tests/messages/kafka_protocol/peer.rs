//! The messages of the `kafka-protocol` crate, seen without their types.

use std::fmt::Debug;
use std::ops::RangeInclusive;

use ::kafka_protocol::protocol::{Decodable, Encodable, Message};
use bytes::{Bytes, BytesMut};
use stand_ins::*;

use super::differences::lacking_messages;
use crate::support::every_message::every_message;

/// One of their messages: what [`AnyMessage`](crate::support::AnyMessage) is of ours.
pub(super) struct Peer {
    /// The versions they know.
    pub(super) versions: RangeInclusive<i16>,
    /// Decodes bytes, all of them, and encodes what they said.
    pub(super) recode: fn(&Bytes, i16) -> Result<Bytes, String>,
    /// Encodes the default.
    pub(super) encode_default: fn(i16) -> Result<Bytes, String>,
}

/// Their message called `name`, if they have it.
pub(super) fn peer(name: &str) -> Option<Peer> {
    // Hides the stand-in, which is of the file, wherever they have a message of that name.
    use ::kafka_protocol::messages::*;

    macro_rules! find {
        ($($message:ident)*) => {
            match name {
                $(stringify!($message) => $message::peer(),)*
                _ => panic!("{name} is no message of ours"),
            }
        };
    }
    every_message!(find)
}

trait MaybePeer {
    fn peer() -> Option<Peer>;
}

impl<M: Message + Encodable + Decodable + Default + Debug> MaybePeer for M {
    fn peer() -> Option<Peer> {
        Some(Peer {
            versions: M::VERSIONS.min..=M::VERSIONS.max,
            recode: |bytes, version| {
                let mut rest = bytes.clone();
                let decoded = M::decode(&mut rest, version).map_err(|error| error.to_string())?;
                if !rest.is_empty() {
                    return Err(format!("{} bytes are left over by {decoded:?}", rest.len()));
                }
                encode(&decoded, version)
            },
            encode_default: |version| encode(&M::default(), version),
        })
    }
}

fn encode(message: &impl Encodable, version: i16) -> Result<Bytes, String> {
    let mut bytes = BytesMut::new();
    message.encode(&mut bytes, version).map_err(|error| error.to_string())?;
    Ok(bytes.freeze())
}

/// What a name leads to when they have no message of that name.
macro_rules! stand_ins {
    ($($message:ident)*) => {
        mod stand_ins {
            $(pub(super) struct $message;)*
        }

        $(impl MaybePeer for stand_ins::$message {
            fn peer() -> Option<Peer> {
                None
            }
        })*
    };
}

lacking_messages!(stand_ins);
