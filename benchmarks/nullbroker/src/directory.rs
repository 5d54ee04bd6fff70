//! Who leads what: always this broker.

use std::collections::BTreeMap;

use ottla_protocol::messages::find_coordinator::Coordinator;
use ottla_protocol::messages::metadata::{
    MetadataRequestTopic, MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{
    FindCoordinatorRequest, FindCoordinatorResponse, MetadataRequest, MetadataResponse,
};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

/// The topics that somebody has named, and where their partitions are.
#[derive(Debug)]
pub(crate) struct Directory {
    host: ByteString,
    port: i32,
    partitions: i32,
    ids: BTreeMap<ByteString, Uuid>,
}

impl Directory {
    pub(crate) fn new(host: ByteString, port: u16, partitions: i32) -> Self {
        Self { host, port: i32::from(port), partitions, ids: BTreeMap::new() }
    }

    pub(crate) fn metadata(&mut self, request: MetadataRequest) -> MetadataResponse {
        let topics = match request.topics {
            Some(asked) => asked.into_iter().map(|topic| self.named(topic)).collect(),
            None => self.ids.iter().map(|(name, id)| self.topic(name.clone(), *id)).collect(),
        };
        let broker = MetadataResponseBroker {
            node_id: NODE_ID,
            host: self.host.clone(),
            port: self.port,
            ..Default::default()
        };
        MetadataResponse {
            brokers: vec![broker],
            cluster_id: Some("nullbroker".into()),
            controller_id: NODE_ID,
            topics,
            ..Default::default()
        }
    }

    fn named(&mut self, asked: MetadataRequestTopic) -> MetadataResponseTopic {
        let MetadataRequestTopic { topic_id, name, .. } = asked;
        if let Some(name) = name {
            let next = Uuid::from(self.ids.len() as u128 + 1);
            let id = *self.ids.entry(name.clone()).or_insert(next);
            return self.topic(name, id);
        }
        let known = self.ids.iter().find(|(_, id)| **id == topic_id);
        match known {
            Some((name, id)) => self.topic(name.clone(), *id),
            None => MetadataResponseTopic {
                error_code: ErrorCode::UnknownTopicId.code(),
                topic_id,
                ..Default::default()
            },
        }
    }

    fn topic(&self, name: ByteString, topic_id: Uuid) -> MetadataResponseTopic {
        let partitions = (0..self.partitions).map(|partition_index| MetadataResponsePartition {
            partition_index,
            leader_id: NODE_ID,
            leader_epoch: 0,
            replica_nodes: [NODE_ID].as_slice().into(),
            isr_nodes: [NODE_ID].as_slice().into(),
            ..Default::default()
        });
        MetadataResponseTopic {
            name: Some(name),
            topic_id,
            partitions: partitions.collect(),
            ..Default::default()
        }
    }

    pub(crate) fn coordinator(
        &self,
        version: i16,
        request: FindCoordinatorRequest,
    ) -> FindCoordinatorResponse {
        let (node_id, host, port) = (NODE_ID, self.host.clone(), self.port);
        if version < 4 {
            return FindCoordinatorResponse { node_id, host, port, ..Default::default() };
        }
        let keys = request.coordinator_keys.into_iter();
        let rows = keys.map(|key| Coordinator {
            key,
            node_id,
            host: host.clone(),
            port,
            ..Default::default()
        });
        FindCoordinatorResponse { coordinators: rows.collect(), ..Default::default() }
    }
}

/// The only node.
const NODE_ID: i32 = 1;
