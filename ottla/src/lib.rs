//! A client for Apache Kafka: producer, consumer, admin.

mod kafka;
mod settings;

pub use kafka::{Kafka, KafkaBuilder};
pub use ottla_core::config::{
    ConfigError, ConfigProblem, ConfigWarning, Explanation, Origin, Properties,
};
pub use ottla_core::error::{Certainty, Error, ErrorClass, ErrorCode, ErrorKind};
pub use ottla_core::types::{
    ConsumerGroupMetadata, HostPort, LeaderEpoch, NodeId, TopicName, TopicPartition, Uuid,
};

/// What clocks, randomness and sockets are taken from, for tests that have their own.
pub mod runtime {
    pub use ottla_core::net::{BoxStream, DialFuture, Dialer, Runtime, RuntimeBuilder, Stream};
}
