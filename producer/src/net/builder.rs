//! A producer in the making.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use ottla_core::error::{Error, ErrorClass, ErrorKind};
use ottla_core::net::Client;
use ottla_protocol::compression::Codec;

use super::host::{NetHost, Signals};
use super::producer::Producer;
use super::shared::Shared;
use super::transaction::{StartError, TransactionalProducer, TransactionalProducerBuilder};
use crate::accumulator::{Accumulator, Common, FailureHook};
use crate::config::{Acks, PartitionerKind, ProducerConfig, ProducerConfigProblem};
use crate::error::SendError;
use crate::partitioner::{Choice, Partitioner};
use crate::record::Record;

/// A producer in the making.
#[derive(Debug)]
#[must_use = "nothing happens before `build`"]
pub struct ProducerBuilder {
    client: Client,
    config: ProducerConfig,
    partitioner: Option<Box<dyn Partitioner>>,
    on_failure: Option<FailureHook>,
}

impl ProducerBuilder {
    /// Begins with the defaults.
    pub fn new(client: &Client) -> Self {
        let config = ProducerConfig {
            request_timeout: client.config().request_timeout,
            ..ProducerConfig::default()
        };
        Self { client: client.clone(), config, partitioner: None, on_failure: None }
    }

    /// Replaces all settings.
    pub fn config(mut self, config: ProducerConfig) -> Self {
        self.config = config;
        self
    }

    /// Changes settings.
    pub fn configure(mut self, change: impl FnOnce(&mut ProducerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Sets whose acknowledgement a record waits for: `acks`. Anything but all also needs
    /// [`idempotence`](Self::idempotence) off.
    pub fn acks(mut self, acks: Acks) -> Self {
        self.config.acks = acks;
        self
    }

    /// Sets whether brokers drop what a retry wrote twice: `enable.idempotence`.
    pub fn idempotence(mut self, on: bool) -> Self {
        self.config.enable_idempotence = on;
        self
    }

    /// Sets how long a batch waits for more records: `linger.ms`.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.config.linger = linger;
        self
    }

    /// Sets at how many bytes a batch is full: `batch.size`.
    pub fn batch_size(mut self, bytes: usize) -> Self {
        self.config.batch_size = bytes;
        self
    }

    /// Sets how many bytes records may take until they are acknowledged: `buffer.memory`.
    pub fn buffer_memory(mut self, bytes: usize) -> Self {
        self.config.buffer_memory = bytes;
        self
    }

    /// Sets how long a call may wait for metadata and memory: `max.block.ms`.
    pub fn max_block(mut self, max_block: Duration) -> Self {
        self.config.max_block = max_block;
        self
    }

    /// Sets how long a record may take to be acknowledged: `delivery.timeout.ms`.
    pub fn delivery_timeout(mut self, timeout: Duration) -> Self {
        self.config.delivery_timeout = timeout;
        self
    }

    /// Sets how long one request may wait for its answer: `request.timeout.ms`.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.config.request_timeout = timeout;
        self
    }

    /// Sets how batches are compressed: `compression.type`.
    pub fn compression(mut self, codec: Codec) -> Self {
        self.config.compression = codec;
        self
    }

    /// Chooses a partitioner: `partitioner.class`.
    pub fn partitioner(mut self, kind: PartitionerKind) -> Self {
        self.config.partitioner = kind;
        self.partitioner = None;
        self
    }

    /// Brings a partitioner.
    pub fn custom_partitioner(mut self, partitioner: impl Partitioner + 'static) -> Self {
        self.partitioner = Some(Box::new(partitioner));
        self
    }

    /// Sets what is called for each record that was taken and then failed, whether or not somebody
    /// awaits its delivery.
    ///
    /// It is called by the task of a connection: it must not block. A panic in it is logged, and
    /// disturbs nobody.
    pub fn on_failure(
        mut self,
        hook: impl Fn(&Record, &SendError) + Send + Sync + 'static,
    ) -> Self {
        self.on_failure = Some(FailureHook(Box::new(hook)));
        self
    }

    /// Makes it a producer whose records are written in transactions, and that is known by `id`
    /// across restarts: `transactional.id`. Of two with one id, the newer one fences the older.
    pub fn transactional(mut self, id: impl Into<ByteString>) -> TransactionalProducerBuilder {
        self.config.transactional_id = Some(id.into());
        TransactionalProducerBuilder::new(self)
    }

    /// Makes the producer. Nothing is asked of a broker before the first record.
    ///
    /// # Errors
    ///
    /// [`BuildError`], when settings do not fit one another.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    #[expect(clippy::unused_async, reason = "the other builder waits, and looks the same")]
    pub async fn build(self) -> Result<Producer, BuildError> {
        if self.config.transactional_id.is_some() {
            return Err(BuildError {
                problems: vec![ProducerConfigProblem::TransactionalIdUnused],
            });
        }
        self.make().map(Producer::new)
    }

    /// How long a transaction may be open: `transaction.timeout.ms`.
    pub(super) fn transaction_timeout(mut self, timeout: Duration) -> Self {
        self.config.transaction_timeout = timeout;
        self
    }

    /// As [`transactional`](Self::transactional), with the `transactional.id` of the settings.
    ///
    /// # Errors
    ///
    /// As [`TransactionalProducerBuilder::build`]; without an id in the settings, too.
    ///
    /// # Cancel safety
    ///
    /// As [`TransactionalProducerBuilder::build`].
    pub async fn build_transactional(self) -> Result<TransactionalProducer, StartError> {
        if self.config.transactional_id.is_none() {
            let problems = vec![ProducerConfigProblem::NoTransactionalId];
            return Err(BuildError { problems }.into());
        }
        TransactionalProducerBuilder::new(self).build().await
    }

    pub(super) fn make(self) -> Result<Arc<Shared>, BuildError> {
        let Self { client, config, partitioner, on_failure } = self;
        let problems = config.problems();
        if !problems.is_empty() {
            return Err(BuildError { problems });
        }
        if config.may_reorder() {
            tracing::warn!(
                "enable.idempotence=false with \
                 max.in.flight.requests.per.connection={}: retries may reorder records",
                config.max_in_flight_requests_per_connection
            );
        }
        let choice = partitioner.map_or(Choice::Kind(config.partitioner), Choice::Custom);
        let signals = Arc::new(Signals::default());
        let max_in_flight = config.max_in_flight_requests_per_connection;
        let host = NetHost::new(client.clone(), max_in_flight, Arc::clone(&signals));
        let common = Common::new(config, choice, Box::new(host), on_failure);
        Ok(Shared::new(Accumulator::new(common), client, signals))
    }
}

/// Settings that do not fit one another.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BuildError {
    /// All of what is wrong; not empty.
    pub problems: Vec<ProducerConfigProblem>,
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("producer settings: ")?;
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index > 0 { "; " } else { "" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

impl From<BuildError> for Error {
    fn from(error: BuildError) -> Self {
        let class = ErrorClass::InvalidConfiguration;
        Self::of_operation(ErrorKind::Config, class, error).build()
    }
}
