//! What fails within a transaction, and what becomes of it.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_core::error::Certainty;
use ottla_core::types::{ConsumerGroupMetadata, ErrorCode, Offset, TopicPartition};
use ottla_producer::{AbortCause, Record, SendError, TransactionError, TransactionalProducer};
use ottla_protocol::ApiKey;

use super::bed::{Bed, ID, both, one};

/// The producer can write another transaction.
async fn goes_on(bed: &Bed, producer: &mut TransactionalProducer, expected: &[&str]) {
    let transaction = producer.begin().await.unwrap();
    transaction.send(one("next")).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(bed.one(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_with_a_refused_record_is_not_committed() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("first")).await.unwrap();
        bed.answers(ApiKey::Produce, ErrorCode::InvalidRecord, 1);
        transaction.send(one("bad")).await.unwrap_err();
        assert!(transaction.failure().unwrap().requires_abort());
        let error = transaction.send(one("behind")).await.unwrap_err();
        assert!(matches!(error.error(), SendError::TransactionAborted { .. }), "{error}");
        let error = transaction.commit().await.unwrap_err();
        assert!(error.requires_abort() && !error.may_run_again(), "{error}");
        goes_on(&bed, &mut producer, &["next"]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_was_not_taken_fails_the_transaction_too() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("first")).await.unwrap();
        let large = vec![0; 2 << 20];
        transaction.post(Record::to("one").value(large)).await.unwrap_err();
        let error = transaction.commit().await.unwrap_err();
        let TransactionError::Aborted { cause, .. } = &error else { panic!("{error}") };
        let AbortCause::Send(SendError::RecordTooLarge { .. }) = &**cause else {
            panic!("{cause}");
        };
        goes_on(&bed, &mut producer, &["next"]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_would_wait_fails_nothing() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        let error = transaction.try_enqueue(one("unknown topic")).unwrap_err();
        assert!(error.error().would_wait());
        transaction.send(one("x")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["x"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn records_behind_one_that_fails_are_given_up_with_it() {
    both(async |bed| {
        let mut producer = bed.builder().linger(Duration::from_secs(5)).build().await.unwrap();
        let transaction = producer.begin().await.unwrap();
        let lingering = transaction.enqueue(Record::to("t").value("lingering")).await.unwrap();
        bed.answers(ApiKey::Produce, ErrorCode::InvalidRecord, 1);
        transaction.send(one("bad")).await.unwrap_err();
        let error = lingering.await.unwrap_err();
        let SendError::TransactionAborted { certainty, .. } = error.error() else {
            panic!("{error}");
        };
        assert_eq!(*certainty, Certainty::NotWritten);
        assert!(error.into_record().is_some());
        transaction.abort().await.unwrap();
        goes_on(&bed, &mut producer, &["next"]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_late_fails_the_transaction_and_the_next_is_whole() {
    both(async |bed| {
        let mut producer = bed
            .builder()
            .request_timeout(Duration::from_secs(1))
            .delivery_timeout(Duration::from_secs(3))
            .build()
            .await
            .unwrap();
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("first")).await.unwrap();
        let fault = bed.cluster.fault(Rule::new(ApiKey::Produce, Act::ApplyThenHang));
        let error = transaction.send(one("late")).await.unwrap_err();
        assert!(matches!(error.error(), SendError::DeliveryTimeout { .. }), "{error}");
        fault.remove();
        let error = transaction.commit().await.unwrap_err();
        assert!(error.may_run_again(), "{error}");
        goes_on(&bed, &mut producer, &["next"]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moves_within_a_transaction_is_followed() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        for round in 0..6 {
            let transaction = producer.begin().await.unwrap();
            transaction.send(one(format!("{round}a"))).await.unwrap();
            let leader = bed.cluster.partition("one", 0).leader().unwrap();
            bed.cluster.partition("one", 0).move_leader(leader % 3 + 1).unwrap();
            transaction.send(one(format!("{round}b"))).await.unwrap();
            transaction.commit().await.unwrap();
        }
        assert_eq!(bed.one().len(), 12);
        assert_eq!(bed.written(), 12);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_within_a_transaction_is_followed() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("a")).await.unwrap();
        let leader = bed.cluster.partition("one", 0).leader().unwrap();
        bed.cluster.node(leader).kill().await;
        transaction.send(one("b")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["a", "b"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_is_too_large_is_split_within_its_transaction() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("first")).await.unwrap();
        bed.answers(ApiKey::Produce, ErrorCode::MessageTooLarge, 2);
        let records = (0..8).map(one);
        for sent in transaction.send_all(records).await {
            sent.unwrap();
        }
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["first", "0", "1", "2", "3", "4", "5", "6", "7"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_sequence_that_the_leader_has_not_aborts_and_is_left_behind() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("first")).await.unwrap();
        bed.answers(ApiKey::Produce, ErrorCode::OutOfOrderSequenceNumber, 1);
        transaction.send(one("second")).await.unwrap_err();
        let error = transaction.commit().await.unwrap_err();
        assert!(error.may_run_again(), "{error}");
        goes_on(&bed, &mut producer, &["next"]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_took_too_long_is_not_committed() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("slow")).await.unwrap();
        bed.sleep(Duration::from_secs(75)).await;
        assert_eq!(bed.state(), "CompleteAbort");
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.certainty(), Certainty::NotWritten, "{error}");
        let TransactionError::Aborted { cause, .. } = &error else { panic!("{error}") };
        assert!(matches!(**cause, AbortCause::TimedOut { .. }), "{error}");
        goes_on(&bed, &mut producer, &["next"]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_record_for_a_transaction_that_took_too_long_is_refused() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("slow")).await.unwrap();
        bed.sleep(Duration::from_secs(75)).await;
        transaction.send(one("late")).await.unwrap_err();
        let error = transaction.commit().await.unwrap_err();
        assert!(error.may_run_again(), "{error}");
        goes_on(&bed, &mut producer, &["next"]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn offsets_for_a_transaction_that_took_too_long_are_refused() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("slow")).await.unwrap();
        bed.sleep(Duration::from_secs(75)).await;
        let read = (
            ConsumerGroupMetadata::standalone("g"),
            [(TopicPartition::new("t", 0), Offset::new(1))].into(),
        );
        transaction.commit_offsets(&read).await.unwrap_err();
        let error = transaction.commit().await.unwrap_err();
        assert!(error.may_run_again(), "{error}");
        goes_on(&bed, &mut producer, &["next"]).await;
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_was_aborted_in_time_was_fenced() {
    let bed = Bed::start(1).await;
    let mut producer = bed.producer().await;
    let transaction = producer.begin().await.unwrap();
    transaction.send(one("x")).await.unwrap();
    bed.cluster.transaction(ID).expire();
    let error = transaction.commit().await.unwrap_err();
    assert!(error.is_fenced(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_producer_whose_place_was_taken_while_it_slept_claims_nothing() {
    both(async |bed| {
        let mut first = bed.producer().await;
        let transaction = first.begin().await.unwrap();
        transaction.send(one("zombie")).await.unwrap();
        let mut second = bed.producer().await;
        bed.sleep(Duration::from_secs(75)).await;
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.certainty(), Certainty::NotWritten, "{error}");
        let error = first.begin().await.unwrap_err();
        assert!(error.is_fenced(), "{error}");
        goes_on(&bed, &mut second, &["next"]).await;
    })
    .await;
}
