//! The workload `consume`: members of a group read what a producer writes, and some crash.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_consumer::ConsumerBuilder;
use ottla_consumer::config::{AssignmentStrategy, AutoOffsetReset, ConsumerConfig};
use ottla_core::types::TopicPartition;
use ottla_protocol::ApiKey;

use crate::actor::Actor;
use crate::bed::{Bed, Log, MAX_POLL_INTERVAL, PARTITIONS, in_limit};
use crate::draw::Draw;
use crate::hardship::Hardships;
use crate::history::{Event, History, Stamp};
use crate::member::{CLOSE, COMMIT, Member};
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
    deniable: &[
        (ApiKey::Fetch, TOPIC),
        (ApiKey::Fetch, TOPIC),
        (ApiKey::Metadata, TOPIC),
        (ApiKey::ListOffsets, TOPIC),
        (ApiKey::OffsetCommit, TOPIC),
        (ApiKey::OffsetFetch, TOPIC),
    ],
    unclean: true,
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
        simulate(run_with(seed, Hardships::NONE));
    }
}

async fn run(seed: u64) -> History {
    run_with(seed, Hardships::draw(seed, &NEMESIS)).await
}

async fn run_with(seed: u64, hardships: Hardships) -> History {
    in_time(seed, play(seed, hardships)).await
}

async fn play(seed: u64, hardships: Hardships) -> History {
    let mut draw = Draw::new(seed ^ 0xc0);
    let mut scene = Scene::begin(Bed::start(seed, hardships).await, &NEMESIS, &mut draw).await;
    let mut members = Members::begin(&scene.bed, &mut draw).await;
    scene.play(300..2_000, async |bed| members.churn(bed, &mut draw).await).await;
    let bed = &scene.bed;
    drained(bed).await;
    members.end(bed).await;
    note_commits(bed).await;
    let (bed, deadline) = scene.end().await;
    bed.judge(deadline)
}

/// Waits until each record was given to somebody.
async fn drained(bed: &Bed) {
    let logs = bed.logs();
    let values = logs.values().flat_map(|log| &log.records).map(|(_, value)| value);
    let written: BTreeSet<Stamp> = values.map(|value| value.parse().unwrap()).collect();
    for _ in 0..DRAIN_SECONDS {
        let history = bed.log.history();
        let seen = history.events().filter_map(|(_, event)| match event {
            Event::Delivered { stamp, .. } => Some(*stamp),
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
    running: Vec<Running>,
    next: u32,
}

struct Running {
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
        let whims = Draw::new(bed.seed.wrapping_mul(1_000).wrapping_add(number.into()));
        let ways = (bed.hardships.clone(), whims);
        let joining = Member::join(number, client.clone(), config, log.clone(), ways);
        let actor = Actor::begin(client, |stop| async move { joining.await.run(stop).await });
        self.running.push(Running { number, log, actor });
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
        let limit = COMMIT + CLOSE + bed.hardships.stalls.unwrap_or_default();
        for member in self.running {
            // It finishes what it is at, which may be a commit.
            in_limit(&bed.log, "stop", limit, member.end(End::Closed)).await;
        }
    }
}

impl Running {
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

/// How long the members have to catch up once everything is well.
const DRAIN_SECONDS: u32 = 90;
