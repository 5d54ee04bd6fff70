//! From keys to results: whom to ask what, and what to do about the answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::cluster::{ClusterSnapshot, TopicInfo};
use ottla_core::config::ClientConfig;
use ottla_core::error::{Certainty, ErrorClass, ErrorCode, RequestError};
use ottla_core::retry::{Backoff, Deadline};
use ottla_core::types::{NodeId, TopicName};
use ottla_protocol::ByteString;

use super::{AdminCall, Asked, Place, Refusal, ResponseOf, Route, Settled};
use crate::{AdminError, Results};

#[cfg(test)]
mod tests;

/// Carries out one call: finds who answers for each key, asks each broker once for all of its keys,
/// and asks again for those keys alone that a retry can help.
///
/// ```text
///             .-------- refused for now: after a backoff --------.
///             v                                                  |
///   key: waiting --> looking up --> ready --> asked ----------> result
///             ^         |  |                    |                  ^
///             |         |  '-- not allowed -----|------------------+
///             |         v                       |                  |
///             |       doubting: fresh metadata denies it, too -----+
///             |                                 |                  |
///             '-- the broker is gone, or another one answers now   |
///                                                                  |
///   from everywhere: at the deadline ------------------------------'
/// ```
///
/// No key waits for another: a broker that is silent delays its own keys alone.
///
/// After each call that takes `now`, drain [`poll_effect`](Self::poll_effect), then wait for what
/// the effects bring, for a snapshot, or until [`next_timeout`](Self::next_timeout).
///
/// # Kafka
///
/// Java's `AdminApiDriver`.
#[derive(Debug)]
pub(crate) struct Plan<C: AdminCall> {
    call: Arc<C>,
    settings: Settings,
    begun: Instant,
    deadline: Deadline,
    snapshot: Arc<ClusterSnapshot>,
    pending: BTreeMap<C::Key, Pending>,
    results: BTreeMap<C::Key, Result<C::Value, AdminError>>,
    lookups: BTreeSet<Lookup>,
    requests: BTreeMap<u64, Sent<C::Key>>,
    next_request: u64,
    effects: VecDeque<Effect<C::Key>>,
}

/// What the machine needs of [`ClientConfig`].
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    request_timeout: Duration,
    retry: Backoff,
}

impl From<&ClientConfig> for Settings {
    fn from(config: &ClientConfig) -> Self {
        Self {
            request_timeout: config.request_timeout,
            retry: Backoff::new(config.retry_backoff, config.retry_backoff_max),
        }
    }
}

/// A key without a result.
#[derive(Debug)]
struct Pending {
    step: Step,
    retry: Backoff,
    patience: Backoff,
    /// How often fresh metadata did not know the broker, the topic or the partition.
    denials: u32,
    certainty: Certainty,
    last: Option<Arc<AdminError>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Waiting {
        until: Instant,
    },
    LookingUp,
    /// Until metadata is fresh: what is known denies it, but may be older than it.
    Doubting,
    Ready(Place),
    Asked(u64),
}

/// A request that is under way.
#[derive(Debug)]
struct Sent<K> {
    keys: Arc<[K]>,
    place: Place,
    timeout: Duration,
    /// When its broker is to be doubted, if it still coordinates the groups that were asked for.
    doubted_at: Instant,
}

/// What must be looked up before a key's broker is known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lookup {
    Topic(TopicName),
    Coordinator(ByteString),
    /// All metadata, asked for anew.
    Cluster,
}

/// What a lookup found.
#[derive(Debug)]
pub(crate) enum Found {
    Topic(Arc<TopicInfo>),
    Coordinator(NodeId),
    Cluster(Arc<ClusterSnapshot>),
}

/// What must be done now.
#[derive(Debug)]
pub(crate) enum Effect<K> {
    /// To be answered by [`Plan::handle_lookup`].
    LookUp(Lookup),
    /// To be answered by [`Plan::handle_answer`] or [`Plan::handle_failure`].
    Ask(Ask<K>),
    /// The metadata is stale.
    Refresh,
    /// A broker turned out not to coordinate a group, or is silent.
    Forget(ByteString, NodeId),
}

/// A request to make.
#[derive(Debug)]
pub(crate) struct Ask<K> {
    pub(crate) id: u64,
    pub(crate) place: Place,
    /// In order; not empty.
    pub(crate) keys: Arc<[K]>,
    /// How long the broker may take for it.
    pub(crate) timeout: Duration,
}

impl<C: AdminCall> Plan<C> {
    pub(crate) fn new(
        call: Arc<C>,
        keys: impl IntoIterator<Item = C::Key>,
        settings: Settings,
        snapshot: Arc<ClusterSnapshot>,
        deadline: Deadline,
        now: Instant,
    ) -> Self {
        let pending = |key| (key, Pending::new(&settings, now));
        let mut plan = Self {
            pending: keys.into_iter().map(pending).collect(),
            call,
            settings,
            begun: now,
            deadline,
            snapshot,
            results: BTreeMap::new(),
            lookups: BTreeSet::new(),
            requests: BTreeMap::new(),
            next_request: 0,
            effects: VecDeque::new(),
        };
        plan.handle_timeout(now);
        plan
    }

    pub(crate) fn is_done(&self) -> bool {
        self.pending.is_empty()
    }

    /// What became of the keys that have a result.
    pub(crate) fn into_results(self) -> Results<C::Key, C::Value> {
        Results::new(self.results)
    }

    /// What must be done now; ask until there is nothing.
    pub(crate) fn poll_effect(&mut self, now: Instant) -> Option<Effect<C::Key>> {
        if self.effects.is_empty() {
            self.group_ready(now);
        }
        self.effects.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called next.
    pub(crate) fn next_timeout(&self) -> Instant {
        let waits = self.pending.values().filter_map(|pending| match pending.step {
            Step::Waiting { until } => Some(until),
            Step::LookingUp | Step::Doubting | Step::Ready(_) | Step::Asked(_) => None,
        });
        let doubts = self.requests.values().map(|sent| sent.doubted_at);
        waits.chain(doubts).fold(self.deadline.instant(), Instant::min)
    }

    /// Does what is due at `now`.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        if self.deadline.is_over(now) {
            return self.give_up(now);
        }
        let is_due =
            |pending: &Pending| matches!(pending.step, Step::Waiting { until } if until <= now);
        let due = self.pending.iter().filter(|(_, pending)| is_due(pending));
        for key in due.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.locate(&key);
        }
        self.doubt_silent(now);
    }

    /// Takes note of a new snapshot: requests to brokers that are gone, or that no longer lead what
    /// they were asked for, are made anew.
    pub(crate) fn handle_snapshot(&mut self, snapshot: Arc<ClusterSnapshot>, now: Instant) {
        self.snapshot = snapshot;
        for key in self.asked(|_| true) {
            let Some(node) = self.asked_node(&key) else { continue };
            let is_gone = !self.snapshot.brokers.contains_key(&node);
            if is_gone || self.leads_now(&key).is_some_and(|leader| leader != node) {
                self.release(&key, node, now);
            }
        }
    }

    /// Takes what a lookup found.
    pub(crate) fn handle_lookup(
        &mut self,
        lookup: &Lookup,
        found: Result<Found, RequestError>,
        now: Instant,
        random: u64,
    ) {
        self.lookups.remove(lookup);
        if let Ok(Found::Cluster(snapshot)) = &found {
            self.handle_snapshot(Arc::clone(snapshot), now);
        }
        for key in self.waiting_for(lookup) {
            match &found {
                Ok(Found::Topic(topic)) => self.handle_topic(&key, topic, now, random),
                Ok(Found::Coordinator(node)) => self.handle_coordinator(&key, *node, now),
                Ok(Found::Cluster(_)) => self.look_again(&key, now, random),
                // A silent coordinator may still answer.
                Err(_) if self.asked_node(&key).is_some() => {}
                Err(RequestError::Unroutable { code }) => self.refuse(&key, (*code).into()),
                Err(error) => self.fail(&key, error.clone()),
            }
        }
    }

    /// Takes the answer to a request. `attempts` is how often it was written to a connection: what
    /// was sent more than once may have been done by an attempt whose answer was lost.
    pub(crate) fn handle_answer(
        &mut self,
        id: u64,
        version: i16,
        response: ResponseOf<C>,
        attempts: u32,
        now: Instant,
        random: u64,
    ) {
        let Some(Sent { keys, place, timeout, .. }) = self.requests.remove(&id) else { return };
        let asked = Asked { keys: &keys, version, place, timeout };
        let settled = Arc::clone(&self.call).settle(&asked, response);
        for (key, outcome) in settled {
            if self.is_asked(&key, id) {
                self.weaken(&key, attempts > 1);
                self.settle(&key, outcome, place, now, random);
            }
        }
        for key in keys.iter() {
            if self.is_asked(key, id) {
                let subject = self.subject(key);
                self.finish(key, Err(AdminError::Unanswered { subject }));
            }
        }
    }

    /// Takes note that there is no answer, and that asking again will not bring one.
    pub(crate) fn handle_failure(&mut self, id: u64, error: &RequestError) {
        let Some(sent) = self.requests.remove(&id) else { return };
        for key in sent.keys.iter() {
            if self.is_asked(key, id) {
                self.fail(key, error.clone());
            }
        }
    }

    /// Gives every key without a result this error.
    pub(crate) fn fail_all(&mut self, error: &RequestError) {
        for key in self.pending.keys().cloned().collect::<Vec<_>>() {
            self.fail(&key, error.clone());
        }
    }

    /// Finds out who answers for a key.
    fn locate(&mut self, key: &C::Key) {
        let lookup = match self.call.route(key) {
            Route::AnyBroker => return self.set_step(key, Step::Ready(Place::AnyBroker)),
            Route::Controller => return self.set_step(key, Step::Ready(Place::Controller)),
            Route::Node(node) if self.snapshot.brokers.contains_key(&node) => {
                return self.set_step(key, Step::Ready(Place::Node(node)));
            }
            Route::Node(_) => return self.doubt(key),
            Route::Leader(partition) => Lookup::Topic(partition.topic),
            Route::Coordinator(group) => Lookup::Coordinator(group),
        };
        self.set_step(key, Step::LookingUp);
        self.look_up(lookup);
    }

    fn look_up(&mut self, lookup: Lookup) {
        if self.lookups.insert(lookup.clone()) {
            self.effects.push_back(Effect::LookUp(lookup));
        }
    }

    fn handle_topic(&mut self, key: &C::Key, topic: &TopicInfo, now: Instant, random: u64) {
        let Route::Leader(wanted) = self.call.route(key) else { return };
        match topic.error {
            None => {}
            // Such a topic is asked for anew with each lookup.
            Some(code @ ErrorCode::UnknownTopicOrPartition) => {
                return self.deny(key, code, now, random);
            }
            Some(code) if code.is_retriable() => {
                return self.retry(key, code.into(), None, now, random);
            }
            Some(code) => return self.refuse(key, code.into()),
        }
        match topic.partition(wanted.partition).map(|partition| partition.leader) {
            Some(Some(leader)) => self.set_step(key, Step::Ready(Place::Node(leader))),
            Some(None) => {
                self.retry(key, ErrorCode::LeaderNotAvailable.into(), None, now, random);
            }
            None if self.is_doubting(key) => {
                self.deny(key, ErrorCode::UnknownTopicOrPartition, now, random);
            }
            None => self.doubt(key),
        }
    }

    /// Looks for who answers for a key that was doubted, in metadata that is fresh.
    fn look_again(&mut self, key: &C::Key, now: Instant, random: u64) {
        match self.call.route(key) {
            Route::Node(node) if !self.snapshot.brokers.contains_key(&node) => {
                self.deny(key, ErrorCode::BrokerNotAvailable, now, random);
            }
            Route::Leader(wanted) => match self.snapshot.topic(&wanted.topic).cloned() {
                Some(topic) => self.handle_topic(key, &topic, now, random),
                None => self.locate(key),
            },
            Route::AnyBroker | Route::Controller | Route::Node(_) | Route::Coordinator(_) => {
                self.locate(key);
            }
        }
    }

    fn handle_coordinator(&mut self, key: &C::Key, node: NodeId, now: Instant) {
        match self.asked_node(key) {
            None => self.set_step(key, Step::Ready(Place::Node(node))),
            Some(silent) if silent != node => self.release(key, silent, now),
            Some(_) => {}
        }
    }

    fn settle(
        &mut self,
        key: &C::Key,
        outcome: Settled<C::Value>,
        place: Place,
        now: Instant,
        random: u64,
    ) {
        match outcome {
            Ok(value) => self.finish(key, Ok(value)),
            Err(refusal) if !refusal.code.is_retriable() || self.call.is_final(refusal.code) => {
                self.refuse(key, refusal);
            }
            Err(refusal) => self.retry(key, refusal, Some(place), now, random),
        }
    }

    /// Tries a key again after a backoff, and sees to it that whoever is asked then is not simply
    /// the same.
    fn retry(
        &mut self,
        key: &C::Key,
        refusal: Refusal,
        place: Option<Place>,
        now: Instant,
        random: u64,
    ) {
        let code = refusal.code;
        self.weaken(key, leaves_it_open(code));
        if code.class() == Some(ErrorClass::RefreshRetriable) || code == ErrorCode::NotController {
            self.refresh();
        }
        if let (Route::Coordinator(group), Some(Place::Node(node))) = (self.call.route(key), place)
            && is_misdirected(code)
        {
            self.effects.push_back(Effect::Forget(group, node));
        }
        self.wait(key, refusal, now, random);
    }

    /// Looks for a key's broker again after a backoff.
    fn wait(&mut self, key: &C::Key, refusal: Refusal, now: Instant, random: u64) {
        let is_brief = is_brief(refusal.code);
        let last = Arc::new(self.refused(key, refusal));
        if let Some(pending) = self.pending.get_mut(key) {
            let backoff = if is_brief { &mut pending.patience } else { &mut pending.retry };
            let until = Deadline::after(now, backoff.fail(random)).instant();
            pending.step = Step::Waiting { until };
            pending.last = Some(last);
        }
    }

    /// What is known does not have who or what is asked for. It may only be older than that.
    fn doubt(&mut self, key: &C::Key) {
        self.set_step(key, Step::Doubting);
        self.look_up(Lookup::Cluster);
    }

    /// Metadata that was asked for since the last denial does not have it, either. The broker that
    /// answered may be behind: that is believed when it was said often enough.
    fn deny(&mut self, key: &C::Key, code: ErrorCode, now: Instant, random: u64) {
        let Some(pending) = self.pending.get_mut(key) else { return };
        pending.denials += 1;
        if pending.denials >= BELIEVED_DENIALS {
            return self.refuse(key, code.into());
        }
        self.wait(key, code.into(), now, random);
    }

    /// Asks again for a key whose broker is gone or has lost it. What it was asked may be done.
    fn release(&mut self, key: &C::Key, node: NodeId, now: Instant) {
        self.weaken(key, true);
        if let Route::Coordinator(group) = self.call.route(key) {
            self.effects.push_back(Effect::Forget(group, node));
        }
        self.set_step(key, Step::Waiting { until: now });
    }

    /// Looks for the coordinator anew while one is silent. Leaders and brokers that have gone are
    /// seen in the metadata, but the move of a coordinator only by asking.
    fn doubt_silent(&mut self, now: Instant) {
        let is_due = |sent: &Sent<C::Key>| sent.doubted_at <= now;
        let due: Vec<u64> =
            self.requests.iter().filter(|(_, sent)| is_due(sent)).map(|(id, _)| *id).collect();
        for id in due {
            for key in self.asked(|asked| asked == id) {
                let (route, node) = (self.call.route(&key), self.asked_node(&key));
                if let (Route::Coordinator(group), Some(node)) = (route, node)
                    && !self.lookups.contains(&Lookup::Coordinator(group.clone()))
                {
                    self.effects.push_back(Effect::Forget(group.clone(), node));
                    self.look_up(Lookup::Coordinator(group));
                }
            }
            if let Some(sent) = self.requests.get_mut(&id) {
                sent.doubted_at = Deadline::after(now, DOUBT).instant();
            }
        }
    }

    /// Makes one request for each broker that something is to be asked of.
    fn group_ready(&mut self, now: Instant) {
        let Some(timeout) = self.deadline.attempt(now, self.settings.request_timeout) else {
            return;
        };
        let mut places: BTreeMap<Place, Vec<C::Key>> = BTreeMap::new();
        for (key, pending) in &self.pending {
            if let Step::Ready(place) = pending.step {
                places.entry(place).or_default().push(key.clone());
            }
        }
        for (place, keys) in places {
            let id = self.next_request;
            self.next_request += 1;
            let keys: Arc<[C::Key]> = keys.into();
            keys.iter().for_each(|key| self.set_step(key, Step::Asked(id)));
            let doubted_at = Deadline::after(now, DOUBT).instant();
            self.requests.insert(id, Sent { keys: Arc::clone(&keys), place, timeout, doubted_at });
            self.effects.push_back(Effect::Ask(Ask { id, place, keys, timeout }));
        }
    }

    fn give_up(&mut self, now: Instant) {
        let within = now.saturating_duration_since(self.begun);
        for (key, pending) in std::mem::take(&mut self.pending) {
            let subject = self.subject(&key);
            let certainty = match pending.step {
                Step::Asked(_) => Certainty::PossiblyWritten,
                Step::Waiting { .. } | Step::LookingUp | Step::Doubting | Step::Ready(_) => {
                    pending.certainty
                }
            };
            let last = pending.last;
            let error = AdminError::DeadlineExceeded { subject, within, certainty, last };
            self.results.insert(key, Err(error));
        }
    }

    fn refuse(&mut self, key: &C::Key, refusal: Refusal) {
        let error = self.refused(key, refusal);
        self.finish(key, Err(error));
    }

    fn fail(&mut self, key: &C::Key, error: RequestError) {
        let subject = self.subject(key);
        self.finish(key, Err(AdminError::Request { subject, error }));
    }

    fn finish(&mut self, key: &C::Key, result: Result<C::Value, AdminError>) {
        if self.pending.remove(key).is_some() {
            self.results.insert(key.clone(), result);
        }
    }

    fn refused(&self, key: &C::Key, Refusal { code, message }: Refusal) -> AdminError {
        let certainty =
            self.pending.get(key).map_or(Certainty::NotWritten, |pending| pending.certainty);
        let message = message.as_deref().map(Into::into);
        AdminError::Refused { subject: self.subject(key), code, message, certainty }
    }

    fn subject(&self, key: &C::Key) -> Arc<str> {
        self.call.subject(key).into()
    }

    fn refresh(&mut self) {
        if !self.effects.iter().any(|effect| matches!(effect, Effect::Refresh)) {
            self.effects.push_back(Effect::Refresh);
        }
    }

    fn weaken(&mut self, key: &C::Key, possibly: bool) {
        if let Some(pending) = self.pending.get_mut(key).filter(|_| possibly) {
            pending.certainty = Certainty::PossiblyWritten;
        }
    }

    fn set_step(&mut self, key: &C::Key, step: Step) {
        if let Some(pending) = self.pending.get_mut(key) {
            pending.step = step;
        }
    }

    fn is_doubting(&self, key: &C::Key) -> bool {
        self.pending.get(key).is_some_and(|pending| pending.step == Step::Doubting)
    }

    fn is_asked(&self, key: &C::Key, id: u64) -> bool {
        self.pending.get(key).is_some_and(|pending| pending.step == Step::Asked(id))
    }

    /// The keys that requests are under way for.
    fn asked(&self, which: impl Fn(u64) -> bool) -> Vec<C::Key> {
        let is_meant = |pending: &Pending| matches!(pending.step, Step::Asked(id) if which(id));
        let asked = self.pending.iter().filter(|(_, pending)| is_meant(pending));
        asked.map(|(key, _)| key.clone()).collect()
    }

    /// Who is being asked for a key, if it is one certain broker.
    fn asked_node(&self, key: &C::Key) -> Option<NodeId> {
        let Step::Asked(id) = self.pending.get(key)?.step else { return None };
        match self.requests.get(&id)?.place {
            Place::Node(node) => Some(node),
            Place::AnyBroker | Place::Controller => None,
        }
    }

    fn leads_now(&self, key: &C::Key) -> Option<NodeId> {
        let Route::Leader(wanted) = self.call.route(key) else { return None };
        self.snapshot.partition(&wanted.topic, wanted.partition)?.leader
    }

    /// The keys that wait for a lookup, and those whose silent coordinator it is about.
    fn waiting_for(&self, lookup: &Lookup) -> Vec<C::Key> {
        let is_meant = |(key, pending): &(&C::Key, &Pending)| match (lookup, pending.step) {
            (Lookup::Cluster, step) => step == Step::Doubting,
            (Lookup::Topic(name), Step::LookingUp) => {
                matches!(self.call.route(key), Route::Leader(wanted) if wanted.topic == *name)
            }
            (Lookup::Coordinator(group), Step::LookingUp | Step::Asked(_)) => {
                matches!(self.call.route(key), Route::Coordinator(wanted) if wanted == *group)
            }
            (Lookup::Topic(_) | Lookup::Coordinator(_), _) => false,
        };
        self.pending.iter().filter(is_meant).map(|(key, _)| key.clone()).collect()
    }
}

impl Pending {
    fn new(settings: &Settings, now: Instant) -> Self {
        Self {
            step: Step::Waiting { until: now },
            retry: settings.retry.clone(),
            patience: Backoff::new(BRIEFLY, BRIEFLY_AT_MOST),
            denials: 0,
            certainty: Certainty::NotWritten,
            last: None,
        }
    }
}

/// Whether a broker that says so may have done it.
fn leaves_it_open(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::RequestTimedOut | ErrorCode::NetworkException)
}

/// Whether a broker that says so does not coordinate the group.
fn is_misdirected(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable)
}

/// Whether it is a matter of milliseconds, for which `retry.backoff.ms` is too long.
fn is_brief(code: ErrorCode) -> bool {
    is_misdirected(code)
        || matches!(code, ErrorCode::CoordinatorLoadInProgress | ErrorCode::UnstableOffsetCommit)
}

/// How often fresh metadata must deny a broker, a topic or a partition to be believed. Each time it
/// is asked for anew, with `retry.backoff.ms` in between.
const BELIEVED_DENIALS: u32 = 3;

/// How long a coordinator may be silent before others are asked whether it still is one.
const DOUBT: Duration = Duration::from_secs(2);

/// The first wait for a state that passes by itself.
const BRIEFLY: Duration = Duration::from_millis(20);

/// The longest wait for a state that passes by itself.
const BRIEFLY_AT_MOST: Duration = Duration::from_millis(250);
