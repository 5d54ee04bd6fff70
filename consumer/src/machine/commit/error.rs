//! Why offsets were not committed, or not looked up.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::error::{ErrorClass, ErrorCode, RequestError, WithCauses};
use ottla_core::types::TopicPartition;

/// Why offsets were not committed, or committed offsets not looked up.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// The coordinator could not be reached.
    #[error("the group coordinator could not be reached: {}", WithCauses(.0))]
    Request(#[from] RequestError),
    /// The coordinator refused one partition; others of the same call may have been taken.
    #[error("{partition}: refused with {code}{}", hint(*.code))]
    Partition {
        /// The partition.
        partition: TopicPartition,
        /// What the coordinator said.
        code: ErrorCode,
    },
    /// The coordinator refused all of it.
    #[error("refused with {code}{}", hint(*.code))]
    Group {
        /// What the coordinator said.
        code: ErrorCode,
    },
    /// This consumer is no member of the group any more: others have its partitions, and will
    /// process again what was not committed.
    #[error(
        "this consumer is no longer a member of its group, and others have its partitions; the next \
         poll rejoins"
    )]
    NotMember,
    /// Another consumer with the same `group.instance.id` has taken over.
    #[error("another consumer uses the same group.instance.id; this one must stop")]
    Fenced,
    /// The partition was given up before it was committed.
    #[error("{partition} no longer belongs to this consumer")]
    NotOwned {
        /// The partition.
        partition: TopicPartition,
    },
    /// The group waits for this consumer to give partitions up, which it does in its poll.
    #[error("the group is rebalancing; poll, and commit again")]
    Rebalancing,
    /// The deadline passed first.
    #[error(
        "not answered for within {} ms{}{}",
        within.as_millis(),
        said(*.last),
        because(.cause.as_deref())
    )]
    DeadlineExceeded {
        /// The time that there was.
        within: Duration,
        /// What the coordinator said last, if it said anything.
        last: Option<ErrorCode>,
        /// Why the last attempt had no answer; `None` where it had one.
        #[source]
        cause: Option<Arc<RequestError>>,
    },
    /// The consumer was closed.
    #[error("the consumer was closed")]
    Closed,
}

impl CommitError {
    /// What to do about it (KIP-1050).
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Request(error) => error.class(),
            Self::Partition { code, .. } | Self::Group { code } => {
                code.class().unwrap_or(ErrorClass::Fatal)
            }
            Self::NotMember | Self::NotOwned { .. } | Self::Closed => {
                ErrorClass::ApplicationRecoverable
            }
            Self::Fenced => ErrorClass::Fatal,
            Self::Rebalancing | Self::DeadlineExceeded { .. } => ErrorClass::Retriable,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.class().is_retriable()
    }

    /// Whether trying again will not help.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.class() == ErrorClass::Fatal
    }
}

fn hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::OffsetMetadataTooLarge => {
            "; the broker's offset.metadata.max.bytes is the bound of the committed metadata"
        }
        ErrorCode::UnknownMemberId | ErrorCode::IllegalGeneration => {
            "; the group has members that subscribe, and only they may commit"
        }
        ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition => {
            "; the topic was deleted, or made again since"
        }
        ErrorCode::GroupAuthorizationFailed => "; it needs READ on the group",
        ErrorCode::TopicAuthorizationFailed => "; it needs READ on the topic",
        _ => "",
    }
}

fn because(cause: Option<&RequestError>) -> String {
    cause.map_or_else(String::new, |cause| format!(": {}", WithCauses(cause)))
}

fn said(last: Option<ErrorCode>) -> String {
    last.map_or_else(String::new, |code| format!("; the coordinator last said {code}"))
}
