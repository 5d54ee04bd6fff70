//! `OffsetFetch`.

use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions, OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::offsets::CommittedOffset;
use super::{Caller, Group, Groups};

impl Groups {
    /// `OffsetFetch`: of one group, or from version 8 on of several (KIP-709).
    pub(crate) fn offset_fetch(
        &self,
        caller: &Caller<'_>,
        request: OffsetFetchRequest,
    ) -> OffsetFetchResponse {
        let fetch = Fetch { caller, require_stable: request.require_stable };
        if caller.version >= FIRST_SEVERAL_GROUPS {
            let groups = request.groups.into_iter().map(|group| self.fetch_group(&fetch, group));
            let groups = groups.collect();
            return OffsetFetchResponse { groups, ..Default::default() };
        }
        let topics = request.topics.map(|topics| topics.into_iter().map(into_batch).collect());
        let asked =
            OffsetFetchRequestGroup { group_id: request.group_id, topics, ..Default::default() };
        of_one_group(self.fetch_group(&fetch, asked))
    }

    fn fetch_group(
        &self,
        fetch: &Fetch<'_>,
        asked: OffsetFetchRequestGroup,
    ) -> OffsetFetchResponseGroup {
        let OffsetFetchRequestGroup { group_id, topics, .. } = asked;
        if let Err(error) = fetch.caller.cluster.check_coordinator(&group_id) {
            return group_error(fetch, group_id, topics, error);
        }
        // A group that nobody knows has committed nothing, which is no error.
        let group = self.groups.get(&group_id);
        let topics = match topics {
            Some(topics) => topics.into_iter().map(|topic| fetch.topic(group, topic)).collect(),
            None => group.map(|group| fetch.all_topics(group)).unwrap_or_default(),
        };
        OffsetFetchResponseGroup { group_id, topics, ..Default::default() }
    }
}

/// What the groups of one request have in common.
struct Fetch<'a> {
    caller: &'a Caller<'a>,
    /// Whether offsets that a transaction may still change are withheld (KIP-447).
    require_stable: bool,
}

impl Fetch<'_> {
    fn topic(
        &self,
        group: Option<&Group>,
        topic: OffsetFetchRequestTopics,
    ) -> OffsetFetchResponseTopics {
        let OffsetFetchRequestTopics { mut name, topic_id, partition_indexes, .. } = topic;
        if self.by_id() {
            let Some(known) = self.caller.cluster.topic_name(topic_id) else {
                return topic_error(name, topic_id, &partition_indexes, ErrorCode::UnknownTopicId);
            };
            name = known;
        }
        self.partitions(group, name, topic_id, partition_indexes)
    }

    /// Every topic with an offset; by id, those that still exist.
    fn all_topics(&self, group: &Group) -> Vec<OffsetFetchResponseTopics> {
        let fetched = group.offsets.topics().filter_map(|(name, partitions)| {
            let id = self.caller.cluster.topic_id(name);
            let topic_id = if self.by_id() { id? } else { Uuid::ZERO };
            Some(self.partitions(Some(group), name.clone(), topic_id, partitions))
        });
        fetched.collect()
    }

    fn partitions(
        &self,
        group: Option<&Group>,
        name: ByteString,
        topic_id: Uuid,
        partitions: impl IntoIterator<Item = i32>,
    ) -> OffsetFetchResponseTopics {
        let row = |partition| self.partition(group, &name, topic_id, partition);
        let partitions = partitions.into_iter().map(row).collect();
        OffsetFetchResponseTopics { name, topic_id, partitions, ..Default::default() }
    }

    fn partition(
        &self,
        group: Option<&Group>,
        topic: &str,
        topic_id: Uuid,
        partition: i32,
    ) -> OffsetFetchResponsePartitions {
        if let Err(error) = self.caller.cluster.check_fetch(topic, partition) {
            return nothing(partition, error);
        }
        let Some(Group { offsets, .. }) = group else { return nothing(partition, ErrorCode::None) };
        if self.require_stable && offsets.is_unstable(topic, partition) {
            return nothing(partition, ErrorCode::UnstableOffsetCommit);
        }
        match offsets.committed(topic, partition) {
            Some(committed) if may_be_of(committed, topic_id) => OffsetFetchResponsePartitions {
                partition_index: partition,
                committed_offset: committed.offset,
                committed_leader_epoch: committed.leader_epoch,
                metadata: Some(committed.metadata.clone()),
                ..Default::default()
            },
            Some(_) | None => nothing(partition, ErrorCode::None),
        }
    }

    fn by_id(&self) -> bool {
        self.caller.version >= FIRST_BY_ID
    }
}

/// Whether an offset was committed for the topic `id`, and not for one that had its name before.
fn may_be_of(committed: &CommittedOffset, id: Uuid) -> bool {
    committed.topic_id.is_zero() || id.is_zero() || committed.topic_id == id
}

/// The row of a partition without an offset to tell.
fn nothing(partition_index: i32, error: ErrorCode) -> OffsetFetchResponsePartitions {
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(ByteString::new()),
        error_code: error.code(),
        ..Default::default()
    }
}

fn topic_error(
    name: ByteString,
    topic_id: Uuid,
    partitions: &[i32],
    error: ErrorCode,
) -> OffsetFetchResponseTopics {
    let partitions = partitions.iter().map(|partition| nothing(*partition, error)).collect();
    OffsetFetchResponseTopics { name, topic_id, partitions, ..Default::default() }
}

/// Version 1 has no place for an error of the group, so each partition tells it.
fn group_error(
    fetch: &Fetch<'_>,
    group_id: ByteString,
    topics: Option<Vec<OffsetFetchRequestTopics>>,
    error: ErrorCode,
) -> OffsetFetchResponseGroup {
    if fetch.caller.version >= FIRST_GROUP_ERROR {
        return OffsetFetchResponseGroup {
            group_id,
            error_code: error.code(),
            ..Default::default()
        };
    }
    let topics = topics.unwrap_or_default().into_iter();
    let topics = topics.map(|t| topic_error(t.name, t.topic_id, &t.partition_indexes, error));
    OffsetFetchResponseGroup { group_id, topics: topics.collect(), ..Default::default() }
}

fn into_batch(topic: OffsetFetchRequestTopic) -> OffsetFetchRequestTopics {
    let OffsetFetchRequestTopic { name, partition_indexes, .. } = topic;
    OffsetFetchRequestTopics { name, partition_indexes, ..Default::default() }
}

fn of_one_group(group: OffsetFetchResponseGroup) -> OffsetFetchResponse {
    let partition = |row: OffsetFetchResponsePartitions| OffsetFetchResponsePartition {
        partition_index: row.partition_index,
        committed_offset: row.committed_offset,
        committed_leader_epoch: row.committed_leader_epoch,
        metadata: row.metadata,
        error_code: row.error_code,
        ..Default::default()
    };
    let topic = |topic: OffsetFetchResponseTopics| OffsetFetchResponseTopic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
        ..Default::default()
    };
    let topics = group.topics.into_iter().map(topic).collect();
    OffsetFetchResponse { topics, error_code: group.error_code, ..Default::default() }
}

/// `OffsetFetch`'s first version with an error of the group, and with null for all topics.
const FIRST_GROUP_ERROR: i16 = 2;

/// `OffsetFetch`'s first version with several groups (KIP-709).
const FIRST_SEVERAL_GROUPS: i16 = 8;

/// `OffsetFetch`'s first version with topic ids (KIP-848).
const FIRST_BY_ID: i16 = 10;
