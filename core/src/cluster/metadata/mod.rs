//! What to ask about the cluster, when, and what to believe of the answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_protocol::messages::MetadataResponse;

use self::refresh::{Asked, shuffled};
use self::topic::Tracked;
use super::{BrokerInfo, ClusterSnapshot, LeaderHints};
use crate::config::{ClientConfig, MetadataRecovery};
use crate::retry::{Backoff, Deadline};
use crate::types::{HostPort, NodeId, TopicName};

mod answer;
mod refresh;
#[cfg(test)]
mod tests;
mod topic;

pub use self::refresh::{Candidate, Refresh};

/// Keeps the description of the cluster current: says what to ask, when and whom, and makes a
/// [`ClusterSnapshot`] of what was answered.
///
/// ```text
///            poll_request                     handle_answer
///   at rest ------------> one request under way ------------> at rest, perhaps a new snapshot
///      ^                             |
///      '--- retry.backoff.ms --------' handle_failure: next time ask the bootstrap servers
/// ```
///
/// After each call that takes `now`, ask [`poll_request`](Self::poll_request), then wait until
/// [`next_timeout`](Self::next_timeout).
///
/// What it believes: the leader epoch of a partition never goes back while the topic keeps its id; a
/// topic keeps its partitions; a topic that was known is not gone because one broker says so, and
/// a new id makes it another topic. Answers that say otherwise are asked again, and believed when
/// they come often enough in a row.
///
/// # Kafka
///
/// Java's `Metadata`; KIP-320 (epochs), KIP-516 (topic ids), KIP-526 (partial refresh, idle topics),
/// KIP-899 and KIP-1102 (starting over), KIP-951 (hints).
#[derive(Debug)]
pub struct Metadata {
    settings: Settings,
    snapshot: Arc<ClusterSnapshot>,
    topics: BTreeMap<TopicName, Tracked>,
    /// How many users want every topic.
    all_uses: usize,
    /// When everything is asked for again.
    full_due: Instant,
    /// Whether somebody found the metadata wrong since the last full refresh began.
    requested: bool,
    /// The distance between refreshes that are requested and bring nothing new.
    pace: Backoff,
    paced_until: Instant,
    failures: Backoff,
    failed_until: Instant,
    failing_since: Option<Instant>,
    whom: Whom,
    /// Brokers that do not answer, and until when they are asked last.
    suspects: BTreeMap<NodeId, Instant>,
    foreign: Option<Arc<str>>,
    flight: Option<Flight>,
    /// How many refreshes of everything have begun.
    begun: u64,
    /// The number of the last of those that was answered.
    answered: u64,
}

/// What this machine needs of [`ClientConfig`].
#[derive(Debug)]
struct Settings {
    bootstrap: Vec<HostPort>,
    max_age: Duration,
    max_idle: Duration,
    backoff: Backoff,
    retry_backoff: Duration,
    backoff_max: Duration,
    recovery: MetadataRecovery,
    trigger: Duration,
    is_cluster_checked: bool,
}

/// Who is asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    /// The brokers that are known.
    Known,
    /// The bootstrap servers.
    Bootstrap,
}

/// The request that is under way.
#[derive(Debug)]
struct Flight {
    topics: Asked,
    is_full: bool,
    /// How many refreshes of everything had begun with it.
    number: u64,
    was_requested: bool,
    whom: Whom,
    since: Instant,
    random: u64,
}

impl Metadata {
    /// Nothing is known yet, and a first refresh is due.
    #[must_use]
    pub fn new(config: &ClientConfig, now: Instant) -> Self {
        let backoff = Backoff::new(config.retry_backoff, config.retry_backoff_max);
        Self {
            snapshot: Arc::new(ClusterSnapshot::default()),
            topics: BTreeMap::new(),
            all_uses: 0,
            full_due: now,
            requested: false,
            pace: backoff.clone(),
            paced_until: now,
            failures: backoff.clone(),
            failed_until: now,
            failing_since: None,
            whom: Whom::Known,
            suspects: BTreeMap::new(),
            foreign: None,
            flight: None,
            begun: 0,
            answered: 0,
            settings: Settings {
                bootstrap: config.bootstrap_servers.clone(),
                // An age of nothing asks as often as failures do, as in Java, and not without end.
                max_age: config.metadata_max_age.max(config.retry_backoff).max(Backoff::LEAST),
                max_idle: config.metadata_max_idle,
                backoff,
                retry_backoff: config.retry_backoff,
                backoff_max: config.retry_backoff_max,
                recovery: config.metadata_recovery_strategy,
                trigger: config.metadata_recovery_rebootstrap_trigger,
                is_cluster_checked: config.metadata_cluster_check_enable,
            },
        }
    }

    /// Counts one more user of a topic. A topic that is new here is asked for at once. So is one that
    /// was answered with an error, though not sooner than `retry.backoff.ms` after that answer; it
    /// [`is_waiting`](Self::is_waiting) until then.
    pub fn use_topic(&mut self, name: &TopicName, now: Instant) {
        let Self { topics, snapshot, settings, .. } = self;
        let shown = snapshot.topics.get(name);
        let tracked = topics.entry(name.clone()).or_insert_with(|| {
            let info = shown.filter(|info| info.error.is_none()).cloned();
            Tracked::new(info, settings.backoff.clone(), now)
        });
        tracked.uses += 1;
        if shown.is_some_and(|info| info.error.is_some()) {
            tracked.answered = false;
            // Whoever writes to a topic that is not there, again and again, must not flood brokers.
            let again = tracked.answered_at.map(|at| later(at, settings.retry_backoff));
            let due = again.map_or(now, |again| again.max(now));
            tracked.due = Some(tracked.due.map_or(due, |known| known.min(due)));
        }
    }

    /// Counts one user less. A topic without users is forgotten after `metadata.max.idle.ms`.
    pub fn release_topic(&mut self, name: &TopicName, now: Instant) {
        if let Some(tracked) = self.topics.get_mut(name) {
            tracked.uses = tracked.uses.saturating_sub(1);
            tracked.idle_since = now;
        }
    }

    /// Counts one more user of every topic there is.
    pub fn use_all(&mut self, now: Instant) {
        self.all_uses += 1;
        if self.all_uses == 1 {
            self.full_due = self.full_due.min(now);
        }
    }

    /// Counts one user of every topic less.
    pub fn release_all(&mut self, now: Instant) {
        self.all_uses = self.all_uses.saturating_sub(1);
        if self.all_uses == 0 {
            for tracked in self.topics.values_mut().filter(|tracked| tracked.uses == 0) {
                tracked.idle_since = now;
            }
        }
    }

    /// Asks for a refresh, because what is known has turned out wrong. Any number of requests until
    /// the refresh begins are one. It begins at once, unless the last ones brought nothing new:
    /// `retry.backoff.ms` then lies between them.
    pub fn request_refresh(&mut self, now: Instant) {
        if !self.requested && now > later(self.paced_until, self.settings.backoff_max) {
            self.pace.reset();
        }
        self.requested = true;
    }

    /// Asks for a refresh through another broker than `node`, which does not answer.
    pub fn suspect(&mut self, node: NodeId, now: Instant) {
        self.suspects.insert(node, later(now, SUSPICION));
        self.request_refresh(now);
    }

    /// The request that ought to be made now. One at a time: there is none while one is under way.
    ///
    /// The candidates are asked in turn until one answers; whoever asks should go on to the next
    /// one when an answer takes more than a second or two. A request that stays without an answer
    /// for `metadata.recovery.rebootstrap.trigger.ms` is replaced by another, which this returns:
    /// drop the first one then.
    ///
    /// `random` is any number, drawn anew each time.
    pub fn poll_request(&mut self, now: Instant, random: u64) -> Option<Refresh> {
        self.forget_idle(now);
        self.suspects.retain(|_, until| *until > now);
        self.start_over_if_stuck(now);
        if self.flight.is_some() || now < self.failed_until {
            return None;
        }
        let requested = self.requested && self.paced_until <= now;
        let is_full = requested || self.full_due <= now;
        let topics = if is_full { self.everything() } else { self.unsettled(now)? };
        self.requested &= !is_full;
        let refresh = Refresh { topics: topics.clone(), avoid: self.latest_suspect() };
        self.begun += u64::from(is_full);
        self.flight = Some(Flight {
            topics,
            is_full,
            number: self.begun,
            was_requested: requested,
            whom: self.whom(),
            since: now,
            random,
        });
        Some(refresh)
    }

    /// Takes the answer to the request that is under way, written in `version`. Returns the new
    /// snapshot if it changes anything.
    ///
    /// An answer without brokers, one that demands to start over, and one of another cluster count
    /// as failures.
    pub fn handle_answer(
        &mut self,
        response: &MetadataResponse,
        version: i16,
        now: Instant,
    ) -> Option<Arc<ClusterSnapshot>> {
        let flight = self.flight.take()?;
        if let Err(next) = self.judge(response, &flight) {
            self.fail(flight, next, now);
            return None;
        }
        self.failures.reset();
        self.failed_until = now;
        self.failing_since = None;
        self.foreign = None;
        self.whom = Whom::Known;
        if flight.is_full {
            self.answered = flight.number;
        }
        let mut next = ClusterSnapshot::clone(&self.snapshot);
        let is_news = self.merge(&mut next, response, version, &flight, now);
        self.pace_after(&flight, is_news, now);
        let is_changed = is_news
            || next.controller != self.snapshot.controller
            || next.cluster_id != self.snapshot.cluster_id;
        (is_changed || self.snapshot.version == 0).then(|| self.publish(next))
    }

    /// Takes note that no candidate answered. They are asked again after `retry.backoff.ms`, and
    /// the bootstrap servers instead of the known brokers, or the other way round, if
    /// `metadata.recovery.strategy` allows it.
    pub fn handle_failure(&mut self, now: Instant, random: u64) {
        if let Some(flight) = self.flight.take() {
            let next = match flight.whom {
                Whom::Known => Whom::Bootstrap,
                // Never only the bootstrap servers: those may be the ones that are gone for good.
                Whom::Bootstrap => Whom::Known,
            };
            self.fail(Flight { random, ..flight }, next, now);
        }
    }

    /// Follows what brokers say of leaders that have moved (KIP-951), where it is newer than what is
    /// known. Returns the new snapshot if it changes anything.
    pub fn learn_leaders(&mut self, hints: &LeaderHints) -> Option<Arc<ClusterSnapshot>> {
        let mut next = ClusterSnapshot::clone(&self.snapshot);
        let mut is_news = false;
        for endpoint in &hints.endpoints {
            next.brokers.entry(endpoint.id).or_insert_with(|| {
                is_news = true;
                endpoint.clone()
            });
        }
        for hint in &hints.leaders {
            let shown = next.topics.get(&hint.partition.topic);
            let is_meant = shown.is_some_and(|info| {
                info.error.is_none() && (hint.topic_id.is_none() || hint.topic_id == info.id)
            });
            if !is_meant || !next.brokers.contains_key(&hint.leader) {
                continue;
            }
            let tracked = self.topics.get_mut(&hint.partition.topic);
            let info = tracked.and_then(|tracked| {
                tracked.handle_leader(hint.partition.partition, hint.leader, hint.epoch)
            });
            if let Some(info) = info {
                is_news = true;
                next.topics.insert(hint.partition.topic.clone(), info);
                // A leader that is news may have a new address, too.
                for endpoint in hints.endpoints.iter().filter(|it| it.id == hint.leader) {
                    next.brokers.insert(endpoint.id, endpoint.clone());
                }
            }
        }
        is_news.then(|| self.publish(next))
    }

    /// Whom to ask, best first: the brokers that are known, in an order that `random` decides, and
    /// those that do not answer last; or the bootstrap servers. Not empty.
    #[must_use]
    pub fn candidates(&self, random: u64) -> Vec<Candidate> {
        match self.flight.as_ref().map_or_else(|| self.whom(), |flight| flight.whom) {
            Whom::Bootstrap => {
                let servers = self.settings.bootstrap.iter().cloned().map(Candidate::Bootstrap);
                shuffled(servers.collect(), random)
            }
            Whom::Known => {
                let brokers = self.snapshot.brokers.values().collect();
                let mut brokers: Vec<&BrokerInfo> = shuffled(brokers, random);
                brokers.sort_by_key(|broker| self.suspects.contains_key(&broker.id));
                let node = |it: &BrokerInfo| Candidate::Node(it.id, it.address.clone());
                brokers.into_iter().map(node).collect()
            }
        }
    }

    /// Whether a topic that somebody uses has no answer yet that its users may act on. A topic which
    /// brokers deny is waited for until enough of them did; then it is in the snapshot with its
    /// error.
    #[must_use]
    pub fn is_waiting(&self, topic: &str) -> bool {
        self.topics.get(topic).is_some_and(|tracked| tracked.uses > 0 && !tracked.answered)
    }

    /// The number of the refresh of everything that begins next: its answer is about the cluster as
    /// it is from now on.
    #[must_use]
    pub fn next_refresh(&self) -> u64 {
        self.begun + 1
    }

    /// The number of the last refresh of everything that was answered; 0 before the first.
    #[must_use]
    pub fn answered_refresh(&self) -> u64 {
        self.answered
    }

    /// The newest snapshot; version 0 before the first answer.
    #[must_use]
    pub fn snapshot(&self) -> &Arc<ClusterSnapshot> {
        &self.snapshot
    }

    /// The id of the cluster that answered instead of the one this client began with, until that one
    /// answers again.
    #[must_use]
    pub fn foreign_cluster(&self) -> Option<&str> {
        self.foreign.as_deref()
    }

    /// When [`poll_request`](Self::poll_request) must be called next, if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if let Some(flight) = &self.flight {
            return self.stuck_at(flight);
        }
        let requested = self.requested.then_some(self.paced_until);
        let asked = self.active().filter_map(|(_, tracked)| tracked.due);
        let due = asked.chain(requested).fold(self.full_due, Instant::min);
        let due = due.max(self.failed_until);
        Some(self.next_idle().map_or(due, |idle| due.min(idle)))
    }

    /// The topics that are asked for by themselves when they need it.
    fn active(&self) -> impl Iterator<Item = (&TopicName, &Tracked)> {
        self.topics.iter().filter(|(_, tracked)| tracked.uses > 0 || self.all_uses > 0)
    }

    fn everything(&self) -> Asked {
        if self.all_uses > 0 {
            return Asked::All;
        }
        Asked::Named(self.topics.keys().cloned().collect())
    }

    /// The topics that need it, once one of them is due: together, so that ten thousand of them do
    /// not ask ten thousand times.
    fn unsettled(&self, now: Instant) -> Option<Asked> {
        let is_due = |tracked: &Tracked| tracked.due.is_some_and(|due| due <= now);
        if !self.active().any(|(_, tracked)| is_due(tracked)) {
            return None;
        }
        let unsettled = self.active().filter(|(_, tracked)| tracked.due.is_some());
        Some(Asked::Named(unsettled.map(|(name, _)| name.clone()).collect()))
    }

    fn whom(&self) -> Whom {
        if self.snapshot.brokers.is_empty() { Whom::Bootstrap } else { self.whom }
    }

    fn latest_suspect(&self) -> Option<NodeId> {
        self.suspects.iter().max_by_key(|(_, until)| **until).map(|(node, _)| *node)
    }

    fn forget_idle(&mut self, now: Instant) {
        if self.all_uses == 0 {
            let max_idle = self.settings.max_idle;
            self.topics.retain(|_, it| it.uses > 0 || later(it.idle_since, max_idle) > now);
        }
    }

    fn next_idle(&self) -> Option<Instant> {
        let idle = self.topics.values().filter(|it| it.uses == 0 && self.all_uses == 0);
        idle.map(|it| later(it.idle_since, self.settings.max_idle)).min()
    }

    /// When a request under way is given up for the bootstrap servers (KIP-1102). The time counts
    /// from the first attempt that failed, or else from this one.
    fn stuck_at(&self, flight: &Flight) -> Option<Instant> {
        let can_start_over =
            self.settings.recovery == MetadataRecovery::Rebootstrap && flight.whom == Whom::Known;
        let since = self.failing_since.unwrap_or(flight.since);
        can_start_over
            .then(|| later(since, self.settings.trigger).max(later(flight.since, PATIENCE)))
    }

    fn start_over_if_stuck(&mut self, now: Instant) {
        let Some(flight) = self.flight.take() else {
            return;
        };
        if self.stuck_at(&flight).is_none_or(|stuck| now < stuck) {
            self.flight = Some(flight);
            return;
        }
        self.whom = Whom::Bootstrap;
        self.failing_since.get_or_insert(flight.since);
        self.ask_again(&flight, now);
    }

    fn fail(&mut self, flight: Flight, next: Whom, now: Instant) {
        self.failing_since.get_or_insert(now);
        self.failed_until = later(now, self.failures.fail(flight.random));
        if self.settings.recovery == MetadataRecovery::Rebootstrap {
            self.whom = next;
        }
        self.ask_again(&flight, now);
    }

    /// What a request asked for that got no answer is due again; single topics still are.
    fn ask_again(&mut self, flight: &Flight, now: Instant) {
        if flight.is_full {
            self.full_due = now;
        }
    }

    /// Says when the next refreshes may be, after one that was answered.
    fn pace_after(&mut self, flight: &Flight, is_news: bool, now: Instant) {
        if flight.is_full && (flight.topics == Asked::All || self.all_uses == 0) {
            self.full_due = later(now, self.settings.max_age);
        }
        if is_news {
            self.pace.reset();
        }
        if flight.was_requested {
            self.paced_until = later(now, self.pace.fail(flight.random));
        }
    }

    fn publish(&mut self, mut next: ClusterSnapshot) -> Arc<ClusterSnapshot> {
        next.version = self.snapshot.version + 1;
        self.snapshot = Arc::new(next);
        self.snapshot.clone()
    }
}

/// `now` and `wait`, which may be without end.
fn later(now: Instant, wait: Duration) -> Instant {
    Deadline::after(now, wait).instant()
}

/// How long a broker that did not answer is asked last. Whoever waits for it says so again each
/// second.
const SUSPICION: Duration = Duration::from_secs(5);

/// How long a request may be under way at least before it is given up, however short
/// `metadata.recovery.rebootstrap.trigger.ms` is: a trigger of 0 would leave no time to answer.
const PATIENCE: Duration = Duration::from_secs(5);
