//! One classic consumer group: who is in it, and who waits for whom.
//!
//! ```text
//!             first join               all joined, or time is up
//!     Empty ------------> PreparingRebalance ----------------> CompletingRebalance
//!       ^                   |    ^      ^                        |        |
//!       '-------------------'    |      '------------------------'        | the leader syncs
//!         nobody is left         |        somebody joins or goes          v
//!                                '------------------------------------- Stable
//!                                       somebody joins or goes
//! ```
//!
//! A join waits for the others' joins, a sync for the leader's; both are answered through
//! [`poll_answer`](ClassicGroup::poll_answer). Every rule is that of Kafka's
//! `GroupMetadataManager` (KIP-62, 134, 345, 389, 394, 559, 814). The two phases of a rebalance have
//! a file each, [`join`] and [`sync`].

mod join;
mod saved;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use ottla_protocol::messages::join_group::JoinGroupResponseMember;
use ottla_protocol::{ByteString, ErrorCode};

use self::join::JoinPhase;
pub(crate) use self::join::{JoinAttempt, JoinRefused, Joined};
use self::saved::Saved;
use self::sync::SyncPhase;
pub(crate) use self::sync::{SyncAttempt, Synced};
use super::member::{Member, Roster, Waiting};
use super::subscription::CONSUMER;
use super::{GroupConfig, WaitId};

/// The state machine of one group.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    config: GroupConfig,
    state: State,
    /// When the state was entered.
    since: Duration,
    /// One more with each join phase that is completed, and with nothing else.
    generation: i32,
    /// What kind of group it is, such as `consumer`; `None` until somebody joined.
    protocol_type: Option<ByteString>,
    /// What the members voted for.
    protocol_name: Option<ByteString>,
    roster: Roster,
    /// Member ids that were handed out and not used yet, and until when they hold (KIP-394).
    pending: BTreeMap<ByteString, Duration>,
    /// The topics of all members; `None` where nobody can know.
    subscribed: Option<BTreeSet<ByteString>>,
    answers: VecDeque<(WaitId, Answer)>,
    saved: Saved,
}

/// What a parked request is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// To a join.
    Join(Result<Joined, JoinRefused>),
    /// To a sync.
    Sync(Result<Synced, ErrorCode>),
}

/// Who a request says that it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Empty for a consumer that is no member.
    pub(crate) member_id: ByteString,
    /// `None` for a dynamic member.
    pub(crate) instance_id: Option<ByteString>,
    /// −1 for a consumer that is no member.
    pub(crate) generation: i32,
}

/// A member that is to leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaving {
    /// Empty where an administrator removes a static member by its instance id alone.
    pub(crate) member_id: ByteString,
    /// `None` for a dynamic member.
    pub(crate) instance_id: Option<ByteString>,
}

/// How an offset is committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CommitKind {
    /// By itself.
    Plain,
    /// With a transaction. The group's state is not asked then: the offsets count once the
    /// transaction ends (KIP-447).
    Transactional,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Empty,
    PreparingRebalance(JoinPhase),
    CompletingRebalance(SyncPhase),
    Stable(SyncPhase),
    /// Its coordinator is elsewhere now.
    Dead,
}

impl ClassicGroup {
    /// A group without members.
    pub(crate) fn new(config: GroupConfig, now: Duration) -> Self {
        Self {
            config,
            state: State::Empty,
            since: now,
            generation: 0,
            protocol_type: None,
            protocol_name: None,
            roster: Roster::default(),
            pending: BTreeMap::new(),
            subscribed: None,
            answers: VecDeque::new(),
            saved: Saved::default(),
        }
    }

    /// A member says that it is alive.
    ///
    /// # Errors
    ///
    /// `REBALANCE_IN_PROGRESS` where it has to rejoin; `ILLEGAL_GENERATION`, `UNKNOWN_MEMBER_ID`
    /// and `FENCED_INSTANCE_ID` where it is not what it claims.
    pub(crate) fn handle_heartbeat(
        &mut self,
        claim: &Claim,
        now: Duration,
    ) -> Result<(), ErrorCode> {
        self.check_claim(claim)?;
        self.extend_session(&claim.member_id, now);
        match self.state {
            State::PreparingRebalance(_) => Err(ErrorCode::RebalanceInProgress),
            State::CompletingRebalance(_) | State::Stable(_) => Ok(()),
            State::Empty | State::Dead => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// Members leave, each with an outcome of its own (KIP-345).
    ///
    /// # Errors
    ///
    /// `COORDINATOR_NOT_AVAILABLE` for all of them, where the group is dead.
    pub(crate) fn handle_leave(
        &mut self,
        leaving: &[Leaving],
        now: Duration,
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        self.check_alive()?;
        let outcomes: Vec<_> = leaving.iter().map(|member| self.leave(member)).collect();
        if outcomes.iter().any(Result::is_ok) {
            self.rebalance_without_leavers(now);
        }
        Ok(outcomes)
    }

    /// Whether offsets may be committed by `claim`; if so, the commit is a sign of life.
    ///
    /// # Errors
    ///
    /// As [`handle_heartbeat`](Self::handle_heartbeat), but that a member may commit while it has
    /// to rejoin, and not between its join and its sync.
    pub(crate) fn handle_commit(
        &mut self,
        claim: &Claim,
        kind: CommitKind,
        now: Duration,
    ) -> Result<(), ErrorCode> {
        self.check_alive()?;
        let anonymous = claim.member_id.is_empty() && claim.instance_id.is_none();
        match (&self.state, kind) {
            // A consumer that assigns its partitions itself, or an administrator.
            (State::Empty, _) if claim.generation < 0 => return Ok(()),
            (_, CommitKind::Transactional) if claim.generation < 0 && anonymous => return Ok(()),
            _ if claim.generation < 0 && anonymous => return Err(ErrorCode::UnknownMemberId),
            _ => self.check_claim(claim)?,
        }
        match (&self.state, kind) {
            (_, CommitKind::Transactional) => Ok(()),
            // The member knows the generation and has no assignment in it yet.
            (State::CompletingRebalance(_), CommitKind::Plain) => {
                Err(ErrorCode::RebalanceInProgress)
            }
            (_, CommitKind::Plain) => {
                self.extend_session(&claim.member_id, now);
                Ok(())
            }
        }
    }

    /// Does what was due until `now`.
    pub(crate) fn handle_timeout(&mut self, now: Duration) {
        while let Some((at, due)) = self.next_due()
            && at <= now
        {
            match due {
                Due::PendingMember(id) => {
                    let id = id.clone();
                    self.expire_pending_member(&id, now);
                }
                Due::Session(id) => {
                    let id = id.clone();
                    self.expire_session(&id, now);
                }
                Due::JoinPhase => self.expire_join_phase(now),
                Due::SyncPhase => self.expire_sync_phase(now),
            }
        }
    }

    /// The next answer that is ready, with whom to wake for it.
    pub(crate) fn poll_answer(&mut self) -> Option<(WaitId, Answer)> {
        self.answers.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.next_due().map(|(at, _)| at)
    }

    /// Whether nobody is in it. Ids that were handed out do not count.
    pub(crate) fn is_empty(&self) -> bool {
        matches!(self.state, State::Empty)
    }

    /// The name of the state, as Kafka shows it.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            State::Empty => "Empty",
            State::PreparingRebalance(_) => "PreparingRebalance",
            State::CompletingRebalance(_) => "CompletingRebalance",
            State::Stable(_) => "Stable",
            State::Dead => "Dead",
        }
    }

    /// What kind of group it is; `None` where nobody ever joined and only offsets were committed.
    pub(crate) fn protocol_type(&self) -> Option<&ByteString> {
        self.protocol_type.as_ref()
    }

    /// What the members voted for; `None` unless the group is stable.
    pub(crate) fn stable_protocol(&self) -> Option<&ByteString> {
        match self.state {
            State::Stable(_) => self.protocol_name.as_ref(),
            State::Empty
            | State::PreparingRebalance(_)
            | State::CompletingRebalance(_)
            | State::Dead => None,
        }
    }

    /// Every member with its id, by ascending id.
    pub(crate) fn members(&self) -> impl Iterator<Item = (&ByteString, &Member)> {
        self.roster.iter()
    }

    /// Whether a member subscribes to `topic`. A group of consumers whose subscriptions nobody can
    /// read subscribes to everything.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match &self.subscribed {
            Some(topics) => topics.contains(topic),
            None => self.protocol_type.as_deref() == Some(CONSUMER),
        }
    }

    /// Whether its offsets expire now, and if so, since when they are of no use.
    pub(crate) fn offset_expiry(&self) -> OffsetExpiry {
        match (&self.protocol_type, &self.state) {
            (None, _) => OffsetExpiry::SinceCommit,
            (Some(_), State::Empty) => OffsetExpiry::Since(self.since),
            (Some(_), State::Stable(_)) if self.subscribed.is_some() => OffsetExpiry::SinceCommit,
            (Some(_), _) => OffsetExpiry::Never,
        }
    }

    fn leave(&mut self, leaving: &Leaving) -> Result<(), ErrorCode> {
        let Leaving { member_id, instance_id } = leaving;
        if member_id.is_empty() {
            let instance = instance_id.as_deref().ok_or(ErrorCode::UnknownMemberId)?;
            let id = self.roster.static_member_id(instance).cloned();
            self.remove(&id.ok_or(ErrorCode::UnknownMemberId)?);
            return Ok(());
        }
        if self.pending.remove(member_id).is_some() {
            return Ok(());
        }
        self.check_member(member_id, instance_id.as_deref())?;
        self.remove(member_id);
        Ok(())
    }

    fn rebalance_without_leavers(&mut self, now: Duration) {
        match self.state {
            State::CompletingRebalance(_) | State::Stable(_) => self.prepare_rebalance(now),
            State::PreparingRebalance(_) => self.complete_join_if_due(now),
            State::Empty | State::Dead => {}
        }
    }

    /// Takes a member out. What it waits for, it is told, so that it can come back if it lives;
    /// Kafka leaves a parked sync without an answer.
    fn remove(&mut self, id: &str) {
        self.pending.remove(id);
        if let State::CompletingRebalance(phase) | State::Stable(phase) = &mut self.state {
            phase.missing.remove(id);
        }
        let Some(member) = self.roster.remove(id) else { return };
        let join = JoinRefused { error: ErrorCode::UnknownMemberId, member_id: ByteString::new() };
        self.refuse(&member, join, ErrorCode::UnknownMemberId);
    }

    fn refuse(&mut self, member: &Member, join: JoinRefused, sync: ErrorCode) {
        match member.waiting {
            Waiting::Nothing => {}
            Waiting::Join { wait, .. } => {
                self.answers.push_back((wait, Answer::Join(Err(join))));
            }
            Waiting::Sync { wait } => self.answers.push_back((wait, Answer::Sync(Err(sync)))),
        }
    }

    fn expire_pending_member(&mut self, id: &str, now: Duration) {
        self.pending.remove(id);
        self.complete_join_if_all_joined(now);
    }

    fn expire_session(&mut self, id: &str, now: Duration) {
        let Some(member) = self.roster.member_mut(id) else { return };
        member.session_deadline = None;
        match member.waiting {
            // It is the group's turn, not the member's.
            Waiting::Join { first: false, .. } | Waiting::Sync { .. } => return,
            Waiting::Nothing | Waiting::Join { first: true, .. } => self.remove(id),
        }
        match self.state {
            State::CompletingRebalance(_) | State::Stable(_) => self.prepare_rebalance(now),
            State::PreparingRebalance(_) => self.complete_join_if_all_joined(now),
            State::Empty | State::Dead => {}
        }
    }

    fn next_due(&self) -> Option<(Duration, Due<'_>)> {
        let pending = self.pending.iter().map(|(id, at)| (*at, Due::PendingMember(id)));
        let sessions = self.roster.iter().filter_map(|(id, member)| {
            member.session_deadline.map(|deadline| (deadline, Due::Session(id)))
        });
        let phase = match &self.state {
            State::PreparingRebalance(phase) => Some((phase.deadline, Due::JoinPhase)),
            State::CompletingRebalance(phase) | State::Stable(phase) => {
                (!phase.missing.is_empty()).then_some((phase.deadline, Due::SyncPhase))
            }
            State::Empty | State::Dead => None,
        };
        pending.chain(sessions).chain(phase).min_by_key(|(at, _)| *at)
    }

    fn check_alive(&self) -> Result<(), ErrorCode> {
        match self.state {
            State::Dead => Err(ErrorCode::CoordinatorNotAvailable),
            State::Empty
            | State::PreparingRebalance(_)
            | State::CompletingRebalance(_)
            | State::Stable(_) => Ok(()),
        }
    }

    fn check_claim(&self, claim: &Claim) -> Result<(), ErrorCode> {
        self.check_alive()?;
        self.check_member(&claim.member_id, claim.instance_id.as_deref())?;
        if claim.generation != self.generation {
            return Err(ErrorCode::IllegalGeneration);
        }
        Ok(())
    }

    fn check_member(&self, id: &str, instance: Option<&str>) -> Result<(), ErrorCode> {
        let known = self.roster.contains(id).then_some(()).ok_or(ErrorCode::UnknownMemberId);
        let Some(instance) = instance else { return known };
        match self.roster.static_member_id(instance) {
            Some(current) if *current != *id => Err(ErrorCode::FencedInstanceId),
            Some(_) => known,
            None => Err(ErrorCode::UnknownMemberId),
        }
    }

    fn extend_session(&mut self, id: &str, now: Duration) {
        if let Some(member) = self.roster.member_mut(id) {
            member.extend_session(now);
        }
    }

    fn member_ids(&self) -> Vec<ByteString> {
        self.roster.iter().map(|(id, _)| id.clone()).collect()
    }

    /// Every member with its metadata for the chosen protocol: what the leader assigns by.
    fn members_for_leader(&self) -> Vec<JoinGroupResponseMember> {
        let protocol = self.protocol_name.as_deref().unwrap_or_default();
        let row = |(id, member): (&ByteString, &Member)| JoinGroupResponseMember {
            member_id: id.clone(),
            group_instance_id: member.instance_id.clone(),
            metadata: member.metadata(protocol),
            ..Default::default()
        };
        self.roster.iter().map(row).collect()
    }

    fn enter(&mut self, state: State, now: Duration) {
        self.state = state;
        self.since = now;
    }
}

/// Since when the offsets of a group are of no use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OffsetExpiry {
    /// They are of use.
    Never,
    /// Each since it was committed.
    SinceCommit,
    /// All of them since then.
    Since(Duration),
}

/// What happens at a deadline.
enum Due<'a> {
    PendingMember(&'a ByteString),
    Session(&'a ByteString),
    JoinPhase,
    SyncPhase,
}
