//! One broker, as a fetcher sees it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::retry::{Deadline, Warned};

use super::late::Late;
use super::{FetchSession, Slot, Want};

/// One broker: what is to be asked of it, and what it has been asked.
#[derive(Debug, Default)]
pub(super) struct Node {
    pub(super) session: FetchSession,
    /// What is to be asked, now. The session shares what it has told the broker.
    pub(super) wants: BTreeMap<Slot, Arc<Want>>,
    /// Partitions that have brought enough for the moment.
    pub(super) full: BTreeSet<Slot>,
    /// Partitions of which the session may know something else than is wanted.
    pub(super) dirty: BTreeSet<Slot>,
    pub(super) in_flight: Option<InFlight>,
    /// What has come since that request left.
    pub(super) late: Late,
    /// Partitions that are read here although the leader is elsewhere.
    pub(super) preferred: BTreeSet<Slot>,
    /// Where a request that says everything begins, so that each partition comes first once.
    pub(super) first: usize,
    /// Partitions of those that are wanted whose topic id is not known.
    pub(super) nameless: BTreeSet<Slot>,
    /// Until when requests wait for full partitions.
    pub(super) held_until: Option<Instant>,
    /// When to ask again after the whole request was refused.
    pub(super) retry_at: Option<Instant>,
    pub(super) refusals: u32,
    pub(super) warned: Warned,
}

/// A request that is not answered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlight {
    pub(super) token: u64,
    /// Bytes that its answer may bring.
    pub(super) reserved: usize,
    /// Until when the broker may wait with its answer.
    pub(super) until: Instant,
}

impl InFlight {
    /// A request that leaves now, with whose answer its broker may wait, for ever even.
    pub(super) fn new(token: u64, reserved: usize, now: Instant, max_wait: Duration) -> Self {
        Self { token, reserved, until: Deadline::after(now, max_wait).instant() }
    }
}

/// A way to ask a broker: each is a connection of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lane {
    /// One request after the other, which wait for records.
    Session,
    /// Beside a request that waits, for what has come since it left.
    Late,
}

impl Node {
    /// Takes a partition out of the next requests.
    pub(super) fn drop_want(&mut self, slot: Slot) {
        self.full.remove(&slot);
        self.nameless.remove(&slot);
        self.late.drop(slot);
        if self.wants.remove(&slot).is_some() {
            self.dirty.insert(slot);
        }
    }

    /// Puts a partition into the next request; true if that says something new.
    pub(super) fn put_want(&mut self, slot: Slot, want: Want) -> bool {
        self.full.remove(&slot);
        if want.topic_id.is_none() {
            self.nameless.insert(slot)
        } else {
            self.nameless.remove(&slot)
        };
        let news = self.wants.get(&slot).is_none_or(|known| **known != want);
        if news {
            self.held_until = None;
            self.wants.insert(slot, Arc::new(want));
            self.dirty.insert(slot);
        }
        news
    }
}
