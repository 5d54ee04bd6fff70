//! The shell: what users hold, what waits, and the two small tasks beside the links.

mod builder;
mod close;
mod host;
mod producer;
mod shared;
mod topic;
mod transaction;

pub use builder::{BuildError, ProducerBuilder};
pub use close::{AlreadyClosed, CloseReport};
pub use producer::Producer;
pub use topic::TopicHandle;
pub use transaction::{
    StartError, Transaction, TransactionOutcome, TransactionTopic, TransactionalProducer,
    TransactionalProducerBuilder,
};
