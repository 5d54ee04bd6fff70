//! Members of a group, and commits.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_core::Stream;
use ottla_broker::fault::{Act, Rule};
use ottla_consumer::config::ConsumerConfig;
use ottla_consumer::error::ConsumerError;
use ottla_consumer::listener::{Assigned, ListenerError, Lost, RebalanceListener, Revoking};
use ottla_consumer::machine::commit::{CommitError, Offset};
use ottla_consumer::machine::membership::GroupError;
use ottla_consumer::{Consumer, ConsumerBuilder, ConsumerRecord, ConsumerStream};
use ottla_core::types::TopicPartition;
use ottla_protocol::{ApiKey, ErrorCode};
use tokio::sync::mpsc;

use crate::bed::{Bed, next, t, value, values, within};

pub(crate) fn member(bed: &Bed, group: &str) -> ConsumerBuilder {
    bed.builder().group(group).subscribe(["t"])
}

pub(crate) async fn committed(consumer: &Consumer, partition: i32) -> Option<i64> {
    let committed = within(consumer.committed([t(partition)])).await.unwrap();
    committed[&t(partition)].as_ref().map(|offset| offset.offset)
}

/// A consumer that looks at what a group has committed.
pub(crate) async fn onlooker(bed: &Bed, group: &str) -> Consumer {
    bed.builder().group(group).manual_commit().assign([("other", 0)]).build().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_member_reads_all_partitions_of_its_topics() {
    let bed = Bed::start().await;
    for partition in [0, 1, 2] {
        bed.produce(partition, &["x"]).await;
    }
    let mut consumer = member(&bed, "g").build().await.unwrap();
    let mut seen = BTreeSet::new();
    while seen.len() < 3 {
        seen.insert(next(&mut consumer).await.partition());
    }
    assert_eq!(consumer.assignment(), [t(0), t(1), t(2)]);
    consumer.close(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_pattern_finds_its_topics() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"]).await;
    let builder = bed.builder().group("g").subscribe(["^t$"]);
    let mut consumer = builder.build().await.unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["x"]);
    assert_eq!(consumer.assignment().len(), 3);
    let broken = bed.builder().group("g").subscribe(["^("]).build().await;
    assert!(matches!(broken, Err(ConsumerError::Pattern(_))));
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_begins_where_the_group_has_come_to() {
    let bed = Bed::start().await;
    for value in ["a", "b", "c"] {
        bed.produce(0, &[value]).await;
    }
    let mut first = member(&bed, "g").manual_commit().build().await.unwrap();
    assert_eq!(values(&next(&mut first).await), ["a"]);
    assert_eq!(values(&next(&mut first).await), ["b"]);
    within(first.commit()).await.unwrap();
    first.close(Duration::from_secs(5)).await.unwrap();
    let mut second = member(&bed, "g").build().await.unwrap();
    assert_eq!(values(&next(&mut second).await), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn assigned_partitions_begin_where_the_group_has_come_to_and_commit() {
    let bed = Bed::start().await;
    for value in ["a", "b", "c"] {
        bed.produce(0, &[value]).await;
    }
    let builder = || bed.builder().group("g").manual_commit().assign([t(0)]);
    let mut first = builder().build().await.unwrap();
    let batch = next(&mut first).await;
    within(batch.commit()).await.unwrap();
    assert_eq!(committed(&first, 0).await, Some(1));
    within(first.commit_offsets([(t(0), Offset::new(2))].into())).await.unwrap();
    let mut second = builder().build().await.unwrap();
    assert_eq!(values(&next(&mut second).await), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn automatic_commits_cover_only_what_was_processed() {
    let bed = Bed::start().await;
    for value in ["a", "b", "c"] {
        bed.produce(0, &[value]).await;
    }
    let look = onlooker(&bed, "g").await;
    let mut consumer = member(&bed, "g").build().await.unwrap();
    next(&mut consumer).await;
    next(&mut consumer).await;
    // The second is in the middle of being processed for long.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(committed(&look, 0).await, Some(1));
    drop(consumer);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_asked_past_is_committed_within_its_batch() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"; 1_000]).await;
    let look = onlooker(&bed, "g").await;
    let mut consumer = member(&bed, "g").build().await.unwrap();
    for _ in 0..701 {
        within(consumer.recv()).await.unwrap();
    }
    // The last one is in the middle of being processed for long.
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(committed(&look, 0).await, Some(700));
}

#[tokio::test(start_paused = true)]
async fn a_crash_repeats_what_the_last_interval_brought() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"; 1_000]).await;
    let look = onlooker(&bed, "g").await;
    let mut consumer = member(&bed, "g").build().await.unwrap();
    for processed in 0..100 {
        within(consumer.recv()).await.unwrap();
        // Ten records a second.
        tokio::time::sleep(Duration::from_millis(100)).await;
        let repeated = processed - committed(&look, 0).await.unwrap_or(0);
        assert!((0..=50).contains(&repeated), "{repeated} after {processed}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_sought_past_is_not_committed() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"; 100]).await;
    let look = onlooker(&bed, "g").await;
    let mut consumer = member(&bed, "g").build().await.unwrap();
    for _ in 0..50 {
        within(consumer.recv()).await.unwrap();
    }
    consumer.seek(&t(0), 10).unwrap();
    within(consumer.recv()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(committed(&look, 0).await, None);
    within(consumer.recv()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(12)).await;
    assert_eq!(committed(&look, 0).await, Some(11));
}

#[tokio::test(start_paused = true)]
async fn commits_without_a_group_are_errors() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    let mut consumer = bed.consumer(&[0]).await;
    let batch = next(&mut consumer).await;
    assert!(matches!(batch.commit().await, Err(ConsumerError::NoGroup)));
    assert!(matches!(consumer.commit().await, Err(ConsumerError::NoGroup)));
    assert!(matches!(consumer.subscribe(["t"]), Err(ConsumerError::NoGroup)));
    let built = bed.builder().subscribe(["t"]).build().await;
    assert!(matches!(built, Err(ConsumerError::NoGroup)));
}

#[tokio::test(start_paused = true)]
async fn a_second_member_takes_over_a_part_and_nothing_is_read_twice() {
    let bed = Bed::start().await;
    let mut first = member(&bed, "g").build().await.unwrap();
    bed.produce(0, &["x"]).await;
    next(&mut first).await;
    let mut second = member(&bed, "g").build().await.unwrap();
    let shared = async {
        loop {
            tokio::select! {
                biased;
                record = first.recv() => drop(record.unwrap()),
                record = second.recv() => drop(record.unwrap()),
                () = tokio::time::sleep(Duration::from_secs(20)) => break,
            }
        }
    };
    within(shared).await;
    let (one, other) = (first.assignment(), second.assignment());
    let all: BTreeSet<TopicPartition> = one.iter().chain(&other).cloned().collect();
    assert_eq!((one.len() + other.len(), all.len()), (3, 3), "{one:?} {other:?}");
    let mut seen = BTreeSet::new();
    for partition in [0, 1, 2] {
        bed.produce(partition, &["y"]).await;
    }
    while seen.len() < 3 {
        let record = tokio::select! {
            biased;
            record = first.recv() => record.unwrap().unwrap(),
            record = second.recv() => record.unwrap().unwrap(),
            () = tokio::time::sleep(Duration::from_secs(60)) => panic!("{seen:?}"),
        };
        assert_eq!(value(&record), "y");
        assert!(seen.insert(record.partition()));
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_will_not_be_named_is_told_by_each_poll() {
    let bed = Bed::start().await;
    let denied = Act::Respond(ErrorCode::GroupAuthorizationFailed);
    let _denied = bed.cluster.fault(Rule::new(ApiKey::FindCoordinator, denied));
    let begun = bed.client.runtime().now();
    let mut consumer = member(&bed, "g").build().await.unwrap();
    for _ in 0..3 {
        let told = member_refused(within(consumer.poll()).await.map(drop));
        assert!(told.ends_with("it needs READ on the group"), "{told}");
    }
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_secs(1), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_that_passes_is_told_once_and_the_next_poll_joins() {
    for api in [ApiKey::FindCoordinator, ApiKey::JoinGroup, ApiKey::SyncGroup] {
        let bed = Bed::start().await;
        bed.produce(0, &["x"]).await;
        let denied = Act::Respond(ErrorCode::GroupAuthorizationFailed);
        let _denied = bed.cluster.fault(Rule::new(api, denied).once());
        let mut consumer = member(&bed, "g").build().await.unwrap();
        member_refused(within(consumer.recv()).await.map(drop));
        let record = within(consumer.recv()).await.unwrap().unwrap();
        assert_eq!(value(&record), "x", "{api:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_goes_on_after_a_refusal_that_passes() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"]).await;
    let denied = Act::Respond(ErrorCode::GroupAuthorizationFailed);
    let _denied = bed.cluster.fault(Rule::new(ApiKey::JoinGroup, denied).once());
    let mut stream = member(&bed, "g").build().await.unwrap().into_stream();
    member_refused(pull(&mut stream).await.unwrap().map(drop));
    assert_eq!(value(&pull(&mut stream).await.unwrap().unwrap()), "x");
}

#[tokio::test(start_paused = true)]
async fn what_was_told_of_partitions_is_not_why_a_shutdown_ends_them() {
    let bed = Bed::start().await;
    let denied = Act::Respond(ErrorCode::GroupAuthorizationFailed);
    let _denied = bed.cluster.fault(Rule::new(ApiKey::JoinGroup, denied).once());
    let mut consumer = member(&bed, "g").build().await.unwrap();
    let shutdown = consumer.shutdown_handle();
    let mut partitions = consumer.partitions();
    assert!(within(partitions.next()).await.is_none());
    member_refused(partitions.error().cloned().map_or(Ok(()), Err));
    shutdown.shutdown();
    assert!(within(partitions.next()).await.is_none());
    assert!(partitions.error().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_that_is_refused_is_told_and_takes_no_partition() {
    let bed = Bed::start().await;
    let told = Told::default();
    let mut consumer = member(&bed, "g").on_rebalance(told.clone()).build().await.unwrap();
    let idle = tokio::time::timeout(Duration::from_secs(4), consumer.poll()).await;
    assert!(idle.is_err(), "{idle:?}");
    let denied = Act::Respond(ErrorCode::GroupAuthorizationFailed);
    let _denied = bed.cluster.fault(Rule::new(ApiKey::Heartbeat, denied).once());
    member_refused(within(consumer.poll()).await.map(drop));
    bed.produce(0, &["x"]).await;
    assert_eq!(values(&next(&mut consumer).await), ["x"]);
    assert_eq!(*told.0.lock().unwrap(), ["+3"]);
}

/// What the member says of it.
#[track_caller]
fn member_refused(told: Result<(), ConsumerError>) -> String {
    let Err(ConsumerError::Group(error @ GroupError::Refused { .. })) = told else {
        unreachable!("{told:?}");
    };
    error.to_string()
}

#[tokio::test(start_paused = true)]
async fn commits_and_look_ups_fail_at_once_where_the_coordinator_will_not_be_named() {
    let bed = Bed::start().await;
    let denied = Act::Respond(ErrorCode::GroupAuthorizationFailed);
    let denied = bed.cluster.fault(Rule::new(ApiKey::FindCoordinator, denied));
    let begun = bed.client.runtime().now();
    let builder = || bed.builder().group("g").manual_commit();
    refused(&builder().assign([t(0)]).build().await.map(drop));
    let mut consumer = builder().subscribe(["t"]).build().await.unwrap();
    refused(&consumer.commit_offsets([(t(0), Offset::new(1))].into()).await);
    refused(&consumer.committed([t(0)]).await.map(drop));
    consumer.close(Duration::from_secs(5)).await.unwrap();
    denied.remove();
    tokio::time::sleep(Duration::from_millis(10)).await;
    let consumer = within(builder().assign([t(0)]).build()).await.unwrap();
    within(consumer.commit_offsets([(t(0), Offset::new(1))].into())).await.unwrap();
    assert_eq!(committed(&consumer, 0).await, Some(1));
    let took = bed.client.runtime().now() - begun;
    assert!(took < Duration::from_secs(2), "{took:?}");
}

#[track_caller]
fn refused(told: &Result<(), ConsumerError>) {
    let denied = CommitError::Group { code: ErrorCode::GroupAuthorizationFailed };
    let said = told.as_ref().map_err(ToString::to_string);
    assert_eq!(said, Err(denied.to_string()));
}

#[tokio::test(start_paused = true)]
async fn who_tries_to_poll_is_there() {
    let bed = Bed::start().await;
    let often = |config: &mut ConsumerConfig| config.max_poll_interval = Duration::from_secs(50);
    let mut consumer = member(&bed, "g").configure(often).build().await.unwrap();
    bed.produce(0, &["first"]).await;
    next(&mut consumer).await;
    for second in 0..120 {
        bed.produce(0, &["x"]).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let batch = consumer.try_poll().unwrap();
        assert!(batch.is_some(), "after {second} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_an_earlier_assignment_is_not_committed() {
    let bed = Bed::start().await;
    let look = onlooker(&bed, "g").await;
    for partition in [0, 1, 2] {
        bed.produce(partition, &["x"]).await;
    }
    // Range goes by instance ids: the first keeps two of three, in other slots than they had.
    let named = |name: &str| {
        let name = name.to_owned();
        member(&bed, "g").manual_commit().configure(|it| it.group_instance_id = Some(name))
    };
    let mut first = named("a").build().await.unwrap();
    let mut batches = Vec::new();
    for _ in 0..3 {
        batches.push(next(&mut first).await);
    }
    let mut second = named("b").build().await.unwrap();
    let settled = tokio::time::timeout(Duration::from_secs(20), async {
        loop {
            tokio::select! {
                biased;
                polled = first.poll() => drop(polled.unwrap()),
                polled = second.poll() => drop(polled.unwrap()),
            }
        }
    });
    let settled: Result<(), _> = settled.await;
    assert!(settled.is_err());
    assert_eq!(first.assignment(), [t(0), t(1)]);
    for batch in &batches {
        let told = within(batch.commit()).await;
        let refused = matches!(told, Err(ConsumerError::Commit(CommitError::NotOwned { .. })));
        assert!(refused, "{batch:?}: {told:?}");
    }
    for partition in [0, 1, 2] {
        assert_eq!(committed(&look, partition).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_that_is_enforced_brings_the_partitions_again() {
    let bed = Bed::start().await;
    let told = Told::default();
    let mut consumer = member(&bed, "g").on_rebalance(told.clone()).build().await.unwrap();
    let idle = tokio::time::timeout(Duration::from_secs(4), consumer.poll()).await;
    assert!(idle.is_err(), "{idle:?}");
    consumer.enforce_rebalance("the assignor changed its mind").unwrap();
    let idle = tokio::time::timeout(Duration::from_secs(4), consumer.poll()).await;
    assert!(idle.is_err(), "{idle:?}");
    assert_eq!(*told.0.lock().unwrap(), ["+3", "-3", "+3"]);
    let alone = bed.consumer(&[0]).await;
    assert!(matches!(alone.enforce_rebalance("why not"), Err(ConsumerError::NoGroup)));
}

/// Polls for good; says when which partition gave a record.
fn reader(bed: &Bed, mut consumer: Consumer) -> mpsc::UnboundedReceiver<(i32, Instant)> {
    let (seen, receiver) = mpsc::unbounded_channel();
    let runtime = bed.client.runtime().clone();
    bed.client.runtime().spawn("reader", async move {
        while let Ok(Some(record)) = consumer.recv().await {
            if seen.send((record.partition(), runtime.now())).is_err() {
                return;
            }
        }
    });
    receiver
}

#[tokio::test(start_paused = true)]
async fn a_member_that_leaves_stalls_a_partition_for_a_heartbeat_at_most() {
    let bed = Bed::start().await;
    for round in 0..12 {
        let group = format!("g{round}");
        let mut leaver = member(&bed, &group).build().await.unwrap();
        let stays = member(&bed, &group).build().await.unwrap();
        let mut seen = reader(&bed, stays);
        let polls = async { while leaver.poll().await.is_ok() {} };
        // Each time at another moment between two heartbeats and two fetches.
        let settle = Duration::from_millis(20_000 + 275 * round);
        assert!(tokio::time::timeout(settle, polls).await.is_err());
        let left = leaver.assignment();
        assert!(!left.is_empty() && left.len() < 3);
        let begun = bed.client.runtime().now();
        leaver.close(Duration::from_secs(5)).await.unwrap();
        while seen.try_recv().is_ok() {}
        bed.produce(left[0].partition, &["x"]).await;
        let at = loop {
            let (partition, at) = within(seen.recv()).await.unwrap();
            if partition == left[0].partition {
                break at;
            }
        };
        let stalled = at - begun;
        assert!(stalled <= Duration::from_millis(3_300), "{stalled:?} in round {round}");
    }
}

/// What a listener was told.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told(pub(crate) Arc<Mutex<Vec<String>>>);

impl RebalanceListener for Told {
    async fn assigned(&self, assigned: &Assigned<'_>) -> Result<(), ListenerError> {
        self.0.lock().unwrap().push(format!("+{}", assigned.added.len()));
        Ok(())
    }

    async fn revoking(&self, revoking: &Revoking<'_>) -> Result<(), ListenerError> {
        revoking.commit().await?;
        self.0.lock().unwrap().push(format!("-{}", revoking.partitions.len()));
        Ok(())
    }

    async fn lost(&self, lost: &Lost<'_>) -> Result<(), ListenerError> {
        self.0.lock().unwrap().push(format!("!{}", lost.partitions.len()));
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_consumer_subscribes_or_is_assigned_partitions() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    let mut member = member(&bed, "g").build().await.unwrap();
    assert!(matches!(member.assign([t(1)]).await, Err(ConsumerError::Exclusive)));
    assert_eq!(values(&next(&mut member).await), ["a"], "it is a member as before");
    let mut reader = bed.builder().group("other").assign([t(0)]).build().await.unwrap();
    assert!(matches!(reader.subscribe(["t"]), Err(ConsumerError::Exclusive)));
    assert_eq!(values(&next(&mut reader).await), ["a"], "it reads as before");
    reader.assign::<TopicPartition>([]).await.unwrap();
    reader.subscribe(["t"]).unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_others_have_already_is_not_given_up_at_a_close() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    let told = Told::default();
    let mut consumer = member(&bed, "g").on_rebalance(told.clone()).build().await.unwrap();
    next(&mut consumer).await;
    let forgotten = Act::Respond(ErrorCode::UnknownMemberId);
    let forgotten = bed.cluster.fault(Rule::new(ApiKey::Heartbeat, forgotten).once());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(forgotten.hits(), 1);
    within(consumer.close(Duration::from_secs(5))).await.unwrap();
    assert_eq!(*told.0.lock().unwrap(), ["+3", "!3"]);
}

#[tokio::test(start_paused = true)]
async fn a_listener_commits_what_is_being_given_up() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b"]).await;
    let told = Told::default();
    let builder = member(&bed, "g").manual_commit().on_rebalance(told.clone());
    let mut consumer = builder.build().await.unwrap();
    next(&mut consumer).await;
    consumer.close(Duration::from_secs(5)).await.unwrap();
    assert_eq!(*told.0.lock().unwrap(), ["+3", "-3"]);
    assert_eq!(committed(&onlooker(&bed, "g").await, 0).await, Some(2));
}

/// Goes wrong where it is told to.
#[derive(Debug, Clone, Copy)]
struct Broken {
    assigned: fn(),
    revoking: fn(),
}

fn well() {}

#[expect(clippy::panic, reason = "it is what is tried")]
fn panics() {
    panic!("out of cheese");
}

impl RebalanceListener for Broken {
    async fn assigned(&self, _: &Assigned<'_>) -> Result<(), ListenerError> {
        (self.assigned)();
        Ok(())
    }

    async fn revoking(&self, _: &Revoking<'_>) -> Result<(), ListenerError> {
        (self.revoking)();
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_over_what_came_is_an_error_and_what_came_is_read() {
    let bed = Bed::start().await;
    bed.produce(0, &["a"]).await;
    let broken = Broken { assigned: panics, revoking: well };
    let mut consumer = member(&bed, "g").on_rebalance(broken).build().await.unwrap();
    match within(consumer.poll()).await {
        Err(error @ ConsumerError::ListenerPanicked { .. }) => {
            assert_eq!(error.to_string(), "the rebalance listener panicked: out of cheese");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(values(&next(&mut consumer).await), ["a"]);
    consumer.close(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_over_what_goes_gives_it_up_and_commits_what_was_processed() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b", "c"]).await;
    let look = onlooker(&bed, "g").await;
    let broken = Broken { assigned: well, revoking: panics };
    let mut first = member(&bed, "g").on_rebalance(broken).build().await.unwrap();
    for _ in 0..2 {
        within(first.recv()).await.unwrap();
    }
    let mut second = member(&bed, "g").build().await.unwrap();
    // Eager: all is given up in this poll, which says that two records are processed.
    let (told, _) = tokio::join!(
        async {
            loop {
                if let Err(error) = within(first.poll()).await {
                    break error;
                }
            }
        },
        tokio::time::timeout(Duration::from_secs(10), second.poll()),
    );
    assert!(matches!(told, ConsumerError::ListenerPanicked { .. }), "{told}");
    let processed = committed(&look, 0).await;
    assert!(processed.is_none_or(|offset| offset <= 3), "{processed:?}");
    let polls = async { while first.poll().await.is_ok() && second.poll().await.is_ok() {} };
    assert!(tokio::time::timeout(Duration::from_secs(5), polls).await.is_err());
    let closed = first.close(Duration::from_secs(5)).await;
    assert!(matches!(closed, Err(ConsumerError::ListenerPanicked { .. })), "{closed:?}");
    assert!(matches!(first.poll().await, Err(ConsumerError::Closed)));
    assert!(matches!(first.recv().await, Err(ConsumerError::Closed)));
}

/// Never comes back.
struct Stuck;

impl RebalanceListener for Stuck {
    async fn assigned(&self, _: &Assigned<'_>) -> Result<(), ListenerError> {
        std::future::pending().await
    }
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_hangs_is_left_behind_after_the_poll_interval() {
    let bed = Bed::start().await;
    let slow = |config: &mut ConsumerConfig| {
        config.max_poll_interval = Duration::from_secs(50);
    };
    let stuck = member(&bed, "g").configure(slow).on_rebalance(Stuck);
    let mut stuck = stuck.build().await.unwrap();
    let mut other = member(&bed, "g").configure(slow).build().await.unwrap();
    let both = async {
        tokio::select! {
            biased;
            said = stuck.poll() => panic!("{said:?}"),
            said = other.poll() => panic!("{said:?}"),
        }
    };
    let settled = tokio::time::timeout(Duration::from_secs(120), both).await;
    assert!(settled.is_err());
    assert_eq!(other.assignment().len(), 3, "{:?}", stuck.assignment());
}

async fn pull(stream: &mut ConsumerStream) -> Option<Result<ConsumerRecord, ConsumerError>> {
    let mut stream = std::pin::Pin::new(stream);
    within(std::future::poll_fn(|cx| stream.as_mut().poll_next(cx))).await
}

#[tokio::test(start_paused = true)]
async fn a_stream_commits_the_prefix_of_what_was_acknowledged() {
    let bed = Bed::start().await;
    bed.produce(0, &["a", "b", "c", "d"]).await;
    let consumer = member(&bed, "g").build().await.unwrap();
    let stop = consumer.shutdown_handle();
    let mut stream = consumer.into_stream();
    let mut records = Vec::new();
    for _ in 0..4 {
        records.push(pull(&mut stream).await.unwrap().unwrap());
    }
    // The third fails; the others are processed out of order.
    for at in [3, 1, 0] {
        records[at].ack();
    }
    stop.shutdown();
    assert!(pull(&mut stream).await.is_none());
    assert_eq!(committed(&onlooker(&bed, "g").await, 0).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn each_partition_has_a_stream_that_ends_with_the_consumer() {
    let bed = Bed::start().await;
    for partition in [0, 1, 2] {
        bed.produce(partition, &["x"]).await;
    }
    let mut consumer = member(&bed, "g").manual_commit().build().await.unwrap();
    let stop = consumer.shutdown_handle();
    let mut partitions = consumer.partitions();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let mut stream = within(partitions.next()).await.unwrap();
        tasks.spawn(async move {
            let mut batches = 0;
            while let Some(batch) = stream.next_batch().await? {
                batch.commit().await?;
                batches += 1;
            }
            Ok::<_, ConsumerError>(batches)
        });
    }
    let settle = tokio::time::timeout(Duration::from_secs(3), partitions.next()).await;
    assert!(settle.is_err(), "there are only three");
    stop.shutdown();
    assert!(within(partitions.next()).await.is_none());
    for ended in within(tasks.join_all()).await {
        assert_eq!(ended.unwrap(), 1);
    }
    for partition in [0, 1, 2] {
        assert_eq!(committed(&consumer, partition).await, Some(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_stream_ends_when_its_partition_is_given_up() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"]).await;
    let mut consumer = bed.consumer(&[0, 1]).await;
    let mut first = within(consumer.partitions().next()).await.unwrap();
    assert_eq!(within(first.next_batch()).await.unwrap().unwrap().partition(), 0);
    consumer.assign([t(1)]).await.unwrap();
    assert!(within(first.next_batch()).await.unwrap().is_none());
    // The same partition again is another tenure.
    consumer.assign([t(0), t(1)]).await.unwrap();
    assert!(within(first.next_batch()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_comes_to_its_end_late_is_not_woken_in_place_of_the_next() {
    let bed = Bed::start().await;
    let mut consumer = bed.consumer(&[0]).await;
    let mut former = within(consumer.partitions().next()).await.unwrap();
    // Another partition takes its slot while its last batch is processed, say.
    consumer.assign([t(1)]).await.unwrap();
    let mut stream = within(consumer.partitions().next()).await.unwrap();
    let mut waiting = tokio::task::JoinSet::new();
    waiting.spawn(async move { stream.next_batch().await });
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(within(former.next_batch()).await.unwrap().is_none());
    bed.produce(1, &["x"]).await;
    let batch = within(waiting.join_next()).await.unwrap().unwrap().unwrap().unwrap();
    assert_eq!(values(&batch), ["x"]);
}
