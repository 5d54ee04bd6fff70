//! The workload `consume`: members of a group read what a producer writes, and some crash.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_consumer::config::{AssignmentStrategy, AutoOffsetReset, ConsumerConfig};
use ottla_consumer::listener::{Assigned, ListenerError, Lost, RebalanceListener, Revoking};
use ottla_consumer::machine::fetch::FetchEvent;
use ottla_consumer::{Batch, Consumer, ConsumerBuilder, ConsumerEvent};
use ottla_core::net::Client;
use ottla_core::types::TopicPartition;
use ottla_protocol::ApiKey;
use tokio::sync::watch;

use crate::actor::Actor;
use crate::bed::{Bed, Log, MAX_POLL_INTERVAL, PARTITIONS, in_limit};
use crate::draw::Draw;
use crate::history::{Commit, Event, History, Stamp};
use crate::nemesis::{GROUP, Nemesis, TOPIC};
use crate::runs::{each_holds, each_replays, in_time, simulate};
use crate::scene::Scene;

/// The faults that a member can meet.
const NEMESIS: Nemesis = Nemesis {
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
    each_holds(run);
}

#[test]
fn a_seed_replays_byte_for_byte() {
    each_replays(run);
}

/// 195: what was committed of a former assignment took back what another member had committed. 1773:
/// so did a commit that had waited at a frozen broker, from which the group had gone and come back.
#[test]
fn seeds_that_once_failed_stay_well() {
    for seed in [195, 1773] {
        simulate(run(seed));
    }
}

async fn run(seed: u64) -> History {
    in_time(seed, play(seed)).await
}

async fn play(seed: u64) -> History {
    let mut draw = Draw::new(seed ^ 0xc0);
    let scene = Scene::begin(Bed::start(seed).await, &NEMESIS, &mut draw).await;
    let bed = &scene.bed;
    let mut members = Members::begin(bed, &mut draw).await;
    scene.play(300..2_000, members.churn(bed, &mut draw)).await;
    drained(bed).await;
    members.end(bed).await;
    note_commits(bed).await;
    let (bed, deadline) = scene.end().await;
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

/// Notes what is left of the commits, as somebody is told who took no part.
pub(crate) async fn note_commits(bed: &Bed) {
    let client = bed.client(99).await;
    let partitions = (0..PARTITIONS).map(|index| TopicPartition::new(TOPIC, index));
    let builder = ConsumerBuilder::new(client.clone()).group(GROUP).manual_commit();
    let reader = builder.assign(partitions.clone()).build().await.unwrap();
    let found = reader.committed(partitions).await.unwrap();
    for (partition, committed) in found {
        let offset = committed.map(|committed| committed.offset);
        bed.log.note(Event::FinallyCommitted { partition: partition.partition, offset });
    }
    client.close().await;
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
    actor: Actor,
}

/// How a member ends.
#[derive(Debug, Clone, Copy)]
enum End {
    /// Like a process that is killed: nobody hears of it.
    Killed,
    /// Dropped by its application; it leaves on its own time.
    Dropped,
    /// Closed by its application.
    Closed,
}

impl Members {
    async fn begin(bed: &Bed, draw: &mut Draw) -> Self {
        let config = ConsumerConfig {
            session_timeout: Duration::from_secs(*draw.pick(&[6, 10])),
            heartbeat_interval: Duration::from_secs(1),
            max_poll_interval: MAX_POLL_INTERVAL,
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
        let (config, log) = (self.config.clone(), bed.log.clone());
        let actor = Actor::begin(client.clone(), |stop| {
            be_member(number, client, config, log.clone(), stop)
        });
        self.running.push(Member { number, log, actor });
    }

    /// Lets members go, and others come.
    async fn churn(&mut self, bed: &Bed, draw: &mut Draw) {
        for _ in 0..draw.within(0..4) {
            tokio::time::sleep(draw.duration(Duration::from_secs(2)..Duration::from_secs(15)))
                .await;
            if self.running.len() > 1 && draw.chance(50) {
                let end = *draw.pick(&[End::Killed, End::Dropped, End::Closed]);
                self.running.remove(0).end(end).await;
            }
            self.join(bed).await;
        }
    }

    async fn end(self, bed: &Bed) {
        for member in self.running {
            // It finishes what it is at, which may be a commit.
            in_limit(&bed.log, "stop", COMMIT + CLOSE, member.end(End::Closed)).await;
        }
    }
}

impl Member {
    async fn end(self, end: End) {
        match end {
            End::Closed => {
                self.actor.stop().await;
            }
            End::Dropped => {
                self.log.note(Event::Died { consumer: self.number });
                self.actor.drop_task();
            }
            End::Killed => {
                self.log.note(Event::Died { consumer: self.number });
                self.actor.kill().await;
            }
        }
    }
}

/// Reads, notes, and commits batch by batch, until it is told to stop.
async fn be_member(
    number: u32,
    client: Client,
    config: ConsumerConfig,
    log: Log,
    mut stop: watch::Receiver<bool>,
) {
    let tell = Tell { number, log: log.clone() };
    let builder = ConsumerBuilder::new(client).config(config).group(GROUP).subscribe([TOPIC]);
    let mut consumer = builder.on_rebalance(tell).build().await.unwrap();
    loop {
        let polled = tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            polled = consumer.poll() => polled,
        };
        note_events(number, &mut consumer, &log);
        match polled {
            Ok(Some(batch)) => process(number, &batch, &log).await,
            Ok(None) => return,
            Err(error) => {
                log.note(Event::Fault(format!("member {number}: {error}")));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
    let closed = in_limit(&log, "close", CLOSE, consumer.close(CLOSE)).await;
    log.note(Event::Fault(format!("member {number} closed: {closed:?}")));
    log.note(Event::Died { consumer: number });
}

async fn process(number: u32, batch: &Batch, log: &Log) {
    let partition = batch.partition();
    for record in batch {
        let value = String::from_utf8_lossy(record.value().unwrap_or_default()).into_owned();
        let stamp: Stamp = value.parse().unwrap();
        let offset = record.offset();
        log.note(Event::Delivered { consumer: number, partition, offset, stamp });
    }
    let commit = Commit { consumer: number, partition, offset: batch.next_offset() };
    log.note(Event::Committing(commit));
    let committed = in_limit(log, "commit", COMMIT, batch.commit()).await;
    log.note(match committed {
        Ok(()) => Event::Committed(commit),
        Err(_) => Event::CommitFailed(commit),
    });
}

fn note_events(number: u32, consumer: &mut Consumer, log: &Log) {
    let events: Vec<ConsumerEvent> = consumer.events().collect();
    for event in events {
        if let ConsumerEvent::Fetch(FetchEvent::Reset { partition, to, .. }) = event {
            let partition = partition.partition;
            log.note(Event::Reset { consumer: number, partition, to });
        }
    }
}

/// Notes what comes and goes.
pub(crate) struct Tell {
    pub(crate) number: u32,
    pub(crate) log: Log,
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

/// What a commit may take: `default.api.timeout.ms`.
const COMMIT: Duration = Duration::from_secs(60);

/// What closing a member may take.
const CLOSE: Duration = Duration::from_secs(10);

/// How long the members have to catch up once everything is well.
const DRAIN_SECONDS: u32 = 90;
