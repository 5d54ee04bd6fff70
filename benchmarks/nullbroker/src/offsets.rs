//! Where logs begin and end, and commits, which are forgotten.

use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use ottla_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use ottla_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

pub(crate) fn list(end: i64, request: ListOffsetsRequest) -> ListOffsetsResponse {
    let row = |asked: ListOffsetsPartition| ListOffsetsPartitionResponse {
        partition_index: asked.partition_index,
        offset: if asked.timestamp == LATEST { end } else { 0 },
        leader_epoch: -1,
        ..Default::default()
    };
    let topics = request.topics.into_iter().map(|topic| ListOffsetsTopicResponse {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(row).collect(),
        ..Default::default()
    });
    ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
}

pub(crate) fn epoch_ends(
    end: i64,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| OffsetForLeaderTopicResult {
        topic: topic.topic,
        partitions: (topic.partitions.into_iter())
            .map(|asked| EpochEndOffset {
                partition: asked.partition,
                leader_epoch: 0,
                end_offset: end,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

pub(crate) fn commit(request: OffsetCommitRequest) -> OffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| OffsetCommitResponseTopic {
        name: topic.name,
        topic_id: topic.topic_id,
        partitions: (topic.partitions.into_iter())
            .map(|partition| OffsetCommitResponsePartition {
                partition_index: partition.partition_index,
                ..Default::default()
            })
            .collect(),
        ..Default::default()
    });
    OffsetCommitResponse { topics: topics.collect(), ..Default::default() }
}

/// Nobody has committed anything.
pub(crate) fn fetch(version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
    if version < 8 {
        let topics = request.topics.into_iter().flatten().map(|topic| OffsetFetchResponseTopic {
            name: topic.name,
            partitions: (topic.partition_indexes.into_iter())
                .map(|partition_index| OffsetFetchResponsePartition {
                    partition_index,
                    committed_offset: -1,
                    metadata: Some("".into()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        return OffsetFetchResponse { topics: topics.collect(), ..Default::default() };
    }
    let groups = request.groups.into_iter().map(|group| {
        let topics = group.topics.into_iter().flatten().map(|topic| OffsetFetchResponseTopics {
            name: topic.name,
            topic_id: topic.topic_id,
            partitions: (topic.partition_indexes.into_iter())
                .map(|partition_index| OffsetFetchResponsePartitions {
                    partition_index,
                    committed_offset: -1,
                    metadata: Some("".into()),
                    ..Default::default()
                })
                .collect(),
            ..Default::default()
        });
        OffsetFetchResponseGroup {
            group_id: group.group_id,
            topics: topics.collect(),
            ..Default::default()
        }
    });
    OffsetFetchResponse { groups: groups.collect(), ..Default::default() }
}

/// Kafka's `LATEST_TIMESTAMP`; every other timestamp finds the first record here.
const LATEST: i64 = -1;
