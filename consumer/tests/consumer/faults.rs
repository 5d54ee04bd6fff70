//! What goes wrong.

use std::time::Duration;

use ottla_broker::cluster::{Cluster, TopicSpec};
use ottla_broker::fault::{Act, Rule};
use ottla_consumer::Consumer;
use ottla_consumer::error::{ConsumerError, FetchError};
use ottla_protocol::{ApiKey, ErrorCode};

use crate::bed::{Bed, next, t, value, values, within};
use crate::groups::committed;

/// The next leader of partition 0, and the one it has.
fn leaders(bed: &Bed) -> (i32, i32) {
    let leader = bed.cluster.partition("t", 0).leader().unwrap();
    (leader % 3 + 1, leader)
}

async fn read(bed: &Bed, count: i64) -> Consumer {
    let mut consumer = bed.consumer(&[0]).await;
    for offset in 0..count {
        bed.produce(0, &["x"]).await;
        assert_eq!(next(&mut consumer).await.next_offset(), offset + 1);
    }
    consumer
}

#[tokio::test(start_paused = true)]
async fn a_moved_leader_loses_and_repeats_nothing() {
    let bed = Bed::start().await;
    let mut consumer = read(&bed, 3).await;
    for round in 3..9 {
        let (next_leader, _) = leaders(&bed);
        bed.cluster.partition("t", 0).move_leader(next_leader).unwrap();
        assert_eq!(bed.produce(0, &["y"]).await, round);
        let batch = next(&mut consumer).await;
        assert_eq!((values(&batch), batch.next_offset()), (vec!["y".to_owned()], round + 1));
    }
    assert_eq!(consumer.events().count(), 1, "only where it began");
}

#[tokio::test(start_paused = true)]
async fn a_killed_leader_is_replaced() {
    let bed = Bed::start().await;
    let mut consumer = read(&bed, 3).await;
    let (_, leader) = leaders(&bed);
    bed.cluster.node(leader).kill().await;
    let begun = bed.client.runtime().now();
    bed.produce(0, &["y"]).await;
    assert_eq!(next(&mut consumer).await.next_offset(), 4);
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_frozen_leader_stalls_nothing_once_there_is_another() {
    let bed = Bed::start().await;
    let mut consumer = read(&bed, 3).await;
    let (next_leader, leader) = leaders(&bed);
    bed.cluster.node(leader).pause();
    bed.cluster.partition("t", 0).move_leader(next_leader).unwrap();
    let begun = bed.client.runtime().now();
    bed.produce(0, &["y"]).await;
    assert_eq!(next(&mut consumer).await.next_offset(), 4);
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_millis(3_500), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn lost_and_late_answers_lose_and_repeat_nothing() {
    for act in [
        Act::DropBefore,
        Act::ApplyThenDrop,
        Act::Delay(Duration::from_secs(3)),
        Act::ApplyThenDelay(Duration::from_secs(3)),
        Act::CutAfter(60),
        Act::Throttle(Duration::from_secs(1)),
        Act::Respond(ErrorCode::NotLeaderOrFollower),
        Act::Respond(ErrorCode::UnknownLeaderEpoch),
        Act::Respond(ErrorCode::UnknownTopicId),
        Act::Respond(ErrorCode::KafkaStorageError),
        Act::Respond(ErrorCode::UnknownServerError),
    ] {
        let bed = Bed::start().await;
        let mut consumer = read(&bed, 2).await;
        let fault = bed.cluster.fault(Rule::new(ApiKey::Fetch, act.clone()).times(2));
        for offset in 2..6 {
            bed.produce(0, &["y"]).await;
            assert_eq!(next(&mut consumer).await.next_offset(), offset + 1, "{act:?}");
        }
        assert!(fault.hits() > 0, "{act:?}");
        assert_eq!(consumer.events().count(), 1, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_damaged_batch_is_an_error_and_a_seek_reads_it_again() {
    let bed = Bed::start().await;
    let mut consumer = read(&bed, 1).await;
    let fault = bed.cluster.fault(Rule::new(ApiKey::Fetch, Act::CorruptRecords));
    // The fetch that waits already is not the fault's.
    bed.produce(0, &["x"]).await;
    next(&mut consumer).await;
    bed.produce(0, &["y"]).await;
    match within(consumer.poll()).await {
        Err(ConsumerError::Fetch(FetchError::Unreadable { partition, offset, .. })) => {
            assert_eq!((partition, offset), (t(0), 2));
        }
        other => panic!("{other:?}"),
    }
    fault.remove();
    assert_eq!(consumer.position(&t(0)).unwrap(), Some(2));
    let none = tokio::time::timeout(Duration::from_secs(5), consumer.poll()).await;
    assert!(none.is_err(), "it is not read before somebody seeks");
    consumer.seek(&t(0), 2).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["y"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_partition_is_reported_and_asked_again() {
    let bed = Bed::start().await;
    let mut consumer = read(&bed, 1).await;
    let refused = Act::Respond(ErrorCode::TopicAuthorizationFailed);
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Fetch, refused).once());
    bed.produce(0, &["y"]).await;
    let mut errors = 0;
    let batch = loop {
        match within(consumer.poll()).await {
            Ok(batch) => break batch.unwrap(),
            Err(_) => errors += 1,
        }
    };
    assert_eq!(batch.next_offset(), 2);
    assert!(errors <= 1);
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_has_nothing_to_do_asks_little() {
    let bed = Bed::start().await;
    let mut consumer = read(&bed, 1).await;
    let before = bed.cluster.requests().len();
    let idle = tokio::time::timeout(Duration::from_secs(10), consumer.poll()).await;
    assert!(idle.is_err());
    let asked = bed.cluster.requests().len() - before;
    assert!(asked <= 22, "{asked} requests in ten seconds");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_is_away_is_not_hammered() {
    let bed = Bed::start().await;
    let mut consumer = read(&bed, 1).await;
    for node in [1, 2, 3] {
        bed.cluster.node(node).pause();
    }
    let before = bed.cluster.requests().len();
    let idle = tokio::time::timeout(Duration::from_secs(60), consumer.poll()).await;
    assert!(idle.is_err());
    assert!(bed.cluster.requests().len() - before < 200);
    for node in [1, 2, 3] {
        bed.cluster.node(node).unpause();
    }
    bed.produce(0, &["y"]).await;
    assert_eq!(next(&mut consumer).await.next_offset(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_after_a_truncation_is_committed_although_the_group_was_further() {
    let bed = unclean().await;
    let mut consumer = bed.builder().group("g").assign([t(0)]).build().await.unwrap();
    let partition = bed.cluster.partition("t", 0);
    bed.produce(0, &["a"]).await;
    partition.pause_replication().unwrap();
    // Only the leader has them once the other replica is out of sync.
    for _ in 0..3 {
        bed.produce(0, &["b"]).await;
    }
    for _ in 0..4 {
        next(&mut consumer).await;
    }
    assert_eq!(committed_when_idle(&bed, &mut consumer).await, Some(4));
    bed.cluster.node(partition.leader().unwrap()).kill().await;
    partition.resume_replication().unwrap();
    assert_eq!(bed.produce(0, &["c"]).await, 1);
    assert_eq!(values(&next(&mut consumer).await), ["c"]);
    assert_eq!(committed_when_idle(&bed, &mut consumer).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_late_mark_of_a_truncated_record_commits_nothing_of_the_new_one() {
    let bed = unclean().await;
    let builder = bed.builder().group("g").manual_commit().explicit_acks().assign([t(0)]);
    let mut consumer = builder.build().await.unwrap();
    let partition = bed.cluster.partition("t", 0);
    bed.produce(0, &["a"]).await;
    partition.pause_replication().unwrap();
    bed.produce(0, &["b"]).await;
    within(consumer.recv()).await.unwrap().unwrap().ack();
    let truncated = within(consumer.recv()).await.unwrap().unwrap();
    bed.cluster.node(partition.leader().unwrap()).kill().await;
    partition.resume_replication().unwrap();
    assert_eq!(bed.produce(0, &["c"]).await, truncated.offset());
    let new = within(consumer.recv()).await.unwrap().unwrap();
    assert_eq!(value(&new), "c");
    truncated.ack();
    within(consumer.commit()).await.unwrap();
    assert_eq!(committed(&consumer, 0).await, Some(1));
    new.ack();
    within(consumer.commit()).await.unwrap();
    assert_eq!(committed(&consumer, 0).await, Some(2));
}

/// Partition 0 of `t` is led by whoever is there, if need be.
async fn unclean() -> Bed {
    let topic = TopicSpec::new("t").replicas(2).config("unclean.leader.election.enable", "true");
    let cluster = Cluster::builder().topic(topic).config("replica.lag.time.max.ms", "5000");
    Bed::start_with(cluster).await
}

/// What the group has committed once all that was returned has been processed for long.
async fn committed_when_idle(bed: &Bed, consumer: &mut Consumer) -> Option<i64> {
    let idle = tokio::time::timeout(Duration::from_secs(12), consumer.poll()).await;
    assert!(idle.is_err(), "{idle:?}");
    let onlooker = bed.builder().group("g").manual_commit().assign([("other", 0)]);
    let onlooker = onlooker.build().await.unwrap();
    let committed = within(onlooker.committed([t(0)])).await.unwrap();
    committed[&t(0)].as_ref().map(|offset| offset.offset)
}
