//! Handles to the coordinators of a running cluster.

use ottla_protocol::ErrorCode;

use super::Cluster;
use crate::world::catalog::CoordinatorType;
use crate::world::{NodeId, TransactionDescription};

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

/// One transactional id.
#[derive(Debug, Clone, Copy)]
pub struct TransactionHandle<'a> {
    cluster: &'a Cluster,
    id: &'a str,
}

impl<'a> TransactionHandle<'a> {
    pub(super) fn new(cluster: &'a Cluster, id: &'a str) -> Self {
        Self { cluster, id }
    }

    /// What the coordinator knows of it; `None` while no producer has used it.
    #[must_use]
    pub fn describe(self) -> Option<TransactionDescription> {
        self.cluster.run(|world, _| world.transaction(self.id))
    }

    /// The state of its latest transaction, in Kafka's words; `None` while no producer has used
    /// it.
    #[must_use]
    pub fn state(self) -> Option<&'static str> {
        self.describe().map(|described| described.state)
    }

    /// The broker that coordinates it; `None` while none is up. No producer need have used it.
    #[must_use]
    pub fn coordinator(self) -> Option<i32> {
        self.cluster.coordinator(CoordinatorType::Transaction, self.id)
    }

    /// Has another broker coordinate it.
    ///
    /// # Errors
    ///
    /// `BROKER_NOT_AVAILABLE` when that one is down.
    pub fn move_coordinator(self, to: i32) -> Result<(), ErrorCode> {
        self.cluster.run(|world, now| world.move_transaction_coordinator(self.id, NodeId(to), now))
    }

    /// Aborts the transaction that is open as if it had taken too long, and fences its producer.
    pub fn expire(self) {
        self.cluster.run(|world, now| world.expire_transaction(self.id, now));
    }

    /// Holds its markers back: transactions that end stay `PrepareCommit` or `PrepareAbort`, as
    /// they do for some milliseconds in Kafka, and the producer is told
    /// `CONCURRENT_TRANSACTIONS`.
    pub fn hold_markers(self) {
        self.cluster.run(|world, _| world.hold_markers(self.id));
    }

    /// Writes the markers that were held back, and holds none any more.
    pub fn release_markers(self) {
        self.cluster.run(|world, now| world.release_markers(self.id, now));
    }

    /// Leaves its producer one epoch, which the next `InitProducerId` is given.
    pub fn exhaust_epoch(self) {
        self.cluster.run(|world, _| world.exhaust_producer_epoch(self.id));
    }
}
