//! Offsets in requests and answers, version by version.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use ottla_core::error::ErrorCode;
use ottla_core::types::{ConsumerGroupMetadata, LeaderEpoch, TopicName, TopicPartition, Uuid};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
    OffsetCommitResponse,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};

use super::{LookedUpOffsets, Offset, Offsets};

/// The ids of topics, as far as they are known: newer versions name topics by them, so that an
/// offset never goes to a topic that was deleted and made again.
pub type TopicIds = BTreeMap<TopicName, Uuid>;

/// What a coordinator said of each partition of a commit.
pub type PartitionCodes = BTreeMap<TopicPartition, ErrorCode>;

/// How often in a row a coordinator may not know a topic before that is the answer: with the backoff
/// between, about half a second.
pub(super) const UNKNOWN_TOPIC_TRIES: u32 = 6;

/// Whether a coordinator does not know a topic: not yet, or not any more.
#[must_use]
pub fn is_unknown_topic(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UnknownTopicId | ErrorCode::UnknownTopicOrPartition)
}

/// What a coordinator said of a lookup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookedUp {
    /// What it said of all of it.
    pub group_code: ErrorCode,
    /// Each partition's offset, or why it is not told.
    pub partitions: LookedUpOffsets,
}

impl LookedUp {
    /// What it said of one partition. A coordinator that says nothing of it has not said that nothing
    /// is committed.
    pub(super) fn of(&self, partition: &TopicPartition) -> Result<Option<Offset>, ErrorCode> {
        match self.group_code {
            ErrorCode::None => {
                let found = self.partitions.get(partition).cloned();
                found.unwrap_or(Err(ErrorCode::UnknownServerError))
            }
            code => Err(code),
        }
    }

    /// Whether the coordinator does not know a topic: metadata may be stale.
    #[must_use]
    pub fn names_unknown_topic(&self) -> bool {
        self.partitions.values().any(|row| row.as_ref().is_err_and(|code| is_unknown_topic(*code)))
    }
}

/// The request that commits `offsets`.
#[must_use]
pub fn commit_request(
    metadata: &ConsumerGroupMetadata,
    offsets: &Offsets,
    ids: &TopicIds,
) -> OffsetCommitRequest {
    let mut topics: Vec<OffsetCommitRequestTopic> = Vec::new();
    for (partition, offset) in offsets {
        let row = OffsetCommitRequestPartition {
            partition_index: partition.partition,
            committed_offset: offset.offset,
            committed_leader_epoch: LeaderEpoch::to_wire(offset.leader_epoch),
            committed_metadata: Some(offset.metadata.clone()),
            ..Default::default()
        };
        match topics.last_mut().filter(|topic| *topic.name == *partition.topic) {
            Some(topic) => topic.partitions.push(row),
            None => topics.push(OffsetCommitRequestTopic {
                name: partition.topic.to_wire(),
                topic_id: ids.get(&partition.topic).copied().unwrap_or_default(),
                partitions: vec![row],
                ..Default::default()
            }),
        }
    }
    OffsetCommitRequest {
        group_id: metadata.group_id.clone(),
        generation_id_or_member_epoch: metadata.generation_id,
        member_id: metadata.member_id.clone(),
        group_instance_id: metadata.group_instance_id.clone(),
        topics,
        ..Default::default()
    }
}

/// What the answer to a commit says of `offsets`. Where there is no id to ask by, the topic is
/// unknown, unless the answer goes by names.
#[must_use]
pub fn commit_codes(
    response: &OffsetCommitResponse,
    offsets: &Offsets,
    ids: &TopicIds,
) -> PartitionCodes {
    let mut codes: PartitionCodes = without_id(offsets.keys(), ids)
        .map(|partition| (partition.clone(), ErrorCode::UnknownTopicId))
        .collect();
    for topic in &response.topics {
        let Some(name) = name(&topic.name, topic.topic_id, ids) else { continue };
        for row in &topic.partitions {
            let partition = TopicPartition::new(&name, row.partition_index);
            codes.insert(partition, ErrorCode::from_code(row.error_code));
        }
    }
    codes
}

/// The request that looks committed offsets up. Those that an open transaction may still change are
/// waited for, whatever of transactions this consumer sees: they are of its group's transactions, not
/// of those that it reads (KIP-447).
#[must_use]
pub fn lookup_request(
    group_id: &ByteString,
    partitions: &BTreeSet<TopicPartition>,
    ids: &TopicIds,
    version: i16,
) -> OffsetFetchRequest {
    let mut topics: BTreeMap<&TopicName, Vec<i32>> = BTreeMap::new();
    for partition in partitions {
        topics.entry(&partition.topic).or_default().push(partition.partition);
    }
    if version < FIRST_WITH_GROUPS {
        let topics = topics.into_iter().map(|(name, partitions)| OffsetFetchRequestTopic {
            name: name.to_wire(),
            partition_indexes: partitions.into_iter().collect(),
            ..Default::default()
        });
        return OffsetFetchRequest {
            group_id: group_id.clone(),
            topics: Some(topics.collect()),
            require_stable: version >= FIRST_STABLE,
            ..Default::default()
        };
    }
    let topics = topics.into_iter().map(|(name, partitions)| OffsetFetchRequestTopics {
        name: name.to_wire(),
        topic_id: ids.get(name).copied().unwrap_or_default(),
        partition_indexes: partitions.into_iter().collect(),
        ..Default::default()
    });
    let group = OffsetFetchRequestGroup {
        group_id: group_id.clone(),
        topics: Some(topics.collect()),
        ..Default::default()
    };
    OffsetFetchRequest { groups: vec![group], require_stable: true, ..Default::default() }
}

/// What the answer to a lookup says of `asked`; see [`commit_codes`].
#[must_use]
pub fn looked_up(
    response: &OffsetFetchResponse,
    asked: &BTreeSet<TopicPartition>,
    ids: &TopicIds,
) -> LookedUp {
    let mut partitions: BTreeMap<_, _> = without_id(asked.iter(), ids)
        .map(|partition| (partition.clone(), Err(ErrorCode::UnknownTopicId)))
        .collect();
    for topic in &response.topics {
        for row in &topic.partitions {
            let partition =
                TopicPartition::new(TopicName::from(topic.name.clone()), row.partition_index);
            let offset = offset(row.committed_offset, row.committed_leader_epoch, &row.metadata);
            partitions.insert(partition, unless(row.error_code, offset));
        }
    }
    let group = response.groups.first();
    for topic in group.into_iter().flat_map(|group| &group.topics) {
        let Some(name) = name(&topic.name, topic.topic_id, ids) else { continue };
        for row in &topic.partitions {
            let partition = TopicPartition::new(&name, row.partition_index);
            let offset = offset(row.committed_offset, row.committed_leader_epoch, &row.metadata);
            partitions.insert(partition, unless(row.error_code, offset));
        }
    }
    let code = group.map_or(response.error_code, |group| group.error_code);
    LookedUp { group_code: ErrorCode::from_code(code), partitions }
}

fn without_id<'a>(
    partitions: impl Iterator<Item = &'a TopicPartition>,
    ids: &TopicIds,
) -> impl Iterator<Item = &'a TopicPartition> {
    partitions.filter(|partition| !ids.contains_key(&partition.topic))
}

/// −1 is the wire's "none".
fn offset(offset: i64, leader_epoch: i32, metadata: &Option<ByteString>) -> Option<Offset> {
    (offset >= 0).then(|| {
        let committed = Offset::new(offset).with_leader_epoch(LeaderEpoch::from_wire(leader_epoch));
        committed.with_metadata(metadata.clone().unwrap_or_default())
    })
}

fn unless(code: i16, offset: Option<Offset>) -> Result<Option<Offset>, ErrorCode> {
    match ErrorCode::from_code(code) {
        ErrorCode::None => Ok(offset),
        code => Err(code),
    }
}

/// A topic's name; from version 10 on there is the id alone.
fn name(name: &ByteString, id: Uuid, ids: &TopicIds) -> Option<TopicName> {
    if !name.is_empty() {
        return Some(name.clone().into());
    }
    ids.iter().find(|(_, known)| **known == id).map(|(name, _)| name.clone())
}

/// `OffsetFetch`'s first version with several groups.
const FIRST_WITH_GROUPS: i16 = 8;

/// `OffsetFetch`'s first version in which open transactions can be waited for (KIP-447).
const FIRST_STABLE: i16 = 7;
