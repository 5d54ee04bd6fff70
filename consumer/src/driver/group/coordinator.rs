//! Which broker the task talks to, and when it doubts that.

use std::time::{Duration, Instant};

use ottla_core::error::RequestError;
use ottla_core::types::NodeId;

use super::calls::{self, Links};
use super::slots::Slot;
use super::task::GroupTask;
use crate::machine::commit::CommitError;

impl GroupTask {
    pub(super) fn find_coordinator(&mut self, now: Instant) {
        let lost = self.membership.take_coordinator_lost();
        let doubtful = self.doubt_at().is_some_and(|at| at <= now);
        if lost {
            self.doubted = self.finder.node();
            self.finder.handle_lost(now);
        } else if doubtful && self.slots.is_free(Slot::Find) {
            // The calls stay: it may well answer yet.
            self.unanswered.values_mut().for_each(|at| *at = now + DOUBT);
            let doubted = self.finder.node();
            let find = calls::find(self.client.clone(), self.config.group_id.clone(), doubted);
            self.slots.put(Slot::Find, find);
        }
        let wanted = !self.membership.is_outside()
            || !self.commits.is_idle()
            || self.lookups.next_timeout().is_some();
        if wanted && self.slots.is_free(Slot::Find) && self.finder.poll_lookup(now) {
            let doubted = self.doubted.take();
            let find = calls::find(self.client.clone(), self.config.group_id.clone(), doubted);
            self.slots.put(Slot::Find, find);
        }
    }

    pub(super) fn handle_found(&mut self, found: Result<NodeId, RequestError>, now: Instant) {
        let node = match found {
            Ok(node) => node,
            Err(RequestError::Closed { .. }) => {
                self.client_is_closed = true;
                return;
            }
            Err(error) => {
                self.handle_not_found(&error, now);
                if self.finder.node().is_none() {
                    self.finder.handle_failed(now, self.client.runtime().random());
                }
                return;
            }
        };
        self.finder.handle_found(node);
        if self.links.as_ref().is_some_and(|links| links.node == node) {
            self.membership.handle_coordinator_confirmed(now);
            return;
        }
        tracing::info!(group = %self.config.group_id, %node, "coordinator");
        for slot in [Slot::Join, Slot::Heartbeat, Slot::Commit, Slot::LookUp, Slot::Leave] {
            self.slots.clear(slot);
        }
        self.unanswered.clear();
        self.links = Some(Links::open(&self.client, node));
        self.membership.handle_coordinator_moved(now);
        self.commits.handle_coordinator_moved();
        self.lookups.handle_coordinator_moved();
    }

    fn handle_not_found(&mut self, error: &RequestError, now: Instant) {
        // One that is known and only doubted says for itself what it refuses.
        if self.finder.node().is_some() || error.class().is_retriable() {
            self.warn_retried("find the coordinator", error, now);
            self.commits.handle_unreachable(error);
            self.lookups.handle_unreachable(error);
            return;
        }
        self.membership.handle_no_coordinator(error);
        let failed = match error {
            RequestError::Unroutable { code } => CommitError::Group { code: *code },
            error => CommitError::Request(error.clone()),
        };
        self.commits.fail_all(&failed);
        self.lookups.fail_all(&failed);
    }

    pub(super) fn lose_coordinator_if(&mut self, lost: bool, now: Instant) {
        if lost {
            self.doubted = self.finder.node();
            self.finder.handle_lost(now);
        }
    }

    pub(super) fn note_unanswered(&mut self, slot: Slot, now: Instant) {
        self.unanswered.insert(slot, now + DOUBT);
    }

    pub(super) fn note_answered(&mut self, slot: Slot) {
        self.unanswered.remove(&slot);
    }

    /// When a silent coordinator is doubted next.
    pub(super) fn doubt_at(&self) -> Option<Instant> {
        self.unanswered.values().min().copied()
    }
}

/// How long a coordinator may be silent before another broker is asked whether it still is the one,
/// and again after that.
const DOUBT: Duration = Duration::from_millis(1_500);
