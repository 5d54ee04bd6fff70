//! Epochs of leaders.

use std::fmt;

/// The epoch of a partition's leader (KIP-320). Comparable only within that partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(i32);

impl LeaderEpoch {
    /// The epoch that the wire says; `None` for −1, its "unknown".
    #[must_use]
    pub fn from_wire(raw: i32) -> Option<Self> {
        (raw >= 0).then_some(Self(raw))
    }

    /// What the wire says for an epoch that may be unknown.
    #[must_use]
    pub fn to_wire(epoch: Option<Self>) -> i32 {
        epoch.map_or(-1, |epoch| epoch.0)
    }

    /// The number, never negative.
    #[must_use]
    pub fn number(self) -> i32 {
        self.0
    }
}

impl fmt::Display for LeaderEpoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_epoch_is_no_epoch() {
        assert_eq!(LeaderEpoch::from_wire(-1), None);
        assert_eq!(LeaderEpoch::to_wire(None), -1);
        assert_eq!(LeaderEpoch::to_wire(LeaderEpoch::from_wire(7)), 7);
    }
}
