//! Transactions: what users hold, and the task that brings them about.

mod builder;
mod calls;
mod handle;
mod producer;
mod task;
mod topic;
mod wait;

pub use builder::{StartError, TransactionalProducerBuilder};
pub use handle::Transaction;
pub use producer::{TransactionOutcome, TransactionalProducer};
pub(super) use task::run;
pub use topic::TransactionTopic;
