//! Why a partition cannot be read on.

use ottla_core::types::TopicPartition;
use ottla_protocol::records::RecordsError;
use ottla_protocol::{ErrorClass, ErrorCode};

/// Why a partition cannot be read on. The others are read on meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Nothing is committed for the partition, and `auto.offset.reset=none`.
    #[error("{partition}: no offset is committed and auto.offset.reset=none; seek, or set it")]
    NoOffset {
        /// The partition. It is not read until a seek.
        partition: TopicPartition,
    },
    /// The leader has no such offset, and `auto.offset.reset=none`.
    #[error(
        "{partition}: offset {offset} is out of range and auto.offset.reset=none; seek, or set it"
    )]
    OffsetOutOfRange {
        /// The partition. It is not read until a seek.
        partition: TopicPartition,
        /// The offset that was asked for.
        offset: i64,
    },
    /// Records that were read are gone from the log: an unclean election chose a leader without them
    /// (KIP-320). With `auto.offset.reset=none` only; otherwise it is an event, and the partition is
    /// read from where the logs part.
    #[error("{partition}: the log was truncated below offset {offset}, and auto.offset.reset=none")]
    Truncated {
        /// The partition. It is not read until a seek.
        partition: TopicPartition,
        /// Where it would have been read next.
        offset: i64,
        /// Where the log parts from what was read; `None` when the leader cannot tell.
        diverging: Option<i64>,
    },
    /// The topic was deleted and made again, and `auto.offset.reset=none`.
    #[error("{partition}: the topic was deleted and made again, and auto.offset.reset=none")]
    TopicRecreated {
        /// The partition. It is not read until a seek.
        partition: TopicPartition,
    },
    /// A batch cannot be read: damage on the way or on disk, or a codec that is not compiled in.
    #[error(
        "{partition}: the records from offset {offset} cannot be read; seek past them to go on"
    )]
    Unreadable {
        /// The partition. It is not read until a seek.
        partition: TopicPartition,
        /// The first offset that cannot be read.
        offset: i64,
        /// What is wrong.
        #[source]
        source: RecordsError,
    },
    /// The broker refuses to hand out the partition. It is asked again, with backoff.
    #[error("{partition}: {code}")]
    Refused {
        /// The partition.
        partition: TopicPartition,
        /// What the broker said.
        code: ErrorCode,
    },
}

impl FetchError {
    /// What to do about it (KIP-1050).
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoOffset { .. } | Self::OffsetOutOfRange { .. } => {
                ErrorClass::InvalidConfiguration
            }
            Self::Truncated { .. } | Self::TopicRecreated { .. } | Self::Unreadable { .. } => {
                ErrorClass::ApplicationRecoverable
            }
            Self::Refused { code, .. } => code.class().unwrap_or(ErrorClass::Fatal),
        }
    }

    /// The partition.
    #[must_use]
    pub fn partition(&self) -> &TopicPartition {
        match self {
            Self::NoOffset { partition }
            | Self::OffsetOutOfRange { partition, .. }
            | Self::Truncated { partition, .. }
            | Self::TopicRecreated { partition }
            | Self::Unreadable { partition, .. }
            | Self::Refused { partition, .. } => partition,
        }
    }
}
