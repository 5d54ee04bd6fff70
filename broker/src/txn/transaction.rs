//! One transactional id, and the transaction that its producer has open.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::{ByteString, ErrorCode};

use super::identity::{Identity, NewId, Producer};
use crate::group::TransactionResult;
use crate::world::Now;

/// A transactional id: who its producer is, and what has become of the latest transaction.
///
/// ```text
///           add                 end                     markers written
/// Empty ─────────> Ongoing ───────────> Preparing ─────────────────────> Complete
///   ^ ^               ^     fence           ^                             │ │ │
///   │ └──── init ─────┼─────────────────────┼──────── init ───────────────┘ │ │
///   │                 └─────────────────────┼──────── add ──────────────────┘ │
///   └── init                                └──────── abort (protocol 2) ─────┘
/// ```
///
/// An abort of nothing is only known to protocol 2, from `Empty` as from `Complete`.
#[derive(Debug)]
pub(super) struct Transaction {
    identity: Identity,
    /// How long a transaction may take (`transaction.timeout.ms`).
    timeout: Duration,
    /// How many coordinators it has had, less one.
    coordinator_epoch: i32,
    /// When it changed last.
    updated: Now,
    state: State,
}

/// What becomes of a transaction.
#[derive(Debug)]
enum State {
    /// There was none since the producer was initialised.
    Empty,
    /// It is open.
    Ongoing { since: Now, targets: BTreeSet<Target> },
    /// It is decided, and not all have been told yet.
    Preparing(Ending),
    /// It has ended everywhere.
    Complete { result: TransactionResult, since: Now },
}

#[derive(Debug)]
struct Ending {
    result: TransactionResult,
    since: Now,
    /// Those that have not got their marker yet.
    targets: BTreeMap<Target, Marker>,
    /// The producer's next id, if this transaction used up the last epoch (KIP-890).
    next_id: Option<i64>,
}

/// What takes part in a transaction, and gets a marker when it ends.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// A partition, by the name of its topic: whichever topic has that name in the end.
    Partition(ByteString, i32),
    /// The offsets of a group.
    Offsets(ByteString),
}

/// How far a marker has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marker {
    /// It is to be written.
    Due,
    /// It is in the leader's log, and not yet below the high watermark.
    Written(WrittenMarker),
}

/// Where a marker is. A leader of another epoch may not have it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct WrittenMarker {
    pub(crate) topic: ottla_protocol::Uuid,
    pub(crate) leader_epoch: i32,
    pub(crate) offset: i64,
}

/// The protocol of a transaction: what ends it, and with which epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    /// A producer keeps its epoch (KIP-98).
    One,
    /// Each end gives it the next one (KIP-890).
    Two,
}

/// What `InitProducerId` was asked with.
pub(super) struct Init<'a> {
    /// Who the producer thinks it is, if it goes on after an error (KIP-360).
    pub(super) expected: Option<Producer>,
    pub(super) timeout: Duration,
    /// The protocol to abort with what is still open.
    pub(super) protocol: Protocol,
    pub(super) new_id: NewId<'a>,
}

impl Transaction {
    /// A producer that nobody has heard of: its id is new, its epoch 0.
    pub(super) fn new(id: i64, timeout: Duration, now: Now) -> Self {
        Self {
            identity: Identity::new(id),
            timeout,
            coordinator_epoch: 0,
            updated: now,
            state: State::Empty,
        }
    }

    /// Gives the producer its next epoch, which fences whoever has the one before.
    ///
    /// # Errors
    ///
    /// `PRODUCER_FENCED` for a producer that is not the latest one, `CONCURRENT_TRANSACTIONS`
    /// while a transaction has not ended everywhere. One that is open is aborted first.
    pub(super) fn init(&mut self, init: Init<'_>, now: Now) -> Result<Producer, ErrorCode> {
        let Init { expected, timeout, protocol, new_id } = init;
        self.check_settled()?;
        if expected.is_some_and(|expected| !self.identity.may_be(expected)) {
            return Err(ErrorCode::ProducerFenced);
        }
        if self.is_ongoing() {
            self.fence(protocol, new_id, now);
            return Err(ErrorCode::ConcurrentTransactions);
        }
        self.identity.begin(expected.map(|expected| expected.epoch), new_id)?;
        self.timeout = timeout;
        self.state = State::Empty;
        self.updated = now;
        Ok(self.producer())
    }

    /// Takes more into the transaction, and begins one if there is none.
    ///
    /// # Errors
    ///
    /// As [`check_settled`](Self::check_settled), and then as [`Identity::check`].
    pub(super) fn add(
        &mut self,
        producer: Producer,
        more: impl IntoIterator<Item = Target>,
        now: Now,
    ) -> Result<(), ErrorCode> {
        self.check_settled()?;
        self.identity.check(producer)?;
        self.updated = now;
        match &mut self.state {
            State::Ongoing { targets, .. } => targets.extend(more),
            State::Empty | State::Preparing(_) | State::Complete { .. } => {
                let targets = more.into_iter().collect();
                self.state = State::Ongoing { since: now, targets };
            }
        }
        Ok(())
    }

    /// Whether something takes part in the transaction that is open.
    ///
    /// # Errors
    ///
    /// As [`Identity::check`], then as [`check_settled`](Self::check_settled), and
    /// `TRANSACTION_ABORTABLE` when it does not (KIP-890).
    pub(super) fn verify(&self, producer: Producer, target: &Target) -> Result<(), ErrorCode> {
        self.identity.check(producer)?;
        self.check_settled()?;
        match &self.state {
            State::Ongoing { targets, .. } if targets.contains(target) => Ok(()),
            State::Empty | State::Ongoing { .. } | State::Preparing(_) | State::Complete { .. } => {
                Err(ErrorCode::TransactionAbortable)
            }
        }
    }

    /// Whether no end is on its way. Where one is, Kafka's coordinator has a transition pending, and
    /// looks at that before most else.
    ///
    /// # Errors
    ///
    /// `CONCURRENT_TRANSACTIONS` until all have got their markers.
    fn check_settled(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::Preparing(_) => Err(ErrorCode::ConcurrentTransactions),
            State::Empty | State::Ongoing { .. } | State::Complete { .. } => Ok(()),
        }
    }

    /// Ends the transaction, as its producer asks. Returns who the producer is from now on.
    ///
    /// # Errors
    ///
    /// `INVALID_PRODUCER_ID_MAPPING` and `PRODUCER_FENCED` for another producer,
    /// `CONCURRENT_TRANSACTIONS` while an end is being done, which protocol 2 says first, and
    /// `INVALID_TXN_STATE` when it was decided otherwise, or there is nothing to end.
    pub(super) fn end(
        &mut self,
        producer: Producer,
        result: TransactionResult,
        protocol: Protocol,
        new_id: NewId<'_>,
        now: Now,
    ) -> Result<Producer, ErrorCode> {
        let decision = match protocol {
            Protocol::One => self.decide_by_state(producer, result)?,
            Protocol::Two => self.decide_by_epoch(producer, result)?,
        };
        if decision == Decision::End {
            self.prepare(result, protocol, new_id, now);
        }
        Ok(self.told())
    }

    /// Protocol 1 tells a repeated request by the state alone.
    fn decide_by_state(
        &self,
        producer: Producer,
        result: TransactionResult,
    ) -> Result<Decision, ErrorCode> {
        self.identity.check(producer)?;
        self.check_settled()?;
        match &self.state {
            State::Ongoing { .. } => Ok(Decision::End),
            State::Complete { result: had, .. } if *had == result => Ok(Decision::Repeat),
            State::Empty | State::Preparing(_) | State::Complete { .. } => {
                Err(ErrorCode::InvalidTxnState)
            }
        }
    }

    /// Protocol 2 tells a repeated request by its epoch, the one before the producer's: the same
    /// epoch asks for the end of the next transaction.
    fn decide_by_epoch(
        &self,
        producer: Producer,
        result: TransactionResult,
    ) -> Result<Decision, ErrorCode> {
        self.check_settled()?;
        let repeats = self.identity.is_just_after(producer);
        if producer.id != self.producer().id && !repeats {
            return Err(ErrorCode::InvalidProducerIdMapping);
        }
        let is_current = producer == self.producer();
        let abort = result == TransactionResult::Abort;
        match &self.state {
            State::Ongoing { .. } if is_current => Ok(Decision::End),
            State::Empty if is_current && abort => Ok(Decision::End),
            State::Empty if is_current => Err(ErrorCode::InvalidTxnState),
            State::Complete { result: had, .. } if repeats && *had == result => {
                Ok(Decision::Repeat)
            }
            State::Complete { .. } if repeats => Err(ErrorCode::InvalidTxnState),
            State::Complete { .. } if is_current && abort => Ok(Decision::End),
            State::Complete { .. } if is_current => Err(ErrorCode::InvalidTxnState),
            State::Empty | State::Ongoing { .. } | State::Preparing(_) | State::Complete { .. } => {
                Err(ErrorCode::ProducerFenced)
            }
        }
    }

    /// Aborts an open transaction that its producer is not to end any more.
    pub(super) fn fence(&mut self, protocol: Protocol, new_id: NewId<'_>, now: Now) {
        if !matches!(self.state, State::Ongoing { .. }) {
            return;
        }
        if protocol == Protocol::One {
            // Nobody is told this epoch: whoever comes next gets one that is higher still.
            self.identity.fence();
        }
        self.prepare(TransactionResult::Abort, protocol, new_id, now);
    }

    /// The decision stands from here on, whatever happens to the coordinator.
    fn prepare(
        &mut self,
        result: TransactionResult,
        protocol: Protocol,
        new_id: NewId<'_>,
        now: Now,
    ) {
        let (since, targets) = match std::mem::replace(&mut self.state, State::Empty) {
            State::Ongoing { since, targets } => (since, targets),
            State::Empty | State::Preparing(_) | State::Complete { .. } => (now, BTreeSet::new()),
        };
        let mut next_id = None;
        if protocol == Protocol::Two {
            next_id = self.identity.is_exhausted().then(new_id);
            self.identity.bump();
        }
        let targets = targets.into_iter().map(|target| (target, Marker::Due)).collect();
        self.state = State::Preparing(Ending { result, since, targets, next_id });
        self.updated = now;
        self.complete_if_done(now);
    }

    /// A target's marker has got further; `None` when the target has ended.
    pub(super) fn handle_marker(&mut self, target: &Target, progress: Option<Marker>, now: Now) {
        let State::Preparing(ending) = &mut self.state else { return };
        match (progress, ending.targets.get_mut(target)) {
            (Some(progress), Some(marker)) => *marker = progress,
            (None, Some(_)) => drop(ending.targets.remove(target)),
            (_, None) => {}
        }
        self.complete_if_done(now);
    }

    fn complete_if_done(&mut self, now: Now) {
        let State::Preparing(ending) = &self.state else { return };
        if !ending.targets.is_empty() {
            return;
        }
        let Ending { result, since, next_id, .. } = *ending;
        if let Some(id) = next_id {
            self.identity.replace(id);
        }
        self.state = State::Complete { result, since };
        self.updated = now;
    }

    /// Who the producer is after the end of its transaction, which may still be going on.
    fn told(&self) -> Producer {
        match self.state {
            State::Preparing(Ending { next_id: Some(id), .. }) => Producer { id, epoch: 0 },
            State::Empty | State::Ongoing { .. } | State::Preparing(_) | State::Complete { .. } => {
                self.producer()
            }
        }
    }

    /// The markers that are not below a high watermark yet, with what they say.
    pub(super) fn markers(&self) -> Option<(TransactionResult, &BTreeMap<Target, Marker>)> {
        match &self.state {
            State::Preparing(ending) => Some((ending.result, &ending.targets)),
            State::Empty | State::Ongoing { .. } | State::Complete { .. } => None,
        }
    }

    /// Its coordinator is another one from now on.
    pub(super) fn handle_coordinator_change(&mut self) {
        self.coordinator_epoch += 1;
    }

    /// How many coordinators it has had, less one.
    pub(super) fn coordinator_epoch(&self) -> i32 {
        self.coordinator_epoch
    }

    /// Its producer, whose epoch is also that of the markers.
    pub(super) fn producer(&self) -> Producer {
        self.identity.current()
    }

    /// How long a transaction may take.
    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// When the latest transaction began; `None` where there was none since the producer was
    /// initialised.
    pub(super) fn since(&self) -> Option<Now> {
        match &self.state {
            State::Empty => None,
            State::Ongoing { since, .. } | State::Complete { since, .. } => Some(*since),
            State::Preparing(ending) => Some(ending.since),
        }
    }

    /// What takes part, and has not ended yet.
    pub(super) fn targets(&self) -> Vec<&Target> {
        match &self.state {
            State::Empty | State::Complete { .. } => Vec::new(),
            State::Ongoing { targets, .. } => targets.iter().collect(),
            State::Preparing(ending) => ending.targets.keys().collect(),
        }
    }

    /// When time alone changes it: the transaction is aborted, or the id forgotten.
    pub(super) fn next_timeout(&self, expiration: Duration) -> Option<Duration> {
        match &self.state {
            State::Ongoing { since, .. } => Some(since.mono.saturating_add(self.timeout)),
            State::Preparing(_) => None,
            State::Empty | State::Complete { .. } => {
                Some(self.updated.mono.saturating_add(expiration))
            }
        }
    }

    /// Whether a transaction is open.
    pub(super) fn is_ongoing(&self) -> bool {
        matches!(self.state, State::Ongoing { .. })
    }

    /// The word for its state.
    pub(super) fn state_name(&self) -> &'static str {
        match &self.state {
            State::Empty => "Empty",
            State::Ongoing { .. } => "Ongoing",
            State::Preparing(Ending { result: TransactionResult::Commit, .. }) => "PrepareCommit",
            State::Preparing(Ending { result: TransactionResult::Abort, .. }) => "PrepareAbort",
            State::Complete { result: TransactionResult::Commit, .. } => "CompleteCommit",
            State::Complete { result: TransactionResult::Abort, .. } => "CompleteAbort",
        }
    }

    /// Leaves the producer one epoch: the next `InitProducerId` hands it out.
    pub(super) fn exhaust_epoch(&mut self) {
        self.identity.exhaust();
    }
}

/// What a request to end a transaction comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    /// It ends.
    End,
    /// It has ended so; the answer was lost.
    Repeat,
}
