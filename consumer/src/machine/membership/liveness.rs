//! How a member and its coordinator know of each other that they are there: heartbeats, the session,
//! and the application's polls.

use std::time::{Duration, Instant};

use ottla_core::error::{ErrorCode, RequestError};
use ottla_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::state::{Call, State};
use super::{
    Answer, CallId, ClassicMembership, GroupError, IllegalEvent, LossReason, MembershipCall,
    MembershipRequest, heartbeat_answer,
};

impl ClassicMembership {
    /// The heartbeat, if it is due.
    pub(super) fn poll_heartbeat(&mut self, now: Instant) -> Option<MembershipCall> {
        if !self.beats() || !self.heartbeat.is_due(now) {
            return None;
        }
        let request = MembershipRequest::Heartbeat(HeartbeatRequest {
            group_id: self.config.group_id.clone(),
            generation_id: self.generation.unwrap_or(-1),
            member_id: self.member_id.clone(),
            group_instance_id: self.config.group_instance_id.clone(),
            ..Default::default()
        });
        let id = self.fresh_call();
        self.heartbeat = Call::UnderWay { id, sent_at: now };
        Some(MembershipCall { id, request })
    }

    /// Takes the outcome of a heartbeat.
    ///
    /// # Errors
    ///
    /// [`IllegalEvent`], when it was not waited for.
    pub fn handle_heartbeat(
        &mut self,
        id: CallId,
        outcome: Result<&HeartbeatResponse, &RequestError>,
        now: Instant,
    ) -> Result<(), IllegalEvent> {
        let sent_at = self.heartbeat.take(id, now)?;
        let code = match outcome {
            Ok(response) => ErrorCode::from_code(response.error_code),
            Err(error) => {
                self.heartbeat = Call::Due(now + self.retry_delay());
                self.handle_unanswered(error);
                return Ok(());
            }
        };
        self.heartbeat = Call::Due(sent_at + self.heartbeat_wait());
        match heartbeat_answer(code) {
            Answer::Done => {
                self.backoff.reset();
                self.handle_alive(sent_at);
            }
            Answer::Rejoin => {
                self.handle_alive(sent_at);
                if matches!(self.state, State::Stable { .. }) {
                    self.request_rejoin("the group is rebalancing", now);
                }
            }
            Answer::Retry => self.heartbeat = Call::Due(now + self.retry_delay()),
            // The two go over connections of their own: a join that completed the rebalance has ended
            // the generation that this heartbeat names. Its answer tells.
            Answer::RejoinFenced if matches!(self.state, State::Joining { .. }) => {}
            // Its session goes on meanwhile, and what is refused now may be granted until it is over.
            Answer::Refused => {
                self.heartbeat = Call::Due(now + self.retry_delay());
                let group = self.config.group_id.clone();
                self.complain(GroupError::Refused { group, code });
            }
            Answer::Rediscover => {
                self.heartbeat = Call::Due(now + self.retry_delay());
                self.coordinator_lost = true;
            }
            answer => self.handle_fenced(answer, code, now),
        }
        Ok(())
    }

    /// Takes note of a sign of life that the coordinator took: it was sent then.
    pub fn handle_alive(&mut self, sent_at: Instant) {
        self.alive_until = self.alive_until.max(sent_at + self.config.session_timeout);
    }

    /// Takes note that another broker still names the same coordinator, which keeps a member whose
    /// join it has not answered.
    pub fn handle_coordinator_confirmed(&mut self, now: Instant) {
        if matches!(self.state, State::Joining { call: Call::UnderWay { .. }, .. }) {
            self.handle_alive(now);
        }
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        if matches!(self.state, State::Outside(_) | State::Leaving { .. }) {
            return;
        }
        let max_poll_interval = self.config.max_poll_interval;
        if self.polled_at + max_poll_interval <= now {
            self.lose(LossReason::PollOverdue { max_poll_interval });
            self.handle_poll_overdue(now);
        } else if self.generation.is_some() && self.alive_until <= now {
            let session_timeout = self.config.session_timeout;
            self.lose(LossReason::SessionExpired { session_timeout });
            self.coordinator_lost = true;
            self.join("nothing was heard of the coordinator for a session", now);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        if matches!(self.state, State::Outside(_) | State::Leaving { .. }) {
            return None;
        }
        let poll = self.polled_at + self.config.max_poll_interval;
        Some(self.generation.map_or(poll, |_| poll.min(self.alive_until)))
    }

    /// Whether the coordinator expects heartbeats. While a join is under way, that is the sign of
    /// life.
    pub(super) fn beats(&self) -> bool {
        match self.state {
            State::Outside(_) | State::Leaving { .. } | State::Joining { .. } => false,
            State::Revoking { .. }
            | State::Assigning { .. }
            | State::Syncing { .. }
            | State::Stable { .. } => self.generation.is_some(),
        }
    }

    /// The time to the next heartbeat: the interval, but short at first in a generation that may be
    /// followed by another at once.
    pub(super) fn heartbeat_wait(&mut self) -> Duration {
        let interval = self.config.heartbeat_interval;
        let wait = self.settling.take().unwrap_or(interval);
        self.settling = Some(wait * 2).filter(|next| *next < interval);
        wait.min(interval)
    }
}

/// The first wait between heartbeats in a generation of cooperative members; it doubles. Where
/// partitions change hands, those who give them up rejoin within a round trip, and those who get
/// them learn of it by a heartbeat: until then nobody reads them.
pub(super) const SETTLING: Duration = Duration::from_millis(50);
