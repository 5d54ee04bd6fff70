//! What brokers and networks do to a batch.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_broker::cluster::TopicSpec;
use ottla_broker::fault::{Act, Rule};
use ottla_core::error::Certainty;
use ottla_core::types::ErrorCode;
use ottla_producer::config::Acks;
use ottla_producer::{Record, SendError};
use ottla_protocol::ApiKey;

use super::bed::{Bed, EPOCH_MS, numbers, one};

/// Sends numbered records, a few at a time, while `rule` is in force, and expects each exactly once
/// and in order.
async fn survives(rule: Rule) {
    let bed = Bed::start().await;
    let producer = bed.builder().batch_size(100).build().await.unwrap();
    producer.topic("one").await.unwrap();
    producer.send(one("first")).await.unwrap();
    let fault = bed.cluster.fault(rule);
    let mut deliveries = Vec::new();
    for number in numbers(60) {
        deliveries.push(producer.try_enqueue(one(number)).unwrap());
    }
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    assert!(fault.hits() > 0, "the fault was met");
    assert_eq!(bed.values("one", 0)[1..], numbers(60));
    assert_eq!(producer.delivered(), 61);
}

fn responds(code: ErrorCode) -> Rule {
    Rule::new(ApiKey::Produce, Act::Respond(code)).times(3)
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_the_write_writes_nothing_twice() {
    survives(Rule::new(ApiKey::Produce, Act::ApplyThenDrop).skip(1).times(2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_lost_before_the_write_loses_nothing() {
    survives(Rule::new(ApiKey::Produce, Act::DropBefore).times(3)).await;
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_cut_in_the_middle_loses_nothing() {
    survives(Rule::new(ApiKey::Produce, Act::CutAfter(7)).times(2)).await;
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_never_answered_is_sent_again_once_its_time_is_over() {
    survives(Rule::new(ApiKey::Produce, Act::ApplyThenHang).once()).await;
}

#[tokio::test(start_paused = true)]
async fn too_few_replicas_are_waited_for() {
    survives(responds(ErrorCode::NotEnoughReplicas)).await;
}

#[tokio::test(start_paused = true)]
async fn a_broken_disk_is_waited_for() {
    survives(responds(ErrorCode::KafkaStorageError)).await;
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_leads_no_more_is_asked_again() {
    survives(responds(ErrorCode::NotLeaderOrFollower)).await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_that_the_broker_sees_begins_a_new_epoch() {
    survives(responds(ErrorCode::OutOfOrderSequenceNumber)).await;
}

#[tokio::test(start_paused = true)]
async fn a_producer_id_that_the_broker_forgot_begins_anew() {
    survives(responds(ErrorCode::UnknownProducerId)).await;
}

#[tokio::test(start_paused = true)]
async fn a_quota_is_waited_for() {
    survives(Rule::new(ApiKey::Produce, Act::Throttle(Duration::from_secs(2))).times(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_producer_id_is_asked_for_until_there_is_one() {
    let bed = Bed::start().await;
    let code = ErrorCode::CoordinatorLoadInProgress;
    let fault = bed.cluster.fault(Rule::new(ApiKey::InitProducerId, Act::Respond(code)).times(3));
    bed.producer().await.send(one("a")).await.unwrap();
    assert_eq!(fault.hits(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_producer_id_that_is_refused_fails_what_needs_it_and_is_asked_for_again() {
    for linger in [Duration::ZERO, Duration::from_millis(5)] {
        let bed = Bed::start().await;
        let code = ErrorCode::ClusterAuthorizationFailed;
        let fault = bed.cluster.fault(Rule::new(ApiKey::InitProducerId, Act::Respond(code)));
        let producer = bed.builder().linger(linger).build().await.unwrap();
        let refused = producer.send(one("a")).await.unwrap_err();
        let said = format!("send one-0: no producer id: {code} (not written)");
        assert_eq!(refused.to_string(), said);
        fault.remove();
        let begun = bed.client.runtime().now();
        producer.send(refused.into_record().unwrap()).await.unwrap();
        assert!(bed.passed(begun) < Duration::from_secs(1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_split_in_order() {
    let small =
        TopicSpec::new("small").partitions(1).replicas(3).config("max.message.bytes", "500");
    let bed = Bed::with([small]).await;
    let producer = bed.producer().await;
    let record = |number: String| Record::to("small").value(format!("{number:0>50}"));
    let outcomes = producer.send_all(numbers(100).into_iter().map(record)).await;
    let offsets: Vec<_> = outcomes.iter().map(|it| it.as_ref().unwrap().offset.known()).collect();
    assert_eq!(offsets, (0..100).map(Some).collect::<Vec<_>>());
    let expected: Vec<_> = numbers(100).iter().map(|number| format!("{number:0>50}")).collect();
    assert_eq!(bed.values("small", 0), expected);
    producer.flush().await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_too_large_for_its_topic_fails_alone() {
    let small =
        TopicSpec::new("small").partitions(1).replicas(3).config("max.message.bytes", "500");
    let bed = Bed::with([small]).await;
    let producer = bed.producer().await;
    let records = ["a".into(), "x".repeat(1_000), "b".into()];
    let outcomes = producer.send_all(records.map(|it| Record::to("small").value(it))).await;
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok(), "{outcomes:?}");
    let refused = outcomes[1].as_ref().unwrap_err();
    assert!(matches!(refused.error(), SendError::TooLargeForTopic { .. }), "{refused}");
    assert_eq!(refused.record().unwrap().value_bytes().unwrap().len(), 1_000);
    assert_eq!(bed.values("small", 0), ["a", "b"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_beyond_the_largest_request_is_refused_before_it_is_taken() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    let refused = producer.send(one("x".repeat(1 << 20))).await.unwrap_err();
    assert_eq!(
        refused.to_string(),
        "send one: record is 1048650 bytes, limit max.request.size=1048576"
    );
    producer.send(one("a")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_may_not_be_written_fails_and_its_neighbours_do_not() {
    let bed = Bed::start().await;
    let producer = bed.builder().linger(Duration::from_millis(50)).build().await.unwrap();
    producer.send_all((0..3).map(|it| Record::to("t").partition(it).value("first"))).await;
    let code = ErrorCode::TopicAuthorizationFailed;
    let rule = Rule::new(ApiKey::Produce, Act::Respond(code)).partition("t", 1);
    let fault = bed.cluster.fault(rule);
    let outcomes =
        producer.send_all((0..3).map(|it| Record::to("t").partition(it).value("v"))).await;
    let refused = outcomes[1].as_ref().unwrap_err();
    assert_eq!(refused.to_string(), format!("send t-1: {code} (not written)"));
    assert!(outcomes[0].is_ok() && outcomes[2].is_ok());
    fault.remove();
    producer.send(Record::to("t").partition(1).value("v")).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refused_record_reaches_the_hook_even_if_nobody_waits() {
    let bed = Bed::start().await;
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let builder = bed.builder().on_failure(move |record, error| {
        noted.lock().unwrap().push((record.clone(), error.to_string()));
    });
    let producer = builder.build().await.unwrap();
    let code = ErrorCode::PolicyViolation;
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Respond(code)));
    for value in ["a", "b"] {
        drop(producer.enqueue(one(value).timestamp(EPOCH_MS)).await.unwrap());
    }
    producer.flush().await;
    let error = format!("send one-0: {code} (not written)");
    let lost = ["a", "b"].map(|value| (one(value).timestamp(EPOCH_MS).partition(0), error.clone()));
    assert_eq!(*seen.lock().unwrap(), lost);
    assert_eq!(producer.failed(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_record_that_nobody_takes_in_time_says_what_was_last_wrong() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(one("a")).await.unwrap();
    let code = ErrorCode::NotEnoughReplicas;
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Respond(code)));
    let begun = bed.client.runtime().now();
    let late = producer.send(one("b")).await.unwrap_err();
    assert_eq!(late.error().certainty(), Certainty::NotWritten);
    let text = late.to_string();
    assert!(
        text.starts_with("send one-0: not acknowledged within delivery.timeout.ms=120000"),
        "{text}"
    );
    assert!(text.ends_with(&format!("; last: {code}")), "{text}");
    let passed = bed.passed(begun);
    assert!((Duration::from_secs(119)..Duration::from_secs(122)).contains(&passed), "{passed:?}");
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_on_its_way_when_all_went_dark_is_possibly_written() {
    let bed = Bed::start().await;
    let producer = bed.producer().await;
    producer.send(one("a")).await.unwrap();
    let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::Hang));
    let late = producer.send(one("b")).await.unwrap_err();
    assert_eq!(late.error().certainty(), Certainty::PossiblyWritten);
    assert_eq!(late.into_record(), Some(one("b").partition(0).timestamp(EPOCH_MS)));
}

#[tokio::test(start_paused = true)]
async fn without_acknowledgements_a_lost_connection_is_all_that_is_noticed() {
    let bed = Bed::start().await;
    let builder = bed.builder().acks(Acks::None).idempotence(false);
    let producer = builder.build().await.unwrap();
    producer.send(one("a")).await.unwrap();
    let fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::DropBefore).once());
    producer.send(one("lost")).await.unwrap();
    bed.sleep(Duration::from_secs(1)).await;
    assert_eq!(fault.hits(), 1);
    producer.send(one("b")).await.unwrap();
    bed.sleep(Duration::from_secs(1)).await;
    assert_eq!(bed.values("one", 0), ["a", "b"]);
}
