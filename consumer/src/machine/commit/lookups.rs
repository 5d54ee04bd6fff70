//! Committed offsets, looked up.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::error::{ErrorClass, ErrorCode, RequestError};
use ottla_core::retry::{Backoff, Deadline};
use ottla_core::types::TopicPartition;

use super::wire::{LookedUp, UNKNOWN_TOPIC_TRIES, is_unknown_topic};
use super::{CommitError, LookedUpOffsets};
use crate::machine::membership::{Answer, RETRY, RETRY_MAX, fetch_answer};

/// Looks committed offsets up, one request at a time. An error is retried or told, partition by
/// partition, and never taken for "none": where nothing is committed, a consumer starts elsewhere.
#[derive(Debug)]
pub struct Lookups {
    queue: VecDeque<Job>,
    under_way: Option<LookupId>,
    done: VecDeque<(LookupId, Result<LookedUpOffsets, CommitError>)>,
    retry_at: Option<Instant>,
    backoff: Backoff,
    /// Where nothing but the end of a transaction is waited for.
    unstable: Backoff,
    random: u64,
    next_id: u64,
}

/// Names one lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct LookupId(u64);

/// When a lookup is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// When something is known of each of its partitions.
    ForAll,
    /// When something is known of any; the others are left out.
    ForAny,
}

/// Partitions to be asked for now. There is no other call before its outcome is brought back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupCall {
    /// Its name, to be given back with its outcome.
    pub id: LookupId,
    /// The partitions.
    pub partitions: BTreeSet<TopicPartition>,
}

#[derive(Debug)]
struct Job {
    id: LookupId,
    pending: BTreeSet<TopicPartition>,
    wait: Wait,
    found: LookedUpOffsets,
    begun: Instant,
    deadline: Deadline,
    last: Option<ErrorCode>,
    /// How often in a row a topic was not known.
    unknown: u32,
    /// Why the last attempt had no answer.
    cause: Option<Arc<RequestError>>,
}

impl Job {
    /// Whether a partition of which this was said is worth asking for again.
    fn is_asked_again(&self, code: ErrorCode) -> bool {
        match fetch_answer(code) {
            Answer::Retry | Answer::Rejoin | Answer::Rediscover => true,
            // A coordinator may hear of a new topic late.
            Answer::UnknownTopic => self.unknown + 1 < UNKNOWN_TOPIC_TRIES,
            Answer::Done
            | Answer::RejoinFenced
            | Answer::RejoinAnew
            | Answer::AdoptMemberId
            | Answer::FencedInstance
            | Answer::Refused => false,
        }
    }
}

impl Lookups {
    /// Nothing to look up. `random` is any number; it moves retries.
    #[must_use]
    pub fn new(random: u64) -> Self {
        Self {
            queue: VecDeque::new(),
            under_way: None,
            done: VecDeque::new(),
            retry_at: None,
            backoff: Backoff::new(RETRY, RETRY_MAX),
            unstable: Backoff::new(RETRY, UNSTABLE_MAX),
            random,
            next_id: 0,
        }
    }

    /// Places a lookup in line.
    pub fn look_up(
        &mut self,
        partitions: BTreeSet<TopicPartition>,
        wait: Wait,
        now: Instant,
        deadline: Deadline,
    ) -> LookupId {
        self.next_id += 1;
        let id = LookupId(self.next_id);
        if partitions.is_empty() {
            self.done.push_back((id, Ok(LookedUpOffsets::new())));
            return id;
        }
        let found = LookedUpOffsets::new();
        self.queue.push_back(Job {
            id,
            pending: partitions,
            wait,
            found,
            begun: now,
            deadline,
            last: None,
            unknown: 0,
            cause: None,
        });
        id
    }

    /// Takes a lookup out of line that nobody waits for any more. Whether that is done: one whose call
    /// is under way stays until that has ended.
    pub fn give_up(&mut self, id: LookupId) -> bool {
        if self.under_way == Some(id) {
            return false;
        }
        self.queue.retain(|job| job.id != id);
        true
    }

    /// The next call that can be made now.
    pub fn poll_call(&mut self, now: Instant) -> Option<LookupCall> {
        if self.under_way.is_some() || self.retry_at.is_some_and(|at| at > now) {
            return None;
        }
        let Job { id, pending, .. } = self.queue.front()?;
        self.under_way = Some(*id);
        Some(LookupCall { id: *id, partitions: pending.clone() })
    }

    /// Takes the answer to a call. Whether it says that the coordinator is another broker.
    pub fn handle_answer(&mut self, id: LookupId, answer: &LookedUp, now: Instant) -> bool {
        let Some(mut job) = self.take(id) else { return false };
        job.cause = None;
        let mut again = Vec::new();
        let mut refused = None;
        for partition in std::mem::take(&mut job.pending) {
            match answer.of(&partition) {
                Err(code) if job.is_asked_again(code) => {
                    again.push(code);
                    job.last = Some(code);
                    job.pending.insert(partition);
                }
                Err(code) if answer.group_code.is_error() => refused = Some(code),
                told => {
                    job.found.insert(partition, told);
                }
            }
        }
        job.unknown += u32::from(again.iter().any(|code| is_unknown_topic(*code)));
        match refused {
            Some(code) => self.done.push_back((id, Err(CommitError::Group { code }))),
            None => self.put_back(job, &again, now),
        }
        again.into_iter().any(|code| fetch_answer(code) == Answer::Rediscover)
    }

    /// Settles a lookup if enough is known, and places it in line otherwise, to be asked again for
    /// what was answered so.
    fn put_back(&mut self, job: Job, again: &[ErrorCode], now: Instant) {
        let enough = match job.wait {
            Wait::ForAll => job.pending.is_empty(),
            Wait::ForAny => !job.found.is_empty(),
        };
        if enough {
            self.backoff.reset();
            self.unstable.reset();
            self.retry_at = None;
            self.done.push_back((job.id, Ok(job.found)));
        } else if again.iter().all(|code| *code == ErrorCode::UnstableOffsetCommit) {
            // Others need not wait for that transaction.
            self.queue.push_back(job);
            let random = self.draw();
            self.retry_at = Some(now + self.unstable.fail(random));
        } else {
            self.queue.push_front(job);
            self.retry(now);
        }
    }

    /// Takes note that a call had no answer. Whether it says something about the coordinator.
    pub fn handle_failure(&mut self, id: LookupId, error: &RequestError, now: Instant) -> bool {
        let Some(job) = self.take(id) else { return false };
        if error.class() == ErrorClass::InvalidConfiguration {
            self.done.push_back((id, Err(CommitError::Request(error.clone()))));
            return false;
        }
        self.queue.push_front(job);
        self.handle_unreachable(error);
        self.retry(now);
        true
    }

    /// Takes note of why the coordinator cannot be asked, or does not answer.
    pub fn handle_unreachable(&mut self, error: &RequestError) {
        let cause = Arc::new(error.clone());
        self.queue.iter_mut().for_each(|job| job.cause = Some(Arc::clone(&cause)));
    }

    /// Takes note that the coordinator has moved: what it was asked is asked anew.
    pub fn handle_coordinator_moved(&mut self) {
        self.under_way = None;
        self.retry_at = None;
    }

    /// Ends what is overdue.
    pub fn handle_timeout(&mut self, now: Instant) {
        let mut at = 0;
        while let Some(job) = self.queue.get(at) {
            if !job.deadline.is_over(now) {
                at += 1;
                continue;
            }
            let within = job.deadline.instant().saturating_duration_since(job.begun);
            let (last, cause) = (job.last, job.cause.clone());
            let error = CommitError::DeadlineExceeded { within, last, cause };
            let id = job.id;
            self.queue.remove(at);
            self.under_way.take_if(|under_way| *under_way == id);
            self.done.push_back((id, Err(error)));
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.queue.iter().map(|job| job.deadline.instant()).min()
    }

    /// When [`poll_call`](Self::poll_call) has something to send, where there is a coordinator.
    #[must_use]
    pub fn next_call(&self) -> Option<Instant> {
        self.retry_at.filter(|_| self.under_way.is_none() && !self.queue.is_empty())
    }

    /// The next lookup that is settled.
    pub fn poll_done(&mut self) -> Option<(LookupId, Result<LookedUpOffsets, CommitError>)> {
        self.done.pop_front()
    }

    /// Ends everything.
    pub fn fail_all(&mut self, error: &CommitError) {
        self.under_way = None;
        for job in std::mem::take(&mut self.queue) {
            self.done.push_back((job.id, Err(error.clone())));
        }
    }

    /// The job of the call that is under way, if it is this one.
    fn take(&mut self, id: LookupId) -> Option<Job> {
        self.under_way.take_if(|under_way| *under_way == id)?;
        let at = self.queue.iter().position(|job| job.id == id)?;
        self.queue.remove(at)
    }

    fn retry(&mut self, now: Instant) {
        let random = self.draw();
        self.retry_at = Some(now + self.backoff.fail(random));
    }

    fn draw(&mut self) -> u64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random >> 32
    }
}

/// The longest wait for a transaction to end: the application waits all that time.
const UNSTABLE_MAX: Duration = Duration::from_millis(100);
