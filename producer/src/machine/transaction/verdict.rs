//! What the answers of coordinators and leaders mean for a transaction.

use ottla_core::error::ErrorCode;

use super::{Decision, Protocol};

/// What an answer means for the transaction, or for the producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is done.
    Done,
    /// The same request is to be sent again soon.
    Retry,
    /// The transaction must be aborted.
    Abort,
    /// The transaction must be aborted, and there is nothing that could be ended: the coordinator
    /// has forgotten the producer, which begins with a new identity.
    Forgotten,
    /// The transaction must be aborted: the member whose offsets these are has lost its place.
    GroupLost,
    /// The coordinator has aborted it itself, because it took too long.
    TimedOut,
    /// There is nothing to end.
    NothingToEnd,
    /// Another producer took over.
    Fenced,
    /// The producer cannot go on.
    Fatal,
}

use Verdict::{Abort, Done, Fatal, Fenced, Forgotten, GroupLost, NothingToEnd, Retry, TimedOut};

/// What the answer to `InitProducerId` means.
///
/// # Kafka
///
/// Java's `InitProducerIdHandler`. A missing permission is abortable there, where `initTransactions`
/// may be called again; here it fails the build of the producer.
pub(crate) fn of_init(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::None => Done,
        ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced => Fenced,
        // There is no transaction that could be aborted.
        ErrorCode::TransactionAbortable => Retry,
        code if code.is_retriable() => Retry,
        _ => Fatal,
    }
}

/// What the answer to `AddPartitionsToTxn` means, for one of its partitions.
///
/// # Kafka
///
/// Java's `AddPartitionsToTxnHandler`.
pub(crate) fn of_partition(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::None => Done,
        ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced => Fenced,
        ErrorCode::TransactionalIdAuthorizationFailed | ErrorCode::InvalidTxnState => Fatal,
        ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerIdMapping => Forgotten,
        code if code.is_retriable() => Retry,
        // TRANSACTION_ABORTABLE, TOPIC_AUTHORIZATION_FAILED, OPERATION_NOT_ATTEMPTED and whatever
        // else is wrong with a partition: the others of the request are not added either.
        _ => Abort,
    }
}

/// What the answer to `AddOffsetsToTxn` means.
///
/// # Kafka
///
/// Java's `AddOffsetsToTxnHandler`.
pub(crate) fn of_group(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::None => Done,
        ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced => Fenced,
        ErrorCode::TransactionalIdAuthorizationFailed | ErrorCode::InvalidTxnState => Fatal,
        ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerIdMapping => Forgotten,
        ErrorCode::GroupAuthorizationFailed | ErrorCode::TransactionAbortable => Abort,
        code if code.is_retriable() => Retry,
        _ => Fatal,
    }
}

/// What the answer to `TxnOffsetCommit` means, for one of its partitions.
///
/// # Kafka
///
/// Java's `TxnOffsetCommitHandler`, which calls fatal what is wrong with the offsets themselves;
/// after an abort, others can be committed.
pub(crate) fn of_offset(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::None => Done,
        ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced => Fenced,
        ErrorCode::TransactionalIdAuthorizationFailed
        | ErrorCode::UnsupportedForMessageFormat
        | ErrorCode::UnsupportedVersion => Fatal,
        ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerIdMapping => Forgotten,
        ErrorCode::IllegalGeneration
        | ErrorCode::UnknownMemberId
        | ErrorCode::FencedInstanceId
        | ErrorCode::FencedMemberEpoch
        | ErrorCode::StaleMemberEpoch
        | ErrorCode::RebalanceInProgress => GroupLost,
        code if code.is_retriable() => Retry,
        _ => Abort,
    }
}

/// What the answer to `EndTxn` means.
///
/// In protocol 2 the coordinator knows a repeated request by its epoch, so `INVALID_TXN_STATE` in
/// answer to a commit says that the opposite was decided: nobody but the coordinator itself can have
/// done that (KIP-890). What the broker has no word for is not known to be done: it is asked again.
///
/// # Kafka
///
/// Java's `EndTxnHandler`, where `INVALID_TXN_STATE` and unknown errors are fatal.
pub(crate) fn of_end(code: ErrorCode, decision: Decision, protocol: Protocol) -> Verdict {
    match code {
        ErrorCode::None => Done,
        ErrorCode::InvalidProducerEpoch | ErrorCode::ProducerFenced => Fenced,
        ErrorCode::UnknownServerError => Retry,
        ErrorCode::UnknownProducerId | ErrorCode::InvalidProducerIdMapping => Forgotten,
        ErrorCode::InvalidTxnState => match (decision, protocol) {
            (Decision::Commit, Protocol::Two) => TimedOut,
            (Decision::Commit, Protocol::One) => Fatal,
            (Decision::Abort, _) => NothingToEnd,
        },
        ErrorCode::TransactionAbortable => match decision {
            Decision::Commit => Abort,
            // That is what is being asked for.
            Decision::Abort => Retry,
        },
        code if code.is_retriable() => Retry,
        _ => Fatal,
    }
}

/// What it means that no coordinator can be named: the transaction's, or with `of_group` that of a
/// group.
///
/// # Kafka
///
/// Java's `FindCoordinatorHandler`.
pub(crate) fn of_lookup(code: ErrorCode, of_group: bool) -> Verdict {
    match code {
        ErrorCode::TransactionAbortable => Abort,
        code if code.is_retriable() => Retry,
        _ if of_group => Abort,
        _ => Fatal,
    }
}

/// What a batch that failed with `code` means; `None` where no broker said anything.
///
/// # Kafka
///
/// Java's `TransactionManager.maybeTransitionToErrorState`. `INVALID_PRODUCER_EPOCH` is abortable
/// here, as a leader says it also to a producer whose transaction took too long (KIP-588).
pub(crate) fn of_batch(code: Option<ErrorCode>) -> Verdict {
    match code {
        Some(ErrorCode::ProducerFenced) => Fenced,
        Some(
            ErrorCode::TransactionalIdAuthorizationFailed
            | ErrorCode::ClusterAuthorizationFailed
            | ErrorCode::UnsupportedVersion,
        ) => Fatal,
        Some(ErrorCode::InvalidProducerIdMapping) => Forgotten,
        Some(_) | None => Abort,
    }
}
