//! Why a call of the consumer failed.

use std::sync::Arc;

use ottla_core::error::{Error, ErrorKind, RequestError, WithCauses};
use ottla_core::types::{TopicName, TopicPartition};
use ottla_protocol::{ErrorClass, ErrorCode};

use super::FetchError;
use super::fetch::unreadable_kind;
use crate::config::ConsumerConfigProblem;
use crate::machine::commit::CommitError;
use crate::machine::membership::GroupError;
use crate::machine::subscription::PatternError;

/// Why a call of a consumer failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// Settings do not fit one another.
    #[error("consumer settings: {}", listed(.problems))]
    Config {
        /// All of what is wrong; not empty.
        problems: Vec<ConsumerConfigProblem>,
    },
    /// A partition cannot be read on; the others can.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The consumer was closed.
    #[error("the consumer is closed")]
    Closed,
    /// The consumer has neither partitions nor a subscription.
    #[error("nothing to read: assign partitions or subscribe to topics first")]
    NothingAssigned,
    /// A consumer reads what its group gives it or what it is assigned, and not both.
    #[error(
        "a consumer that subscribes cannot be assigned partitions, nor one with assigned partitions \
         subscribe; make another consumer for that"
    )]
    Exclusive,
    /// The partition is not assigned to this consumer, or not any more.
    #[error("{partition} is not assigned to this consumer")]
    NotAssigned {
        /// The partition.
        partition: TopicPartition,
    },
    /// The topic cannot be read.
    #[error("topic {topic}: {code}")]
    Topic {
        /// The topic.
        topic: TopicName,
        /// What the broker said.
        code: ErrorCode,
    },
    /// A broker refuses to say where in a partition something is.
    #[error("offsets of {partition}: {code}")]
    Offsets {
        /// The partition.
        partition: TopicPartition,
        /// What the broker said.
        code: ErrorCode,
    },
    /// A pattern is not a regular expression.
    #[error(transparent)]
    Pattern(#[from] PatternError),
    /// The call needs a group, and there is none.
    #[error("this needs a group; set group.id")]
    NoGroup,
    /// The member could not go on.
    #[error(transparent)]
    Group(#[from] GroupError),
    /// Offsets were not committed, or not looked up.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// The application's rebalance listener failed.
    #[error("the rebalance listener failed: {}", WithCauses(source))]
    Listener {
        /// What it said.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// The application's rebalance listener panicked. What it was told of has happened all the same.
    #[error("the rebalance listener panicked: {what}")]
    ListenerPanicked {
        /// What it panicked with.
        what: Arc<str>,
    },
    /// No broker answered.
    #[error(transparent)]
    Request(#[from] RequestError),
}

impl ConsumerError {
    /// What to do about it (KIP-1050).
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Fetch(error) => error.class(),
            Self::Closed | Self::NothingAssigned | Self::Exclusive | Self::NotAssigned { .. } => {
                ErrorClass::ApplicationRecoverable
            }
            Self::Topic { code, .. } | Self::Offsets { code, .. } => {
                code.class().unwrap_or(ErrorClass::Fatal)
            }
            Self::Group(error) => error.class(),
            Self::Commit(error) => error.class(),
            Self::Listener { .. } | Self::ListenerPanicked { .. } => {
                ErrorClass::ApplicationRecoverable
            }
            Self::Config { .. } | Self::Pattern(_) | Self::NoGroup => {
                ErrorClass::InvalidConfiguration
            }
            Self::Request(error) => error.class(),
        }
    }
}

impl ConsumerError {
    /// Whether the consumer must be given up: a new one may do better. After any other error it can
    /// be used on.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            Self::Closed | Self::Commit(CommitError::Closed | CommitError::Fenced) => true,
            // The next poll has the member try again after any other.
            Self::Group(error) => error.is_fatal(),
            Self::Request(error) | Self::Commit(CommitError::Request(error)) => {
                error.class().ends_client()
            }
            // A seek, an assignment or the next poll mends these, or somebody who changes rights.
            Self::Fetch(_)
            | Self::NothingAssigned
            | Self::Exclusive
            | Self::NotAssigned { .. }
            | Self::Topic { .. }
            | Self::Offsets { .. }
            | Self::Commit(_)
            | Self::Listener { .. }
            | Self::ListenerPanicked { .. }
            | Self::Config { .. }
            | Self::Pattern(_)
            | Self::NoGroup => false,
        }
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Fetch(FetchError::Unreadable { source, .. }) => unreadable_kind(source),
            Self::Fetch(FetchError::TopicRecreated { .. }) => ErrorKind::UnknownTopic,
            Self::Fetch(FetchError::Refused { code, .. }) => ErrorKind::of(*code),
            Self::Fetch(
                FetchError::NoOffset { .. }
                | FetchError::OffsetOutOfRange { .. }
                | FetchError::Truncated { .. },
            ) => ErrorKind::OffsetOutOfRange,
            Self::Closed => ErrorKind::Closed,
            Self::NothingAssigned | Self::Exclusive | Self::NotAssigned { .. } | Self::NoGroup => {
                ErrorKind::State
            }
            Self::Topic { code, .. } | Self::Offsets { code, .. } => ErrorKind::of(*code),
            Self::Config { .. } | Self::Pattern(_) => ErrorKind::Config,
            Self::Group(GroupError::FencedInstance { .. }) | Self::Commit(CommitError::Fenced) => {
                ErrorKind::Fenced
            }
            Self::Group(GroupError::Refused { code, .. })
            | Self::Commit(CommitError::Group { code } | CommitError::Partition { code, .. }) => {
                ErrorKind::of(*code)
            }
            Self::Group(GroupError::UnknownAssignor { .. } | GroupError::Assign { .. }) => {
                ErrorKind::Config
            }
            Self::Group(GroupError::MalformedAssignment { .. }) => ErrorKind::Corrupt,
            Self::Group(GroupError::Request { source, .. }) => source.kind(),
            Self::Commit(CommitError::Request(error)) => error.kind(),
            Self::Commit(CommitError::DeadlineExceeded { cause: Some(error), .. }) => error.kind(),
            Self::Commit(CommitError::DeadlineExceeded { .. }) => ErrorKind::Timeout,
            Self::Commit(CommitError::Closed) => ErrorKind::Closed,
            Self::Commit(CommitError::Rebalancing) => ErrorKind::State,
            Self::Commit(CommitError::NotMember | CommitError::NotOwned { .. }) => {
                ErrorKind::GroupLost
            }
            Self::Listener { .. } | Self::ListenerPanicked { .. } => ErrorKind::Refused,
            Self::Request(error) => error.kind(),
        }
    }
}

fn listed(problems: &[ConsumerConfigProblem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl From<ConsumerError> for Error {
    fn from(error: ConsumerError) -> Self {
        match error {
            ConsumerError::Request(error) => Self::of_request("consume", error).build(),
            ConsumerError::Commit(CommitError::Request(error)) => {
                Self::of_request("group offsets", error).build()
            }
            ConsumerError::Commit(CommitError::DeadlineExceeded {
                within,
                cause: Some(last),
                ..
            }) => {
                let certainty = last.certainty();
                let late = RequestError::DeadlineExceeded { within, certainty, last: Some(last) };
                Self::of_request("group offsets", late).build()
            }
            error => {
                let (kind, class, fatal) = (error.kind(), error.class(), error.is_fatal());
                Self::of_operation(kind, class, error).fatal(fatal).build()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ottla_core::error::Certainty;

    use super::*;

    #[test]
    fn a_consumer_that_can_be_used_on_is_not_said_to_be_lost() {
        let partition = TopicPartition::new(TopicName::from("t"), 0);
        let usable = [
            ConsumerError::NothingAssigned,
            ConsumerError::NotAssigned { partition: partition.clone() },
            ConsumerError::Fetch(FetchError::TopicRecreated { partition: partition.clone() }),
            ConsumerError::Topic {
                topic: partition.topic.clone(),
                code: ErrorCode::TopicAuthorizationFailed,
            },
            ConsumerError::Group(GroupError::UnknownAssignor {
                group: "g".into(),
                protocol: "p".into(),
            }),
            ConsumerError::Group(GroupError::Refused {
                group: "g".into(),
                code: ErrorCode::GroupAuthorizationFailed,
            }),
            ConsumerError::Commit(CommitError::NotMember),
            ConsumerError::Commit(CommitError::NotOwned { partition }),
            ConsumerError::ListenerPanicked { what: "no".into() },
        ];
        for error in usable {
            assert!(!error.is_fatal(), "{error}");
            assert!(!Error::from(error.clone()).is_fatal(), "{error}");
        }
    }

    #[test]
    fn a_consumer_that_is_over_is_said_to_be() {
        let over = [
            ConsumerError::Closed,
            ConsumerError::Commit(CommitError::Fenced),
            ConsumerError::Group(GroupError::FencedInstance {
                group: "g".into(),
                instance: "i".into(),
            }),
            ConsumerError::Commit(CommitError::Request(closed())),
            ConsumerError::Request(closed()),
        ];
        for error in over {
            assert!(error.is_fatal(), "{error}");
            assert!(Error::from(error.clone()).is_fatal(), "{error}");
        }
    }

    fn closed() -> RequestError {
        RequestError::Closed { certainty: Certainty::NotWritten }
    }

    #[test]
    fn an_error_says_in_one_line_why() {
        let unroutable = RequestError::Unroutable { code: ErrorCode::CoordinatorNotAvailable };
        let late = RequestError::DeadlineExceeded {
            within: Duration::from_secs(60),
            certainty: Certainty::NotWritten,
            last: Some(Arc::new(unroutable.clone())),
        };
        let source = Arc::new(unroutable.clone());
        let group = GroupError::Request { group: "g".into(), source };
        let commit = CommitError::DeadlineExceeded {
            within: Duration::from_secs(60),
            last: None,
            cause: Some(Arc::new(unroutable)),
        };
        let listener = || Box::<dyn std::error::Error + Send + Sync>::from("the disk is full");
        for (error, why) in [
            (ConsumerError::Commit(CommitError::Request(late)), "CoordinatorNotAvailable"),
            (ConsumerError::Commit(commit), "CoordinatorNotAvailable"),
            (ConsumerError::Group(group), "CoordinatorNotAvailable"),
            (ConsumerError::Listener { source: listener().into() }, "the disk is full"),
        ] {
            assert!(error.to_string().ends_with(why), "{error}");
            let shown = format!("{:#}", Error::from(error));
            assert_eq!(shown.matches(why).count(), 1, "{shown}");
        }
    }

    #[test]
    fn what_a_request_failed_by_is_the_kind_of_error() {
        let refused = || RequestError::Unroutable { code: ErrorCode::GroupAuthorizationFailed };
        for error in [ConsumerError::Request(refused()), CommitError::Request(refused()).into()] {
            assert_eq!(error.kind(), ErrorKind::Authorization);
            assert_eq!(Error::from(error).kind(), ErrorKind::Authorization);
        }
    }
}
