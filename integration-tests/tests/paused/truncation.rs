//! A log that loses what was read: an unclean election (KIP-320).

use std::time::Duration;

use ottla_broker::cluster::TopicSpec;
use ottla_consumer::config::AutoOffsetReset;
use ottla_consumer::error::{ConsumerError, FetchError};
use ottla_consumer::machine::fetch::FetchEvent;
use ottla_consumer::{Consumer, ConsumerEvent};
use ottla_core::types::TopicPartition;
use ottla_producer::{Producer, Record};

use crate::bed::{Bed, reader, within};

#[tokio::test(start_paused = true)]
async fn what_an_unclean_election_took_away_is_told_and_the_rest_is_read() {
    let bed = unclean().await;
    let mut consumer = consumer(&bed, AutoOffsetReset::Earliest).await;
    write(&bed, 0..10).await;
    read(&mut consumer, 0..10).await;
    lose(&bed, 10..20, &mut consumer).await;
    write(&bed, 100..105).await;
    read(&mut consumer, 100..105).await;
    let events: Vec<ConsumerEvent> = consumer.events().collect();
    let told = events.iter().any(|event| {
        matches!(event, ConsumerEvent::Fetch(FetchEvent::Truncated { from: 20, to: 10, .. }))
    });
    assert!(told, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn without_a_reset_it_is_an_error_that_names_both_offsets() {
    let bed = unclean().await;
    let mut consumer = consumer(&bed, AutoOffsetReset::None).await;
    // Nothing is committed, and nothing says where to begin.
    let unplaced = within(LONG, consumer.recv()).await;
    assert!(matches!(unplaced, Err(ConsumerError::Fetch(FetchError::NoOffset { .. }))));
    consumer.seek(&place(), 0).unwrap();
    write(&bed, 0..10).await;
    read(&mut consumer, 0..10).await;
    lose(&bed, 10..20, &mut consumer).await;
    write(&bed, 100..105).await;
    match within(LONG, consumer.recv()).await {
        Err(ConsumerError::Fetch(FetchError::Truncated { offset, diverging, .. })) => {
            assert_eq!((offset, diverging), (20, Some(10)));
        }
        other => panic!("{other:?}"),
    }
    consumer.seek(&place(), 10).unwrap();
    read(&mut consumer, 100..105).await;
}

async fn unclean() -> Bed {
    let topic = TopicSpec::new("u").partitions(1).replicas(2);
    let topic = topic.config("unclean.leader.election.enable", "true");
    Bed::start_with(|builder| builder.topic(topic)).await
}

/// Writes records that the leader alone has, lets them be read, and has the other replica elected.
async fn lose(bed: &Bed, numbers: std::ops::Range<u32>, consumer: &mut Consumer) {
    let partition = bed.cluster.partition("u", 0);
    let leader = partition.leader().unwrap();
    partition.pause_replication().unwrap();
    write(bed, numbers.clone()).await;
    assert_eq!(partition.in_sync(), [leader]);
    read(consumer, numbers).await;
    bed.cluster.node(leader).kill().await;
    partition.resume_replication().unwrap();
    assert_ne!(partition.leader(), Some(leader));
}

async fn consumer(bed: &Bed, reset: AutoOffsetReset) -> Consumer {
    let builder = reader(&bed.client().await).start_at(reset);
    builder.assign([place()]).build().await.unwrap()
}

async fn write(bed: &Bed, numbers: std::ops::Range<u32>) {
    let client = bed.friend().await;
    let producer = Producer::builder(&client).build().await.unwrap();
    let records = numbers.map(|number| Record::to("u").partition(0).value(number.to_string()));
    let sent = producer.send_all(records).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    client.close().await;
}

async fn read(consumer: &mut Consumer, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let record = within(LONG, consumer.recv()).await.unwrap().unwrap();
        assert_eq!(record.value(), Some(number.to_string().as_bytes()));
    }
}

fn place() -> TopicPartition {
    TopicPartition::new("u", 0)
}

const LONG: Duration = Duration::from_secs(60);
