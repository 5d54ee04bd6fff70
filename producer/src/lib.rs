//! The producer: batching, idempotence, retries.
//!
//! Users depend on the facade, `ottla`, which re-exports what they need from here.
//!
//! Everything that decides is a plain structure which is told the time. Only `net`, behind the
//! feature of that name, has tasks and clocks.

mod accumulator;
pub mod config;
pub mod error;
mod machine;
pub mod partitioner;
mod record;

pub use error::{SendError, Trouble, Undelivered};
pub use machine::delivery::Delivery;
pub use record::{Record, RecordHeader, RecordMetadata, RecordOffset};
