//! Requests to coordinators, and their answers, version by version.

use std::collections::BTreeMap;
use std::time::Duration;

use bytestring::ByteString;
use ottla_core::error::ErrorCode;
use ottla_core::types::{
    ConsumerGroupMetadata, LeaderEpoch, Offsets, ProducerEpoch, ProducerId, TopicName,
    TopicPartition, Uuid,
};
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnRequest, AddPartitionsToTxnResponse, AddPartitionsToTxnTopic,
};
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
    TxnOffsetCommitResponse,
};
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse,
};
use ottla_protocol::{ApiKey, VersionRange};

use super::{Decision, Protocol};
use crate::machine::identity::Identity;

/// The ids of topics, as far as they are known.
pub(crate) type TopicIds = BTreeMap<TopicName, Uuid>;

pub(crate) fn init_request(
    id: &ByteString,
    timeout: Duration,
    expected: Option<Identity>,
) -> InitProducerIdRequest {
    InitProducerIdRequest {
        transactional_id: Some(id.clone()),
        transaction_timeout_ms: i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX),
        producer_id: expected.map_or(-1, |identity| identity.id.number()),
        producer_epoch: expected.map_or(-1, |identity| identity.epoch.number()),
        ..Default::default()
    }
}

pub(crate) fn init_reply(answer: &InitProducerIdResponse) -> Result<Option<Identity>, ErrorCode> {
    identity(answer.error_code, answer.producer_id, answer.producer_epoch)
}

/// In the versions that clients use; later ones are for brokers among themselves.
pub(crate) const ADD_PARTITIONS: VersionRange = VersionRange::new(0, 3);

pub(crate) fn add_partitions_request(
    id: &ByteString,
    identity: Identity,
    partitions: &[TopicPartition],
) -> AddPartitionsToTxnRequest {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    let topics = topics.into_iter().map(|(name, partitions)| AddPartitionsToTxnTopic {
        name: name.to_wire(),
        partitions: partitions.into_iter().collect(),
        ..Default::default()
    });
    AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: id.clone(),
        v3_and_below_producer_id: identity.id.number(),
        v3_and_below_producer_epoch: identity.epoch.number(),
        v3_and_below_topics: topics.collect(),
        ..Default::default()
    }
}

pub(crate) fn add_partitions_codes(
    answer: &AddPartitionsToTxnResponse,
) -> BTreeMap<TopicPartition, ErrorCode> {
    let mut codes = BTreeMap::new();
    for topic in &answer.results_by_topic_v3_and_below {
        let name = TopicName::from(topic.name.clone());
        for row in &topic.results_by_partition {
            let partition = TopicPartition::new(&name, row.partition_index);
            codes.insert(partition, ErrorCode::from_code(row.partition_error_code));
        }
    }
    codes
}

pub(crate) fn add_group_request(
    id: &ByteString,
    identity: Identity,
    group_id: &ByteString,
) -> AddOffsetsToTxnRequest {
    AddOffsetsToTxnRequest {
        transactional_id: id.clone(),
        producer_id: identity.id.number(),
        producer_epoch: identity.epoch.number(),
        group_id: group_id.clone(),
        ..Default::default()
    }
}

/// The versions to commit offsets in: with protocol 2 those that take the group into the
/// transaction (KIP-890), of which the last names topics by their ids alone (KIP-1319).
pub(crate) fn offsets_versions(
    protocol: Protocol,
    offsets: &Offsets,
    ids: &TopicIds,
) -> VersionRange {
    let known = offsets.keys().all(|partition| ids.contains_key(&partition.topic));
    match protocol {
        // Before 3, there is no place for the member.
        Protocol::One => VersionRange::new(3, 4),
        Protocol::Two if known => VersionRange::new(5, 6),
        Protocol::Two => VersionRange::new(5, 5),
    }
}

pub(crate) fn offsets_request(
    id: &ByteString,
    identity: Identity,
    group: &ConsumerGroupMetadata,
    offsets: &Offsets,
    ids: &TopicIds,
) -> TxnOffsetCommitRequest {
    let mut topics: Vec<TxnOffsetCommitRequestTopic> = Vec::new();
    for (partition, offset) in offsets {
        let row = TxnOffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: offset.offset,
            committed_leader_epoch: LeaderEpoch::to_wire(offset.leader_epoch),
            committed_metadata: Some(offset.metadata.clone()),
            ..Default::default()
        };
        match topics.last_mut().filter(|topic| *topic.name == *partition.topic) {
            Some(topic) => topic.partitions.push(row),
            None => topics.push(TxnOffsetCommitRequestTopic {
                name: partition.topic.to_wire(),
                topic_id: ids.get(&partition.topic).copied().unwrap_or_default(),
                partitions: vec![row],
                ..Default::default()
            }),
        }
    }
    TxnOffsetCommitRequest {
        transactional_id: id.clone(),
        group_id: group.group_id.clone(),
        producer_id: identity.id.number(),
        producer_epoch: identity.epoch.number(),
        generation_id_or_member_epoch: group.generation_id,
        member_id: group.member_id.clone(),
        group_instance_id: group.group_instance_id.clone(),
        topics,
        ..Default::default()
    }
}

pub(crate) fn offsets_codes(
    answer: &TxnOffsetCommitResponse,
    ids: &TopicIds,
) -> BTreeMap<TopicPartition, ErrorCode> {
    let mut codes = BTreeMap::new();
    for topic in &answer.topics {
        let by_id = || ids.iter().find(|(_, id)| **id == topic.topic_id).map(|(name, _)| name);
        let name = match topic.name.is_empty() {
            true => by_id().cloned(),
            false => Some(TopicName::from(topic.name.clone())),
        };
        let Some(name) = name else { continue };
        for row in &topic.partitions {
            let partition = TopicPartition::new(&name, row.partition_index);
            codes.insert(partition, ErrorCode::from_code(row.error_code));
        }
    }
    codes
}

/// The versions to end a transaction in: with protocol 2 those that give the next epoch.
pub(crate) fn end_versions(protocol: Protocol) -> VersionRange {
    let all = ApiKey::EndTxn.stable_versions();
    match protocol {
        Protocol::One => VersionRange::new(all.min, FIRST_END_WITH_EPOCH - 1),
        Protocol::Two => VersionRange::new(FIRST_END_WITH_EPOCH, all.max),
    }
}

pub(crate) fn end_request(
    id: &ByteString,
    identity: Identity,
    decision: Decision,
) -> EndTxnRequest {
    EndTxnRequest {
        transactional_id: id.clone(),
        producer_id: identity.id.number(),
        producer_epoch: identity.epoch.number(),
        committed: decision == Decision::Commit,
        ..Default::default()
    }
}

pub(crate) fn end_reply(answer: &EndTxnResponse) -> Result<Option<Identity>, ErrorCode> {
    identity(answer.error_code, answer.producer_id, answer.producer_epoch)
}

fn identity(code: i16, id: i64, epoch: i16) -> Result<Option<Identity>, ErrorCode> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => {
            let given = ProducerId::from_wire(id).zip(ProducerEpoch::from_wire(epoch));
            Ok(given.map(|(id, epoch)| Identity { id, epoch }))
        }
        code => Err(code),
    }
}

/// `EndTxn`'s first version that gives the producer its next epoch (KIP-890).
const FIRST_END_WITH_EPOCH: i16 = 5;
