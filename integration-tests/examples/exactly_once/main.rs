//! Copies a topic exactly once on three brokers of Apache Kafka while brokers and copiers are killed,
//! and says what an independent reader found: one line, and an exit code of 1 if a record was lost,
//! doubled or out of order.
//!
//! ```text
//! cargo build -p ottla-examples --examples
//! cargo run -p ottla-integration-tests --features containers --example exactly_once -- 2 200000
//! ```
//!
//! The numbers are the level of `transaction.version` and how many records there are. The copiers are
//! the sample program `transform`, three of them in one group, each a process that `kill -9` ends; with
//! `java` behind the numbers, one of the three is written with Java's clients. The reader is Kafka's
//! own.
//!
//! ```text
//! cargo run -p ottla-integration-tests --features containers --example exactly_once -- pace
//! ```
//!
//! hurts no broker and measures instead: how long transactions take, and how long it takes a copier that
//! comes after one that was killed to commit. What was found is kept in `LEDGER.md`.
#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a program for the developer, on real time"
)]

mod copier;
mod pace;
mod verdict;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_admin::Admin;
use ottla_admin::offsets::{GroupLag, PartitionLag};
use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime};
use ottla_core::types::TopicPartition;
use ottla_integration_tests::tools::Tool;
use ottla_integration_tests::{Backend, TestCluster};
use ottla_producer::{Producer, Record};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use copier::{Copiers, Job};
use verdict::Verdict;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments == ["pace"] {
        let Some(cluster) = Backend::Containers(3).start().await else { return ExitCode::from(2) };
        let pace = pace::measure(&cluster).await;
        say(&pace.to_string());
        return if pace.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let Some((level, records, java)) = read_arguments(&arguments) else {
        say(
            "which level, and how many records? exactly_once 2 200000 [java], or exactly_once pace",
        );
        return ExitCode::from(2);
    };
    let java = java.then(copier::build_java);
    let with = if java.is_some() { ", one copier Java's" } else { "" };
    let Some(cluster) = Backend::Containers(3).start().await else { return ExitCode::from(2) };
    let verdict = run(&cluster, level, records, java).await;
    say(&format!("transaction.version={level}{with}: {verdict}"));
    if verdict.is_clean(records) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The level, the number of records, and whether Java takes part.
fn read_arguments(arguments: &[String]) -> Option<(u64, u64, bool)> {
    match arguments {
        [level, records] => Some((level.parse().ok()?, records.parse().ok()?, false)),
        [level, records, java] if java == "java" => {
            Some((level.parse().ok()?, records.parse().ok()?, true))
        }
        _ => None,
    }
}

async fn run(cluster: &TestCluster, level: u64, records: u64, java: Option<String>) -> Verdict {
    if level != 2 {
        let feature = format!("transaction.version={level}");
        Tool::java(cluster, "kafka-features.sh", &["downgrade", "--feature", &feature])
            .run("")
            .await;
    }
    let settings = [("min.insync.replicas", "2")];
    let from = cluster.create_topic_with("from", PARTITIONS, &settings).await;
    let to = cluster.create_topic_with("to", PARTITIONS, &settings).await;
    let job = Job {
        servers: cluster.bootstrap_servers().join(","),
        from,
        to,
        group: cluster.unique("copiers"),
        java,
    };
    let client = client(cluster).await;
    let admin = Admin::new(client.clone());
    let begun = Instant::now();
    let written = Arc::new(AtomicBool::new(false));
    let writing = tokio::spawn(write(client, job.from.clone(), records, Arc::clone(&written)));

    let mut copiers = Copiers::start(&job);
    let kills = hurt(cluster, &mut copiers, &written).await;
    writing.await.expect("writing does not panic");
    until_copied(&admin, &job, &mut copiers).await;
    let took = begun.elapsed();
    let (copier_kills, aborted) = copiers.stop().await;
    cluster.until_in_sync(&job.to).await;
    let copies = read(cluster, &job.to).await;
    Verdict::new(&copies, records, kills, copier_kills, aborted, took)
}

/// Kills a broker and then a copier, again and again, until everything is written and each was killed
/// often enough. How many brokers were killed.
async fn hurt(cluster: &TestCluster, copiers: &mut Copiers, written: &AtomicBool) -> u32 {
    let mut kills = 0;
    for broker in cluster.broker_ids().into_iter().cycle() {
        if kills >= KILLS && written.load(Ordering::Relaxed) {
            break;
        }
        sleep(Duration::from_secs(3)).await;
        copiers.kill_next();
        sleep(Duration::from_millis(1_500)).await;
        cluster.kill(broker).await;
        kills += 1;
        sleep(Duration::from_secs(2)).await;
        copiers.kill_next();
        sleep(Duration::from_secs(1)).await;
        cluster.start(broker).await;
        copiers.revive();
    }
    kills
}

/// Waits until the group has come to the end of the topic.
async fn until_copied(admin: &Admin, job: &Job, copiers: &mut Copiers) {
    let deadline = Instant::now() + Duration::from_secs(300);
    loop {
        copiers.revive();
        let lag = admin.lag(job.group.as_str()).await.and_then(GroupLag::into_result);
        if lag.is_ok_and(|lag| is_at_end(&lag)) {
            return;
        }
        assert!(Instant::now() < deadline, "the copiers do not get done");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Whether a group has come to the end of every partition. Of one that it has committed nothing for,
/// there is no lag.
fn is_at_end(lag: &BTreeMap<TopicPartition, PartitionLag>) -> bool {
    usize::try_from(PARTITIONS) == Ok(lag.len()) && lag.values().all(|lag| lag.records() == 0)
}

/// Writes the numbers below `count`, each partition's with a key of its own.
async fn write(client: Client, topic: String, count: u64, written: Arc<AtomicBool>) {
    let producer = Producer::builder(&client).build().await.expect("the defaults fit");
    let mut ticks = interval(Duration::from_millis(50));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    let mut deliveries = Vec::new();
    while number < count {
        ticks.tick().await;
        for _ in 0..PER_TICK.min(count - number) {
            let partition =
                i32::try_from(number % PARTITIONS.unsigned_abs() as u64).expect("small");
            let record = Record::to(&*topic).partition(partition);
            let record = record.key(format!("k{partition}")).value(format!("n{number}"));
            deliveries.push(producer.enqueue(record).await.expect("64 MiB hold the load"));
            number += 1;
        }
    }
    for delivery in deliveries {
        delivery.await.expect("two minutes are enough to be acknowledged");
    }
    written.store(true, Ordering::Relaxed);
}

/// What Kafka's own consumer of committed records reads: partition, key and value.
async fn read(cluster: &TestCluster, topic: &str) -> String {
    let arguments = [
        "--topic",
        topic,
        "--from-beginning",
        "--isolation-level",
        "read_committed",
        "--timeout-ms",
        "20000",
        "--formatter-property",
        "print.partition=true",
        "--formatter-property",
        "print.key=true",
    ];
    Tool::java(cluster, "kafka-console-consumer.sh", &arguments).run("").await
}

async fn client(cluster: &TestCluster) -> Client {
    let servers = cluster.bootstrap_servers();
    let parsed = servers.iter().map(|server| server.parse().expect("it is host:port"));
    let config = ClientConfig { bootstrap_servers: parsed.collect(), ..ClientConfig::default() };
    Client::connect(config, Runtime::tokio()).await.expect("the brokers answer")
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

const PARTITIONS: i32 = 6;
/// How many brokers are killed at least; as many copiers twice.
const KILLS: u32 = 10;
/// 2,000 records a second.
const PER_TICK: u64 = 100;
