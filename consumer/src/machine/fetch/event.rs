//! What happened to partitions, that an application may want to know.

use std::fmt;

use ottla_core::types::TopicPartition;

/// Something that happened to a partition on its own, without an error and without the application.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchEvent {
    /// `auto.offset.reset` decided where to go on.
    Reset {
        /// The partition.
        partition: TopicPartition,
        /// Where it would have been read; `None` where that was not known.
        from: Option<i64>,
        /// Where it is read now.
        to: i64,
        /// Why.
        cause: ResetCause,
    },
    /// Records that were read are gone: an unclean election chose a leader without them (KIP-320).
    /// The partition is read from where the logs part, so that other records appear at offsets that
    /// were seen before.
    Truncated {
        /// The partition.
        partition: TopicPartition,
        /// Where it would have been read.
        from: i64,
        /// Where it is read now.
        to: i64,
    },
}

#[cfg(feature = "net")]
impl FetchEvent {
    /// The partition that is read from before where it was read, if this is such an event.
    pub(crate) fn went_back(&self) -> Option<&TopicPartition> {
        match self {
            Self::Reset { partition, from: Some(from), to, .. } => (to < from).then_some(partition),
            Self::Reset { from: None, .. } => None,
            Self::Truncated { partition, .. } => Some(partition),
        }
    }
}

impl fmt::Display for FetchEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reset { partition, from: Some(from), to, cause } => {
                write!(f, "{partition}: reset from offset {from} to {to}, because {cause}")
            }
            Self::Reset { partition, from: None, to, cause } => {
                write!(f, "{partition}: begins at offset {to}, because {cause}")
            }
            Self::Truncated { partition, from, to } => {
                write!(f, "{partition}: records from offset {to} to {from} were read and are gone")
            }
        }
    }
}

/// Why `auto.offset.reset` had to decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResetCause {
    /// The group has committed nothing for it, or there is no group.
    NoCommittedOffset,
    /// The offset is not in the log (any more): records were deleted before they were read, or the
    /// log is shorter than what was read.
    OutOfRange,
    /// The log was truncated, and its leader cannot tell where.
    Truncated,
    /// The topic was deleted and made again.
    TopicRecreated,
}

impl fmt::Display for ResetCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoCommittedOffset => "no offset is committed",
            Self::OutOfRange => "the offset is out of range",
            Self::Truncated => "the log was truncated",
            Self::TopicRecreated => "the topic was deleted and made again",
        })
    }
}
