//! Copies in transactions, while copiers and brokers are killed.

use std::time::{Duration, Instant};

use ottla::{Batch, Error, Pipeline, Transaction};
use ottla_consumer::Consumer;
use ottla_core::net::Client;
use ottla_core::types::TopicPartition;
use ottla_integration_tests::TestCluster;
use ottla_producer::{Producer, Record};
use tokio::task::JoinHandle;

use crate::clients::{connect, producer};
use crate::consume::{from_the_beginning, number, receive};
use crate::groups::member;

pub(crate) async fn a_killed_copier_is_replaced_at_once(cluster: &TestCluster) {
    let job = Job::begin(cluster).await;
    let mut copies = job.copies().await;
    let copier = job.start().await;
    check_next(&mut copies, 0..100).await;
    copier.kill().await;
    // It waits neither for the session nor for the transaction of the one before.
    let begun = Instant::now();
    let copier = job.start().await;
    check_next(&mut copies, 100..RECORDS).await;
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    copier.kill().await;
    job.client.close().await;
}

pub(crate) async fn each_record_is_copied_once_though_brokers_are_killed(cluster: &TestCluster) {
    let job = Job::begin(cluster).await;
    let mut copies = job.copies().await;
    let mut copier = job.start().await;
    for (round, broker) in (0..).zip(cluster.broker_ids()) {
        check_next(&mut copies, round * 50..round * 50 + 50).await;
        cluster.kill(broker).await;
        copier.kill().await;
        copier = job.start().await;
        cluster.start(broker).await;
    }
    check_next(&mut copies, 150..RECORDS).await;
    copier.kill().await;
    job.client.close().await;
}

/// What there is to copy.
struct Job {
    servers: Vec<String>,
    client: Client,
    from: String,
    to: String,
    group: String,
}

struct Copier {
    client: Client,
    task: JoinHandle<()>,
}

impl Job {
    async fn begin(cluster: &TestCluster) -> Self {
        let from = cluster.create_topic("from", 1).await;
        let to = cluster.create_topic("to", 1).await;
        let client = connect(cluster).await;
        // A batch each, so that a transaction is a part of them.
        let small = producer(&client, |b| b.batch_size(1).linger(Duration::ZERO)).await;
        for number in 0..RECORDS {
            let record = Record::to(&*from).key(to.clone()).value(number.to_string());
            drop(small.enqueue(record).await.expect("there is room"));
        }
        small.flush().await;
        let (servers, group) = (cluster.bootstrap_servers(), cluster.unique("copiers"));
        Self { servers, client, from, to, group }
    }

    /// Starts a copier, with a client of its own.
    async fn start(&self) -> Copier {
        let client = crate::clients::connect_to(&self.servers).await;
        let producer = Producer::builder(&client).transactional(self.group.as_str());
        let mut producer = producer.build().await.expect("the coordinator answers");
        let consumer = member(&client, &self.group, &self.from).read_committed().manual_commit();
        let static_member = |config: &mut ottla_consumer::config::ConsumerConfig| {
            config.group_instance_id = Some("copier".into());
            config.max_poll_records = Some(10);
        };
        let consumer = consumer.configure(static_member).build().await;
        let mut consumer = consumer.expect("the settings fit");
        let task = tokio::spawn(async move {
            let pipeline = Pipeline::new(&mut consumer, &mut producer).records(10);
            drop(pipeline.run(copy).await);
        });
        Copier { client, task }
    }

    /// What a consumer of committed records is given.
    async fn copies(&self) -> Consumer {
        let partition = TopicPartition::new(&*self.to, 0);
        let builder = from_the_beginning(&self.client).read_committed().assign([partition]);
        builder.build().await.expect("the partition exists")
    }
}

impl Copier {
    /// Ends it as `kill -9` does: its connections close, and nobody is told.
    async fn kill(self) {
        self.task.abort();
        self.client.close().await;
    }
}

/// Copies records to the topic that is their key.
async fn copy(transaction: &Transaction<'_>, batches: &[Batch]) -> Result<(), Error> {
    for record in batches.iter().flatten() {
        let to = std::str::from_utf8(record.key().unwrap_or_default()).unwrap_or_default();
        let value = record.value().unwrap_or_default().to_vec();
        transaction.post(Record::to(to).partition(0).value(value)).await?;
    }
    Ok(())
}

async fn check_next(copies: &mut Consumer, numbers: std::ops::Range<u32>) {
    for expected in numbers {
        assert_eq!(number(&receive(copies).await), expected, "each once, and in order");
    }
}

const RECORDS: u32 = 300;
