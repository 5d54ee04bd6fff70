//! One connection to one broker, and who sends over it.
//!
//! A [`Connection`] is told what came and what time it is, and says what to write. It begins with
//! the [`Handshake`], and then lets one [`RequestSource`] send. Answers come in the order of the
//! requests, as Kafka answers.

mod connection;
mod handshake;
mod outbox;
mod pool;
mod reader;
mod source;
mod versions;
mod wake;

pub use connection::{Connection, ConnectionOptions};
pub use handshake::{Expected, Handshake, Step};
pub use outbox::Outbox;
pub use pool::BufferPool;
pub use reader::{FrameReader, ReadTarget};
pub use source::{Answer, AnswerFault, RequestSource, Token};
pub use versions::BrokerVersions;
pub use wake::WakeCell;
