//! The cluster itself.

use std::sync::Arc;

use ottla_core::cluster::BrokerInfo;
use ottla_core::types::{HostPort, NodeId};
use ottla_protocol::messages::describe_cluster::DescribeClusterBroker;
use ottla_protocol::messages::metadata::MetadataResponseBroker;
use ottla_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse,
};

use crate::call::{AdminCall, Asked, Route, Settled, check, check_code};

/// A cluster, as one of its brokers describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClusterDescription {
    /// Its id; empty where the broker is older than Kafka 0.10.1.
    pub cluster_id: Arc<str>,
    /// The broker that takes what only the controller may do; `None` while there is none.
    pub controller: Option<NodeId>,
    /// Its brokers, by id.
    pub brokers: Vec<Broker>,
}

/// A broker, as another describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Broker {
    /// Its id.
    pub id: NodeId,
    /// Where it says that it can be reached.
    pub address: HostPort,
    /// Its rack, if it has one.
    pub rack: Option<Arc<str>>,
    /// Whether it is fenced: registered, but not alive (KIP-1073). Such are only told when they are
    /// asked for.
    pub fenced: bool,
}

impl From<Broker> for BrokerInfo {
    fn from(Broker { id, address, rack, fenced: _ }: Broker) -> Self {
        Self { id, address, rack }
    }
}

/// Describes the cluster.
#[derive(Debug)]
pub struct DescribeCluster {
    pub(crate) with_fenced: bool,
}

impl AdminCall for DescribeCluster {
    type Key = ();
    type Request = DescribeClusterRequest;
    type Value = ClusterDescription;

    fn subject(&self, (): &()) -> String {
        "describe the cluster".into()
    }

    fn route(&self, (): &()) -> Route {
        Route::AnyBroker
    }

    fn request(&self, _: &Asked<'_, ()>) -> DescribeClusterRequest {
        DescribeClusterRequest {
            include_fenced_brokers: self.with_fenced,
            ..DescribeClusterRequest::default()
        }
    }

    fn settle(
        &self,
        _: &Asked<'_, ()>,
        response: DescribeClusterResponse,
    ) -> Vec<((), Settled<ClusterDescription>)> {
        let DescribeClusterResponse {
            error_code,
            error_message,
            cluster_id,
            controller_id,
            brokers,
            ..
        } = response;
        let described = ClusterDescription {
            cluster_id: (*cluster_id).into(),
            controller: NodeId::from_wire(controller_id),
            brokers: by_id(brokers.iter().filter_map(broker)),
        };
        vec![((), check(error_code, error_message).map(|()| described))]
    }
}

/// Describes the cluster as brokers before Kafka 2.8 can (KIP-700).
#[derive(Debug)]
pub(crate) struct DescribeByMetadata;

impl AdminCall for DescribeByMetadata {
    type Key = ();
    type Request = MetadataRequest;
    type Value = ClusterDescription;

    fn subject(&self, (): &()) -> String {
        "describe the cluster".into()
    }

    fn route(&self, (): &()) -> Route {
        Route::AnyBroker
    }

    fn request(&self, asked: &Asked<'_, ()>) -> MetadataRequest {
        MetadataRequest {
            topics: Some(Vec::new()),
            // Older versions leave no choice.
            allow_auto_topic_creation: asked.version < FIRST_WITHOUT_CREATION,
            ..MetadataRequest::default()
        }
    }

    fn settle(
        &self,
        _: &Asked<'_, ()>,
        response: MetadataResponse,
    ) -> Vec<((), Settled<ClusterDescription>)> {
        let MetadataResponse { error_code, cluster_id, controller_id, brokers, .. } = response;
        let described = ClusterDescription {
            cluster_id: cluster_id.as_deref().unwrap_or_default().into(),
            controller: NodeId::from_wire(controller_id),
            brokers: by_id(brokers.iter().filter_map(broker_of_metadata)),
        };
        vec![((), check_code(error_code).map(|()| described))]
    }
}

fn by_id(brokers: impl Iterator<Item = Broker>) -> Vec<Broker> {
    let mut brokers: Vec<Broker> = brokers.collect();
    brokers.sort_by_key(|broker| broker.id);
    brokers
}

/// A broker without a port that one can connect to is none.
fn broker(row: &DescribeClusterBroker) -> Option<Broker> {
    Some(Broker {
        id: NodeId::from_wire(row.broker_id)?,
        address: HostPort::new(&*row.host, u16::try_from(row.port).ok()?),
        rack: row.rack.as_deref().map(Into::into),
        fenced: row.is_fenced,
    })
}

/// As [`broker`]; metadata tells of none that is fenced.
fn broker_of_metadata(row: &MetadataResponseBroker) -> Option<Broker> {
    Some(Broker {
        id: NodeId::from_wire(row.node_id)?,
        address: HostPort::new(&*row.host, u16::try_from(row.port).ok()?),
        rack: row.rack.as_deref().map(Into::into),
        fenced: false,
    })
}

/// The first version of `Metadata` that can be told to create nothing.
const FIRST_WITHOUT_CREATION: i16 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::asked;
    use ottla_protocol::Message;

    #[test]
    fn brokers_are_told_in_order_and_without_sentinels() {
        let broker = |broker_id| DescribeClusterBroker {
            broker_id,
            host: "a".into(),
            port: 9092,
            ..DescribeClusterBroker::default()
        };
        let response = DescribeClusterResponse {
            controller_id: -1,
            brokers: vec![broker(2), broker(1)],
            ..DescribeClusterResponse::default()
        };
        let call = DescribeCluster { with_fenced: false };
        let described = call.settle(&asked(&[()], 2), response).remove(0).1.unwrap();
        assert_eq!(described.controller, None);
        let ids: Vec<_> = described.brokers.iter().map(|broker| broker.id.number()).collect();
        assert_eq!(ids, [1, 2]);
    }

    #[test]
    fn metadata_of_any_version_describes_the_cluster() {
        for version in MetadataRequest::VERSIONS.iter() {
            let request = DescribeByMetadata.request(&asked(&[()], version));
            assert!(request.encode(version).is_ok(), "version {version}");
        }
        let broker = |node_id| MetadataResponseBroker {
            node_id,
            host: "a".into(),
            port: 9092,
            ..MetadataResponseBroker::default()
        };
        let response = MetadataResponse {
            controller_id: 2,
            brokers: vec![broker(2), broker(1)],
            ..MetadataResponse::default()
        };
        let described = DescribeByMetadata.settle(&asked(&[()], 1), response).remove(0).1.unwrap();
        assert_eq!((&*described.cluster_id, described.controller), ("", NodeId::from_wire(2)));
        let ids: Vec<_> = described.brokers.iter().map(|broker| broker.id.number()).collect();
        assert_eq!(ids, [1, 2]);
    }

    #[test]
    fn a_refusal_is_told_with_its_words() {
        let response = DescribeClusterResponse {
            error_code: 31,
            error_message: Some("no".into()),
            ..DescribeClusterResponse::default()
        };
        let call = DescribeCluster { with_fenced: false };
        let refused = call.settle(&asked(&[()], 2), response).remove(0).1.unwrap_err();
        assert_eq!(refused.message.as_deref(), Some("no"));
    }
}
