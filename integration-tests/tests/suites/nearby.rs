//! Reading from the replica in the consumer's own rack (KIP-392).

use ottla_broker::world::{NodeId, Seen};
use ottla_consumer::Consumer;
use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime};
use ottla_integration_tests::{TestCluster, rack_of};
use ottla_producer::Producer;
use ottla_protocol::ApiKey;

use crate::clients::{config, connect, producer};
use crate::consume::{number, reader, receive};
use crate::produce::enqueue_all;

pub(crate) async fn the_near_replica_is_read_from(cluster: &TestCluster) {
    let mut test = Nearby::new(cluster).await;
    test.read(10).await;
    let before = fetches(cluster, test.leader);
    test.read(10).await;
    assert_eq!(fetches(cluster, test.leader), before, "the leader is not asked any more");
    assert!(fetches(cluster, test.near) > 0);
    test.close().await;
}

pub(crate) async fn a_near_replica_that_comes_back_is_read_from_again(cluster: &TestCluster) {
    let mut test = Nearby::new(cluster).await;
    test.read(10).await;
    cluster.kill(test.near).await;
    test.read(10).await;
    cluster.start(test.near).await;
    let before = fetches(cluster, test.near);
    let mut seen = before;
    while seen == before {
        test.read(1).await;
        seen = fetches(cluster, test.near);
    }
    test.close().await;
}

/// How often a broker was asked for records by the consumer.
fn fetches(cluster: &TestCluster, broker: i32) -> usize {
    let theirs = |seen: &&Seen| {
        let here = seen.node == NodeId(broker) && seen.api == ApiKey::Fetch;
        here && &*seen.client_id == NEAR
    };
    cluster.embedded().requests().iter().filter(theirs).count()
}

/// A consumer in the rack of a follower.
pub(crate) struct Nearby {
    topic: String,
    leader: i32,
    pub(crate) near: i32,
    writing: Client,
    producer: Producer,
    reading: Client,
    consumer: Consumer,
    next: u32,
}

impl Nearby {
    pub(crate) async fn new(cluster: &TestCluster) -> Self {
        let topic = cluster.create_topic("nearby", 1).await;
        let leader = cluster.await_leader(&topic, 0, |_| true).await;
        let near = cluster.broker_ids().into_iter().find(|id| *id != leader);
        let near = near.expect("there are three");
        let writing = connect(cluster).await;
        let producer = producer(&writing, |builder| builder).await;
        let client = ClientConfig {
            client_id: NEAR.into(),
            client_rack: Some(rack_of(near)),
            ..config(&cluster.bootstrap_servers())
        };
        let reading = Client::connect(client, Runtime::tokio()).await.expect("it connects");
        let consumer = reader(&reading, &topic).await;
        Self { topic, leader, near, writing, producer, reading, consumer, next: 0 }
    }

    /// Sends and receives so many records.
    pub(crate) async fn read(&mut self, count: u32) {
        let these = self.next..self.next + count;
        self.next = these.end;
        enqueue_all(&self.producer, &self.topic, these.clone()).await;
        for expected in these {
            assert_eq!(number(&receive(&mut self.consumer).await), expected);
        }
    }

    pub(crate) async fn close(self) {
        self.writing.close().await;
        self.reading.close().await;
    }
}

const NEAR: &str = "near";
