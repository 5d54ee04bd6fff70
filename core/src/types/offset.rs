//! Offsets as groups keep them.

use std::collections::BTreeMap;

use super::{LeaderEpoch, TopicPartition};
use bytestring::ByteString;

/// Offsets to be committed.
pub type Offsets = BTreeMap<TopicPartition, Offset>;

/// Where a group goes on in one partition.
///
/// # Kafka
///
/// Java's `OffsetAndMetadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offset {
    /// The next offset to be processed, not negative: one more than the last that was.
    pub offset: i64,
    /// The leader epoch of the last record that was processed (KIP-320).
    pub leader_epoch: Option<LeaderEpoch>,
    /// What the application keeps beside it; empty by default.
    pub metadata: ByteString,
}

impl Offset {
    /// An offset without leader epoch or metadata.
    #[must_use]
    pub fn new(offset: i64) -> Self {
        Self { offset, leader_epoch: None, metadata: ByteString::new() }
    }

    /// With the leader epoch of the last record that was processed.
    #[must_use]
    pub fn with_leader_epoch(self, leader_epoch: Option<LeaderEpoch>) -> Self {
        Self { leader_epoch, ..self }
    }

    /// With something of the application's own.
    #[must_use]
    pub fn with_metadata(self, metadata: impl Into<ByteString>) -> Self {
        Self { metadata: metadata.into(), ..self }
    }
}
