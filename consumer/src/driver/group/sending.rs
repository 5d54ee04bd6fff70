//! Which calls go out, over which connection, and how long each may take.

use std::time::{Duration, Instant};

use super::slots::Slot;
use super::task::GroupTask;
use crate::machine::membership::{MembershipCall, MembershipRequest, Phase};

impl GroupTask {
    /// Makes every call that is due, where the coordinator is known.
    pub(super) fn make_calls(&mut self, now: Instant) {
        self.find_coordinator(now);
        self.know_topics();
        if self.finder.node().is_none() {
            return;
        }
        while let Some(call) = self.membership.poll_call(now) {
            self.send(call, now);
        }
        self.send_commit(now);
        self.send_lookup(now);
        self.drop_unawaited();
    }

    fn send(&mut self, call: MembershipCall, now: Instant) {
        let Some(links) = &mut self.links else { return };
        let MembershipCall { id, request } = call;
        let joins = matches!(request, MembershipRequest::Join(_) | MembershipRequest::Sync(_));
        if joins && !self.slots.is_free(Slot::Join) {
            links.renew_join(&self.client);
        }
        let timeout = self.client.config().request_timeout;
        let slot = match request {
            MembershipRequest::Join(request) => {
                tracing::debug!(group = %self.config.group_id, "joining");
                // Answered when all have joined, which may take as long as the slowest may.
                let timeout = self.config.max_poll_interval + JOIN_MARGIN;
                let answer = links.join(id, request, timeout);
                self.slots.put(Slot::Join, answer);
                Slot::Join
            }
            MembershipRequest::Sync(request) => {
                let timeout = self.config.max_poll_interval + JOIN_MARGIN;
                self.slots.put(Slot::Join, links.sync(id, request, timeout));
                Slot::Join
            }
            MembershipRequest::Heartbeat(request) => {
                // So that a lost one can be made up for before the session is over.
                let timeout = timeout.min(self.config.session_timeout / 3);
                self.slots.put(Slot::Heartbeat, links.beat(id, request, timeout));
                Slot::Heartbeat
            }
            MembershipRequest::Leave(request) => {
                self.slots.put(Slot::Leave, links.leave(id, request, timeout));
                Slot::Leave
            }
        };
        self.note_unanswered(slot, now);
    }

    /// A join that nobody waits for any more still blocks its connection.
    fn drop_unawaited(&mut self) {
        let joins = self.membership.phase();
        let awaited = matches!(joins, Phase::Joining | Phase::Between);
        if !awaited && !self.slots.is_free(Slot::Join) {
            self.slots.clear(Slot::Join);
            self.note_answered(Slot::Join);
            if let Some(links) = &mut self.links {
                links.renew_join(&self.client);
            }
        }
    }
}

/// What a join may take beyond the rebalance timeout: as in Java.
const JOIN_MARGIN: Duration = Duration::from_secs(5);
