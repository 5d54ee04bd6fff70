//! Records on their way out, judged by what is in the log then.

use std::time::Duration;

use ottla_core::error::Certainty;
use ottla_integration_tests::TestCluster;
use ottla_producer::config::Acks;
use ottla_producer::{Producer, Record};
use ottla_protocol::compression::{Codec, Compression};
use ottla_protocol::records::OwnedRecord;

use crate::clients::{connect, producer};

pub(crate) async fn a_record_is_where_its_acknowledgement_says(cluster: &TestCluster) {
    let topic = cluster.create_topic("acknowledged", 3).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |builder| builder).await;
    let value = |i: i32| i.to_string().into_bytes();
    let records = (0..1000).map(|i| Record::to(&*topic).key(value(i % 50)).value(value(i)));
    let sent = producer.send_all(records).await;
    let mut logs = Vec::new();
    for partition in 0..3 {
        logs.push(cluster.records(&topic, partition).await);
    }
    for (i, sent) in (0..).zip(sent) {
        let sent = sent.expect("it is acknowledged");
        let log = &logs[usize::try_from(sent.partition).expect("it is not negative")];
        let found = log.iter().find(|record| sent.offset == record.offset());
        assert_eq!(found.and_then(OwnedRecord::value), Some(&*value(i)));
    }
    assert_eq!(logs.iter().map(Vec::len).sum::<usize>(), 1000, "and nothing besides");
    client.close().await;
}

pub(crate) async fn every_codec_brings_back_what_went_in(cluster: &TestCluster) {
    let client = connect(cluster).await;
    for compression in Compression::ALL {
        let topic = cluster.create_topic(compression.name(), 1).await;
        let producer = producer(&client, |b| b.compression(Codec::new(compression))).await;
        let sent = producer.send_all(colourful(&topic)).await;
        assert!(sent.iter().all(Result::is_ok), "{compression}: {sent:?}");
        let found = cluster.records(&topic, 0).await;
        let expected: Vec<Plain> = colourful(&topic).map(|record| Plain::sent(&record)).collect();
        assert_eq!(found.iter().map(Plain::found).collect::<Vec<_>>(), expected, "{compression}");
    }
    client.close().await;
}

pub(crate) async fn without_acknowledgement_there_is_no_offset(cluster: &TestCluster) {
    let topic = cluster.create_topic("unacknowledged", 1).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |b| b.acks(Acks::None).idempotence(false)).await;
    let sent = producer.send(Record::to(&*topic).value("gone")).await.expect("it was sent");
    assert_eq!(sent.offset.known(), None);
    client.close().await;
}

pub(crate) async fn the_leaders_acknowledgement_is_enough_if_asked_for(cluster: &TestCluster) {
    let topic = cluster.create_topic("by-the-leader", 1).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |b| b.acks(Acks::Leader).idempotence(false)).await;
    let sent = producer.send(Record::to(&*topic).value("kept")).await.expect("it is acknowledged");
    assert_eq!(sent.offset.known(), Some(0));
    client.close().await;
}

pub(crate) async fn a_batch_too_large_for_the_topic_is_split(cluster: &TestCluster) {
    let topic = cluster.create_topic_with("small", 1, &[("max.message.bytes", "10000")]).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |b| b.linger(Duration::from_millis(50))).await;
    let records = (0..100u8).map(|i| Record::to(&*topic).value(vec![i; 500]));
    let sent = producer.send_all(records).await;
    assert!(sent.iter().all(Result::is_ok), "{sent:?}");
    let found = cluster.records(&topic, 0).await;
    let firsts = found.iter().map(|record| record.value().expect("it has one")[0]);
    assert_eq!(firsts.collect::<Vec<_>>(), (0..100).collect::<Vec<u8>>());
    client.close().await;
}

pub(crate) async fn a_record_too_large_for_the_topic_comes_back(cluster: &TestCluster) {
    let topic = cluster.create_topic_with("tiny", 1, &[("max.message.bytes", "1000")]).await;
    let client = connect(cluster).await;
    let producer = producer(&client, |builder| builder).await;
    let refused = producer.send(Record::to(&*topic).value(vec![0; 5000])).await;
    let refused = refused.expect_err("the topic does not take it");
    assert_eq!(refused.error().certainty(), Certainty::NotWritten);
    assert!(refused.error().to_string().contains("max.message.bytes"), "{}", refused.error());
    assert_eq!(refused.record().and_then(Record::value_bytes).map(|v| v.len()), Some(5000));
    client.close().await;
}

pub(crate) async fn a_topic_that_does_not_exist_is_an_error_in_time(cluster: &TestCluster) {
    let client = connect(cluster).await;
    let producer = producer(&client, |b| b.max_block(Duration::from_secs(2))).await;
    let sent = producer.send(Record::to(cluster.unique("nowhere")).value("lost"));
    let failed = tokio::time::timeout(Duration::from_secs(10), sent).await;
    let failed = failed.expect("max.block.ms is kept").expect_err("there is no such topic");
    assert_eq!(failed.error().certainty(), Certainty::NotWritten);
    client.close().await;
}

/// Sends `values` one after another to partition 0, and lets them be acknowledged together.
pub(crate) async fn enqueue_all(producer: &Producer, topic: &str, values: std::ops::Range<u32>) {
    let mut deliveries = Vec::new();
    for value in values {
        let record = Record::to(topic).partition(0).value(value.to_string());
        deliveries.push(producer.enqueue(record).await.expect("there is room"));
    }
    for delivery in deliveries {
        delivery.await.expect("it is acknowledged");
    }
}

/// The values in partition 0, as the numbers that [`enqueue_all`] wrote.
pub(crate) async fn values(cluster: &TestCluster, topic: &str) -> Vec<u32> {
    let number = |record: &OwnedRecord| std::str::from_utf8(record.value()?).ok()?.parse().ok();
    let found = cluster.records(topic, 0).await;
    found.iter().map(|record| number(record).expect("it is a number")).collect()
}

/// Null and empty keys and values, headers that repeat, times of long ago, and enough of the same
/// bytes for a codec to have something to do.
pub(crate) fn colourful(topic: &str) -> impl Iterator<Item = Record> {
    let plain = move |at: i64| Record::to(topic).partition(0).timestamp(1_000_000_000_000 + at);
    let odd = [
        plain(0),
        plain(1).key("").value(""),
        plain(2).key("tombstone"),
        plain(3).value("no key"),
        plain(4).value("h").header("a", "1").header("a", "2").null_header("b").header("c", ""),
        plain(5).key("ключ").value(vec![0, 255, 10, 13]),
    ];
    odd.into_iter().chain((6..200).map(move |at| plain(at).key("k").value("same again ".repeat(9))))
}

/// What of a record must survive.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Plain {
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Plain {
    pub(crate) fn sent(record: &Record) -> Self {
        let header = |header: &ottla_producer::RecordHeader| {
            (header.key.as_bytes().to_vec(), header.value.as_deref().map(<[u8]>::to_vec))
        };
        Self {
            key: record.key_bytes().map(|key| key.to_vec()),
            value: record.value_bytes().map(|value| value.to_vec()),
            headers: record.headers().iter().map(header).collect(),
        }
    }

    fn found(record: &OwnedRecord) -> Self {
        let headers = record.headers().into_iter();
        Self {
            key: record.key().map(<[u8]>::to_vec),
            value: record.value().map(<[u8]>::to_vec),
            headers: headers.map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
        }
    }
}
