//! The producer: batching, idempotence, retries.
//!
//! Users depend on the facade, `ottla`, which re-exports what they need from here.
//!
//! Everything that decides is a plain structure which is told the time. Only `net`, behind the
//! feature of that name, has tasks and clocks.
#![cfg_attr(
    all(not(feature = "net"), not(test)),
    expect(dead_code, reason = "the shell drives what decides")
)]

mod accumulator;
pub mod config;
pub mod error;
mod machine;
#[cfg(feature = "net")]
pub mod net;
pub mod partitioner;
mod record;

pub use error::{AbortCause, FatalCause, SendError, TransactionError, Trouble, Undelivered};
pub use machine::delivery::Delivery;
#[cfg(feature = "net")]
pub use net::{
    CloseReport, Producer, ProducerBuilder, StartError, TopicHandle, Transaction,
    TransactionOutcome, TransactionTopic, TransactionalProducer, TransactionalProducerBuilder,
};
pub use record::{Record, RecordHeader, RecordMetadata, RecordOffset};
