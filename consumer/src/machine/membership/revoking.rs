//! How a member gives partitions up, and rejoins or leaves after that.

use std::time::Instant;

use ottla_core::types::TopicPartition;

use super::state::{Outside, State, Then};
use super::{ClassicMembership, GroupEvent, NoticeId};
use crate::machine::assignor::RebalanceProtocol;

impl ClassicMembership {
    /// Rejoins, for the reason that brokers log (KIP-568). Does nothing outside of the group, nor where
    /// a rebalance is under way, which does what is wanted.
    pub fn enforce_rebalance(&mut self, reason: &str, now: Instant) {
        if matches!(self.state, State::Stable { revoking: false, .. }) {
            self.request_rejoin(reason, now);
        }
    }

    /// Takes note that the application acted on a notice. An outdated id is passed over.
    pub fn finish_notice(&mut self, id: NoticeId, now: Instant) {
        let Some(notice) = self.notices.finish(id) else { return };
        match &notice.event {
            GroupEvent::Revoking { partitions } => self.handle_revoked(id, partitions, now),
            GroupEvent::Failed(_) => self.try_again(now),
            GroupEvent::Assigned { .. } | GroupEvent::Lost { .. } => {}
        }
    }

    pub(super) fn request_rejoin(&mut self, reason: &str, now: Instant) {
        match &self.state {
            State::Outside(_) | State::Leaving { .. } => return,
            State::Stable { revoking: false, .. } => {}
            // What is under way ends first; then it is looked at again.
            State::Joining { .. }
            | State::Revoking { .. }
            | State::Assigning { .. }
            | State::Syncing { .. }
            | State::Stable { revoking: true, .. } => {
                self.rejoin.get_or_insert_with(|| reason.into());
                return;
            }
        }
        let partitions = match self.protocol() {
            RebalanceProtocol::Eager => self.owned.iter().cloned().collect(),
            RebalanceProtocol::Cooperative => self.unsubscribed(),
        };
        self.revoke(partitions, Then::Join { reason: reason.into() }, now);
    }

    /// What is owned of topics that are no longer subscribed to.
    pub(super) fn unsubscribed(&self) -> Vec<TopicPartition> {
        let unsubscribed = |partition: &&TopicPartition| !self.topics.contains(&partition.topic);
        self.owned.iter().filter(unsubscribed).cloned().collect()
    }

    pub(super) fn revoke(&mut self, partitions: Vec<TopicPartition>, then: Then, now: Instant) {
        if partitions.is_empty() {
            self.go_on(then, now);
            return;
        }
        let notice = self.notices.push(GroupEvent::Revoking { partitions });
        self.state = State::Revoking { notice, then };
    }

    pub(super) fn go_on(&mut self, then: Then, now: Instant) {
        match then {
            Then::Join { reason } => self.join(&reason, now),
            // Until its session is over it may come back, to the same partitions (KIP-345).
            Then::Leave { .. } if self.config.group_instance_id.is_some() => {
                self.step_out(Outside::Unsubscribed);
                self.join_if_subscribed(now);
            }
            Then::Leave { reason } => self.leave(&reason, Outside::Unsubscribed, now),
        }
    }

    pub(super) fn handle_revoked(
        &mut self,
        id: NoticeId,
        partitions: &[TopicPartition],
        now: Instant,
    ) {
        for partition in partitions {
            self.owned.remove(partition);
        }
        match &mut self.state {
            State::Revoking { notice, then } if *notice == id => {
                let then = then.clone();
                self.go_on(then, now);
            }
            State::Stable { revoking, .. } => {
                *revoking = false;
                let reason = self.rejoin.take();
                let reason = reason.unwrap_or_else(|| "partitions were given up".into());
                self.request_rejoin(&reason, now);
            }
            State::Outside(_)
            | State::Revoking { .. }
            | State::Joining { .. }
            | State::Assigning { .. }
            | State::Syncing { .. }
            | State::Leaving { .. } => {}
        }
    }
}
