//! What the answers of coordinators change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bytestring::ByteString;
use ottla_core::error::{Certainty, ErrorCode, RequestError};
use ottla_core::retry::Deadline;
use ottla_core::types::{ConsumerGroupMetadata, Offsets, TopicPartition};
use ottla_protocol::ApiKey;

use super::asking::{Call, Decision, Protocol};
use super::verdict::{self, Verdict};
use super::{State, Transactions};
use crate::error::{AbortCause, FatalCause, Trouble};
use crate::machine::identity::Identity;

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

/// When an answer came, and a number that moves what is tried again.
#[derive(Debug, Clone, Copy)]
struct At {
    now: Instant,
    random: u64,
}

impl Transactions {
    /// Takes what came of the request under way. Returns the partitions that batches may be sent to
    /// now, and as whom.
    pub(crate) fn handle_reply(
        &mut self,
        reply: Reply,
        now: Instant,
        random: u64,
    ) -> Option<(Identity, Vec<TopicPartition>)> {
        let (call, at) = (self.asked.take()?, At { now, random });
        match (call, reply) {
            (call, Reply::Failed(error)) => self.unanswered(&call, &error, at),
            (call, Reply::Moved) => {
                self.note_indefinite(&call);
                self.try_again(at);
            }
            (Call::Init { .. }, Reply::Identity(given)) => self.handle_identity(given, at),
            (Call::AddPartitions { identity, partitions }, Reply::Partitions(codes)) => {
                if self.added(&partitions, &codes, at) {
                    return Some((identity, partitions));
                }
            }
            (Call::AddGroup { group_id, .. }, Reply::Code(code)) => {
                self.added_group(group_id, code, at);
            }
            (Call::CommitOffsets { group, offsets, .. }, Reply::Partitions(codes)) => {
                self.committed_offsets(&group, &offsets, &codes, at);
            }
            (Call::End { protocol, decision, .. }, Reply::Identity(given)) => {
                self.ended(given, decision, protocol, at);
            }
            // The shell answers each call in its kind.
            (call, _) => self.refuse(&call.api(), ErrorCode::UnknownServerError),
        }
        None
    }

    fn handle_identity(&mut self, given: Result<Option<Identity>, ErrorCode>, at: At) {
        let code = given.err().unwrap_or(ErrorCode::None);
        match (verdict::of_init(code), given.ok().flatten()) {
            (Verdict::Done, Some(identity)) => {
                self.patience.reset();
                self.trouble = None;
                tracing::info!(transactional_id = %self.id, ?identity, "transactional producer");
                self.identity = Some(identity);
                self.state = State::Ready;
            }
            (Verdict::Retry | Verdict::Done, _) => self.repeat(code, at),
            (Verdict::Fenced, _) => self.end_for(FatalCause::Fenced { code }),
            _ => self.refuse(&ApiKey::InitProducerId, code),
        }
    }

    /// Whether all of the partitions are in the transaction now.
    fn added(
        &mut self,
        partitions: &[TopicPartition],
        codes: &BTreeMap<TopicPartition, ErrorCode>,
        at: At,
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
        self.judge(verdict, code, api, Some(partition), at);
        false
    }

    fn added_group(&mut self, group_id: ByteString, code: ErrorCode, at: At) {
        match verdict::of_group(code) {
            Verdict::Done => {
                self.patience.reset();
                self.trouble = None;
                if let Some(open) = self.open_mut() {
                    open.groups.insert(group_id);
                }
            }
            verdict => self.judge(verdict, code, ApiKey::AddOffsetsToTxn, None, at),
        }
    }

    fn committed_offsets(
        &mut self,
        group: &ConsumerGroupMetadata,
        offsets: &Offsets,
        codes: &BTreeMap<TopicPartition, ErrorCode>,
        at: At,
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
                self.judge(verdict, code, api, Some(partition), at);
            }
        }
    }

    fn ended(
        &mut self,
        given: Result<Option<Identity>, ErrorCode>,
        decision: Decision,
        protocol: Protocol,
        at: At,
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
                self.repeat(code, at);
            }
            Verdict::TimedOut => self.take_back(AbortCause::TimedOut { timeout: self.timeout }),
            Verdict::Abort | Verdict::GroupLost => {
                self.take_back(AbortCause::Refused { api: ApiKey::EndTxn, code, partition: None });
            }
            Verdict::Forgotten | Verdict::NothingToEnd => self.nothing_to_end(decision, code),
            Verdict::Fenced => self.fenced(code, at.now),
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
    pub(super) fn take_back(&mut self, cause: AbortCause) {
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
        at: At,
    ) {
        match verdict {
            Verdict::Done => {}
            Verdict::Retry => self.repeat(code, at),
            Verdict::Forgotten => {
                if let Some(open) = self.open_mut() {
                    open.forgotten = true;
                }
                self.fail(AbortCause::Refused { api, code, partition });
            }
            Verdict::Abort | Verdict::GroupLost | Verdict::TimedOut | Verdict::NothingToEnd => {
                self.fail(AbortCause::Refused { api, code, partition });
            }
            Verdict::Fenced => self.fenced(code, at.now),
            Verdict::Fatal => self.refuse(&api, code),
        }
    }

    /// A request without an answer.
    fn unanswered(&mut self, call: &Call, error: &Arc<RequestError>, at: At) {
        let api = call.api();
        let of_group = matches!(call, Call::CommitOffsets { .. });
        if error.certainty() == Certainty::PossiblyWritten {
            self.note_indefinite(call);
        }
        match &**error {
            RequestError::UnsupportedVersion { .. } | RequestError::Closed { .. } => {
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
                self.judge(verdict, *code, ApiKey::FindCoordinator, None, at);
            }
            _ => {
                self.trouble = Some(Trouble::Request(Arc::clone(error)));
                self.try_again(at);
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

    fn repeat(&mut self, code: ErrorCode, at: At) {
        self.trouble = Some(Trouble::Code(code));
        self.try_again(at);
    }

    fn try_again(&mut self, at: At) {
        let wait = self.patience.next(at.random);
        self.retry_at = Some(Deadline::after(at.now, wait).instant());
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
