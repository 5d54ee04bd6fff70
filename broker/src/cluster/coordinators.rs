//! Handles to the coordinators of a running cluster.

use ottla_protocol::ErrorCode;

use super::Cluster;
use crate::world::NodeId;
use crate::world::catalog::CoordinatorType;

/// One group.
#[derive(Debug, Clone, Copy)]
pub struct GroupHandle<'a> {
    cluster: &'a Cluster,
    id: &'a str,
}

impl<'a> GroupHandle<'a> {
    pub(super) fn new(cluster: &'a Cluster, id: &'a str) -> Self {
        Self { cluster, id }
    }

    /// The broker that coordinates it; `None` while none is up. The group need not exist.
    #[must_use]
    pub fn coordinator(self) -> Option<i32> {
        self.cluster.coordinator(CoordinatorType::Group, self.id)
    }

    /// Has another broker coordinate it: members are sent there, and offsets are found there.
    ///
    /// # Errors
    ///
    /// `BROKER_NOT_AVAILABLE` when that one is down.
    pub fn move_coordinator(self, to: i32) -> Result<(), ErrorCode> {
        self.cluster.run(|world, now| world.move_group_coordinator(self.id, NodeId(to), now))
    }
}
