//! What becomes of settings that a program was given.
#![expect(clippy::unwrap_used, reason = "a test bed that does not stand up is a failed test")]

use std::net::Ipv4Addr;

use ottla::{Acks, ConsumerConfigProblem, ConsumerError, Kafka, ProducerConfigProblem};
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

async fn connect() -> (Cluster, Kafka) {
    let loopback = (Ipv4Addr::LOCALHOST, 0).into();
    let cluster = Cluster::builder().brokers(1).listen(loopback).start().await.unwrap();
    let kafka = Kafka::connect(&cluster.bootstrap().join(",")).await.unwrap();
    (cluster, kafka)
}
