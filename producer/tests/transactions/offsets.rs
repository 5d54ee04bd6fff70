//! Offsets that are committed with a transaction.

use std::time::Duration;

use ottla_core::cluster::CoordinatorKind;
use ottla_core::net::Target;
use ottla_core::retry::Deadline;
use ottla_core::types::{
    ConsumerGroupMetadata, ErrorCode, Offset, Offsets, TopicName, TopicPartition,
};
use ottla_producer::{AbortCause, TransactionError};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::OffsetFetchRequest;
use ottla_protocol::messages::offset_fetch::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};

use super::bed::{Bed, both, one};

const GROUP: &str = "readers";

/// Somebody who has read up to here and is no member.
fn read_to(offset: i64) -> (ConsumerGroupMetadata, Offsets) {
    let offset = Offset::new(offset).with_metadata("noted");
    (ConsumerGroupMetadata::standalone(GROUP), [(TopicPartition::new("t", 1), offset)].into())
}

/// What the group has committed of partition 1 of `t`.
async fn committed(bed: &Bed) -> Option<i64> {
    let id = bed.client.snapshot().topic(&TopicName::from("t")).and_then(|topic| topic.id);
    let topic = OffsetFetchRequestTopics {
        name: "t".into(),
        topic_id: id.unwrap_or_default(),
        partition_indexes: [1].into_iter().collect(),
        ..Default::default()
    };
    let group = OffsetFetchRequestGroup {
        group_id: GROUP.into(),
        topics: Some(vec![topic]),
        ..Default::default()
    };
    let request =
        OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() };
    let soon = Deadline::after(bed.now(), Duration::from_secs(10));
    let target = Target::Coordinator(CoordinatorKind::Group, GROUP.into());
    let answer = bed.client.call(&target, &request, soon).await.unwrap();
    let row = &answer.groups[0].topics[0].partitions[0];
    assert_eq!(row.error_code, 0);
    (row.committed_offset >= 0).then_some(row.committed_offset)
}

#[tokio::test(start_paused = true)]
async fn offsets_are_committed_exactly_if_the_transaction_is() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        // So that the id of the topic is known.
        let transaction = producer.begin().await.unwrap();
        transaction.send(ottla_producer::Record::to("t").value("x")).await.unwrap();
        transaction.commit_offsets(&read_to(5)).await.unwrap();
        transaction.abort().await.unwrap();
        bed.sleep(Duration::from_millis(100)).await;
        assert_eq!(committed(&bed).await, None);
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("x")).await.unwrap();
        transaction.commit_offsets(&read_to(7)).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(committed(&bed).await, Some(7));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_transaction_of_offsets_alone_is_one() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        for offset in 1..4 {
            let transaction = producer.begin().await.unwrap();
            transaction.commit_offsets(&read_to(offset)).await.unwrap();
            transaction.commit().await.unwrap();
            assert_eq!(
                producer.settle().await.unwrap(),
                ottla_producer::TransactionOutcome::Committed
            );
        }
        let topic = Producer::learn(&bed).await;
        drop(topic);
        assert_eq!(committed(&bed).await, Some(3));
    })
    .await;
}

/// Learns the id of `t`, for whoever asks by it.
struct Producer;

impl Producer {
    async fn learn(bed: &Bed) -> ottla_core::net::TopicUse {
        let used = bed.client.use_topics(["t".into()]);
        let soon = Deadline::after(bed.now(), Duration::from_secs(10));
        bed.client.topic(&"t".into(), soon).await.unwrap();
        used
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_lost_its_place_commits_nothing() {
    for code in [
        ErrorCode::IllegalGeneration,
        ErrorCode::UnknownMemberId,
        ErrorCode::FencedInstanceId,
        ErrorCode::StaleMemberEpoch,
    ] {
        both(async |bed| {
            let mut producer = bed.producer().await;
            let transaction = producer.begin().await.unwrap();
            transaction.send(one("x")).await.unwrap();
            bed.answers(ApiKey::TxnOffsetCommit, code, 1);
            let error = transaction.commit_offsets(&read_to(5)).await.unwrap_err();
            assert!(error.is_group_lost() && !error.may_run_again(), "{error}");
            let error = transaction.commit().await.unwrap_err();
            assert!(error.is_group_lost(), "{error}");
            assert_eq!(bed.one(), [""; 0]);
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_generation_that_never_was_is_refused() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        let (group, offsets) = read_to(5);
        let group = ConsumerGroupMetadata { generation_id: 0, ..group };
        let error = transaction.commit_offsets(&(group, offsets)).await.unwrap_err();
        assert!(error.is_group_lost(), "{error}");
        transaction.abort().await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn offsets_that_nobody_takes_fail_the_transaction_in_time() {
    both(async |bed| {
        let mut producer = bed.builder().max_block(Duration::from_secs(5)).build().await.unwrap();
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("x")).await.unwrap();
        bed.answers(ApiKey::TxnOffsetCommit, ErrorCode::CoordinatorLoadInProgress, u32::MAX);
        let begun = bed.now();
        let error = transaction.commit_offsets(&read_to(5)).await.unwrap_err();
        let TransactionError::Aborted { cause, .. } = &error else { panic!("{error}") };
        assert!(matches!(**cause, AbortCause::OffsetsTimeout { .. }), "{error}");
        assert_eq!(bed.passed(begun), Duration::from_secs(5));
        transaction.abort().await.unwrap();
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_coordinator_that_moves_is_followed() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let _used = Producer::learn(&bed).await;
        for offset in 1..5 {
            let transaction = producer.begin().await.unwrap();
            let coordinator = bed.cluster.group(GROUP).coordinator().unwrap();
            bed.cluster.group(GROUP).move_coordinator(coordinator % 3 + 1).unwrap();
            transaction.commit_offsets(&read_to(offset)).await.unwrap();
            transaction.commit().await.unwrap();
            assert_eq!(committed(&bed).await, Some(offset));
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_call_takes_no_offsets_back() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let _used = Producer::learn(&bed).await;
        let transaction = producer.begin().await.unwrap();
        let read = read_to(9);
        let dropped = tokio::time::timeout(Duration::ZERO, transaction.commit_offsets(&read));
        dropped.await.unwrap_err();
        transaction.commit().await.unwrap();
        assert_eq!(committed(&bed).await, Some(9));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn somebody_without_a_group_is_told() {
    struct Nobody;
    impl ottla_core::types::Progress for Nobody {
        fn group(&self) -> Option<ConsumerGroupMetadata> {
            None
        }
        fn offsets(&self) -> Offsets {
            Offsets::new()
        }
    }
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        let error = transaction.commit_offsets(&Nobody).await.unwrap_err();
        assert!(matches!(error, TransactionError::NoGroup { .. }), "{error}");
        transaction.send(one("x")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["x"]);
    })
    .await;
}
