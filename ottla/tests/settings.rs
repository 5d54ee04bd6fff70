//! What becomes of settings that a program was given.
#![expect(clippy::unwrap_used, reason = "a test bed that does not stand up is a failed test")]

use std::net::Ipv4Addr;
use std::time::Duration;

use ottla::{
    Acks, ConsumerConfigProblem, ConsumerError, Kafka, ProducerConfig, ProducerConfigProblem,
    StartError,
};
use ottla_broker::cluster::Cluster;

#[tokio::test]
async fn settings_of_a_role_that_do_not_fit_are_told_by_type() {
    let (_cluster, kafka) = connect().await;
    let refused = kafka.producer().acks(Acks::Leader).build().await.unwrap_err();
    assert_eq!(refused.problems, [ProducerConfigProblem::IdempotenceWithoutAllAcks]);

    let consumer = kafka.consumer("g").subscribe(["t"]);
    let refused = consumer.configure(|config| config.max_poll_records = Some(0)).build().await;
    let ConsumerError::Config { problems } = refused.unwrap_err() else {
        panic!("not of settings")
    };
    assert_eq!(problems, [ConsumerConfigProblem::NoRecords]);
}

#[tokio::test]
async fn what_is_changed_in_a_builder_leaves_the_settings_of_the_handle() {
    let (cluster, _) = connect().await;
    let kafka = Kafka::builder().bootstrap_servers(&cluster.bootstrap().join(",")).set("acks", 1);
    let kafka = kafka.connect().await.unwrap();
    let slow = |config: &mut ProducerConfig| config.retry_backoff = Duration::from_secs(2);
    let expected =
        [ProducerConfigProblem::IdempotenceWithoutAllAcks, ProducerConfigProblem::RetryBackoff];
    let refused = kafka.producer().configure(slow).build().await.unwrap_err();
    assert_eq!(refused.problems, expected);
    let refused = kafka.producer().transactional("t").configure(slow).build().await.unwrap_err();
    let StartError::Settings(refused) = refused else { panic!("not of settings") };
    assert_eq!(refused.problems, expected);
}

async fn connect() -> (Cluster, Kafka) {
    let loopback = (Ipv4Addr::LOCALHOST, 0).into();
    let cluster = Cluster::builder().brokers(1).listen(loopback).start().await.unwrap();
    let kafka = Kafka::connect(&cluster.bootstrap().join(",")).await.unwrap();
    (cluster, kafka)
}
