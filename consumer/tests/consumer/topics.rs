//! Topics that are deleted, and made again.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_consumer::ConsumerBuilder;
use ottla_consumer::error::{ConsumerError, FetchError};
use ottla_consumer::machine::commit::{CommitError, Offset};
use ottla_core::types::TopicPartition;
use ottla_protocol::{AnyResponse, ApiKey, ErrorCode};

use crate::bed::{Bed, next, t, value, values, within};

fn other() -> TopicPartition {
    TopicPartition::new("other", 0)
}

/// Assigns what the two tests below read by hand, in the group `g`.
fn reader(bed: &Bed) -> ConsumerBuilder {
    bed.builder().group("g").assign([t(0), other()])
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_deleted_topic_are_refused_and_the_others_are_committed() {
    let bed = Bed::start().await;
    let consumer = reader(&bed).manual_commit().build().await.unwrap();
    bed.delete().await;
    let begun = bed.client.runtime().now();
    let offsets = [(t(0), Offset::new(5)), (other(), Offset::new(3))].into();
    match within(consumer.commit_offsets(offsets)).await {
        Err(ConsumerError::Commit(error @ CommitError::Partition { .. })) => {
            let text = error.to_string();
            assert!(text.contains("t-0") && text.contains("deleted"), "{text}");
        }
        outcome => panic!("{outcome:?}"),
    }
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_secs(3), "{took:?}");
    let committed = within(consumer.committed([other()])).await.unwrap();
    assert_eq!(committed[&other()], Some(Offset::new(3)));
}

#[tokio::test(start_paused = true)]
async fn what_was_read_of_a_topic_is_not_committed_for_the_next_of_its_name() {
    let bed = Bed::start().await;
    for _ in 0..5 {
        bed.produce(0, &["old"]).await;
    }
    let look = bed.builder().group("g").manual_commit().assign([other()]).build().await.unwrap();
    let mut consumer = reader(&bed).build().await.unwrap();
    for _ in 0..5 {
        next(&mut consumer).await;
    }
    bed.delete().await;
    bed.create().await;
    // Asks for metadata, and with it learns that it is another topic.
    let idle = tokio::time::timeout(Duration::from_millis(1_500), consumer.recv()).await;
    assert!(idle.is_err(), "{idle:?}");
    bed.produce(0, &["new"]).await;
    let record = within(consumer.recv()).await.unwrap().unwrap();
    assert_eq!((value(&record).as_str(), record.offset()), ("new", 0));
    tokio::time::sleep(Duration::from_secs(12)).await;
    let committed = within(look.committed([t(0)])).await.unwrap();
    assert_eq!(committed[&t(0)], None, "nothing of it was processed yet");
    let idle = tokio::time::timeout(Duration::from_secs(12), consumer.recv()).await;
    assert!(idle.is_err(), "{idle:?}");
    let committed = within(look.committed([t(0)])).await.unwrap();
    assert_eq!(committed[&t(0)].as_ref().map(|offset| offset.offset), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_a_topic_is_not_committed_for_the_next_of_its_name() {
    let bed = Bed::start().await;
    bed.produce(0, &["old"]).await;
    let mut consumer = reader(&bed).manual_commit().build().await.unwrap();
    let batch = next(&mut consumer).await;
    bed.delete().await;
    bed.create().await;
    // Asks for metadata, and with it learns that it is another topic.
    let idle = tokio::time::timeout(Duration::from_millis(1_500), consumer.recv()).await;
    assert!(idle.is_err(), "{idle:?}");
    match within(batch.commit()).await {
        Err(ConsumerError::Commit(CommitError::Partition { partition, code })) => {
            assert_eq!((partition, code), (t(0), ErrorCode::UnknownTopicId));
        }
        outcome => panic!("{outcome:?}"),
    }
    let committed = within(consumer.committed([t(0)])).await.unwrap();
    assert_eq!(committed[&t(0)], None);
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_of_a_topic_is_no_place_in_the_next_of_its_name() {
    let bed = Bed::start().await;
    for _ in 0..3 {
        bed.produce(0, &["old"]).await;
    }
    let builder = || bed.builder().group("g").manual_commit().assign([other()]);
    let look = builder().build().await.unwrap();
    within(look.commit_offsets([(t(0), Offset::new(2))].into())).await.unwrap();
    let mut consumer = builder().build().await.unwrap();
    let late = Rule::new(ApiKey::OffsetFetch, Act::ApplyThenDelay(Duration::from_secs(2)));
    let _late = bed.cluster.fault(late.once());
    let assigning = tokio::time::timeout(Duration::from_millis(100), consumer.assign([t(0)]));
    assert!(assigning.await.is_err());
    bed.delete().await;
    bed.create().await;
    bed.client.request_refresh();
    tokio::time::sleep(Duration::from_millis(500)).await;
    for value in ["a", "b", "c", "d"] {
        bed.produce(0, &[value]).await;
    }
    assert_eq!(values(&next(&mut consumer).await), ["a"]);
}

#[tokio::test(start_paused = true)]
async fn a_partition_of_no_topic_keeps_no_other_from_being_read() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"]).await;
    let mut consumer = bed.builder().group("g").assign([other()]).build().await.unwrap();
    let nowhere = TopicPartition::new("nowhere", 0);
    within(consumer.assign([t(0), nowhere.clone()])).await.unwrap();
    let refused = loop {
        match within(consumer.poll()).await {
            Err(ConsumerError::Fetch(FetchError::Refused { partition, code })) => {
                break (partition, code);
            }
            Ok(batch) => assert_eq!(values(&batch.unwrap()), ["x"]),
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(refused.0, nowhere);
    assert!(matches!(refused.1, ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition));
    bed.produce(0, &["y"]).await;
    loop {
        match within(consumer.poll()).await {
            Ok(Some(batch)) if values(&batch) == ["y"] => break,
            Ok(_) => {}
            Err(ConsumerError::Fetch(FetchError::Refused { partition, .. })) => {
                assert_eq!(partition, nowhere);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Has the cluster refuse to tell of a topic from now on.
fn deny(bed: &Bed, topic: &'static str) {
    let deny = move |answer: &mut AnyResponse| {
        let AnyResponse::Metadata(metadata) = answer else { return };
        for row in &mut metadata.topics {
            if row.name.as_ref().is_some_and(|name| **name == *topic) {
                row.error_code = ErrorCode::TopicAuthorizationFailed.code();
                row.partitions.clear();
            }
        }
    };
    let _denied = bed.cluster.fault(Rule::new(ApiKey::Metadata, Act::edit(deny)));
}

#[tokio::test(start_paused = true)]
async fn a_topic_of_the_subscription_that_will_never_be_read_is_told_once() {
    for (name, code) in [
        ("denied", ErrorCode::TopicAuthorizationFailed),
        ("no such name", ErrorCode::InvalidTopicException),
    ] {
        let bed = Bed::start().await;
        bed.produce(0, &["x"]).await;
        deny(&bed, "denied");
        let subscribed = bed.builder().group("g").subscribe(["t", name]).build();
        let mut consumer = subscribed.await.unwrap();
        let begun = bed.client.runtime().now();
        let mut told = Vec::new();
        loop {
            match within(consumer.poll()).await {
                Err(ConsumerError::Topic { topic, code }) => told.push((topic.to_string(), code)),
                Ok(batch) => {
                    assert_eq!(values(&batch.unwrap()), ["x"]);
                    break;
                }
                Err(error) => panic!("{error}"),
            }
        }
        bed.client.request_refresh();
        let idle = tokio::time::timeout(Duration::from_secs(2), consumer.poll()).await;
        assert!(idle.is_err(), "{idle:?}");
        assert_eq!(told, [(name.to_owned(), code)]);
        let took = bed.client.runtime().now() - begun;
        assert!(took < Duration::from_secs(8), "{took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_only_topic_is_denied_is_told() {
    let bed = Bed::start().await;
    deny(&bed, "denied");
    let mut consumer = bed.builder().group("g").subscribe(["denied"]).build().await.unwrap();
    let told = within(consumer.poll()).await;
    assert!(matches!(told, Err(ConsumerError::Topic { .. })), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_is_denied_later_wakes_the_poll() {
    let bed = Bed::start().await;
    let mut consumer = bed.consumer(&[0]).await;
    // So that no answer to a fetch wakes it.
    consumer.pause(&t(0)).unwrap();
    let idle = tokio::time::timeout(Duration::from_secs(3), consumer.poll()).await;
    assert!(idle.is_err(), "{idle:?}");
    deny(&bed, "t");
    bed.client.request_refresh();
    let begun = bed.client.runtime().now();
    let told = tokio::time::timeout(Duration::from_secs(3), consumer.poll()).await;
    assert!(matches!(told, Ok(Err(ConsumerError::Fetch(FetchError::Refused { .. })))), "{told:?}");
    // Whoever looks again when the time is over finds it, too.
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_secs(2), "{took:?}");
}
