//! The ways out of a group, wanted or not.

use std::sync::Arc;
use std::time::Instant;

use bytestring::ByteString;
use ottla_core::error::{ErrorClass, ErrorCode, RequestError};
use ottla_core::types::TopicPartition;
use ottla_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::outcome::{Answer, join_answer};
use super::state::{Call, CallId, IllegalEvent, Outside, State, Then};
use super::{ClassicMembership, GroupError, GroupEvent, LossReason, codec};

impl ClassicMembership {
    /// Takes the outcome of leaving. Where nothing reached the coordinator, it is tried a few times
    /// more; otherwise the member is out, whatever was said.
    ///
    /// # Errors
    ///
    /// [`IllegalEvent`], when it was not waited for.
    pub fn handle_left(
        &mut self,
        id: CallId,
        outcome: Result<&LeaveGroupResponse, &RequestError>,
        now: Instant,
    ) -> Result<(), IllegalEvent> {
        let State::Leaving { call, then, .. } = &mut self.state else { return Err(IllegalEvent) };
        call.take(id, now)?;
        let then = *then;
        let unheard = match outcome {
            Ok(response) => {
                join_answer(ErrorCode::from_code(response.error_code)) == Answer::Rediscover
            }
            Err(error) => error.class() != ErrorClass::InvalidConfiguration,
        };
        if unheard && self.backoff.failures() < LEAVE_ATTEMPTS {
            self.coordinator_lost = true;
            self.retry_call(now);
            return Ok(());
        }
        // The session ends by itself then.
        self.step_out(then);
        self.member_id = ByteString::new();
        if then == Outside::Unsubscribed {
            self.join_if_subscribed(now);
        }
        Ok(())
    }

    /// Comes back to the group that it has left, where it subscribed meanwhile.
    pub(super) fn join_if_subscribed(&mut self, now: Instant) {
        if !self.topics.is_empty() {
            self.join("the consumer subscribed again", now);
        }
    }

    pub(super) fn give_up_and_leave(&mut self, reason: &str, now: Instant) {
        match self.state {
            // The coordinator may know it yet.
            State::Outside(Outside::Failed) => {
                self.go_on(Then::Leave { reason: reason.into() }, now);
            }
            State::Outside(_) => self.state = State::Outside(Outside::Unsubscribed),
            State::Leaving { .. } => {}
            State::Revoking { .. }
            | State::Joining { .. }
            | State::Assigning { .. }
            | State::Syncing { .. }
            | State::Stable { .. } => {
                self.notices.clear_revocations();
                let owned = self.owned.iter().cloned().collect();
                self.revoke(owned, Then::Leave { reason: reason.into() }, now);
            }
        }
    }

    pub(super) fn handle_poll_overdue(&mut self, now: Instant) {
        // A static member is put out when its session is over; until then it may come back.
        if self.config.group_instance_id.is_some() {
            self.step_out(Outside::AwaitingPoll);
        } else {
            self.leave("the application has not polled in time", Outside::AwaitingPoll, now);
        }
    }

    pub(super) fn leave(&mut self, reason: &str, then: Outside, now: Instant) {
        if self.member_id.is_empty() {
            self.step_out(then);
            return;
        }
        self.generation = None;
        self.backoff.reset();
        self.state = State::Leaving { call: Call::Due(now), reason: reason.into(), then };
    }

    /// Out of the group, as far as this side knows.
    pub(super) fn step_out(&mut self, outside: Outside) {
        self.generation = None;
        self.rejoin = None;
        // One that failed comes back as who it was: as another, it would wait for itself to rejoin.
        if self.config.group_instance_id.is_none() && outside != Outside::Failed {
            self.member_id = ByteString::new();
        }
        self.state = State::Outside(outside);
    }

    pub(super) fn leave_request(&self, reason: &ByteString) -> LeaveGroupRequest {
        codec::leave_request(&self.config, &self.member_id, reason)
    }

    /// The coordinator put this member out, or never knew it.
    pub(super) fn handle_fenced(&mut self, answer: Answer, code: ErrorCode, now: Instant) {
        if answer == Answer::Refused || answer == Answer::FencedInstance {
            let group = self.config.group_id.clone();
            let instance = self.config.group_instance_id.clone();
            self.fail(match (answer, instance) {
                (Answer::FencedInstance, Some(instance)) => {
                    GroupError::FencedInstance { group, instance }
                }
                _ => GroupError::Refused { group, code },
            });
            return;
        }
        self.lose(LossReason::Fenced);
        if answer == Answer::RejoinAnew {
            self.member_id = ByteString::new();
        }
        self.join("the coordinator put the member out", now);
    }

    /// Takes note that no broker names the coordinator, and that asking again will not help: a missing
    /// permission, mostly. Outside of the group this does nothing.
    pub fn handle_no_coordinator(&mut self, error: &RequestError) {
        if self.is_outside() {
            return;
        }
        let group = self.config.group_id.clone();
        let error = match error {
            RequestError::Unroutable { code } => GroupError::Refused { group, code: *code },
            error => GroupError::Request { group, source: Arc::new(error.clone()) },
        };
        // Until its session is over it is a member, whoever may not ask.
        match self.generation {
            Some(_) => self.complain(error),
            None => self.fail(error),
        }
    }

    /// Tells the application of something that may pass, and changes nothing.
    pub(super) fn complain(&mut self, error: GroupError) {
        if !self.notices.tells_of_failure() {
            self.notices.push(GroupEvent::Failed(error));
        }
    }

    /// A call had no answer: the coordinator is looked up anew, unless that could not help.
    pub(super) fn handle_unanswered(&mut self, error: &RequestError) {
        if error.class() == ErrorClass::InvalidConfiguration {
            let group = self.config.group_id.clone();
            self.fail(GroupError::Request { group, source: Arc::new(error.clone()) });
        } else {
            self.coordinator_lost = true;
        }
    }

    pub(super) fn lose(&mut self, reason: LossReason) {
        self.generation = None;
        let owned = std::mem::take(&mut self.owned);
        let untold = self.notices.clear();
        let partitions: Vec<TopicPartition> =
            owned.into_iter().filter(|partition| !untold.contains(partition)).collect();
        if !partitions.is_empty() {
            self.notices.push(GroupEvent::Lost { partitions, reason });
        }
    }

    pub(super) fn fail(&mut self, error: GroupError) {
        self.lose(LossReason::Failed);
        let outside = if error.is_fatal() { Outside::Fenced } else { Outside::Failed };
        self.notices.push(GroupEvent::Failed(error));
        self.step_out(outside);
    }

    /// Comes back after a failure that the application has heard of.
    pub(super) fn try_again(&mut self, now: Instant) {
        if !matches!(self.state, State::Outside(Outside::Failed)) {
            return;
        }
        if self.topics.is_empty() {
            self.step_out(Outside::Unsubscribed);
            return;
        }
        // Whoever acts on a notice is within a poll.
        self.polled_at = self.polled_at.max(now);
        let call = Call::Due(now + self.retry_delay());
        let reason = "the application polls again after a failure".into();
        self.state = State::Joining { call, reason };
    }
}

/// How often leaving is tried again, which takes two seconds in all: others wait for the partitions
/// as long as the session lasts, so it is worth something, but not more than that.
const LEAVE_ATTEMPTS: u32 = 6;
