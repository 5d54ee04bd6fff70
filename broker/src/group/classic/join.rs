//! The join phase: from the first join to the answer of all of them.

use std::time::Duration;

use ottla_protocol::messages::join_group::JoinGroupResponseMember;
use ottla_protocol::{ByteString, ErrorCode};

use super::{Answer, ClassicGroup, State, SyncPhase};
use crate::group::WaitId;
use crate::group::member::{Member, Protocol, Timeouts, Waiting};
use crate::group::subscription::{self, CONSUMER};

/// A join.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinAttempt {
    /// `None` for a member that has no id yet.
    pub(crate) member_id: Option<ByteString>,
    /// The id that it gets then: nobody has it yet.
    pub(crate) fresh_id: ByteString,
    /// `None` for a dynamic member.
    pub(crate) instance_id: Option<ByteString>,
    /// The `client.id` of the request.
    pub(crate) client_id: ByteString,
    /// The host of the request, as Java prints it.
    pub(crate) client_host: ByteString,
    /// How long it may stay silent, and how long it may take to rejoin.
    pub(crate) timeouts: Timeouts,
    /// What kind of group it wants, such as `consumer`.
    pub(crate) protocol_type: ByteString,
    /// Most preferred first.
    pub(crate) protocols: Vec<Protocol>,
    /// Whether a member without an id has to come back with the one that it is given (KIP-394,
    /// version 4).
    pub(crate) requires_member_id: bool,
    /// Whether a leader can be told not to assign anything (KIP-814, version 9).
    pub(crate) can_skip_assignment: bool,
}

/// What a member is told when the join phase is complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Joined {
    /// From 1 on.
    pub(crate) generation: i32,
    /// What kind of group it is.
    pub(crate) protocol_type: Option<ByteString>,
    /// What the members voted for.
    pub(crate) protocol_name: Option<ByteString>,
    /// The id of the member that assigns.
    pub(crate) leader: ByteString,
    /// Its own.
    pub(crate) member_id: ByteString,
    /// Everyone with what they voted for, by ascending id; empty but for the leader.
    pub(crate) members: Vec<JoinGroupResponseMember>,
    /// Whether it leads and must assign nothing all the same.
    pub(crate) skip_assignment: bool,
}

/// Why a join came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinRefused {
    /// Never `NONE`.
    pub(crate) error: ErrorCode,
    /// The id that is meant; with `MEMBER_ID_REQUIRED` the one to come back with. May be empty.
    pub(crate) member_id: ByteString,
}

/// How long joins are waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JoinPhase {
    pub(super) deadline: Duration,
    /// Where the group was empty before: no join is answered before the deadline.
    initial: Option<InitialDelay>,
}

/// The delay that gives the other members of a new group time to start (KIP-134).
#[derive(Debug, Clone, PartialEq, Eq)]
struct InitialDelay {
    /// By how much the deadline may still move.
    remaining: Duration,
    /// Whether somebody came since it moved last, so that it moves again.
    newcomer: bool,
}

impl ClassicGroup {
    /// A member joins or rejoins. The answer comes from
    /// [`poll_answer`](ClassicGroup::poll_answer), at once or when the join phase is complete.
    pub(crate) fn handle_join(&mut self, attempt: JoinAttempt, wait: WaitId, now: Duration) {
        if let Err(refused) = self.join(attempt, wait, now) {
            self.answers.push_back((wait, Answer::Join(Err(refused))));
        }
    }

    fn join(
        &mut self,
        attempt: JoinAttempt,
        wait: WaitId,
        now: Duration,
    ) -> Result<(), JoinRefused> {
        let id = attempt.member_id.clone().unwrap_or_default();
        if !self.has_room_for(&id) {
            self.remove(&id);
            return Err(refused(ErrorCode::GroupMaxSizeReached, ByteString::new()));
        }
        self.check_joinable(&attempt).map_err(|error| refused(error, id.clone()))?;
        match attempt.member_id {
            None => self.join_without_id(attempt, wait, now),
            Some(_) => self.join_with_id(id, attempt, wait, now),
        }
    }

    fn join_without_id(
        &mut self,
        attempt: JoinAttempt,
        wait: WaitId,
        now: Duration,
    ) -> Result<(), JoinRefused> {
        let id = attempt.fresh_id.clone();
        let instance = attempt.instance_id.as_deref();
        if let Some(old) = instance.and_then(|instance| self.roster.static_member_id(instance)) {
            let old = old.clone();
            self.replace_static_member(&old, attempt, wait, now);
        } else if instance.is_none() && attempt.requires_member_id {
            self.pending.insert(id.clone(), now + attempt.timeouts.session);
            return Err(refused(ErrorCode::MemberIdRequired, id));
        } else {
            self.add_member(id, attempt, wait, now);
        }
        Ok(())
    }

    fn join_with_id(
        &mut self,
        id: ByteString,
        attempt: JoinAttempt,
        wait: WaitId,
        now: Duration,
    ) -> Result<(), JoinRefused> {
        if self.pending.contains_key(&id) {
            if attempt.instance_id.is_some() {
                // Only dynamic members are given an id to come back with.
                return Err(refused(ErrorCode::UnknownServerError, id));
            }
            self.add_member(id, attempt, wait, now);
            return Ok(());
        }
        self.check_member(&id, attempt.instance_id.as_deref())
            .map_err(|error| refused(error, id.clone()))?;
        if self.is_retry(&id, &attempt) {
            let answer = self.joined(&id);
            self.answers.push_back((wait, Answer::Join(Ok(answer))));
        } else {
            self.rejoin(&id, attempt, wait);
            self.rebalance_or_complete_join(now);
        }
        Ok(())
    }

    /// Whether a member only wants to hear again what it was told. Nothing new about a follower
    /// is such a case; a leader may want to assign anew, but not before it has assigned at all.
    fn is_retry(&self, id: &str, attempt: &JoinAttempt) -> bool {
        let unchanged = self.roster.member(id).is_some_and(|m| m.protocols == attempt.protocols);
        match self.state {
            State::CompletingRebalance(_) => unchanged,
            State::Stable(_) => unchanged && !self.roster.is_leader(id),
            State::Empty | State::PreparingRebalance(_) | State::Dead => false,
        }
    }

    fn add_member(&mut self, id: ByteString, attempt: JoinAttempt, wait: WaitId, now: Duration) {
        if let State::PreparingRebalance(JoinPhase { initial: Some(delay), .. }) = &mut self.state {
            delay.newcomer = true;
        }
        if self.roster.is_empty() {
            // Copied: it stays when the member has gone, and is a slice of its whole request.
            self.protocol_type = Some(ByteString::from(&*attempt.protocol_type));
        }
        self.pending.remove(&id);
        let member = Member {
            instance_id: attempt.instance_id,
            client_id: attempt.client_id,
            client_host: attempt.client_host,
            timeouts: attempt.timeouts,
            protocols: attempt.protocols,
            assignment: bytes::Bytes::new(),
            session_deadline: Some(now + NEW_MEMBER_JOIN_TIMEOUT),
            waiting: Waiting::Join { wait, first: true },
        };
        self.roster.insert(id, member);
        self.rebalance_or_complete_join(now);
    }

    fn rejoin(&mut self, id: &str, attempt: JoinAttempt, wait: WaitId) {
        let Some(member) = self.roster.member_mut(id) else { return };
        let error = ErrorCode::RebalanceInProgress;
        if let Some(overtaken) = member.take_sync() {
            self.answers.push_back((overtaken, Answer::Sync(Err(error))));
        }
        member.protocols = attempt.protocols;
        member.timeouts = attempt.timeouts;
        if let Some(overtaken) = member.park_join(wait) {
            let refused = refused(error, ByteString::from(id));
            self.answers.push_back((overtaken, Answer::Join(Err(refused))));
        }
    }

    /// A static member came back under a new id: whoever still uses the old one is fenced
    /// (KIP-345).
    fn replace_static_member(
        &mut self,
        old: &str,
        attempt: JoinAttempt,
        wait: WaitId,
        now: Duration,
    ) {
        let leader_before = self.roster.leader().cloned().unwrap_or_default();
        let (new, can_skip) = (attempt.fresh_id.clone(), attempt.can_skip_assignment);
        self.fence(old);
        self.roster.rename(old, new.clone());
        if let State::CompletingRebalance(phase) | State::Stable(phase) = &mut self.state
            && phase.missing.remove(old)
        {
            phase.missing.insert(new.clone());
        }
        self.rejoin(&new, attempt, wait);
        self.extend_session(&new, now);
        match self.state {
            State::Stable(_) if self.roster.vote() == self.protocol_name => {
                self.save();
                self.welcome_back(&new, leader_before, can_skip);
            }
            // In the sync phase too: the leader may be assigning to the old id.
            State::Stable(_) | State::CompletingRebalance(_) => self.prepare_rebalance(now),
            State::PreparingRebalance(_) | State::Empty | State::Dead => {
                self.complete_join_if_due(now);
            }
        }
    }

    fn fence(&mut self, id: &str) {
        let Some(member) = self.roster.member_mut(id) else { return };
        let fenced = member.clone();
        member.waiting = Waiting::Nothing;
        let error = ErrorCode::FencedInstanceId;
        self.refuse(&fenced, refused(error, ByteString::from(id)), error);
    }

    /// Tells a static member what it had, without a rebalance.
    ///
    /// If it leads, it must not assign: a stable group would not hear it. From version 9 on it is
    /// told so; before, it is told that its old id leads.
    fn welcome_back(&mut self, id: &ByteString, leader_before: ByteString, can_skip: bool) {
        let mut answer = self.joined(id);
        if can_skip {
            answer.skip_assignment = self.roster.is_leader(id);
        } else {
            answer.leader = leader_before;
            answer.members.clear();
        }
        if let Some(wait) = self.roster.member_mut(id).and_then(Member::take_join) {
            self.answers.push_back((wait, Answer::Join(Ok(answer))));
        }
    }

    fn rebalance_or_complete_join(&mut self, now: Duration) {
        match self.state {
            State::Empty | State::CompletingRebalance(_) | State::Stable(_) => {
                self.prepare_rebalance(now);
            }
            State::PreparingRebalance(_) => self.complete_join_if_due(now),
            State::Dead => {}
        }
    }

    /// Everybody has to join anew.
    pub(super) fn prepare_rebalance(&mut self, now: Duration) {
        let was_empty = self.is_empty();
        if let State::CompletingRebalance(_) = self.state {
            self.interrupt_syncs(now);
        }
        let rebalance_timeout = self.roster.rebalance_timeout();
        let delay = self.config.initial_rebalance_delay;
        let phase = if was_empty {
            let remaining = rebalance_timeout.saturating_sub(delay);
            let initial = Some(InitialDelay { remaining, newcomer: false });
            JoinPhase { deadline: now + delay, initial }
        } else {
            JoinPhase { deadline: now + rebalance_timeout, initial: None }
        };
        self.enter(State::PreparingRebalance(phase), now);
        self.complete_join_if_due(now);
    }

    fn interrupt_syncs(&mut self, now: Duration) {
        for (_, member) in self.roster.iter_mut() {
            member.assignment = bytes::Bytes::new();
            if let Some(wait) = member.take_sync() {
                member.extend_session(now);
                let error = ErrorCode::RebalanceInProgress;
                self.answers.push_back((wait, Answer::Sync(Err(error))));
            }
        }
    }

    /// Completes the join phase once everyone has joined, unless a new group still waits for more.
    pub(super) fn complete_join_if_due(&mut self, now: Duration) {
        if let State::PreparingRebalance(JoinPhase { initial: None, .. }) = self.state {
            self.complete_join_if_all_joined(now);
        }
    }

    /// Completes the join phase once everyone has joined; of a new group too: where somebody was
    /// lost, there is nobody to wait for.
    pub(super) fn complete_join_if_all_joined(&mut self, now: Duration) {
        let all_joined = self.roster.joining() == self.roster.len() && self.pending.is_empty();
        if all_joined && matches!(self.state, State::PreparingRebalance(_)) {
            self.complete_join(now);
        }
    }

    pub(super) fn expire_join_phase(&mut self, now: Duration) {
        if let State::PreparingRebalance(phase) = &mut self.state
            && let Some(initial) = &mut phase.initial
            && initial.newcomer
            && !initial.remaining.is_zero()
        {
            let delay = self.config.initial_rebalance_delay.min(initial.remaining);
            initial.newcomer = false;
            initial.remaining -= delay;
            phase.deadline = now + delay;
            return;
        }
        self.complete_join(now);
    }

    /// The join phase is over; whoever has not joined is out, but for static members.
    fn complete_join(&mut self, now: Duration) {
        for straggler in self.roster.stragglers() {
            self.remove(&straggler);
        }
        if !self.roster.elect_joined_leader() && !self.roster.is_empty() {
            self.postpone_join_phase(now);
            return;
        }
        self.generation += 1;
        if self.roster.is_empty() {
            self.protocol_name = None;
            self.subscribed = self.subscribed_topics();
            self.enter(State::Empty, now);
            self.save();
            return;
        }
        self.protocol_name = self.roster.vote();
        self.subscribed = self.subscribed_topics();
        let deadline = now + self.roster.rebalance_timeout();
        let missing = self.member_ids().into_iter().collect();
        self.enter(State::CompletingRebalance(SyncPhase { deadline, missing }), now);
        self.answer_joins(now);
    }

    /// Only static members are left and none has come back: their sessions will tell.
    fn postpone_join_phase(&mut self, now: Duration) {
        let timeout = self.roster.rebalance_timeout().max(SHORTEST_POSTPONEMENT);
        if let State::PreparingRebalance(phase) = &mut self.state {
            phase.deadline = now + timeout;
        }
    }

    fn answer_joins(&mut self, now: Duration) {
        for id in self.member_ids() {
            let answer = self.joined(&id);
            let Some(member) = self.roster.member_mut(&id) else { continue };
            member.extend_session(now);
            if let Some(wait) = member.take_join() {
                self.answers.push_back((wait, Answer::Join(Ok(answer))));
            }
        }
    }

    fn joined(&self, id: &ByteString) -> Joined {
        let leads = self.roster.is_leader(id);
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            leader: self.roster.leader().cloned().unwrap_or_default(),
            member_id: id.clone(),
            members: if leads { self.members_for_leader() } else { Vec::new() },
            skip_assignment: false,
        }
    }

    /// `group.max.size` (KIP-389). In the join phase those who joined count, so that a group that
    /// is too large loses those who come last.
    fn has_room_for(&self, id: &str) -> bool {
        match self.state {
            State::Empty | State::Dead => true,
            State::PreparingRebalance(_) => {
                self.roster.member(id).is_some_and(Member::is_joining)
                    || self.roster.joining() < self.config.max_size
            }
            State::CompletingRebalance(_) | State::Stable(_) => {
                self.roster.contains(id) || self.roster.len() < self.config.max_size
            }
        }
    }

    fn check_joinable(&self, attempt: &JoinAttempt) -> Result<(), ErrorCode> {
        self.check_alive()?;
        let fits = if self.is_empty() {
            !attempt.protocol_type.is_empty() && !attempt.protocols.is_empty()
        } else {
            self.protocol_type.as_ref() == Some(&attempt.protocol_type)
                && self.roster.supports_one_of(&attempt.protocols)
        };
        fits.then_some(()).ok_or(ErrorCode::InconsistentGroupProtocol)
    }

    /// The topics of all members; `None` where they are not consumers, or not all can be read.
    pub(super) fn subscribed_topics(&self) -> Option<std::collections::BTreeSet<ByteString>> {
        if self.protocol_type.as_deref() != Some(CONSUMER) {
            return None;
        }
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let topics = |member: &Member| subscription::subscribed_topics(&member.metadata(protocol));
        let topics: Result<Vec<_>, _> = self.roster.iter().map(|(_, m)| topics(m)).collect();
        topics.ok().map(|topics| topics.into_iter().flatten().collect())
    }
}

fn refused(error: ErrorCode, member_id: ByteString) -> JoinRefused {
    JoinRefused { error, member_id }
}

/// How long the first join of a member may be parked; Kafka's
/// `CLASSIC_GROUP_NEW_MEMBER_JOIN_TIMEOUT_MS`, which is no setting.
const NEW_MEMBER_JOIN_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// A member may ask for a rebalance timeout of nothing; a deadline that does not move would be due
/// for ever.
const SHORTEST_POSTPONEMENT: Duration = Duration::from_millis(1);
