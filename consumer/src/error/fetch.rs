//! Why a partition cannot be read on.

use ottla_core::error::{ErrorKind, WithCauses};
use ottla_core::types::TopicPartition;
use ottla_protocol::compression::CompressionError;
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
    /// A batch cannot be read: damage on the way or on disk, more bytes than it may unpack to, or a
    /// codec that is not compiled in.
    #[error(
        "{partition}: the records from offset {offset} cannot be read ({}); {}",
        WithCauses(source),
        remedy(source)
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

/// Only what is damaged is for an application to pass over.
pub(super) fn unreadable_kind(source: &RecordsError) -> ErrorKind {
    match source {
        RecordsError::Compression(CompressionError::OutputTooLarge { .. }) => ErrorKind::Config,
        RecordsError::Compression(
            CompressionError::Disabled { .. }
            | CompressionError::UnknownCodec { .. }
            | CompressionError::WindowTooLarge { .. },
        ) => ErrorKind::Unsupported,
        _ => ErrorKind::Corrupt,
    }
}

/// What to do about records that cannot be read. Those of a sound batch need not be given up.
fn remedy(source: &RecordsError) -> &'static str {
    match source {
        RecordsError::Compression(CompressionError::OutputTooLarge { .. }) => {
            "raise max.decompressed.batch.bytes, or seek past them to go on"
        }
        RecordsError::Compression(
            CompressionError::Disabled { .. } | CompressionError::WindowTooLarge { .. },
        ) => "build with the Cargo feature that the cause names, or seek past them to go on",
        _ => "seek past them to go on",
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::compression::Compression;

    use super::*;
    use crate::error::ConsumerError;

    #[test]
    fn sound_records_that_are_not_read_come_with_what_would_read_them() {
        let compression = Compression::Zstd;
        let unread = |error| RecordsError::Compression(error);
        let damaged = RecordsError::CrcMismatch { base_offset: 7, stored: 1, computed: 2 };
        let disabled = CompressionError::Disabled { compression, feature: "zstd" };
        let wide = CompressionError::WindowTooLarge { window: 2, max: 1 };
        let large = CompressionError::OutputTooLarge { limit: 1 };
        for (source, remedy, kind) in [
            (damaged, "); seek past them to go on", ErrorKind::Corrupt),
            (unread(disabled), "build with the Cargo feature", ErrorKind::Unsupported),
            (unread(wide), "build with the Cargo feature", ErrorKind::Unsupported),
            (unread(large), "raise max.decompressed.batch.bytes", ErrorKind::Config),
        ] {
            let partition = TopicPartition::new("t", 0);
            let error = FetchError::Unreadable { partition, offset: 7, source };
            assert!(error.to_string().contains(remedy), "{error}");
            assert_eq!(ConsumerError::from(error).kind(), kind);
        }
    }
}
