//! What a transaction consists of.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use bytestring::ByteString;
use ottla_core::retry::Deadline;
use ottla_core::types::{ConsumerGroupMetadata, Offsets, TopicPartition};

use super::{Call, Decision, Enlisted, Protocol};
use crate::machine::identity::Identity;

/// What a transaction consists of, from its begin to its end.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) protocol: Protocol,
    /// When it was begun; with protocol 1, when the coordinator was first told of it.
    since: Option<Instant>,
    /// Partitions that the coordinator has been told of; with protocol 2 leaders do that.
    admitted: BTreeSet<TopicPartition>,
    /// Partitions that it is to be told of.
    pending: BTreeSet<TopicPartition>,
    /// Groups that it has been told of.
    pub(super) groups: BTreeSet<ByteString>,
    /// Offsets that are not committed yet, in the order of the calls.
    jobs: VecDeque<Job>,
    /// Calls that were made to commit offsets.
    placed: u64,
    /// Whether the coordinator may know that there is a transaction.
    pub(super) started: bool,
    /// Whether the next transaction needs another epoch.
    pub(super) renew: bool,
    /// Whether the coordinator has forgotten the producer.
    pub(super) forgotten: bool,
    /// Whether a commit was sent and not answered.
    pub(super) lost_end: bool,
}

#[derive(Debug)]
struct Job {
    place: u64,
    group: ConsumerGroupMetadata,
    offsets: Offsets,
    deadline: Deadline,
}

/// What there is to do at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// `EndTxn`.
    End,
    /// Nothing but to ask for the next epoch.
    Renew,
    /// Nothing.
    Nothing,
}

impl Open {
    pub(super) fn new(protocol: Protocol, now: Instant) -> Self {
        Self {
            protocol,
            since: (protocol == Protocol::Two).then_some(now),
            admitted: BTreeSet::new(),
            pending: BTreeSet::new(),
            groups: BTreeSet::new(),
            jobs: VecDeque::new(),
            placed: 0,
            started: false,
            renew: false,
            forgotten: false,
            lost_end: false,
        }
    }

    pub(super) fn enlist(&mut self, partition: TopicPartition, identity: Identity) -> Enlisted {
        match self.protocol {
            Protocol::Two => {
                self.started = true;
                Enlisted::Admitted(identity)
            }
            Protocol::One if self.admitted.contains(&partition) => Enlisted::Admitted(identity),
            Protocol::One => {
                self.pending.insert(partition);
                Enlisted::Pending
            }
        }
    }

    pub(super) fn add_offsets(
        &mut self,
        group: ConsumerGroupMetadata,
        offsets: Offsets,
        deadline: Deadline,
    ) -> u64 {
        self.placed += 1;
        if !offsets.is_empty() {
            self.jobs.push_back(Job { place: self.placed, group, offsets, deadline });
        }
        self.placed
    }

    /// Whether the offsets of the call with this place are in the transaction.
    pub(super) fn has_offsets(&self, place: u64) -> bool {
        self.jobs.front().is_none_or(|job| job.place > place)
    }

    /// What is to be told next, before the transaction can end.
    pub(super) fn next_call(&mut self, identity: Identity) -> Option<Call> {
        if !self.pending.is_empty() {
            self.started = true;
            let partitions = self.pending.iter().cloned().collect();
            return Some(Call::AddPartitions { identity, partitions });
        }
        let job = self.jobs.front()?;
        self.started = true;
        let group_id = &job.group.group_id;
        if self.protocol == Protocol::One && !self.groups.contains(group_id) {
            return Some(Call::AddGroup { identity, group_id: group_id.clone() });
        }
        let (group, offsets) = (job.group.clone(), job.offsets.clone());
        Some(Call::CommitOffsets { identity, protocol: self.protocol, group, offsets })
    }

    /// What is to be done at the end.
    pub(super) fn last_step(&self, decision: Decision) -> Step {
        let ends = self.started && !(self.forgotten && decision == Decision::Abort);
        match (ends, self.renew || self.forgotten) {
            (true, _) => Step::End,
            (false, true) => Step::Renew,
            (false, false) => Step::Nothing,
        }
    }

    /// Takes note that the coordinator is told something.
    pub(super) fn handle_told(&mut self, now: Instant) {
        self.since.get_or_insert(now);
    }

    /// Whether it may have been open for this long.
    pub(super) fn has_taken(&self, timeout: Duration, now: Instant) -> bool {
        self.since.is_some_and(|since| Deadline::after(since, timeout).is_over(now))
    }

    pub(super) fn handle_added(&mut self, partitions: &[TopicPartition]) {
        for partition in partitions {
            if let Some(partition) = self.pending.take(partition) {
                self.admitted.insert(partition);
            }
        }
    }

    /// Takes note of partitions whose offsets were taken.
    pub(super) fn handle_offsets<'a>(&mut self, taken: impl Iterator<Item = &'a TopicPartition>) {
        let Some(job) = self.jobs.front_mut() else { return };
        for partition in taken {
            job.offsets.remove(partition);
        }
        if job.offsets.is_empty() {
            self.jobs.pop_front();
        }
    }

    /// When the oldest offsets must be taken.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.jobs.front().map(|job| job.deadline.instant())
    }

    /// The group whose offsets were not taken in time.
    pub(super) fn overdue(&self, now: Instant) -> Option<ByteString> {
        let job = self.jobs.front().filter(|job| job.deadline.is_over(now))?;
        Some(job.group.group_id.clone())
    }
}
