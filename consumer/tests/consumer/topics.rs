//! Topics that are deleted, and made again.

use std::time::Duration;

use ottla_consumer::ConsumerBuilder;
use ottla_consumer::error::{ConsumerError, FetchError};
use ottla_consumer::machine::commit::{CommitError, Offset};
use ottla_core::types::TopicPartition;
use ottla_protocol::ErrorCode;

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
