//! How transactions end.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_producer::{Record, TransactionError, TransactionOutcome};
use ottla_protocol::ApiKey;

use super::bed::{ID, both, one};

#[tokio::test(start_paused = true)]
async fn what_is_committed_is_seen_and_only_then() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        for partition in 0..3 {
            let record = Record::to("t").partition(partition).value(partition.to_string());
            transaction.send(record).await.unwrap();
            assert_eq!(bed.committed("t", partition), [""; 0]);
        }
        transaction.commit().await.unwrap();
        for partition in 0..3 {
            assert_eq!(bed.committed("t", partition), [partition.to_string()]);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_of_a_transaction_takes_what_it_is_lent() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        let topic = transaction.topic("one").await.unwrap();
        topic.try_post(None, Some(b"a")).unwrap();
        topic.post(None, Some(b"b")).await.unwrap();
        topic.enqueue(None, Some(b"c")).await.unwrap().await.unwrap();
        topic.send(None, Some(b"d")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["a", "b", "c", "d"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_is_aborted_is_never_seen() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("no")).await.unwrap();
        transaction.abort().await.unwrap();
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("yes")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!((bed.one(), bed.written()), (vec!["yes".to_owned()], 2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn transactions_follow_one_another() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        for number in 0..20 {
            let transaction = producer.begin().await.unwrap();
            transaction.post(one(number)).await.unwrap();
            transaction.post(Record::to("t").value("x")).await.unwrap();
            if number % 3 == 0 {
                transaction.abort().await.unwrap();
            } else {
                transaction.commit().await.unwrap();
            }
        }
        let expected: Vec<String> = (0..20)
            .filter(|number| number % 3 != 0)
            .map(|number: i32| number.to_string())
            .collect();
        assert_eq!(bed.one(), expected);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_empty_transaction_asks_nobody() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let before = bed.cluster.requests().len();
        producer.begin().await.unwrap().commit().await.unwrap();
        producer.begin().await.unwrap().abort().await.unwrap();
        assert_eq!(bed.cluster.requests().len(), before);
        assert_eq!(producer.settle().await.unwrap(), TransactionOutcome::Aborted);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_transaction_takes_as_few_round_trips_as_its_protocol_allows() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        for _ in 0..2 {
            let before = bed.cluster.requests().len();
            let transaction = producer.begin().await.unwrap();
            transaction.post(one(1)).await.unwrap();
            transaction.post(one(2)).await.unwrap();
            transaction.commit().await.unwrap();
            let requests = bed.cluster.requests();
            let mut apis: Vec<ApiKey> = requests[before..].iter().map(|seen| seen.api).collect();
            apis.retain(|api| {
                !matches!(api, ApiKey::ApiVersions | ApiKey::Metadata | ApiKey::FindCoordinator)
            });
            let expected: &[ApiKey] = match bed.level {
                1 => &[ApiKey::AddPartitionsToTxn, ApiKey::Produce, ApiKey::EndTxn],
                _ => &[ApiKey::Produce, ApiKey::EndTxn],
            };
            assert_eq!(apis, expected);
        }
        assert_eq!(bed.count(ApiKey::InitProducerId), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_is_asked_again_to_its_end() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let _ = bed.cluster.fault(Rule::new(ApiKey::EndTxn, Act::ApplyThenDrop).times(2));
        let transaction = producer.begin().await.unwrap();
        transaction.post(one("once")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["once"]);
        let transaction = producer.begin().await.unwrap();
        transaction.post(one("twice")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["once", "twice"]);
        // Protocol 1 needs another epoch, or a late EndTxn would end the next transaction.
        let inits = if bed.level == 1 { 2 } else { 1 };
        assert_eq!(bed.count(ApiKey::InitProducerId), inits);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_nobody_answers_is_unknown_and_settles_later() {
    both(async |bed| {
        let mut producer = bed.builder().max_block(Duration::from_secs(5)).build().await.unwrap();
        let silent = bed.cluster.fault(Rule::new(ApiKey::EndTxn, Act::DropBefore));
        let transaction = producer.begin().await.unwrap();
        transaction.post(one("late")).await.unwrap();
        let error = transaction.commit().await.unwrap_err();
        assert!(matches!(error, TransactionError::OutcomeUnknown { .. }), "{error}");
        let error = producer.settle().await.unwrap_err();
        assert!(error.is_outcome_unknown(), "{error}");
        silent.remove();
        let settled = producer.settle().await;
        // Its time was over meanwhile: the coordinator had aborted it.
        if bed.level == 2 {
            assert_eq!(settled.unwrap(), TransactionOutcome::Aborted);
            let transaction = producer.begin().await.unwrap();
            transaction.post(one("next")).await.unwrap();
            transaction.commit().await.unwrap();
            assert_eq!(bed.one(), ["next"]);
        } else {
            assert!(settled.unwrap_err().is_fenced());
            assert_eq!(bed.one(), [""; 0]);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_moves_before_the_end_is_followed() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        for round in 0..6 {
            let transaction = producer.begin().await.unwrap();
            transaction.send(one(round)).await.unwrap();
            let coordinator = bed.cluster.transaction(ID).coordinator().unwrap();
            bed.cluster.transaction(ID).move_coordinator((coordinator + 1) % 3 + 1).unwrap();
            transaction.commit().await.unwrap();
        }
        assert_eq!(bed.one(), ["0", "1", "2", "3", "4", "5"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_dies_during_the_end_is_followed() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("x")).await.unwrap();
        let coordinator = bed.cluster.transaction(ID).coordinator().unwrap();
        let _ = bed.cluster.fault(Rule::new(ApiKey::EndTxn, Act::ApplyThenHang).once());
        let begun = bed.now();
        let (committed, ()) = tokio::join!(transaction.commit(), async {
            bed.sleep(Duration::from_millis(100)).await;
            bed.cluster.node(coordinator).kill().await;
        });
        committed.unwrap();
        assert_eq!(bed.one(), ["x"]);
        assert!(bed.passed(begun) < Duration::from_secs(10), "{:?}", bed.passed(begun));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_frozen_coordinator_is_left_when_another_has_taken_over() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("x")).await.unwrap();
        let coordinator = bed.cluster.transaction(ID).coordinator().unwrap();
        let _ = bed.cluster.fault(Rule::new(ApiKey::EndTxn, Act::ApplyThenHang).once());
        let begun = bed.now();
        let (committed, ()) = tokio::join!(transaction.commit(), async {
            bed.sleep(Duration::from_millis(100)).await;
            bed.cluster.transaction(ID).move_coordinator(coordinator % 3 + 1).unwrap();
        });
        committed.unwrap();
        assert!(bed.passed(begun) < Duration::from_secs(3), "{:?}", bed.passed(begun));
        assert_eq!(bed.one(), ["x"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_next_transaction_waits_milliseconds_for_the_markers_of_the_one_before() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one(1)).await.unwrap();
        bed.cluster.transaction(ID).hold_markers();
        transaction.commit().await.unwrap();
        let begun = bed.now();
        let transaction = producer.begin().await.unwrap();
        let metadata = bed.count(ApiKey::Metadata);
        let (sent, ()) = tokio::join!(transaction.send(one(2)), async {
            bed.sleep(Duration::from_millis(50)).await;
            bed.cluster.transaction(ID).release_markers();
        });
        sent.unwrap();
        assert!(bed.passed(begun) < Duration::from_millis(80), "{:?}", bed.passed(begun));
        assert_eq!(bed.count(ApiKey::Metadata), metadata);
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["1", "2"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_epoch_that_is_the_last_is_followed_by_another_id() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        bed.cluster.transaction(ID).exhaust_epoch();
        drop(producer);
        producer = bed.producer().await;
        for number in 0..3 {
            let transaction = producer.begin().await.unwrap();
            transaction.send(one(number)).await.unwrap();
            transaction.commit().await.unwrap();
        }
        assert_eq!(bed.one(), ["0", "1", "2"]);
    })
    .await;
}
