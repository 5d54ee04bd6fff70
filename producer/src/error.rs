//! Why a record was not taken, or not delivered.

mod transaction;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use ottla_core::error::{
    Certainty, Error, ErrorClass, ErrorCode, ErrorKind, RequestError, WithCauses,
};
use ottla_core::types::{TopicName, TopicPartition};

use crate::record::Record;

pub use ottla_protocol::records::{AppendError, SealError};
pub use transaction::{AbortCause, FatalCause, TransactionError};

/// Why a record was not taken, or not delivered.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The record is larger than any request may be.
    #[error("send {topic}: record is {size} bytes, limit max.request.size={limit}")]
    RecordTooLarge {
        /// The topic it was for.
        topic: TopicName,
        /// Bytes of a batch with this record alone.
        size: usize,
        /// The limit, in bytes.
        limit: usize,
    },
    /// The record cannot be encoded.
    #[error("send {topic}: {source}")]
    Encode {
        /// The topic it was for.
        topic: TopicName,
        /// What is wrong with it.
        source: AppendError,
    },
    /// There is no room now, and the call does not wait.
    #[error(
        "send {topic}: no room left in buffer.memory={buffer_memory}; wait with `enqueue`, or \
         raise buffer.memory"
    )]
    BufferFull {
        /// The topic it was for.
        topic: TopicName,
        /// The bound, in bytes.
        buffer_memory: usize,
    },
    /// There was no room within the time that the call may take.
    #[error(
        "send {topic}: no room in buffer.memory={buffer_memory} within max.block.ms={}; brokers \
         take records more slowly than they come",
        max_block.as_millis()
    )]
    NoRoom {
        /// The topic it was for.
        topic: TopicName,
        /// The bound, in bytes.
        buffer_memory: usize,
        /// The time that there was.
        max_block: Duration,
    },
    /// The topic's partitions are not known yet, and the call does not wait.
    #[error("send {topic}: its partitions are not known yet; wait with `enqueue` or `topic`")]
    TopicNotLoaded {
        /// The topic.
        topic: TopicName,
    },
    /// The topic's partitions could not be learnt within the time that the call may take.
    #[error(
        "send {topic}: no metadata within max.block.ms={}{}",
        max_block.as_millis(),
        Last(last.as_deref().map(|last| WithCauses(last)))
    )]
    NoMetadata {
        /// The topic.
        topic: TopicName,
        /// The time that there was.
        max_block: Duration,
        /// Why the last attempt failed, if one did.
        #[source]
        last: Option<Arc<RequestError>>,
    },
    /// The cluster says that the topic cannot be written to.
    #[error("send {topic}: {}", topic_trouble(*code))]
    Topic {
        /// The topic.
        topic: TopicName,
        /// What the cluster says.
        code: ErrorCode,
    },
    /// The topic has no partition of the number that the record or the partitioner chose.
    #[error("send {topic}: no partition {partition}, it has {partitions}")]
    NoSuchPartition {
        /// The topic.
        topic: TopicName,
        /// The number that was chosen.
        partition: i32,
        /// How many partitions there are.
        partitions: i32,
    },
    /// The producer was closed before the record came.
    #[error("send {topic}: the producer is closed")]
    Closed {
        /// The topic it was for.
        topic: TopicName,
    },
    /// The record was not acknowledged in time.
    #[error(
        "send {partition}: not acknowledged within delivery.timeout.ms={} ({certainty}, {attempts} \
         attempts){}",
        delivery_timeout.as_millis(),
        Last(last.as_ref())
    )]
    DeliveryTimeout {
        /// Where it was to go.
        partition: TopicPartition,
        /// The time that there was.
        delivery_timeout: Duration,
        /// How often its batch was sent.
        attempts: u32,
        /// Whether the partition may have it.
        certainty: Certainty,
        /// What went wrong last, if anything did.
        last: Option<Trouble>,
    },
    /// The leader refused the batch.
    #[error("send {partition}: {code}{} ({certainty})", Said(message.as_ref()))]
    Refused {
        /// Where it was to go.
        partition: TopicPartition,
        /// What the leader says.
        code: ErrorCode,
        /// In its own words, where it has any.
        message: Option<ByteString>,
        /// Whether the partition may have it.
        certainty: Certainty,
    },
    /// The leader refused this very record (KIP-467).
    #[error("send {partition}: the broker refused this record{}", Said(message.as_ref()))]
    RecordRefused {
        /// Where it was to go.
        partition: TopicPartition,
        /// In the broker's words, where it has any.
        message: Option<ByteString>,
    },
    /// The leader refused another record of the batch, and with it all others (KIP-467). Sent
    /// again, this one may pass.
    #[error(
        "send {partition}: not written, because the broker refused another record of the batch"
    )]
    SiblingRefused {
        /// Where it was to go.
        partition: TopicPartition,
    },
    /// The leader refuses even this record alone: the topic's `max.message.bytes` is smaller.
    #[error(
        "send {partition}: record is {size} bytes in its batch, more than the topic's \
         max.message.bytes"
    )]
    TooLargeForTopic {
        /// Where it was to go.
        partition: TopicPartition,
        /// Bytes of the batch with this record alone, as it was sent.
        size: usize,
    },
    /// The batch could not be compressed.
    #[error("send {partition}: {source}")]
    Compression {
        /// Where it was to go.
        partition: TopicPartition,
        /// Why not.
        source: SealError,
    },
    /// The request could not be made at all.
    #[error("send {partition}: {}", WithCauses(source))]
    Request {
        /// Where it was to go.
        partition: TopicPartition,
        /// Why not.
        source: Arc<RequestError>,
        /// Whether the partition may have it.
        certainty: Certainty,
    },
    /// No producer id could be had, and without one nothing idempotent can be sent.
    #[error("send {partition}: no producer id: {code} ({certainty})")]
    NoProducerId {
        /// Where it was to go.
        partition: TopicPartition,
        /// What the broker says.
        code: ErrorCode,
        /// Whether the partition may have it, by an id that was there before.
        certainty: Certainty,
    },
    /// The producer was closed before the record was acknowledged.
    #[error("send {partition}: the producer was closed before the acknowledgement ({certainty})")]
    ClosedBeforeDelivery {
        /// Where it was to go.
        partition: TopicPartition,
        /// Whether the partition may have it.
        certainty: Certainty,
    },
    /// The transaction that the record is part of cannot be committed. Where the partition has the
    /// record, nobody who reads committed sees it.
    #[error("send {topic}: its transaction is not committed ({certainty}), because {cause}")]
    TransactionAborted {
        /// The topic it was for.
        topic: TopicName,
        /// Whether the partition may have it.
        certainty: Certainty,
        /// Why not.
        cause: Arc<AbortCause>,
    },
    /// The producer can write no transaction any more.
    #[error("send {topic}: {cause} ({certainty})")]
    TransactionsEnded {
        /// The topic it was for.
        topic: TopicName,
        /// Whether the partition may have it.
        certainty: Certainty,
        /// Why not.
        cause: Arc<FatalCause>,
    },
}

impl SendError {
    /// What a broker said, if one did.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Topic { code, .. }
            | Self::Refused { code, .. }
            | Self::NoProducerId { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the partition may have the record.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::DeliveryTimeout { certainty, .. }
            | Self::Refused { certainty, .. }
            | Self::Request { certainty, .. }
            | Self::ClosedBeforeDelivery { certainty, .. }
            | Self::NoProducerId { certainty, .. }
            | Self::TransactionAborted { certainty, .. }
            | Self::TransactionsEnded { certainty, .. } => *certainty,
            Self::RecordTooLarge { .. }
            | Self::Encode { .. }
            | Self::BufferFull { .. }
            | Self::NoRoom { .. }
            | Self::TopicNotLoaded { .. }
            | Self::NoMetadata { .. }
            | Self::Topic { .. }
            | Self::NoSuchPartition { .. }
            | Self::Closed { .. }
            | Self::RecordRefused { .. }
            | Self::SiblingRefused { .. }
            | Self::TooLargeForTopic { .. }
            | Self::Compression { .. } => Certainty::NotWritten,
        }
    }

    /// What to do about it (KIP-1050).
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::BufferFull { .. }
            | Self::NoRoom { .. }
            | Self::TopicNotLoaded { .. }
            | Self::NoMetadata { .. }
            | Self::DeliveryTimeout { .. }
            | Self::SiblingRefused { .. } => ErrorClass::Retriable,
            Self::Closed { .. } | Self::ClosedBeforeDelivery { .. } => {
                ErrorClass::ApplicationRecoverable
            }
            Self::RecordTooLarge { .. }
            | Self::Encode { .. }
            | Self::NoSuchPartition { .. }
            | Self::RecordRefused { .. }
            | Self::TooLargeForTopic { .. }
            | Self::Compression { .. } => ErrorClass::InvalidConfiguration,
            Self::Topic { code, .. }
            | Self::Refused { code, .. }
            | Self::NoProducerId { code, .. } => code.class().unwrap_or(ErrorClass::Fatal),
            Self::Request { source, .. } => source.class(),
            Self::TransactionAborted { .. } => ErrorClass::Abortable,
            Self::TransactionsEnded { .. } => ErrorClass::ApplicationRecoverable,
        }
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::RecordTooLarge { .. }
            | Self::Encode { .. }
            | Self::RecordRefused { .. }
            | Self::SiblingRefused { .. }
            | Self::TooLargeForTopic { .. } => ErrorKind::InvalidRecord,
            Self::BufferFull { .. } | Self::NoRoom { .. } => ErrorKind::BufferFull,
            Self::TopicNotLoaded { .. } => ErrorKind::State,
            Self::NoMetadata { .. } | Self::DeliveryTimeout { .. } => ErrorKind::Timeout,
            Self::NoSuchPartition { .. } => ErrorKind::UnknownTopic,
            Self::Topic { code, .. }
            | Self::Refused { code, .. }
            | Self::NoProducerId { code, .. } => ErrorKind::of(*code),
            Self::Closed { .. } | Self::ClosedBeforeDelivery { .. } => ErrorKind::Closed,
            Self::Compression { .. } => ErrorKind::Unsupported,
            Self::Request { source, .. } => source.kind(),
            Self::TransactionAborted { .. } => ErrorKind::TransactionAborted,
            Self::TransactionsEnded { cause, .. } => cause.kind(),
        }
    }

    /// This error, of a batch whose attempts before leave open as much as `earlier`.
    pub(crate) fn leaving_open(mut self, earlier: Certainty) -> Self {
        if let Self::Refused { certainty, .. } | Self::Request { certainty, .. } = &mut self {
            *certainty = earlier.max(*certainty);
        }
        self
    }

    /// Whether the record was not taken only because the call does not wait: `enqueue` would.
    #[must_use]
    pub fn would_wait(&self) -> bool {
        matches!(self, Self::BufferFull { .. } | Self::TopicNotLoaded { .. })
    }

    /// Whether sending the same record again may succeed. If it
    /// [may have been written](Self::certainty), that may write it twice.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.class().is_retriable()
    }
}

impl From<SendError> for Error {
    fn from(error: SendError) -> Self {
        let code = error.code();
        let (kind, class, certainty) = (error.kind(), error.class(), error.certainty());
        let builder = Self::of_operation(kind, class, error).certainty(certainty);
        code.into_iter().fold(builder, ottla_core::error::ErrorBuilder::code).build()
    }
}

impl From<Undelivered> for Error {
    fn from(undelivered: Undelivered) -> Self {
        undelivered.into_parts().0.into()
    }
}

/// What went wrong with an attempt that was repeated.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// What the broker answered.
    #[error("{0}")]
    Code(ErrorCode),
    /// Why there was no answer.
    #[error("{}", WithCauses(.0))]
    Request(Arc<RequestError>),
    /// Nobody leads the partition.
    #[error("the partition has no leader")]
    NoLeader,
}

impl Trouble {
    /// What the broker answered, if it did.
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            Self::Code(code) => *code,
            Self::Request(_) | Self::NoLeader => ErrorCode::UnknownServerError,
        }
    }

    /// Whether the leader waits for a transaction's coordinator, as for some milliseconds after the
    /// end of the one before (KIP-890).
    pub(crate) fn is_about_a_coordinator(&self) -> bool {
        matches!(
            self,
            Self::Code(
                ErrorCode::ConcurrentTransactions
                    | ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::NotCoordinator
            )
        )
    }
}

/// A record that was not taken or not delivered: why, and the record itself.
///
/// Small, and made only when something fails.
#[derive(Debug, Clone)]
pub struct Undelivered(Box<(SendError, Option<Record>)>);

impl Undelivered {
    pub(crate) fn new(error: SendError, record: Option<Record>) -> Self {
        Self(Box::new((error, record)))
    }

    /// Why.
    #[must_use]
    pub fn error(&self) -> &SendError {
        &self.0.0
    }

    /// The record. `None` only where a batch could not be read back.
    #[must_use]
    pub fn record(&self) -> Option<&Record> {
        self.0.1.as_ref()
    }

    /// The record, to send it again or to put it elsewhere. `None` only where a batch could not be
    /// read back.
    #[must_use]
    pub fn into_record(self) -> Option<Record> {
        self.0.1
    }

    /// Both.
    #[must_use]
    pub fn into_parts(self) -> (SendError, Option<Record>) {
        *self.0
    }
}

impl fmt::Display for Undelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error().fmt(f)
    }
}

impl std::error::Error for Undelivered {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error().source()
    }
}

fn topic_trouble(code: ErrorCode) -> String {
    match code {
        ErrorCode::UnknownTopicOrPartition => {
            "topic does not exist; create it with `admin.create_topic`, or let brokers do so with \
             allow.auto.create.topics=true"
                .into()
        }
        code => code.to_string(),
    }
}

/// What a broker said, behind a colon.
struct Said<'a>(Option<&'a ByteString>);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |message| write!(f, ": {message}"))
    }
}

/// What went wrong last, behind a semicolon.
struct Last<T>(Option<T>);

impl<T: fmt::Display> fmt::Display for Last<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |trouble| write!(f, "; last: {trouble}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &SendError, text: &str) {
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn errors_name_the_setting_and_what_to_do() {
        check(
            &SendError::RecordTooLarge {
                topic: "orders".into(),
                size: 1_203_441,
                limit: 1_048_576,
            },
            "send orders: record is 1203441 bytes, limit max.request.size=1048576",
        );
        check(
            &SendError::Topic { topic: "orders".into(), code: ErrorCode::UnknownTopicOrPartition },
            "send orders: topic does not exist; create it with `admin.create_topic`, or let brokers \
             do so with allow.auto.create.topics=true",
        );
        check(
            &SendError::NoMetadata {
                topic: "orders".into(),
                max_block: Duration::from_secs(60),
                last: Some(Arc::new(no_answer())),
            },
            "send orders: no metadata within max.block.ms=60000; last: no answer from any broker \
             within 60 s: no broker is available for this: BrokerNotAvailable",
        );
        check(
            &SendError::DeliveryTimeout {
                partition: TopicPartition::new("orders", 3),
                delivery_timeout: Duration::from_secs(120),
                attempts: 7,
                certainty: Certainty::PossiblyWritten,
                last: Some(Trouble::NoLeader),
            },
            "send orders-3: not acknowledged within delivery.timeout.ms=120000 (possibly written, \
             7 attempts); last: the partition has no leader",
        );
    }

    fn no_answer() -> RequestError {
        let unroutable = RequestError::Unroutable { code: ErrorCode::BrokerNotAvailable };
        RequestError::DeadlineExceeded {
            within: Duration::from_secs(60),
            certainty: Certainty::NotWritten,
            last: Some(Arc::new(unroutable)),
        }
    }

    #[test]
    fn an_undelivered_record_comes_back() {
        let record = Record::to("orders").value("paid");
        let error = SendError::Closed { topic: "orders".into() };
        let undelivered = Undelivered::new(error, Some(record.clone()));
        assert_eq!(undelivered.to_string(), "send orders: the producer is closed");
        assert_eq!(undelivered.into_record(), Some(record));
    }
}
