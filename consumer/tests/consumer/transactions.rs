//! What readers see of transactions.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_consumer::config::AssignmentStrategy;
use ottla_consumer::{Consumer, ConsumerBuilder};
use ottla_core::cluster::CoordinatorKind;
use ottla_core::net::Target;
use ottla_core::types::TopicPartition;
use ottla_protocol::compression::Compression;
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::{EndTxnRequest, InitProducerIdRequest, TxnOffsetCommitRequest};
use ottla_protocol::records::{ProducerStamp, SealOptions};

use crate::bed::{Bed, next, soon, t, values, within};

/// A transactional producer, as raw requests of protocol 2.
struct Writer<'a> {
    bed: &'a Bed,
    id: &'static str,
    producer: ProducerStamp,
}

impl<'a> Writer<'a> {
    async fn begin(bed: &'a Bed, id: &'static str) -> Self {
        let request = InitProducerIdRequest {
            transactional_id: Some(id.into()),
            transaction_timeout_ms: 60_000,
            ..Default::default()
        };
        let target = Target::Coordinator(CoordinatorKind::Transaction, id.into());
        let answer = bed.client.call(&target, &request, soon(&bed.client)).await.unwrap();
        assert_eq!(answer.error_code, 0);
        let producer = ProducerStamp {
            producer_id: answer.producer_id,
            producer_epoch: answer.producer_epoch,
            base_sequence: 0,
        };
        Self { bed, id, producer }
    }

    async fn write(&self, partition: i32, value: &str) -> i64 {
        let options =
            SealOptions { producer: self.producer, transactional: true, ..Default::default() };
        let none = Compression::None;
        self.bed.write(partition, &[value], none, &options, Some(self.id)).await
    }

    async fn commit_offset(&self, group: &str, partition: i32, offset: i64) {
        self.commit_offset_of(group, &t(partition), offset).await;
    }

    async fn commit_offset_of(&self, group: &str, of: &TopicPartition, offset: i64) {
        let topic = self.bed.client.topic(&of.topic, soon(&self.bed.client)).await.unwrap();
        let row = TxnOffsetCommitRequestPartition {
            partition_index: of.partition,
            committed_offset: offset,
            ..Default::default()
        };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.id.into(),
            group_id: group.to_owned().into(),
            producer_id: self.producer.producer_id,
            producer_epoch: self.producer.producer_epoch,
            topics: vec![TxnOffsetCommitRequestTopic {
                name: of.topic.to_wire(),
                topic_id: topic.id.unwrap(),
                partitions: vec![row],
                ..Default::default()
            }],
            ..Default::default()
        };
        let target = Target::Coordinator(CoordinatorKind::Group, group.into());
        let client = &self.bed.client;
        let answer = client.call(&target, &request, soon(client)).await.unwrap();
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
    }

    async fn end(self, committed: bool) {
        let request = EndTxnRequest {
            transactional_id: self.id.into(),
            producer_id: self.producer.producer_id,
            producer_epoch: self.producer.producer_epoch,
            committed,
            ..Default::default()
        };
        let target = Target::Coordinator(CoordinatorKind::Transaction, self.id.into());
        let client = &self.bed.client;
        let answer = client.call(&target, &request, soon(client)).await.unwrap();
        assert_eq!(answer.error_code, 0);
    }
}

async fn committed_reader(bed: &Bed) -> Consumer {
    bed.builder().read_committed().assign([t(0)]).build().await.unwrap()
}

async fn reads_nothing(consumer: &mut Consumer) {
    let idle = tokio::time::timeout(Duration::from_secs(2), consumer.poll()).await;
    assert!(idle.is_err(), "{idle:?}");
}

#[tokio::test(start_paused = true)]
async fn readers_of_committed_records_see_whole_transactions_or_nothing() {
    let bed = Bed::start().await;
    let mut consumer = committed_reader(&bed).await;
    let (kept, dropped) = (Writer::begin(&bed, "a").await, Writer::begin(&bed, "b").await);
    assert_eq!(kept.write(0, "kept").await, 0);
    assert_eq!(dropped.write(0, "dropped").await, 1);
    assert_eq!(bed.produce(0, &["plain"]).await, 2);
    reads_nothing(&mut consumer).await;
    dropped.end(false).await;
    reads_nothing(&mut consumer).await;
    kept.end(true).await;
    assert_eq!(values(&next(&mut consumer).await), ["kept"]);
    assert_eq!(values(&next(&mut consumer).await), ["plain"]);
}

#[tokio::test(start_paused = true)]
async fn positions_and_lag_count_to_the_last_stable_offset() {
    let bed = Bed::start().await;
    let mut consumer = committed_reader(&bed).await;
    bed.produce(0, &["a", "b"]).await;
    let open = Writer::begin(&bed, "a").await;
    open.write(0, "open").await;
    bed.produce(0, &["behind it"]).await;
    assert_eq!(values(&next(&mut consumer).await), ["a", "b"]);
    reads_nothing(&mut consumer).await;
    assert_eq!(consumer.position(&t(0)).unwrap(), Some(2));
    assert_eq!(consumer.lag(&t(0)).unwrap(), Some(0), "what is open is not behind");
    let mut everything = bed.consumer(&[0]).await;
    next(&mut everything).await;
    assert_eq!(everything.lag(&t(0)).unwrap(), Some(2));
    open.end(false).await;
    assert_eq!(values(&next(&mut consumer).await), ["behind it"]);
    reads_nothing(&mut consumer).await;
    assert_eq!(consumer.position(&t(0)).unwrap(), Some(5), "behind the marker");
    assert_eq!(consumer.lag(&t(0)).unwrap(), Some(0));
}

#[tokio::test(start_paused = true)]
async fn positions_and_commits_do_not_stop_before_a_marker_that_comes_late() {
    let bed = Bed::start().await;
    let mut consumer = bed.builder().group("g").assign([t(0)]).build().await.unwrap();
    let open = Writer::begin(&bed, "a").await;
    open.write(0, "x").await;
    // It is fetched, and then the marker is, before anything is taken.
    tokio::time::sleep(Duration::from_secs(1)).await;
    open.end(true).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(values(&next(&mut consumer).await), ["x"]);
    assert_eq!(consumer.position(&t(0)).unwrap(), Some(2));
    assert_eq!(consumer.lag(&t(0)).unwrap(), Some(0));
    within(consumer.commit()).await.unwrap();
    let committed = within(consumer.committed([t(0)])).await.unwrap();
    assert_eq!(committed[&t(0)].as_ref().map(|offset| offset.offset), Some(2));
}

#[tokio::test(start_paused = true)]
async fn the_end_is_the_last_stable_offset_for_readers_of_committed_records() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b"]).await;
    let open = Writer::begin(&bed, "a").await;
    open.write(0, "open").await;
    let mut committed = committed_reader(&bed).await;
    let everything = bed.consumer(&[0]).await;
    let end = |offset| BTreeMap::from([(t(0), offset)]);
    assert_eq!(within(committed.end_offsets([t(0)])).await.unwrap(), end(2));
    assert_eq!(within(everything.end_offsets([t(0)])).await.unwrap(), end(3));
    committed.seek_to_end(&t(0)).unwrap();
    reads_nothing(&mut committed).await;
    assert_eq!(committed.position(&t(0)).unwrap(), Some(2));
    open.end(true).await;
    assert_eq!(values(&next(&mut committed).await), ["open"], "it was not passed over");
}

#[tokio::test(start_paused = true)]
async fn offsets_in_an_open_transaction_are_waited_for() {
    type Reads = fn(ConsumerBuilder) -> ConsumerBuilder;
    let levels: [Reads; 2] = [|builder| builder, ConsumerBuilder::read_committed];
    for (at, level) in levels.into_iter().enumerate() {
        let bed = Bed::start().await;
        bed.produce(0, &["a", "b"]).await;
        bed.produce(0, &["c"]).await;
        let writer = Writer::begin(&bed, "w").await;
        writer.commit_offset("g", 0, 2).await;
        let builder = level(bed.builder().group("g").assign([t(0)]));
        let begun = bed.client.runtime().now();
        let end = async {
            bed.client.runtime().sleep(Duration::from_millis(7_000)).await;
            writer.end(true).await;
        };
        let (mut consumer, ()) = tokio::join!(async { builder.build().await.unwrap() }, end);
        let took = bed.client.runtime().now() - begun;
        assert!((7_000..7_150).contains(&took.as_millis()), "{took:?}");
        assert_eq!(values(&next(&mut consumer).await), ["c"], "never the start: {at}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_reads_what_is_in_no_open_transaction_at_once() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b"]).await;
    bed.produce(0, &["c"]).await;
    bed.produce(1, &["x"]).await;
    let writer = Writer::begin(&bed, "w").await;
    writer.commit_offset("g", 0, 2).await;
    let mut consumer = bed.builder().group("g").subscribe(["t"]).build().await.unwrap();
    let begun = bed.client.runtime().now();
    assert_eq!(values(&next(&mut consumer).await), ["x"]);
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_secs(4), "{took:?}");
    reads_nothing(&mut consumer).await;
    writer.end(true).await;
    let begun = bed.client.runtime().now();
    assert_eq!(values(&next(&mut consumer).await), ["c"]);
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_millis(200), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_offset_in_an_open_transaction_stops_no_partition_that_a_member_keeps() {
    let bed = Bed::start().await;
    let mut consumer = bed.builder().group("g").subscribe(["t"]);
    consumer = consumer.configure(|config| {
        config.partition_assignment_strategy = vec![AssignmentStrategy::CooperativeSticky];
    });
    let mut consumer = consumer.build().await.unwrap();
    reads_nothing(&mut consumer).await;
    let writer = Writer::begin(&bed, "w").await;
    writer.commit_offset_of("g", &TopicPartition::new("other", 0), 2).await;
    consumer.subscribe(["t", "other"]).unwrap();
    reads_nothing(&mut consumer).await;
    assert_eq!(consumer.assignment().len(), 6);
    bed.produce(0, &["x"]).await;
    let begun = bed.client.runtime().now();
    assert_eq!(values(&next(&mut consumer).await), ["x"]);
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_millis(600), "{took:?}");
    writer.end(true).await;
}

#[tokio::test(start_paused = true)]
async fn a_partition_in_an_open_transaction_keeps_no_other_waiting() {
    let bed = Bed::start().await;
    let writer = Writer::begin(&bed, "w").await;
    writer.commit_offset("g", 0, 2).await;
    let onlooker = bed.builder().group("g").assign([("other", 0)]).build().await.unwrap();
    let committed = |partition| onlooker.committed([TopicPartition::new("t", partition)]);
    let begun = bed.client.runtime().now();
    let both = async {
        tokio::select! {
            biased;
            open = committed(0) => panic!("{open:?}"),
            free = async {
                bed.client.runtime().sleep(Duration::from_secs(1)).await;
                committed(1).await
            } => free,
        }
    };
    assert_eq!(within(both).await.unwrap()[&t(1)], None);
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_millis(1_300), "{took:?}");
    writer.end(true).await;
}
