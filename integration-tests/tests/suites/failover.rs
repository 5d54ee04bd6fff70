//! Brokers that move, die and freeze.

use std::time::Duration;

use ottla_core::cluster::CoordinatorKind;
use ottla_core::net::{Client, Target};
use ottla_integration_tests::TestCluster;
use ottla_producer::Record;
use ottla_protocol::messages::DescribeClusterRequest;

use crate::clients::{connect, producer, soon, within};
pub(crate) use crate::exactly_once::each_record_is_copied_once_though_brokers_are_killed;
use crate::nearby::Nearby;
use crate::produce::{enqueue_all, values};

pub(crate) async fn a_moved_leader_is_noticed_and_its_epoch_is_newer(cluster: &TestCluster) {
    let topic = cluster.create_topic("moved", 1).await;
    let client = connect(cluster).await;
    let _use = client.use_topics([topic.as_str().into()]);
    client.topic(&topic.as_str().into(), soon()).await.expect("it exists");
    let before = client.snapshot().partition(&topic, 0).expect("it has one").clone();
    let old = before.leader.expect("it has a leader").number();
    let new = cluster.broker_ids().into_iter().find(|id| *id != old).expect("there are three");
    cluster.move_leader(&topic, 0, new).await;
    let after = until_leader_is_not(&client, &topic, old).await;
    assert!(after.leader_epoch > before.leader_epoch, "{before:?} then {after:?}");
    client.close().await;
}

pub(crate) async fn a_killed_broker_costs_no_call(cluster: &TestCluster) {
    let client = connect(cluster).await;
    for broker in cluster.broker_ids() {
        cluster.kill(broker).await;
        ask_anybody(&client).await;
        cluster.start(broker).await;
    }
    client.close().await;
}

pub(crate) async fn a_frozen_broker_hides_no_topic(cluster: &TestCluster) {
    let client = connect(cluster).await;
    for broker in cluster.broker_ids() {
        cluster.pause(broker).await;
        let topic = cluster.unique("beside-a-frozen-broker").into();
        let known = client.topic(&topic, within(Duration::from_secs(10))).await;
        assert!(known.expect("another broker knows").error.is_some(), "there is no such topic");
        cluster.unpause(broker).await;
    }
    client.close().await;
}

pub(crate) async fn a_dead_coordinator_is_looked_up_again(cluster: &TestCluster) {
    let group = cluster.unique("orphaned");
    let client = connect(cluster).await;
    let find = || client.coordinator(CoordinatorKind::Group, &group, soon());
    let old = find().await.expect("a coordinator is named");
    cluster.kill(old.number()).await;
    // Kafka's controllers notice after 9 s; until then the dead one is still named.
    let new = loop {
        client.forget_coordinator(CoordinatorKind::Group, &group, old);
        match find().await.expect("another broker names one") {
            named if named == old => tokio::time::sleep(Duration::from_millis(50)).await,
            named => break named,
        }
    };
    assert_ne!(new, old);
    cluster.start(old.number()).await;
    client.close().await;
}

pub(crate) async fn nothing_acknowledged_is_lost_with_its_leader(cluster: &TestCluster) {
    under_load(cluster, async |topic| {
        let old = cluster.await_leader(topic, 0, |_| true).await;
        cluster.kill(old).await;
        cluster.await_leader(topic, 0, |new| new != old).await;
        cluster.start(old).await;
    })
    .await;
}

pub(crate) async fn nothing_acknowledged_is_lost_when_leaders_move(cluster: &TestCluster) {
    under_load(cluster, async |topic| {
        for broker in cluster.broker_ids() {
            cluster.move_leader(topic, 0, broker).await;
        }
    })
    .await;
}

pub(crate) async fn without_its_near_replica_a_consumer_reads_from_the_leader(
    cluster: &TestCluster,
) {
    let mut test = Nearby::new(cluster).await;
    test.read(10).await;
    cluster.kill(test.near).await;
    test.read(10).await;
    cluster.start(test.near).await;
    test.read(10).await;
    test.close().await;
}

/// Each broker ends in good order and comes back, one after the other, while records flow.
pub(crate) async fn a_rolling_restart_stalls_no_partition(cluster: &TestCluster) {
    let topic = cluster.create_topic("rolling", 3).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |builder| builder).await;
    let over = std::cell::Cell::new(false);
    let longest = std::cell::Cell::new(Duration::ZERO);
    let load = async |partition: i32| {
        let mut last = std::time::Instant::now();
        while !over.get() {
            let record = Record::to(&*topic).partition(partition).value("x");
            producer.send(record).await.expect("it is acknowledged");
            longest.set(longest.get().max(last.elapsed()));
            last = std::time::Instant::now();
        }
    };
    let roll = async {
        for broker in cluster.broker_ids() {
            cluster.stop(broker).await;
            cluster.start(broker).await;
            cluster.until_in_sync(&topic).await;
        }
        over.set(true);
    };
    tokio::join!(roll, load(0), load(1), load(2));
    assert!(longest.get() <= Duration::from_millis(2_700), "{:?}", longest.get());
    client.close().await;
}

/// Sends while something happens, and then finds every record once and in order.
async fn under_load(cluster: &TestCluster, event: impl AsyncFnOnce(&str)) {
    let topic = cluster.create_topic("under-load", 1).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |builder| builder).await;
    let over = std::cell::Cell::new(false);
    let load = async {
        let mut sent = 0;
        // At least one hundred after the event.
        let mut left = 10;
        while left > 0 {
            left -= u32::from(over.get());
            enqueue_all(&producer, &topic, sent..sent + 10).await;
            sent += 10;
        }
        sent
    };
    let happens = async {
        event(&topic).await;
        over.set(true);
    };
    let (sent, ()) = tokio::join!(load, happens);
    assert_eq!(values(cluster, &topic).await, (0..sent).collect::<Vec<u32>>());
    client.close().await;
}

/// Any broker answers, long before the request timeout of 30 s.
async fn ask_anybody(client: &Client) {
    let request = DescribeClusterRequest::default();
    let asked = client.call(&Target::AnyBroker, &request, within(Duration::from_secs(10)));
    asked.await.expect("another broker answers");
}

async fn until_leader_is_not(
    client: &Client,
    topic: &str,
    old: i32,
) -> ottla_core::cluster::PartitionInfo {
    let mut snapshot = client.snapshot();
    loop {
        let partition = snapshot.partition(topic, 0).expect("it does not go away");
        if partition.leader.is_some_and(|leader| leader.number() != old) {
            return partition.clone();
        }
        client.request_refresh();
        snapshot = client.changed(snapshot.version, soon()).await.expect("metadata comes");
    }
}
