//! Where partitions begin that have come: at what their group has committed.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_consumer::Consumer;
use ottla_consumer::error::{ConsumerError, FetchError};
use ottla_consumer::machine::commit::{CommitError, Offset};
use ottla_core::error::RequestError;
use ottla_protocol::{AnyResponse, ApiKey, ErrorCode};

use crate::bed::{Bed, next, t, value, values, within};
use crate::groups::{committed, member, onlooker};

/// A way to wait for records, for no longer than a tenth of a second.
#[derive(Debug, Clone, Copy)]
enum Hasty {
    Poll,
    Recv,
    /// Polls until there is an assignment.
    TryPoll,
}

impl Hasty {
    async fn take(self, consumer: &mut Consumer) -> Option<String> {
        match self {
            Self::TryPoll if !consumer.assignment().is_empty() => {
                tokio::time::sleep(HASTE).await;
                consumer.try_poll().unwrap().map(|batch| values(&batch).concat())
            }
            Self::Poll | Self::TryPoll => {
                let polled = tokio::time::timeout(HASTE, consumer.poll()).await.ok()?;
                Some(values(&polled.unwrap().unwrap()).concat())
            }
            Self::Recv => {
                let received = tokio::time::timeout(HASTE, consumer.recv()).await.ok()?;
                Some(value(&received.unwrap().unwrap()))
            }
        }
    }
}

const HASTE: Duration = Duration::from_millis(100);

#[tokio::test(start_paused = true)]
async fn polls_that_are_dropped_before_offsets_are_known_bring_records_all_the_same() {
    for way in [Hasty::Poll, Hasty::Recv, Hasty::TryPoll] {
        let bed = Bed::start().await;
        bed.produce(0, &["x"]).await;
        let slow = Act::Delay(Duration::from_millis(200));
        let slow = bed.cluster.fault(Rule::new(ApiKey::OffsetFetch, slow));
        let mut consumer = member(&bed, "g").build().await.unwrap();
        let mut came = None;
        for _ in 0..100 {
            came = way.take(&mut consumer).await;
            if came.is_some() {
                break;
            }
        }
        assert_eq!(came.as_deref(), Some("x"), "{way:?}");
        assert_eq!(slow.hits(), 1, "{way:?}: asked for once");
    }
}

#[tokio::test(start_paused = true)]
async fn streams_of_partitions_begin_however_often_the_wait_for_the_next_is_dropped() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"]).await;
    let slow = Act::Delay(Duration::from_millis(200));
    let _slow = bed.cluster.fault(Rule::new(ApiKey::OffsetFetch, slow));
    let mut consumer = member(&bed, "g").build().await.unwrap();
    let mut partitions = consumer.partitions();
    let mut streams = Vec::new();
    for _ in 0..100 {
        if let Ok(stream) = tokio::time::timeout(HASTE, partitions.next()).await {
            streams.push(stream.unwrap());
        }
    }
    let first = streams.iter_mut().find(|stream| *stream.topic_partition() == t(0)).unwrap();
    assert_eq!(values(&within(first.next_batch()).await.unwrap().unwrap()), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_any_more_holds_no_look_up_back() {
    let bed = Bed::start().await;
    let look = onlooker(&bed, "g").await;
    let slow = Act::Delay(Duration::from_millis(200));
    let slow = bed.cluster.fault(Rule::new(ApiKey::OffsetFetch, slow));
    for _ in 0..100 {
        let hasty = tokio::time::timeout(Duration::from_millis(10), look.committed([t(0)])).await;
        assert!(hasty.is_err());
    }
    let asked = slow.hits();
    let begun = bed.client.runtime().now();
    assert_eq!(committed(&look, 0).await, None);
    let took = bed.client.runtime().now() - begun;
    assert!(took <= Duration::from_millis(410), "{took:?}");
    assert!(slow.hits() <= asked + 1, "{} after {asked}", slow.hits());
}

#[tokio::test(start_paused = true)]
async fn a_look_up_of_what_is_committed_that_fails_is_told_and_made_again() {
    let bed = Bed::start().await;
    let hang = bed.cluster.fault(Rule::new(ApiKey::OffsetFetch, Act::Hang));
    let mut consumer = member(&bed, "g").build().await.unwrap();
    let told = within(consumer.poll()).await;
    let late = matches!(told, Err(ConsumerError::Commit(CommitError::DeadlineExceeded { .. })));
    assert!(late, "{told:?}");
    hang.remove();
    bed.produce(0, &["x"]).await;
    assert_eq!(values(&next(&mut consumer).await), ["x"]);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_closed_ends_the_wait_for_what_is_committed() {
    let bed = Bed::start().await;
    let _hang = bed.cluster.fault(Rule::new(ApiKey::FindCoordinator, Act::Hang));
    let built = within(async {
        let build = bed.builder().group("g").assign([t(0)]).build();
        let close = async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            bed.client.clone().close().await;
        };
        tokio::join!(build, close).0
    });
    let told = built.await.map(drop);
    let closed = matches!(told, Err(ConsumerError::Request(RequestError::Closed { .. })));
    assert!(closed, "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_is_asked_anew_for_a_partition_that_comes_again() {
    let bed = Bed::start().await;
    for value in ["a", "b", "c"] {
        bed.produce(0, &[value]).await;
    }
    let look = onlooker(&bed, "g").await;
    within(look.commit_offsets([(t(0), Offset::new(1))].into())).await.unwrap();
    let mut consumer = onlooker(&bed, "g").await;
    let late = Act::ApplyThenDelay(Duration::from_millis(200));
    let _late = bed.cluster.fault(Rule::new(ApiKey::OffsetFetch, late));
    let first = tokio::time::timeout(Duration::from_millis(50), consumer.assign([t(0)])).await;
    assert!(first.is_err());
    within(consumer.assign([("other", 0)])).await.unwrap();
    // Somebody else has it between.
    within(look.commit_offsets([(t(0), Offset::new(2))].into())).await.unwrap();
    within(consumer.assign([t(0)])).await.unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["c"]);
}

/// Refuses to say what is committed of the first partition of `t`.
fn unsaid() -> Rule {
    let refuse = |answer: &mut AnyResponse| {
        let AnyResponse::OffsetFetch(answer) = answer else { return };
        let topics = answer.groups.iter_mut().flat_map(|group| &mut group.topics);
        for row in topics.flat_map(|topic| &mut topic.partitions) {
            if row.partition_index == 0 {
                row.error_code = ErrorCode::TopicAuthorizationFailed.code();
            }
        }
    };
    Rule::new(ApiKey::OffsetFetch, Act::edit(refuse))
}

#[tokio::test(start_paused = true)]
async fn a_partition_whose_offset_is_refused_is_told_of_and_read_once_it_is_granted() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"]).await;
    bed.produce(1, &["y"]).await;
    let _unsaid = bed.cluster.fault(unsaid().times(2));
    let mut consumer = member(&bed, "g").build().await.unwrap();
    let (mut read, mut told) = (Vec::new(), 0);
    while read.len() < 2 {
        match within(consumer.poll()).await {
            Ok(batch) => read.push(values(&batch.unwrap()).concat()),
            Err(ConsumerError::Fetch(FetchError::Refused { partition, code })) => {
                assert_eq!((partition, code), (t(0), ErrorCode::TopicAuthorizationFailed));
                told += 1;
            }
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!((read, told), (vec!["y".to_owned(), "x".to_owned()], 2));
}

#[tokio::test(start_paused = true)]
async fn who_assigns_a_partition_does_not_wait_for_an_offset_that_is_refused() {
    let bed = Bed::start().await;
    bed.produce(0, &["x"]).await;
    let unsaid = bed.cluster.fault(unsaid());
    let builder = bed.builder().group("g").assign([t(0)]);
    let mut consumer = within(builder.build()).await.unwrap();
    let told = within(consumer.poll()).await;
    assert!(matches!(told, Err(ConsumerError::Fetch(FetchError::Refused { .. }))), "{told:?}");
    consumer.seek(&t(0), 0).unwrap();
    assert_eq!(values(&next(&mut consumer).await), ["x"], "no offset is needed to seek");
    let asked = unsaid.hits();
    let idle = tokio::time::timeout(Duration::from_secs(10), consumer.poll()).await;
    assert!(idle.is_err(), "{idle:?}");
    assert!(unsaid.hits() <= asked + 1, "nobody wants to know any more");
}
