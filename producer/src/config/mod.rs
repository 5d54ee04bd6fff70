//! The settings of a producer.

mod partitioner;
mod producer;

pub use partitioner::PartitionerKind;
pub use producer::{Acks, ConfigProblem, ProducerConfig};
