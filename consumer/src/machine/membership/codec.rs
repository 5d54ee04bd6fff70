//! What members say of themselves and are told, inside the bytes that coordinators pass on.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::{Buf, Bytes};
use bytestring::ByteString;
use ottla_core::types::{TopicName, TopicPartition};
use ottla_protocol::messages::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolAssignmentTopicPartition,
    ConsumerProtocolSubscription, ConsumerProtocolSubscriptionTopicPartition,
};
use ottla_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, JoinGroupResponseMember,
};
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::sync_group::SyncGroupRequestAssignment;
use ottla_protocol::wire::{Message, Reader};

use super::GroupConfig;
use crate::machine::assignor::{
    Assignment, Assignor, MemberAssignment, MemberSubscription, PreviousAssignment,
};

/// The protocol type of consumer groups.
pub(super) const CONSUMER: &str = "consumer";

/// All that a join says.
pub(super) struct Joining<'a> {
    pub(super) config: &'a GroupConfig,
    pub(super) member_id: &'a ByteString,
    pub(super) topics: &'a BTreeSet<TopicName>,
    pub(super) owned: &'a BTreeSet<TopicPartition>,
    pub(super) generation: Option<i32>,
    pub(super) previous: &'a (Vec<TopicPartition>, Option<i32>),
    pub(super) reason: &'a ByteString,
}

impl Joining<'_> {
    pub(super) fn request(&self) -> JoinGroupRequest {
        let config = self.config;
        let protocols = config.assignors.iter().map(|assignor| JoinGroupRequestProtocol {
            name: assignor.name().into(),
            metadata: self.subscription(&**assignor),
            ..Default::default()
        });
        JoinGroupRequest {
            group_id: config.group_id.clone(),
            session_timeout_ms: millis(config.session_timeout),
            rebalance_timeout_ms: millis(config.max_poll_interval),
            member_id: self.member_id.clone(),
            group_instance_id: config.group_instance_id.clone(),
            protocol_type: CONSUMER.into(),
            protocols: protocols.collect(),
            reason: Some(self.reason.clone()),
            ..Default::default()
        }
    }

    fn subscription(&self, assignor: &dyn Assignor) -> Bytes {
        let (partitions, generation) = self.previous;
        let previous = PreviousAssignment { partitions, generation: *generation };
        let owned: Vec<&TopicPartition> = self.owned.iter().collect();
        let owned_partitions =
            owned.chunk_by(|left, right| left.topic == right.topic).filter_map(|partitions| {
                Some(ConsumerProtocolSubscriptionTopicPartition {
                    topic: partitions.first()?.topic.to_wire(),
                    partitions: partitions.iter().map(|partition| partition.partition).collect(),
                })
            });
        let subscription = ConsumerProtocolSubscription {
            topics: self.topics.iter().map(TopicName::to_wire).collect(),
            user_data: assignor.user_data(&previous),
            owned_partitions: owned_partitions.collect(),
            generation_id: self.generation.unwrap_or(-1),
            rack_id: self.config.client_rack.clone(),
        };
        versioned(&subscription, SUBSCRIPTION_VERSION)
    }
}

/// The members of a generation, as they describe themselves, sorted by id. One that cannot be read
/// subscribes to nothing: the others must not suffer for it.
pub(super) fn subscriptions(response: &JoinGroupResponse) -> Vec<MemberSubscription> {
    let mut members: Vec<MemberSubscription> = response.members.iter().map(subscription).collect();
    members.sort_by(|left, right| left.member_id.cmp(&right.member_id));
    members.dedup_by(|left, right| left.member_id == right.member_id);
    members
}

fn subscription(member: &JoinGroupResponseMember) -> MemberSubscription {
    let read = read_subscription(&member.metadata).unwrap_or_default();
    let topics = read.topics.into_iter().map(TopicName::from).collect();
    let mut subscription = MemberSubscription::new(member.member_id.clone(), topics);
    let mut owned: Vec<TopicPartition> = Vec::new();
    for topic in read.owned_partitions {
        let name = TopicName::from(topic.topic);
        owned.extend(
            topic.partitions.iter().map(|partition| TopicPartition::new(&name, *partition)),
        );
    }
    owned.sort_unstable();
    owned.dedup();
    subscription.instance_id = member.group_instance_id.clone();
    subscription.user_data = read.user_data;
    subscription.owned = owned;
    subscription.generation = (read.generation_id >= 0).then_some(read.generation_id);
    subscription.rack = read.rack_id;
    subscription
}

/// Reads the newest version that both know, or an older one where a client says one thing and
/// writes another; what follows is not looked at.
fn read_subscription(bytes: &Bytes) -> Option<ConsumerProtocolSubscription> {
    let (version, bytes) = version(bytes)?;
    (0..=version.min(SUBSCRIPTION_VERSION)).rev().find_map(|version| {
        ConsumerProtocolSubscription::decode_from(&mut Reader::new(&bytes, false), version).ok()
    })
}

/// What each member is told.
pub(super) fn assignments(assignment: Assignment) -> Vec<SyncGroupRequestAssignment> {
    let members = assignment.into_iter().map(|(member_id, assigned)| SyncGroupRequestAssignment {
        member_id,
        assignment: write_assignment(assigned),
        ..Default::default()
    });
    members.collect()
}

fn write_assignment(assigned: MemberAssignment) -> Bytes {
    let MemberAssignment { mut partitions, user_data } = assigned;
    partitions.sort_unstable();
    let assigned_partitions = partitions
        .chunk_by(|left, right| left.topic == right.topic)
        .filter_map(|partitions| {
            Some(ConsumerProtocolAssignmentTopicPartition {
                topic: partitions.first()?.topic.to_wire(),
                partitions: partitions.iter().map(|partition| partition.partition).collect(),
            })
        })
        .collect();
    let assignment = ConsumerProtocolAssignment { assigned_partitions, user_data };
    versioned(&assignment, ASSIGNMENT_VERSION)
}

/// What this member is told; no bytes at all are no partitions.
pub(super) fn assignment(bytes: &Bytes) -> Result<BTreeSet<TopicPartition>, String> {
    if bytes.is_empty() {
        return Ok(BTreeSet::new());
    }
    let (version, bytes) = version(bytes).ok_or("it has no version")?;
    let mut reader = Reader::new(&bytes, false);
    let read =
        ConsumerProtocolAssignment::decode_from(&mut reader, version.min(ASSIGNMENT_VERSION));
    let mut assigned = BTreeSet::new();
    for topic in read.map_err(|error| error.to_string())?.assigned_partitions {
        let name = TopicName::from(topic.topic);
        for &partition in &*topic.partitions {
            if partition < 0 {
                return Err(format!("{name} has no partition {partition}"));
            }
            assigned.insert(TopicPartition::new(&name, partition));
        }
    }
    Ok(assigned)
}

pub(super) fn leave_request(
    config: &GroupConfig,
    member_id: &ByteString,
    reason: &ByteString,
) -> LeaveGroupRequest {
    let member = MemberIdentity {
        member_id: member_id.clone(),
        group_instance_id: config.group_instance_id.clone(),
        reason: Some(reason.clone()),
        ..Default::default()
    };
    LeaveGroupRequest {
        group_id: config.group_id.clone(),
        members: vec![member],
        ..Default::default()
    }
}

/// The version in front of the bytes, and what follows it.
fn version(bytes: &Bytes) -> Option<(i16, Bytes)> {
    let mut rest = bytes.clone();
    let version = rest.try_get_i16().ok().filter(|version| *version >= 0)?;
    Some((version, rest))
}

/// Fails for names beyond 32 KiB alone, which no topic has.
fn versioned<M: Message>(message: &M, version: i16) -> Bytes {
    message.encode_versioned(version).unwrap_or_default()
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// The newest version of `ConsumerProtocolSubscription`.
const SUBSCRIPTION_VERSION: i16 = 3;

/// The newest version of `ConsumerProtocolAssignment`.
const ASSIGNMENT_VERSION: i16 = 3;
