//! What is committed when, and who is told.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ottla_core::error::RequestError;
use ottla_core::retry::Deadline;
use ottla_core::types::TopicPartition;

use super::closing::Step;
use super::slots::Slot;
use super::task::GroupTask;
use crate::machine::commit::{
    CommitError, CommitId, Commits, LookedUp, LookupId, Offsets, PartitionCodes, Seat, TopicIds,
};
use crate::machine::membership::{GroupEvent, GroupNotice, Phase};

impl GroupTask {
    /// Commits what was processed of revoked partitions before they are given up, where commits are
    /// automatic. One round trip, or a second: a coordinator that does not answer a commit will not
    /// answer a join either, and the others wait for this one.
    pub(super) fn finish_revocation(
        &mut self,
        notice: &GroupNotice,
        partitions: &[TopicPartition],
        now: Instant,
    ) {
        if self.revocation.is_some_and(|(id, _)| id == notice.id) {
            return;
        }
        let revoked: BTreeSet<TopicPartition> = partitions.iter().cloned().collect();
        let uncommitted = self.cells.store().uncommitted(Some(&revoked));
        if self.config.auto_commit_interval.is_some() && !uncommitted.is_empty() {
            let deadline = Deadline::after(now, LAST_COMMIT);
            let commit = self.commits.commit(uncommitted, now, deadline);
            self.revocation = Some((notice.id, commit));
        } else {
            self.forget(partitions);
            self.membership.finish_notice(notice.id, now);
        }
    }

    pub(super) fn commit_stored_if_due(&mut self, now: Instant) {
        let due = self.auto_commit_at.is_some_and(|at| at <= now) && self.auto_commit.is_none();
        let interval = self.config.auto_commit_interval.filter(|_| due && self.closing.is_none());
        let Some(interval) = interval else { return };
        self.auto_commit_at = Some(Deadline::after(now, interval).instant());
        // Never in the middle of a rebalance: what is revoked is committed there.
        let offsets = match self.membership.phase() {
            Phase::Standalone | Phase::Member => self.uncommitted(),
            Phase::Joining | Phase::Between | Phase::Outside => Offsets::new(),
        };
        if !offsets.is_empty() {
            let deadline = Deadline::after(now, self.client.config().default_api_timeout);
            self.auto_commit = Some(self.commits.commit(offsets, now, deadline));
        }
    }

    /// What was processed and may be committed now.
    pub(super) fn uncommitted(&self) -> Offsets {
        let mut offsets = self.cells.store().uncommitted(None);
        if self.membership.phase() != Phase::Standalone {
            let committable = self.membership.committable();
            offsets.retain(|partition, _| committable.contains(partition));
        }
        offsets
    }

    pub(super) fn forget(&self, partitions: &[TopicPartition]) {
        let mut store = self.cells.store();
        for partition in partitions {
            store.reset(partition);
        }
    }

    /// Lets the commits act on where the member stands now.
    fn seated<R>(&mut self, act: impl FnOnce(&mut Commits, &Seat<'_>) -> R) -> R {
        let (metadata, owned) = (self.membership.metadata(), self.membership.committable());
        let phase = self.membership.phase();
        act(&mut self.commits, &Seat { metadata: &metadata, phase, owned: &owned })
    }

    /// Lets the commits know what may be committed now.
    pub(super) fn tell_seat(&mut self) {
        self.seated(Commits::handle_seat);
    }

    pub(super) fn send_commit(&mut self, now: Instant) {
        if self.links.is_none() {
            return;
        }
        let call = self.seated(|commits, seat| commits.poll_call(seat, now));
        let (Some(links), Some(call)) = (&self.links, call) else { return };
        let timeout = self.client.config().request_timeout;
        let ids = self.committing_ids.clone();
        self.slots.put(Slot::Commit, links.commit(self.client.clone(), call, ids, timeout));
        self.note_unanswered(Slot::Commit, now);
    }

    pub(super) fn send_lookup(&mut self, now: Instant) {
        let Some(links) = &self.links else { return };
        let Some(call) = self.lookups.poll_call(now) else { return };
        let timeout = self.client.config().request_timeout;
        let group = self.config.group_id.clone();
        let answer = links.look_up(self.client.clone(), group, call, timeout);
        self.slots.put(Slot::LookUp, answer);
        self.note_unanswered(Slot::LookUp, now);
    }

    /// Asks no longer for what nobody waits for any more: it would keep what is asked later waiting.
    pub(super) fn drop_unawaited_lookups(&mut self) {
        let Self { looking_up, lookups, .. } = self;
        looking_up.retain(|id, done| !(done.is_closed() && lookups.give_up(*id)));
    }

    pub(super) fn handle_committed(
        &mut self,
        id: CommitId,
        sent_at: Instant,
        codes: Result<PartitionCodes, RequestError>,
        ids: TopicIds,
        now: Instant,
    ) {
        self.committing_ids = ids;
        let codes = match codes {
            Ok(codes) => codes,
            Err(error) => {
                let lost = self.commits.handle_failure(id, &error, now);
                self.lose_coordinator_if(lost, now);
                return;
            }
        };
        let outcome = self.seated(|commits, seat| commits.handle_answer(id, &codes, seat, now));
        if !outcome.committed.is_empty() {
            self.cells.store().handle_committed(&outcome.committed);
            self.membership.handle_alive(sent_at);
        }
        self.lose_coordinator_if(outcome.coordinator_lost, now);
        if let Some(code) = outcome.retried {
            self.warn_retried("commit", &code, now);
        }
        if outcome.topic_unknown {
            self.client.request_refresh();
        }
        if self.commits.is_idle() {
            self.committing_ids.clear();
        }
        if let Some(refusal) = outcome.refusal {
            self.membership.handle_commit_refused(refusal.code, refusal.generation, now);
        }
    }

    pub(super) fn handle_looked_up(
        &mut self,
        id: LookupId,
        answer: Result<LookedUp, RequestError>,
        now: Instant,
    ) {
        let lost = match answer {
            Ok(answer) => {
                if answer.names_unknown_topic() {
                    self.client.request_refresh();
                }
                self.lookups.handle_answer(id, &answer, now)
            }
            Err(error) => self.lookups.handle_failure(id, &error, now),
        };
        self.lose_coordinator_if(lost, now);
    }

    /// Tells those who wait for commits and look-ups. Whether a commit was settled.
    pub(super) fn settle_done(&mut self, now: Instant) -> bool {
        let mut settled = false;
        while let Some((id, outcome)) = self.commits.poll_done() {
            self.settle_commit(id, outcome, now);
            settled = true;
        }
        while let Some((id, outcome)) = self.lookups.poll_done() {
            if let Some(done) = self.looking_up.remove(&id) {
                // Whoever waited may have stopped; nothing is lost.
                drop(done.send(outcome));
            }
        }
        settled
    }

    pub(super) fn settle_commit(
        &mut self,
        id: CommitId,
        outcome: Result<(), CommitError>,
        now: Instant,
    ) {
        if let Some((notice, _)) = self.revocation.take_if(|(_, commit)| *commit == id) {
            self.warn_uncommitted("revoked partitions", &outcome);
            let current = self.membership.current_notice().filter(|current| current.id == notice);
            if let Some(GroupEvent::Revoking { partitions }) = current.map(|it| it.event.clone()) {
                self.forget(&partitions);
            }
            self.membership.finish_notice(notice, now);
        } else if self.auto_commit.take_if(|commit| *commit == id).is_some() {
            self.warn_uncommitted("what was processed", &outcome);
        } else if let Some(done) = self.committing.remove(&id) {
            // Whoever waited may have stopped; the commit stands either way.
            drop(done.send(outcome));
        } else if let Some(closing) = &mut self.closing
            && matches!(closing.step, Step::Committing(commit) if commit == id)
        {
            closing.outcome = outcome;
            closing.step = Step::Leaving;
            self.membership.close(closing.on_close, now);
        }
    }

    pub(super) fn warn_uncommitted(&self, what: &str, outcome: &Result<(), CommitError>) {
        if let Err(error) = outcome {
            tracing::warn!(group = %self.config.group_id, %error, "{what} could not be committed");
        }
    }
}

/// How long the last commit of a revocation may take.
const LAST_COMMIT: Duration = Duration::from_secs(1);
