//! Listing, describing and deleting groups.

mod delete;
mod describe;
mod list;

use std::fmt;

pub use delete::{DeleteGroup, DeleteGroups};
pub use describe::{DescribeGroup, DescribeGroups, GroupDescription, Member, MemberAssignment};
pub use list::{GroupListing, ListGroups, ListedGroup};

/// The state of a group.
///
/// # Kafka
///
/// Java's `GroupState`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GroupState {
    /// Members are joining.
    PreparingRebalance,
    /// The leader assigns partitions.
    CompletingRebalance,
    /// Every member has its assignment.
    Stable,
    /// The group is about to be forgotten.
    Dead,
    /// There are no members; offsets may be there still.
    Empty,
    /// The coordinator computes an assignment (KIP-848).
    Assigning,
    /// Members move to their new assignment (KIP-848).
    Reconciling,
    /// A streams group whose topology does not fit (KIP-1071).
    NotReady,
    /// A state that is not known here, or that the broker does not tell.
    Unknown,
}

impl GroupState {
    /// Kafka's word for it, as filters have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
            Self::Dead => "Dead",
            Self::Empty => "Empty",
            Self::Assigning => "Assigning",
            Self::Reconciling => "Reconciling",
            Self::NotReady => "NotReady",
            Self::Unknown => "Unknown",
        }
    }

    fn from_wire(name: &str) -> Self {
        STATES.into_iter().find(|state| state.name() == name).unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for GroupState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The protocol by which a group shares its partitions out.
///
/// # Kafka
///
/// Java's `GroupType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GroupType {
    /// One member assigns (KIP-62).
    Classic,
    /// The coordinator assigns (KIP-848).
    Consumer,
    /// Members share partitions (KIP-932).
    Share,
    /// Kafka Streams (KIP-1071).
    Streams,
    /// A type that is not known here, or that the broker does not tell.
    Unknown,
}

impl GroupType {
    /// Kafka's word for it, as filters have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Share => "share",
            Self::Streams => "streams",
            Self::Unknown => "unknown",
        }
    }

    fn from_wire(name: &str) -> Self {
        TYPES
            .into_iter()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
            .unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for GroupType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

const STATES: [GroupState; 8] = [
    GroupState::PreparingRebalance,
    GroupState::CompletingRebalance,
    GroupState::Stable,
    GroupState::Dead,
    GroupState::Empty,
    GroupState::Assigning,
    GroupState::Reconciling,
    GroupState::NotReady,
];

const TYPES: [GroupType; 4] =
    [GroupType::Classic, GroupType::Consumer, GroupType::Share, GroupType::Streams];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for state in STATES {
            assert_eq!(GroupState::from_wire(state.name()), state);
        }
        for kind in TYPES {
            assert_eq!(GroupType::from_wire(kind.name()), kind);
        }
        assert_eq!(GroupState::from_wire("Confused"), GroupState::Unknown);
        assert_eq!(GroupType::from_wire(""), GroupType::Unknown);
    }
}
