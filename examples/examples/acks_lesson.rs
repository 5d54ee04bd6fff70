//! What `acks` buys: a leader crashes right after it acknowledged.
#![expect(clippy::print_stdout, reason = "this is a program")]

use std::time::Duration;

use ottla::{Acks, Kafka, Record};
use ottla_broker::Cluster;
use ottla_broker::cluster::TopicSpec;
use ottla_examples::{Failure, end};

#[tokio::main]
async fn main() -> std::process::ExitCode {
    end(run().await)
}

async fn run() -> Result<(), Failure> {
    for acks in [Acks::None, Acks::Leader, Acks::All] {
        let (acknowledged, kept) = lesson(acks).await?;
        println!(
            "acks {acks:?}: {acknowledged} acknowledged, {kept} there after the leader crashed"
        );
    }
    println!("only acks=all keeps what it acknowledged");
    Ok(())
}

/// Sends records to a leader whose followers do not keep up, and crashes it.
async fn lesson(acks: Acks) -> Result<(usize, usize), Failure> {
    let topic = TopicSpec::new(TOPIC).partitions(1).replicas(3);
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let cluster = Cluster::builder().brokers(3).listen(loopback).topic(topic).start().await?;
    let kafka = Kafka::connect(&cluster.bootstrap().join(",")).await?;
    let producer = kafka
        .producer()
        .acks(acks)
        .idempotence(acks == Acks::All)
        .delivery_timeout(Duration::from_secs(5))
        .request_timeout(Duration::from_secs(2))
        .build()
        .await?;
    producer.send(Record::to(TOPIC).value("warm")).await?;

    let partition = cluster.partition(TOPIC, 0);
    let leader = partition.leader().ok_or_else(|| Failure::new("there is no leader"))?;
    if acks != Acks::All {
        // Followers that are a moment late: what happens by chance, made certain.
        partition.pause_replication().map_err(|code| Failure::new(code.to_string()))?;
    }
    let records = (0..10).map(|number| Record::to(TOPIC).value(number.to_string()));
    let outcomes = producer.send_all(records).await;
    let acknowledged = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    cluster.node(leader).kill().await;
    if acks != Acks::All {
        partition.resume_replication().map_err(|code| Failure::new(code.to_string()))?;
    }
    // The first record only warmed up.
    Ok((acknowledged, partition.records().len().saturating_sub(1)))
}

const TOPIC: &str = "acks-lesson";
