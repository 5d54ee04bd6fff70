//! What fails: a transaction, or all that there could be.

use std::sync::Arc;
use std::time::Instant;

use ottla_core::error::{Certainty, ErrorCode};
use ottla_core::types::TopicName;
use ottla_protocol::ApiKey;

use super::asking::Protocol;
use super::open::Open;
use super::verdict::{self, Verdict};
use super::{State, Transactions};
use crate::error::{AbortCause, FatalCause, SendError, TransactionError};
use crate::machine::identity::Identity;

/// Why batches are to be given up.
#[derive(Debug, Clone)]
pub(crate) enum Abandonment {
    Aborted(Arc<AbortCause>),
    Ended(Arc<FatalCause>),
}

impl Abandonment {
    /// Why a record for `topic` fails, that leaves open as much as `certainty`.
    pub(crate) fn error(&self, topic: &TopicName, certainty: Certainty) -> SendError {
        let topic = topic.clone();
        match self {
            Self::Aborted(cause) => {
                SendError::TransactionAborted { topic, certainty, cause: Arc::clone(cause) }
            }
            Self::Ended(cause) => {
                SendError::TransactionsEnded { topic, certainty, cause: Arc::clone(cause) }
            }
        }
    }
}

impl Transactions {
    /// Takes note that something of the transaction failed before a broker was asked, or a batch.
    pub(crate) fn handle_failed_send(&mut self, error: &SendError) {
        let Some(open) = self.open_mut() else { return };
        match verdict::of_batch(error.code()) {
            Verdict::Fenced => {
                let code = error.code().unwrap_or(ErrorCode::ProducerFenced);
                self.end_for(FatalCause::Fenced { code });
            }
            Verdict::Fatal => self.end_for(FatalCause::Send(error.clone())),
            Verdict::Forgotten => {
                open.forgotten = true;
                self.fail(AbortCause::Send(error.clone()));
            }
            _ => self.fail(AbortCause::Send(error.clone())),
        }
    }

    /// Why batches of the transaction are to be given up, if they are.
    pub(crate) fn abandonment(&self) -> Option<Abandonment> {
        match &self.state {
            State::Failed(_, cause) | State::Aborting { cause, .. } => {
                Some(Abandonment::Aborted(Arc::clone(cause)))
            }
            State::Fatal(cause) => Some(Abandonment::Ended(Arc::clone(cause))),
            _ => None,
        }
    }

    /// Whether the transaction has failed, and why.
    pub(crate) fn failure(&self) -> Option<TransactionError> {
        match &self.state {
            State::Failed(_, cause) => Some(self.aborted_for(cause)),
            State::Fatal(_) => Some(self.fatal_error(Certainty::NotWritten)),
            _ => None,
        }
    }

    /// The transaction must be aborted. The first cause counts.
    pub(super) fn fail(&mut self, cause: AbortCause) {
        let cause = Arc::new(cause);
        self.state = match std::mem::replace(&mut self.state, State::Ready) {
            State::Open(open) => {
                tracing::info!(transactional_id = %self.id, %cause, "a transaction failed");
                State::Failed(open, cause)
            }
            State::Committing { open, asked: false, .. } => {
                self.outcome = Some(Err(self.aborted_for(&cause)));
                State::Aborting { open, drained: false, cause }
            }
            other => other,
        };
        // What comes next is another request.
        self.retry_at = None;
        self.patience.reset();
    }

    /// A coordinator says that there is a newer producer. It says so as well once it has itself
    /// aborted a transaction that took too long, and raised the epoch by one for that (KIP-588).
    ///
    /// With protocol 1, the producer then claims to be the one with that epoch: if another producer
    /// has come, the epoch is another, and the claim is refused. With protocol 2, to ask for the
    /// abort again gives the epoch.
    pub(super) fn fenced(&mut self, code: ErrorCode, now: Instant) {
        let timeout = self.timeout;
        let epoch = self
            .identity
            .and_then(|identity| Some(Identity { epoch: identity.epoch.next()?, ..identity }));
        let ends =
            matches!(self.state, State::Aborting { .. } | State::Committing { asked: true, .. });
        let may_be_committed = self.may_be_committed();
        let took_too_long = |open: &&mut Open| open.has_taken(timeout, now) && !may_be_committed;
        let Some(open) = self.open_mut().filter(took_too_long) else {
            return self.end_for(FatalCause::Fenced { code });
        };
        match (open.protocol, epoch) {
            (Protocol::One, Some(epoch)) => {
                open.forgotten = true;
                self.identity = Some(epoch);
            }
            (Protocol::Two, _) if !ends => {}
            _ => return self.end_for(FatalCause::Fenced { code }),
        }
        match &self.state {
            State::Committing { asked: true, .. } => {
                self.take_back(AbortCause::TimedOut { timeout });
            }
            _ => self.fail(AbortCause::TimedOut { timeout }),
        }
    }

    pub(super) fn refuse(&mut self, api: &ApiKey, code: ErrorCode) {
        self.end_for(FatalCause::Refused { api: *api, code });
    }

    pub(super) fn end_for(&mut self, cause: FatalCause) {
        let certainty = if self.may_be_committed() {
            Certainty::PossiblyWritten
        } else {
            Certainty::NotWritten
        };
        tracing::warn!(transactional_id = %self.id, %cause, "no more transactions");
        self.state = State::Fatal(Arc::new(cause));
        if self.outcome.is_none() {
            self.outcome = Some(Err(self.fatal_error(certainty)));
        }
    }

    /// Whether a commit was sent of which nobody knows what became of it.
    pub(super) fn may_be_committed(&self) -> bool {
        matches!(&self.state, State::Committing { open, asked: true, .. } if open.lost_end)
    }

    pub(super) fn aborted(&self, cause: AbortCause) -> TransactionError {
        self.aborted_for(&Arc::new(cause))
    }

    pub(super) fn aborted_for(&self, cause: &Arc<AbortCause>) -> TransactionError {
        TransactionError::Aborted { id: self.id.clone(), cause: Arc::clone(cause) }
    }

    pub(super) fn fatal_error(&self, certainty: Certainty) -> TransactionError {
        let State::Fatal(cause) = &self.state else {
            return TransactionError::Closed { id: self.id.clone() };
        };
        TransactionError::Fatal { id: self.id.clone(), cause: Arc::clone(cause), certainty }
    }
}
