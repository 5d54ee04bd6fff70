//! How long transactions take, and the first commit of a copier that comes after one that was killed.

use std::fmt;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use ottla_admin::Admin;
use ottla_core::net::Client;
use ottla_integration_tests::TestCluster;
use ottla_producer::{Record, TransactionalProducer};
use tokio::time::{Instant, sleep};

use crate::copier::{Job, transform};
use crate::{PARTITIONS, client, write};

/// What was measured, each sorted.
#[derive(Debug)]
pub(crate) struct Pace {
    /// From the begin of a transaction to the return of its commit.
    transactions: Vec<Duration>,
    /// From the start of a copier to its first commit.
    first_commits: Vec<Duration>,
}

impl Pace {
    /// Whether all is as quick as it has to be.
    pub(crate) fn is_met(&self) -> bool {
        let within = |times: &[Duration], percent, bar| at(times, percent) <= bar;
        within(&self.transactions, 99, Duration::from_millis(500))
            && within(&self.transactions, 100, Duration::from_secs(1))
            && within(&self.first_commits, 100, Duration::from_millis(500))
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { transactions, first_commits } = self;
        write!(
            f,
            "{} transactions of {RECORDS} records: p50 {:.0?}, p99 {:.0?}, longest {:.0?}; \
             first commit after the start of a copier whose predecessor was killed: \
             median {:.0?}, longest {:.0?} of {}",
            transactions.len(),
            at(transactions, 50),
            at(transactions, 99),
            at(transactions, 100),
            at(first_commits, 50),
            at(first_commits, 100),
            first_commits.len(),
        )
    }
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[((sorted.len() - 1) * percent).div_ceil(100)]
}

pub(crate) async fn measure(cluster: &TestCluster) -> Pace {
    let settings = [("min.insync.replicas", "2")];
    let from = cluster.create_topic_with("from", PARTITIONS, &settings).await;
    let to = cluster.create_topic_with("to", PARTITIONS, &settings).await;
    let client = client(cluster).await;
    let mut transactions = transact(&client, &to).await;
    let group = cluster.unique("copiers");
    let servers = cluster.bootstrap_servers().join(",");
    let mut first_commits = kill(&client, Job { servers, from, to, group, java: None }).await;
    transactions.sort_unstable();
    first_commits.sort_unstable();
    Pace { transactions, first_commits }
}

/// One transaction after the other, none of which waits for anything else.
async fn transact(client: &Client, topic: &str) -> Vec<Duration> {
    let producer = TransactionalProducer::builder(client, "pace").build().await;
    let mut producer = producer.expect("nobody else has this id");
    let mut times = Vec::new();
    for _ in 0..TRANSACTIONS {
        let began = Instant::now();
        let transaction = producer.begin().await.expect("the one before has ended");
        for number in 0..RECORDS {
            let record = Record::to(topic).key(format!("k{}", number % 100)).value("value");
            transaction.post(record).await.expect("64 MiB hold it");
        }
        transaction.commit().await.expect("nothing is wrong");
        times.push(began.elapsed());
    }
    times
}

/// Kills a copier at work and starts the next, again and again.
async fn kill(client: &Client, job: Job) -> Vec<Duration> {
    let admin = Admin::new(client.clone());
    let written = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(write(client.clone(), job.from.clone(), u64::MAX, written));
    let mut times = Vec::new();
    for round in 0..=KILLS {
        let before = committed(&admin, &job).await;
        let began = Instant::now();
        let copier = transform(&job, &job.group).stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        let mut copier = copier.expect("cargo build -p ottla-examples --examples");
        while committed(&admin, &job).await == before {
            sleep(Duration::from_millis(5)).await;
        }
        // The first has no predecessor: the group and its offsets' partition come to be.
        if round > 0 {
            times.push(began.elapsed());
        }
        sleep(Duration::from_secs(1)).await;
        copier.kill().expect("it can be killed");
        copier.wait().expect("it ends");
        // What it had asked to be committed is.
        sleep(Duration::from_millis(500)).await;
    }
    load.abort();
    times
}

/// What the group has committed, all partitions together.
async fn committed(admin: &Admin, job: &Job) -> i64 {
    let listed = admin.list_group_offsets(job.group.as_str()).await.expect("a coordinator answers");
    let offsets = listed.into_result().expect("nothing is refused");
    offsets.values().map(|committed| committed.offset).sum()
}

const TRANSACTIONS: u32 = 300;
const RECORDS: u32 = 750;
const KILLS: u32 = 10;
