//! What the application is told about its membership.

use std::fmt;
use std::time::Duration;

use ottla_core::types::TopicPartition;

use super::GroupError;

/// Names one notice. Later ones are greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct NoticeId(pub(super) u64);

impl NoticeId {
    /// The number, from 1 on.
    #[must_use]
    pub fn number(self) -> u64 {
        self.0
    }
}

/// Something that the application has to act on before anything else happens to its assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupNotice {
    /// Its name, to be given back when it has been acted on.
    pub id: NoticeId,
    /// What happened.
    pub event: GroupEvent,
}

/// What happens to the assignment of a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// A generation began.
    Assigned {
        /// The partitions that are new, sorted; empty where the generation brought none.
        added: Vec<TopicPartition>,
        /// All that the member owns now, sorted.
        owned: Vec<TopicPartition>,
    },
    /// These have to be given up, sorted. They are still owned: offsets may be committed until the
    /// notice is finished.
    Revoking {
        /// The partitions.
        partitions: Vec<TopicPartition>,
    },
    /// These were owned and belong to somebody else by now, perhaps: nothing of them may be
    /// delivered, and commits are refused.
    Lost {
        /// The partitions, sorted.
        partitions: Vec<TopicPartition>,
        /// Why.
        reason: LossReason,
    },
    /// The member was refused something. If it could not go on, it has lost its partitions before
    /// this, and joins again once this is finished, unless another has its place.
    Failed(GroupError),
}

impl fmt::Display for GroupEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Assigned { added, owned } => {
                write!(f, "assigned {} partitions, {} in all", added.len(), owned.len())
            }
            Self::Revoking { partitions } => write!(f, "revoking {} partitions", partitions.len()),
            Self::Lost { partitions, reason } => {
                write!(f, "lost {} partitions: {reason}", partitions.len())
            }
            Self::Failed(error) => write!(f, "failed: {error}"),
        }
    }
}

/// Why a member lost its partitions without being asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LossReason {
    /// The coordinator put the member out: another generation began without it.
    Fenced,
    /// Nothing was heard of the coordinator for `session.timeout.ms`, so that the group has gone on
    /// without this member.
    SessionExpired {
        /// `session.timeout.ms`.
        session_timeout: Duration,
    },
    /// The application did not poll for `max.poll.interval.ms`.
    PollOverdue {
        /// `max.poll.interval.ms`.
        max_poll_interval: Duration,
    },
    /// The member could not go on; the next error says why.
    Failed,
}

impl fmt::Display for LossReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fenced => f.write_str("the coordinator put this member out of its group"),
            Self::SessionExpired { session_timeout } => write!(
                f,
                "nothing was heard of the coordinator for session.timeout.ms={}",
                session_timeout.as_millis()
            ),
            Self::PollOverdue { max_poll_interval } => write!(
                f,
                "poll was not called for max.poll.interval.ms={}; poll more often, fetch less at \
                 a time, or raise it",
                max_poll_interval.as_millis()
            ),
            Self::Failed => f.write_str("the member could not go on; the next error says why"),
        }
    }
}
