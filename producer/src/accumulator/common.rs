//! What partitions and links of one producer have in common.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use ottla_core::cluster::LeaderHints;
use ottla_core::types::NodeId;
use ottla_protocol::compression::Compression;
use parking_lot::Mutex;

use super::link::BrokerLink;
use super::partition::Partition;
use super::transaction::Enlistment;
use crate::config::ProducerConfig;
use crate::error::SendError;
use crate::machine::batch::{Finished, Terms};
use crate::machine::delivery::Outcome;
use crate::machine::identity::IdentityCell;
use crate::machine::transaction::Transactions;
use crate::partitioner::Choice;
use crate::record::Record;

/// What partitions and links of one producer have in common.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) config: ProducerConfig,
    pub(crate) terms: Arc<Terms>,
    pub(crate) identity: IdentityCell,
    /// The transactions of a transactional producer, whose batches go as part of them alone.
    pub(crate) transaction: Option<Enlistment>,
    pub(crate) choice: Choice,
    pub(crate) host: Box<dyn Host>,
    pub(crate) on_failure: Option<FailureHook>,
    pub(crate) expiries: Expiries,
    closed: AtomicBool,
    delivered: AtomicU64,
    failed: AtomicU64,
}

/// What a producer needs of the world around it.
pub(crate) trait Host: Send + Sync + fmt::Debug {
    fn now(&self) -> Instant;
    /// Milliseconds since 1970, exact to a few.
    fn wall_clock_ms(&self) -> i64;
    fn random(&self) -> u64;
    /// The metadata is stale.
    fn request_refresh(&self);
    fn learn_leaders(&self, hints: &LeaderHints);
    /// A producer id is needed. Called again and again until there is one.
    fn want_identity(&self);
    /// The first expiry is earlier than it was.
    fn watch_expiries(&self);
    /// Records wait for a partition that has no link, because nobody leads it.
    fn want_leader(&self);
    /// There may be something to do for the transaction.
    fn stir_transaction(&self);
    fn open_link(&self, node: NodeId, link: Arc<BrokerLink>);
    /// Does slow work beside the task that has it.
    fn run_beside(&self, work: Box<dyn FnOnce() + Send>);
}

/// Called for each record that was taken and failed.
pub(crate) struct FailureHook(pub(crate) Box<OnFailure>);

type OnFailure = dyn Fn(&Record, &SendError) + Send + Sync;

impl fmt::Debug for FailureHook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FailureHook")
    }
}

impl Common {
    pub(crate) fn new(
        config: ProducerConfig,
        choice: Choice,
        host: Box<dyn Host>,
        on_failure: Option<FailureHook>,
    ) -> Arc<Self> {
        let terms = Arc::new(Terms::new(&config));
        let transaction = config.transactional_id.clone().map(|id| {
            let (timeout, max_block) = (config.transaction_timeout, config.max_block);
            Enlistment::new(Transactions::new(id, timeout, max_block))
        });
        Arc::new(Self {
            transaction,
            config,
            terms,
            identity: IdentityCell::new(),
            choice,
            host,
            on_failure,
            expiries: Expiries::default(),
            closed: AtomicBool::new(false),
            delivered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        })
    }

    /// Takes no records any more, wherever they are for.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Whether no records are taken any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Records acknowledged so far.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    /// Records taken and failed so far.
    pub(crate) fn failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    /// Tells what has become of a batch.
    pub(super) fn resolve(&self, finished: Finished) {
        let Finished { done, records, outcome } = finished;
        let records = u64::from(records.unsigned_abs());
        match &outcome {
            Outcome::Acknowledged { .. } => {
                self.delivered.fetch_add(records, Ordering::Relaxed);
            }
            Outcome::Failed(_) => {
                self.failed.fetch_add(records, Ordering::Relaxed);
            }
            Outcome::Split(_) => {}
        }
        done.resolve(outcome);
        if let Some(hook) = &self.on_failure {
            done.each_failure(|record, error| call(hook, record, error));
        }
    }

    /// Seals a batch: at once where the codec is quick, and beside the caller where it is not. One that
    /// is given up before its turn comes is passed over, and was told in time.
    pub(super) fn seal(self: &Arc<Self>, partition: &Arc<Partition>, id: u64) {
        let (common, partition) = (Arc::clone(self), Arc::clone(partition));
        let seal = move || {
            let Some(work) = partition.slot.lock().queue.begin_seal(id) else { return };
            let (id, sealed) = work.run(&common.terms);
            partition.with(&common, |slot, effects| slot.queue.finish_seal(id, sealed, effects));
        };
        match self.config.compression.compression() {
            Compression::None | Compression::Snappy | Compression::Lz4 => seal(),
            Compression::Gzip | Compression::Zstd => self.host.run_beside(Box::new(seal)),
        }
    }
}

/// Runs what belongs to somebody else: its panic stays here.
fn call(hook: &FailureHook, record: &Record, error: &SendError) {
    let call = std::panic::AssertUnwindSafe(|| (hook.0)(record, error));
    if std::panic::catch_unwind(call).is_err() {
        tracing::error!("on_failure panicked");
    }
}

/// When to look whether batches are too old: one entry for each partition that has any, at the time
/// when its oldest would be.
///
/// Looked at when an entry is due, not when a batch comes or goes: a partition in good health costs
/// one look in each `delivery.timeout.ms`.
#[derive(Debug, Default)]
pub(crate) struct Expiries(Mutex<Entries>);

#[derive(Debug, Default)]
struct Entries {
    by_time: BTreeMap<(Instant, u64), Arc<Partition>>,
    next: u64,
}

impl Expiries {
    /// Adds an entry, and says whether it is the first now.
    pub(super) fn push(&self, at: Instant, partition: Arc<Partition>) -> bool {
        let mut entries = self.0.lock();
        let key = (at, entries.next);
        entries.next += 1;
        entries.by_time.insert(key, partition);
        entries.by_time.first_key_value().is_some_and(|(first, _)| *first == key)
    }

    pub(super) fn pop_due(&self, now: Instant) -> Option<Arc<Partition>> {
        let mut entries = self.0.lock();
        let first = entries.by_time.first_entry().filter(|entry| entry.key().0 <= now)?;
        Some(first.remove())
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.0.lock().by_time.first_key_value().map(|((at, _), _)| *at)
    }
}
