//! From a join to a new assignment.

use std::collections::BTreeSet;
use std::time::Instant;

use bytestring::ByteString;
use ottla_core::error::{ErrorCode, RequestError};
use ottla_core::types::TopicPartition;
use ottla_protocol::messages::join_group::JoinGroupResponse;
use ottla_protocol::messages::{SyncGroupRequest, SyncGroupResponse};

use super::liveness::SETTLING;
use super::outcome::{Answer, join_answer, sync_answer};
use super::state::{Call, CallId, IllegalEvent, MembershipCall, MembershipRequest, State, Watched};
use super::{ClassicMembership, GroupError, GroupEvent, LossReason, codec};
use crate::machine::assignor::{ClusterTopics, RebalanceProtocol};

impl ClassicMembership {
    pub(super) fn join(&mut self, reason: &str, now: Instant) {
        self.state = State::Joining { call: Call::Due(now), reason: reason.into() };
    }

    /// A join, a sync or a leave, if one is due.
    pub(super) fn poll_join_side(&mut self, now: Instant) -> Option<MembershipCall> {
        if !self.state.call()?.is_due(now) {
            return None;
        }
        let request = match &self.state {
            State::Joining { reason, .. } => {
                let reason = reason.clone();
                // It says all that there is to say by now.
                self.rejoin = None;
                MembershipRequest::Join(self.join_request(&reason))
            }
            State::Syncing { protocol, assignments, .. } => {
                MembershipRequest::Sync(SyncGroupRequest {
                    group_id: self.config.group_id.clone(),
                    generation_id: self.generation.unwrap_or(-1),
                    member_id: self.member_id.clone(),
                    group_instance_id: self.config.group_instance_id.clone(),
                    protocol_type: Some(codec::CONSUMER.into()),
                    protocol_name: Some(protocol.clone()),
                    assignments: assignments.clone(),
                    ..Default::default()
                })
            }
            State::Leaving { reason, .. } => {
                MembershipRequest::Leave(self.leave_request(&reason.clone()))
            }
            State::Outside(_)
            | State::Revoking { .. }
            | State::Assigning { .. }
            | State::Stable { .. } => return None,
        };
        let id = self.fresh_call();
        *self.state.call_mut()? = Call::UnderWay { id, sent_at: now };
        Some(MembershipCall { id, request })
    }

    /// Takes the outcome of a join.
    ///
    /// # Errors
    ///
    /// [`IllegalEvent`], when it was not waited for.
    pub fn handle_join(
        &mut self,
        id: CallId,
        outcome: Result<&JoinGroupResponse, &RequestError>,
        now: Instant,
    ) -> Result<(), IllegalEvent> {
        let State::Joining { call, .. } = &mut self.state else { return Err(IllegalEvent) };
        call.take(id, now)?;
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                self.retry_call(now);
                self.handle_unanswered(error);
                return Ok(());
            }
        };
        let code = ErrorCode::from_code(response.error_code);
        match join_answer(code) {
            Answer::Done => self.handle_joined(response, now),
            Answer::AdoptMemberId => self.member_id = response.member_id.clone(),
            Answer::Retry | Answer::Rejoin => self.retry_call(now),
            Answer::Rediscover => {
                self.retry_call(now);
                self.coordinator_lost = true;
            }
            answer => self.handle_fenced(answer, code, now),
        }
        Ok(())
    }

    /// Takes the outcome of a sync.
    ///
    /// # Errors
    ///
    /// [`IllegalEvent`], when it was not waited for.
    pub fn handle_sync(
        &mut self,
        id: CallId,
        outcome: Result<&SyncGroupResponse, &RequestError>,
        now: Instant,
    ) -> Result<(), IllegalEvent> {
        let State::Syncing { call, .. } = &mut self.state else { return Err(IllegalEvent) };
        let sent_at = call.take(id, now)?;
        let response = match outcome {
            Ok(response) => response,
            Err(error) => {
                self.retry_call(now);
                self.handle_unanswered(error);
                return Ok(());
            }
        };
        let code = ErrorCode::from_code(response.error_code);
        match sync_answer(code) {
            Answer::Done => {
                self.handle_alive(sent_at);
                self.handle_synced(response, now);
            }
            Answer::Retry => self.retry_call(now),
            Answer::Rediscover => {
                self.retry_call(now);
                self.coordinator_lost = true;
            }
            Answer::Rejoin => self.join("the group rebalanced before it was assigned", now),
            answer => self.handle_fenced(answer, code, now),
        }
        Ok(())
    }

    /// Whether the outcome of this call is waited for.
    #[must_use]
    pub fn awaits(&self, id: CallId) -> bool {
        let is_it = |call: &Call| matches!(call, Call::UnderWay { id: mine, .. } if *mine == id);
        self.state.call().is_some_and(is_it) || is_it(&self.heartbeat)
    }

    pub(super) fn retry_call(&mut self, now: Instant) {
        let at = now + self.retry_delay();
        if let Some(call) = self.state.call_mut() {
            *call = Call::Due(at);
        }
    }

    fn join_request(&self, reason: &ByteString) -> ottla_protocol::messages::JoinGroupRequest {
        let joining = codec::Joining {
            config: &self.config,
            member_id: &self.member_id,
            topics: &self.topics,
            owned: &self.owned,
            generation: self.generation,
            previous: &self.previous,
            reason,
        };
        joining.request()
    }

    fn handle_joined(&mut self, response: &JoinGroupResponse, now: Instant) {
        self.backoff.reset();
        self.member_id = response.member_id.clone();
        self.generation = Some(response.generation_id);
        self.alive_until = now + self.config.session_timeout;
        // At once: the answer may have been long on its way.
        self.heartbeat = Call::Due(now);
        let protocol = response.protocol_name.clone().unwrap_or_default();
        let known = self.config.assignors.iter().any(|assignor| *assignor.name() == *protocol);
        if !known {
            let group = self.config.group_id.clone();
            self.fail(GroupError::UnknownAssignor { group, protocol });
            return;
        }
        if response.leader != response.member_id {
            self.sync(protocol, Vec::new(), None, now);
            return;
        }
        let members = codec::subscriptions(response);
        let topics: BTreeSet<_> =
            members.iter().flat_map(|member| member.topics.iter().cloned()).collect();
        if response.skip_assignment {
            // A static leader that came back: the assignment stands, and is still its to watch.
            let watched = Watched { topics, cluster: None };
            self.sync(protocol, Vec::new(), Some(watched), now);
        } else {
            self.state = State::Assigning { protocol, members, topics };
        }
    }

    fn sync(
        &mut self,
        protocol: ByteString,
        assignments: Vec<ottla_protocol::messages::sync_group::SyncGroupRequestAssignment>,
        watched: Option<Watched>,
        now: Instant,
    ) {
        self.state = State::Syncing { call: Call::Due(now), protocol, assignments, watched };
    }

    /// Hands out the partitions as the group's leader.
    pub(super) fn assign(&mut self, cluster: ClusterTopics, now: Instant) {
        let State::Assigning { protocol, members, topics } = &mut self.state else { return };
        let (protocol, topics) = (std::mem::take(protocol), std::mem::take(topics));
        let mut members = std::mem::take(members);
        for member in &mut members {
            member.owned.retain(|partition| cluster.contains(partition));
        }
        let mut assignors = self.config.assignors.iter();
        let assignor = assignors.find(|assignor| *assignor.name() == *protocol);
        let outcome = assignor.map(|assignor| assignor.assign(&cluster, &members));
        match outcome {
            Some(Ok(assignment)) => {
                let assignments = codec::assignments(assignment);
                let watched = Watched { topics, cluster: Some(cluster) };
                self.sync(protocol, assignments, Some(watched), now);
            }
            Some(Err(source)) => {
                let group = self.config.group_id.clone();
                self.fail(GroupError::Assign { group, source });
            }
            None => {
                let group = self.config.group_id.clone();
                self.fail(GroupError::UnknownAssignor { group, protocol });
            }
        }
    }

    fn handle_synced(&mut self, response: &SyncGroupResponse, now: Instant) {
        let State::Syncing { protocol, watched, .. } = &mut self.state else { return };
        let (protocol, watched) = (std::mem::take(protocol), watched.take());
        let group = self.config.group_id.clone();
        if response.protocol_name.as_ref().is_some_and(|name| *name != protocol) {
            let code = ErrorCode::InconsistentGroupProtocol;
            self.fail(GroupError::Refused { group, code });
            return;
        }
        let assigned = match codec::assignment(&response.assignment) {
            Ok(assigned) => assigned,
            Err(why) => {
                self.fail(GroupError::MalformedAssignment { group, why: why.into() });
                return;
            }
        };
        self.backoff.reset();
        // What the leader gave for a subscription that has changed since is not taken; the rejoin
        // that the change asked for settles it.
        let (assigned, strange): (BTreeSet<_>, BTreeSet<_>) =
            assigned.into_iter().partition(|partition| self.topics.contains(&partition.topic));
        if !strange.is_empty() {
            self.rejoin
                .get_or_insert_with(|| "the assignment does not fit the subscription".into());
        }
        self.previous = (assigned.iter().cloned().collect(), self.generation);
        let revoking = self.take_over(assigned);
        if self.protocol() == RebalanceProtocol::Cooperative {
            self.settling = Some(SETTLING);
            if self.heartbeat.due().is_some() {
                self.heartbeat = Call::Due(now + self.heartbeat_wait());
            }
        }
        self.state = State::Stable { watched, revoking };
        if !revoking && let Some(reason) = self.rejoin.take() {
            self.request_rejoin(&reason, now);
        }
    }

    /// Makes `assigned` what is owned, and tells the application. Whether it has to give something
    /// up first.
    fn take_over(&mut self, assigned: BTreeSet<TopicPartition>) -> bool {
        let gone: Vec<TopicPartition> = self.owned.difference(&assigned).cloned().collect();
        let added: Vec<TopicPartition> = assigned.difference(&self.owned).cloned().collect();
        let owned: Vec<TopicPartition> = assigned.iter().cloned().collect();
        self.owned.extend(assigned);
        let revoking = !gone.is_empty();
        if revoking && self.protocol() == RebalanceProtocol::Eager {
            // An eager member owns nothing when it joins; this one changed its ways meanwhile.
            self.owned = owned.iter().cloned().collect();
            self.notices.push(GroupEvent::Lost { partitions: gone, reason: LossReason::Fenced });
            self.notices.push(GroupEvent::Assigned { added, owned });
            return false;
        }
        if revoking {
            self.notices.push(GroupEvent::Revoking { partitions: gone });
        }
        self.notices.push(GroupEvent::Assigned { added, owned });
        revoking
    }
}
