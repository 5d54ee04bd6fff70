//! Names, ids and epochs. Sentinels such as −1 end at the wire: here they are `None`.

mod epoch;
mod group;
mod node;
mod offset;
mod producer_id;
mod topic;

pub use epoch::LeaderEpoch;
pub use group::{ConsumerGroupMetadata, Progress};
pub use node::{HostPort, HostPortError, NodeId};
pub use offset::{Offset, Offsets};
pub use ottla_protocol::{ErrorCode, Uuid};
pub use producer_id::{ProducerEpoch, ProducerId};
pub use topic::{TopicName, TopicPartition};
