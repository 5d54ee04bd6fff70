//! What groups are doing.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use ottla_core::error::ErrorCode;
use ottla_core::types::{NodeId, TopicPartition};
use ottla_protocol::messages::consumer_protocol::ConsumerProtocolAssignment;
use ottla_protocol::messages::describe_groups::{DescribedGroup, DescribedGroupMember};
use ottla_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse};
use ottla_protocol::{ByteString, DecodeError, Message};

use super::GroupState;
use crate::call::{AdminCall, Asked, Place, Route, Settled, check, check_code};

/// A classic group, as its coordinator describes it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct GroupDescription {
    /// Its id.
    pub id: ByteString,
    /// Its state.
    pub state: GroupState,
    /// What its members are to one another: `consumer`, `connect`; empty for a group that only has
    /// offsets.
    pub protocol_type: ByteString,
    /// The assignor that the members agreed on: `range`, `cooperative-sticky`; empty while there is
    /// none.
    pub assignor: ByteString,
    /// The broker that coordinates it.
    pub coordinator: Option<NodeId>,
    /// Its members, by member id.
    pub members: Vec<Member>,
}

/// A member of a classic group.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Member {
    /// The id that the coordinator gave it.
    pub id: ByteString,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<ByteString>,
    /// What its client calls itself.
    pub client_id: ByteString,
    /// Where its client connects from.
    pub client_host: ByteString,
    /// What was assigned to it.
    pub assignment: MemberAssignment,
}

/// What was assigned to a member.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum MemberAssignment {
    /// Nothing: the group is rebalancing.
    None,
    /// These partitions, in order.
    Partitions(BTreeSet<TopicPartition>),
    /// Something that only groups of its protocol type can read.
    Other(Bytes),
    /// Something that no consumer can read. It is no assignment of nothing: what the member
    /// consumes is not known.
    Malformed(Arc<DecodeError>),
}

impl MemberAssignment {
    /// The partitions, where it is known that there are any.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        let known = match self {
            Self::Partitions(partitions) => Some(partitions),
            Self::None | Self::Other(_) | Self::Malformed(_) => None,
        };
        known.into_iter().flatten()
    }

    fn read(protocol_type: &str, bytes: Bytes) -> Self {
        if bytes.is_empty() {
            return Self::None;
        }
        if protocol_type != CONSUMER {
            return Self::Other(bytes);
        }
        match ConsumerProtocolAssignment::decode_versioned(&bytes) {
            Ok((_, assignment)) => Self::Partitions(partitions(&assignment)),
            Err(error) => Self::Malformed(Arc::new(error)),
        }
    }
}

/// Describes several groups.
#[derive(Debug)]
pub struct DescribeGroups {
    pub(crate) groups: BTreeSet<ByteString>,
}

/// Describes one group.
#[derive(Debug)]
pub struct DescribeGroup {
    pub(crate) group: ByteString,
}

impl AdminCall for DescribeGroups {
    type Key = ByteString;
    type Request = DescribeGroupsRequest;
    type Value = GroupDescription;

    fn subject(&self, group: &ByteString) -> String {
        format!("describe group {group}")
    }

    fn route(&self, group: &ByteString) -> Route {
        Route::Coordinator(group.clone())
    }

    fn request(&self, asked: &Asked<'_, ByteString>) -> DescribeGroupsRequest {
        DescribeGroupsRequest { groups: asked.keys.to_vec(), ..DescribeGroupsRequest::default() }
    }

    fn settle(
        &self,
        asked: &Asked<'_, ByteString>,
        response: DescribeGroupsResponse,
    ) -> Vec<(ByteString, Settled<GroupDescription>)> {
        let coordinator = match asked.place {
            Place::Node(node) => Some(node),
            Place::AnyBroker | Place::Controller => None,
        };
        let settled = response.groups.into_iter();
        settled.map(|row| (row.group_id.clone(), describe(row, coordinator))).collect()
    }
}

fn describe(row: DescribedGroup, coordinator: Option<NodeId>) -> Settled<GroupDescription> {
    check(row.error_code, row.error_message)?;
    let state = GroupState::from_wire(&row.group_state);
    if state == GroupState::Dead && row.members.is_empty() && row.protocol_type.is_empty() {
        // What brokers before Kafka 4.0 say of a group that does not exist (KIP-1043).
        check_code(ErrorCode::GroupIdNotFound.code())?;
    }
    let protocol_type = row.protocol_type;
    let mut members: Vec<Member> =
        row.members.into_iter().map(|member| self::member(&protocol_type, member)).collect();
    members.sort_by(|one, other| one.id.cmp(&other.id));
    let (id, assignor) = (row.group_id, row.protocol_data);
    Ok(GroupDescription { id, state, protocol_type, assignor, coordinator, members })
}

fn member(protocol_type: &str, row: DescribedGroupMember) -> Member {
    Member {
        id: row.member_id,
        group_instance_id: row.group_instance_id,
        client_id: row.client_id,
        client_host: row.client_host,
        assignment: MemberAssignment::read(protocol_type, row.member_assignment),
    }
}

fn partitions(assignment: &ConsumerProtocolAssignment) -> BTreeSet<TopicPartition> {
    let topics = assignment.assigned_partitions.iter();
    let of_topic = topics.flat_map(|topic| {
        let partitions = topic.partitions.iter();
        partitions.map(|partition| TopicPartition::new(topic.topic.clone(), *partition))
    });
    of_topic.collect()
}

/// The protocol type of consumers; Java's `ConsumerProtocol.PROTOCOL_TYPE`.
const CONSUMER: &str = "consumer";

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::messages::consumer_protocol::ConsumerProtocolAssignmentTopicPartition;

    #[test]
    fn the_assignment_of_a_consumer_is_read() {
        let topic = ConsumerProtocolAssignmentTopicPartition {
            topic: "orders".into(),
            partitions: [2, 0].into_iter().collect(),
        };
        let assignment =
            ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None };
        let read = MemberAssignment::read(CONSUMER, assignment.encode_versioned(3).unwrap());
        let shown: Vec<String> = read.partitions().map(ToString::to_string).collect();
        assert_eq!(shown, ["orders-0", "orders-2"]);
    }

    #[test]
    fn what_cannot_be_read_is_no_shorter_assignment() {
        let cut = Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 6, b'o']);
        assert!(matches!(MemberAssignment::read(CONSUMER, cut), MemberAssignment::Malformed(_)));
    }

    #[test]
    fn what_is_not_for_consumers_is_left_alone() {
        let bytes = Bytes::from_static(b"connect");
        let read = MemberAssignment::read("connect", bytes.clone());
        assert_eq!(read, MemberAssignment::Other(bytes));
        assert_eq!(MemberAssignment::read(CONSUMER, Bytes::new()), MemberAssignment::None);
    }

    #[test]
    fn a_dead_group_does_not_exist() {
        let dead = DescribedGroup { group_state: "Dead".into(), ..DescribedGroup::default() };
        assert_eq!(describe(dead, None), Err(ErrorCode::GroupIdNotFound.into()));
        let empty = DescribedGroup { group_state: "Empty".into(), ..DescribedGroup::default() };
        assert_eq!(describe(empty, None).unwrap().state, GroupState::Empty);
    }
}
