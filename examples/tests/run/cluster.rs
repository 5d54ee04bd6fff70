//! A cluster of the test's own, which programs are told of.

use std::net::SocketAddr;

use ottla::{AutoOffsetReset, ConsumerRecord, Kafka, TopicPartition};
use ottla_broker::cluster::TopicSpec;
use ottla_broker::{Cluster, ClusterBuilder};

/// A cluster over TCP.
pub(crate) fn builder(brokers: u16) -> ClusterBuilder {
    Cluster::builder().brokers(brokers).listen(SocketAddr::from(([127, 0, 0, 1], 0)))
}

/// One broker, with topics of one partition; and where it listens.
pub(crate) async fn with_topics<const N: usize>(topics: [&str; N]) -> (Cluster, String) {
    let topics = topics.map(|name| TopicSpec::new(name).partitions(1));
    let cluster = topics.into_iter().fold(builder(1), ClusterBuilder::topic);
    let cluster = cluster.start().await.unwrap();
    let servers = cluster.bootstrap().join(",");
    (cluster, servers)
}

/// A client of the test's own.
pub(crate) async fn connect(servers: &str) -> Kafka {
    Kafka::connect(servers).await.unwrap()
}

/// Waits until a topic's first partition has so many committed records, and gives them.
pub(crate) async fn read(servers: &str, topic: &str, records: usize) -> Vec<ConsumerRecord> {
    let consumer = connect(servers).await.standalone_consumer();
    let consumer = consumer.assign([TopicPartition::new(topic, 0)]).read_committed();
    let mut consumer = consumer.start_at(AutoOffsetReset::Earliest).build().await.unwrap();
    let mut read = Vec::new();
    while read.len() < records {
        read.push(consumer.recv().await.unwrap().unwrap());
    }
    read
}
