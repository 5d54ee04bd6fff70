//! A transactional producer in the making.

use std::fmt;
use std::time::Duration;

use ottla_core::error::Error;
use ottla_protocol::compression::Codec;

use super::producer::TransactionalProducer;
use crate::config::{PartitionerKind, ProducerConfig};
use crate::error::{SendError, TransactionError};
use crate::net::builder::{BuildError, ProducerBuilder};
use crate::net::producer::Producer;
use crate::partitioner::Partitioner;
use crate::record::Record;

/// A transactional producer in the making.
#[derive(Debug)]
#[must_use = "nothing happens before `build`"]
pub struct TransactionalProducerBuilder(ProducerBuilder);

impl TransactionalProducerBuilder {
    pub(in crate::net) fn new(builder: ProducerBuilder) -> Self {
        Self(builder)
    }

    fn map(self, change: impl FnOnce(ProducerBuilder) -> ProducerBuilder) -> Self {
        Self(change(self.0))
    }

    /// As [`ProducerBuilder::configure`].
    pub fn configure(self, change: impl FnOnce(&mut ProducerConfig)) -> Self {
        self.map(|builder| builder.configure(change))
    }

    /// Sets how long a transaction may be open before its coordinator aborts it:
    /// `transaction.timeout.ms`.
    pub fn transaction_timeout(self, timeout: Duration) -> Self {
        self.map(|builder| builder.transaction_timeout(timeout))
    }

    /// As [`ProducerBuilder::linger`].
    pub fn linger(self, linger: Duration) -> Self {
        self.map(|builder| builder.linger(linger))
    }

    /// As [`ProducerBuilder::batch_size`].
    pub fn batch_size(self, bytes: usize) -> Self {
        self.map(|builder| builder.batch_size(bytes))
    }

    /// As [`ProducerBuilder::buffer_memory`].
    pub fn buffer_memory(self, bytes: usize) -> Self {
        self.map(|builder| builder.buffer_memory(bytes))
    }

    /// Sets how long a call may wait for metadata, memory and the coordinator: `max.block.ms`.
    pub fn max_block(self, max_block: Duration) -> Self {
        self.map(|builder| builder.max_block(max_block))
    }

    /// As [`ProducerBuilder::delivery_timeout`].
    pub fn delivery_timeout(self, timeout: Duration) -> Self {
        self.map(|builder| builder.delivery_timeout(timeout))
    }

    /// As [`ProducerBuilder::request_timeout`].
    pub fn request_timeout(self, timeout: Duration) -> Self {
        self.map(|builder| builder.request_timeout(timeout))
    }

    /// As [`ProducerBuilder::compression`].
    pub fn compression(self, codec: Codec) -> Self {
        self.map(|builder| builder.compression(codec))
    }

    /// As [`ProducerBuilder::partitioner`].
    pub fn partitioner(self, kind: PartitionerKind) -> Self {
        self.map(|builder| builder.partitioner(kind))
    }

    /// As [`ProducerBuilder::custom_partitioner`].
    pub fn custom_partitioner(self, partitioner: impl Partitioner + 'static) -> Self {
        self.map(|builder| builder.custom_partitioner(partitioner))
    }

    /// As [`ProducerBuilder::on_failure`].
    pub fn on_failure(self, hook: impl Fn(&Record, &SendError) + Send + Sync + 'static) -> Self {
        self.map(|builder| builder.on_failure(hook))
    }

    /// Makes the producer, and asks its coordinator who it is. That fences whoever had the
    /// transactional id before, and ends what that one left open, so that nobody waits for its
    /// timeout: build it before offsets are read.
    ///
    /// # Errors
    ///
    /// [`StartError`], when settings do not fit one another, or the coordinator refuses or does not
    /// answer within `max.block.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a producer that was not returned ends. The one before may be fenced all the
    /// same.
    ///
    /// # Kafka
    ///
    /// Java's `initTransactions`.
    pub async fn build(self) -> Result<TransactionalProducer, StartError> {
        let producer = Producer::new(self.0.make()?);
        let producer = TransactionalProducer::new(producer);
        producer.initialized().await?;
        Ok(producer)
    }
}

/// Why there is no transactional producer.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum StartError {
    /// Settings do not fit one another.
    Settings(BuildError),
    /// The coordinator refused, or did not answer.
    Transaction(TransactionError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(error) => error.fmt(f),
            Self::Transaction(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Settings(error) => error.source(),
            Self::Transaction(error) => error.source(),
        }
    }
}

impl From<BuildError> for StartError {
    fn from(error: BuildError) -> Self {
        Self::Settings(error)
    }
}

impl From<TransactionError> for StartError {
    fn from(error: TransactionError) -> Self {
        Self::Transaction(error)
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Settings(error) => error.into(),
            StartError::Transaction(error) => error.into(),
        }
    }
}
