//! The commits that somebody waits for, in the order they were asked for.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use ottla_core::error::{ErrorCode, RequestError};
use ottla_core::retry::Deadline;
use ottla_core::types::TopicPartition;

use super::commits::CommitId;
use super::{CommitError, Offsets};

/// Commits until they are settled, and their outcomes until those are told.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    queue: VecDeque<Job>,
    done: VecDeque<(CommitId, Result<(), CommitError>)>,
}

/// One commit.
#[derive(Debug)]
struct Job {
    id: CommitId,
    /// What is not settled yet.
    pending: Offsets,
    /// Of that, what was not owned at some moment since: somebody else may have committed more.
    given_up: BTreeSet<TopicPartition>,
    error: Option<CommitError>,
    begun: Instant,
    deadline: Deadline,
    /// What the coordinator said last.
    last: Option<ErrorCode>,
    /// Why the last attempt had no answer.
    cause: Option<Arc<RequestError>>,
}

/// What becomes of one partition of a call.
#[derive(Debug, Clone)]
pub(super) enum Settled {
    Committed,
    Again(ErrorCode),
    Failed(CommitError),
}

impl Jobs {
    pub(super) fn put(&mut self, id: CommitId, pending: Offsets, begun: Instant, until: Deadline) {
        if pending.is_empty() {
            self.done.push_back((id, Ok(())));
            return;
        }
        self.queue.push_back(Job {
            id,
            pending,
            given_up: BTreeSet::new(),
            error: None,
            begun,
            deadline: until,
            last: None,
            cause: None,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    pub(super) fn ids(&self) -> BTreeSet<CommitId> {
        self.queue.iter().map(|job| job.id).collect()
    }

    /// What is to be sent: where several name one partition, the newest counts for all of them.
    pub(super) fn pending(&self) -> Offsets {
        let pending = self.queue.iter().flat_map(|job| &job.pending);
        pending.map(|(partition, offset)| (partition.clone(), offset.clone())).collect()
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.queue.iter().map(|job| job.deadline.instant()).min()
    }

    pub(super) fn poll_done(&mut self) -> Option<(CommitId, Result<(), CommitError>)> {
        self.done.pop_front()
    }

    /// Takes note of what became of partitions, for the commits that the call was part of.
    pub(super) fn settle(
        &mut self,
        jobs: &BTreeSet<CommitId>,
        settled: &BTreeMap<TopicPartition, Settled>,
    ) {
        for job in self.queue.iter_mut().filter(|job| jobs.contains(&job.id)) {
            job.pending.retain(|partition, _| match settled.get(partition) {
                Some(Settled::Again(code)) => {
                    (job.last, job.cause) = (Some(*code), None);
                    true
                }
                Some(Settled::Failed(error)) => {
                    job.error.get_or_insert_with(|| error.clone());
                    false
                }
                Some(Settled::Committed) => false,
                None => true,
            });
        }
        self.finish_settled();
    }

    /// Takes note of why there was no answer.
    pub(super) fn note_cause(&mut self, error: &RequestError) {
        let cause = Arc::new(error.clone());
        self.queue.iter_mut().for_each(|job| job.cause = Some(Arc::clone(&cause)));
    }

    /// Takes note of what is owned now, and drops what is not, or was not since it was asked for.
    /// What is `under_way` is dropped once that call has ended: it may have been in time.
    pub(super) fn keep_owned(
        &mut self,
        owned: &BTreeSet<TopicPartition>,
        under_way: Option<&BTreeSet<CommitId>>,
    ) {
        for Job { id, pending, given_up, error, .. } in &mut self.queue {
            let gone = pending.keys().filter(|partition| !owned.contains(*partition));
            given_up.extend(gone.cloned());
            if under_way.is_some_and(|jobs| jobs.contains(id)) {
                continue;
            }
            for partition in std::mem::take(given_up) {
                if pending.remove(&partition).is_some() {
                    error.get_or_insert(CommitError::NotOwned { partition });
                }
            }
        }
        self.finish_settled();
    }

    /// Ends those whose time is over.
    pub(super) fn fail_overdue(&mut self, now: Instant) {
        self.end_where(|job| {
            let within = job.deadline.instant().saturating_duration_since(job.begun);
            job.deadline.is_over(now).then(|| {
                Err(match job.last {
                    Some(ErrorCode::RebalanceInProgress) => CommitError::Rebalancing,
                    last => {
                        let cause = job.cause.clone();
                        CommitError::DeadlineExceeded { within, last, cause }
                    }
                })
            })
        });
    }

    /// Ends all, or those of one call.
    pub(super) fn fail(&mut self, error: &CommitError, only: Option<&BTreeSet<CommitId>>) {
        let fails = |job: &Job| only.is_none_or(|only| only.contains(&job.id));
        self.end_where(|job| fails(job).then(|| Err(error.clone())));
    }

    fn finish_settled(&mut self) {
        self.end_where(|job| job.pending.is_empty().then(|| job.error.take().map_or(Ok(()), Err)));
    }

    /// Ends those that have an outcome, in their order.
    fn end_where(&mut self, outcome: impl Fn(&mut Job) -> Option<Result<(), CommitError>>) {
        let Self { queue, done } = self;
        queue.retain_mut(|job| match outcome(job) {
            Some(outcome) => {
                done.push_back((job.id, outcome));
                false
            }
            None => true,
        });
    }
}
