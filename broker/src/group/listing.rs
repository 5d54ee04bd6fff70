//! `DescribeGroups`, `ListGroups` and `DeleteGroups`.

use std::collections::BTreeSet;

use ottla_protocol::messages::delete_groups::{
    DeletableGroupResult, DeleteGroupsRequest, DeleteGroupsResponse,
};
use ottla_protocol::messages::describe_groups::{
    DescribeGroupsRequest, DescribeGroupsResponse, DescribedGroup, DescribedGroupMember,
};
use ottla_protocol::messages::list_groups::{ListGroupsRequest, ListGroupsResponse, ListedGroup};
use ottla_protocol::{ByteString, ErrorCode};

use super::classic::ClassicGroup;
use super::member::Member;
use super::{Caller, Groups};

impl Groups {
    /// `DescribeGroups`. A group that nobody knows is dead; from version 6 on that is an error too
    /// (KIP-1043).
    pub(crate) fn describe_groups(
        &self,
        caller: &Caller<'_>,
        request: DescribeGroupsRequest,
    ) -> DescribeGroupsResponse {
        let operations = request.include_authorized_operations.then_some(GROUP_OPERATIONS);
        let groups = request.groups.into_iter().map(|id| {
            let mut described = self.describe_group(caller, id);
            if described.error_code == ErrorCode::None.code() {
                described.authorized_operations =
                    operations.unwrap_or(described.authorized_operations);
            }
            described
        });
        DescribeGroupsResponse { groups: groups.collect(), ..Default::default() }
    }

    /// `ListGroups`: those that the node coordinates, filtered by state from version 4 on (KIP-518)
    /// and by type from version 5 on (KIP-848), both in any letter case.
    pub(crate) fn list_groups(
        &self,
        caller: &Caller<'_>,
        request: &ListGroupsRequest,
    ) -> ListGroupsResponse {
        let admits = |filter: &[ByteString], word: &str| {
            filter.is_empty() || filter.iter().any(|f| f.trim().eq_ignore_ascii_case(word))
        };
        let listed = self.groups.iter().filter(|(id, group)| {
            admits(&request.states_filter, group.classic.state_name())
                && admits(&request.types_filter, CLASSIC)
                && caller.cluster.check_coordinator(id).is_ok()
        });
        let groups = listed.map(|(id, group)| list_group(id, &group.classic)).collect();
        ListGroupsResponse { groups, ..Default::default() }
    }

    /// `DeleteGroups`: each with its offsets, once however often it is named.
    pub(crate) fn delete_groups(
        &mut self,
        caller: &Caller<'_>,
        request: DeleteGroupsRequest,
    ) -> DeleteGroupsResponse {
        let mut seen = BTreeSet::new();
        let ids = request.groups_names.into_iter().filter(|id| seen.insert(id.clone()));
        let results = ids.map(|group_id| {
            let outcome = self.delete_group(caller, &group_id);
            DeletableGroupResult {
                error_code: outcome.err().unwrap_or(ErrorCode::None).code(),
                group_id,
                ..Default::default()
            }
        });
        DeleteGroupsResponse { results: results.collect(), ..Default::default() }
    }

    fn describe_group(&self, caller: &Caller<'_>, group_id: ByteString) -> DescribedGroup {
        if let Err(error) = caller.cluster.check_coordinator(&group_id) {
            return DescribedGroup { group_id, error_code: error.code(), ..Default::default() };
        }
        let Some(group) = self.groups.get(&group_id) else {
            return unknown_group(group_id, caller.version);
        };
        let protocol = group.classic.stable_protocol();
        let member = |(id, member)| describe_member(id, member, protocol);
        DescribedGroup {
            group_id,
            group_state: ByteString::from_static(group.classic.state_name()),
            protocol_type: group.classic.protocol_type().cloned().unwrap_or_default(),
            protocol_data: protocol.cloned().unwrap_or_default(),
            members: group.classic.members().map(member).collect(),
            ..Default::default()
        }
    }

    fn delete_group(
        &mut self,
        caller: &Caller<'_>,
        group_id: &ByteString,
    ) -> Result<(), ErrorCode> {
        caller.cluster.check_coordinator(group_id)?;
        let group = self.groups.get(group_id).ok_or(ErrorCode::GroupIdNotFound)?;
        if !group.classic.is_empty() {
            return Err(ErrorCode::NonEmptyGroup);
        }
        self.remove(group_id);
        Ok(())
    }
}

fn list_group(id: &ByteString, group: &ClassicGroup) -> ListedGroup {
    ListedGroup {
        group_id: id.clone(),
        protocol_type: group.protocol_type().cloned().unwrap_or_default(),
        group_state: ByteString::from_static(group.state_name()),
        group_type: ByteString::from_static(CLASSIC),
        ..Default::default()
    }
}

fn unknown_group(group_id: ByteString, version: i16) -> DescribedGroup {
    let dead = DescribedGroup {
        group_id: group_id.clone(),
        group_state: ByteString::from_static("Dead"),
        ..Default::default()
    };
    if version < FIRST_UNKNOWN_GROUP_ERROR {
        return dead;
    }
    let error = ErrorCode::GroupIdNotFound;
    // Kafka's words.
    let error_message = Some(format!("Group {group_id} not found.").into());
    DescribedGroup { error_code: error.code(), error_message, ..dead }
}

/// A member; its metadata only while `protocol` is what the group has agreed on.
fn describe_member(
    id: &ByteString,
    member: &Member,
    protocol: Option<&ByteString>,
) -> DescribedGroupMember {
    DescribedGroupMember {
        member_id: id.clone(),
        group_instance_id: member.instance_id.clone(),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        member_metadata: protocol.map(|name| member.metadata(name)).unwrap_or_default(),
        member_assignment: member.assignment.clone(),
        ..Default::default()
    }
}

/// The type of every group here.
const CLASSIC: &str = "classic";

/// READ, DELETE, DESCRIBE, `DESCRIBE_CONFIGS` and `ALTER_CONFIGS` as bits by their numbers: what
/// anybody may do to a group where there is no authorizer (KIP-430).
const GROUP_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;

/// `DescribeGroups`' first version in which a group that nobody knows is an error.
const FIRST_UNKNOWN_GROUP_ERROR: i16 = 6;
