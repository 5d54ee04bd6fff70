//! The settings of a producer.

mod partitioner;
mod producer;
mod table;

pub use ottla_protocol::compression::{Codec, Compression};
pub use partitioner::PartitionerKind;
pub(crate) use producer::MAX_IDEMPOTENT_IN_FLIGHT;
pub use producer::{Acks, ProducerConfig, ProducerConfigProblem};
pub use table::{PRODUCER, ProducerDraft};
