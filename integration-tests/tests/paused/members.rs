//! What it costs a group when its members come, go and die: on paused time, so that a bound is a
//! bound.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_consumer::config::{AssignmentStrategy, ConsumerConfig};
use ottla_consumer::listener::{Assigned, ListenerError, Lost, RebalanceListener, Revoking};
use ottla_consumer::{Batch, Consumer};
use ottla_core::net::Client;
use ottla_producer::{Producer, Record};
use ottla_protocol::ApiKey;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};

use crate::bed::{Bed, PARTITIONS, reader};

#[tokio::test(start_paused = true)]
async fn a_killed_members_partitions_move_within_its_session() {
    for strategy in STRATEGIES {
        let mut group = Group::start(strategy).await;
        group.join("one").await;
        group.join("two").await;
        sleep(SETTLE).await;
        let owned = group.owned("two");
        let begun = Instant::now();
        group.kill("two").await;
        sleep(SESSION + SETTLE).await;
        for partition in owned {
            let stall = group.first_read(partition, "one", begun).duration_since(begun);
            assert!(stall <= SESSION + HEARTBEAT, "{strategy:?}: {stall:?}");
        }
        group.check_redelivered(strategy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_member_stalls_a_partition_for_a_heartbeat() {
    for strategy in STRATEGIES {
        let mut group = Group::start(strategy).await;
        group.join("one").await;
        sleep(SETTLE).await;
        let begun = Instant::now();
        group.join("two").await;
        sleep(SETTLE).await;
        assert!(!group.owned("two").is_empty(), "{strategy:?}");
        group.check_stall(begun, HEARTBEAT, strategy);
        group.check_redelivered(strategy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_replaced_stalls_a_partition_for_a_heartbeat() {
    for strategy in STRATEGIES {
        let mut group = Group::start(strategy).await;
        group.join("one").await;
        group.join("two").await;
        sleep(SETTLE).await;
        let begun = Instant::now();
        group.close("two").await;
        group.join("three").await;
        sleep(SETTLE).await;
        assert!(!group.owned("three").is_empty(), "{strategy:?}");
        group.check_stall(begun, HEARTBEAT, strategy);
        group.check_redelivered(strategy);
    }
}

/// The commit is never answered; the member that waits for it is told in time to let go.
#[tokio::test(start_paused = true)]
async fn a_commit_that_is_lost_does_not_keep_the_group_waiting() {
    for strategy in STRATEGIES {
        let mut group = Group::start(strategy).await;
        group.join("one").await;
        sleep(SETTLE).await;
        let lost = Rule::new(ApiKey::OffsetCommit, Act::Hang).once();
        let lost = group.bed.cluster.fault(lost);
        lost.reached().await;
        let begun = Instant::now();
        group.join("two").await;
        // A request timeout, which the bed has at 5 s, and what any rebalance takes.
        let limit = Duration::from_secs(5) + HEARTBEAT + Duration::from_millis(300);
        group.until_owning("two", begun + limit).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_static_member_that_restarts_within_its_session_moves_nothing() {
    for strategy in STRATEGIES {
        let mut group = Group::start(strategy).await;
        group.join_as("one", Some("first")).await;
        group.join_as("two", Some("second")).await;
        sleep(SETTLE).await;
        let (kept, told) = (group.owned("two"), group.told("one"));
        group.kill("two").await;
        sleep(SESSION / 2).await;
        let begun = Instant::now();
        group.join_as("two again", Some("second")).await;
        sleep(SESSION + SETTLE).await;
        assert_eq!(group.owned("two again"), kept, "{strategy:?}");
        assert_eq!(group.told("one"), told, "{strategy:?}: no rebalance");
        for partition in kept {
            let stall = group.first_read(partition, "two again", begun).duration_since(begun);
            assert!(stall <= Duration::from_millis(500), "{strategy:?}: {stall:?}");
        }
        group.check_redelivered(strategy);
    }
}

#[tokio::test(start_paused = true)]
async fn a_static_member_that_stays_away_loses_its_partitions_with_its_session() {
    let mut group = Group::start(AssignmentStrategy::Range).await;
    group.join_as("one", Some("first")).await;
    group.join_as("two", Some("second")).await;
    sleep(SETTLE).await;
    // Even one that closes is expected back.
    group.close("two").await;
    sleep(SESSION - HEARTBEAT).await;
    assert!(group.owned("one").len() < usize::try_from(PARTITIONS).unwrap());
    sleep(HEARTBEAT * 2).await;
    assert_eq!(group.owned("one").len(), usize::try_from(PARTITIONS).unwrap());
}

/// A group under load: a record for each partition at every beat, and members that commit each batch.
struct Group {
    bed: Bed,
    config: ConsumerConfig,
    seen: Arc<Mutex<Seen>>,
    members: BTreeMap<&'static str, Member>,
    load: JoinHandle<()>,
}

struct Member {
    client: Client,
    task: JoinHandle<()>,
    stop: Arc<tokio::sync::Notify>,
}

#[derive(Debug, Default)]
struct Seen {
    read: Vec<Read>,
    owned: BTreeMap<&'static str, BTreeSet<i32>>,
    told: BTreeMap<&'static str, u32>,
}

#[derive(Debug, Clone, Copy)]
struct Read {
    at: Instant,
    member: &'static str,
    partition: i32,
    offset: i64,
}

impl Group {
    async fn start(strategy: AssignmentStrategy) -> Self {
        let bed = Bed::start().await;
        let config = ConsumerConfig {
            session_timeout: SESSION,
            heartbeat_interval: HEARTBEAT,
            partition_assignment_strategy: vec![strategy],
            enable_auto_commit: false,
            ..ConsumerConfig::default()
        };
        let client = bed.friend().await;
        let producer = Producer::builder(&client).linger(Duration::ZERO).build().await.unwrap();
        let load = tokio::spawn(load(client, producer));
        Self { bed, config, seen: Arc::default(), members: BTreeMap::new(), load }
    }

    async fn join(&mut self, name: &'static str) {
        self.join_as(name, None).await;
    }

    async fn join_as(&mut self, name: &'static str, instance: Option<&str>) {
        let client = self.bed.friend().await;
        let tell = Tell { name, seen: Arc::clone(&self.seen) };
        let group_instance_id = instance.map(Into::into);
        let config = ConsumerConfig { group_instance_id, ..self.config.clone() };
        let builder = reader(&client).config(config).group("g").subscribe(["t"]);
        let builder = builder.start_at(ottla_consumer::config::AutoOffsetReset::Earliest);
        let consumer = builder.on_rebalance(tell).build().await.unwrap();
        let stop = Arc::new(tokio::sync::Notify::new());
        let task = be_member(name, consumer, Arc::clone(&self.seen), Arc::clone(&stop));
        self.members.insert(name, Member { client, task: tokio::spawn(task), stop });
    }

    /// Ends a member as `kill -9` does: its connections close, and nobody is told.
    async fn kill(&mut self, name: &'static str) {
        let member = self.members.remove(name).unwrap();
        member.task.abort();
        member.client.close().await;
    }

    async fn close(&mut self, name: &'static str) {
        let member = self.members.remove(name).unwrap();
        member.stop.notify_one();
        member.task.await.unwrap();
    }

    fn owned(&self, name: &'static str) -> BTreeSet<i32> {
        self.seen.lock().unwrap().owned.get(name).cloned().unwrap_or_default()
    }

    /// How often a member was told of a change.
    fn told(&self, name: &'static str) -> u32 {
        self.seen.lock().unwrap().told.get(name).copied().unwrap_or(0)
    }

    async fn until_owning(&self, name: &'static str, limit: Instant) {
        while self.owned(name).is_empty() {
            assert!(Instant::now() < limit, "{name} waits for its partitions");
            sleep(Duration::from_millis(10)).await;
        }
    }

    fn first_read(&self, partition: i32, member: &str, after: Instant) -> Instant {
        let seen = self.seen.lock().unwrap();
        let wanted =
            |read: &&Read| read.partition == partition && read.member == member && read.at >= after;
        seen.read.iter().find(wanted).expect("somebody reads it").at
    }

    /// No partition stands still for longer than that and 0.3 s.
    #[track_caller]
    fn check_stall(&self, since: Instant, limit: Duration, strategy: AssignmentStrategy) {
        let seen = self.seen.lock().unwrap();
        for partition in 0..PARTITIONS {
            let read = seen.read.iter().filter(|read| read.partition == partition);
            let times = read.map(|read| read.at).filter(|at| *at >= since);
            let times: Vec<Instant> = std::iter::once(since).chain(times).collect();
            let gaps = times.windows(2).map(|pair| pair[1].duration_since(pair[0]));
            let longest = gaps.max().unwrap();
            assert!(longest <= limit + Duration::from_millis(300), "{strategy:?}: {longest:?}");
            let quiet = times.last().unwrap().elapsed();
            assert!(quiet < Duration::from_secs(1), "{strategy:?}: {partition} is not read");
        }
    }

    /// Nothing is passed over, and at most fifty records come again.
    #[track_caller]
    fn check_redelivered(&self, strategy: AssignmentStrategy) {
        let seen = self.seen.lock().unwrap();
        let places = seen.read.iter().map(|read| (read.partition, read.offset));
        let places: BTreeSet<(i32, i64)> = places.collect();
        let again = seen.read.len() - places.len();
        assert!(again <= 50, "{strategy:?}: {again} records come again");
        for partition in 0..PARTITIONS {
            let last = places.range(..(partition + 1, 0)).next_back().unwrap().1;
            let missing = (0..last).find(|offset| !places.contains(&(partition, *offset)));
            assert_eq!(missing, None, "{strategy:?}: {partition} was read up to {last}");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.load.abort();
    }
}

/// A record for each partition at every beat.
async fn load(_client: Client, producer: Producer) {
    let mut next = Instant::now();
    loop {
        for partition in 0..PARTITIONS {
            drop(producer.enqueue(Record::to("t").partition(partition).value("x")).await);
        }
        next += BEAT;
        sleep_until(next).await;
    }
}

/// Reads and commits batch by batch.
async fn be_member(
    name: &'static str,
    mut consumer: Consumer,
    seen: Arc<Mutex<Seen>>,
    stop: Arc<tokio::sync::Notify>,
) {
    loop {
        let polled = tokio::select! {
            biased;
            () = stop.notified() => break,
            polled = consumer.poll() => polled,
        };
        if let Ok(Some(batch)) = polled {
            note(name, &batch, &seen);
            // What is not committed comes again, and is counted.
            drop(batch.commit().await);
        }
    }
    consumer.close(Duration::from_secs(5)).await.unwrap();
}

fn note(member: &'static str, batch: &Batch, seen: &Mutex<Seen>) {
    let (at, partition) = (Instant::now(), batch.partition());
    let read = batch.records().map(|record| record.offset());
    let read = read.map(|offset| Read { at, member, partition, offset });
    seen.lock().unwrap().read.extend(read);
}

struct Tell {
    name: &'static str,
    seen: Arc<Mutex<Seen>>,
}

impl Tell {
    fn change(&self, change: impl FnOnce(&mut BTreeSet<i32>)) {
        let mut seen = self.seen.lock().unwrap();
        *seen.told.entry(self.name).or_default() += 1;
        change(seen.owned.entry(self.name).or_default());
    }
}

impl RebalanceListener for Tell {
    async fn assigned(&self, assigned: &Assigned<'_>) -> Result<(), ListenerError> {
        self.change(|owned| owned.extend(assigned.added.iter().map(|added| added.partition)));
        Ok(())
    }

    async fn revoking(&self, revoking: &Revoking<'_>) -> Result<(), ListenerError> {
        let gone: BTreeSet<i32> = revoking.partitions.iter().map(|gone| gone.partition).collect();
        self.change(|owned| owned.retain(|owned| !gone.contains(owned)));
        Ok(())
    }

    async fn lost(&self, _lost: &Lost<'_>) -> Result<(), ListenerError> {
        self.change(BTreeSet::clear);
        Ok(())
    }
}

/// One that stops all members at a rebalance, and one that does not.
const STRATEGIES: [AssignmentStrategy; 2] =
    [AssignmentStrategy::Range, AssignmentStrategy::CooperativeSticky];
/// Enough for any rebalance.
const SETTLE: Duration = Duration::from_secs(5);
/// How often each partition is given a record: 25 a second, so that 50 are two seconds' worth.
const BEAT: Duration = Duration::from_millis(40);
const SESSION: Duration = Duration::from_secs(10);
/// The others hear of a dead member with their next heartbeat, so this is what a move may take
/// beyond the session.
const HEARTBEAT: Duration = Duration::from_millis(500);
