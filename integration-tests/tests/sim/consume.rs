//! The workload `consume`: members of a group read what a producer writes, and some crash.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_consumer::config::{AssignmentStrategy, AutoOffsetReset, ConsumerConfig};
use ottla_consumer::listener::{Assigned, ListenerError, Lost, RebalanceListener, Revoking};
use ottla_consumer::machine::fetch::FetchEvent;
use ottla_consumer::{Batch, Consumer, ConsumerBuilder, ConsumerEvent};
use ottla_core::net::Client;
use ottla_core::types::TopicPartition;
use ottla_producer::Producer;
use ottla_protocol::ApiKey;
use tokio::task::JoinHandle;

use crate::bed::{Bed, Log, NODES, PARTITIONS, seeds, simulate};
use crate::draw::Draw;
use crate::history::{Event, History, Stamp};
use crate::nemesis::{Nemesis, TOPIC};
use crate::produce;

/// The faults that a member can meet.
const NEMESIS: Nemesis = Nemesis {
    nodes: NODES,
    partitions: PARTITIONS,
    apis: &[
        ApiKey::Fetch,
        ApiKey::Fetch,
        ApiKey::ListOffsets,
        ApiKey::Metadata,
        ApiKey::FindCoordinator,
        ApiKey::JoinGroup,
        ApiKey::SyncGroup,
        ApiKey::Heartbeat,
        ApiKey::OffsetCommit,
        ApiKey::OffsetFetch,
    ],
    lasts: Duration::from_secs(40),
};

#[test]
fn everything_is_delivered_in_order_and_commits_cover_only_that() {
    for seed in seeds() {
        simulate(run(seed));
    }
}

#[test]
fn a_seed_replays_byte_for_byte() {
    for seed in seeds().into_iter().take(3) {
        let (one, other) = (simulate(run(seed)), simulate(run(seed)));
        assert_eq!(one.render(), other.render(), "seed {seed}");
    }
}

async fn run(seed: u64) -> History {
    let mut draw = Draw::new(seed ^ 0xc0);
    let bed = Bed::start(seed).await;
    let plan = NEMESIS.plan(&mut draw);
    let config = produce::config(&mut draw);
    let deadline = produce::deadline(&config);
    let producing = bed.client(1).await;
    let producer = Producer::builder(&producing).config(config).build().await.unwrap();
    let mut members = Members::begin(&bed, &mut draw).await;
    let (log, faults) = (bed.log.clone(), bed.log.clone());
    let mut sends = Draw::new(seed ^ 0xf0);
    tokio::join!(
        produce::send_all(&producer, &log, &mut sends),
        plan.run(&bed.cluster, move |event| faults.note(event)),
        members.churn(&bed, &mut draw),
    );
    bed.healed().await;
    drained(&bed).await;
    members.end().await;
    producing.close().await;
    bed.judge(deadline)
}

/// Waits until each record was given to somebody.
async fn drained(bed: &Bed) {
    let written: BTreeSet<(i32, i64)> = bed
        .logs()
        .iter()
        .flat_map(|(index, log)| log.records.iter().map(move |(offset, _)| (*index, *offset)))
        .collect();
    for _ in 0..DRAIN_SECONDS {
        let history = bed.log.history();
        let seen = history.events().filter_map(|(_, event)| match event {
            Event::Delivered { partition, offset, .. } => Some((*partition, *offset)),
            _ => None,
        });
        if seen.collect::<BTreeSet<_>>().is_superset(&written) {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// The members of the group, which come and go.
struct Members {
    config: ConsumerConfig,
    running: Vec<Member>,
    next: u32,
}

struct Member {
    number: u32,
    log: Log,
    task: JoinHandle<()>,
}

impl Members {
    async fn begin(bed: &Bed, draw: &mut Draw) -> Self {
        let config = ConsumerConfig {
            session_timeout: Duration::from_secs(*draw.pick(&[6, 10])),
            heartbeat_interval: Duration::from_secs(1),
            enable_auto_commit: false,
            partition_assignment_strategy: vec![*draw.pick(&[
                AssignmentStrategy::Range,
                AssignmentStrategy::Sticky,
                AssignmentStrategy::CooperativeSticky,
            ])],
            auto_offset_reset: AutoOffsetReset::Earliest,
            ..ConsumerConfig::default()
        };
        let mut members = Self { config, running: Vec::new(), next: 1 };
        for _ in 0..draw.within(1..4) {
            members.join(bed).await;
        }
        members
    }

    async fn join(&mut self, bed: &Bed) {
        let number = self.next;
        self.next += 1;
        let client = bed.client(100 + u64::from(number)).await;
        let log = bed.log.clone();
        let task = spawn(be_member(number, client, self.config.clone(), log.clone()));
        self.running.push(Member { number, log, task });
    }

    /// Lets members crash, and others come.
    async fn churn(&mut self, bed: &Bed, draw: &mut Draw) {
        for _ in 0..draw.within(0..4) {
            tokio::time::sleep(draw.duration(Duration::from_secs(2)..Duration::from_secs(15)))
                .await;
            if self.running.len() > 1 && draw.chance(50) {
                self.running.remove(0).crash();
            }
            self.join(bed).await;
        }
    }

    async fn end(self) {
        for member in self.running {
            member.crash();
        }
        // Whatever they leave behind settles before the cluster goes.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl Member {
    fn crash(self) {
        self.log.note(Event::Died { consumer: self.number });
        self.task.abort();
    }
}

/// Reads, notes, and commits batch by batch, for ever.
async fn be_member(number: u32, client: Client, config: ConsumerConfig, log: Log) {
    let tell = Tell { number, log: log.clone() };
    let builder = ConsumerBuilder::new(client).config(config).group("sim").subscribe([TOPIC]);
    let mut consumer = builder.on_rebalance(tell).build().await.unwrap();
    loop {
        match consumer.poll().await {
            Ok(Some(batch)) => {
                note_events(number, &mut consumer, &log);
                process(number, &batch, &log).await;
            }
            Ok(None) => return,
            Err(error) => {
                note_events(number, &mut consumer, &log);
                log.note(Event::Fault(format!("member {number}: {error}")));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn process(number: u32, batch: &Batch, log: &Log) {
    for record in batch {
        let value = String::from_utf8_lossy(record.value().unwrap_or_default()).into_owned();
        let stamp: Stamp = value.parse().unwrap();
        let (partition, offset) = (batch.partition(), record.offset());
        log.note(Event::Delivered { consumer: number, partition, offset, stamp });
    }
    if batch.commit().await.is_ok() {
        log.note(Event::Committed { partition: batch.partition(), offset: batch.next_offset() });
    }
}

fn note_events(number: u32, consumer: &mut Consumer, log: &Log) {
    let events: Vec<ConsumerEvent> = consumer.events().collect();
    for event in events {
        if let ConsumerEvent::Fetch(FetchEvent::Reset { partition, .. }) = event {
            log.note(Event::Reset { consumer: number, partition: partition.partition });
        }
    }
}

/// Notes what comes and goes.
struct Tell {
    number: u32,
    log: Log,
}

impl Tell {
    fn gone(&self, partitions: &[TopicPartition]) {
        for partition in partitions {
            let partition = partition.partition;
            self.log.note(Event::Revoked { consumer: self.number, partition });
        }
    }
}

impl RebalanceListener for Tell {
    async fn assigned(&self, assigned: &Assigned<'_>) -> Result<(), ListenerError> {
        for partition in assigned.added {
            let partition = partition.partition;
            self.log.note(Event::Assigned { consumer: self.number, partition });
        }
        Ok(())
    }

    async fn revoking(&self, revoking: &Revoking<'_>) -> Result<(), ListenerError> {
        self.gone(revoking.partitions);
        Ok(())
    }

    async fn lost(&self, lost: &Lost<'_>) -> Result<(), ListenerError> {
        self.gone(lost.partitions);
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "members are tasks of the test")]
fn spawn(member: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(member)
}

/// How long the members have to catch up once everything is well.
const DRAIN_SECONDS: u32 = 90;
