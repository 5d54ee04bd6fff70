//! A place in a partition.

use ottla_core::types::{LeaderEpoch, Offset};

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

impl From<Position> for Offset {
    fn from(position: Position) -> Self {
        Self::new(position.offset).with_leader_epoch(position.leader_epoch)
    }
}

impl From<&Offset> for Position {
    fn from(committed: &Offset) -> Self {
        Self { offset: committed.offset, leader_epoch: committed.leader_epoch }
    }
}

/// A place in a partition that only its leader can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OffsetSpec {
    /// The oldest record that is left.
    Earliest,
    /// Behind the newest record; with `isolation.level=read_committed`, the last stable offset.
    Latest,
    /// The first record with this timestamp or a later one, in milliseconds since 1970; behind the
    /// newest where there is none.
    Timestamp(i64),
}

impl OffsetSpec {
    /// What `ListOffsets` says for it.
    #[must_use]
    pub fn to_wire(self) -> i64 {
        match self {
            Self::Earliest => -2,
            Self::Latest => -1,
            Self::Timestamp(ms) => ms.max(0),
        }
    }
}
