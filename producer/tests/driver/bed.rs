//! Three brokers, a client and a producer.

use std::time::Duration;

use ottla_broker::cluster::{Cluster, TopicSpec};
use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime, Target};
use ottla_core::retry::Deadline;
use ottla_core::types::HostPort;
use ottla_producer::{Producer, ProducerBuilder, Record};
use ottla_protocol::Request;
use ottla_protocol::messages::create_partitions::CreatePartitionsTopic;
use ottla_protocol::messages::create_topics::CreatableTopic;
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::{CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest};

pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

impl Bed {
    /// A cluster with topic `t` of three partitions and topic `one` of one, everywhere replicated.
    pub(crate) async fn start() -> Self {
        Self::with([]).await
    }

    pub(crate) async fn with(topics: impl IntoIterator<Item = TopicSpec>) -> Self {
        let t = TopicSpec::new("t").partitions(3).replicas(3);
        let one = TopicSpec::new("one").partitions(1).replicas(3);
        let mut cluster = Cluster::builder().brokers(3).auto_create(false).epoch_ms(EPOCH_MS);
        for topic in [t, one].into_iter().chain(topics) {
            cluster = cluster.topic(topic);
        }
        let cluster = cluster.start().await.unwrap();
        let client = connect(&cluster).await;
        Self { cluster, client }
    }

    pub(crate) fn builder(&self) -> ProducerBuilder {
        Producer::builder(&self.client)
    }

    pub(crate) async fn producer(&self) -> Producer {
        self.builder().build().await.unwrap()
    }

    pub(crate) async fn create(&self, topic: &str) {
        let topic = CreatableTopic {
            name: topic.into(),
            num_partitions: 1,
            replication_factor: 3,
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest {
            topics: vec![topic],
            timeout_ms: 10_000,
            ..CreateTopicsRequest::default()
        };
        let answer = self.ask(&request).await;
        assert!(answer.topics.iter().all(|topic| topic.error_code == 0));
    }

    pub(crate) async fn delete(&self, topic: &str) {
        let topic = DeleteTopicState { name: Some(topic.into()), ..DeleteTopicState::default() };
        let request = DeleteTopicsRequest {
            topics: vec![topic],
            timeout_ms: 10_000,
            ..DeleteTopicsRequest::default()
        };
        let answer = self.ask(&request).await;
        assert!(answer.responses.iter().all(|topic| topic.error_code == 0));
    }

    /// Adds partitions to a topic, until there are `count`.
    pub(crate) async fn grow(&self, topic: &str, count: i32) {
        let name = topic.into();
        let topic = CreatePartitionsTopic { name, count, assignments: None, ..Default::default() };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: 10_000,
            ..CreatePartitionsRequest::default()
        };
        let answer = self.ask(&request).await;
        assert!(answer.results.iter().all(|topic| topic.error_code == 0));
    }

    async fn ask<R>(&self, request: &R) -> R::Response
    where
        R: Request + Clone + Send + Sync + 'static,
        R::Response: Send + 'static,
    {
        self.client.call(&Target::Controller, request, self.soon()).await.unwrap()
    }

    pub(crate) fn soon(&self) -> Deadline {
        Deadline::after(self.client.runtime().now(), Duration::from_secs(10))
    }

    /// The values in a partition, as text.
    pub(crate) fn values(&self, topic: &str, partition: i32) -> Vec<String> {
        let records = self.cluster.partition(topic, partition).records();
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        records.iter().map(|record| text(record.value().unwrap_or_default())).collect()
    }

    pub(crate) fn leader(&self, topic: &str, partition: i32) -> i32 {
        self.cluster.partition(topic, partition).leader().unwrap()
    }

    /// Drops a call that is not done within a second.
    pub(crate) async fn give_up(&self, call: impl Future) {
        tokio::select! {
            biased;
            _ = call => panic!("it was to take longer"),
            () = self.sleep(Duration::from_secs(1)) => {}
        }
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.client.runtime().sleep(time).await;
    }

    pub(crate) fn passed(&self, since: std::time::Instant) -> Duration {
        self.client.runtime().now() - since
    }
}

async fn connect(cluster: &Cluster) -> Client {
    connect_with(cluster, ClientConfig::default()).await
}

pub(crate) async fn connect_with(cluster: &Cluster, config: ClientConfig) -> Client {
    let servers = cluster.bootstrap();
    let bootstrap_servers = servers.iter().map(|server| server.parse().unwrap()).collect();
    let config = ClientConfig { bootstrap_servers, ..config };
    let connector = cluster.connector();
    let dial = move |to: HostPort| connector.connect(&to.host, to.port);
    let runtime = Runtime::builder().dial_with(dial).wall_clock(EPOCH_MS).seed(7).build();
    Client::connect(config, runtime).await.unwrap()
}

/// The time at which all tests begin, for brokers and clients alike: retention looks at it.
pub(crate) const EPOCH_MS: i64 = 1_800_000_000_000;

/// A record for the only partition of `one`.
pub(crate) fn one(value: impl ToString) -> Record {
    Record::to("one").value(value.to_string())
}

/// What `values` gives for the numbers below `count`.
pub(crate) fn numbers(count: u32) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}
