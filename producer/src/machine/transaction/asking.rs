//! What is asked of coordinators, and when.

use std::time::Instant;

use bytestring::ByteString;
use ottla_core::types::{ConsumerGroupMetadata, Offsets, TopicPartition};
use ottla_protocol::ApiKey;

use super::open::Step;
use super::{State, Transactions};
use crate::machine::identity::Identity;

/// How a transaction is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Commit,
    Abort,
}

/// How producer, leaders and coordinators work a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// The producer tells the coordinator of each partition before it writes to it (KIP-98).
    One,
    /// Leaders tell the coordinator, and each transaction has an epoch of its own (KIP-890).
    Two,
}

impl Protocol {
    /// The protocol of a cluster that has finalized this level of `transaction.version`.
    pub(crate) fn of_level(level: i16) -> Self {
        if level >= 2 { Self::Two } else { Self::One }
    }
}

/// A request to the coordinator of the transaction, or of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Call {
    /// `InitProducerId`: the first identity, or the one after `expected`.
    Init { expected: Option<Identity> },
    /// `AddPartitionsToTxn`.
    AddPartitions { identity: Identity, partitions: Vec<TopicPartition> },
    /// `AddOffsetsToTxn`.
    AddGroup { identity: Identity, group_id: ByteString },
    /// `TxnOffsetCommit`.
    CommitOffsets {
        identity: Identity,
        protocol: Protocol,
        group: ConsumerGroupMetadata,
        offsets: Offsets,
    },
    /// `EndTxn`.
    End { identity: Identity, protocol: Protocol, decision: Decision },
}

impl Call {
    pub(crate) fn api(&self) -> ApiKey {
        match self {
            Self::Init { .. } => ApiKey::InitProducerId,
            Self::AddPartitions { .. } => ApiKey::AddPartitionsToTxn,
            Self::AddGroup { .. } => ApiKey::AddOffsetsToTxn,
            Self::CommitOffsets { .. } => ApiKey::TxnOffsetCommit,
            Self::End { .. } => ApiKey::EndTxn,
        }
    }
}

impl Transactions {
    /// The request to be sent now, if there is one. It counts as under way until
    /// [`handle_reply`](Self::handle_reply).
    pub(crate) fn poll_call(&mut self, now: Instant) -> Option<Call> {
        self.give_up_call();
        if self.asked.is_some() || self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        self.retry_at = None;
        let call = self.next_call()?;
        if let Some(open) = self.open_mut() {
            open.handle_told(now);
        }
        self.asked = Some(call.clone());
        Some(call)
    }

    /// Whether what came of the request under way still matters. If not, it may be dropped.
    pub(crate) fn awaits_reply(&self) -> bool {
        self.asked.is_some()
    }

    fn next_call(&mut self) -> Option<Call> {
        loop {
            if self.closing && matches!(self.state, State::Initializing) {
                return None;
            }
            let Some(identity) = self.identity else {
                let first = matches!(self.state, State::Initializing);
                return first.then_some(Call::Init { expected: None });
            };
            match &mut self.state {
                State::Initializing => return Some(Call::Init { expected: Some(identity) }),
                State::Ready | State::Failed(..) | State::Fatal(_) => return None,
                State::Open(open) => return open.next_call(identity),
                State::Committing { open, drained, asked } => {
                    if let Some(call) = open.next_call(identity) {
                        return Some(call);
                    }
                    if !*drained {
                        return None;
                    }
                    match open.last_step(Decision::Commit) {
                        Step::End => {
                            *asked = true;
                            let (protocol, decision) = (open.protocol, Decision::Commit);
                            return Some(Call::End { identity, protocol, decision });
                        }
                        Step::Renew | Step::Nothing => self.complete(Decision::Commit),
                    }
                }
                State::Aborting { drained: false, .. } => return None,
                State::Aborting { open, .. } => match open.last_step(Decision::Abort) {
                    Step::End => {
                        let (protocol, decision) = (open.protocol, Decision::Abort);
                        return Some(Call::End { identity, protocol, decision });
                    }
                    Step::Renew | Step::Nothing => self.complete(Decision::Abort),
                },
            }
        }
    }

    /// Forgets a request that an abort need not wait for. In protocol 2, what arrives late has an
    /// epoch of the past, and is refused.
    fn give_up_call(&mut self) {
        let State::Aborting { open, .. } = &mut self.state else { return };
        let ends = matches!(self.asked, Some(Call::End { .. }) | None);
        if open.protocol == Protocol::Two && !ends {
            open.started = true;
            self.asked = None;
        }
    }

    /// The transaction has ended; the next one may need another epoch.
    pub(super) fn complete(&mut self, decision: Decision) {
        let renew = self.open().is_some_and(|open| open.renew || open.forgotten);
        if self.outcome.is_none() {
            self.outcome = Some(Ok(decision));
        }
        self.state = if renew { State::Initializing } else { State::Ready };
        self.unreleased = true;
        self.trouble = None;
    }
}
