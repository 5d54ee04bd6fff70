//! Fetching: which records to ask of whom, and what becomes of the answers.
//!
//! [`Fetcher`] is all of it. It is told who leads which partition, what brokers answer and what the
//! application wants; it says what to send and what may be delivered.
//!
//! ```text
//! assign, seek ──> Life::Placed ──> wants of a broker ──poll_fetch──> FetchRequest
//!                      ^                                                  │
//!                lookups (reset, KIP-320)                            FetchAnswer
//!                      │                                                  │
//!                      └────────────── queue of the partition <─handle_fetched
//!                                              │
//!                                             take ──> the application
//! ```
//!
//! A partition that has nothing to do is in none of the lists: a request costs what has changed since
//! the last.

mod answer;
mod config;
mod deliver;
mod event;
mod isolation;
mod late;
mod leaders;
mod lookup;
mod node;
mod outcome;
mod partition;
mod place;
mod receive;
mod request;
mod session;
#[cfg(test)]
mod tests;

pub use answer::{ControlReader, FetchAnswer, FetchedBatch, PartitionAnswer, TopicKey};
pub use config::FetchConfig;
pub use deliver::{Origin, Taken};
pub use event::{FetchEvent, ResetCause};
pub use isolation::Filter;
pub use lookup::{EpochEnd, Found, Lookup, LookupItem, LookupKind};
pub use node::Lane;
pub use outcome::{Outcome, classify};
pub use partition::{Bounds, Generation, Slot};
pub use session::{FetchSession, Want, Wording};

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Instant;

use ottla_core::cluster::LeaderHints;
use ottla_core::retry::Backoff;
use ottla_core::types::{NodeId, TopicName, TopicPartition};
use ottla_protocol::{ErrorCode, Uuid};

use crate::error::FetchError;
use node::Node;
use partition::{Life, Partition, Wish};

/// The partitions of one consumer, and the brokers that they are fetched from.
#[derive(Debug)]
pub struct Fetcher {
    config: FetchConfig,
    /// By slot. Boxed, as a vector that grows has up to twice the room it needs.
    partitions: Vec<Option<Box<Partition>>>,
    free: Vec<Slot>,
    topics: BTreeMap<TopicName, Topic>,
    names: BTreeMap<Uuid, TopicName>,
    nodes: BTreeMap<NodeId, Node>,
    /// Partitions with something to deliver, the next one first.
    line: VecDeque<Slot>,
    /// Partitions of which a leader is to be asked something.
    lookups: BTreeSet<Slot>,
    /// When partitions are to be looked at again.
    timers: BTreeSet<(Instant, Slot)>,
    /// Bytes fetched and not delivered.
    buffered: usize,
    /// Bytes that answers under way may bring.
    reserved: usize,
    /// Partitions with a stream of their own that has something to look at.
    arrivals: BTreeSet<Slot>,
    /// Partitions whose position passed what nobody may see.
    passed: BTreeSet<Slot>,
    /// Brokers that are not asked for want of room.
    starved: BTreeSet<NodeId>,
    /// Brokers that have something new to be asked.
    wakes: BTreeSet<(NodeId, Lane)>,
    last_generation: u64,
    last_token: u64,
    /// Of the jitter of the next backoff.
    random: u64,
    errors: VecDeque<FetchError>,
    events: VecDeque<FetchEvent>,
    /// Of the events, those that nobody has logged yet.
    news: Vec<FetchEvent>,
    /// Partitions that are of another topic than they were.
    recreated: Vec<TopicPartition>,
    hints: LeaderHints,
    /// The version of the newest snapshot of the cluster so far.
    seen_version: u64,
    wants_refresh: bool,
    /// Whether the next timeout is earlier than it was.
    rearm: bool,
}

/// A topic with partitions that are assigned.
#[derive(Debug, Default)]
struct Topic {
    id: Option<Uuid>,
    slots: BTreeMap<i32, Slot>,
    /// What is wrong with it, as the application was told.
    error: Option<ErrorCode>,
}

impl Fetcher {
    /// A fetcher without partitions. `seed` decides its jitter.
    #[must_use]
    pub fn new(config: FetchConfig, seed: u64) -> Self {
        Self {
            config,
            partitions: Vec::new(),
            free: Vec::new(),
            topics: BTreeMap::new(),
            names: BTreeMap::new(),
            nodes: BTreeMap::new(),
            line: VecDeque::new(),
            lookups: BTreeSet::new(),
            timers: BTreeSet::new(),
            buffered: 0,
            reserved: 0,
            arrivals: BTreeSet::new(),
            passed: BTreeSet::new(),
            starved: BTreeSet::new(),
            wakes: BTreeSet::new(),
            last_generation: 0,
            last_token: 0,
            random: seed,
            errors: VecDeque::new(),
            events: VecDeque::new(),
            news: Vec::new(),
            recreated: Vec::new(),
            hints: LeaderHints::default(),
            seen_version: 0,
            wants_refresh: false,
            rearm: false,
        }
    }

    /// Adds a partition, which is not read before it is placed. One that is there stays as it is.
    pub fn add(&mut self, name: TopicPartition) -> Slot {
        if let Some(slot) = self.slot(&name.topic, name.partition) {
            return slot;
        }
        let generation = self.next_generation();
        let topic = self.topics.entry(name.topic.clone()).or_default();
        let slot = self.free.pop().unwrap_or(Slot(self.partitions.len()));
        topic.slots.insert(name.partition, slot);
        let partition = Box::new(Partition {
            name,
            topic_id: topic.id,
            tenure: generation,
            since: generation,
            generation,
            life: Life::Unplaced { refused: false },
            queue: VecDeque::new(),
            queued_bytes: 0,
            in_line: false,
            paused: false,
            held: false,
            streamed: false,
            leader: None,
            leader_epoch: None,
            preferred: None,
            node: None,
            max_bytes: self.config.max_partition_bytes,
            bounds: Bounds::default(),
            retry_at: None,
            backoff: Backoff::new(self.config.retry_backoff, self.config.retry_backoff_max),
        });
        match self.partitions.get_mut(slot.0) {
            Some(place) => *place = Some(partition),
            None => self.partitions.push(Some(partition)),
        }
        slot
    }

    /// Removes a partition and drops what it brought: nothing of it is delivered after this.
    pub fn remove(&mut self, name: &TopicPartition, now: Instant) {
        let Some(slot) = self.slot(&name.topic, name.partition) else { return };
        self.change(slot, now, |partition| partition.life = Life::Halted(None));
        self.leave_node(slot);
        self.lookups.remove(&slot);
        self.passed.remove(&slot);
        self.timers.retain(|(_, timed)| *timed != slot);
        self.line.retain(|waiting| *waiting != slot);
        if let Some(place) = self.partitions.get_mut(slot.0) {
            if place.take().is_some_and(|partition| partition.streamed) {
                self.arrivals.insert(slot);
            }
            self.free.push(slot);
        }
        let Some(topic) = self.topics.get_mut(&name.topic) else { return };
        topic.slots.remove(&name.partition);
        if topic.slots.is_empty() {
            let id = topic.id;
            self.topics.remove(&name.topic);
            id.and_then(|id| self.names.remove(&id));
        }
    }

    /// The partitions, by topic and number.
    pub fn assignment(&self) -> impl Iterator<Item = &TopicPartition> {
        let slots = self.topics.values().flat_map(|topic| topic.slots.values());
        slots.filter_map(|slot| self.get(*slot)).map(|partition| &partition.name)
    }

    /// Whether there is a partition at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Where a partition is kept; `None` if it is not assigned.
    #[must_use]
    pub fn slot(&self, topic: &str, partition: i32) -> Option<Slot> {
        self.topics.get(topic)?.slots.get(&partition).copied()
    }

    /// The partition in a slot.
    #[must_use]
    pub fn name(&self, slot: Slot) -> Option<&TopicPartition> {
        self.get(slot).map(|partition| &partition.name)
    }

    /// The generation of what is in a slot.
    #[must_use]
    pub fn generation(&self, slot: Slot) -> Option<Generation> {
        self.get(slot).map(|partition| partition.generation)
    }

    /// What a broker said last about the partition's log.
    #[must_use]
    pub fn bounds(&self, slot: Slot) -> Option<Bounds> {
        self.get(slot).map(|partition| partition.bounds)
    }

    /// Records that are not delivered yet: up to the last stable offset for readers of committed
    /// records, up to the high watermark for others. `None` before a broker has said.
    #[must_use]
    pub fn lag(&self, slot: Slot) -> Option<u64> {
        let partition = self.get(slot)?;
        partition.lag(self.config.end_of(&partition.bounds))
    }

    /// Bytes that were fetched and not delivered.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffered
    }

    /// The next error that the application must know of.
    pub fn poll_error(&mut self) -> Option<FetchError> {
        self.errors.pop_front()
    }

    /// What happened on its own since the last time, to be logged.
    pub fn poll_news(&mut self) -> Vec<FetchEvent> {
        std::mem::take(&mut self.news)
    }

    /// Whether [`poll_wake`](Self::poll_wake) has something.
    #[must_use]
    pub fn has_wakes(&self) -> bool {
        !self.wakes.is_empty()
    }

    /// What happened on its own, the oldest first.
    pub fn poll_event(&mut self) -> Option<FetchEvent> {
        self.events.pop_front()
    }

    /// The next broker that has something new to be asked.
    pub fn poll_wake(&mut self) -> Option<(NodeId, Lane)> {
        self.wakes.pop_first()
    }

    /// The next partition whose position moved although nothing was delivered: past markers, aborted
    /// records, or what compaction took.
    pub fn poll_passed(&mut self) -> Option<Slot> {
        self.passed.pop_first()
    }

    /// Partitions whose topic was deleted and made again: what was processed of them says nothing any
    /// more.
    pub fn poll_recreated(&mut self) -> Vec<TopicPartition> {
        std::mem::take(&mut self.recreated)
    }

    /// The id of a partition's topic; `None` where it is not known.
    #[must_use]
    pub fn topic_id(&self, slot: Slot) -> Option<Uuid> {
        self.get(slot)?.topic_id
    }

    /// Who leads now, as answers have told (KIP-951).
    pub fn poll_hints(&mut self) -> Option<LeaderHints> {
        let LeaderHints { leaders, endpoints } = &self.hints;
        let any = !leaders.is_empty() || !endpoints.is_empty();
        any.then(|| std::mem::take(&mut self.hints))
    }

    /// The next partition with a stream of its own that has something for it, or has left it.
    pub fn poll_arrival(&mut self) -> Option<Slot> {
        self.arrivals.pop_first()
    }

    /// Which assignment of the partition this is: another one is another tenure.
    #[must_use]
    pub fn tenure(&self, slot: Slot) -> Option<Generation> {
        self.get(slot).map(|partition| partition.tenure)
    }

    /// Whether what was taken in `generation` is of another topic than the partition is of now, or of
    /// another assignment: its offsets mean nothing any more.
    #[must_use]
    pub fn is_past(&self, slot: Slot, generation: Generation) -> bool {
        self.get(slot).is_none_or(|partition| generation < partition.since)
    }

    /// The next error of one partition.
    pub fn poll_error_of(&mut self, name: &TopicPartition) -> Option<FetchError> {
        let at = self.errors.iter().position(|error| error.partition() == name)?;
        self.errors.remove(at)
    }

    /// Whether metadata is stale; says so once.
    pub fn poll_refresh(&mut self) -> bool {
        std::mem::take(&mut self.wants_refresh)
    }

    /// The brokers that have ever had something to be asked.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.keys().copied()
    }

    /// Whether the next timeout is earlier than it was; says so once.
    pub fn poll_rearm(&mut self) -> bool {
        std::mem::take(&mut self.rearm)
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Looks again at partitions whose backoff is over.
    pub fn handle_timeout(&mut self, now: Instant) {
        while let Some((at, slot)) = self.timers.first().copied()
            && at <= now
        {
            self.timers.pop_first();
            if let Some(partition) = self.get_mut(slot).filter(|p| p.retry_at == Some(at)) {
                partition.retry_at = None;
                self.settle(slot, now);
            }
        }
    }

    fn get(&self, slot: Slot) -> Option<&Partition> {
        self.partitions.get(slot.0)?.as_deref()
    }

    fn get_mut(&mut self, slot: Slot) -> Option<&mut Partition> {
        self.partitions.get_mut(slot.0)?.as_deref_mut()
    }

    fn next_generation(&mut self) -> Generation {
        self.last_generation += 1;
        Generation(self.last_generation)
    }

    /// Another of a row of numbers that look random.
    fn draw(&mut self) -> u64 {
        // Knuth's; its low bits are poor, so they are left out.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.random >> 33
    }

    /// Changes where a partition is in its life: what was fetched or asked before is stale.
    fn change(&mut self, slot: Slot, now: Instant, change: impl FnOnce(&mut Partition)) {
        let generation = self.next_generation();
        let Some(partition) = self.get_mut(slot) else { return };
        let dropped = partition.drop_fetched();
        partition.generation = generation;
        partition.retry_at = None;
        partition.backoff.reset();
        change(partition);
        self.release(dropped);
        self.settle(slot, now);
    }

    /// Brings the lists in line with what a partition needs now.
    fn settle(&mut self, slot: Slot, now: Instant) {
        let Some(partition) = self.get(slot) else { return };
        let (source, at) = (partition.source(now), partition.node);
        let wish = partition.wish(now, self.config.enough());
        let preferred = source != partition.leader;
        let looks_up = partition.looks_up();
        if source != at {
            self.leave_node(slot);
        }
        self.line_up(slot);
        if looks_up {
            self.lookups.insert(slot)
        } else {
            self.lookups.remove(&slot)
        };
        let Some(node) = source else { return };
        let news = {
            let node = self.nodes.entry(node).or_default();
            if preferred {
                node.preferred.insert(slot)
            } else {
                node.preferred.remove(&slot)
            };
            match wish {
                Wish::Fetch(want) => node.put_want(slot, want),
                Wish::Full => {
                    node.drop_want(slot);
                    node.full.insert(slot);
                    false
                }
                Wish::Nothing => {
                    node.drop_want(slot);
                    false
                }
            }
        };
        if let Some(partition) = self.get_mut(slot) {
            partition.node = Some(node);
        }
        if news {
            self.wake(node, slot, now);
        }
    }

    /// Takes a partition out of the fetches of its broker.
    fn leave_node(&mut self, slot: Slot) {
        let Some(node) = self.get_mut(slot).and_then(|partition| partition.node.take()) else {
            return;
        };
        if let Some(node) = self.nodes.get_mut(&node) {
            node.drop_want(slot);
            node.preferred.remove(&slot);
        }
    }

    /// Puts a partition in line if it has something to deliver and nobody else takes it.
    fn line_up(&mut self, slot: Slot) {
        let Some(partition) = self.get_mut(slot) else { return };
        if !partition.is_deliverable() {
            return;
        }
        if partition.streamed {
            self.arrivals.insert(slot);
        } else if !partition.in_line {
            partition.in_line = true;
            self.line.push_back(slot);
        }
    }

    /// Waits before a partition is looked at again.
    fn back_off(&mut self, slot: Slot, now: Instant) {
        let random = self.draw();
        let Some(partition) = self.get_mut(slot) else { return };
        let at = now + partition.backoff.fail(random);
        partition.retry_at = Some(at);
        self.timers.insert((at, slot));
        self.rearm |= self.timers.first() == Some(&(at, slot));
        self.settle(slot, now);
    }

    /// Gives bytes back, which may let brokers be asked that waited for room.
    fn release(&mut self, bytes: usize) {
        self.buffered = self.buffered.saturating_sub(bytes);
        if bytes > 0 {
            self.wake_starved();
        }
    }

    fn wake_starved(&mut self) {
        let starved = std::mem::take(&mut self.starved);
        self.wakes.extend(starved.into_iter().map(|node| (node, Lane::Session)));
    }

    fn report(&mut self, error: FetchError) {
        let at = error.partition();
        if let Some(slot) = self.slot(&at.topic, at.partition)
            && let Some(partition) = self.get(slot)
        {
            if partition.held {
                // Nobody would take it, and it would stand in the way of others.
                return;
            }
            if partition.streamed {
                self.arrivals.insert(slot);
            }
        }
        if self.errors.len() < MOST_ERRORS {
            self.errors.push_back(error);
        }
    }

    fn note(&mut self, event: FetchEvent) {
        self.news.push(event.clone());
        if self.events.len() == MOST_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }
}

/// Errors that wait for the application at most: one that does not poll does not read them either.
const MOST_ERRORS: usize = 1_000;

/// Events that wait at most; the oldest give way.
const MOST_EVENTS: usize = 1_000;
