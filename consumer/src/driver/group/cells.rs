//! What the application and the task tell one another without waiting.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ottla_core::types::TopicName;
use tokio::sync::Notify;

use crate::machine::commit::OffsetStore;
use crate::machine::membership::NoticeId;

/// Single values, of which the newest counts.
#[derive(Debug)]
pub(super) struct Cells {
    begun: Instant,
    /// Std: each is held to put a value in or take it out.
    wishes: Mutex<Wishes>,
    store: Mutex<OffsetStore>,
    /// The last poll, in milliseconds after `begun`.
    polled: AtomicU64,
    /// Polls that the application is within.
    within: AtomicUsize,
    /// The number of the notice that was published last; 0 for none.
    published: AtomicU64,
    /// The number of the notice that was finished last; 0 for none.
    finished: AtomicU64,
    /// Whether the next poll is waited for: 1 or 0.
    awaits_poll: AtomicUsize,
    wake: Notify,
}

/// What the application wants.
#[derive(Debug, Default)]
pub(super) struct Wishes {
    pub(super) topics: Option<BTreeSet<TopicName>>,
    pub(super) rebalance: Option<String>,
}

impl Cells {
    pub(super) fn new(begun: Instant) -> Self {
        Self {
            begun,
            wishes: Mutex::default(),
            store: Mutex::default(),
            polled: AtomicU64::new(0),
            within: AtomicUsize::new(0),
            published: AtomicU64::new(0),
            finished: AtomicU64::new(0),
            awaits_poll: AtomicUsize::new(0),
            wake: Notify::new(),
        }
    }

    pub(super) fn subscribe(&self, topics: BTreeSet<TopicName>) {
        lock(&self.wishes).topics = Some(topics);
        self.wake.notify_one();
    }

    pub(super) fn enforce_rebalance(&self, reason: &str) {
        lock(&self.wishes).rebalance = Some(reason.to_owned());
        self.wake.notify_one();
    }

    pub(super) fn take_wishes(&self) -> Wishes {
        std::mem::take(&mut *lock(&self.wishes))
    }

    pub(super) fn store(&self) -> MutexGuard<'_, OffsetStore> {
        lock(&self.store)
    }

    pub(super) fn record_poll(&self, now: Instant) {
        let passed = now.saturating_duration_since(self.begun).as_millis();
        self.polled.fetch_max(u64::try_from(passed).unwrap_or(u64::MAX), Ordering::Relaxed);
        if self.awaits_poll.swap(0, Ordering::AcqRel) == 1 {
            self.wake.notify_one();
        }
    }

    pub(super) fn enter_poll(&self, now: Instant) {
        self.within.fetch_add(1, Ordering::AcqRel);
        self.record_poll(now);
    }

    pub(super) fn leave_poll(&self, now: Instant) {
        self.record_poll(now);
        self.within.fetch_sub(1, Ordering::AcqRel);
    }

    /// The last poll; `now` while the application is within one.
    pub(super) fn polled_at(&self, now: Instant) -> Instant {
        if self.within.load(Ordering::Acquire) > 0 {
            return now;
        }
        self.begun + Duration::from_millis(self.polled.load(Ordering::Relaxed))
    }

    /// Has the next poll wake the task, or one that came since the task looked.
    pub(super) fn await_poll(&self, looked: Instant) {
        self.awaits_poll.store(1, Ordering::Release);
        if self.within.load(Ordering::Acquire) > 0 || self.polled_at(looked) > looked {
            self.wake.notify_one();
        }
    }

    pub(super) fn has_event(&self) -> bool {
        self.published.load(Ordering::Acquire) > self.finished.load(Ordering::Acquire)
    }

    pub(super) fn is_unfinished(&self, id: NoticeId) -> bool {
        id.number() > self.finished.load(Ordering::Acquire)
    }

    pub(super) fn publish_event(&self, id: Option<NoticeId>) {
        self.published.store(id.map_or(0, NoticeId::number), Ordering::Release);
    }

    pub(super) fn finish_event(&self, id: NoticeId) {
        self.finished.fetch_max(id.number(), Ordering::AcqRel);
        self.wake.notify_one();
    }

    pub(super) fn finished(&self) -> u64 {
        self.finished.load(Ordering::Acquire)
    }

    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
