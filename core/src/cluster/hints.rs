//! What answers to produce and fetch requests say of leaders.

use ottla_protocol::Uuid;

use super::BrokerInfo;
use crate::types::{LeaderEpoch, NodeId, TopicPartition};

/// What the answers to produce and fetch requests say of leaders that have moved.
///
/// # Kafka
///
/// KIP-951: `CurrentLeader` and `NodeEndpoints`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LeaderHints {
    /// The leaders, in any order; at most one for each partition is of use.
    pub leaders: Vec<LeaderHint>,
    /// Where those leaders are. A broker that was unknown is learnt from here even without a leader
    /// to go with it.
    pub endpoints: Vec<BrokerInfo>,
}

/// Who leads one partition, as the broker says that no longer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaderHint {
    /// The partition.
    pub partition: TopicPartition,
    /// The topic's id, where the answer says it: a hint for a topic that was made again since is
    /// not followed.
    pub topic_id: Option<Uuid>,
    /// The leader.
    pub leader: NodeId,
    /// The epoch of that leader. Only a newer one than is known is followed.
    pub epoch: LeaderEpoch,
}
