//! Settings of one producer.

use std::time::Duration;

use bytestring::ByteString;
use ottla_protocol::compression::Codec;

use super::PartitionerKind;

/// What a producer is told by its settings.
///
/// Each field is the Kafka property whose name it has, with dots for the underscores; durations are
/// `….ms` there. Where the default is not Java's, the reason stands at the field.
///
/// Kafka's settings grow, and so do these, with minor versions as well: end a literal with
/// `..ProducerConfig::default()`, and take no value apart field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerConfig {
    /// Whose acknowledgement a record waits for.
    pub acks: Acks,
    /// Whether brokers drop what a retry wrote twice (KIP-98). Needs `acks` all and at most five
    /// requests in flight.
    pub enable_idempotence: bool,
    /// Requests under way on one connection, and batches under way for one partition; at least 1.
    /// Without idempotence, more than one lets a retry overtake.
    pub max_in_flight_requests_per_connection: usize,
    /// How long a record may take from being taken to being acknowledged, all attempts included.
    pub delivery_timeout: Duration,
    /// How long one request may wait for its answer.
    pub request_timeout: Duration,
    /// How long a batch waits for more records before it is sent. Waits no longer once it is full,
    /// once somebody waits for its acknowledgement, or once memory is short.
    pub linger: Duration,
    /// Bytes at which a batch is full, before compression. Java's is 16 KiB; as memory
    /// is taken when records come, not ahead, a larger batch costs nothing where few come.
    pub batch_size: usize,
    /// Bytes that records may take until they are acknowledged. A hard bound, counted in buffers,
    /// not in records. Java's is 32 MiB: larger batches want more.
    pub buffer_memory: usize,
    /// How long a call may wait for metadata and for memory, together.
    pub max_block: Duration,
    /// Bytes of the largest record, alone in its batch and before compression, and of all batches
    /// in one request.
    pub max_request_size: usize,
    /// How batches are compressed: `compression.type` with `compression.<codec>.level`.
    pub compression: Codec,
    /// How a record without a partition of its own gets one: `partitioner.class`.
    pub partitioner: PartitionerKind,
    /// Whether records without a key prefer partitions whose queue is short (KIP-794).
    pub partitioner_adaptive_partitioning_enable: bool,
    /// After how long a partition that takes no batch is passed over for records without a key
    /// (KIP-794); zero never passes one over.
    pub partitioner_availability_timeout: Duration,
    /// Whether the keys of records have no part in the choice of a partition; one's own
    /// [`Partitioner`](crate::partitioner::Partitioner) sees them all the same.
    pub partitioner_ignore_keys: bool,
    /// The wait before sending a batch again; it doubles with each failure.
    pub retry_backoff: Duration,
    /// The longest wait before sending a batch again.
    pub retry_backoff_max: Duration,
    /// Who this producer is across restarts (KIP-98); makes it a transactional one.
    pub transactional_id: Option<ByteString>,
    /// How long a transaction may be open before its coordinator aborts it. At most what brokers
    /// allow by `transaction.max.timeout.ms`, 15 minutes unless they are told otherwise.
    pub transaction_timeout: Duration,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            enable_idempotence: true,
            max_in_flight_requests_per_connection: 5,
            delivery_timeout: Duration::from_secs(120),
            request_timeout: Duration::from_secs(30),
            linger: Duration::from_millis(5),
            batch_size: 64 << 10,
            buffer_memory: 64 << 20,
            max_block: Duration::from_secs(60),
            max_request_size: 1 << 20,
            compression: Codec::NONE,
            partitioner: PartitionerKind::Java,
            partitioner_adaptive_partitioning_enable: true,
            partitioner_availability_timeout: Duration::ZERO,
            partitioner_ignore_keys: false,
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            transactional_id: None,
            transaction_timeout: Duration::from_secs(60),
        }
    }
}

impl ProducerConfig {
    /// What is wrong with these settings together; empty if nothing is.
    #[must_use]
    pub fn problems(&self) -> Vec<ProducerConfigProblem> {
        let mut problems = Vec::new();
        let mut refuse = |wrong: bool, problem| {
            if wrong {
                problems.push(problem);
            }
        };
        let in_flight = self.max_in_flight_requests_per_connection;
        let whole = self.linger.saturating_add(self.request_timeout);
        let idempotent = self.enable_idempotence;
        refuse(
            idempotent && self.acks != Acks::All,
            ProducerConfigProblem::IdempotenceWithoutAllAcks,
        );
        refuse(
            idempotent && in_flight > MAX_IDEMPOTENT_IN_FLIGHT,
            ProducerConfigProblem::IdempotenceInFlight(in_flight),
        );
        refuse(in_flight == 0, ProducerConfigProblem::NoRequestInFlight);
        refuse(
            self.transactional_id.is_some() && !idempotent,
            ProducerConfigProblem::TransactionsWithoutIdempotence,
        );
        refuse(
            self.transactional_id.as_ref().is_some_and(|id| id.is_empty()),
            ProducerConfigProblem::EmptyTransactionalId,
        );
        refuse(!is_in_millis(self.transaction_timeout), ProducerConfigProblem::TransactionTimeout);
        refuse(!is_in_millis(self.request_timeout), ProducerConfigProblem::RequestTimeout);
        refuse(
            self.delivery_timeout < whole,
            ProducerConfigProblem::DeliveryTimeout { at_least: whole },
        );
        let largest = self.batch_size.max(self.max_request_size);
        refuse(
            self.buffer_memory < largest,
            ProducerConfigProblem::BufferMemory { at_least: largest },
        );
        refuse(self.retry_backoff > self.retry_backoff_max, ProducerConfigProblem::RetryBackoff);
        let codec = self.compression.compression();
        refuse(!codec.is_enabled(), ProducerConfigProblem::CodecNotBuilt(codec.name()));
        problems
    }

    /// Whether retries may overtake: more than one request in flight without idempotence.
    #[must_use]
    pub fn may_reorder(&self) -> bool {
        !self.enable_idempotence && self.max_in_flight_requests_per_connection > 1
    }
}

/// Whether a request can hold it, and it is a wait at all.
fn is_in_millis(duration: Duration) -> bool {
    (1..=u128::from(i32::MAX.unsigned_abs())).contains(&duration.as_millis())
}

/// Whose acknowledgement a record waits for: `acks`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Acks {
    /// Nobody's: a record counts as delivered once the system has its last byte. Its offset is not
    /// known, and what the broker refuses is lost without a word.
    None,
    /// The leader's alone: lost if that broker is, before others have copied.
    Leader,
    /// That of all replicas in sync: survives as long as one of them does.
    #[default]
    All,
}

impl Acks {
    /// The number that requests hold.
    #[must_use]
    pub fn to_wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

/// Settings that do not fit one another.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProducerConfigProblem {
    /// Idempotence rests on the acknowledgement of all replicas.
    #[error("enable.idempotence=true needs acks=all; set acks=all, or enable.idempotence=false")]
    IdempotenceWithoutAllAcks,
    /// Brokers remember the last five batches of a producer.
    #[error(
        "enable.idempotence=true allows at most 5 requests in flight; \
         max.in.flight.requests.per.connection is {0}"
    )]
    IdempotenceInFlight(usize),
    /// Nothing could ever be sent.
    #[error("max.in.flight.requests.per.connection must be at least 1")]
    NoRequestInFlight,
    /// Transactions rest on idempotence.
    #[error("transactional.id needs enable.idempotence=true")]
    TransactionsWithoutIdempotence,
    /// Transactions were asked for, and no transactional producer.
    #[error(
        "transactional.id is set; build the producer with `transactional`, or leave the setting out"
    )]
    TransactionalIdUnused,
    /// A transactional producer was asked for, and there is no id.
    #[error("transactional.id is not set; transactions need it")]
    NoTransactionalId,
    /// There is no id to be known by.
    #[error("transactional.id must not be empty")]
    EmptyTransactionalId,
    /// No transaction could end in time.
    #[error("transaction.timeout.ms must be from 1 to 2147483647")]
    TransactionTimeout,
    /// Each request would end, and its connection with it, before it could be answered.
    #[error("request.timeout.ms must be from 1 to 2147483647")]
    RequestTimeout,
    /// A batch would expire before its first request could.
    #[error(
        "delivery.timeout.ms must be at least linger.ms + request.timeout.ms = {}; raise it, or \
         lower request.timeout.ms",
        at_least.as_millis()
    )]
    DeliveryTimeout {
        /// The least that works.
        at_least: Duration,
    },
    /// A batch or record that is allowed would never find room.
    #[error(
        "buffer.memory must be at least {at_least} bytes, the larger of batch.size and \
         max.request.size"
    )]
    BufferMemory {
        /// The least that works, in bytes.
        at_least: usize,
    },
    /// The first wait would be longer than the longest.
    #[error("retry.backoff.ms must not exceed retry.backoff.max.ms")]
    RetryBackoff,
    /// The codec is not part of this build.
    #[error("compression.type={0} needs the Cargo feature \"{0}\"")]
    CodecNotBuilt(&'static str),
}

/// Batches of one producer and partition that brokers remember (Java's
/// `ProducerStateEntry.NUM_BATCHES_TO_RETAIN`).
pub(crate) const MAX_IDEMPOTENT_IN_FLIGHT: usize = 5;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_fit_one_another() {
        assert_eq!(ProducerConfig::default().problems(), []);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let config = ProducerConfig {
            acks: Acks::Leader,
            max_in_flight_requests_per_connection: 6,
            delivery_timeout: Duration::from_secs(1),
            buffer_memory: 1,
            retry_backoff: Duration::from_secs(2),
            ..ProducerConfig::default()
        };
        assert_eq!(
            config.problems(),
            [
                ProducerConfigProblem::IdempotenceWithoutAllAcks,
                ProducerConfigProblem::IdempotenceInFlight(6),
                ProducerConfigProblem::DeliveryTimeout { at_least: Duration::from_millis(30_005) },
                ProducerConfigProblem::BufferMemory { at_least: 1 << 20 },
                ProducerConfigProblem::RetryBackoff,
            ]
        );
    }

    #[test]
    fn what_requests_cannot_wait_for_is_refused() {
        for request_timeout in [Duration::ZERO, Duration::from_secs(1 << 31)] {
            let config = ProducerConfig {
                request_timeout,
                delivery_timeout: Duration::MAX,
                ..ProducerConfig::default()
            };
            assert_eq!(config.problems(), [ProducerConfigProblem::RequestTimeout]);
        }
    }

    #[test]
    fn a_transactional_id_needs_idempotence() {
        let config = ProducerConfig {
            enable_idempotence: false,
            transactional_id: Some("billing".into()),
            ..ProducerConfig::default()
        };
        assert_eq!(config.problems(), [ProducerConfigProblem::TransactionsWithoutIdempotence]);
        assert!(config.may_reorder());
    }
}
