//! What goes in comes out.

use std::time::Duration;

use ottla_broker::cluster::{Cluster, TopicSpec};
use ottla_core::config::ClientConfig;
use ottla_core::types::ErrorCode;
use ottla_producer::config::{Acks, PartitionerKind, ProducerConfig};
use ottla_producer::partitioner::{Partitioner, Unpartitioned, murmur2};
use ottla_producer::{Producer, Record, SendError};
use ottla_protocol::compression::{Codec, Compression};

use super::bed::{Bed, EPOCH_MS, connect_with, numbers, one};

#[tokio::test(start_paused = true)]
async fn a_record_is_where_its_acknowledgement_says() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let record = Record::to("t").key("42").value("paid").header("a", "b").null_header("a");
    let metadata = producer.send(record.timestamp(EPOCH_MS - 77)).await.unwrap();
    assert_eq!((metadata.offset.known(), metadata.timestamp), (Some(0), EPOCH_MS - 77));
    let records = bed.cluster.partition("t", metadata.partition).records();
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((record.key(), record.value()), (Some(&b"42"[..]), Some(&b"paid"[..])));
    assert_eq!((record.timestamp(), record.headers().len()), (EPOCH_MS - 77, 2));
}

#[tokio::test(start_paused = true)]
async fn null_and_empty_stay_apart() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(Record::to("one")).await.unwrap();
    producer.send(Record::to("one").key("").value("")).await.unwrap();
    let records = bed.cluster.partition("one", 0).records();
    let seen: Vec<_> = records.iter().map(|record| (record.key(), record.value())).collect();
    assert_eq!(seen, [(None, None), (Some(&b""[..]), Some(&b""[..]))]);
}

#[tokio::test(start_paused = true)]
async fn a_key_goes_where_java_sends_it() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    for key in ["21", "foobar", "a-little-bit-long-string"] {
        let metadata = producer.send(Record::to("t").key(key).value("v")).await.unwrap();
        let masked = murmur2(key.as_bytes()) & 0x7fff_ffff;
        assert_eq!(u32::try_from(metadata.partition).unwrap(), masked % 3, "{key}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_of_ones_own_is_kept_and_one_that_is_not_there_is_refused() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let metadata = producer.send(Record::to("t").key("k").partition(2)).await.unwrap();
    assert_eq!(metadata.partition, 2);
    let refused = producer.send(Record::to("t").value("v").partition(3)).await.unwrap_err();
    assert_eq!(refused.to_string(), "send t: no partition 3, it has 3");
    assert_eq!(refused.into_record(), Some(Record::to("t").value("v").partition(3)));
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_just_added_is_found() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(one("a")).await.unwrap();
    bed.grow("one", 2).await;
    let begun = bed.client.runtime().now();
    producer.send(one("b").partition(1)).await.unwrap();
    assert!(bed.passed(begun) < Duration::from_secs(1), "{:?}", bed.passed(begun));
    assert_eq!(bed.values("one", 1), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_was_just_added_is_found_when_it_is_tried_again() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(one("a")).await.unwrap();
    bed.grow("one", 2).await;
    let refused = producer.try_enqueue(one("b").partition(1)).unwrap_err();
    assert!(matches!(refused.error(), SendError::NoSuchPartition { .. }), "{refused}");
    bed.sleep(Duration::from_secs(1)).await;
    producer.try_enqueue(refused.into_record().unwrap()).unwrap().await.unwrap();
    assert_eq!(bed.values("one", 1), ["b"]);
}

#[tokio::test(start_paused = true)]
async fn records_without_a_key_stay_within_a_topic_that_was_made_again_with_fewer_partitions() {
    let bed = Bed::with([TopicSpec::new("again").partitions(3).replicas(3)]).await;
    let producer = bed.producer().await;
    let record = || Record::to("again").value("x".repeat(30_000));
    // Until the choice, which a few of these end, is a partition that there will not be.
    while producer.send(record()).await.unwrap().partition == 0 {}
    bed.delete("again").await;
    bed.create("again").await;
    bed.client.refreshed(bed.soon()).await.unwrap();
    let sent = producer.send(record()).await.unwrap();
    assert_eq!((sent.partition, sent.offset.known()), (0, Some(0)));
}

#[tokio::test(start_paused = true)]
async fn round_robin_visits_all_partitions() {
    let bed = Bed::start().await;
    let builder = bed.builder().partitioner(PartitionerKind::RoundRobin);
    let producer = builder.build().await.unwrap();
    let mut partitions = Vec::new();
    for _ in 0..6 {
        partitions.push(producer.send(Record::to("t").key("same")).await.unwrap().partition);
    }
    assert_eq!(partitions, [0, 1, 2, 0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_partitioner_of_ones_own_sees_all_of_the_record() {
    let bed = Bed::start().await;
    let producer = bed.builder().custom_partitioner(ByRegion).build().await.unwrap();
    let record = || Record::to("t").key("k").value("north");
    assert_eq!(producer.send(record().header("region", "2")).await.unwrap().partition, 2);
    assert_eq!(producer.send(record().header("region", "1")).await.unwrap().partition, 1);
}

/// Reads the partition from a header.
#[derive(Debug)]
struct ByRegion;

impl Partitioner for ByRegion {
    fn partition(&self, record: &Unpartitioned<'_>) -> Option<i32> {
        assert_eq!((record.topic(), record.partitions()), ("t", 3));
        assert_eq!((record.key(), record.value()), (Some(&b"k"[..]), Some(&b"north"[..])));
        let [region] = record.headers() else { return None };
        std::str::from_utf8(region.value.as_ref()?).ok()?.parse().ok()
    }
}

#[tokio::test(start_paused = true)]
async fn somebody_who_waits_does_not_wait_for_the_linger() {
    let bed = Bed::start().await;
    let producer = bed.builder().linger(Duration::from_secs(60)).build().await.unwrap();
    let begun = bed.client.runtime().now();
    producer.send(one("a")).await.unwrap();
    assert!(bed.passed(begun) < Duration::from_secs(1), "{:?}", bed.passed(begun));
}

#[tokio::test(start_paused = true)]
async fn records_of_one_partition_keep_their_order_and_share_batches() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let mut last = None;
    for number in numbers(5_000) {
        last = Some(producer.enqueue(one(number)).await.unwrap());
    }
    let metadata = last.unwrap().await.unwrap();
    assert_eq!(metadata.offset, 4_999);
    assert_eq!(bed.values("one", 0), numbers(5_000));
    assert_eq!(producer.delivered(), 5_000);
}

#[tokio::test(start_paused = true)]
async fn many_records_are_sent_at_once_and_answered_in_order() {
    let bed = Bed::start().await;
    let producer = bed.builder().linger(Duration::from_secs(60)).build().await.unwrap();
    let begun = bed.client.runtime().now();
    let outcomes = producer.send_all(numbers(100).into_iter().map(one)).await;
    let offsets: Vec<_> =
        outcomes.into_iter().map(|outcome| outcome.unwrap().offset.known().unwrap()).collect();
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
    assert!(bed.passed(begun) < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn every_codec_arrives() {
    let bed = Bed::start().await;
    for (index, compression) in (0_u32..).zip(Compression::ALL) {
        let builder = bed.builder().compression(Codec::new(compression));
        let producer = builder.build().await.unwrap();
        let outcomes = producer.send_all(numbers(200).into_iter().map(one)).await;
        assert!(outcomes.iter().all(Result::is_ok), "{compression:?}");
        let count = bed.values("one", 0).len();
        assert_eq!(count, 200 * usize::try_from(index + 1).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn without_acknowledgement_the_offset_is_unknown_and_the_record_there() {
    let bed = Bed::start().await;
    let builder = bed.builder().acks(Acks::None).idempotence(false);
    let producer = builder.build().await.unwrap();
    let metadata = producer.send(one("a")).await.unwrap();
    assert_eq!(metadata.offset.to_string(), "unknown");
    bed.sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.values("one", 0), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn the_leaders_acknowledgement_alone_is_enough_when_asked_for() {
    let bed = Bed::start().await;
    let builder = bed.builder().acks(Acks::Leader).idempotence(false);
    let producer = builder.build().await.unwrap();
    assert_eq!(producer.send(one("a")).await.unwrap().offset, 0);
}

#[tokio::test(start_paused = true)]
async fn a_topic_handle_sends_what_it_is_lent() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let topic = producer.topic("one").await.unwrap();
    topic.try_post(None, Some(b"a")).unwrap();
    topic.post(None, Some(b"b")).await.unwrap();
    let c = topic.try_enqueue(None, Some(b"c")).unwrap();
    let d = topic.enqueue(None, Some(b"d")).await.unwrap();
    assert_eq!(topic.send(Some(b"k"), Some(b"e")).await.unwrap().offset, 4);
    assert_eq!(c.await.unwrap().offset, 2);
    assert_eq!(d.await.unwrap().offset, 3);
    assert_eq!(bed.values("one", 0), ["a", "b", "c", "d", "e"]);
}

#[tokio::test(start_paused = true)]
async fn a_callback_learns_what_became_of_its_record() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.topic("one").await.unwrap();
    let (tell, told) = tokio::sync::oneshot::channel();
    producer.try_enqueue_with(one("a"), |outcome| drop(tell.send(outcome))).unwrap();
    assert_eq!(told.await.unwrap().unwrap().offset, 0);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_never_sent_to_is_waited_for_and_not_tried() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let refused = producer.try_enqueue(one("a")).unwrap_err();
    assert!(matches!(refused.error(), SendError::TopicNotLoaded { .. }));
    assert!(refused.error().would_wait());
    producer.enqueue(refused.into_record().unwrap()).await.unwrap().await.unwrap();
    producer.try_enqueue(one("b")).unwrap().await.unwrap();
    assert_eq!(bed.values("one", 0), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_does_not_exist_is_told_soon_and_believed_again_once_it_does() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let begun = bed.client.runtime().now();
    let refused = producer.send(Record::to("nowhere").value("v")).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "send nowhere: topic does not exist; create it with `admin.create_topic`, or let brokers do \
         so with allow.auto.create.topics=true"
    );
    assert!(bed.passed(begun) < Duration::from_secs(5), "{:?}", bed.passed(begun));
    let code = ErrorCode::UnknownTopicOrPartition;
    assert!(matches!(refused.error(), SendError::Topic { code: told, .. } if *told == code));
    bed.create("nowhere").await;
    producer.send(refused.into_record().unwrap()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn settings_that_do_not_fit_are_all_told() {
    let bed = Bed::start().await;
    let config = ProducerConfig { acks: Acks::None, buffer_memory: 1, ..ProducerConfig::default() };
    let refused = bed.builder().config(config).build().await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "producer settings: enable.idempotence=true needs acks=all; set acks=all, or \
         enable.idempotence=false; buffer.memory must be at least 1048576 bytes, the larger of \
         batch.size and max.request.size"
    );
}

#[tokio::test(start_paused = true)]
async fn the_futures_of_a_record_are_small() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let topic = producer.topic("one").await.unwrap();
    // A future is moved to where it is awaited: each of these bytes is copied for each record.
    assert!(size_of_val(&topic.enqueue(None, None)) <= 256);
    assert!(size_of_val(&topic.post(None, None)) <= 256);
    assert!(size_of_val(&topic.send(None, None)) <= 256);
    assert!(size_of_val(&producer.enqueue(one(1))) <= 400);
    assert!(size_of_val(&producer.send(one(1))) <= 400);
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_made_by_asking_for_it_only_where_client_and_brokers_are_set_so() {
    let cluster = Cluster::builder().brokers(3).auto_create(true).epoch_ms(EPOCH_MS);
    let cluster = cluster.start().await.unwrap();
    for allowed in [false, true] {
        let config = ClientConfig { allow_auto_create_topics: allowed, ..ClientConfig::default() };
        let client = connect_with(&cluster, config).await;
        let producer = Producer::builder(&client).build().await.unwrap();
        let sent = producer.send(Record::to("new").value("v")).await;
        assert_eq!(sent.is_ok(), allowed, "{sent:?}");
    }
}
