//! The settings that choose one of several.

use std::time::Duration;

/// Where to begin where nothing is committed, or what is committed is out of range:
/// `auto.offset.reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AutoOffsetReset {
    /// At the oldest record that is left.
    Earliest,
    /// Behind the newest record. Records written before the first poll of a new partition are
    /// passed over.
    Latest,
    /// At the first record that is no older than this, or behind the newest (KIP-1106).
    ByDuration(Duration),
    /// Nowhere: it is an error.
    None,
}

/// What is seen of transactions: `isolation.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsolationLevel {
    /// Everything, aborted records too.
    ReadUncommitted,
    /// Only what was committed, and nothing behind the first open transaction (KIP-98).
    ReadCommitted,
}

impl IsolationLevel {
    /// What requests say for it.
    #[must_use]
    pub fn to_wire(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// How the partitions of a group's topics are given to its members:
/// `partition.assignment.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AssignmentStrategy {
    /// Topic by topic, each member a run of neighbours.
    Range,
    /// All partitions in turn.
    RoundRobin,
    /// Evenly, and each member keeps what it has. All stop while partitions move.
    Sticky,
    /// Evenly, and each member keeps what it has. Only what moves stops (KIP-429).
    CooperativeSticky,
}
