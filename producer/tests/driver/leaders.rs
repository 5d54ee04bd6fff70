//! Leaders that move, die, freeze and come back.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_producer::config::ProducerConfig;
use ottla_producer::{Producer, Record, SendError};
use ottla_protocol::ApiKey;

use super::bed::{Bed, numbers, one};

/// Sends a numbered record every ten milliseconds, and waits for all of them.
async fn load(bed: &Bed, producer: &Producer, count: u32) {
    let mut deliveries = Vec::new();
    for number in numbers(count) {
        deliveries.push(producer.enqueue(one(number)).await.unwrap());
        bed.sleep(Duration::from_millis(10)).await;
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_under_load_loses_doubles_and_reorders_nothing() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let moves = async {
        for _ in 0..8 {
            bed.sleep(Duration::from_millis(230)).await;
            let next = bed.leader("one", 0) % 3 + 1;
            bed.cluster.partition("one", 0).move_leader(next).unwrap();
        }
    };
    tokio::join!(load(&bed, &producer, 250), moves);
    assert_eq!(bed.values("one", 0), numbers(250));
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_is_killed_under_load_loses_doubles_and_reorders_nothing() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let kills = async {
        for _ in 0..3 {
            bed.sleep(Duration::from_millis(500)).await;
            let leader = bed.leader("one", 0);
            bed.cluster.node(leader).kill().await;
            bed.sleep(Duration::from_secs(15)).await;
            bed.cluster.node(leader).start().await.unwrap();
            bed.sleep(Duration::from_secs(5)).await;
        }
    };
    tokio::join!(load(&bed, &producer, 6_000), kills);
    assert_eq!(bed.values("one", 0), numbers(6_000));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_leader_is_left_soon_after_another_is_elected() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(one("a")).await.unwrap();
    let leader = bed.leader("one", 0);
    let node = ottla_broker::world::NodeId(leader);
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hang).node(node));
    let begun = bed.client.runtime().now();
    let elect = async {
        bed.sleep(Duration::from_secs(9)).await;
        bed.cluster.partition("one", 0).move_leader(leader % 3 + 1).unwrap();
        bed.client.runtime().now()
    };
    let (sent, elected) = tokio::join!(producer.send(one("b")), elect);
    sent.unwrap();
    assert!(bed.passed(elected) < Duration::from_millis(1_500), "{:?}", bed.passed(elected));
    assert!(bed.passed(begun) < Duration::from_secs(11));
    assert_eq!(bed.values("one", 0), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_leader_is_down_does_not_stop_the_others() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send_all((0..3).map(|it| Record::to("t").partition(it).value("first"))).await;
    let node = ottla_broker::world::NodeId(bed.leader("t", 0));
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hang).node(node));
    let stuck = producer.enqueue(Record::to("t").partition(0).value("stuck")).await.unwrap();
    let begun = bed.client.runtime().now();
    for index in 1..3 {
        if bed.leader("t", index) != node.0 {
            producer.send(Record::to("t").partition(index).value("v")).await.unwrap();
        }
    }
    assert!(bed.passed(begun) < Duration::from_secs(1));
    drop(stuck);
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_is_down_for_a_while_is_waited_for() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(one("a")).await.unwrap();
    for node in 1..=3 {
        bed.cluster.node(node).kill().await;
    }
    let send = producer.send(one("b"));
    let restart = async {
        bed.sleep(Duration::from_secs(20)).await;
        for node in 1..=3 {
            bed.cluster.node(node).start().await.unwrap();
        }
    };
    let (sent, ()) = tokio::join!(send, restart);
    sent.unwrap();
    assert_eq!(bed.values("one", 0), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn without_idempotence_a_moved_leader_loses_nothing_that_it_acknowledged() {
    let bed = Bed::start().await;
    let producer = bed.builder().idempotence(false).build().await.unwrap();
    let moves = async {
        for _ in 0..4 {
            bed.sleep(Duration::from_millis(230)).await;
            let next = bed.leader("one", 0) % 3 + 1;
            bed.cluster.partition("one", 0).move_leader(next).unwrap();
        }
    };
    tokio::join!(load(&bed, &producer, 150), moves);
    let mut stored: Vec<u32> =
        bed.values("one", 0).iter().map(|value| value.parse().unwrap()).collect();
    stored.sort_unstable();
    stored.dedup();
    assert_eq!(stored, (0..150).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn records_without_a_key_pass_over_a_partition_that_takes_no_batches() {
    let bed = Bed::start().await;
    let config = ProducerConfig {
        partitioner_availability_timeout: Duration::from_secs(1),
        batch_size: 100,
        ..ProducerConfig::default()
    };
    let producer = bed.builder().config(config).build().await.unwrap();
    producer.send_all((0..3).map(|it| Record::to("t").partition(it).value("first"))).await;
    let node = ottla_broker::world::NodeId(bed.leader("t", 0));
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hang).node(node));
    let frozen: Vec<i32> = (0..3).filter(|index| bed.leader("t", *index) == node.0).collect();
    for index in &frozen {
        for _ in 0..20 {
            let record = Record::to("t").partition(*index).value("x".repeat(90));
            drop(producer.enqueue(record).await.unwrap());
        }
    }
    bed.sleep(Duration::from_secs(2)).await;
    // The choice that was made before may still stand; those after it know better.
    drop(producer.enqueue(Record::to("t").value("x".repeat(90))).await.unwrap());
    for _ in 0..30 {
        let sent = producer.send(Record::to("t").value("x".repeat(90))).await.unwrap();
        assert!(!frozen.contains(&sent.partition));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_behind_one_that_was_delivered_fails_in_its_own_time() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(one("a")).await.unwrap();
    bed.sleep(Duration::from_secs(60)).await;
    for node in 1..=3 {
        bed.cluster.node(node).kill().await;
    }
    let begun = bed.client.runtime().now();
    let late = tokio::time::timeout(Duration::from_secs(200), producer.send(one("b"))).await;
    let late = late.expect("it is settled").unwrap_err();
    assert!(matches!(late.error(), SendError::DeliveryTimeout { .. }), "{late}");
    assert_eq!(bed.passed(begun).as_secs(), 120);
}
