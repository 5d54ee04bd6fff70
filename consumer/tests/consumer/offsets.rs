//! Where partitions begin and end.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_consumer::error::ConsumerError;
use ottla_protocol::{ApiKey, ErrorCode};

use crate::bed::{Bed, t, within};

#[tokio::test(start_paused = true)]
async fn partitions_that_are_not_assigned_have_edges_too() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b"]).await;
    bed.produce(1, &["c"]).await;
    let consumer = bed.consumer(&[2]).await;
    let all = || [t(0), t(1), t(2)];
    let begins = within(consumer.beginning_offsets(all())).await.unwrap();
    assert_eq!(begins, BTreeMap::from([(t(0), 0), (t(1), 0), (t(2), 0)]));
    let ends = within(consumer.end_offsets(all())).await.unwrap();
    assert_eq!(ends, BTreeMap::from([(t(0), 2), (t(1), 1), (t(2), 0)]));
    assert!(within(consumer.end_offsets(Vec::<(&str, i32)>::new())).await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_time_is_found_with_its_record_and_none_where_there_is_none() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    bed.produce(1, &["b"]).await;
    let consumer = bed.consumer(&[2]).await;
    let times = [(t(0), 999), (t(1), 1_001), (t(2), 0)];
    let found = within(consumer.offsets_for_times(times)).await.unwrap();
    let first = found[&t(0)].unwrap();
    assert_eq!((first.offset, first.timestamp), (0, Some(1_000)));
    assert!(first.leader_epoch.is_some());
    assert_eq!((found[&t(1)], found[&t(2)]), (None, None));
}

#[tokio::test(start_paused = true)]
async fn edges_are_asked_of_whoever_leads() {
    for code in [
        ErrorCode::NotLeaderOrFollower,
        ErrorCode::UnknownLeaderEpoch,
        ErrorCode::OffsetNotAvailable,
        ErrorCode::KafkaStorageError,
    ] {
        let bed = Bed::start().await;
        bed.produce(0, &["a"]).await;
        let consumer = bed.consumer(&[1]).await;
        let fault = bed.cluster.fault(Rule::new(ApiKey::ListOffsets, Act::Respond(code)).times(2));
        let ends = within(consumer.end_offsets([t(0)])).await.unwrap();
        assert_eq!((ends[&t(0)], fault.hits()), (1, 2), "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_leader_is_not_waited_for_once_there_is_another() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    let consumer = bed.consumer(&[1]).await;
    let leader = bed.cluster.partition("t", 0).leader().unwrap();
    bed.cluster.node(leader).pause();
    bed.cluster.partition("t", 0).move_leader(leader % 3 + 1).unwrap();
    let begun = bed.client.runtime().now();
    let ends = within(consumer.end_offsets([t(0)])).await.unwrap();
    assert_eq!(ends[&t(0)], 1);
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_millis(3_500), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_at_the_deadline_is_an_error() {
    let bed = Bed::start().await;
    let consumer = bed.consumer(&[1]).await;
    for node in [1, 2, 3] {
        bed.cluster.node(node).pause();
    }
    let begun = bed.client.runtime().now();
    let error = within(consumer.end_offsets([t(0)])).await.unwrap_err();
    assert!(error.class().is_retriable(), "{error}");
    let took = bed.client.runtime().now() - begun;
    let budget = bed.client.config().default_api_timeout;
    assert!(took <= budget + Duration::from_millis(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_for_good_is_named_at_once() {
    let bed = Bed::start().await;
    let mut consumer = bed.consumer(&[1]).await;
    let missing = within(consumer.end_offsets([("nowhere", 0)])).await;
    assert!(matches!(missing, Err(ConsumerError::Topic { topic, .. }) if topic == "nowhere"));
    let denied = Act::Respond(ErrorCode::TopicAuthorizationFailed);
    let _fault = bed.cluster.fault(Rule::new(ApiKey::ListOffsets, denied));
    match within(consumer.end_offsets([t(0)])).await {
        Err(ConsumerError::Offsets { partition, code }) => {
            assert_eq!((partition, code), (t(0), ErrorCode::TopicAuthorizationFailed));
        }
        other => panic!("{other:?}"),
    }
    consumer.close(Duration::from_secs(5)).await.unwrap();
    let closed = consumer.end_offsets([t(0)]).await;
    assert!(matches!(closed, Err(ConsumerError::Closed)));
}
