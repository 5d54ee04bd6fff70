//! The transaction coordinator (KIP-98, KIP-360, KIP-890).
//!
//! [`Transactions`] holds every transactional id of the cluster. What a request means is decided
//! in [`Transaction`], which knows nothing of requests; the files [`requests`], [`admission`] and
//! [`listing`] hold a handler per API, from request to response.
//!
//! A transaction that is decided owes a marker to each partition and group in it. [`markers`]
//! writes them, at once where that can be done: [`Transactions::due_markers`] names them, and
//! [`Transactions::handle_marker`] is told what became of each.

mod admission;
mod identity;
mod listing;
mod markers;
mod pattern;
mod requests;
mod serve;
#[cfg(test)]
mod tests;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::{ByteString, ErrorCode};

pub(crate) use self::admission::{FIRST_PRODUCE_THAT_ADDS, OffsetsAdmission};
use self::identity::NewId;
pub(crate) use self::identity::Producer;
pub use self::listing::TransactionDescription;
pub(crate) use self::markers::MarkerWait;
pub(crate) use self::serve::serve;
pub(crate) use self::transaction::{Marker, Target, WrittenMarker};
use self::transaction::{Protocol, Transaction};
use crate::group::TransactionResult;
use crate::world::Now;

/// Who asks, and what the cluster looks like to the node that is asked.
#[derive(Clone, Copy)]
pub(crate) struct Caller<'a> {
    /// The version of request and response.
    pub(crate) version: i16,
    /// When.
    pub(crate) now: Now,
    /// The rest of the cluster.
    pub(crate) cluster: &'a dyn ClusterView,
}

/// What transactions ask of the rest of the cluster. Asked once per item of a request, so that an
/// injected error may be among the answers.
pub(crate) trait ClusterView {
    /// Whether the request is to fail altogether.
    ///
    /// # Errors
    ///
    /// Only an injected one.
    fn check_request(&self) -> Result<(), ErrorCode>;

    /// Whether the node that is asked coordinates `transactional_id`.
    ///
    /// # Errors
    ///
    /// `NOT_COORDINATOR`, or why it cannot do so now.
    fn check_coordinator(&self, transactional_id: &str) -> Result<(), ErrorCode>;

    /// Whether a partition exists, and what its topic is called.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    fn check_partition(&self, topic: &str, partition: i32) -> Result<ByteString, ErrorCode>;
}

/// The settings of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransactionConfig {
    /// `transaction.max.timeout.ms`.
    pub(crate) max_timeout: Duration,
    /// `transactional.id.expiration.ms`.
    pub(crate) id_expiration: Duration,
    /// `offsets.topic.num.partitions`: where a group's offsets are said to be.
    pub(crate) offsets_partitions: u32,
    /// `transaction.partition.verification.enable` (KIP-890).
    pub(crate) verifies: bool,
    /// `transaction.two.phase.commit.enable` (KIP-939).
    pub(crate) two_phase_commit: bool,
}

/// The largest level of the feature `transaction.version`, and the one that clusters have unless
/// they are told otherwise: protocol 2 of KIP-890.
pub const MAX_TRANSACTION_VERSION: i16 = 2;

/// Every transactional id of the cluster, whichever node coordinates it.
#[derive(Debug)]
pub(crate) struct Transactions {
    config: TransactionConfig,
    /// The level of the feature `transaction.version`.
    version: i16,
    by_id: BTreeMap<ByteString, Transaction>,
    /// The deadline of each id that has one.
    deadlines: BTreeSet<(Duration, ByteString)>,
    /// The ids that owe markers.
    ending: BTreeSet<ByteString>,
    /// The ids whose markers are held back.
    held: BTreeSet<ByteString>,
    next_producer_id: i64,
}

/// A marker that is to be written, or was and is not committed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DueMarker {
    pub(crate) transactional_id: ByteString,
    pub(crate) producer: Producer,
    pub(crate) coordinator_epoch: i32,
    pub(crate) result: TransactionResult,
    pub(crate) target: Target,
    pub(crate) marker: Marker,
}

impl Transactions {
    /// No transactional id yet.
    pub(crate) fn new(config: TransactionConfig) -> Self {
        Self {
            config,
            version: MAX_TRANSACTION_VERSION,
            by_id: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            ending: BTreeSet::new(),
            held: BTreeSet::new(),
            next_producer_id: 0,
        }
    }

    /// Sets `transaction.partition.verification.enable`, the only setting that need not stand.
    pub(crate) fn set_verifies(&mut self, verifies: bool) {
        self.config.verifies = verifies;
    }

    /// The level of the feature `transaction.version`.
    pub(crate) fn version(&self) -> i16 {
        self.version
    }

    /// Sets the level of the feature `transaction.version`.
    pub(crate) fn set_version(&mut self, version: i16) {
        self.version = version.clamp(0, MAX_TRANSACTION_VERSION);
    }

    /// The protocol of what the coordinator does of its own accord.
    fn protocol(&self) -> Protocol {
        if self.version >= FIRST_OF_PROTOCOL_2 { Protocol::Two } else { Protocol::One }
    }

    /// Aborts what has taken too long, and forgets the ids that nobody uses any more.
    pub(crate) fn handle_timeout(&mut self, now: Now) {
        while let Some((at, _)) = self.deadlines.first()
            && *at <= now.mono
            && let Some((_, id)) = self.deadlines.pop_first()
        {
            match self.by_id.get(&id).map(Transaction::is_ongoing) {
                Some(true) => self.expire(&id, now),
                Some(false) => drop(self.by_id.remove(&id)),
                None => {}
            }
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.deadlines.first().map(|(at, _)| *at)
    }

    /// Aborts the transaction of an id as if it had taken too long. Nothing is done where none is
    /// open.
    pub(crate) fn expire(&mut self, id: &str, now: Now) {
        let protocol = self.protocol();
        self.with(id, |transaction, new_id| transaction.fence(protocol, new_id, now));
    }

    /// Every transactional id, ascending.
    pub(crate) fn ids(&self) -> impl Iterator<Item = &ByteString> {
        self.by_id.keys()
    }

    /// A transactional id has another coordinator from now on, which knows all that was decided.
    pub(crate) fn handle_coordinator_change(&mut self, id: &str) {
        if let Some(transaction) = self.by_id.get_mut(id) {
            transaction.handle_coordinator_change();
        }
    }

    /// Leaves the producer of an id one epoch.
    pub(crate) fn exhaust_epoch(&mut self, id: &str) {
        if let Some(transaction) = self.by_id.get_mut(id) {
            transaction.exhaust_epoch();
        }
    }

    /// Holds the markers of an id back, so that its transactions stay prepared when they end.
    pub(crate) fn hold_markers(&mut self, id: &str) {
        self.held.insert(id.into());
    }

    /// Holds them back no more.
    pub(crate) fn release_markers(&mut self, id: &str) {
        self.held.remove(id);
    }

    /// The markers that decided transactions owe, but for those that are held back.
    pub(crate) fn due_markers(&self) -> Vec<DueMarker> {
        let ids = self.ending.iter().filter(|id| !self.held.contains(*id));
        let owed = ids.filter_map(|id| {
            let transaction = self.by_id.get(id)?;
            let (result, targets) = transaction.markers()?;
            Some(targets.iter().map(move |(target, marker)| DueMarker {
                transactional_id: id.clone(),
                producer: transaction.producer(),
                coordinator_epoch: transaction.coordinator_epoch(),
                result,
                target: target.clone(),
                marker: *marker,
            }))
        });
        owed.flatten().collect()
    }

    /// Whether [`due_markers`](Self::due_markers) names any.
    pub(crate) fn owes_markers(&self) -> bool {
        self.ending.iter().any(|id| !self.held.contains(id))
    }

    /// A marker has got further; `None` when its target has ended.
    pub(crate) fn handle_marker(&mut self, due: &DueMarker, progress: Option<Marker>, now: Now) {
        self.with(&due.transactional_id, |transaction, _| {
            transaction.handle_marker(&due.target, progress, now);
        });
    }

    /// A producer id that nobody has had.
    pub(crate) fn new_producer_id(&mut self) -> i64 {
        take_next(&mut self.next_producer_id)
    }

    /// Acts on an id, with a source of producer ids, and then notes when to look at it again.
    /// `None` where nobody knows it.
    fn with<R>(
        &mut self,
        id: &str,
        act: impl FnOnce(&mut Transaction, NewId<'_>) -> R,
    ) -> Option<R> {
        let (id, _) = self.by_id.get_key_value(id)?;
        let id = id.clone();
        let transaction = self.by_id.get_mut(&id)?;
        let noted = transaction.next_timeout(self.config.id_expiration);
        let next = &mut self.next_producer_id;
        let result = act(transaction, &mut || take_next(next));
        if let Some(noted) = noted {
            self.deadlines.remove(&(noted, id.clone()));
        }
        if let Some(deadline) = transaction.next_timeout(self.config.id_expiration) {
            self.deadlines.insert((deadline, id.clone()));
        }
        if transaction.markers().is_some() {
            self.ending.insert(id);
        } else {
            self.ending.remove(&id);
        }
        Some(result)
    }
}

fn take_next(next: &mut i64) -> i64 {
    let id = *next;
    *next += 1;
    id
}

/// The level of `transaction.version` from which on producers speak protocol 2.
const FIRST_OF_PROTOCOL_2: i16 = 2;
