//! Apache Kafka's wire protocol: messages, record batches and compression.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod api;
mod error_code;
pub mod frames;
#[rustfmt::skip]
pub mod messages;
pub mod compression;
pub mod records;
mod uuid;
mod version;
pub mod wire;

pub use bytestring::ByteString;
pub use error_code::{ErrorClass, ErrorCode};
pub use messages::{AnyRequest, AnyResponse, ApiKey};
pub use uuid::{Uuid, UuidError};
pub use version::VersionRange;
pub use wire::{DecodeError, EncodeError, Frame, Message, Request, Response};
