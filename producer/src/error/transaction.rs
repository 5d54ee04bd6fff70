//! Why transactions fail.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use ottla_core::error::{
    Certainty, Error, ErrorClass, ErrorCode, ErrorKind, RequestError, WithCauses,
};
use ottla_core::types::TopicPartition;
use ottla_protocol::ApiKey;

use super::{Last, SendError, Trouble};

/// Why an operation of a transaction failed, and what is to be done about it:
///
/// | what | then |
/// |---|---|
/// | [`requires_abort`](Self::requires_abort) | this transaction is not written; begin the next |
/// | [`is_fatal`](Self::is_fatal) | this producer must stop; the error says whether a new one may do better |
/// | [`is_outcome_unknown`](Self::is_outcome_unknown) | ask [`settle`](crate::TransactionalProducer::settle) what became of it |
/// | [`is_retriable`](Self::is_retriable) | make the same call again |
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// The transaction cannot be committed. None of it is written, and the producer goes on with
    /// the next one.
    #[error("transaction {id}: aborted, because {cause}")]
    Aborted {
        /// The transactional id.
        id: ByteString,
        /// Why.
        cause: Arc<AbortCause>,
    },
    /// The producer cannot go on.
    #[error("transaction {id}: {cause}")]
    Fatal {
        /// The transactional id.
        id: ByteString,
        /// Why.
        cause: Arc<FatalCause>,
        /// Whether a commit was on its way that nobody answered: then the transaction may be
        /// written.
        certainty: Certainty,
    },
    /// The commit was not answered in time. It is asked for again and again, and never taken back:
    /// [`settle`](crate::TransactionalProducer::settle) waits for what becomes of it.
    #[error(
        "transaction {id}: its commit was not answered within {} ms{}; it may be committed, and \
         `settle` will tell",
        within.as_millis(),
        Last(last.as_ref())
    )]
    OutcomeUnknown {
        /// The transactional id.
        id: ByteString,
        /// The time that there was.
        within: Duration,
        /// What went wrong last, if anything did.
        last: Option<Trouble>,
    },
    /// The coordinator did not get it done within the time that the call may take. It goes on in
    /// the background.
    #[error(
        "transaction {id}: no {operation} within max.block.ms={}{}",
        max_block.as_millis(),
        Last(last.as_ref())
    )]
    Timeout {
        /// The transactional id.
        id: ByteString,
        /// What was to be done.
        operation: &'static str,
        /// The time that there was.
        max_block: Duration,
        /// What went wrong last, if anything did.
        last: Option<Trouble>,
    },
    /// Offsets were to be committed of somebody who reads for no group.
    #[error("transaction {id}: no group to commit offsets of; give the consumer a group.id")]
    NoGroup {
        /// The transactional id.
        id: ByteString,
    },
    /// The producer was closed.
    #[error("transaction {id}: the producer is closed")]
    Closed {
        /// The transactional id.
        id: ByteString,
    },
}

/// Why a transaction must be aborted.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AbortCause {
    /// A record was not written.
    #[error("a record was not written: {0}")]
    Send(SendError),
    /// A coordinator refused a part of it.
    #[error("{api:?} was refused{}: {code}", Of(partition.as_ref()))]
    Refused {
        /// What was asked.
        api: ApiKey,
        /// What the coordinator said.
        code: ErrorCode,
        /// The partition that it said it of, where it named one.
        partition: Option<TopicPartition>,
    },
    /// The group goes on without the member whose offsets were to be committed: somebody else
    /// reads its partitions now (KIP-447).
    #[error("group {group_id} goes on without this member: {code}")]
    GroupLost {
        /// The group.
        group_id: ByteString,
        /// What its coordinator said.
        code: ErrorCode,
    },
    /// The group's coordinator took no offsets within the time that the call may take.
    #[error("group {group_id} took no offsets within max.block.ms={}", max_block.as_millis())]
    OffsetsTimeout {
        /// The group.
        group_id: ByteString,
        /// The time that there was.
        max_block: Duration,
    },
    /// The request could not be made at all.
    #[error("{api:?} could not be asked: {}", WithCauses(source))]
    Request {
        /// What was to be asked.
        api: ApiKey,
        /// Why not.
        source: Arc<RequestError>,
    },
    /// The coordinator had ended it: it took longer than `transaction.timeout.ms`.
    #[error("it took longer than transaction.timeout.ms={}", timeout.as_millis())]
    TimedOut {
        /// The time that there was.
        timeout: Duration,
    },
    /// The application gave it up: it aborted, dropped it, or returned an error.
    #[error("the application gave it up")]
    GivenUp,
}

/// Why a transactional producer cannot go on.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FatalCause {
    /// Another producer has the same transactional id, or a transaction took longer than its
    /// timeout, which brokers do not tell apart.
    #[error(
        "fenced by a newer producer with the same transactional.id, or by the end of \
         transaction.timeout.ms ({code}). This instance must stop"
    )]
    Fenced {
        /// What the broker said.
        code: ErrorCode,
    },
    /// The coordinator refused for good.
    #[error("{api:?} was refused: {code}{}", hint(*code))]
    Refused {
        /// What was asked.
        api: ApiKey,
        /// What the coordinator said.
        code: ErrorCode,
    },
    /// The request cannot be made.
    #[error("{api:?} could not be asked: {}", WithCauses(source))]
    Request {
        /// What was to be asked.
        api: ApiKey,
        /// Why not.
        source: Arc<RequestError>,
    },
    /// The leader of a partition refused a batch for good.
    #[error("{0}")]
    Send(SendError),
}

impl TransactionError {
    /// The transactional id.
    #[must_use]
    pub fn transactional_id(&self) -> &str {
        match self {
            Self::Aborted { id, .. }
            | Self::Fatal { id, .. }
            | Self::OutcomeUnknown { id, .. }
            | Self::Timeout { id, .. }
            | Self::NoGroup { id }
            | Self::Closed { id } => id,
        }
    }

    /// Whether none of the transaction is written, and the next can be begun.
    #[must_use]
    pub fn requires_abort(&self) -> bool {
        matches!(self, Self::Aborted { .. })
    }

    /// Whether the producer must be given up.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::Fatal { .. } | Self::Closed { .. })
    }

    /// Whether another producer took this one's place.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        matches!(self, Self::Fatal { cause, .. } if matches!(**cause, FatalCause::Fenced { .. }))
    }

    /// Whether the transaction may be committed or not, and the producer is still finding out.
    #[must_use]
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Self::OutcomeUnknown { .. })
    }

    /// Whether the group gave the member's partitions to somebody else: what was read is not to be
    /// processed again here.
    #[must_use]
    pub fn is_group_lost(&self) -> bool {
        matches!(self, Self::Aborted { cause, .. } if matches!(**cause, AbortCause::GroupLost { .. }))
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        matches!(self, Self::Timeout { .. })
    }

    /// Whether the same records may well be written by another transaction.
    #[must_use]
    pub fn may_run_again(&self) -> bool {
        matches!(self, Self::Aborted { cause, .. } if cause.may_run_again())
    }

    /// Whether the transaction may be written.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Fatal { certainty, .. } => *certainty,
            Self::OutcomeUnknown { .. } => Certainty::PossiblyWritten,
            Self::Aborted { .. }
            | Self::Timeout { .. }
            | Self::NoGroup { .. }
            | Self::Closed { .. } => Certainty::NotWritten,
        }
    }

    /// What to do about it (KIP-1050).
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Aborted { .. } => ErrorClass::Abortable,
            // A new producer and the committed offsets tell what is true.
            Self::OutcomeUnknown { .. } | Self::Closed { .. } => ErrorClass::ApplicationRecoverable,
            Self::Timeout { .. } => ErrorClass::Retriable,
            Self::NoGroup { .. } => ErrorClass::InvalidConfiguration,
            Self::Fatal { cause, .. } => cause.class(),
        }
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Aborted { cause, .. } => match &**cause {
                AbortCause::GroupLost { .. } => ErrorKind::GroupLost,
                _ => ErrorKind::TransactionAborted,
            },
            Self::Fatal { cause, .. } => cause.kind(),
            Self::OutcomeUnknown { .. } | Self::Timeout { .. } => ErrorKind::Timeout,
            Self::NoGroup { .. } => ErrorKind::Config,
            Self::Closed { .. } => ErrorKind::Closed,
        }
    }

    /// What the broker said, if it was a broker.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Aborted { cause, .. } => cause.code(),
            Self::Fatal { cause, .. } => cause.code(),
            Self::OutcomeUnknown { .. }
            | Self::Timeout { .. }
            | Self::NoGroup { .. }
            | Self::Closed { .. } => None,
        }
    }
}

impl AbortCause {
    /// Whether the same records may well be written by another transaction: what failed was this
    /// one, or the state of a broker, and not what was asked of it.
    #[must_use]
    pub fn may_run_again(&self) -> bool {
        match self {
            Self::Send(error) => match error.code() {
                Some(code) => is_of_the_moment(code),
                None => error.is_retriable(),
            },
            Self::Refused { code, .. } => is_of_the_moment(*code),
            Self::OffsetsTimeout { .. } | Self::TimedOut { .. } => true,
            Self::GroupLost { .. } | Self::Request { .. } | Self::GivenUp => false,
        }
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Send(error) => error.code(),
            Self::Refused { code, .. } | Self::GroupLost { code, .. } => Some(*code),
            Self::OffsetsTimeout { .. }
            | Self::Request { .. }
            | Self::TimedOut { .. }
            | Self::GivenUp => None,
        }
    }
}

/// Whether a refusal is about the state that a producer or broker was in, which another transaction
/// leaves behind.
fn is_of_the_moment(code: ErrorCode) -> bool {
    code.is_retriable()
        || matches!(
            code,
            ErrorCode::TransactionAbortable
                | ErrorCode::InvalidTxnState
                | ErrorCode::InvalidProducerEpoch
                | ErrorCode::InvalidProducerIdMapping
                | ErrorCode::UnknownProducerId
                | ErrorCode::OutOfOrderSequenceNumber
                | ErrorCode::OperationNotAttempted
                | ErrorCode::UnknownServerError
        )
}

impl FatalCause {
    pub(super) fn kind(&self) -> ErrorKind {
        match self {
            Self::Fenced { .. } => ErrorKind::Fenced,
            Self::Refused { code, .. } => ErrorKind::of(*code),
            Self::Request { source, .. } => match &**source {
                RequestError::Closed { .. } => ErrorKind::Closed,
                _ => ErrorKind::Unsupported,
            },
            Self::Send(error) => error.kind(),
        }
    }

    fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Fenced { code } | Self::Refused { code, .. } => Some(*code),
            Self::Send(error) => error.code(),
            Self::Request { .. } => None,
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Fenced { .. } => ErrorClass::ApplicationRecoverable,
            Self::Refused { code, .. } => match code.class() {
                Some(ErrorClass::InvalidConfiguration) => ErrorClass::InvalidConfiguration,
                _ => ErrorClass::Fatal,
            },
            Self::Request { source, .. } => source.class(),
            Self::Send(_) => ErrorClass::Fatal,
        }
    }
}

impl From<TransactionError> for Error {
    fn from(error: TransactionError) -> Self {
        let (kind, class, code) = (error.kind(), error.class(), error.code());
        let builder = Self::of_operation(kind, class, error.clone()).certainty(error.certainty());
        code.into_iter().fold(builder, ottla_core::error::ErrorBuilder::code).build()
    }
}

/// What to do about a refusal, behind a semicolon.
fn hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidTransactionTimeout => {
            "; set transaction.timeout.ms to at most the brokers' transaction.max.timeout.ms"
        }
        ErrorCode::TransactionalIdAuthorizationFailed => {
            "; the brokers' ACLs must allow this principal to write as the transactional id"
        }
        _ => "",
    }
}

/// Of which partition, behind "of".
struct Of<'a>(Option<&'a TopicPartition>);

impl fmt::Display for Of<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |partition| write!(f, " for {partition}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aborted(cause: AbortCause) -> TransactionError {
        TransactionError::Aborted { id: "billing-1".into(), cause: Arc::new(cause) }
    }

    fn fatal(cause: FatalCause) -> TransactionError {
        let certainty = Certainty::NotWritten;
        TransactionError::Fatal { id: "billing-1".into(), cause: Arc::new(cause), certainty }
    }

    #[track_caller]
    fn check(error: &TransactionError, text: &str) {
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn errors_name_the_cause_and_what_to_do() {
        check(
            &fatal(FatalCause::Fenced { code: ErrorCode::ProducerFenced }),
            "transaction billing-1: fenced by a newer producer with the same transactional.id, or \
             by the end of transaction.timeout.ms (PRODUCER_FENCED (90): a newer producer took \
             over this transactional.id). This instance must stop",
        );
        let code = ErrorCode::InvalidTransactionTimeout;
        let error = fatal(FatalCause::Refused { api: ApiKey::InitProducerId, code });
        assert!(error.to_string().ends_with(
            "set transaction.timeout.ms to at most the brokers' transaction.max.timeout.ms"
        ));
        check(
            &aborted(AbortCause::TimedOut { timeout: Duration::from_secs(60) }),
            "transaction billing-1: aborted, because it took longer than \
             transaction.timeout.ms=60000",
        );
    }

    #[test]
    fn what_another_transaction_may_solve_is_told_from_what_it_may_not() {
        let refused =
            |code| aborted(AbortCause::Refused { api: ApiKey::EndTxn, code, partition: None });
        assert!(refused(ErrorCode::TransactionAbortable).may_run_again());
        assert!(!refused(ErrorCode::TopicAuthorizationFailed).may_run_again());
        let lost =
            AbortCause::GroupLost { group_id: "g".into(), code: ErrorCode::IllegalGeneration };
        assert!(!aborted(lost).may_run_again());
        let large = SendError::RecordTooLarge { topic: "t".into(), size: 2, limit: 1 };
        assert!(!aborted(AbortCause::Send(large)).may_run_again());
    }

    #[test]
    fn an_error_says_one_thing_to_do() {
        let unknown = TransactionError::OutcomeUnknown {
            id: "billing-1".into(),
            within: Duration::from_secs(60),
            last: None,
        };
        let timeout = TransactionError::Timeout {
            id: "billing-1".into(),
            operation: "begin",
            max_block: Duration::from_secs(60),
            last: None,
        };
        for error in [
            aborted(AbortCause::GivenUp),
            fatal(FatalCause::Fenced { code: ErrorCode::ProducerFenced }),
            unknown,
            timeout,
        ] {
            let said = [
                error.requires_abort(),
                error.is_fatal(),
                error.is_outcome_unknown(),
                error.is_retriable(),
            ];
            assert_eq!(said.iter().filter(|said| **said).count(), 1, "{error}");
        }
    }
}
