//! Flushing, closing, dropping.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_core::config::ClientConfig;
use ottla_core::error::Certainty;
use ottla_producer::net::AlreadyClosed;
use ottla_producer::{Producer, SendError};
use ottla_protocol::ApiKey;

use super::bed::{Bed, connect_with, numbers, one};

#[tokio::test(start_paused = true)]
async fn a_flush_does_not_linger_and_waits_for_all_that_came_before() {
    let bed = Bed::start().await;
    let producer = bed.builder().linger(Duration::from_secs(60)).build().await.unwrap();
    let begun = bed.client.runtime().now();
    for number in numbers(10) {
        drop(producer.enqueue(one(number)).await.unwrap());
    }
    producer.flush().await;
    assert!(bed.passed(begun) < Duration::from_secs(1));
    assert_eq!(bed.values("one", 0), numbers(10));
}

#[tokio::test(start_paused = true)]
async fn closing_delivers_what_was_taken_and_takes_nothing_more() {
    let bed = Bed::start().await;
    let producer = bed.builder().linger(Duration::from_secs(60)).build().await.unwrap();
    drop(producer.enqueue(one("a")).await.unwrap());
    let report = producer.close(Duration::from_secs(10)).await.unwrap();
    assert_eq!((report.delivered, report.undelivered.len()), (1, 0));
    let late = producer.send(one("b")).await.unwrap_err();
    assert!(matches!(late.error(), SendError::Closed { .. }));
    assert_eq!(late.into_record(), Some(one("b")));
    assert!(matches!(producer.topic("t").await, Err(SendError::Closed { .. })));
    assert!(matches!(producer.close(Duration::ZERO).await, Err(AlreadyClosed)));
}

#[tokio::test(start_paused = true)]
async fn closing_returns_in_time_and_hands_back_what_was_not_delivered() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(one("a")).await.unwrap();
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hang));
    let awaited = producer.enqueue(one("b")).await.unwrap();
    let begun = bed.client.runtime().now();
    let report = producer.close(Duration::from_secs(2)).await.unwrap();
    assert_eq!(bed.passed(begun), Duration::from_secs(2));
    let [undelivered] = &report.undelivered[..] else { panic!("{report:?}") };
    assert_eq!(undelivered.error().certainty(), Certainty::PossiblyWritten);
    assert_eq!(undelivered.record().unwrap().value_bytes().unwrap(), "b");
    assert!(matches!(awaited.await.unwrap_err().error(), SendError::ClosedBeforeDelivery { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_close_that_was_given_up_can_be_tried_again() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(one("a")).await.unwrap();
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hang));
    let awaited = producer.enqueue(one("b")).await.unwrap();
    bed.give_up(producer.close(Duration::from_secs(60))).await;
    let late = producer.enqueue(one("c")).await.unwrap_err();
    assert!(matches!(late.error(), SendError::Closed { .. }));
    let again = producer.close(Duration::from_secs(2));
    let (report, at_once) = tokio::join!(biased; again, producer.close(Duration::ZERO));
    assert!(matches!(at_once, Err(AlreadyClosed)), "the other call is closing it");
    let report = report.unwrap();
    assert_eq!((report.delivered, report.undelivered.len()), (1, 1), "{report:?}");
    assert!(matches!(awaited.await.unwrap_err().error(), SendError::ClosedBeforeDelivery { .. }));
    assert!(matches!(producer.close(Duration::ZERO).await, Err(AlreadyClosed)));
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_on_behind_a_close_that_was_given_up_once_the_last_clone_is_dropped() {
    let bed = Bed::start().await;
    let producer = bed.builder().linger(Duration::from_secs(60)).build().await.unwrap();
    producer.send(one("a")).await.unwrap();
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(producer.enqueue(one("b")).await.unwrap());
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Delay(Duration::from_secs(2))));
    bed.give_up(producer.close(Duration::from_secs(60))).await;
    drop(producer);
    bed.sleep(Duration::from_secs(5)).await;
    assert_eq!(bed.values("one", 0), ["a", "b"]);
    let after = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(after < before, "{after} of {before} tasks are left");
}

#[tokio::test(start_paused = true)]
async fn a_closed_producer_follows_no_leader_and_keeps_no_client_open() {
    let bed = Bed::start().await;
    let before = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let client = connect_with(&bed.cluster, ClientConfig::default()).await;
    let producer = Producer::builder(&client).build().await.unwrap();
    producer.send(one("a")).await.unwrap();
    assert_eq!(producer.close(Duration::from_secs(10)).await.unwrap().delivered, 1);
    bed.cluster.partition("one", 0).move_leader(bed.leader("one", 0) % 3 + 1).unwrap();
    client.refreshed(bed.soon()).await.unwrap();
    drop((producer, client));
    bed.sleep(Duration::from_secs(5)).await;
    let after = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    assert!(after <= before, "{after} tasks, and {before} before there was that client");
}

#[tokio::test(start_paused = true)]
async fn dropping_the_last_clone_waits_for_nothing_and_loses_nothing() {
    let bed = Bed::start().await;
    let producer = bed.builder().linger(Duration::from_secs(1)).build().await.unwrap();
    drop(producer.clone());
    drop(producer.enqueue(one("a")).await.unwrap());
    drop(producer);
    assert_eq!(bed.values("one", 0), [""; 0]);
    bed.sleep(Duration::from_millis(100)).await;
    assert_eq!(bed.values("one", 0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_delivery_cancels_nothing() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    drop(producer.enqueue(one("a")).await.unwrap());
    let mut send = Box::pin(producer.send(one("b")));
    tokio::select! {
        biased;
        _ = &mut send => panic!("no answer can be there yet"),
        () = std::future::ready(()) => {}
    }
    drop(send);
    producer.flush().await;
    assert_eq!(bed.values("one", 0), ["a", "b"]);
}
