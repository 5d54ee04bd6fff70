//! What is done to a cluster from outside, by its operator or by a test.

use ottla_protocol::{ErrorCode, Uuid};

use super::catalog::{Catalog, Node, TopicKey};
use super::{NodeId, Now, Requests, World};
use crate::partition::{Partition, Surroundings};

impl World {
    /// Adds a node, or moves it to another address. It is up from then on.
    pub fn add_node(&mut self, node: Node) {
        self.catalog.put_node(node);
    }

    /// The nodes and topics.
    #[must_use]
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// A node crashes, or comes back with its logs as they were. Its partitions fail over.
    pub fn set_alive(&mut self, node: NodeId, up: bool, now: Now) {
        let coordinators = self.group_coordinators();
        let transactions = self.transaction_coordinators();
        for (topic, index) in self.catalog.set_alive(node, up, now) {
            self.wake_partition(topic, index);
        }
        self.groups_moved_from(&coordinators, now.mono);
        self.transactions_moved_from(&transactions);
        self.write_markers(now);
        self.sessions.forget_node(node);
        self.frozen.remove(&node);
    }

    /// A node is paused, which is for whoever drives the world to see to, or goes on. Where
    /// coordinators moved meanwhile, it loads what it coordinates before it answers for it.
    pub fn set_paused(&mut self, node: NodeId, paused: bool, now: Now) {
        self.catalog.set_paused(node, paused, now);
    }

    /// From now on a node describes the cluster as it is at this moment, or as it is again. What
    /// else it does, it does as ever; it creates no topics on demand. A restart ends it.
    pub fn freeze_metadata(&mut self, node: NodeId, frozen: bool) {
        self.frozen.remove(&node);
        if frozen {
            self.frozen.insert(node, self.catalog.clone());
        }
    }

    /// Whether a node's metadata is frozen.
    pub(crate) fn is_frozen(&self, node: NodeId) -> bool {
        self.frozen.contains_key(&node)
    }

    /// Has a node describe the cluster as it knows it.
    pub(crate) fn as_known_to<R>(&mut self, node: NodeId, tell: impl FnOnce(&mut Self) -> R) -> R {
        let Some(known) = self.frozen.get_mut(&node) else { return tell(self) };
        std::mem::swap(&mut self.catalog, known);
        let told = tell(self);
        if let Some(known) = self.frozen.get_mut(&node) {
            std::mem::swap(&mut self.catalog, known);
        }
        told
    }

    /// Makes a node the leader of a partition.
    ///
    /// # Errors
    ///
    /// As [`Partition::move_leader`], and `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn move_leader(
        &mut self,
        topic: &str,
        index: i32,
        to: NodeId,
        now: Now,
    ) -> Result<(), ErrorCode> {
        self.act(topic, index, now, |partition, around| partition.move_leader(to, around))?
    }

    /// Stops the followers of a partition from pulling, or lets them again.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn pause_replication(
        &mut self,
        topic: &str,
        index: i32,
        paused: bool,
        now: Now,
    ) -> Result<(), ErrorCode> {
        self.act(topic, index, now, |partition, around| {
            partition.pause_replication(paused);
            partition.settle(around);
        })
    }

    /// Changes a partition, and wakes who waits on it.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn act<R>(
        &mut self,
        topic: &str,
        index: i32,
        now: Now,
        act: impl FnOnce(&mut Partition, Surroundings<'_>) -> R,
    ) -> Result<R, ErrorCode> {
        let key = TopicKey::Name(topic);
        let id: Uuid = self.catalog.topic(key)?.id;
        let result = self.catalog.with_partition(key, index, now, act)?;
        self.wake_partition(id, index);
        self.write_markers(now);
        Ok(result)
    }

    /// Keeps the latest `count` requests from now on; none at first.
    pub fn keep_requests(&mut self, count: usize) {
        self.requests.keep(count);
    }

    /// The requests that were kept.
    #[must_use]
    pub fn requests(&self) -> &Requests {
        &self.requests
    }
}
