//! The offsets that a group has committed.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::error::{Certainty, ErrorCode};
use ottla_core::types::{LeaderEpoch, TopicName, TopicPartition, Uuid};
use ottla_protocol::ByteString;
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchResponseGroup, OffsetFetchResponsePartition,
    OffsetFetchResponsePartitions,
};
use ottla_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};

use crate::call::{AdminCall, Asked, Route, Settled, check_code};
use crate::{AdminError, Results};

/// An offset that a group has committed for a partition.
///
/// # Kafka
///
/// Java's `OffsetAndMetadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CommittedOffset {
    /// That of the next record to consume.
    pub offset: i64,
    /// The epoch of the leader that wrote the last record consumed; `None` where it is not known.
    pub leader_epoch: Option<LeaderEpoch>,
    /// What the consumer wanted to find again; mostly empty.
    pub metadata: ByteString,
}

/// Lists the offsets that a group has committed.
#[derive(Debug)]
pub struct ListGroupOffsets {
    pub(crate) group: ByteString,
    /// Only of these partitions; of all if empty.
    pub(crate) partitions: BTreeSet<TopicPartition>,
    pub(crate) require_stable: bool,
}

/// Fetches all offsets of a group.
///
/// All, because brokers since Kafka 4.1 want and give the ids of topics instead of their names:
/// what was committed for a topic that is gone could not be asked for, and would hide the rest.
#[derive(Debug)]
pub(crate) struct FetchOffsets {
    pub(crate) require_stable: bool,
}

/// What was committed for one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FetchedOffset {
    pub(crate) topic: TopicRef,
    pub(crate) partition: i32,
    /// An error code that a retry does not help.
    pub(crate) committed: Result<CommittedOffset, ErrorCode>,
}

/// A topic, as the version of the answer names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TopicRef {
    Name(TopicName),
    Id(Uuid),
}

impl ListGroupOffsets {
    /// What was fetched, with the topics' names. What was committed for a topic that is gone has no
    /// name any more, and is passed over.
    pub(crate) fn named(
        &self,
        fetched: Vec<FetchedOffset>,
        names: &Results<Uuid, TopicName>,
    ) -> Result<Results<TopicPartition, CommittedOffset>, AdminError> {
        let mut named = BTreeMap::new();
        for FetchedOffset { topic, partition, committed } in fetched {
            let topic = match topic {
                TopicRef::Name(name) => name,
                TopicRef::Id(id) => match names.get(&id) {
                    Some(Ok(name)) => name.clone(),
                    Some(Err(error)) if error.code() != Some(ErrorCode::UnknownTopicId) => {
                        return Err(error.clone());
                    }
                    Some(Err(_)) | None => continue,
                },
            };
            let partition = TopicPartition { topic, partition };
            if self.partitions.is_empty() || self.partitions.contains(&partition) {
                let committed = committed.map_err(|code| self.refused(&partition, code));
                named.insert(partition, committed);
            }
        }
        Ok(Results::new(named))
    }

    fn refused(&self, partition: &TopicPartition, code: ErrorCode) -> AdminError {
        AdminError::Refused {
            subject: format!("list the offset of group {} for {partition}", self.group).into(),
            code,
            message: None,
            certainty: Certainty::NotWritten,
        }
    }
}

impl FetchedOffset {
    pub(crate) fn topic_id(&self) -> Option<Uuid> {
        match self.topic {
            TopicRef::Name(_) => None,
            TopicRef::Id(id) => Some(id),
        }
    }
}

impl AdminCall for FetchOffsets {
    type Key = ByteString;
    type Request = OffsetFetchRequest;
    type Value = Vec<FetchedOffset>;

    fn subject(&self, group: &ByteString) -> String {
        format!("list the offsets of group {group}")
    }

    fn route(&self, group: &ByteString) -> Route {
        Route::Coordinator(group.clone())
    }

    fn request(&self, asked: &Asked<'_, ByteString>) -> OffsetFetchRequest {
        let require_stable = self.require_stable && asked.version >= FIRST_STABLE;
        if asked.version < FIRST_SEVERAL_GROUPS {
            let group_id = asked.keys.first().cloned().unwrap_or_default();
            let request = OffsetFetchRequest::default();
            return OffsetFetchRequest { group_id, topics: None, require_stable, ..request };
        }
        let group = |group_id: &ByteString| OffsetFetchRequestGroup {
            group_id: group_id.clone(),
            topics: None,
            ..OffsetFetchRequestGroup::default()
        };
        let groups = asked.keys.iter().map(group).collect();
        OffsetFetchRequest { groups, require_stable, ..OffsetFetchRequest::default() }
    }

    fn settle(
        &self,
        asked: &Asked<'_, ByteString>,
        response: OffsetFetchResponse,
    ) -> Vec<(ByteString, Settled<Vec<FetchedOffset>>)> {
        if asked.version < FIRST_SEVERAL_GROUPS {
            let group = asked.keys.first().cloned();
            return group.map(|group| (group, settle_single(response))).into_iter().collect();
        }
        let by_id = asked.version >= FIRST_BY_ID;
        let groups = response.groups.into_iter();
        groups.map(|group| (group.group_id.clone(), settle_group(group, by_id))).collect()
    }
}

/// The answer of a version that has room for one group.
fn settle_single(response: OffsetFetchResponse) -> Settled<Vec<FetchedOffset>> {
    check_code(response.error_code)?;
    let fetched = response.topics.into_iter().flat_map(|topic| {
        let name = TopicName::from(topic.name);
        topic.partitions.into_iter().map(move |row| (TopicRef::Name(name.clone()), same(row)))
    });
    collect(fetched)
}

fn settle_group(group: OffsetFetchResponseGroup, by_id: bool) -> Settled<Vec<FetchedOffset>> {
    check_code(group.error_code)?;
    let fetched = group.topics.into_iter().flat_map(|topic| {
        let name = TopicName::from(topic.name);
        let topic_ref = if by_id { TopicRef::Id(topic.topic_id) } else { TopicRef::Name(name) };
        topic.partitions.into_iter().map(move |row| (topic_ref.clone(), row))
    });
    collect(fetched)
}

/// What was committed, in any order. As long as one partition wants a retry, all are asked again.
fn collect(
    rows: impl Iterator<Item = (TopicRef, OffsetFetchResponsePartitions)>,
) -> Settled<Vec<FetchedOffset>> {
    let mut fetched = Vec::new();
    for (topic, row) in rows {
        let committed = match ErrorCode::from_code(row.error_code) {
            // Nothing was committed.
            ErrorCode::None if row.committed_offset < 0 => continue,
            ErrorCode::None => Ok(CommittedOffset {
                offset: row.committed_offset,
                leader_epoch: LeaderEpoch::from_wire(row.committed_leader_epoch),
                metadata: row.metadata.unwrap_or_default(),
            }),
            code if code.is_retriable() => return Err(code.into()),
            code => Err(code),
        };
        fetched.push(FetchedOffset { topic, partition: row.partition_index, committed });
    }
    Ok(fetched)
}

/// The same row, as the newer versions call it.
fn same(row: OffsetFetchResponsePartition) -> OffsetFetchResponsePartitions {
    let OffsetFetchResponsePartition {
        partition_index,
        committed_offset,
        committed_leader_epoch,
        metadata,
        error_code,
        unknown_tagged_fields,
    } = row;
    OffsetFetchResponsePartitions {
        partition_index,
        committed_offset,
        committed_leader_epoch,
        metadata,
        error_code,
        unknown_tagged_fields,
    }
}

/// The first version that can be told to wait for transactions (KIP-447).
const FIRST_STABLE: i16 = 7;

/// The first version with several groups (KIP-709).
const FIRST_SEVERAL_GROUPS: i16 = 8;

/// The first version with ids instead of names.
const FIRST_BY_ID: i16 = 10;

#[cfg(test)]
mod tests {
    use ottla_protocol::Message;
    use ottla_protocol::messages::offset_fetch::{
        OffsetFetchResponseTopic, OffsetFetchResponseTopics,
    };

    use super::*;
    use crate::call::tests::asked;

    const GROUP: ByteString = ByteString::from_static("billing");

    #[test]
    fn every_version_can_carry_the_request() {
        for version in 2..=10 {
            let request = call().request(&asked(&[GROUP], version));
            assert!(request.encode(version).is_ok(), "version {version}");
        }
    }

    #[test]
    fn each_version_is_read_where_it_has_the_offsets() {
        let name = TopicRef::Name("orders".into());
        assert_eq!(settle(7, old(0)), Ok(vec![fetched(name.clone())]));
        assert_eq!(settle(9, new(0, 7)), Ok(vec![fetched(name)]));
        assert_eq!(settle(10, new(0, 7)), Ok(vec![fetched(TopicRef::Id(ID))]));
    }

    #[test]
    fn a_partition_without_an_offset_is_not_there() {
        assert_eq!(settle(10, new(0, -1)), Ok(Vec::new()));
    }

    #[test]
    fn an_unstable_offset_is_asked_for_again() {
        let unstable = ErrorCode::UnstableOffsetCommit;
        assert_eq!(settle(9, new(unstable.code(), -1)), Err(unstable.into()));
    }

    #[test]
    fn what_may_not_be_seen_hides_nothing_else() {
        let denied = ErrorCode::TopicAuthorizationFailed;
        let settled = settle(7, old(denied.code())).unwrap();
        assert_eq!(settled[0].committed, Err(denied));
    }

    const ID: Uuid = Uuid::from_bytes([7; 16]);

    fn call() -> FetchOffsets {
        FetchOffsets { require_stable: true }
    }

    fn settle(version: i16, response: OffsetFetchResponse) -> Settled<Vec<FetchedOffset>> {
        let keys = [GROUP];
        let mut settled = call().settle(&asked(&keys, version), response);
        let (group, settled) = settled.remove(0);
        assert_eq!(group, GROUP);
        settled
    }

    fn fetched(topic: TopicRef) -> FetchedOffset {
        let committed =
            CommittedOffset { offset: 7, leader_epoch: None, metadata: ByteString::new() };
        FetchedOffset { topic, partition: 2, committed: Ok(committed) }
    }

    fn old(error_code: i16) -> OffsetFetchResponse {
        let row = OffsetFetchResponsePartition {
            partition_index: 2,
            committed_offset: 7,
            committed_leader_epoch: -1,
            error_code,
            ..OffsetFetchResponsePartition::default()
        };
        let topic = OffsetFetchResponseTopic {
            name: "orders".into(),
            partitions: vec![row],
            ..OffsetFetchResponseTopic::default()
        };
        OffsetFetchResponse { topics: vec![topic], ..OffsetFetchResponse::default() }
    }

    fn new(error_code: i16, committed_offset: i64) -> OffsetFetchResponse {
        let row = OffsetFetchResponsePartitions {
            partition_index: 2,
            committed_offset,
            committed_leader_epoch: -1,
            error_code,
            ..OffsetFetchResponsePartitions::default()
        };
        let topic = OffsetFetchResponseTopics {
            name: "orders".into(),
            topic_id: ID,
            partitions: vec![row],
            ..OffsetFetchResponseTopics::default()
        };
        let group = OffsetFetchResponseGroup {
            group_id: GROUP,
            topics: vec![topic],
            ..OffsetFetchResponseGroup::default()
        };
        OffsetFetchResponse { groups: vec![group], ..OffsetFetchResponse::default() }
    }
}
