//! How members end.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_consumer::OnClose;
use ottla_consumer::config::ConsumerConfig;
use ottla_consumer::error::ConsumerError;
use ottla_consumer::machine::commit::CommitError;
use ottla_protocol::{ApiKey, ErrorCode};

use crate::bed::{Bed, next, within};
use crate::groups::{Told, committed, member, onlooker};

#[tokio::test(start_paused = true)]
async fn a_close_commits_what_was_returned() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b", "c"]).await;
    let look = onlooker(&bed, "g").await;
    let mut consumer = member(&bed, "g").build().await.unwrap();
    within(consumer.recv()).await.unwrap();
    within(consumer.recv()).await.unwrap();
    consumer.close(Duration::from_secs(5)).await.unwrap();
    assert_eq!(committed(&look, 0).await, Some(2));
    assert!(matches!(consumer.poll().await, Err(ConsumerError::Closed)));
    assert!(matches!(consumer.commit().await, Err(ConsumerError::Closed)));
}

#[tokio::test(start_paused = true)]
async fn a_close_without_brokers_ends_in_time() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    let mut consumer = member(&bed, "g").build().await.unwrap();
    next(&mut consumer).await;
    for node in [1, 2, 3] {
        bed.cluster.node(node).pause();
    }
    let begun = bed.client.runtime().now();
    let closed = consumer.close(Duration::from_secs(3)).await;
    assert!(closed.is_err());
    let took = bed.client.runtime().now() - begun;
    assert!(took <= Duration::from_millis(3_100), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_close_that_was_dropped_is_waited_for_by_the_next() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b"]).await;
    let look = onlooker(&bed, "g").await;
    let told = Told::default();
    let mut consumer = member(&bed, "g").on_rebalance(told.clone()).build().await.unwrap();
    next(&mut consumer).await;
    let slow = Act::Delay(Duration::from_millis(200));
    let _slow = bed.cluster.fault(Rule::new(ApiKey::OffsetCommit, slow));
    for _ in 0..3 {
        let closing = consumer.close(Duration::from_secs(5));
        assert!(tokio::time::timeout(Duration::from_millis(10), closing).await.is_err());
    }
    assert_eq!(committed(&look, 0).await, None);
    within(consumer.close(Duration::from_secs(5))).await.unwrap();
    assert_eq!(committed(&look, 0).await, Some(2));
    within(consumer.close(Duration::from_secs(5))).await.unwrap();
    // However often it is begun, what is told to its end is told once.
    let told = told.0.lock().unwrap().iter().filter(|told| *told == "-3").count();
    assert_eq!(told, 1);
}

#[tokio::test(start_paused = true)]
async fn a_close_tells_of_the_last_commit_though_another_began_it() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b"]).await;
    let mut consumer = member(&bed, "g").build().await.unwrap();
    next(&mut consumer).await;
    let refused = Act::Respond(ErrorCode::OffsetMetadataTooLarge);
    let _refused = bed.cluster.fault(Rule::new(ApiKey::OffsetCommit, refused));
    let _slow =
        bed.cluster.fault(Rule::new(ApiKey::LeaveGroup, Act::Delay(Duration::from_millis(200))));
    let closing = consumer.close(Duration::from_secs(5));
    assert!(tokio::time::timeout(Duration::from_millis(10), closing).await.is_err());
    let told = within(consumer.close(Duration::from_secs(5))).await;
    assert!(matches!(told, Err(ConsumerError::Commit(CommitError::Partition { .. }))), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_interval_without_end_commits_when_the_consumer_is_closed() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    let look = onlooker(&bed, "g").await;
    let never = |config: &mut ConsumerConfig| config.auto_commit_interval = Duration::MAX;
    let mut consumer = member(&bed, "g").configure(never).build().await.unwrap();
    next(&mut consumer).await;
    within(consumer.close(Duration::from_secs(5))).await.unwrap();
    assert_eq!(committed(&look, 0).await, Some(1));
}

#[tokio::test(start_paused = true)]
async fn who_closes_says_whether_the_others_get_its_partitions_at_once() {
    for (on_close, soon) in [(OnClose::Leave, true), (OnClose::Remain, false)] {
        let bed = Bed::start().await;
        let mut first = member(&bed, "g").build().await.unwrap();
        let idle = tokio::time::timeout(Duration::from_secs(4), first.poll()).await;
        assert!(idle.is_err(), "{idle:?}");
        within(first.close_with(Duration::from_secs(5), on_close)).await.unwrap();
        let mut second = member(&bed, "g").build().await.unwrap();
        let idle = tokio::time::timeout(Duration::from_secs(20), second.poll()).await;
        assert!(idle.is_err(), "{idle:?}");
        assert_eq!(second.assignment().len() == 3, soon, "{on_close:?}");
        let idle = tokio::time::timeout(Duration::from_secs(60), second.poll()).await;
        assert!(idle.is_err(), "{idle:?}");
        assert_eq!(second.assignment().len(), 3, "{on_close:?}");
    }
}
