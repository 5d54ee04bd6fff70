//! What a consumer, its links and its tasks share.

use std::collections::{BTreeMap, VecDeque};
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use ottla_core::cluster::{ClusterSnapshot, LeaderHints};
use ottla_core::conn::{BufferPool, RequestSource, WakeCell};
use ottla_core::error::{Certainty, RequestError};
use ottla_core::net::{Client, Link, LinkOptions, Purpose, SnapshotListener};
use ottla_core::retry::Deadline;
use ottla_core::types::{NodeId, TopicPartition};
use tokio::sync::Notify;

use super::group::GroupHandle;
use super::link::FetchLink;
use super::placing::Unplaced;
use super::troubles::Troubles;
use super::{lookups, sessions};
use crate::config::ConsumerConfig;
use crate::error::ConsumerError;
use crate::machine::commit::{CommitError, MarkedPartition};
use crate::machine::fetch::{FetchConfig, FetchEvent, Fetcher, Generation, Lane, Slot};
use crate::machine::subscription::{Internal, Subscription};

/// What a consumer, its links and its tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    client: Client,
    config: ConsumerConfig,
    /// Std: held for one answer's bookkeeping, one batch taken, one seek; never across an await.
    fetcher: Mutex<Fetcher>,
    links: Mutex<BTreeMap<(NodeId, Lane), Linked>>,
    /// Who waits for records of any partition.
    reader: WakeCell,
    /// Who waits for records of one partition.
    streams: Mutex<BTreeMap<Slot, Arc<WakeCell>>>,
    /// Wakes the task that asks leaders.
    lookups: Notify,
    /// Where batches are decompressed to.
    pool: BufferPool,
    stopping: AtomicBool,
    /// `OPEN`, `CLIENT_CLOSED` or `CLOSED`.
    ended: AtomicU8,
    /// What the group does for batches and records that were returned; gone once the consumer is
    /// closed, however long they live.
    group: Mutex<Option<GroupHandle>>,
    /// Where partitions note what is acknowledged.
    marks: Mutex<BTreeMap<TopicPartition, Arc<MarkedPartition>>>,
    failed_commits: Mutex<VecDeque<CommitError>>,
    /// Which topics the group is to have, as the cluster changes.
    subscription: Mutex<Option<Subscription>>,
    /// Partitions of which nobody has been asked yet what is committed.
    unplaced: Mutex<Vec<Unplaced>>,
    troubles: Mutex<Troubles>,
}

/// A connection to one broker, and what is sent over it.
#[derive(Debug)]
struct Linked {
    source: Arc<FetchLink>,
    /// Closes the connection when it is dropped.
    _link: Link,
}

/// What is left to do once the fetcher is not locked any more.
#[derive(Debug, Default)]
struct Effects {
    wakes: Vec<(NodeId, Lane)>,
    arrivals: Vec<Slot>,
    news: Vec<FetchEvent>,
    recreated: Vec<TopicPartition>,
    hints: Option<LeaderHints>,
    refresh: bool,
    lookups: bool,
    ready: bool,
}

impl Effects {
    fn of(fetcher: &mut Fetcher) -> Self {
        Self {
            wakes: std::iter::from_fn(|| fetcher.poll_wake()).collect(),
            arrivals: std::iter::from_fn(|| fetcher.poll_arrival()).collect(),
            news: fetcher.poll_news(),
            recreated: fetcher.poll_recreated(),
            hints: fetcher.poll_hints(),
            refresh: fetcher.poll_refresh(),
            lookups: fetcher.poll_rearm() | fetcher.has_lookups(),
            ready: fetcher.is_ready(),
        }
    }
}

impl Shared {
    pub(crate) fn start(
        client: Client,
        config: ConsumerConfig,
        group: Option<GroupHandle>,
    ) -> Arc<Self> {
        let seed = client.runtime().random();
        let fetcher = Fetcher::new(FetchConfig::new(client.config(), &config), seed);
        let shared = Arc::new(Self {
            client,
            config,
            fetcher: Mutex::new(fetcher),
            links: Mutex::default(),
            reader: WakeCell::default(),
            streams: Mutex::default(),
            lookups: Notify::new(),
            pool: BufferPool::default(),
            stopping: AtomicBool::new(false),
            ended: AtomicU8::new(OPEN),
            group: Mutex::new(group),
            marks: Mutex::default(),
            failed_commits: Mutex::default(),
            subscription: Mutex::default(),
            unplaced: Mutex::default(),
            troubles: Mutex::default(),
        });
        let listener: Weak<dyn SnapshotListener> = Arc::downgrade(&shared) as _;
        shared.client.add_listener(listener);
        shared.client.runtime().spawn("consumer lookups", lookups::run(Arc::clone(&shared)));
        shared
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn config(&self) -> &ConsumerConfig {
        &self.config
    }

    pub(crate) fn pool(&self) -> &BufferPool {
        &self.pool
    }

    pub(crate) fn now(&self) -> Instant {
        self.client.runtime().now()
    }

    /// Does something with the fetcher, and then what follows from it.
    pub(crate) fn with<R>(self: &Arc<Self>, act: impl FnOnce(&mut Fetcher) -> R) -> R {
        let mut fetcher = self.fetcher();
        let result = act(&mut fetcher);
        let effects = Effects::of(&mut fetcher);
        drop(fetcher);
        self.follow(effects);
        result
    }

    /// Only looks.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&Fetcher) -> R) -> R {
        look(&self.fetcher())
    }

    /// Takes note that the stream of a partition was dropped.
    pub(crate) fn abandon(&self, slot: Slot, tenure: Generation) {
        let now = self.now();
        self.fetcher().abandon(slot, tenure, now);
        // A value is dropped anywhere, where no task can be spawned either: what follows is for the
        // task of the lookups.
        self.lookups.notify_one();
    }

    /// Who waits for records of any partition.
    pub(crate) fn reader(&self) -> &WakeCell {
        &self.reader
    }

    /// Where a new stream of one partition waits for its records. One of what had the slot before
    /// keeps its own place: who comes back to it late must not be woken instead.
    pub(crate) fn stream_cell(&self, slot: Slot) -> Arc<WakeCell> {
        let cell = Arc::<WakeCell>::default();
        lock(&self.streams).insert(slot, Arc::clone(&cell));
        cell
    }

    /// Ends polls, once what they have is delivered.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.wake_everybody();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    /// Closes connections and ends tasks. Never waits.
    pub(crate) fn close(&self) {
        self.ended.store(CLOSED, Ordering::Release);
        drop(std::mem::take(&mut *lock(&self.links)));
        drop(lock(&self.group).take());
        self.lookups.notify_one();
        self.wake_everybody();
    }

    /// Tells brokers that the fetch sessions are over. To be called once closed, so that no other
    /// begins.
    pub(crate) fn end_sessions(
        self: &Arc<Self>,
        deadline: Deadline,
    ) -> impl Future<Output = ()> + Send + use<> {
        let last = self.with(|fetcher| fetcher.close_sessions());
        sessions::end(self.client.clone(), last, deadline)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.ended.load(Ordering::Acquire) == CLOSED
    }

    /// Whether records can come.
    pub(crate) fn is_open(&self) -> bool {
        self.ended.load(Ordering::Acquire) == OPEN
    }

    /// Says why no records can come any more, if that is so. Asked for each record.
    #[inline]
    pub(crate) fn check_open(&self) -> Result<(), ConsumerError> {
        if self.is_open() { Ok(()) } else { Err(self.why_ended()) }
    }

    #[cold]
    fn why_ended(&self) -> ConsumerError {
        if self.is_closed() {
            return ConsumerError::Closed;
        }
        RequestError::Closed { certainty: Certainty::NotWritten }.into()
    }

    /// The group, while the consumer is open.
    pub(crate) fn group(&self) -> Option<GroupHandle> {
        lock(&self.group).clone()
    }

    pub(crate) fn put_marks(&self, partition: &TopicPartition, marks: Arc<MarkedPartition>) {
        lock(&self.marks).insert(partition.clone(), marks);
    }

    pub(crate) fn marks(&self, partition: &TopicPartition) -> Option<Arc<MarkedPartition>> {
        lock(&self.marks).get(partition).cloned()
    }

    /// Commits nothing more of what was processed of a partition so far.
    fn forget_processed(&self, partition: &TopicPartition) {
        let Some(group) = self.group() else { return };
        group.reset_stored(partition);
        if self.marks(partition).is_some() {
            self.put_marks(partition, group.track_marks(partition));
        }
    }

    /// Lets what is processed from now on count, although more was processed before: that is not in
    /// the log any more.
    fn handle_went_back(&self, partition: &TopicPartition) {
        // Marks go back by themselves with the next record that is handed out, and keep what is open
        // in front of it.
        if self.marks(partition).is_some() {
            return;
        }
        if let Some(group) = self.group() {
            group.reset_stored(partition);
        }
    }

    pub(crate) fn drop_marks(&self, partition: &TopicPartition) {
        lock(&self.marks).remove(partition);
    }

    /// Records that were returned and not acknowledged, or stand behind such.
    pub(crate) fn unacknowledged(&self) -> usize {
        lock(&self.marks).values().map(|marks| marks.open()).sum()
    }

    pub(crate) fn note_failed_commit(&self, error: CommitError) {
        let mut failed = lock(&self.failed_commits);
        if failed.len() == MOST_FAILED_COMMITS {
            failed.pop_front();
        }
        failed.push_back(error);
    }

    pub(crate) fn take_failed_commit(&self) -> Option<CommitError> {
        lock(&self.failed_commits).pop_front()
    }

    /// Has the group want what `subscription` stands for, now and as topics come and go.
    pub(crate) fn subscribe(&self, subscription: Subscription) {
        let mut known = lock(&self.subscription);
        // Under the lock, or what a snapshot has just said of the new topics would be forgotten.
        self.troubles().topics.clear();
        *known = Some(subscription);
        drop(known);
        self.match_topics();
    }

    fn match_topics(&self) {
        let internal = match self.config.exclude_internal_topics {
            true => Internal::Excluded,
            false => Internal::Included,
        };
        let mut subscription = lock(&self.subscription);
        let Some(wanted) = subscription.as_mut() else { return };
        // Both under one lock, so that the group hears last what the newest snapshot says.
        let snapshot = self.client.snapshot();
        let refused = wanted.refusals(&snapshot);
        if !refused.is_empty() {
            self.troubles().topics.extend(refused);
            self.reader.wake();
        }
        let Some(topics) = wanted.changes(&snapshot, internal) else { return };
        if let Some(group) = self.group() {
            group.subscribe(topics);
        }
    }

    /// Partitions of which nobody has been asked yet what is committed; see [`place`](Self::place).
    pub(crate) fn unplaced(&self) -> MutexGuard<'_, Vec<Unplaced>> {
        lock(&self.unplaced)
    }

    /// What went wrong in the background, and the application has not been told.
    pub(super) fn troubles(&self) -> MutexGuard<'_, Troubles> {
        lock(&self.troubles)
    }

    /// The next of what went wrong in the background; says so once.
    pub(crate) fn take_trouble(&self) -> Option<ConsumerError> {
        self.troubles().take()
    }

    /// Why nobody says what is committed of partitions that have come; says so once.
    pub(crate) fn take_unknown_offsets(&self) -> Option<CommitError> {
        self.troubles().committed.take()
    }

    /// Whether [`take_trouble`](Self::take_trouble) has something.
    pub(crate) fn has_trouble(&self) -> bool {
        !self.troubles().is_empty()
    }

    /// Takes note of why a broker cannot be asked at all.
    pub(super) fn refuse(&self, error: RequestError) {
        self.troubles().broker = Some(error);
        self.reader.wake();
    }

    pub(super) async fn lookups_wanted(&self) {
        self.lookups.notified().await;
    }

    fn fetcher(&self) -> MutexGuard<'_, Fetcher> {
        lock(&self.fetcher)
    }

    fn follow(self: &Arc<Self>, effects: Effects) {
        let Effects { wakes, arrivals, news, recreated, hints, refresh, lookups, ready } = effects;
        for event in news {
            match event {
                FetchEvent::Reset { .. } => tracing::info!(%event, "reset"),
                FetchEvent::Truncated { .. } => tracing::warn!(%event, "truncated"),
            }
            if let Some(partition) = event.went_back() {
                self.handle_went_back(partition);
            }
        }
        recreated.iter().for_each(|partition| self.forget_processed(partition));
        for (node, lane) in wakes {
            self.wake_link(node, lane);
        }
        if ready {
            self.reader.wake();
        }
        if !arrivals.is_empty() {
            let streams = lock(&self.streams);
            arrivals.iter().filter_map(|slot| streams.get(slot)).for_each(|cell| cell.wake());
        }
        if lookups {
            self.lookups.notify_one();
        }
        if let Some(hints) = hints {
            self.client.learn_leaders(&hints);
        }
        if refresh {
            self.client.request_refresh();
        }
    }

    /// Wakes the link to a broker, which is opened when it is needed for the first time.
    fn wake_link(self: &Arc<Self>, node: NodeId, lane: Lane) {
        let mut links = lock(&self.links);
        if let Some(linked) = links.get(&(node, lane)) {
            let source = Arc::clone(&linked.source);
            drop(links);
            return source.wake_cell().wake();
        }
        if !self.is_open() {
            return;
        }
        let source = Arc::new(FetchLink::new(node, lane, Arc::clone(self)));
        let options = LinkOptions {
            purpose: Purpose::Fetch,
            max_in_flight: 1,
            stall_after: self.config.fetch_max_wait.saturating_add(STALL),
        };
        let link = self.client.open_link(node, options, Arc::clone(&source) as _);
        links.insert((node, lane), Linked { source, _link: link });
    }

    fn wake_everybody(&self) {
        self.reader.wake();
        lock(&self.streams).values().for_each(|cell| cell.wake());
    }
}

impl SnapshotListener for Shared {
    fn handle_snapshot(&self, snapshot: &Arc<ClusterSnapshot>, now: Instant) {
        self.match_topics();
        let mut fetcher = self.fetcher();
        fetcher.handle_snapshot(snapshot, now);
        let wakes = fetcher.has_wakes() || fetcher.has_lookups() || fetcher.is_ready();
        drop(fetcher);
        // Links are opened, and who waits for an error is woken, by who holds this whole: the task of
        // the lookups does.
        if wakes {
            self.lookups.notify_one();
        }
    }

    fn handle_closed(&self) {
        // Whoever has closed the consumer before has said so.
        self.ended.fetch_max(CLIENT_CLOSED, Ordering::AcqRel);
        self.lookups.notify_one();
        self.wake_everybody();
    }
}

/// Records can come.
const OPEN: u8 = 0;

/// None can come, because the client was closed.
const CLIENT_CLOSED: u8 = 1;

/// None can come, because the consumer was closed.
const CLOSED: u8 = 2;

/// Failures of commits that are kept at most; the oldest give way.
const MOST_FAILED_COMMITS: usize = 1_000;

/// How long a broker may take beyond the wait that it was asked for.
const STALL: Duration = Duration::from_secs(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
