//! The transactions of one producer, one after the other.

mod answers;
mod asking;
mod failing;
mod open;
mod patience;
mod verdict;
pub(crate) mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytestring::ByteString;
use ottla_core::error::Certainty;
use ottla_core::retry::Deadline;
use ottla_core::types::{ConsumerGroupMetadata, Offsets, TopicPartition};

use super::identity::Identity;
use crate::error::{AbortCause, FatalCause, TransactionError, Trouble};

#[cfg(feature = "net")]
pub(crate) use answers::Reply;
pub(crate) use asking::{Call, Decision, Protocol};
pub(crate) use failing::Abandonment;
use open::Open;
pub(crate) use patience::Patience;

/// The transactions of one producer, one after the other: which request is to be sent next, what its
/// answer means, and what has become of each transaction.
///
/// ```text
///                   ┌─────────────── an epoch is needed ───────────────┐
///                   v                                                  │
///   ──build──> Initializing ──> Ready ──begin──> Open ──commit──> Committing ──> Ready
///                                                 │ │                  │
///                                          failure│ └──abort──┐        │failure, before EndTxn
///                                                 v           v        v
///                                              Failed ─abort─> Aborting ──> Ready
///
///   any ──fenced, or refused for good──> Fatal
/// ```
///
/// At most one request is under way: a coordinator does one after the other anyhow. Once `EndTxn` was
/// sent with a commit, the transaction is never aborted: the same request is sent until an answer
/// says what became of it.
///
/// With protocol 1 the producer keeps its epoch from one transaction to the next, so a request of the
/// one before that arrives late would be taken for one of the next (KAFKA-17754). Whenever one of
/// them was not answered, or a batch was given up, it therefore asks for the next epoch first. With
/// protocol 2 each end gives it one (KIP-890).
///
/// # Kafka
///
/// Java's `TransactionManager`.
#[derive(Debug)]
pub(crate) struct Transactions {
    id: ByteString,
    /// `transaction.timeout.ms`.
    timeout: Duration,
    /// How long offsets may take to be taken.
    max_block: Duration,
    identity: Option<Identity>,
    /// Of the transaction that was begun last.
    protocol: Protocol,
    state: State,
    /// The request under way.
    asked: Option<Call>,
    retry_at: Option<Instant>,
    patience: Patience,
    /// What went wrong last with a step that is not done yet.
    trouble: Option<Trouble>,
    /// Of the transaction that was begun last.
    number: u64,
    /// Whether partitions of a transaction that has ended are still to be let go.
    unreleased: bool,
    /// Whether there will be no other transaction.
    closing: bool,
    /// What became of that transaction, once that is known.
    outcome: Option<Result<Decision, TransactionError>>,
}

#[derive(Debug)]
enum State {
    /// An identity is asked for: the first, or the next epoch.
    Initializing,
    /// A transaction may begin.
    Ready,
    /// Records and offsets are taken.
    Open(Open),
    /// It must be aborted.
    Failed(Open, Arc<AbortCause>),
    /// It is to be committed, and `asked` once the coordinator may know.
    Committing { open: Open, drained: bool, asked: bool },
    /// It is to be aborted.
    Aborting { open: Open, drained: bool, cause: Arc<AbortCause> },
    /// Nothing goes any more.
    Fatal(Arc<FatalCause>),
}

/// What becomes of a partition that records are for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Enlisted {
    /// Batches may be sent, as this producer.
    Admitted(Identity),
    /// Not before the coordinator knows of it.
    Pending,
    /// Never: there is no transaction that could be committed.
    Refused,
}

/// What becomes of a wish to begin.
#[derive(Debug, Clone)]
pub(crate) enum Begun {
    /// A transaction is open: its number.
    Open(u64),
    /// The one before has not ended, or there is no identity yet.
    NotYet,
    Refused(TransactionError),
}

impl Transactions {
    /// A producer that asks for its identity.
    pub(crate) fn new(id: ByteString, timeout: Duration, max_block: Duration) -> Self {
        Self {
            id,
            timeout,
            max_block,
            identity: None,
            protocol: Protocol::One,
            state: State::Initializing,
            asked: None,
            retry_at: None,
            patience: Patience::default(),
            trouble: None,
            number: 0,
            unreleased: false,
            closing: false,
            outcome: None,
        }
    }

    /// The transactional id.
    pub(crate) fn id(&self) -> &ByteString {
        &self.id
    }

    /// The time that a transaction has.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// Begins a transaction, if the one before has ended.
    pub(crate) fn begin(&mut self, protocol: Protocol, now: Instant) -> Begun {
        match &self.state {
            State::Ready if self.unreleased => return Begun::NotYet,
            State::Ready => {}
            State::Fatal(_) => {
                return Begun::Refused(self.fatal_error(Certainty::NotWritten));
            }
            State::Initializing
            | State::Open(_)
            | State::Failed(..)
            | State::Committing { .. }
            | State::Aborting { .. } => return Begun::NotYet,
        }
        self.number += 1;
        self.protocol = protocol;
        self.outcome = None;
        self.trouble = None;
        self.state = State::Open(Open::new(protocol, now));
        Begun::Open(self.number)
    }

    /// Takes a partition into the transaction that is open: records for it were taken.
    pub(crate) fn enlist(&mut self, partition: TopicPartition) -> Enlisted {
        match (&mut self.state, self.identity) {
            (State::Open(open), Some(identity)) => open.enlist(partition, identity),
            _ => Enlisted::Refused,
        }
    }

    /// The protocol of the transaction that was begun last.
    pub(crate) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Has offsets committed with the transaction. Returns their place in line, for
    /// [`offsets_outcome`](Self::offsets_outcome).
    pub(crate) fn add_offsets(
        &mut self,
        group: ConsumerGroupMetadata,
        offsets: Offsets,
        now: Instant,
    ) -> Result<u64, TransactionError> {
        let deadline = Deadline::after(now, self.max_block);
        match &mut self.state {
            State::Open(open) => Ok(open.add_offsets(group, offsets, deadline)),
            State::Fatal(_) => Err(self.fatal_error(Certainty::NotWritten)),
            State::Failed(_, cause) | State::Aborting { cause, .. } => {
                Err(TransactionError::Aborted { id: self.id.clone(), cause: Arc::clone(cause) })
            }
            State::Initializing | State::Ready | State::Committing { .. } => {
                Err(self.aborted(AbortCause::GivenUp))
            }
        }
    }

    /// What became of offsets; `None` while they are under way.
    pub(crate) fn offsets_outcome(
        &self,
        number: u64,
        place: u64,
    ) -> Option<Result<(), TransactionError>> {
        match &self.state {
            _ if number != self.number => Some(Err(self.aborted(AbortCause::GivenUp))),
            State::Open(open) | State::Committing { open, .. } => {
                open.has_offsets(place).then_some(Ok(()))
            }
            State::Failed(_, cause) | State::Aborting { cause, .. } => {
                let (id, cause) = (self.id.clone(), Arc::clone(cause));
                Some(Err(TransactionError::Aborted { id, cause }))
            }
            State::Fatal(_) => Some(Err(self.fatal_error(Certainty::NotWritten))),
            State::Initializing | State::Ready => Some(match &self.outcome {
                Some(Ok(Decision::Commit)) => Ok(()),
                Some(Err(error)) => Err(error.clone()),
                Some(Ok(Decision::Abort)) | None => Err(self.aborted(AbortCause::GivenUp)),
            }),
        }
    }

    /// Commits the transaction once all of it is written. One that has failed is aborted instead.
    pub(crate) fn commit(&mut self, number: u64) {
        if number != self.number {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Ready) {
            State::Open(open) => State::Committing { open, drained: false, asked: false },
            State::Failed(open, cause) => {
                self.outcome = Some(Err(self.aborted_for(&cause)));
                State::Aborting { open, drained: false, cause }
            }
            other => other,
        };
    }

    /// Aborts the transaction, unless its end was decided before.
    pub(crate) fn abort(&mut self, number: u64) {
        if number != self.number {
            return;
        }
        self.state = match std::mem::replace(&mut self.state, State::Ready) {
            State::Open(open) => {
                State::Aborting { open, drained: false, cause: Arc::new(AbortCause::GivenUp) }
            }
            State::Failed(open, cause) => State::Aborting { open, drained: false, cause },
            other => other,
        };
    }

    /// Aborts whatever is open: nobody is left who could end it.
    pub(crate) fn wind_down(&mut self) {
        self.abort(self.number);
    }

    /// As [`wind_down`](Self::wind_down), and asks for no identity any more: what nobody will use
    /// would only fence somebody else.
    pub(crate) fn close(&mut self) {
        self.closing = true;
        self.wind_down();
    }

    /// Takes note that nothing of the transaction waits or is under way any more. `gaps` says
    /// whether sequences were spent on batches that are not written.
    pub(crate) fn handle_drained(&mut self, gaps: bool) {
        match &mut self.state {
            State::Committing { drained, .. } => *drained = true,
            State::Aborting { open, drained, .. } => {
                *drained = true;
                open.renew |= gaps && open.protocol == Protocol::One;
            }
            _ => {}
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called, if nothing happens before.
    pub(crate) fn next_timeout(&self) -> Option<Instant> {
        let offsets = match &self.state {
            State::Open(open) | State::Committing { open, .. } => open.next_deadline(),
            _ => None,
        };
        let retry = self.retry_at.filter(|_| self.asked.is_none());
        [offsets, retry].into_iter().flatten().min()
    }

    /// Gives up on offsets that were not taken in time.
    pub(crate) fn handle_timeout(&mut self, now: Instant) {
        let (State::Open(open) | State::Committing { open, .. }) = &self.state else { return };
        if let Some(group_id) = open.overdue(now) {
            self.fail(AbortCause::OffsetsTimeout { group_id, max_block: self.max_block });
        }
    }

    /// Whether it waits for the batches to be settled.
    pub(crate) fn awaits_drain(&self) -> bool {
        matches!(
            self.state,
            State::Committing { drained: false, .. } | State::Aborting { drained: false, .. }
        )
    }

    /// Whether the partitions of a transaction that has ended are to be let go, before
    /// [`handle_released`](Self::handle_released).
    pub(crate) fn needs_release(&self) -> bool {
        self.unreleased
    }

    /// Takes note that no partition belongs to a transaction any more: the next may begin.
    pub(crate) fn handle_released(&mut self) {
        self.unreleased = false;
    }

    /// Whether no transaction is open, and none can be ended: there is nothing to wait for.
    pub(crate) fn is_idle(&self) -> bool {
        let ended = match self.state {
            State::Ready | State::Fatal(_) => true,
            State::Initializing => self.closing,
            _ => false,
        };
        ended && !self.unreleased
    }

    /// Whether there is an identity, or there will never be one.
    pub(crate) fn initialized(&self) -> Option<Result<(), TransactionError>> {
        match &self.state {
            State::Initializing => None,
            State::Fatal(_) => Some(Err(self.fatal_error(Certainty::NotWritten))),
            _ => Some(Ok(())),
        }
    }

    /// What became of a transaction; `None` while that is not known.
    pub(crate) fn outcome(&self, number: u64) -> Option<Result<Decision, TransactionError>> {
        if number != self.number {
            return Some(Err(self.aborted(AbortCause::GivenUp)));
        }
        self.outcome.clone()
    }

    /// What became of the latest transaction, once nothing of it is left to be done.
    pub(crate) fn settled(&self) -> Option<Result<Decision, TransactionError>> {
        let none_begun = match &self.state {
            State::Ready => Ok(Decision::Abort),
            State::Fatal(_) => Err(self.fatal_error(Certainty::NotWritten)),
            _ => return None,
        };
        Some(self.outcome.clone().unwrap_or(none_begun))
    }

    /// What went wrong last with what is not done yet.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.trouble.clone()
    }

    fn open(&self) -> Option<&Open> {
        match &self.state {
            State::Open(open)
            | State::Failed(open, _)
            | State::Committing { open, .. }
            | State::Aborting { open, .. } => Some(open),
            State::Initializing | State::Ready | State::Fatal(_) => None,
        }
    }

    fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.state {
            State::Open(open)
            | State::Failed(open, _)
            | State::Committing { open, .. }
            | State::Aborting { open, .. } => Some(open),
            State::Initializing | State::Ready | State::Fatal(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
