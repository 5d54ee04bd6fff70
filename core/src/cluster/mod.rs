//! What is known of the cluster, and how it is kept current.

mod coordinators;
mod features;
mod hints;
mod metadata;
mod snapshot;

pub use coordinators::{Coordinator, CoordinatorKind, Coordinators, Lookup};
pub use features::Features;
pub use hints::{LeaderHint, LeaderHints};
pub use metadata::{Candidate, Metadata, Refresh};
pub use snapshot::{BrokerInfo, ClusterSnapshot, PartitionInfo, TopicInfo};
