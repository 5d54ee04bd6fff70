//! Commits, one after the other.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ottla_core::error::{ErrorClass, ErrorCode, RequestError};
use ottla_core::retry::{Backoff, Deadline};
use ottla_core::types::{ConsumerGroupMetadata, TopicPartition};

use super::jobs::{Jobs, Settled};
use super::wire::{PartitionCodes, UNKNOWN_TOPIC_TRIES, is_unknown_topic};
use super::{CommitError, Offsets};
use crate::machine::membership::{Answer, Phase, RETRY, RETRY_MAX, commit_answer};

/// Commits in the order they were asked for, one request at a time, so that a late retry never
/// overwrites a newer commit.
///
/// What waits is sent together: where several name one partition, the newest counts for all of them.
/// A commit that meets a rebalance waits for the next generation, in which it is sent for what was
/// owned all the while; it holds nothing up meanwhile.
#[derive(Debug)]
pub struct Commits {
    jobs: Jobs,
    under_way: Option<UnderWay>,
    /// When to try again; `None` for at once.
    retry_at: Option<Instant>,
    /// The generation that was refused, until there is another.
    refused_in: Option<i32>,
    /// How often in a row the coordinator did not know these partitions' topics.
    unknown: BTreeMap<TopicPartition, u32>,
    backoff: Backoff,
    random: u64,
    next_id: u64,
}

/// Names one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommitId(u64);

/// Who commits, and whether it may now.
#[derive(Debug, Clone, Copy)]
pub struct Seat<'a> {
    /// Who.
    pub metadata: &'a ConsumerGroupMetadata,
    /// Whether it may.
    pub phase: Phase,
    /// What a member [may commit](crate::machine::membership::ClassicMembership::committable):
    /// nothing else is committed for it.
    pub owned: &'a BTreeSet<TopicPartition>,
}

/// Offsets to be sent now. There is no other call before its outcome is brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitCall {
    /// Its name, to be given back with its outcome.
    pub id: CommitId,
    /// Who commits.
    pub metadata: ConsumerGroupMetadata,
    /// What.
    pub offsets: Offsets,
}

/// What the membership has to know about a commit that was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What the coordinator said.
    pub code: ErrorCode,
    /// The generation that the commit named.
    pub generation: i32,
}

#[derive(Debug)]
struct UnderWay {
    id: CommitId,
    offsets: Offsets,
    /// The commits that it is part of.
    jobs: BTreeSet<CommitId>,
    generation: i32,
}

impl Commits {
    /// Nothing to commit. `random` is any number; it moves retries.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Self {
            jobs: Jobs::default(),
            under_way: None,
            retry_at: None,
            refused_in: None,
            unknown: BTreeMap::new(),
            backoff: Backoff::new(RETRY, RETRY_MAX),
            random,
            next_id: 0,
        }
    }

    /// Places a commit in line.
    pub fn commit(&mut self, offsets: Offsets, now: Instant, deadline: Deadline) -> CommitId {
        let id = self.fresh_id();
        self.jobs.put(id, offsets, now, deadline);
        id
    }

    /// Whether nothing is waiting or under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.jobs.is_empty() && self.under_way.is_none()
    }

    /// Takes note of what may be committed now. To be told of every change: what was lost and came
    /// again meanwhile may have been committed further by somebody else, and is not to be taken back.
    pub fn handle_seat(&mut self, seat: &Seat<'_>) {
        match seat.phase {
            Phase::Member | Phase::Joining | Phase::Between => {
                let under_way = self.under_way.as_ref().map(|call| &call.jobs);
                self.jobs.keep_owned(seat.owned, under_way);
            }
            Phase::Standalone | Phase::Outside => {}
        }
    }

    /// The next call that can be made now.
    pub fn poll_call(&mut self, seat: &Seat<'_>, now: Instant) -> Option<CommitCall> {
        self.handle_seat(seat);
        if self.under_way.is_some() || self.jobs.is_empty() {
            return None;
        }
        match seat.phase {
            Phase::Standalone | Phase::Member | Phase::Joining => {}
            Phase::Between => return None,
            Phase::Outside => {
                self.fail_all(&CommitError::NotMember);
                return None;
            }
        }
        let generation = seat.metadata.generation_id;
        if self.refused_in == Some(generation) {
            return None;
        }
        self.refused_in = None;
        if self.retry_at.is_some_and(|at| at > now) || self.jobs.is_empty() {
            return None;
        }
        Some(self.send(seat.metadata.clone(), generation))
    }

    /// Takes the answer to a call, partition by partition. What the membership has to know of it is
    /// returned.
    pub fn handle_answer(
        &mut self,
        id: CommitId,
        codes: &PartitionCodes,
        seat: &Seat<'_>,
        now: Instant,
    ) -> Outcome {
        let Some(under_way) = self.under_way.take_if(|call| call.id == id) else {
            return Outcome::default();
        };
        let mut outcome = Outcome::default();
        let mut settled = BTreeMap::new();
        for partition in under_way.offsets.keys() {
            // A coordinator that says nothing of a partition has not committed it.
            let code = codes.get(partition).copied().unwrap_or(ErrorCode::UnknownServerError);
            let one = self.settle(partition, code, &under_way, seat, &mut outcome);
            settled.insert(partition.clone(), one);
        }
        outcome.committed = under_way.offsets;
        outcome
            .committed
            .retain(|partition, _| matches!(settled.get(partition), Some(Settled::Committed)));
        outcome.retried = settled.values().find_map(|one| match one {
            Settled::Again(code) => Some(*code),
            Settled::Committed | Settled::Failed(_) => None,
        });
        self.apply(&under_way.jobs, &settled, now);
        outcome
    }

    /// Takes note that a call had no answer. Whether it says something about the coordinator.
    pub fn handle_failure(&mut self, id: CommitId, error: &RequestError, now: Instant) -> bool {
        let Some(under_way) = self.under_way.take_if(|call| call.id == id) else { return false };
        if error.class() == ErrorClass::InvalidConfiguration {
            let failed = CommitError::Request(error.clone());
            self.jobs.fail(&failed, Some(&under_way.jobs));
            return false;
        }
        self.handle_unreachable(error);
        self.retry(now);
        true
    }

    /// Takes note of why the coordinator cannot be asked, or does not answer.
    pub fn handle_unreachable(&mut self, error: &RequestError) {
        self.jobs.note_cause(error);
    }

    /// Takes note that the coordinator has moved: what it was asked is asked anew.
    pub fn handle_coordinator_moved(&mut self) {
        self.under_way = None;
        self.retry_at = None;
    }

    /// Ends what waits for a generation in which this consumer has to act first: it cannot, while it
    /// waits for the commit.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.jobs.fail_overdue(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.jobs.next_deadline()
    }

    /// When [`poll_call`](Self::poll_call) has something to send, where there is a coordinator.
    #[must_use]
    pub fn next_call(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.under_way.is_none() && !self.jobs.is_empty())
    }

    /// The next commit that is settled.
    pub fn poll_done(&mut self) -> Option<(CommitId, Result<(), CommitError>)> {
        self.jobs.poll_done()
    }

    /// Ends everything.
    pub fn fail_all(&mut self, error: &CommitError) {
        self.jobs.fail(error, None);
    }

    fn fresh_id(&mut self) -> CommitId {
        self.next_id += 1;
        CommitId(self.next_id)
    }

    fn send(&mut self, metadata: ConsumerGroupMetadata, generation: i32) -> CommitCall {
        let id = self.fresh_id();
        let (offsets, jobs) = (self.jobs.pending(), self.jobs.ids());
        self.under_way = Some(UnderWay { id, offsets: offsets.clone(), jobs, generation });
        CommitCall { id, metadata, offsets }
    }

    fn settle(
        &mut self,
        partition: &TopicPartition,
        code: ErrorCode,
        under_way: &UnderWay,
        seat: &Seat<'_>,
        outcome: &mut Outcome,
    ) -> Settled {
        let generation = under_way.generation;
        let is_current = seat.metadata.generation_id == generation && seat.phase == Phase::Member;
        match commit_answer(code) {
            Answer::Done => Settled::Committed,
            Answer::Retry => Settled::Again(code),
            Answer::Rediscover => {
                outcome.coordinator_lost = true;
                Settled::Again(code)
            }
            Answer::Rejoin => {
                outcome.refusal = Some(Refusal { code, generation });
                Settled::Again(code)
            }
            Answer::RejoinFenced | Answer::RejoinAnew if seat.phase == Phase::Standalone => {
                Settled::Failed(CommitError::Group { code })
            }
            Answer::RejoinFenced | Answer::RejoinAnew if is_current => {
                outcome.refusal = Some(Refusal { code, generation });
                Settled::Failed(CommitError::NotMember)
            }
            // The generation ended while the commit was on its way: the next one will tell.
            Answer::RejoinFenced | Answer::RejoinAnew => {
                self.refused_in = Some(generation);
                Settled::Again(ErrorCode::RebalanceInProgress)
            }
            Answer::FencedInstance => {
                outcome.refusal = Some(Refusal { code, generation });
                Settled::Failed(CommitError::Fenced)
            }
            Answer::UnknownTopic => {
                outcome.topic_unknown = true;
                self.settle_unknown(partition, code)
            }
            Answer::AdoptMemberId | Answer::Refused => {
                Settled::Failed(CommitError::Partition { partition: partition.clone(), code })
            }
        }
    }

    /// A coordinator may hear of a new topic late; one that was deleted is not worth the wait.
    fn settle_unknown(&mut self, partition: &TopicPartition, code: ErrorCode) -> Settled {
        let tries = self.unknown.entry(partition.clone()).or_default();
        *tries += 1;
        if *tries < UNKNOWN_TOPIC_TRIES {
            return Settled::Again(code);
        }
        Settled::Failed(CommitError::Partition { partition: partition.clone(), code })
    }

    fn apply(
        &mut self,
        jobs: &BTreeSet<CommitId>,
        settled: &BTreeMap<TopicPartition, Settled>,
        now: Instant,
    ) {
        let is_unknown =
            |one: &Settled| matches!(one, Settled::Again(code) if is_unknown_topic(*code));
        self.unknown.retain(|partition, _| settled.get(partition).is_none_or(is_unknown));
        let again = settled.values().any(|one| matches!(one, Settled::Again(_)));
        self.jobs.settle(jobs, settled);
        if again {
            self.retry(now);
        } else {
            self.retry_at = None;
            self.backoff.reset();
        }
    }

    fn retry(&mut self, now: Instant) {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.retry_at = Some(now + self.backoff.fail(self.random >> 32));
    }
}

/// What an answer means beyond the commits themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outcome {
    /// What is committed now.
    pub committed: Offsets,
    /// What the membership has to know.
    pub refusal: Option<Refusal>,
    /// Whether the coordinator is another broker.
    pub coordinator_lost: bool,
    /// Whether the coordinator does not know a topic: metadata may be stale.
    pub topic_unknown: bool,
    /// Why some of it is tried again, if any is.
    pub retried: Option<ErrorCode>,
}
