//! `JoinGroup`, `SyncGroup`, Heartbeat and `LeaveGroup`.

use std::time::Duration;

use ottla_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use ottla_protocol::messages::join_group::{JoinGroupRequest, JoinGroupResponse};
use ottla_protocol::messages::leave_group::{
    LeaveGroupRequest, LeaveGroupResponse, MemberIdentity, MemberResponse,
};
use ottla_protocol::messages::sync_group::{SyncGroupRequest, SyncGroupResponse};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::classic::{Claim, JoinAttempt, JoinRefused, Joined, Leaving, SyncAttempt, Synced};
use super::member::{Protocol, Timeouts};
use super::{Answer, Caller, Groups, Reply, WaitId};

impl Groups {
    /// `JoinGroup`. `unique` becomes part of the id of a member that has none: nobody has it yet.
    pub(crate) fn join_group(
        &mut self,
        caller: &Caller<'_>,
        unique: Uuid,
        request: JoinGroupRequest,
    ) -> Reply<JoinGroupResponse> {
        let version = caller.version;
        let (group_id, member_id) = (request.group_id.clone(), request.member_id.clone());
        if let Err(error) = self.check_join(caller, &request) {
            return Reply::Now(join_response(Err(JoinRefused { error, member_id }), version));
        }
        let wait = self.waits.open();
        let attempt = join_attempt(caller, unique, request);
        self.with_group(&group_id, caller.now, |group| {
            group.classic.handle_join(attempt, wait, caller.now);
        });
        match self.waits.take(wait) {
            Some(Answer::Join(outcome)) => Reply::Now(join_response(outcome, version)),
            Some(Answer::Sync(_)) | None => Reply::Later(wait),
        }
    }

    /// `SyncGroup`.
    pub(crate) fn sync_group(
        &mut self,
        caller: &Caller<'_>,
        request: SyncGroupRequest,
    ) -> Reply<SyncGroupResponse> {
        let checked = check_sync(caller, &request);
        let wait = match checked.and_then(|()| self.begin_sync(caller, request)) {
            Ok(wait) => wait,
            Err(error) => return Reply::Now(sync_response(Err(error))),
        };
        match self.waits.take(wait) {
            Some(Answer::Sync(outcome)) => Reply::Now(sync_response(outcome)),
            Some(Answer::Join(_)) | None => Reply::Later(wait),
        }
    }

    /// Heartbeat.
    pub(crate) fn heartbeat(
        &mut self,
        caller: &Caller<'_>,
        request: HeartbeatRequest,
    ) -> HeartbeatResponse {
        let outcome = self.try_heartbeat(caller, request);
        HeartbeatResponse { error_code: error_code(outcome), ..Default::default() }
    }

    /// `LeaveGroup`.
    pub(crate) fn leave_group(
        &mut self,
        caller: &Caller<'_>,
        request: LeaveGroupRequest,
    ) -> LeaveGroupResponse {
        let LeaveGroupRequest { group_id, member_id, members, .. } = request;
        let members = if caller.version >= FIRST_BATCH_LEAVE {
            members
        } else {
            vec![MemberIdentity { member_id, ..Default::default() }]
        };
        match self.try_leave(caller, &group_id, &members) {
            Ok(outcomes) => leave_response(members, outcomes, caller.version),
            Err(error) => LeaveGroupResponse { error_code: error.code(), ..Default::default() },
        }
    }

    /// Checks what does not depend on the group's state, and creates the group for somebody new.
    fn check_join(
        &mut self,
        caller: &Caller<'_>,
        request: &JoinGroupRequest,
    ) -> Result<(), ErrorCode> {
        check_group_id(&request.group_id)?;
        let session = millis(request.session_timeout_ms);
        let allowed = self.config.min_session_timeout..=self.config.max_session_timeout;
        if request.session_timeout_ms < 0 || !allowed.contains(&session) {
            return Err(ErrorCode::InvalidSessionTimeout);
        }
        caller.cluster.check_coordinator(&request.group_id)?;
        if request.member_id.is_empty() {
            self.create_missing(&request.group_id, caller.now);
        }
        let known = self.groups.contains_key(&request.group_id);
        known.then_some(()).ok_or(ErrorCode::UnknownMemberId)
    }

    fn begin_sync(
        &mut self,
        caller: &Caller<'_>,
        request: SyncGroupRequest,
    ) -> Result<WaitId, ErrorCode> {
        let group_id = request.group_id.clone();
        if !self.groups.contains_key(&group_id) {
            return Err(ErrorCode::UnknownMemberId);
        }
        let wait = self.waits.open();
        let attempt = sync_attempt(request);
        self.with_group(&group_id, caller.now, |group| {
            group.classic.handle_sync(attempt, wait, caller.now);
        });
        Ok(wait)
    }

    fn try_heartbeat(
        &mut self,
        caller: &Caller<'_>,
        request: HeartbeatRequest,
    ) -> Result<(), ErrorCode> {
        check_group_id(&request.group_id)?;
        caller.cluster.check_coordinator(&request.group_id)?;
        let claim = Claim {
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id,
        };
        let now = caller.now;
        let beat = self.with_group(&request.group_id, now, |group| {
            group.classic.handle_heartbeat(&claim, now)
        });
        beat.unwrap_or(Err(ErrorCode::UnknownMemberId))
    }

    fn try_leave(
        &mut self,
        caller: &Caller<'_>,
        group_id: &ByteString,
        members: &[MemberIdentity],
    ) -> Result<Vec<Result<(), ErrorCode>>, ErrorCode> {
        check_group_id(group_id)?;
        caller.cluster.check_coordinator(group_id)?;
        let leaving: Vec<_> = members.iter().map(leaving).collect();
        let left = self.with_group(group_id, caller.now, |group| {
            group.classic.handle_leave(&leaving, caller.now)
        });
        left.unwrap_or_else(|| Ok(vec![Err(ErrorCode::UnknownMemberId); members.len()]))
    }
}

/// The response to a join, parked or not.
pub(super) fn join_response(
    outcome: Result<Joined, JoinRefused>,
    version: i16,
) -> JoinGroupResponse {
    let mut response = match outcome {
        Ok(joined) => JoinGroupResponse {
            generation_id: joined.generation,
            protocol_type: joined.protocol_type,
            protocol_name: joined.protocol_name,
            leader: joined.leader,
            skip_assignment: joined.skip_assignment,
            member_id: joined.member_id,
            members: joined.members,
            ..Default::default()
        },
        Err(JoinRefused { error, member_id }) => {
            let (error_code, protocol_name) = (error.code(), None);
            JoinGroupResponse { error_code, protocol_name, member_id, ..Default::default() }
        }
    };
    if version < FIRST_NULL_PROTOCOL_NAME {
        response.protocol_name.get_or_insert_default();
    }
    response
}

/// The response to a sync, parked or not.
pub(super) fn sync_response(outcome: Result<Synced, ErrorCode>) -> SyncGroupResponse {
    match outcome {
        Ok(Synced { protocol_type, protocol_name, assignment }) => {
            SyncGroupResponse { protocol_type, protocol_name, assignment, ..Default::default() }
        }
        Err(error) => SyncGroupResponse { error_code: error.code(), ..Default::default() },
    }
}

fn join_attempt(caller: &Caller<'_>, unique: Uuid, request: JoinGroupRequest) -> JoinAttempt {
    let session = millis(request.session_timeout_ms);
    // Version 0 has no rebalance timeout.
    let rebalance =
        if caller.version >= 1 { millis(request.rebalance_timeout_ms) } else { session };
    let protocols = request.protocols.into_iter();
    let prefix = request.group_instance_id.as_deref().unwrap_or(caller.client_id);
    JoinAttempt {
        fresh_id: format!("{prefix}-{}", JavaUuid(unique)).into(),
        member_id: Some(request.member_id).filter(|id| !id.is_empty()),
        instance_id: request.group_instance_id,
        client_id: caller.client_id.into(),
        client_host: caller.client_host.into(),
        timeouts: Timeouts { session, rebalance },
        protocol_type: request.protocol_type,
        protocols: protocols.map(|p| Protocol { name: p.name, metadata: p.metadata }).collect(),
        requires_member_id: caller.version >= FIRST_REQUIRED_MEMBER_ID,
        can_skip_assignment: caller.version >= FIRST_SKIPPED_ASSIGNMENT,
    }
}

/// From version 5 on a sync has to say what it takes the protocol for (KIP-559).
fn check_sync(caller: &Caller<'_>, request: &SyncGroupRequest) -> Result<(), ErrorCode> {
    let says = request.protocol_type.is_some() && request.protocol_name.is_some();
    if caller.version >= 5 && !says {
        return Err(ErrorCode::InconsistentGroupProtocol);
    }
    check_group_id(&request.group_id)?;
    caller.cluster.check_coordinator(&request.group_id)
}

fn sync_attempt(request: SyncGroupRequest) -> SyncAttempt {
    let assignments = request.assignments.into_iter();
    SyncAttempt {
        claim: Claim {
            member_id: request.member_id,
            instance_id: request.group_instance_id,
            generation: request.generation_id,
        },
        protocol_type: request.protocol_type,
        protocol_name: request.protocol_name,
        assignments: assignments.map(|to| (to.member_id, to.assignment)).collect(),
    }
}

fn leaving(member: &MemberIdentity) -> Leaving {
    Leaving { member_id: member.member_id.clone(), instance_id: member.group_instance_id.clone() }
}

fn leave_response(
    members: Vec<MemberIdentity>,
    outcomes: Vec<Result<(), ErrorCode>>,
    version: i16,
) -> LeaveGroupResponse {
    if version < FIRST_BATCH_LEAVE {
        let only = outcomes.into_iter().next().unwrap_or(Ok(()));
        return LeaveGroupResponse { error_code: error_code(only), ..Default::default() };
    }
    let row = |(member, outcome): (MemberIdentity, Result<(), ErrorCode>)| MemberResponse {
        member_id: member.member_id,
        group_instance_id: member.group_instance_id,
        error_code: error_code(outcome),
        ..Default::default()
    };
    let members = members.into_iter().zip(outcomes).map(row).collect();
    LeaveGroupResponse { members, ..Default::default() }
}

/// The membership APIs want a name for the group; offsets may be committed without one.
pub(super) fn check_group_id(group_id: &str) -> Result<(), ErrorCode> {
    if group_id.is_empty() { Err(ErrorCode::InvalidGroupId) } else { Ok(()) }
}

/// The code of an outcome on the wire; 0 where it is no error.
pub(super) fn error_code(outcome: Result<(), ErrorCode>) -> i16 {
    outcome.err().unwrap_or(ErrorCode::None).code()
}

/// Nothing where it is negative.
fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// A UUID as `java.util.UUID` prints it: what Kafka puts into member ids.
struct JavaUuid(Uuid);

impl std::fmt::Display for JavaUuid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, byte) in self.0.as_bytes().iter().enumerate() {
            let dash = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{dash}{byte:02x}")?;
        }
        Ok(())
    }
}

/// `JoinGroup`'s first version in which a new member has to come back with its id (KIP-394).
const FIRST_REQUIRED_MEMBER_ID: i16 = 4;

/// `JoinGroup`'s first version in which the protocol's name may be null.
const FIRST_NULL_PROTOCOL_NAME: i16 = 7;

/// `JoinGroup`'s first version in which a leader can be told to assign nothing (KIP-814).
const FIRST_SKIPPED_ASSIGNMENT: i16 = 9;

/// `LeaveGroup`'s first version with several members (KIP-345).
const FIRST_BATCH_LEAVE: i16 = 3;
