//! A batch with a sound checksum whose third record cannot be read: no way of taking records counts
//! it, or what is behind it, as processed.

use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

use futures_core::Stream;
use ottla_consumer::error::{ConsumerError, FetchError};
use ottla_consumer::{Consumer, ConsumerBuilder};

use crate::bed::{Bed, next, t, values, within};

async fn member(bed: &Bed) -> Consumer {
    builder(bed).await.manual_commit().build().await.unwrap()
}

async fn builder(bed: &Bed) -> ConsumerBuilder {
    assert_eq!(bed.produce_unreadable(0).await, 0);
    bed.produce(0, &["d"]).await;
    bed.builder().group("g").subscribe(["t"])
}

/// What is committed of partition 0, after what was stored is.
async fn committed(consumer: &mut Consumer) -> Option<i64> {
    within(consumer.commit()).await.unwrap();
    let committed = within(consumer.committed([t(0)])).await.unwrap();
    committed[&t(0)].as_ref().map(|offset| offset.offset)
}

#[track_caller]
fn assert_unreadable(error: ConsumerError) {
    let told = match &error {
        ConsumerError::Fetch(FetchError::Unreadable { partition, offset, .. }) => {
            Some((partition, *offset))
        }
        _ => None,
    };
    assert_eq!(told, Some((&t(0), 2)), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_is_not_committed_by_who_takes_record_after_record() {
    let bed = Bed::start().await;
    let mut consumer = member(&bed).await;
    for offset in 0..2 {
        assert_eq!(within(consumer.recv()).await.unwrap().unwrap().offset(), offset);
    }
    assert_unreadable(within(consumer.recv()).await.unwrap_err());
    assert_eq!(committed(&mut consumer).await, Some(2));
    assert_eq!(consumer.position(&t(0)).unwrap(), Some(2));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_is_not_committed_by_who_takes_batches() {
    let bed = Bed::start().await;
    let mut consumer = member(&bed).await;
    assert_eq!(values(&next(&mut consumer).await), ["a", "b"]);
    assert_eq!(committed(&mut consumer).await, Some(2));
    assert_unreadable(within(consumer.poll()).await.unwrap_err());
    assert_eq!(committed(&mut consumer).await, Some(2));
    consumer.close(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_is_not_committed_by_who_reads_a_partition() {
    let bed = Bed::start().await;
    let mut consumer = member(&bed).await;
    let mut partitions = consumer.partitions();
    let mut stream = within(partitions.next()).await.unwrap();
    while stream.topic_partition() != &t(0) {
        stream = within(partitions.next()).await.unwrap();
    }
    let batch = within(stream.next_batch()).await.unwrap().unwrap();
    assert_eq!(values(&batch), ["a", "b"]);
    assert_unreadable(within(stream.next_batch()).await.unwrap_err());
    drop(stream);
    assert_eq!(committed(&mut consumer).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_record_is_not_committed_by_a_stream() {
    let bed = Bed::start().await;
    let consumer = builder(&bed).await.build().await.unwrap();
    let stop = consumer.shutdown_handle();
    let mut stream = consumer.into_stream();
    let mut pull = async || within(poll_fn(|cx| Pin::new(&mut stream).poll_next(cx))).await;
    for offset in 0..2 {
        let record = pull().await.unwrap().unwrap();
        assert_eq!(record.offset(), offset);
        record.ack();
    }
    assert_unreadable(pull().await.unwrap().unwrap_err());
    stop.shutdown();
    assert!(pull().await.is_none());
    let mut onlooker =
        bed.builder().group("g").manual_commit().assign([("other", 0)]).build().await.unwrap();
    assert_eq!(committed(&mut onlooker).await, Some(2));
}
