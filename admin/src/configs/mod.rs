//! The settings of topics, brokers and groups.

mod alter;
mod describe;

use std::fmt;

use ottla_core::types::{NodeId, TopicName};
use ottla_protocol::ByteString;

use crate::call::Route;

pub use alter::{AlterConfig, AlterConfigs, ConfigChange, ConfigChanges};
pub use describe::{ConfigEntry, ConfigSource, ConfigSynonym, DescribeConfigs};

/// What has settings.
///
/// # Kafka
///
/// Java's `ConfigResource`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// One broker. Its settings are asked of itself.
    Broker(NodeId),
    /// What is set for all brokers at run time.
    AllBrokers,
    /// The log levels of one broker (KIP-412).
    BrokerLogger(NodeId),
    /// A group (KIP-848).
    Group(ByteString),
    /// A subscription of client metrics (KIP-714).
    ClientMetrics(ByteString),
}

impl ConfigResource {
    /// The topic called `name`.
    pub fn topic(name: impl Into<TopicName>) -> Self {
        Self::Topic(name.into())
    }

    /// The group called `id`.
    pub fn group(id: impl Into<ByteString>) -> Self {
        Self::Group(id.into())
    }

    /// `ResourceType` and `ResourceName` on the wire.
    fn to_wire(&self) -> (i8, ByteString) {
        match self {
            Self::Topic(name) => (TOPIC, name.to_wire()),
            Self::Broker(node) => (BROKER, node.to_string().into()),
            Self::AllBrokers => (BROKER, ByteString::new()),
            Self::BrokerLogger(node) => (BROKER_LOGGER, node.to_string().into()),
            Self::ClientMetrics(name) => (CLIENT_METRICS, name.clone()),
            Self::Group(id) => (GROUP, id.clone()),
        }
    }

    /// `None` for a type that is not known here.
    fn from_wire(kind: i8, name: &ByteString) -> Option<Self> {
        let node = || NodeId::from_wire(name.parse().ok()?);
        Some(match kind {
            TOPIC => Self::Topic(name.clone().into()),
            BROKER if name.is_empty() => Self::AllBrokers,
            BROKER => Self::Broker(node()?),
            BROKER_LOGGER => Self::BrokerLogger(node()?),
            CLIENT_METRICS => Self::ClientMetrics(name.clone()),
            GROUP => Self::Group(name.clone()),
            _ => return None,
        })
    }

    /// A broker knows best what it was started with, and nobody else knows its loggers.
    fn route(&self) -> Route {
        match self {
            Self::Broker(node) | Self::BrokerLogger(node) => Route::Node(*node),
            Self::Topic(_) | Self::AllBrokers | Self::Group(_) | Self::ClientMetrics(_) => {
                Route::AnyBroker
            }
        }
    }
}

impl fmt::Display for ConfigResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Topic(name) => write!(f, "topic {name}"),
            Self::Broker(node) => write!(f, "broker {node}"),
            Self::AllBrokers => f.write_str("all brokers"),
            Self::BrokerLogger(node) => write!(f, "the loggers of broker {node}"),
            Self::Group(id) => write!(f, "group {id}"),
            Self::ClientMetrics(name) => write!(f, "client metrics {name}"),
        }
    }
}

/// `ResourceType`s.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let node = NodeId::from_wire(3).unwrap();
        for resource in [
            ConfigResource::topic("orders"),
            ConfigResource::Broker(node),
            ConfigResource::AllBrokers,
            ConfigResource::BrokerLogger(node),
            ConfigResource::group("billing"),
            ConfigResource::ClientMetrics("all".into()),
        ] {
            let (kind, name) = resource.to_wire();
            assert_eq!(ConfigResource::from_wire(kind, &name), Some(resource));
        }
        assert_eq!(ConfigResource::from_wire(BROKER, &"no number".into()), None);
        assert_eq!(ConfigResource::from_wire(3, &"orders".into()), None);
    }

    #[test]
    fn only_what_belongs_to_one_broker_is_asked_of_it() {
        let node = NodeId::from_wire(3).unwrap();
        assert_eq!(ConfigResource::Broker(node).route(), Route::Node(node));
        assert_eq!(ConfigResource::BrokerLogger(node).route(), Route::Node(node));
        assert_eq!(ConfigResource::AllBrokers.route(), Route::AnyBroker);
        assert_eq!(ConfigResource::topic("orders").route(), Route::AnyBroker);
    }
}
