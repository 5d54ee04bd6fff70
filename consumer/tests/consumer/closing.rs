//! How members end.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_consumer::OnClose;
use ottla_consumer::config::ConsumerConfig;
use ottla_consumer::error::ConsumerError;
use ottla_consumer::machine::commit::CommitError;
use ottla_core::error::RequestError;
use ottla_protocol::{ApiKey, ErrorCode};

use crate::bed::{Bed, next, t, within};
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
async fn a_close_without_brokers_says_why_the_last_commit_had_no_answer() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    let mut consumer = member(&bed, "g").build().await.unwrap();
    next(&mut consumer).await;
    for node in [1, 2, 3] {
        bed.cluster.node(node).kill().await;
    }
    let told = within(consumer.close(Duration::from_secs(10))).await.unwrap_err();
    let ConsumerError::Commit(CommitError::DeadlineExceeded { cause: Some(_), .. }) = told else {
        unreachable!("{told:?}")
    };
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
async fn whoever_reads_hears_each_time_that_the_client_was_closed() {
    for subscribes in [true, false] {
        let bed = Bed::start().await;
        bed.produce(0, &["a", "b"]).await;
        let builder = bed.builder().group("g");
        let built = if subscribes { builder.subscribe(["t"]) } else { builder.assign([t(0)]) };
        let mut consumer = built.build().await.unwrap();
        for _ in 0..2 {
            within(consumer.recv()).await.unwrap();
        }
        let (told, ()) = tokio::join!(within(consumer.recv()), close_client(&bed));
        client_is_closed(&told.map(drop));
        client_is_closed(&within(consumer.recv()).await.map(drop));
        client_is_closed(&within(consumer.poll()).await.map(drop));
        client_is_closed(&consumer.try_poll().map(drop));
        client_is_closed(&within(consumer.commit()).await);
        drop(within(consumer.close(Duration::from_secs(5))).await);
        assert!(matches!(consumer.poll().await, Err(ConsumerError::Closed)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_close_tells_of_the_last_commit_that_a_closed_client_did_not_make() {
    for automatic in [true, false] {
        let bed = Bed::start().await;
        bed.produce(0, &["a"]).await;
        let builder = member(&bed, "g").configure(|config| config.enable_auto_commit = automatic);
        let mut consumer = builder.build().await.unwrap();
        next(&mut consumer).await;
        close_client(&bed).await;
        let told = within(consumer.close(Duration::from_secs(5))).await;
        match automatic {
            true => client_is_closed(&told),
            false => told.unwrap(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn records_that_are_there_are_not_given_once_the_client_is_closed() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b"]).await;
    let mut consumer = member(&bed, "g").build().await.unwrap();
    within(consumer.recv()).await.unwrap();
    close_client(&bed).await;
    client_is_closed(&within(consumer.recv()).await.map(drop));
}

#[tokio::test(start_paused = true)]
async fn streams_of_partitions_hear_that_the_client_was_closed() {
    let bed = Bed::start().await;
    let mut consumer = bed.consumer(&[0]).await;
    let mut stream = within(consumer.partitions().next()).await.unwrap();
    let (told, ()) = tokio::join!(within(stream.next_batch()), close_client(&bed));
    client_is_closed(&told.map(drop));
    let mut partitions = consumer.partitions();
    assert!(within(partitions.next()).await.is_none());
    client_is_closed(&partitions.error().cloned().map_or(Ok(()), Err));
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_a_partition_gives_nothing_more_once_the_consumer_is_closed() {
    let bed = Bed::start().await;
    for value in ["a", "b"] {
        bed.produce(0, &[value]).await;
    }
    let mut consumer = bed.consumer(&[0]).await;
    let mut stream = within(consumer.partitions().next()).await.unwrap();
    assert!(within(stream.next_batch()).await.unwrap().is_some());
    consumer.close(Duration::from_secs(5)).await.unwrap();
    assert!(within(stream.next_batch()).await.unwrap().is_none());
}

async fn close_client(bed: &Bed) {
    tokio::time::sleep(Duration::from_secs(1)).await;
    bed.client.clone().close().await;
}

#[track_caller]
fn client_is_closed(told: &Result<(), ConsumerError>) {
    let closed = matches!(told, Err(ConsumerError::Request(RequestError::Closed { .. })));
    assert!(closed, "{told:?}");
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
