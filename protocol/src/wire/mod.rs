//! How values of the protocol become bytes, and bytes values.
//!
//! [`Message`] is what most callers need; [`Reader`] and [`Writer`] are what messages are read
//! from and written into.

mod error;
mod frame;
mod message;
mod primitive;
mod rare;
mod reader;
mod record_chunks;
mod run;
mod tagged;
pub mod varint;
mod writer;

use smallvec::SmallVec;

pub use error::{DecodeError, DecodeErrorKind, EncodeError, EncodeErrorKind};
pub use frame::{Frame, FrameError, take_frame};
pub use message::{CoordinatorKey, Message, Request, Response, Wire, record_type};
pub use reader::Reader;
pub use record_chunks::RecordChunks;
pub use tagged::{UnknownTaggedField, UnknownTaggedFields};
pub use writer::Writer;

/// An array of 32-bit numbers: replicas, partitions.
///
/// Four of them, the replicas of most partitions, need no memory of their own: an answer about
/// thousands of partitions is decoded without an allocation for each.
pub type Int32Array = SmallVec<[i32; 4]>;

/// The longest string, in bytes: even compact ones are read into a signed 16-bit length by Kafka.
pub const MAX_STRING_LEN: usize = i16::MAX as usize;
