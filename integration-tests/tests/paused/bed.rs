//! Three brokers in memory, and clients of theirs.

use std::time::Duration;

use ottla_broker::Cluster;
use ottla_broker::cluster::{ClusterBuilder, TopicSpec};
use ottla_consumer::config::AutoOffsetReset;
use ottla_consumer::{Consumer, ConsumerBuilder};
use ottla_core::config::ClientConfig;
use ottla_core::error::Error;
use ottla_core::net::{Client, Runtime, RuntimeBuilder};
use ottla_core::types::{HostPort, TopicPartition};
use ottla_producer::{Producer, Record};

use crate::stranger::Stranger;

pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) stranger: Stranger,
}

impl Bed {
    /// Three brokers with a topic `t` of three partitions, each of which is led by another one.
    pub(crate) async fn start() -> Self {
        Self::start_with(|builder| builder).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(ClusterBuilder) -> ClusterBuilder) -> Self {
        let topic = TopicSpec::new("t").partitions(PARTITIONS).replicas(3);
        let cluster =
            change(Cluster::builder().epoch_ms(EPOCH_MS).topic(topic)).start().await.unwrap();
        for partition in 0..PARTITIONS {
            cluster.partition("t", partition).move_leader(partition + 1).unwrap();
        }
        Self { cluster, stranger: Stranger::default() }
    }

    /// A client that meets the stranger.
    pub(crate) async fn client(&self) -> Client {
        let dialer = self.stranger.dialer(&self.cluster);
        self.connect(Runtime::builder().dialer(dialer), "client").await
    }

    /// A client that meets nobody but the brokers.
    pub(crate) async fn friend(&self) -> Client {
        let connector = self.cluster.connector();
        let dial = move |to: HostPort| connector.connect(&to.host, to.port);
        self.connect(Runtime::builder().dial_with(dial), "friend").await
    }

    async fn connect(&self, runtime: RuntimeBuilder, name: &str) -> Client {
        let config = self.config(name);
        let runtime = runtime.wall_clock(EPOCH_MS).seed(1).build();
        Client::connect(config, runtime).await.unwrap()
    }

    fn config(&self, name: &str) -> ClientConfig {
        let servers = self.cluster.bootstrap();
        ClientConfig {
            bootstrap_servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
            client_id: name.into(),
            request_timeout: Duration::from_secs(5),
            default_api_timeout: CALL,
            ..ClientConfig::default()
        }
    }

    /// Writes these numbers to each partition, as a client that meets nobody.
    pub(crate) async fn produce(&self, numbers: std::ops::Range<u32>) {
        let client = self.friend().await;
        let producer = Producer::builder(&client).build().await.unwrap();
        let record =
            |partition, number: u32| Record::to("t").partition(partition).value(number.to_string());
        let all = numbers.flat_map(|number| (0..PARTITIONS).map(move |at| record(at, number)));
        assert!(producer.send_all(all).await.iter().all(Result::is_ok));
        client.close().await;
    }
}

/// A consumer from the beginning.
pub(crate) fn reader(client: &Client) -> ConsumerBuilder {
    ConsumerBuilder::new(client.clone())
        .configure(|config| config.auto_offset_reset = AutoOffsetReset::Earliest)
}

pub(crate) fn all_partitions() -> Vec<TopicPartition> {
    (0..PARTITIONS).map(|partition| TopicPartition::new("t", partition)).collect()
}

/// Reads until each of these partitions has given the numbers up to `end`, each once and in order.
pub(crate) async fn read_up_to(
    consumer: &mut Consumer,
    next: &mut [u32],
    partitions: &[usize],
    end: u32,
) {
    while partitions.iter().any(|partition| next[*partition] < end) {
        let record = within(Duration::from_secs(300), consumer.recv()).await.unwrap().unwrap();
        let at = usize::try_from(record.partition()).unwrap();
        let number: u32 = std::str::from_utf8(record.value().unwrap()).unwrap().parse().unwrap();
        assert_eq!(number, next[at], "partition {at}");
        next[at] += 1;
    }
}

/// Waits for something that must be done by then.
pub(crate) async fn within<T>(limit: Duration, run: impl Future<Output = T>) -> T {
    let limit = limit + Duration::from_millis(100);
    tokio::time::timeout(limit, run).await.expect("it is done in its time")
}

/// All that an error says, with what stands behind it.
pub(crate) fn said(error: impl Into<Error>) -> String {
    let error: Error = error.into();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// 2024-01-01, in milliseconds since 1970, for clients and brokers: retention compares the two.
const EPOCH_MS: i64 = 1_704_067_200_000;

/// The number of partitions.
pub(crate) const PARTITIONS: i32 = 3;

/// What a call may take.
pub(crate) const CALL: Duration = Duration::from_secs(12);
