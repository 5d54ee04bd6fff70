//! The world around the accumulator.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::cluster::LeaderHints;
use ottla_core::net::{Client, Link, LinkOptions, Purpose, Runtime};
use ottla_core::types::NodeId;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::accumulator::{BrokerLink, Host};

/// The world around the accumulator: the client's clock, metadata and connections.
#[derive(Debug)]
pub(super) struct NetHost {
    client: Client,
    max_in_flight: usize,
    signals: Arc<Signals>,
    works: Arc<Works>,
}

/// What the accumulator, the tasks beside it and the producer tell one another.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// A producer id is needed.
    pub(super) identity: Notify,
    /// There may be something to do for the transaction.
    pub(super) transaction: Notify,
    /// Something may have become of the transaction.
    pub(super) transactions: Notify,
    /// The first expiry is earlier than it was.
    pub(super) expiries: Notify,
    /// Records wait for a partition that nobody leads.
    pub(super) leaders: Notify,
    /// The links, open as long as they are here.
    pub(super) links: Mutex<BTreeMap<NodeId, Link>>,
}

impl NetHost {
    pub(super) fn new(client: Client, max_in_flight: usize, signals: Arc<Signals>) -> Self {
        Self { client, max_in_flight, signals, works: Arc::default() }
    }

    fn runtime(&self) -> &Runtime {
        self.client.runtime()
    }
}

impl Host for NetHost {
    fn now(&self) -> Instant {
        self.runtime().now()
    }

    fn wall_clock_ms(&self) -> i64 {
        self.runtime().wall_clock_ms()
    }

    fn random(&self) -> u64 {
        self.runtime().random()
    }

    fn request_refresh(&self) {
        self.client.request_refresh();
    }

    fn learn_leaders(&self, hints: &LeaderHints) {
        self.client.learn_leaders(hints);
    }

    fn want_identity(&self) {
        self.signals.identity.notify_one();
    }

    fn stir_transaction(&self) {
        self.signals.transaction.notify_one();
    }

    fn watch_expiries(&self) {
        self.signals.expiries.notify_one();
    }

    fn want_leader(&self) {
        self.signals.leaders.notify_one();
    }

    fn open_link(&self, node: NodeId, link: Arc<BrokerLink>) {
        let options = LinkOptions {
            purpose: Purpose::Produce,
            max_in_flight: self.max_in_flight,
            stall_after: STALL,
        };
        let link = self.client.open_link(node, options, link);
        self.signals.links.lock().insert(node, link);
    }

    fn run_beside(&self, work: Box<dyn FnOnce() + Send>) {
        let mut queue = self.works.0.lock();
        queue.waiting.push_back(work);
        if queue.workers < MOST_WORKERS {
            queue.workers += 1;
            drop(queue);
            let works = Arc::clone(&self.works);
            self.runtime().compute(move || works.next());
        }
    }
}

/// What slow codecs have to do, in order, by a few threads that come when there is work.
#[derive(Default)]
struct Works(Mutex<WorkQueue>);

#[derive(Default)]
struct WorkQueue {
    waiting: VecDeque<Box<dyn FnOnce() + Send>>,
    workers: usize,
}

impl Works {
    /// The next for a worker; one that gets none is gone.
    fn next(&self) -> Option<Box<dyn FnOnce() + Send>> {
        let mut queue = self.0.lock();
        let next = queue.waiting.pop_front();
        if next.is_none() {
            queue.workers -= 1;
        }
        next
    }
}

impl fmt::Debug for Works {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Works")
    }
}

/// Threads that compress at the same time.
const MOST_WORKERS: usize = 4;

/// How long a leader may take to answer before another broker is asked whether it still is one.
const STALL: Duration = Duration::from_secs(1);
