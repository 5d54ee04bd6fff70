//! Records on their way in.

use std::time::Duration;

use ottla_consumer::config::AutoOffsetReset;
use ottla_consumer::{Consumer, ConsumerBuilder, ConsumerRecord};
use ottla_core::net::Client;
use ottla_core::types::TopicPartition;
use ottla_integration_tests::TestCluster;
use ottla_producer::Record;
use ottla_protocol::compression::{Codec, Compression};

use crate::clients::{connect, producer};
use crate::produce::{Plain, colourful, enqueue_all};

pub(crate) async fn what_was_produced_is_consumed_in_order(cluster: &TestCluster) {
    let topic = cluster.create_topic("consumed", 3).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |builder| builder).await;
    let record = |i: u32| {
        let partition = i32::try_from(i % 3).expect("it is small");
        Record::to(&*topic).partition(partition).value(i.to_string())
    };
    let sent = producer.send_all((0..900).map(record)).await;
    assert!(sent.iter().all(Result::is_ok));
    let partitions = (0..3).map(|partition| TopicPartition::new(&*topic, partition));
    let mut consumer = from_the_beginning(&client).assign(partitions).build().await.expect("built");
    let mut next = [0; 3];
    for _ in 0..900 {
        let record = receive(&mut consumer).await;
        let at = usize::try_from(record.partition()).expect("it is not negative");
        let written = i64::from(number(&record) / 3);
        assert_eq!((record.offset(), written), (next[at], next[at]));
        next[at] += 1;
    }
    assert_eq!(next, [300; 3]);
    client.close().await;
}

pub(crate) async fn every_codec_is_read_as_it_was_written(cluster: &TestCluster) {
    let client = connect(cluster).await;
    for compression in Compression::ALL {
        let topic = cluster.create_topic(compression.name(), 1).await;
        let producer = producer(&client, |b| b.compression(Codec::new(compression))).await;
        producer.send_all(colourful(&topic)).await;
        let mut consumer = reader(&client, &topic).await;
        for expected in colourful(&topic) {
            let found = receive(&mut consumer).await;
            let headers = found.headers().into_iter();
            let plain = Plain {
                key: found.key().map(<[u8]>::to_vec),
                value: found.value().map(<[u8]>::to_vec),
                headers: headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
            };
            assert_eq!(plain, Plain::sent(&expected), "{compression}");
        }
    }
    client.close().await;
}

pub(crate) async fn a_consumer_goes_on_where_it_is_told_to(cluster: &TestCluster) {
    let topic = cluster.create_topic("sought", 1).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |builder| builder).await;
    let at = |i: u32| Record::to(&*topic).timestamp(1_000_000 + i64::from(i)).value(i.to_string());
    producer.send_all((0..100).map(at)).await;
    let mut consumer = reader(&client, &topic).await;
    let partition = TopicPartition::new(&*topic, 0);
    assert_eq!(number(&receive(&mut consumer).await), 0);
    consumer.seek(&partition, 70).expect("it is assigned");
    assert_eq!(number(&receive(&mut consumer).await), 70);
    consumer.seek_to_timestamp(&partition, 1_000_042).expect("it is assigned");
    assert_eq!(number(&receive(&mut consumer).await), 42);
    consumer.seek_to_beginning(&partition).expect("it is assigned");
    assert_eq!(number(&receive(&mut consumer).await), 0);
    client.close().await;
}

pub(crate) async fn behind_the_newest_only_what_comes_later_is_read(cluster: &TestCluster) {
    let topic = cluster.create_topic("latest", 1).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |builder| builder).await;
    enqueue_all(&producer, &topic, 0..5).await;
    let latest = ConsumerBuilder::new(client.clone())
        .configure(|config| config.auto_offset_reset = AutoOffsetReset::Latest);
    let partition = TopicPartition::new(&*topic, 0);
    let mut consumer = latest.assign([partition.clone()]).build().await.expect("it is built");
    while consumer.position(&partition).expect("it is assigned").is_none() {
        // Nothing is there to be read; polling is what looks the position up.
        let nothing = tokio::time::timeout(Duration::from_millis(20), consumer.recv()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
    enqueue_all(&producer, &topic, 5..6).await;
    assert_eq!(number(&receive(&mut consumer).await), 5);
    client.close().await;
}

/// A consumer of partition 0, from its beginning.
pub(crate) async fn reader(client: &Client, topic: &str) -> Consumer {
    let partition = TopicPartition::new(topic, 0);
    let built = from_the_beginning(client).assign([partition]).build().await;
    built.expect("the partition exists")
}

pub(crate) fn from_the_beginning(client: &Client) -> ConsumerBuilder {
    ConsumerBuilder::new(client.clone())
        .configure(|config| config.auto_offset_reset = AutoOffsetReset::Earliest)
}

/// The next record, which must come.
pub(crate) async fn receive(consumer: &mut Consumer) -> ConsumerRecord {
    let next = tokio::time::timeout(Duration::from_secs(30), consumer.recv()).await;
    next.expect("a record comes").expect("it can be read").expect("the consumer is not shut down")
}

/// The number that is a record's value.
pub(crate) fn number(record: &ConsumerRecord) -> u32 {
    let text = std::str::from_utf8(record.value().expect("it has a value")).expect("it is text");
    text.parse().expect("it is a number")
}
