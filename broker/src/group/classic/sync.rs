//! The sync phase: from the answered joins to everyone's assignment.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use ottla_protocol::{ByteString, ErrorCode};

use super::{Answer, Claim, ClassicGroup, State};
use crate::group::WaitId;
use crate::group::subscription;

/// A member's sync, with the assignments of all members where it leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SyncAttempt {
    /// Who syncs.
    pub(crate) claim: Claim,
    /// What it takes the group's protocol type for; `None` where the version cannot say.
    pub(crate) protocol_type: Option<ByteString>,
    /// What it takes the chosen protocol for; `None` where the version cannot say.
    pub(crate) protocol_name: Option<ByteString>,
    /// From member id to assignment.
    pub(crate) assignments: BTreeMap<ByteString, Bytes>,
}

/// What a member is assigned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Synced {
    /// What kind of group it is.
    pub(crate) protocol_type: Option<ByteString>,
    /// What the members voted for.
    pub(crate) protocol_name: Option<ByteString>,
    /// As the leader wrote it.
    pub(crate) assignment: Bytes,
}

/// Who must still sync, and by when. Outlives the leader's sync: followers may be late.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SyncPhase {
    pub(super) deadline: Duration,
    pub(super) missing: BTreeSet<ByteString>,
}

impl ClassicGroup {
    /// A member asks for its assignment. The answer comes from
    /// [`poll_answer`](Self::poll_answer), at once or when the leader has synced.
    pub(crate) fn handle_sync(&mut self, attempt: SyncAttempt, wait: WaitId, now: Duration) {
        if let Err(error) = self.sync(attempt, wait, now) {
            self.answers.push_back((wait, Answer::Sync(Err(error))));
        }
    }

    fn sync(&mut self, attempt: SyncAttempt, wait: WaitId, now: Duration) -> Result<(), ErrorCode> {
        self.check_claim(&attempt.claim)?;
        self.check_protocol(&attempt)?;
        let id = &attempt.claim.member_id;
        match &mut self.state {
            State::CompletingRebalance(phase) => {
                phase.missing.remove(id);
                let member = self.roster.member_mut(id);
                if let Some(overtaken) = member.and_then(|member| member.park_sync(wait)) {
                    let error = ErrorCode::RebalanceInProgress;
                    self.answers.push_back((overtaken, Answer::Sync(Err(error))));
                }
                if self.roster.is_leader(id) {
                    self.assign(attempt.assignments, now);
                }
                Ok(())
            }
            State::Stable(phase) => {
                phase.missing.remove(id);
                let answer = self.synced(id);
                self.answers.push_back((wait, Answer::Sync(Ok(answer))));
                Ok(())
            }
            State::PreparingRebalance(_) => Err(ErrorCode::RebalanceInProgress),
            State::Empty | State::Dead => Err(ErrorCode::UnknownMemberId),
        }
    }

    /// The leader has spoken: everyone gets what is theirs.
    fn assign(&mut self, mut assignments: BTreeMap<ByteString, Bytes>, now: Duration) {
        let State::CompletingRebalance(phase) = &self.state else { return };
        let phase = phase.clone();
        let nothing = subscription::empty_assignment(self.protocol_type.as_deref());
        for (id, member) in self.roster.iter_mut() {
            member.assignment = assignments.remove(id).unwrap_or_else(|| nothing.clone());
        }
        self.enter(State::Stable(phase), now);
        self.save();
        for id in self.member_ids() {
            let Some(member) = self.roster.member_mut(&id) else { continue };
            let Some(wait) = member.take_sync() else { continue };
            member.extend_session(now);
            let answer = self.synced(&id);
            self.answers.push_back((wait, Answer::Sync(Ok(answer))));
        }
    }

    fn synced(&self, id: &str) -> Synced {
        Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            assignment: self.roster.member(id).map(|m| m.assignment.clone()).unwrap_or_default(),
        }
    }

    /// Whoever joined and never synced is taken for gone.
    pub(super) fn expire_sync_phase(&mut self, now: Duration) {
        let (State::CompletingRebalance(phase) | State::Stable(phase)) = &mut self.state else {
            return;
        };
        for id in std::mem::take(&mut phase.missing) {
            self.remove(&id);
        }
        self.prepare_rebalance(now);
    }

    fn check_protocol(&self, attempt: &SyncAttempt) -> Result<(), ErrorCode> {
        let differs = |theirs: &Option<ByteString>, ours: &Option<ByteString>| {
            theirs.is_some() && ours.is_some() && theirs != ours
        };
        if differs(&attempt.protocol_type, &self.protocol_type)
            || differs(&attempt.protocol_name, &self.protocol_name)
        {
            return Err(ErrorCode::InconsistentGroupProtocol);
        }
        Ok(())
    }
}
