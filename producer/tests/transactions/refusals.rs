//! Who is not let in, and who is put out.

use std::time::Duration;

use ottla_core::error::{Error, ErrorKind};
use ottla_core::types::ErrorCode;
use ottla_producer::config::ProducerConfig;
use ottla_producer::{Producer, StartError, TransactionError};
use ottla_protocol::ApiKey;

use super::bed::{ID, both, one};

#[tokio::test(start_paused = true)]
async fn a_second_producer_of_the_id_fences_the_first() {
    both(async |bed| {
        let mut first = bed.producer().await;
        let transaction = first.begin().await.unwrap();
        transaction.send(one("zombie")).await.unwrap();
        let begun = bed.now();
        let mut second = bed.producer().await;
        assert!(bed.passed(begun) < Duration::from_millis(100), "{:?}", bed.passed(begun));
        let error = transaction.commit().await.unwrap_err();
        let next = second.begin().await.unwrap();
        next.send(one("owner")).await.unwrap();
        next.commit().await.unwrap();
        assert_eq!(bed.one(), ["owner"]);
        assert!(error.is_fenced(), "{error}");
        let error = first.begin().await.unwrap_err();
        assert!(error.is_fenced() && error.is_fatal(), "{error}");
        assert_eq!(Error::from(error).kind(), ErrorKind::Fenced);
        assert_eq!(bed.one(), ["owner"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_follows_one_that_crashed_commits_at_once() {
    both(async |bed| {
        let mut crashed = bed.producer().await;
        let transaction = crashed.begin().await.unwrap();
        transaction.send(one("torn")).await.unwrap();
        std::mem::forget(transaction);
        std::mem::forget(crashed);
        let begun = bed.now();
        let mut next = bed.producer().await;
        let transaction = next.begin().await.unwrap();
        transaction.send(one("whole")).await.unwrap();
        transaction.commit().await.unwrap();
        assert!(bed.passed(begun) < Duration::from_millis(500), "{:?}", bed.passed(begun));
        assert_eq!(bed.one(), ["whole"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_producer_that_was_fenced_writes_nothing() {
    both(async |bed| {
        let mut first = bed.producer().await;
        let transaction = first.begin().await.unwrap();
        let mut second = bed.producer().await;
        transaction.send(one("zombie")).await.unwrap_err();
        assert!(!transaction.failure().unwrap().is_retriable());
        transaction.abort().await.unwrap_err();
        let next = second.begin().await.unwrap();
        next.send(one("owner")).await.unwrap();
        next.commit().await.unwrap();
        assert_eq!((bed.one(), bed.written()), (vec!["owner".to_owned()], 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_timeout_above_the_brokers_maximum_is_refused_with_both_settings() {
    both(async |bed| {
        let built = bed.builder().transaction_timeout(Duration::from_secs(3_600)).build().await;
        let text = built.unwrap_err().to_string();
        assert!(text.contains("transaction.timeout.ms"), "{text}");
        assert!(text.contains("transaction.max.timeout.ms"), "{text}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn an_id_that_may_not_be_used_fails_the_build() {
    both(async |bed| {
        bed.answers(ApiKey::InitProducerId, ErrorCode::TransactionalIdAuthorizationFailed, 1);
        let error = Error::from(bed.builder().build().await.unwrap_err());
        assert_eq!(error.kind(), ErrorKind::Authorization, "{error}");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_build_that_nobody_answers_ends_in_time() {
    both(async |bed| {
        bed.answers(ApiKey::InitProducerId, ErrorCode::ConcurrentTransactions, u32::MAX);
        let begun = bed.now();
        let built = bed.builder().max_block(Duration::from_secs(3)).build().await;
        let StartError::Transaction(error) = built.unwrap_err() else { panic!("settings") };
        assert!(matches!(error, TransactionError::Timeout { last: Some(_), .. }), "{error}");
        assert_eq!(bed.passed(begun), Duration::from_secs(3));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn settings_that_transactions_rule_out_are_told() {
    both(async |bed| {
        let told = |built: Result<_, StartError>| built.map(drop).unwrap_err().to_string();
        let plain = || Producer::builder(&bed.client);
        let text = told(plain().idempotence(false).transactional(ID).build().await);
        assert_eq!(text, "producer settings: transactional.id needs enable.idempotence=true");
        let text = told(plain().transactional("").build().await);
        assert_eq!(text, "producer settings: transactional.id must not be empty");
        let text = told(plain().build_transactional().await);
        assert_eq!(text, "producer settings: transactional.id is not set; transactions need it");
        let config =
            ProducerConfig { transactional_id: Some(ID.into()), ..ProducerConfig::default() };
        let text = plain().config(config.clone()).build().await.unwrap_err().to_string();
        assert!(text.contains("build the producer with `transactional`"), "{text}");
        plain().config(config).build_transactional().await.unwrap();
    })
    .await;
}
