//! Where partitions are read.

use ottla_consumer::config::AutoOffsetReset;
use ottla_consumer::error::{ConsumerError, FetchError};
use ottla_consumer::machine::fetch::{FetchEvent, ResetCause};
use ottla_consumer::{Consumer, ConsumerEvent};

use crate::bed::{Bed, next, t, value, values, within};

async fn filled(bed: &Bed) {
    for value in ["a", "b", "c", "d"] {
        bed.produce(0, &[value]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_seek_takes_effect_at_once() {
    let bed = Bed::start().await;
    filled(&bed).await;
    let mut consumer = bed.consumer(&[0]).await;
    assert_eq!(values(&next(&mut consumer).await), ["a"]);
    consumer.seek(&t(0), 3).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["d"]);
    consumer.seek(&t(0), 1).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["b"]);
    consumer.seek_to_beginning(&t(0)).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_seek_into_a_batch_returns_no_record_before() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b", "c"]).await;
    let mut consumer = bed.consumer(&[0]).await;
    consumer.seek(&t(0), 2).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["c"]);
    consumer.seek(&t(0), 1).unwrap();
    assert_eq!(value(&within(consumer.recv()).await.unwrap().unwrap()), "b");
}

#[tokio::test(start_paused = true)]
async fn a_seek_to_the_end_returns_only_what_comes_after() {
    let bed = Bed::start().await;
    filled(&bed).await;
    let mut consumer = bed.consumer(&[0]).await;
    consumer.seek_to_end(&t(0)).unwrap();
    assert_eq!(consumer.position(&t(0)).unwrap(), None);
    let late = tokio::time::timeout(std::time::Duration::from_secs(3), consumer.poll()).await;
    assert!(late.is_err());
    bed.produce(0, &["e"]).await;
    assert_eq!(values(&next(&mut consumer).await), ["e"]);
}

#[tokio::test(start_paused = true)]
async fn a_seek_to_a_time_finds_the_first_record_from_then_on() {
    let bed = Bed::start().await;
    filled(&bed).await;
    let mut consumer = bed.consumer(&[0]).await;
    consumer.seek_to_timestamp(&t(0), 999).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["a"]);
    consumer.seek_to_timestamp(&t(0), 1_001).unwrap();
    bed.produce(0, &["e"]).await;
    // Every record has the timestamp 1,000: there is none from then on, so it is the end.
    let none = tokio::time::timeout(std::time::Duration::from_secs(3), consumer.poll()).await;
    assert!(none.is_err() || values(&none.unwrap().unwrap().unwrap()) == ["e"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_partition_returns_nothing_until_it_goes_on() {
    let bed = Bed::start().await;
    filled(&bed).await;
    bed.produce(1, &["x"]).await;
    let mut consumer = bed.consumer(&[0, 1]).await;
    consumer.pause(&t(0)).unwrap();
    assert_eq!(consumer.paused(), [t(0)]);
    assert_eq!(values(&next(&mut consumer).await), ["x"]);
    let none = tokio::time::timeout(std::time::Duration::from_secs(3), consumer.poll()).await;
    assert!(none.is_err());
    consumer.resume(&t(0)).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn every_reset_is_reported() {
    let bed = Bed::start().await;
    filled(&bed).await;
    let mut consumer = bed.consumer(&[0]).await;
    next(&mut consumer).await;
    let reset = |from, cause| FetchEvent::Reset { partition: t(0), from, to: 0, cause };
    assert_eq!(happened(&mut consumer), [reset(None, ResetCause::NoCommittedOffset)]);
    consumer.seek(&t(0), 1_000).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["a"]);
    assert_eq!(happened(&mut consumer), [reset(Some(1_000), ResetCause::OutOfRange)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_policy_an_offset_out_of_range_is_an_error_and_a_seek_goes_on() {
    let bed = Bed::start().await;
    filled(&bed).await;
    bed.produce(1, &["x"]).await;
    let none = |config: &mut ottla_consumer::config::ConsumerConfig| {
        config.auto_offset_reset = AutoOffsetReset::None;
    };
    let mut consumer = bed.consumer_with(&[0, 1], none).await;
    consumer.seek(&t(0), 77).unwrap();
    consumer.seek(&t(1), 0).unwrap();
    let (mut refused, mut read) = (Vec::new(), Vec::new());
    while refused.len() < 3 || read.is_empty() {
        match within(consumer.poll()).await {
            Ok(batch) => read.extend(values(&batch.unwrap())),
            Err(ConsumerError::Fetch(error)) => refused.push(error),
            Err(error) => panic!("{error}"),
        }
    }
    let (no_offset, out_of_range) = (
        |p| FetchError::NoOffset { partition: t(p) },
        FetchError::OffsetOutOfRange { partition: t(0), offset: 77 },
    );
    assert_eq!(refused, [no_offset(0), no_offset(1), out_of_range]);
    assert_eq!(read, ["x"], "the other partition is read on");
    consumer.seek(&t(0), 3).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["d"]);
}

fn happened(consumer: &mut Consumer) -> Vec<FetchEvent> {
    let fetched = |event| match event {
        ConsumerEvent::Fetch(event) => Some(event),
        _ => None,
    };
    consumer.events().filter_map(fetched).collect()
}
