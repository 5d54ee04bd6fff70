//! What is known of the cluster.

mod snapshot;

pub use snapshot::{BrokerInfo, ClusterSnapshot, PartitionInfo, TopicInfo};
