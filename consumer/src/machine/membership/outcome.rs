//! What each answer of a coordinator means: the error table of the group's APIs.

use ottla_core::error::{ErrorClass, ErrorCode};

/// What an answer asks of the member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It worked.
    Done,
    /// The same again, soon.
    Retry,
    /// The same again, of the coordinator, which is another one.
    Rediscover,
    /// The group is rebalancing: join again, as the same member.
    Rejoin,
    /// The generation is over: what was owned is lost; join again under the same id.
    RejoinFenced,
    /// The member is not known: what was owned is lost; join again as a new member.
    RejoinAnew,
    /// Join again with the id that the answer brings (KIP-394).
    AdoptMemberId,
    /// The coordinator does not know the topic: not yet, or not any more. The same again for a little
    /// while.
    UnknownTopic,
    /// Another consumer has this `group.instance.id` (KIP-345).
    FencedInstance,
    /// Trying again will not help.
    Refused,
}

/// What an answer to `JoinGroup` means.
#[must_use]
pub fn join_answer(code: ErrorCode) -> Answer {
    match code {
        ErrorCode::MemberIdRequired => Answer::AdoptMemberId,
        ErrorCode::RebalanceInProgress => Answer::Retry,
        _ => member_answer(code),
    }
}

/// What an answer to `SyncGroup` means.
#[must_use]
pub fn sync_answer(code: ErrorCode) -> Answer {
    member_answer(code)
}

/// What an answer to `Heartbeat` means.
#[must_use]
pub fn heartbeat_answer(code: ErrorCode) -> Answer {
    member_answer(code)
}

/// What an answer to `OffsetCommit`, or to one partition of it, means.
#[must_use]
pub fn commit_answer(code: ErrorCode) -> Answer {
    match code {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => Answer::UnknownTopic,
        ErrorCode::RequestTimedOut => Answer::Retry,
        // Version 9 says so of a group that was deleted, or that nobody joined.
        ErrorCode::StaleMemberEpoch => Answer::Rejoin,
        ErrorCode::GroupIdNotFound => Answer::RejoinAnew,
        _ => member_answer(code),
    }
}

/// What an answer to `OffsetFetch`, or to one partition of it, means.
#[must_use]
pub fn fetch_answer(code: ErrorCode) -> Answer {
    match code {
        ErrorCode::UnstableOffsetCommit => Answer::Retry,
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId => Answer::UnknownTopic,
        _ => member_answer(code),
    }
}

fn member_answer(code: ErrorCode) -> Answer {
    match code {
        ErrorCode::None => Answer::Done,
        ErrorCode::CoordinatorLoadInProgress => Answer::Retry,
        ErrorCode::CoordinatorNotAvailable
        | ErrorCode::NotCoordinator
        | ErrorCode::NetworkException => Answer::Rediscover,
        ErrorCode::RebalanceInProgress => Answer::Rejoin,
        ErrorCode::IllegalGeneration => Answer::RejoinFenced,
        ErrorCode::UnknownMemberId => Answer::RejoinAnew,
        ErrorCode::FencedInstanceId => Answer::FencedInstance,
        // By its class, because brokers may be newer than this table.
        _ => match code.class() {
            None => Answer::Done,
            Some(ErrorClass::Retriable) => Answer::Retry,
            Some(ErrorClass::RefreshRetriable) => Answer::Rediscover,
            Some(
                ErrorClass::Abortable
                | ErrorClass::ApplicationRecoverable
                | ErrorClass::InvalidConfiguration
                | ErrorClass::Fatal,
            ) => Answer::Refused,
        },
    }
}
