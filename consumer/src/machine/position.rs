//! A place in a partition.

use bytestring::ByteString;
use ottla_core::types::LeaderEpoch;

/// A place in a partition: the next record, and the epoch of the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The offset of the next record, never negative.
    pub offset: i64,
    /// The leader epoch of the record before it (KIP-320); `None` where it is not known.
    pub leader_epoch: Option<LeaderEpoch>,
}

impl Position {
    /// A place of which only the offset is known.
    #[must_use]
    pub fn at(offset: i64) -> Self {
        Self { offset, leader_epoch: None }
    }
}

/// What a group stores for a partition.
///
/// # Kafka
///
/// Java's `OffsetAndMetadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetAndEpoch {
    /// The offset of the next record to be consumed, never negative.
    pub offset: i64,
    /// The leader epoch of the record before it (KIP-320); `None` where it is not known.
    pub leader_epoch: Option<LeaderEpoch>,
    /// A note of the application; empty for none.
    pub metadata: ByteString,
}

impl From<Position> for OffsetAndEpoch {
    fn from(Position { offset, leader_epoch }: Position) -> Self {
        Self { offset, leader_epoch, metadata: ByteString::new() }
    }
}

impl OffsetAndEpoch {
    /// Where the group goes on.
    #[must_use]
    pub fn position(&self) -> Position {
        Position { offset: self.offset, leader_epoch: self.leader_epoch }
    }
}
