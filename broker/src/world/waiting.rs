//! Who waits for what, and until when.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use ottla_protocol::Uuid;

/// A request that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// What a request can wait for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitKey {
    /// Anything that a fetcher or producer of this partition would see.
    Partition(Uuid, i32),
    /// The answer to a member's join or sync, by the number of its wait.
    Member(u64),
    /// The opening of a gate, by the number of its rule.
    Gate(u64),
}

/// What the world does of its own accord.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timer {
    /// Drops what is old or too much, and forgets idle producers.
    Retention,
    /// Takes followers that lag out of the in-sync replicas.
    Lag,
    /// Tries again to write the markers of transactions that no leader has taken.
    Markers,
}

/// Parked requests by what they wait for.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    next: u64,
    by_key: HashMap<WaitKey, BTreeSet<Ticket>>,
    keys: HashMap<Ticket, Vec<WaitKey>>,
    woken: BTreeSet<Ticket>,
}

impl Waiters {
    pub(super) fn watch(&mut self, keys: &[WaitKey]) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        for key in keys {
            self.by_key.entry(key.clone()).or_default().insert(ticket);
        }
        self.keys.insert(ticket, keys.to_vec());
        ticket
    }

    pub(super) fn wake(&mut self, key: &WaitKey) {
        self.woken.extend(self.by_key.get(key).into_iter().flatten());
    }

    pub(super) fn forget(&mut self, ticket: Ticket) {
        self.woken.remove(&ticket);
        for key in self.keys.remove(&ticket).unwrap_or_default() {
            let Some(tickets) = self.by_key.get_mut(&key) else { continue };
            tickets.remove(&ticket);
            if tickets.is_empty() {
                self.by_key.remove(&key);
            }
        }
    }

    pub(super) fn take_woken(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.woken).into_iter().collect()
    }
}

/// Timers by their time; each is set once at most.
#[derive(Debug, Default)]
pub(super) struct Timers {
    due: BTreeMap<Timer, Duration>,
}

impl Timers {
    /// Sets a timer, unless it is set to go off earlier.
    pub(super) fn schedule(&mut self, at: Duration, timer: Timer) {
        let due = self.due.entry(timer).or_insert(at);
        *due = at.min(*due);
    }

    pub(super) fn pop_due(&mut self, now: Duration) -> Option<Timer> {
        let (timer, at) = self.due.iter().min_by_key(|(_, at)| **at)?;
        let (timer, due) = (*timer, *at <= now);
        due.then(|| self.due.remove(&timer)).map(|_| timer)
    }

    pub(super) fn next(&self) -> Option<Duration> {
        self.due.values().min().copied()
    }
}
