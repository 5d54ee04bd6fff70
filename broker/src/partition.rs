//! One partition: its replicas' logs, its leader, and how they come to agree.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::ErrorCode;

use crate::log::Log;
use crate::log::batch::Batch;
use crate::log::incoming::{Incoming, Refusal};
use crate::log::producers::{Aborted, Verdict};
use crate::world::config::{PerNode, TopicSettings};
use crate::world::{NodeId, Now};

/// A partition with a log for each replica.
///
/// Followers pull from the leader, the high watermark is what the in-sync replicas are known to
/// have, and a returning replica truncates by leader epoch (KIP-101, KIP-279): Kafka's replication
/// in miniature. By default followers pull within the append itself, so it looks instant.
#[derive(Debug, Clone)]
pub struct Partition {
    /// In the order of assignment: the first is the preferred leader.
    replicas: Vec<NodeId>,
    in_sync: BTreeSet<NodeId>,
    leader: Option<NodeId>,
    epoch: i32,
    /// Log end of the leader when it was elected.
    epoch_start: i64,
    logs: BTreeMap<NodeId, Log>,
    /// What the leader knows of its followers.
    views: BTreeMap<NodeId, View>,
    paused: bool,
}

#[derive(Debug, Clone, Copy)]
struct View {
    end: i64,
    caught_up: Duration,
}

/// Which replicas may answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// Only the leader.
    Leader,
    /// Followers too: what a consumer fetches may come from any replica (KIP-392).
    AnyReplica,
}

/// What the rest of the cluster has to say in an append.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    /// The nodes that are up.
    pub alive: &'a BTreeSet<NodeId>,
    /// The settings of the topic.
    pub settings: &'a PerNode,
    /// Now.
    pub now: Now,
}

/// Where an appended batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base: i64,
    /// Offset of its last record.
    pub last: i64,
    /// When it was appended, in milliseconds since 1970, if the topic stamps that; else −1.
    pub append_time_ms: i64,
}

impl Partition {
    /// An empty partition on these nodes, led by the first that is up.
    #[must_use]
    pub fn new(replicas: Vec<NodeId>, alive: &BTreeSet<NodeId>) -> Self {
        let logs = replicas.iter().map(|node| (*node, Log::default())).collect();
        let mut partition = Self {
            in_sync: replicas.iter().copied().collect(),
            replicas,
            leader: None,
            epoch: -1,
            epoch_start: 0,
            logs,
            views: BTreeMap::new(),
            paused: false,
        };
        partition.in_sync.retain(|node| alive.contains(node));
        partition.lead(partition.replicas.iter().copied().find(|node| alive.contains(node)));
        partition
    }

    /// Its replicas, the preferred leader first.
    #[must_use]
    pub fn replicas(&self) -> &[NodeId] {
        &self.replicas
    }

    /// The replicas that have, or are about to have, what is committed.
    #[must_use]
    pub fn in_sync(&self) -> &BTreeSet<NodeId> {
        &self.in_sync
    }

    /// Its leader, if it has one.
    #[must_use]
    pub fn leader(&self) -> Option<NodeId> {
        self.leader
    }

    /// How many leaders it has had, less one.
    #[must_use]
    pub fn epoch(&self) -> i32 {
        self.epoch
    }

    /// Whether the leader does not know yet what was committed before its election.
    #[must_use]
    pub fn is_recovering(&self) -> bool {
        self.leader_log().is_some_and(|log| log.high_watermark() < self.epoch_start)
    }

    /// The log of one replica.
    #[must_use]
    pub fn log(&self, node: NodeId) -> Option<&Log> {
        self.logs.get(&node)
    }

    /// The log of one replica, to be changed.
    pub fn log_mut(&mut self, node: NodeId) -> Option<&mut Log> {
        self.logs.get_mut(&node)
    }

    /// The log of the leader.
    #[must_use]
    pub fn leader_log(&self) -> Option<&Log> {
        self.leader.and_then(|node| self.logs.get(&node))
    }

    /// The log at `node`, for a request that knows the leader epoch `known` and that `serving` may
    /// answer. The epoch is compared first, as in Kafka.
    ///
    /// # Errors
    ///
    /// As [`check_epoch`](Self::check_epoch); `NOT_LEADER_OR_FOLLOWER` when the node holds no
    /// replica, or may not answer.
    pub fn log_at(&self, node: NodeId, known: i32, serving: Serving) -> Result<&Log, ErrorCode> {
        let log = self.logs.get(&node).ok_or(ErrorCode::NotLeaderOrFollower)?;
        self.check_epoch(known)?;
        match serving {
            Serving::Leader => self.led_by(node),
            Serving::AnyReplica => Ok(log),
        }
    }

    /// The in-sync follower that a consumer had better read `offset` from, among those that are
    /// near it: the one that has come furthest (KIP-392). None where the leader is as near.
    #[must_use]
    pub fn preferred_read_replica(
        &self,
        offset: i64,
        is_near: impl Fn(NodeId) -> bool,
    ) -> Option<NodeId> {
        let leader = self.leader.filter(|leader| !is_near(*leader))?;
        let has = |node: &NodeId| {
            let start = self.logs.get(node).map_or(i64::MAX, Log::start);
            (start..=self.known_end(*node)).contains(&offset)
        };
        let near = self.in_sync.iter().filter(|node| **node != leader && is_near(**node));
        let furthest = |node: &NodeId| (self.views.get(node).map(|v| (v.end, v.caught_up)), *node);
        near.copied().filter(has).max_by_key(furthest)
    }

    /// The log at `node`, which must be the leader.
    ///
    /// # Errors
    ///
    /// `NOT_LEADER_OR_FOLLOWER` when it is not.
    pub fn led_by(&self, node: NodeId) -> Result<&Log, ErrorCode> {
        self.leader_log()
            .filter(|_| self.leader == Some(node))
            .ok_or(ErrorCode::NotLeaderOrFollower)
    }

    /// Compares the leader epoch that a client knows with the real one; −1 is not compared.
    ///
    /// # Errors
    ///
    /// `FENCED_LEADER_EPOCH` when the client's is older, `UNKNOWN_LEADER_EPOCH` when it is newer.
    pub fn check_epoch(&self, known: i32) -> Result<(), ErrorCode> {
        match known {
            ..0 => Ok(()),
            known if known < self.epoch => Err(ErrorCode::FencedLeaderEpoch),
            known if known > self.epoch => Err(ErrorCode::UnknownLeaderEpoch),
            _ => Ok(()),
        }
    }

    /// Whether enough replicas are in sync for what asks for all of them: `acks = -1`, markers.
    ///
    /// # Errors
    ///
    /// `NOT_ENOUGH_REPLICAS` with fewer than `min.insync.replicas`.
    pub fn check_in_sync(&self, around: Surroundings<'_>) -> Result<(), ErrorCode> {
        let enough = self.in_sync.len() >= self.min_in_sync(around.settings.at(self.leader));
        enough.then_some(()).ok_or(ErrorCode::NotEnoughReplicas)
    }

    /// Appends a client's batch to the leader's log, and lets the followers pull.
    ///
    /// # Errors
    ///
    /// [`Refusal`], because the producer state forbids it.
    pub fn append(
        &mut self,
        batch: &Incoming,
        around: Surroundings<'_>,
    ) -> Result<Appended, Refusal> {
        let leader = self.leader.ok_or(ErrorCode::NotLeaderOrFollower)?;
        let settings = around.settings.at(self.leader);
        let log = self.logs.get_mut(&leader).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let delta = i64::from(batch.header().last_offset_delta);
        let append_time_ms = settings.append_time(around.now).unwrap_or(-1);
        if let Verdict::Duplicate(base) = log.check_producer(batch)? {
            return Ok(Appended { base, last: base + delta, append_time_ms });
        }
        let base = log.append(batch, self.epoch, settings.roll, around.now.wall_ms);
        self.settle(around);
        Ok(Appended { base, last: base + delta, append_time_ms })
    }

    /// Appends the marker that ends a transaction to the leader's log, and lets the followers pull.
    ///
    /// # Errors
    ///
    /// `NOT_LEADER_OR_FOLLOWER` without a leader, or as [`check_in_sync`](Self::check_in_sync).
    pub fn append_marker(
        &mut self,
        marker: &Incoming,
        around: Surroundings<'_>,
    ) -> Result<Appended, ErrorCode> {
        let leader = self.leader.ok_or(ErrorCode::NotLeaderOrFollower)?;
        self.check_in_sync(around)?;
        let roll = around.settings.at(self.leader).roll;
        let log = self.logs.get_mut(&leader).ok_or(ErrorCode::NotLeaderOrFollower)?;
        let base = log.append(marker, self.epoch, roll, around.now.wall_ms);
        self.settle(around);
        Ok(Appended { base, last: base, append_time_ms: -1 })
    }

    /// Lets followers pull until nothing moves any more.
    pub fn settle(&mut self, around: Surroundings<'_>) {
        self.advance_high_watermark(around.settings);
        if self.paused || self.replicas.len() == 1 {
            return;
        }
        // Append, its acknowledgement, the high watermark, and one for each truncation: bounded,
        // so that a mistake here can only be slow.
        for _ in 0..SETTLE_ROUNDS {
            let mut moved = false;
            for at in 0..self.replicas.len() {
                moved |= self.pull(at, around);
            }
            if !moved {
                return;
            }
        }
    }

    /// One fetch from the leader by the follower that is `at` this place in the assignment: the
    /// only way data moves between replicas. Returns whether anything changed.
    fn pull(&mut self, at: usize, around: Surroundings<'_>) -> bool {
        let Some(follower) = self.replicas.get(at).copied() else { return false };
        let Some(leader) = self.leader.filter(|leader| *leader != follower) else { return false };
        if !around.alive.contains(&follower) || !around.alive.contains(&leader) {
            return false;
        }
        if let Some(cut) = self.divergence(leader, follower) {
            self.change(follower, |log| log.truncate(cut));
            return true;
        }
        let (Some(source), Some(sink)) = (self.logs.get(&leader), self.logs.get(&follower)) else {
            return false;
        };
        let (start, end, from) = (source.start(), source.end(), sink.end());
        if from < start {
            self.change(follower, |log| log.restart_at(start));
            return true;
        }
        let batches = source.read(from, end, usize::MAX, true);
        let mut moved = self.saw(follower, from, around) || !batches.is_empty();
        let committed = self.leader_log().map_or(0, Log::high_watermark);
        let (roll, wall_ms) = (around.settings.at(Some(follower)).roll, around.now.wall_ms);
        self.change(follower, |log| {
            batches.into_iter().for_each(|batch| log.append_replica(batch, roll, wall_ms));
            moved |= log.raise_high_watermark(committed);
            log.raise_start(start);
        });
        moved
    }

    fn change(&mut self, node: NodeId, change: impl FnOnce(&mut Log)) {
        if let Some(log) = self.logs.get_mut(&node) {
            change(log);
        }
    }

    /// The leader learns how far a follower has come. Returns whether that is news.
    fn saw(&mut self, follower: NodeId, end: i64, around: Surroundings<'_>) -> bool {
        let Some(log) = self.leader_log() else { return false };
        let (committed, leader_end) = (log.high_watermark(), log.end());
        let mono = around.now.mono;
        let caught_up = match self.views.get(&follower) {
            Some(view) if end < leader_end => view.caught_up,
            _ => mono,
        };
        let before = self.views.insert(follower, View { end, caught_up });
        let joins = end >= committed && end >= self.epoch_start && self.in_sync.insert(follower);
        self.advance_high_watermark(around.settings);
        joins || before.is_none_or(|view| view.end != end)
    }

    /// Where `follower`'s log leaves the leader's, if it does.
    fn divergence(&self, leader: NodeId, follower: NodeId) -> Option<i64> {
        let (source, sink) = (self.logs.get(&leader)?, self.logs.get(&follower)?);
        let last = sink.last_epoch()?;
        let (epoch, end) = source.epoch_end(last)?;
        let diverges = epoch < last || end < sink.end();
        let own_end = sink.epoch_end(epoch).map_or(0, |(_, end)| end);
        diverges.then(|| end.min(own_end)).filter(|cut| *cut < sink.end() || epoch < last)
    }

    /// Below `min.insync.replicas` the high watermark stands still (KIP-966).
    fn advance_high_watermark(&mut self, settings: &PerNode) {
        if self.in_sync.len() < self.min_in_sync(settings.at(self.leader)) {
            return;
        }
        let Some(leader) = self.leader else { return };
        let ends = self.in_sync.iter().map(|node| self.known_end(*node));
        let Some(committed) = ends.min() else { return };
        self.change(leader, |log| {
            log.raise_high_watermark(committed);
        });
    }

    /// `min.insync.replicas`, or all replicas where there are fewer.
    #[must_use]
    pub fn min_in_sync(&self, settings: &TopicSettings) -> usize {
        settings.min_in_sync.min(self.replicas.len())
    }

    /// How far the leader knows a replica to be.
    fn known_end(&self, node: NodeId) -> i64 {
        if self.leader == Some(node) {
            return self.logs.get(&node).map_or(0, Log::end);
        }
        self.views.get(&node).map_or(0, |view| view.end)
    }

    /// Takes the followers that have not caught up since `now - limit` out of the in-sync
    /// replicas. Returns whether these changed.
    pub fn drop_laggards(&mut self, limit: Duration, around: Surroundings<'_>) -> bool {
        let before = self.in_sync.clone();
        // Followers fetch all the time, also where nobody has written since there is a leader.
        self.settle(around);
        let Some(end) = self.leader_log().map(Log::end) else { return false };
        let (views, leader, now) = (&self.views, self.leader, around.now.mono);
        self.in_sync.retain(|node| {
            let lags = |view: &View| view.end < end && now.saturating_sub(view.caught_up) >= limit;
            Some(*node) == leader || !views.get(node).is_none_or(lags)
        });
        self.advance_high_watermark(around.settings);
        self.in_sync != before
    }

    /// Whether a live follower in the in-sync replicas is behind the leader.
    #[must_use]
    pub fn has_laggards(&self) -> bool {
        let end = self.leader_log().map_or(0, Log::end);
        self.in_sync.iter().any(|node| self.known_end(*node) < end)
    }

    /// Stops or restarts the followers' pulling. The restart takes effect at the next
    /// [`settle`](Self::settle).
    pub fn pause_replication(&mut self, paused: bool) {
        self.paused = paused;
    }

    /// A node came or went: elects a leader where there is none, or where it is gone. Returns
    /// whether anything changed.
    pub fn nodes_changed(&mut self, around: Surroundings<'_>) -> bool {
        let before = (self.leader, self.in_sync.clone());
        let alive = around.alive;
        let leader = self.leader.filter(|leader| alive.contains(leader));
        // The last in-sync replica stays one, dead or not: only it has all that is committed.
        if self.in_sync.iter().any(|node| alive.contains(node)) {
            self.in_sync.retain(|node| alive.contains(node));
        }
        if leader.is_none() {
            self.elect(around);
        }
        self.settle(around);
        before != (self.leader, self.in_sync.clone())
    }

    /// The first live in-sync replica leads; failing that, any live one if data may be lost.
    fn elect(&mut self, around: Surroundings<'_>) {
        let alive = |node: &&NodeId| around.alive.contains(node);
        let clean = self.replicas.iter().filter(alive).find(|node| self.in_sync.contains(node));
        // The controller elects, which is the first of those that are up.
        let settings = around.settings.at(around.alive.first().copied());
        let unclean = self.replicas.iter().find(alive).filter(|_| settings.unclean_election);
        let elected = clean.or(unclean).copied();
        if let Some(node) = elected.filter(|node| !self.in_sync.contains(node)) {
            self.in_sync = BTreeSet::from([node]);
        }
        if elected.is_some() || self.leader.is_some() {
            self.lead(elected);
        }
    }

    /// Makes `node` the leader, if it is a live in-sync replica.
    ///
    /// # Errors
    ///
    /// `INVALID_REPLICA_ASSIGNMENT` when it holds no replica, `PREFERRED_LEADER_NOT_AVAILABLE`
    /// when it is not in sync.
    pub fn move_leader(&mut self, node: NodeId, around: Surroundings<'_>) -> Result<(), ErrorCode> {
        if !self.replicas.contains(&node) {
            return Err(ErrorCode::InvalidReplicaAssignment);
        }
        if !self.in_sync.contains(&node) || !around.alive.contains(&node) {
            return Err(ErrorCode::PreferredLeaderNotAvailable);
        }
        self.lead(Some(node));
        self.settle(around);
        Ok(())
    }

    /// A new leader's epoch is in its cache from the moment of its election, before any write.
    fn lead(&mut self, leader: Option<NodeId>) {
        self.leader = leader;
        self.epoch += 1;
        self.views.clear();
        let epoch = self.epoch;
        if let Some(log) = leader.and_then(|node| self.logs.get_mut(&node)) {
            self.epoch_start = log.end();
            log.begin_epoch(epoch, log.end());
        }
    }

    /// The smallest log start among the live replicas: the low watermark.
    #[must_use]
    pub fn low_watermark(&self, alive: &BTreeSet<NodeId>) -> i64 {
        let live = self.logs.iter().filter(|(node, _)| alive.contains(node));
        live.map(|(_, log)| log.start()).min().unwrap_or(-1)
    }

    /// Moves the start of the leader's log up; the followers' follow.
    pub fn raise_start(&mut self, to: i64, around: Surroundings<'_>) {
        if let Some(leader) = self.leader {
            self.change(leader, |log| log.raise_start(to));
        }
        self.settle(around);
    }

    /// Applies retention to every replica, as its node has it. Returns whether the leader's log start moved.
    pub fn retain(&mut self, around: Surroundings<'_>) -> bool {
        let mut moved = false;
        for (node, log) in &mut self.logs {
            let settings = around.settings.at(Some(*node));
            let (ms, bytes) = (settings.retention_ms, settings.retention_bytes);
            let trimmed = settings.deletes && log.retain(ms, bytes, around.now.wall_ms);
            moved |= trimmed && self.leader == Some(*node);
        }
        moved
    }

    /// The batches of data that a reader with `read_committed` sees.
    pub fn read_committed(&self) -> impl Iterator<Item = &Batch> {
        let stable = self.leader_log().map_or(0, Log::stable);
        let aborted = self.leader_log().map(|log| log.aborted(0, stable)).unwrap_or_default();
        self.committed().filter(move |batch| {
            let header = batch.header();
            let id = header.producer.producer_id;
            let within = |a: &Aborted| (a.first_offset..=a.last_offset).contains(&batch.base());
            let is_aborted = header.attributes.is_transactional()
                && aborted.iter().any(|a| a.producer_id == id && within(a));
            batch.next() <= stable && !header.attributes.is_control() && !is_aborted
        })
    }

    /// What a reader sees below the high watermark.
    pub fn committed(&self) -> impl Iterator<Item = &Batch> {
        let log = self.leader_log();
        let upto = log.map_or(0, Log::high_watermark);
        log.into_iter().flat_map(Log::batches).filter(move |batch| batch.next() <= upto)
    }
}

/// More rounds than any pull needs to come to rest.
const SETTLE_ROUNDS: usize = 16;
