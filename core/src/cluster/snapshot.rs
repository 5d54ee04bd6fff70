//! What is known of the cluster at one time.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_protocol::{ErrorCode, Uuid};

use crate::types::{HostPort, LeaderEpoch, NodeId, TopicName};

/// What is known of the cluster at one time. Never changes: news make a new snapshot, which shares
/// the topics that stayed as they were.
#[derive(Debug, Clone, Default)]
pub struct ClusterSnapshot {
    /// Grows by one with each snapshot of a client.
    pub version: u64,
    /// The cluster's id, once known.
    pub cluster_id: Option<Arc<str>>,
    /// The broker that takes what only the controller may do.
    pub controller: Option<NodeId>,
    /// The brokers, by id.
    pub brokers: BTreeMap<NodeId, BrokerInfo>,
    /// The topics that somebody asked for, by name. A topic that does not exist is here with its
    /// error.
    pub topics: BTreeMap<TopicName, Arc<TopicInfo>>,
}

impl ClusterSnapshot {
    /// The topic called `name`, if it was asked for and answered, even with an error.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&Arc<TopicInfo>> {
        self.topics.get(name)
    }

    /// One partition, if its topic is known to have it.
    #[must_use]
    pub fn partition(&self, topic: &str, partition: i32) -> Option<&PartitionInfo> {
        self.topic(topic)?.partition(partition)
    }

    /// The address of a broker.
    #[must_use]
    pub fn address(&self, node: NodeId) -> Option<&HostPort> {
        self.brokers.get(&node).map(|broker| &broker.address)
    }
}

/// A broker, as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrokerInfo {
    /// Its id.
    pub id: NodeId,
    /// Where it says that it can be reached.
    pub address: HostPort,
    /// Its rack, if it has one.
    pub rack: Option<Arc<str>>,
}

/// A topic, as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicInfo {
    /// Its name.
    pub name: TopicName,
    /// Its id; `None` where the broker is too old to have them. A topic that is deleted and made
    /// again has another.
    pub id: Option<Uuid>,
    /// Why there is nothing else to say about it.
    pub error: Option<ErrorCode>,
    /// Whether it is one of Kafka's own, such as `__consumer_offsets`.
    pub internal: bool,
    /// Its partitions: partition *n* is at index *n*. Empty while it is being made.
    pub partitions: Vec<PartitionInfo>,
}

impl TopicInfo {
    /// The partition with this number.
    #[must_use]
    pub fn partition(&self, partition: i32) -> Option<&PartitionInfo> {
        self.partitions.get(usize::try_from(partition).ok()?)
    }
}

/// A partition, as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionInfo {
    /// Its leader; `None` while there is none.
    pub leader: Option<NodeId>,
    /// The epoch of that leader; `None` where the broker is too old to say. For one topic id it
    /// never goes back.
    pub leader_epoch: Option<LeaderEpoch>,
    /// The brokers that have a replica, in the order of preference.
    pub replicas: Vec<NodeId>,
    /// Those of them that are in sync.
    pub in_sync: Vec<NodeId>,
    /// Those of them that are not running.
    pub offline: Vec<NodeId>,
}
