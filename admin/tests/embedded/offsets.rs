//! Offsets of partitions and of groups.

use std::time::Duration;

use ottla_admin::AdminError;
use ottla_admin::offsets::{DeleteBefore, Isolation, NewOffset, OffsetSpec};
use ottla_broker::fault::{Act, Rule};
use ottla_core::error::ErrorCode;
use ottla_core::types::TopicPartition;
use ottla_protocol::ApiKey;

use crate::bed::{Bed, START_MS, tp};

#[tokio::test(start_paused = true)]
async fn offsets_are_found_at_both_ends_and_by_time() {
    let bed = Bed::start().await;
    bed.write("orders", 0, &[START_MS + 10, START_MS + 30, START_MS + 20]).await;
    for (spec, offset, timestamp) in [
        (OffsetSpec::Earliest, Some(0), None),
        (OffsetSpec::Latest, Some(3), None),
        (OffsetSpec::MaxTimestamp, Some(1), Some(START_MS + 30)),
        (OffsetSpec::At(START_MS + 11), Some(1), Some(START_MS + 30)),
        (OffsetSpec::At(START_MS + 31), None, None),
    ] {
        let listed = bed.admin.list_offsets([(tp(0), spec)]).await.into_result().unwrap();
        assert_eq!(
            (listed[&tp(0)].offset, listed[&tp(0)].timestamp),
            (offset, timestamp),
            "{spec:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn partitions_of_all_leaders_are_listed_together() {
    let bed = Bed::start().await;
    bed.write("orders", 1, &[START_MS]).await;
    let wanted = (0..3).map(|index| (tp(index), OffsetSpec::Latest));
    let listed = bed.admin.list_offsets(wanted).isolation(Isolation::ReadCommitted).await;
    let listed = listed.into_result().unwrap();
    let ends: Vec<_> = listed.values().map(|it| it.offset.unwrap()).collect();
    assert_eq!(ends, [0, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_exist_is_told_soon_and_hides_nothing() {
    let bed = Bed::start().await;
    let begun = bed.now();
    let nowhere = TopicPartition::new("nowhere", 0);
    let wanted = [nowhere.clone(), tp(0), tp(7)].map(|partition| (partition, OffsetSpec::Earliest));
    let listed = bed.admin.list_offsets(wanted).await;
    assert!(listed.get(&tp(0)).unwrap().is_ok());
    for missing in [&nowhere, &tp(7)] {
        let error = listed.get(missing).unwrap().as_ref().unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition), "{error}");
    }
    let took = bed.now() - begun;
    assert!(took < Duration::from_millis(2_500), "{took:?}");
    assert_eq!(bed.admin.list_topics().await.unwrap().len(), 1, "nothing was created");
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_is_new_is_known_at_once() {
    let bed = Bed::start().await;
    bed.admin.list_offsets([(tp(0), OffsetSpec::Latest)]).await.into_result().unwrap();
    bed.admin.create_partitions([("orders", 4)]).await.into_result().unwrap();
    bed.admin.list_offsets([(tp(3), OffsetSpec::Latest)]).await.into_result().unwrap();
    bed.admin.create_topic("payments").await.unwrap();
    let payments = TopicPartition::new("payments", 0);
    bed.admin.list_offsets([(payments, OffsetSpec::Latest)]).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_oldest_records_are_deleted() {
    let bed = Bed::start().await;
    bed.write("orders", 0, &[START_MS; 5]).await;
    bed.write("orders", 1, &[START_MS; 2]).await;
    let wanted = [
        (tp(0), DeleteBefore::Offset(3)),
        (tp(1), DeleteBefore::HighWatermark),
        (tp(2), DeleteBefore::Offset(9)),
    ];
    let deleted = bed.admin.delete_records(wanted).await;
    assert_eq!(deleted.get(&tp(0)).unwrap().as_ref().ok(), Some(&3));
    assert_eq!(deleted.get(&tp(1)).unwrap().as_ref().ok(), Some(&2));
    let error = deleted.get(&tp(2)).unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::OffsetOutOfRange));
    let begins = bed.admin.list_offsets([(tp(0), OffsetSpec::Earliest)]).await;
    assert_eq!(begins.into_result().unwrap()[&tp(0)].offset, Some(3));
}

#[tokio::test(start_paused = true)]
async fn the_offsets_of_a_group_are_set_listed_and_deleted() {
    let bed = Bed::start().await;
    let offsets = [(tp(0), NewOffset::at(5).metadata("why")), (tp(2), NewOffset::at(7))];
    bed.admin.alter_group_offsets("billing", offsets).await.into_result().unwrap();
    let listed = bed.admin.list_group_offsets("billing").await.unwrap().into_result().unwrap();
    assert_eq!(listed.keys().cloned().collect::<Vec<_>>(), [tp(0), tp(2)]);
    assert_eq!((listed[&tp(0)].offset, &*listed[&tp(0)].metadata), (5, "why"));
    let some = bed.admin.list_group_offsets("billing").partitions([tp(1), tp(2)]).await.unwrap();
    assert_eq!(some.len(), 1);
    let deleted = bed.admin.delete_group_offsets("billing", [tp(0)]).await;
    deleted.into_result().unwrap();
    assert_eq!(bed.admin.list_group_offsets("billing").await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn offsets_for_a_topic_that_does_not_exist_hide_nothing() {
    let bed = Bed::start().await;
    let nowhere = TopicPartition::new("nowhere", 0);
    let altered =
        bed.admin.alter_group_offsets("billing", [(nowhere.clone(), 5), (tp(0), 5)]).await;
    assert!(altered.get(&tp(0)).unwrap().is_ok());
    let error = altered.get(&nowhere).unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test(start_paused = true)]
async fn an_offset_for_a_partition_that_does_not_exist_is_refused_at_once() {
    let bed = Bed::start().await;
    let begun = bed.now();
    let altered = bed.admin.alter_group_offsets("billing", [(tp(7), 5), (tp(0), 5)]).await;
    assert!(altered.get(&tp(0)).unwrap().is_ok());
    let error = altered.get(&tp(7)).unwrap().as_ref().unwrap_err();
    assert!(matches!(error, AdminError::Refused { .. }), "{error}");
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
    let took = bed.now() - begun;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn an_offset_for_a_topic_that_is_made_anew_meanwhile_is_refused_at_once() {
    let bed = Bed::start().await;
    let hold = bed.cluster.fault(Rule::new(ApiKey::OffsetCommit, Act::Hold).once());
    let begun = bed.now();
    let altering = bed.admin.alter_group_offsets("billing", [(tp(0), 5)]).into_future();
    let make_anew = async {
        hold.reached().await;
        bed.admin.delete_topic("orders").await.unwrap();
        bed.admin.create_topic("orders").partitions(3).await.unwrap();
        hold.open();
    };
    let (altered, ()) = tokio::join!(altering, make_anew);
    let error = altered.into_result().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicId), "{error}");
    assert!(error.to_string().contains("made anew"), "{error}");
    let took = bed.now() - begun;
    assert!(took < Duration::from_secs(1), "{took:?}");
    let again = bed.admin.alter_group_offsets("billing", [(tp(0), 5)]).await;
    again.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn offsets_of_a_group_with_members_stay_as_they_are() {
    let bed = Bed::start().await;
    bed.join("billing", &[0]).await;
    let altered = bed.admin.alter_group_offsets("billing", [(tp(0), 5)]).await;
    let error = altered.into_result().unwrap_err();
    assert!(error.to_string().ends_with("Stop the group's members first."), "{error}");
    let deleted = bed.admin.delete_group_offsets("billing", [tp(0)]).await;
    let error = deleted.into_result().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::GroupSubscribedToTopic));
}

#[tokio::test(start_paused = true)]
async fn the_lag_of_a_group_is_told_by_partition() {
    let bed = Bed::start().await;
    bed.write("orders", 0, &[START_MS; 5]).await;
    bed.write("orders", 1, &[START_MS; 4]).await;
    let offsets = [(tp(0), 2), (tp(1), 4)];
    bed.admin.alter_group_offsets("billing", offsets).await.into_result().unwrap();
    let lag = bed.admin.lag("billing").await.unwrap();
    let told: Vec<_> =
        lag.iter().map(|(tp, behind)| format!("{}-{}: {behind}", tp.topic, tp.partition)).collect();
    assert_eq!(told, ["orders-0: 3", "orders-1: 0"]);
    assert_eq!((lag.total(), lag.errors().count()), (Some(3), 0));
    let nothing = bed.admin.lag("nobody").await.unwrap();
    assert_eq!((nothing.total(), nothing.iter().count()), (Some(0), 0));
}

#[tokio::test(start_paused = true)]
async fn the_lag_leaves_out_topics_that_are_gone() {
    let bed = Bed::start().await;
    bed.admin.create_topic("payments").await.unwrap();
    let payments = TopicPartition::new("payments", 0);
    let offsets = [(tp(0), 0), (payments, 0)];
    bed.admin.alter_group_offsets("billing", offsets).await.into_result().unwrap();
    bed.admin.delete_topic("payments").await.unwrap();
    let lag = bed.admin.lag("billing").await.unwrap();
    assert_eq!((lag.iter().count(), lag.errors().count()), (1, 0));
}
