//! Where partitions begin and end, and what lies where in them.

use std::collections::BTreeMap;

use ottla_core::error::ErrorCode;
use ottla_core::types::{LeaderEpoch, TopicPartition};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic,
};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use crate::call::{AdminCall, Asked, Refusal, Route, Settled, by_topic, check_code};

/// Which offset of a partition is asked for.
///
/// # Kafka
///
/// Java's `OffsetSpec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OffsetSpec {
    /// That of the first record there is.
    Earliest,
    /// That of the next record that consumers will see: the high watermark, or the last stable
    /// offset with [`Isolation::ReadCommitted`].
    Latest,
    /// That of the record with the largest timestamp (KIP-734).
    MaxTimestamp,
    /// That of the first record whose timestamp is this or later, in milliseconds since 1970; not
    /// negative.
    At(i64),
    /// That of the first record that is on the leader's own disk (KIP-405).
    EarliestLocal,
    /// That of the last record that is in tiered storage (KIP-1005).
    LatestTiered,
    /// That of the first record that is still to go there (KIP-1023).
    EarliestPendingUpload,
}

impl OffsetSpec {
    /// `Timestamp` on the wire, for a leader that speaks `version`.
    fn to_wire(self, version: i16) -> Result<i64, Refusal> {
        let (timestamp, since) = match self {
            Self::Latest => (-1, 0),
            Self::Earliest => (-2, 0),
            Self::MaxTimestamp => (-3, 7),
            Self::EarliestLocal => (-4, 8),
            Self::LatestTiered => (-5, 9),
            Self::EarliestPendingUpload => (-6, 11),
            Self::At(timestamp @ 0..) => (timestamp, 0),
            // Negative ones mean something else on the wire.
            Self::At(_) => {
                let message = Some("a timestamp is not negative".into());
                return Err(Refusal { code: ErrorCode::InvalidTimestamp, message });
            }
        };
        if version < since { Err(ErrorCode::UnsupportedVersion.into()) } else { Ok(timestamp) }
    }
}

/// Whether transactions that have not ended count.
///
/// # Kafka
///
/// `isolation.level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Isolation {
    /// They do: the end is the high watermark.
    #[default]
    ReadUncommitted,
    /// They do not: the end is where the first of them begins.
    ReadCommitted,
}

/// An offset of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedOffset {
    /// The offset; `None` if there is no such record.
    pub offset: Option<i64>,
    /// The timestamp of the record there, in milliseconds since 1970; `None` unless the record was
    /// asked for by its timestamp.
    pub timestamp: Option<i64>,
    /// The epoch of the leader that wrote the record there; `None` where it is not known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// Lists an offset of each of several partitions.
#[derive(Debug)]
pub struct ListOffsets {
    pub(crate) partitions: BTreeMap<TopicPartition, OffsetSpec>,
    pub(crate) isolation: Isolation,
}

impl ListOffsets {
    fn wanted(&self, partition: &TopicPartition, version: i16) -> Result<i64, Refusal> {
        let spec = self.partitions.get(partition).copied().unwrap_or(OffsetSpec::Latest);
        spec.to_wire(version)
    }
}

impl AdminCall for ListOffsets {
    type Key = TopicPartition;
    type Request = ListOffsetsRequest;
    type Value = ListedOffset;

    fn subject(&self, partition: &TopicPartition) -> String {
        format!("list offsets of {partition}")
    }

    fn route(&self, partition: &TopicPartition) -> Route {
        Route::Leader(partition.clone())
    }

    fn request(&self, asked: &Asked<'_, TopicPartition>) -> ListOffsetsRequest {
        let possible =
            asked.keys.iter().filter_map(|key| Some((key, self.wanted(key, asked.version).ok()?)));
        let partition = |(partition_index, timestamp)| ListOffsetsPartition {
            partition_index,
            timestamp,
            ..ListOffsetsPartition::default()
        };
        let topics = by_topic(possible).into_iter().map(|(name, rows)| ListOffsetsTopic {
            name,
            partitions: rows.into_iter().map(partition).collect(),
            ..ListOffsetsTopic::default()
        });
        ListOffsetsRequest {
            replica_id: CONSUMER,
            isolation_level: match self.isolation {
                Isolation::ReadUncommitted => 0,
                Isolation::ReadCommitted => 1,
            },
            topics: topics.collect(),
            timeout_ms: asked.timeout_ms(),
            ..ListOffsetsRequest::default()
        }
    }

    fn settle(
        &self,
        asked: &Asked<'_, TopicPartition>,
        response: ListOffsetsResponse,
    ) -> Vec<(TopicPartition, Settled<ListedOffset>)> {
        let impossible = asked.keys.iter().filter_map(|key| {
            let refusal = self.wanted(key, asked.version).err()?;
            Some((key.clone(), Err(refusal)))
        });
        let answered = response.topics.into_iter().flat_map(|topic| {
            topic.partitions.into_iter().map(move |row| {
                let key = TopicPartition::new(topic.name.clone(), row.partition_index);
                (key, listed(&row))
            })
        });
        impossible.chain(answered).collect()
    }
}

fn listed(row: &ListOffsetsPartitionResponse) -> Settled<ListedOffset> {
    check_code(row.error_code)?;
    Ok(ListedOffset {
        offset: Some(row.offset).filter(|offset| *offset >= 0),
        timestamp: Some(row.timestamp).filter(|timestamp| *timestamp >= 0),
        leader_epoch: LeaderEpoch::from_wire(row.leader_epoch),
    })
}

/// `ReplicaId` of whoever is no broker.
const CONSUMER: i32 = -1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn each_wish_has_its_number() {
        let wishes = [
            (OffsetSpec::Latest, -1),
            (OffsetSpec::Earliest, -2),
            (OffsetSpec::MaxTimestamp, -3),
            (OffsetSpec::EarliestLocal, -4),
            (OffsetSpec::LatestTiered, -5),
            (OffsetSpec::EarliestPendingUpload, -6),
            (OffsetSpec::At(0), 0),
        ];
        for (wish, number) in wishes {
            assert_eq!(wish.to_wire(11), Ok(number), "{wish:?}");
        }
    }

    #[test]
    fn what_a_leader_is_too_old_for_is_not_asked_and_refused() {
        let (old, new) = (partition(0), partition(1));
        let call =
            call([(old.clone(), OffsetSpec::MaxTimestamp), (new.clone(), OffsetSpec::Latest)]);
        let keys = [old.clone(), new];
        let asked = asked(&keys, 6);
        let request = call.request(&asked);
        assert_eq!(request.topics[0].partitions.len(), 1);
        let settled = call.settle(&asked, ListOffsetsResponse::default());
        assert_eq!(settled, [(old, Err(ErrorCode::UnsupportedVersion.into()))]);
    }

    #[test]
    fn a_negative_timestamp_is_no_way_to_the_end() {
        let key = [partition(0)];
        let call = call([(partition(0), OffsetSpec::At(-1))]);
        assert!(call.request(&asked(&key, 7)).topics.is_empty());
        let settled = call.settle(&asked(&key, 7), ListOffsetsResponse::default()).remove(0).1;
        assert_eq!(settled.unwrap_err().code, ErrorCode::InvalidTimestamp);
    }

    #[test]
    fn no_such_record_is_no_offset() {
        let row = ListOffsetsPartitionResponse {
            offset: -1,
            timestamp: -1,
            leader_epoch: -1,
            ..ListOffsetsPartitionResponse::default()
        };
        let nothing = ListedOffset { offset: None, timestamp: None, leader_epoch: None };
        assert_eq!(listed(&row), Ok(nothing));
    }

    #[test]
    fn we_are_no_replica() {
        let key = [partition(0)];
        assert_eq!(call([]).request(&asked(&key, 7)).replica_id, -1);
    }

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new("orders", index)
    }

    fn call<const N: usize>(partitions: [(TopicPartition, OffsetSpec); N]) -> ListOffsets {
        ListOffsets { partitions: BTreeMap::from(partitions), isolation: Isolation::default() }
    }
}
