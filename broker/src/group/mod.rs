//! The group coordinator: classic groups, and the offsets that any group commits.
//!
//! [`Groups`] holds every group of the cluster. What a request means is decided in
//! [`ClassicGroup`] and [`Offsets`], which know nothing of requests; the
//! files [`membership`], [`commits`], [`fetches`] and [`listing`] hold a handler per API, from request to
//! response.
//!
//! A join or a sync may have to wait for other members. Its handler answers [`Reply::Later`] then;
//! once [`Groups::poll_woken`] names that [`WaitId`], [`Groups::resume`] has the response.

mod classic;
mod commits;
mod fetches;
mod listing;
mod member;
mod membership;
mod offsets;
mod serve;
mod subscription;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ottla_protocol::{AnyResponse, ByteString, ErrorCode, Uuid};

use self::classic::{Answer, ClassicGroup};
use self::offsets::Offsets;
pub(crate) use self::offsets::TransactionResult;
pub(crate) use self::serve::{resume, serve};

/// Names a parked join or sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct WaitId(u64);

/// What a handler answers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Reply<T> {
    /// This, at once.
    Now(T),
    /// Not before somebody else does something.
    Later(WaitId),
}

/// Who asks, and what the cluster looks like to the node that is asked.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// The version of request and response.
    pub(crate) version: i16,
    /// Since the start of the world.
    pub(crate) now: Duration,
    /// The `client.id` of the request.
    pub(crate) client_id: &'a str,
    /// The host of the request, as Java prints it: `/127.0.0.1`.
    pub(crate) client_host: &'a str,
    /// The rest of the cluster.
    pub(crate) cluster: &'a dyn ClusterView,
}

/// What groups ask of the rest of the cluster. Asked once per item of a request, so that an
/// injected error may be among the answers.
pub(crate) trait ClusterView {
    /// Whether the node that is asked coordinates `group`.
    ///
    /// # Errors
    ///
    /// `NOT_COORDINATOR`, or why it cannot do so now.
    fn check_coordinator(&self, group: &str) -> Result<(), ErrorCode>;

    /// Whether a partition exists.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    fn check_partition(&self, topic: &str, partition: i32) -> Result<(), ErrorCode>;

    /// Whether the offset of a partition may be told. The partition need not exist.
    ///
    /// # Errors
    ///
    /// Only an injected one.
    fn check_fetch(&self, topic: &str, partition: i32) -> Result<(), ErrorCode>;

    /// The id of the topic that is now called `name`.
    fn topic_id(&self, name: &str) -> Option<Uuid>;

    /// The name of the topic `id`.
    fn topic_name(&self, id: Uuid) -> Option<ByteString>;
}

/// The settings of groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct GroupConfig {
    /// `group.initial.rebalance.delay.ms` (KIP-134).
    pub(crate) initial_rebalance_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub(crate) min_session_timeout: Duration,
    /// `group.max.session.timeout.ms`.
    pub(crate) max_session_timeout: Duration,
    /// `group.max.size`, in members (KIP-389).
    pub(crate) max_size: usize,
    /// `offset.metadata.max.bytes`.
    pub(crate) offset_metadata_max_bytes: usize,
    /// `offsets.retention.minutes` (KIP-211).
    pub(crate) offsets_retention: Duration,
    /// `offsets.retention.check.interval.ms`.
    pub(crate) offsets_retention_check_interval: Duration,
}

/// Every group of the cluster, whichever node coordinates it.
#[derive(Debug)]
pub(crate) struct Groups {
    config: GroupConfig,
    groups: BTreeMap<ByteString, Group>,
    /// The deadline of each group that has one.
    deadlines: BTreeSet<(Duration, ByteString)>,
    /// When offsets and empty groups are looked through; `None` while there is no group.
    sweep_at: Option<Duration>,
    waits: Waits,
}

/// A group with what it committed.
#[derive(Debug)]
struct Group {
    classic: ClassicGroup,
    offsets: Offsets,
    /// As it stands in [`Groups::deadlines`].
    deadline: Option<Duration>,
}

impl Groups {
    /// No group yet.
    pub(crate) fn new(config: GroupConfig) -> Self {
        Self {
            config,
            groups: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            sweep_at: None,
            waits: Waits::default(),
        }
    }

    /// The next parked request whose response is ready.
    pub(crate) fn poll_woken(&mut self) -> Option<WaitId> {
        self.waits.poll_woken()
    }

    /// The response to a parked request, in the version of that request; `None` before it is ready.
    pub(crate) fn resume(&mut self, wait: WaitId, version: i16) -> Option<AnyResponse> {
        Some(match self.waits.take(wait)? {
            Answer::Join(outcome) => membership::join_response(outcome, version).into(),
            Answer::Sync(outcome) => membership::sync_response(outcome).into(),
        })
    }

    /// Nobody waits for `wait` any more. The member stays: only time takes it out.
    pub(crate) fn abandon(&mut self, wait: WaitId) {
        self.waits.abandon(wait);
    }

    /// Does what was due until `now`.
    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        while let Some((at, _)) = self.deadlines.first()
            && *at <= now
            && let Some((_, id)) = self.deadlines.pop_first()
        {
            self.with_group(&id, now, |_| ());
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep(now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let group = self.deadlines.first().map(|(at, _)| *at);
        group.into_iter().chain(self.sweep_at).min()
    }

    /// The id of every group, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &ByteString> {
        self.groups.keys()
    }

    /// A group has another coordinator from now on. Whoever waits is sent to it, and it knows what
    /// was saved of the group.
    pub(crate) fn handle_coordinator_change(&mut self, id: &ByteString, now: Duration) {
        self.with_group(id, now, |group| group.classic.handle_coordinator_change(now));
    }

    /// A topic is gone, and with it what anybody committed for it.
    pub(crate) fn handle_topic_deleted(&mut self, topic: &str) {
        for group in self.groups.values_mut() {
            group.offsets.delete_topic(topic);
        }
    }

    /// The transaction of `producer_id` has ended in a group.
    pub(crate) fn handle_transaction_end(
        &mut self,
        id: &str,
        producer_id: i64,
        result: TransactionResult,
    ) {
        if let Some(group) = self.groups.get_mut(id) {
            group.offsets.complete(producer_id, result);
        }
    }

    fn create_missing(&mut self, id: &str, now: Duration) {
        let interval = self.config.offsets_retention_check_interval;
        self.sweep_at.get_or_insert(now + interval);
        if self.groups.contains_key(id) {
            return;
        }
        let classic = ClassicGroup::new(self.config, now);
        let group = Group { classic, offsets: Offsets::default(), deadline: None };
        // Copied, because an id in a request is a slice of the whole request.
        self.groups.insert(id.into(), group);
    }

    /// Acts on a group, and then does what is due by that: passes on its answers and notes its
    /// deadline. `None` where there is no such group.
    fn with_group<R>(
        &mut self,
        id: &ByteString,
        now: Duration,
        act: impl FnOnce(&mut Group) -> R,
    ) -> Option<R> {
        let group = self.groups.get_mut(id)?;
        let result = act(group);
        group.classic.handle_timeout(now);
        while let Some((wait, answer)) = group.classic.poll_answer() {
            self.waits.answer(wait, answer);
        }
        let deadline = group.classic.next_timeout();
        let noted = std::mem::replace(&mut group.deadline, deadline);
        if let Some(noted) = noted {
            self.deadlines.remove(&(noted, id.clone()));
        }
        if let Some(deadline) = deadline {
            self.deadlines.insert((deadline, id.clone()));
        }
        Some(result)
    }

    fn remove(&mut self, id: &ByteString) {
        let removed = self.groups.remove(id);
        if let Some(noted) = removed.and_then(|group| group.deadline) {
            self.deadlines.remove(&(noted, id.clone()));
        }
    }

    /// Forgets expired offsets, and groups in which nothing is left.
    fn sweep(&mut self, now: Duration) {
        let retention = self.config.offsets_retention;
        let mut useless = Vec::new();
        for (id, Group { classic, offsets, .. }) in &mut self.groups {
            let is_subscribed_to = |topic: &str| classic.is_subscribed_to(topic);
            offsets.expire(classic.offset_expiry(), is_subscribed_to, retention, now);
            if classic.is_empty() && offsets.is_empty() {
                useless.push(id.clone());
            }
        }
        for id in useless {
            self.remove(&id);
        }
        let next = now + self.config.offsets_retention_check_interval;
        self.sweep_at = (!self.groups.is_empty()).then_some(next);
    }
}

/// Who is parked, and the answers that nobody has taken yet.
#[derive(Debug, Default)]
struct Waits {
    opened: u64,
    parked: BTreeSet<WaitId>,
    answers: BTreeMap<WaitId, Answer>,
    woken: VecDeque<WaitId>,
}

impl Waits {
    fn open(&mut self) -> WaitId {
        self.opened += 1;
        let wait = WaitId(self.opened);
        self.parked.insert(wait);
        wait
    }

    fn answer(&mut self, wait: WaitId, answer: Answer) {
        if self.parked.remove(&wait) {
            self.answers.insert(wait, answer);
            self.woken.push_back(wait);
        }
    }

    fn take(&mut self, wait: WaitId) -> Option<Answer> {
        self.answers.remove(&wait)
    }

    fn abandon(&mut self, wait: WaitId) {
        self.parked.remove(&wait);
        self.answers.remove(&wait);
    }

    /// Leaves out whoever had the answer at once, or is gone.
    fn poll_woken(&mut self) -> Option<WaitId> {
        while let Some(wait) = self.woken.pop_front() {
            if self.answers.contains_key(&wait) {
                return Some(wait);
            }
        }
        None
    }
}
