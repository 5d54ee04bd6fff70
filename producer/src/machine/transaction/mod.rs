//! The transactions of one producer, one after the other.

mod open;
mod patience;
mod verdict;
pub(crate) mod wire;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytestring::ByteString;
use ottla_core::error::{Certainty, ErrorCode, RequestError};
use ottla_core::retry::Deadline;
use ottla_core::types::{ConsumerGroupMetadata, Offsets, TopicPartition};
use ottla_protocol::ApiKey;

use super::identity::Identity;
use crate::error::{AbortCause, FatalCause, SendError, TransactionError, Trouble};

use open::{Open, Step};
pub(crate) use patience::Patience;
use verdict::Verdict;

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

/// What came of a request.
#[derive(Debug, Clone)]
pub(crate) enum Reply {
    /// To `InitProducerId` and `EndTxn`: the identity from now on, if one was given.
    Identity(Result<Option<Identity>, ErrorCode>),
    /// To `AddOffsetsToTxn`.
    Code(ErrorCode),
    /// To `AddPartitionsToTxn` and `TxnOffsetCommit`.
    Partitions(BTreeMap<TopicPartition, ErrorCode>),
    /// There was none.
    Failed(Arc<RequestError>),
    /// Another broker coordinates by now, and the one that was asked has not answered.
    Moved,
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

/// Why batches are to be given up.
#[derive(Debug, Clone)]
pub(crate) enum Abandonment {
    Aborted(Arc<AbortCause>),
    Ended(Arc<FatalCause>),
}

impl Abandonment {
    /// Why a record for `topic` fails, that leaves open as much as `certainty`.
    pub(crate) fn error(
        &self,
        topic: &ottla_core::types::TopicName,
        certainty: Certainty,
    ) -> SendError {
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

    /// Takes what came of the request under way. Returns the partitions that batches may be sent to
    /// now, and as whom.
    pub(crate) fn handle_reply(
        &mut self,
        reply: Reply,
        now: Instant,
        random: u64,
    ) -> Option<(Identity, Vec<TopicPartition>)> {
        let call = self.asked.take()?;
        match (call, reply) {
            (call, Reply::Failed(error)) => self.unanswered(&call, &error, now, random),
            (call, Reply::Moved) => {
                self.note_indefinite(&call);
                self.try_again(now, random);
            }
            (Call::Init { .. }, Reply::Identity(given)) => self.handle_identity(given, now, random),
            (Call::AddPartitions { identity, partitions }, Reply::Partitions(codes)) => {
                if self.added(&partitions, &codes, now, random) {
                    return Some((identity, partitions));
                }
            }
            (Call::AddGroup { group_id, .. }, Reply::Code(code)) => {
                self.added_group(group_id, code, now, random);
            }
            (Call::CommitOffsets { group, offsets, .. }, Reply::Partitions(codes)) => {
                self.committed_offsets(&group, &offsets, &codes, now, random);
            }
            (Call::End { protocol, decision, .. }, Reply::Identity(given)) => {
                self.ended(given, decision, protocol, now, random);
            }
            // The shell answers each call in its kind.
            (call, _) => self.refuse(&call.api(), ErrorCode::UnknownServerError),
        }
        None
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
        matches!(self.state, State::Ready | State::Fatal(_)) && !self.unreleased
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

    /// Whether the transaction has failed, and why.
    pub(crate) fn failure(&self) -> Option<TransactionError> {
        match &self.state {
            State::Failed(_, cause) => Some(self.aborted_for(cause)),
            State::Fatal(_) => Some(self.fatal_error(Certainty::NotWritten)),
            _ => None,
        }
    }

    /// What went wrong last with what is not done yet.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        self.trouble.clone()
    }
}

/// What is to be sent.
impl Transactions {
    fn next_call(&mut self) -> Option<Call> {
        loop {
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
    fn complete(&mut self, decision: Decision) {
        let renew = self.open().is_some_and(|open| open.renew || open.forgotten);
        if self.outcome.is_none() {
            self.outcome = Some(Ok(decision));
        }
        self.state = if renew { State::Initializing } else { State::Ready };
        self.unreleased = true;
        self.trouble = None;
    }
}

/// What answers mean.
impl Transactions {
    fn handle_identity(
        &mut self,
        given: Result<Option<Identity>, ErrorCode>,
        now: Instant,
        random: u64,
    ) {
        let code = given.err().unwrap_or(ErrorCode::None);
        match (verdict::of_init(code), given.ok().flatten()) {
            (Verdict::Done, Some(identity)) => {
                self.patience.reset();
                self.trouble = None;
                self.identity = Some(identity);
                self.state = State::Ready;
            }
            (Verdict::Retry | Verdict::Done, _) => self.repeat(code, now, random),
            (Verdict::Fenced, _) => self.end_for(FatalCause::Fenced { code }),
            _ => self.refuse(&ApiKey::InitProducerId, code),
        }
    }

    /// Whether all of the partitions are in the transaction now.
    fn added(
        &mut self,
        partitions: &[TopicPartition],
        codes: &BTreeMap<TopicPartition, ErrorCode>,
        now: Instant,
        random: u64,
    ) -> bool {
        let worst = worst(partitions.iter(), codes, verdict::of_partition);
        let Some((partition, code, verdict)) = worst else {
            self.patience.reset();
            self.trouble = None;
            let Some(open) = self.open_mut() else { return false };
            open.handle_added(partitions);
            return matches!(self.state, State::Open(_) | State::Committing { .. });
        };
        let api = ApiKey::AddPartitionsToTxn;
        self.judge(verdict, code, api, Some(partition), now, random);
        false
    }

    fn added_group(&mut self, group_id: ByteString, code: ErrorCode, now: Instant, random: u64) {
        match verdict::of_group(code) {
            Verdict::Done => {
                self.patience.reset();
                self.trouble = None;
                if let Some(open) = self.open_mut() {
                    open.groups.insert(group_id);
                }
            }
            verdict => self.judge(verdict, code, ApiKey::AddOffsetsToTxn, None, now, random),
        }
    }

    fn committed_offsets(
        &mut self,
        group: &ConsumerGroupMetadata,
        offsets: &Offsets,
        codes: &BTreeMap<TopicPartition, ErrorCode>,
        now: Instant,
        random: u64,
    ) {
        if let Some(open) = self.open_mut() {
            let taken = |partition: &&TopicPartition| {
                codes.get(*partition).is_some_and(|code| !code.is_error())
            };
            open.handle_offsets(offsets.keys().filter(taken));
        }
        match worst(offsets.keys(), codes, verdict::of_offset) {
            None => {
                self.patience.reset();
                self.trouble = None;
            }
            Some((_, code, Verdict::GroupLost)) => {
                self.fail(AbortCause::GroupLost { group_id: group.group_id.clone(), code });
            }
            Some((partition, code, verdict)) => {
                let api = ApiKey::TxnOffsetCommit;
                self.judge(verdict, code, api, Some(partition), now, random);
            }
        }
    }

    fn ended(
        &mut self,
        given: Result<Option<Identity>, ErrorCode>,
        decision: Decision,
        protocol: Protocol,
        now: Instant,
        random: u64,
    ) {
        let code = given.err().unwrap_or(ErrorCode::None);
        match verdict::of_end(code, decision, protocol) {
            Verdict::Done => {
                self.patience.reset();
                self.identity = given.ok().flatten().or(self.identity);
                self.complete(decision);
            }
            Verdict::Retry => {
                self.note_doubtful_end(code);
                self.repeat(code, now, random);
            }
            Verdict::TimedOut => self.take_back(AbortCause::TimedOut { timeout: self.timeout }),
            Verdict::Abort | Verdict::GroupLost => {
                self.take_back(AbortCause::Refused { api: ApiKey::EndTxn, code, partition: None });
            }
            Verdict::Forgotten | Verdict::NothingToEnd => self.nothing_to_end(decision, code),
            Verdict::Fenced => self.fenced(code, now),
            Verdict::Fatal => self.refuse(&ApiKey::EndTxn, code),
        }
    }

    /// The coordinator does not know of the transaction any more. Of a commit that was not answered,
    /// it may have known.
    fn nothing_to_end(&mut self, decision: Decision, code: ErrorCode) {
        if self.may_be_committed() {
            return self.refuse(&ApiKey::EndTxn, code);
        }
        if let Some(open) = self.open_mut() {
            open.forgotten = true;
        }
        match decision {
            Decision::Abort => self.complete(Decision::Abort),
            Decision::Commit => {
                self.take_back(AbortCause::Refused { api: ApiKey::EndTxn, code, partition: None });
            }
        }
    }

    /// Takes note of an answer that leaves open whether the end was decided.
    fn note_doubtful_end(&mut self, code: ErrorCode) {
        let is_elsewhere =
            matches!(code, ErrorCode::NotCoordinator | ErrorCode::CoordinatorLoadInProgress);
        if let Some(open) = self.open_mut() {
            open.lost_end |= !is_elsewhere;
        }
    }

    /// The coordinator says that the transaction is not committed.
    fn take_back(&mut self, cause: AbortCause) {
        let State::Committing { open, .. } = std::mem::replace(&mut self.state, State::Ready)
        else {
            return;
        };
        let cause = Arc::new(cause);
        self.outcome = Some(Err(self.aborted_for(&cause)));
        self.state = State::Aborting { open, drained: true, cause };
    }

    fn judge(
        &mut self,
        verdict: Verdict,
        code: ErrorCode,
        api: ApiKey,
        partition: Option<TopicPartition>,
        now: Instant,
        random: u64,
    ) {
        match verdict {
            Verdict::Done => {}
            Verdict::Retry => self.repeat(code, now, random),
            Verdict::Forgotten => {
                if let Some(open) = self.open_mut() {
                    open.forgotten = true;
                }
                self.fail(AbortCause::Refused { api, code, partition });
            }
            Verdict::Abort | Verdict::GroupLost | Verdict::TimedOut | Verdict::NothingToEnd => {
                self.fail(AbortCause::Refused { api, code, partition });
            }
            Verdict::Fenced => self.fenced(code, now),
            Verdict::Fatal => self.refuse(&api, code),
        }
    }

    /// A request without an answer.
    fn unanswered(&mut self, call: &Call, error: &Arc<RequestError>, now: Instant, random: u64) {
        let api = call.api();
        let of_group = matches!(call, Call::CommitOffsets { .. });
        if error.certainty() == Certainty::PossiblyWritten {
            self.note_indefinite(call);
        }
        match &**error {
            RequestError::UnsupportedVersion { .. } => {
                self.end_for(FatalCause::Request { api, source: Arc::clone(error) });
            }
            RequestError::Encode { .. } if of_group => {
                self.fail(AbortCause::Request { api, source: Arc::clone(error) });
            }
            RequestError::Encode { .. } => {
                self.end_for(FatalCause::Request { api, source: Arc::clone(error) });
            }
            RequestError::Unroutable { code } => {
                let verdict = verdict::of_lookup(*code, of_group);
                self.judge(verdict, *code, ApiKey::FindCoordinator, None, now, random);
            }
            _ => {
                self.trouble = Some(Trouble::Request(Arc::clone(error)));
                self.try_again(now, random);
            }
        }
    }

    /// Takes note that a coordinator may act on a request later still.
    fn note_indefinite(&mut self, call: &Call) {
        let ends = matches!(call, Call::End { .. });
        if let Some(open) = self.open_mut() {
            open.renew |= open.protocol == Protocol::One;
            open.lost_end |= ends;
        }
    }

    fn repeat(&mut self, code: ErrorCode, now: Instant, random: u64) {
        self.trouble = Some(Trouble::Code(code));
        self.try_again(now, random);
    }

    fn try_again(&mut self, now: Instant, random: u64) {
        let wait = self.patience.next(random);
        self.retry_at = Some(Deadline::after(now, wait).instant());
    }
}

/// What fails.
impl Transactions {
    /// The transaction must be aborted. The first cause counts.
    fn fail(&mut self, cause: AbortCause) {
        let cause = Arc::new(cause);
        self.state = match std::mem::replace(&mut self.state, State::Ready) {
            State::Open(open) => {
                tracing::debug!(transactional_id = %self.id, %cause, "a transaction failed");
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
    fn fenced(&mut self, code: ErrorCode, now: Instant) {
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
                self.take_back(AbortCause::TimedOut { timeout })
            }
            _ => self.fail(AbortCause::TimedOut { timeout }),
        }
    }

    fn refuse(&mut self, api: &ApiKey, code: ErrorCode) {
        self.end_for(FatalCause::Refused { api: *api, code });
    }

    fn end_for(&mut self, cause: FatalCause) {
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
    fn may_be_committed(&self) -> bool {
        matches!(&self.state, State::Committing { open, asked: true, .. } if open.lost_end)
    }

    fn aborted(&self, cause: AbortCause) -> TransactionError {
        self.aborted_for(&Arc::new(cause))
    }

    fn aborted_for(&self, cause: &Arc<AbortCause>) -> TransactionError {
        TransactionError::Aborted { id: self.id.clone(), cause: Arc::clone(cause) }
    }

    fn fatal_error(&self, certainty: Certainty) -> TransactionError {
        let State::Fatal(cause) = &self.state else {
            return TransactionError::Closed { id: self.id.clone() };
        };
        TransactionError::Fatal { id: self.id.clone(), cause: Arc::clone(cause), certainty }
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

/// Of several rows, what is worst, if not all are done. A row that is missing was not done.
fn worst<'a>(
    asked: impl Iterator<Item = &'a TopicPartition>,
    codes: &BTreeMap<TopicPartition, ErrorCode>,
    verdict: impl Fn(ErrorCode) -> Verdict,
) -> Option<(TopicPartition, ErrorCode, Verdict)> {
    let rows = asked.filter_map(|partition| {
        let code = codes.get(partition).copied().unwrap_or(ErrorCode::RequestTimedOut);
        let verdict = verdict(code);
        (verdict != Verdict::Done).then(|| (partition.clone(), code, verdict))
    });
    // "Not attempted" says that another row has the reason.
    rows.max_by_key(|(_, code, verdict)| {
        let rank = match verdict {
            Verdict::Done => 0,
            Verdict::Retry => 1,
            Verdict::Abort | Verdict::TimedOut | Verdict::NothingToEnd => 2,
            Verdict::GroupLost => 3,
            Verdict::Forgotten => 4,
            Verdict::Fenced => 5,
            Verdict::Fatal => 6,
        };
        (rank, *code != ErrorCode::OperationNotAttempted)
    })
}

#[cfg(test)]
mod tests;
