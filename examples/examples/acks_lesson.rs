//! What `acks` buys: a leader crashes right after it acknowledged.
#![expect(clippy::print_stderr, reason = "this is a program")]

use std::io::{Write, stdout};
use std::time::Duration;

use clap::Parser;
use ottla::{Acks, Kafka, Record};
use ottla_broker::Cluster;
use ottla_broker::cluster::TopicSpec;
use ottla_examples::{Failure, end};

#[derive(Parser)]
#[command(about = "Crashes a leader that has just acknowledged, on three brokers of its own")]
struct Options {
    /// What the other programs take, to say why this one does not.
    #[arg(long = "bootstrap", alias = "config", short = 'X', hide = true)]
    elsewhere: Vec<String>,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    end(run(Options::parse()).await)
}

async fn run(Options { elsewhere }: Options) -> Result<(), Failure> {
    if !elsewhere.is_empty() {
        return Err(Failure::new(
            "this lesson crashes leaders: it has brokers of its own, and no --bootstrap, --config or -X",
        ));
    }
    eprintln!("using three embedded brokers, which are crashed");
    for acks in [Acks::None, Acks::Leader, Acks::All] {
        let (acknowledged, kept) = lesson(acks).await?;
        writeln!(
            stdout(),
            "acks {acks:?}: {acknowledged} acknowledged, {kept} there after the leader crashed"
        )?;
    }
    writeln!(stdout(), "only acks=all keeps what it acknowledged")?;
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
