//! Who gets which partition, decided by the member that leads the group.
//!
//! | assignor | how | `partition.assignment.strategy` |
//! |---|---|---|
//! | [`RangeAssignor`] | each topic in consecutive runs, in racks where that is possible | `range` |
//! | [`RoundRobinAssignor`] | one partition after the other, in turn | `roundrobin` |
//! | [`StickyAssignor`] | balanced, with as few moves as possible | `sticky` |
//! | [`CooperativeStickyAssignor`] | the same, and what does not move is never given up | `cooperative-sticky` |
//!
//! The names, the outcomes and what members tell one another are those of Java's assignors, so that
//! groups may mix clients.

mod api;
mod range;
mod round_robin;
mod sticky;
mod subscribers;
#[cfg(test)]
mod tests;

pub use api::{
    AssignError, Assignment, Assignor, ClusterTopics, MemberAssignment, MemberSubscription,
    PartitionReplicas, PreviousAssignment, RebalanceProtocol,
};
pub use range::RangeAssignor;
pub use round_robin::RoundRobinAssignor;
pub use sticky::{CooperativeStickyAssignor, StickyAssignor};
