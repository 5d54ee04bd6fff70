//! Hurts the leader of most partitions under load, on three brokers of Apache Kafka, and says what
//! that cost: one line, and an exit code of 1 if a record was lost, written twice or out of order.
//!
//! ```text
//! cargo run -p ottla-integration-tests --features containers --example chaos -- kill
//! ```
//!
//! `kill` is `kill -9`, `freeze` stops the process, `cut` takes it off the network; each is undone
//! after 45 s. `roll` restarts each broker in good order, one after the other. `starve` holds the brokers
//! to a third of a core each and measures what the client uses meanwhile, for which it is built with
//! `--release`. What was found is kept in `LEDGER.md`.
#![expect(
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a program for the developer, on real time"
)]

mod load;
mod starve;
mod verdict;
mod watch;

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime};
use ottla_integration_tests::{Backend, TestCluster};
use ottla_producer::Producer;
use tokio::time::{Instant, sleep};

use load::Load;
use verdict::Verdict;
use watch::Watch;

/// What is done to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Kill,
    Freeze,
    Cut,
    Roll,
}

impl Fault {
    fn named(name: &str) -> Option<Self> {
        match name {
            "kill" => Some(Self::Kill),
            "freeze" => Some(Self::Freeze),
            "cut" => Some(Self::Cut),
            "roll" => Some(Self::Roll),
            _ => None,
        }
    }

    async fn begin(self, cluster: &TestCluster, broker: i32) {
        match self {
            Self::Kill => cluster.kill(broker).await,
            Self::Freeze => cluster.pause(broker).await,
            Self::Cut => cluster.cut_off(broker).await,
            Self::Roll => cluster.stop(broker).await,
        }
    }
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let argument = std::env::args().nth(1).unwrap_or_default();
    if argument == "starve" {
        let Some(cluster) = Backend::Containers(3).start().await else { return ExitCode::from(2) };
        let restraint = starve::measure(&cluster).await;
        say(&restraint.to_string());
        return if restraint.is_met() { ExitCode::SUCCESS } else { ExitCode::FAILURE };
    }
    let Some(fault) = Fault::named(&argument) else {
        say("which fault? chaos kill | freeze | cut | roll | starve");
        return ExitCode::from(2);
    };
    let Some(cluster) = Backend::Containers(3).start().await else { return ExitCode::from(2) };
    let verdict = hurt(&cluster, fault).await;
    say(&format!("{argument}: {verdict}"));
    if verdict.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn hurt(cluster: &TestCluster, fault: Fault) -> Verdict {
    let settings = [("min.insync.replicas", "2")];
    let topic = cluster.create_topic_with("chaos", PARTITIONS, &settings).await;
    let leaders = cluster.leaders(&topic).await;
    let led = |broker: &i32| leaders.values().filter(|leader| *leader == broker).count();
    let busiest = cluster.broker_ids().into_iter().max_by_key(led).expect("there are three");
    let lost: Vec<i32> =
        leaders.iter().filter(|(_, leader)| **leader == busiest).map(|(index, _)| *index).collect();

    let producer = producer(&client(cluster).await).await;
    let load = Load::start(&producer, &topic, PARTITIONS, PER_TICK);
    sleep(WARM_UP).await;
    let began = Instant::now();
    let (lost, elected) = if fault == Fault::Roll {
        for broker in cluster.broker_ids() {
            fault.begin(cluster, broker).await;
            cluster.start(broker).await;
            cluster.until_in_sync(&topic).await;
        }
        Default::default()
    } else {
        let watch = Watch::start(cluster, &topic, busiest);
        fault.begin(cluster, busiest).await;
        sleep(FAULT).await;
        (lost, watch.stop().await)
    };
    cluster.heal().await;
    sleep(AFTERWARDS).await;
    let sent = load.stop().await;
    let closed = producer.close(Duration::from_secs(30)).await.expect("it is closed once");
    assert!(closed.undelivered.is_empty(), "every record was settled before");
    cluster.until_in_sync(&topic).await;

    let mut logs = Vec::new();
    for partition in 0..PARTITIONS {
        logs.push(cluster.records(&topic, partition).await);
    }
    Verdict::new(&sent, &logs, &lost, &elected, began)
}

async fn client(cluster: &TestCluster) -> Client {
    let servers = cluster.bootstrap_servers();
    let parsed = servers.iter().map(|server| server.parse().expect("it is host:port"));
    let config = ClientConfig { bootstrap_servers: parsed.collect(), ..ClientConfig::default() };
    Client::connect(config, Runtime::tokio()).await.expect("the brokers answer")
}

async fn producer(client: &Client) -> Producer {
    Producer::builder(client).build().await.expect("the defaults fit")
}

fn say(line: &str) {
    writeln!(std::io::stdout(), "{line}").expect("standard output is open");
}

const PARTITIONS: i32 = 6;
/// 2,000 records a second.
const PER_TICK: u32 = 10;
const WARM_UP: Duration = Duration::from_secs(10);
const FAULT: Duration = Duration::from_secs(45);
const AFTERWARDS: Duration = Duration::from_secs(15);
