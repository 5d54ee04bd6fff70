//! Why a call of the consumer failed.

use ottla_core::error::RequestError;
use ottla_core::types::{TopicName, TopicPartition};
use ottla_protocol::{ErrorClass, ErrorCode};

use super::FetchError;

/// Why a call of a consumer failed.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConsumerError {
    /// A partition cannot be read on; the others can.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The consumer was closed.
    #[error("the consumer is closed")]
    Closed,
    /// The consumer has neither partitions nor a subscription.
    #[error("nothing to read: assign partitions or subscribe to topics first")]
    NothingAssigned,
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
    #[error("`{pattern}` is not a pattern: {why}")]
    Pattern {
        /// The pattern.
        pattern: Box<str>,
        /// What is wrong with it.
        why: Box<str>,
    },
    /// The call needs a group, and there is none.
    #[error("this needs a group; set group.id")]
    NoGroup,
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
            Self::Closed | Self::NothingAssigned | Self::NotAssigned { .. } => {
                ErrorClass::ApplicationRecoverable
            }
            Self::Topic { code, .. } | Self::Offsets { code, .. } => {
                code.class().unwrap_or(ErrorClass::Fatal)
            }
            Self::Pattern { .. } | Self::NoGroup => ErrorClass::InvalidConfiguration,
            Self::Request(error) => error.class(),
        }
    }
}
