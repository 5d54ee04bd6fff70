//! How far a group is behind.

use std::collections::BTreeMap;
use std::fmt;

use ottla_core::types::TopicPartition;
use ottla_protocol::ByteString;

use super::{CommittedOffset, Isolation, ListedOffset};
use crate::{AdminError, Results};

/// Finds out how far a group is behind.
#[derive(Debug)]
pub struct Lag {
    pub(crate) group: ByteString,
    pub(crate) isolation: Isolation,
}

/// How far a group is behind in each partition that it has committed an offset for, in the
/// partitions' order. It is not known of a partition whose leader, or whose committed offset, could
/// not be asked for.
#[derive(Debug, Clone)]
#[must_use = "some lag may be unknown; `into_result` gives that of all partitions or the first error"]
pub struct GroupLag {
    partitions: BTreeMap<TopicPartition, PartitionLag>,
    errors: BTreeMap<TopicPartition, AdminError>,
}

/// How far a group is behind in one partition. Shown as the number of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PartitionLag {
    /// The offset of the next record that the group consumes.
    pub committed: i64,
    /// The offset of the next record that will be written, as consumers of the chosen isolation see
    /// it.
    pub end: i64,
}

impl PartitionLag {
    /// How many offsets lie between. Some of them may have no record: compaction and transactions
    /// leave gaps. 0 if the group is beyond the end, as it is after the loss of records.
    #[must_use]
    pub fn records(self) -> u64 {
        u64::try_from(self.end.saturating_sub(self.committed)).unwrap_or(0)
    }
}

impl fmt::Display for PartitionLag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.records().fmt(f)
    }
}

impl GroupLag {
    /// Each partition of which it is known, with how far the group is behind in it.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicPartition, PartitionLag)> {
        self.partitions.iter().map(|(partition, lag)| (partition, *lag))
    }

    /// The partitions whose lag is not known, and why.
    pub fn errors(&self) -> impl Iterator<Item = (&TopicPartition, &AdminError)> {
        self.errors.iter()
    }

    /// How far the group is behind in one partition; `None` if that is not known, or the group has
    /// committed nothing there.
    #[must_use]
    pub fn get(&self, partition: &TopicPartition) -> Option<PartitionLag> {
        self.partitions.get(partition).copied()
    }

    /// The lag of all partitions together; `None` while [`errors`](Self::errors) has any, as what is
    /// known of the others may be much too little. 0 for a group that has committed nothing: there is
    /// no lag of a partition without a committed offset.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        let known = self.iter().map(|(_, lag)| lag.records()).fold(0, u64::saturating_add);
        self.errors.is_empty().then_some(known)
    }

    /// How far the group is behind in every partition that it has committed an offset for.
    ///
    /// # Errors
    ///
    /// Why the lag of a partition is not known, the first in the partitions' order, if there is one.
    pub fn into_result(self) -> Result<BTreeMap<TopicPartition, PartitionLag>, AdminError> {
        match self.errors.into_values().next() {
            Some(error) => Err(error),
            None => Ok(self.partitions),
        }
    }

    /// Puts what was committed and where partitions end together.
    pub(crate) fn between(
        committed: Results<TopicPartition, CommittedOffset>,
        mut ends: BTreeMap<TopicPartition, Result<ListedOffset, AdminError>>,
    ) -> Self {
        let mut lag = Self { partitions: BTreeMap::new(), errors: BTreeMap::new() };
        for (partition, committed) in committed {
            let between = committed.and_then(|committed| {
                let end = ends.remove(&partition).transpose()?.and_then(|end| end.offset);
                // A log that cannot say where it ends is as long as what was consumed of it.
                let end = end.unwrap_or(committed.offset);
                Ok(PartitionLag { committed: committed.offset, end })
            });
            match between {
                Ok(between) => drop(lag.partitions.insert(partition, between)),
                Err(error) => drop(lag.errors.insert(partition, error)),
            }
        }
        lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_core::error::{Certainty, ErrorCode};

    #[test]
    fn the_lag_is_what_lies_between() {
        let lag = lag([(0, Ok(3)), (1, Ok(8))], [(0, Ok(10)), (1, Ok(8))]);
        let shown: Vec<_> = lag.iter().map(|(tp, behind)| format!("{tp}: {behind}")).collect();
        assert_eq!(shown, ["orders-0: 7", "orders-1: 0"]);
        assert_eq!(lag.total(), Some(7));
    }

    #[test]
    fn a_group_beyond_the_end_is_not_behind() {
        assert_eq!(lag([(0, Ok(12))], [(0, Ok(10))]).total(), Some(0));
    }

    #[test]
    fn a_partition_whose_end_is_unknown_hides_no_other() {
        let lag = lag([(0, Ok(3)), (1, Ok(8))], [(0, Ok(10)), (1, Err(error()))]);
        assert_eq!(lag.iter().count(), 1);
        assert_eq!(lag.errors().next().map(|(tp, _)| tp.partition), Some(1));
        assert_eq!(lag.get(&TopicPartition::new("orders", 1)), None);
        let error = lag.into_result().unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::LeaderNotAvailable));
    }

    #[test]
    fn a_lag_that_is_unknown_somewhere_is_no_total() {
        assert_eq!(lag([(0, Ok(8)), (1, Ok(8))], [(0, Ok(8)), (1, Err(error()))]).total(), None);
        assert_eq!(lag([(0, Err(error()))], [(0, Ok(8))]).total(), None);
    }

    #[test]
    fn a_lag_that_is_known_everywhere_is_a_result() {
        let lag = lag([(0, Ok(3)), (1, Ok(8))], [(0, Ok(10)), (1, Ok(8))]).into_result().unwrap();
        assert_eq!(lag.values().map(|lag| lag.records()).collect::<Vec<_>>(), [7, 0]);
    }

    fn lag<const N: usize>(
        committed: [(i32, Result<i64, AdminError>); N],
        ends: [(i32, Result<i64, AdminError>); N],
    ) -> GroupLag {
        let partition = |index| TopicPartition::new("orders", index);
        let committed = committed.into_iter().map(|(index, offset)| {
            let metadata = ByteString::new();
            let committed =
                offset.map(|offset| CommittedOffset { offset, leader_epoch: None, metadata });
            (partition(index), committed)
        });
        let ends = ends.into_iter().map(|(index, offset)| {
            let end = offset.map(|offset| ListedOffset {
                offset: Some(offset),
                timestamp: None,
                leader_epoch: None,
            });
            (partition(index), end)
        });
        GroupLag::between(Results::new(committed.collect()), ends.collect())
    }

    fn error() -> AdminError {
        AdminError::Refused {
            subject: "list offsets".into(),
            code: ErrorCode::LeaderNotAvailable,
            message: None,
            certainty: Certainty::NotWritten,
        }
    }
}
