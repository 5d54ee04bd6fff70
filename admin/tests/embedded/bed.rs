//! A cluster of three with an [`Admin`], and what else a test wants to have happened.

use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_admin::Admin;
use ottla_admin::topics::TopicDescription;
use ottla_broker::cluster::{Cluster, TopicSpec};
use ottla_core::cluster::CoordinatorKind;
use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime, Target};
use ottla_core::retry::Deadline;
use ottla_core::types::{ErrorCode, HostPort, NodeId, TopicPartition};
use ottla_protocol::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription,
};
use ottla_protocol::messages::join_group::{JoinGroupRequestProtocol, JoinGroupResponse};
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::sync_group::SyncGroupRequestAssignment;
use ottla_protocol::messages::{JoinGroupRequest, ProduceRequest, SyncGroupRequest};
use ottla_protocol::records::{BatchBuilder, NewRecord, SealOptions};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{Message, Request};

pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) admin: Admin,
}

impl Bed {
    /// With the topic `orders` of three partitions on all three brokers.
    pub(crate) async fn start() -> Self {
        let topic = TopicSpec::new("orders").partitions(3).replicas(3);
        let cluster = Cluster::builder().brokers(3).topic(topic).auto_create(true);
        let cluster = cluster.epoch_ms(START_MS).start().await.unwrap();
        let servers = cluster.bootstrap();
        let config = ClientConfig {
            bootstrap_servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            ..ClientConfig::default()
        };
        let client = Client::connect(config, runtime(&cluster)).await.unwrap();
        Self { cluster, admin: Admin::new(client) }
    }

    pub(crate) fn now(&self) -> Instant {
        self.admin.client().runtime().now()
    }

    pub(crate) async fn describe(&self, topic: &str) -> TopicDescription {
        self.admin.describe_topic(topic).await.unwrap()
    }

    /// Writes one record for each timestamp.
    pub(crate) async fn write(&self, topic: &str, partition: i32, timestamps: &[i64]) {
        let mut builder = BatchBuilder::new();
        for timestamp in timestamps {
            builder.append(NewRecord::new(*timestamp, None, Some(b"value"))).unwrap();
        }
        let records = builder.seal(&SealOptions::default()).freeze().bytes().clone();
        let data = PartitionProduceData {
            index: partition,
            records: Some(RecordChunks::from(records)),
            ..PartitionProduceData::default()
        };
        let described = self.describe(topic).await;
        let data = TopicProduceData {
            name: topic.into(),
            topic_id: described.id.unwrap(),
            partition_data: vec![data],
            ..TopicProduceData::default()
        };
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 1_000,
            topic_data: vec![data],
            ..ProduceRequest::default()
        };
        let leader = described.partitions[usize::try_from(partition).unwrap()].leader.unwrap();
        let response = self.call(Target::Node(leader), request).await;
        let row = &response.responses[0].partition_responses[0];
        assert_eq!(row.error_code, 0);
    }

    /// Lets somebody join `group` and have these partitions of `orders`.
    pub(crate) async fn join(&self, group: &str, partitions: &[i32]) {
        let first = self.join_as(group, "").await;
        assert_eq!(first.error_code, ErrorCode::MemberIdRequired.code());
        let member_id = first.member_id;
        let joined = self.join_as(group, &member_id).await;
        assert_eq!(joined.error_code, 0);
        let topic = ConsumerProtocolAssignmentTopicPartition {
            topic: "orders".into(),
            partitions: partitions.iter().copied().collect(),
        };
        let assignment =
            ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None };
        let assignment = SyncGroupRequestAssignment {
            member_id: member_id.clone(),
            assignment: assignment.encode_versioned(3).unwrap(),
            ..SyncGroupRequestAssignment::default()
        };
        let request = SyncGroupRequest {
            group_id: group.into(),
            generation_id: joined.generation_id,
            member_id,
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            assignments: vec![assignment],
            ..SyncGroupRequest::default()
        };
        let synced = self.call(coordinator_of(group), request).await;
        assert_eq!(synced.error_code, 0);
    }

    async fn join_as(&self, group: &str, member: &str) -> JoinGroupResponse {
        let subscription = ConsumerProtocolSubscription {
            topics: vec!["orders".into()],
            ..ConsumerProtocolSubscription::default()
        };
        let metadata: Bytes = subscription.encode_versioned(0).unwrap();
        let protocol = JoinGroupRequestProtocol {
            name: "range".into(),
            metadata,
            ..JoinGroupRequestProtocol::default()
        };
        let request = JoinGroupRequest {
            group_id: group.into(),
            session_timeout_ms: 60_000,
            rebalance_timeout_ms: 60_000,
            member_id: member.into(),
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..JoinGroupRequest::default()
        };
        self.call(coordinator_of(group), request).await
    }

    /// Restarts a broker so that the client has seen it go and not seen it return.
    pub(crate) async fn restart_unseen(&self, id: i32) {
        self.cluster.node(id).kill().await;
        let client = self.admin.client();
        client.request_refresh();
        let deadline = Deadline::after(self.now(), Duration::from_secs(20));
        while self.knows(id) {
            client.changed(client.snapshot().version, deadline).await.unwrap();
        }
        self.cluster.node(id).start().await.unwrap();
        assert!(!self.knows(id));
    }

    /// Whether the client has heard of a broker.
    pub(crate) fn knows(&self, id: i32) -> bool {
        self.admin.client().snapshot().brokers.contains_key(&node(id))
    }

    /// The broker that coordinates a group.
    pub(crate) async fn coordinator(&self, group: &str) -> i32 {
        let client = self.admin.client();
        let deadline = Deadline::after(self.now(), Duration::from_secs(20));
        client.coordinator(CoordinatorKind::Group, group, deadline).await.unwrap().number()
    }

    /// Makes groups that have nothing but an offset, until every broker coordinates one; returns
    /// their names in order.
    pub(crate) async fn groups(&self) -> Vec<String> {
        let names: Vec<String> = (0..6).map(|index| format!("group-{index}")).collect();
        let mut coordinators = std::collections::BTreeSet::new();
        for name in &names {
            let altered = self.admin.alter_group_offsets(name.clone(), [(tp(0), 0)]).await;
            altered.into_result().unwrap();
            coordinators.insert(self.coordinator(name).await);
        }
        assert_eq!(coordinators.len(), 3);
        names
    }

    async fn call<R>(&self, target: Target, request: R) -> R::Response
    where
        R: Request + Clone + Send + Sync + 'static,
        R::Response: Send + 'static,
    {
        let deadline = Deadline::after(self.now(), Duration::from_secs(20));
        self.admin.client().call(&target, &request, deadline).await.unwrap()
    }
}

/// A partition of `orders`.
pub(crate) fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("orders", partition)
}

pub(crate) fn node(id: i32) -> NodeId {
    NodeId::from_wire(id).unwrap()
}

/// When every test begins, in milliseconds since 1970.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

fn coordinator_of(group: &str) -> Target {
    Target::Coordinator(CoordinatorKind::Group, group.into())
}

fn runtime(cluster: &Cluster) -> Runtime {
    let connector = cluster.connector();
    let dial = move |to: HostPort| connector.connect(&to.host, to.port);
    Runtime::builder().dial_with(dial).wall_clock(START_MS).seed(7).build()
}
