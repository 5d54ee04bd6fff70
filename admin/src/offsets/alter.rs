//! Setting the offsets of a group that nobody is in.

use std::collections::BTreeMap;

use ottla_core::error::ErrorCode;
use ottla_core::types::{LeaderEpoch, TopicName, TopicPartition, Uuid};
use ottla_protocol::ByteString;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use crate::call::{AdminCall, Asked, Refusal, Route, Settled, by_topic, check_code};

/// Where a group is to go on in a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOffset {
    pub(crate) offset: i64,
    pub(crate) leader_epoch: Option<LeaderEpoch>,
    pub(crate) metadata: ByteString,
}

impl NewOffset {
    /// Goes on with the record at `offset`; not negative.
    #[must_use]
    pub fn at(offset: i64) -> Self {
        Self { offset, leader_epoch: None, metadata: ByteString::new() }
    }

    /// With the epoch of the leader that wrote the record before it, so that consumers notice a log
    /// that was truncated since (KIP-320).
    #[must_use]
    pub fn leader_epoch(self, epoch: LeaderEpoch) -> Self {
        Self { leader_epoch: Some(epoch), ..self }
    }

    /// With something to find again.
    #[must_use]
    pub fn metadata(self, metadata: impl Into<ByteString>) -> Self {
        Self { metadata: metadata.into(), ..self }
    }

    fn check(&self) -> Result<(), Refusal> {
        if self.offset >= 0 {
            return Ok(());
        }
        let message = Some("an offset is not negative".into());
        Err(Refusal { code: ErrorCode::OffsetOutOfRange, message })
    }
}

impl From<i64> for NewOffset {
    fn from(offset: i64) -> Self {
        Self::at(offset)
    }
}

/// Sets offsets of a group that nobody is in.
#[derive(Debug)]
pub struct AlterGroupOffsets {
    pub(crate) group: ByteString,
    pub(crate) offsets: BTreeMap<TopicPartition, NewOffset>,
    /// The ids of the topics, for brokers that want them.
    pub(crate) ids: BTreeMap<TopicName, Uuid>,
}

impl AlterGroupOffsets {
    fn name_of(&self, id: Uuid) -> Option<&TopicName> {
        self.ids.iter().find(|(_, known)| **known == id).map(|(name, _)| name)
    }
}

impl AdminCall for AlterGroupOffsets {
    type Key = TopicPartition;
    type Request = OffsetCommitRequest;
    type Value = ();

    fn subject(&self, partition: &TopicPartition) -> String {
        format!("alter the offset of group {} for {partition}", self.group)
    }

    fn route(&self, _: &TopicPartition) -> Route {
        Route::Coordinator(self.group.clone())
    }

    fn request(&self, asked: &Asked<'_, TopicPartition>) -> OffsetCommitRequest {
        let wanted = asked.keys.iter().filter_map(|key| {
            let offset = self.offsets.get(key)?;
            offset.check().is_ok().then_some((key, offset))
        });
        let topics = by_topic(wanted).into_iter().map(|(name, rows)| OffsetCommitRequestTopic {
            topic_id: self.ids.get(&*name).copied().unwrap_or_default(),
            name,
            partitions: rows.into_iter().map(row).collect(),
            ..OffsetCommitRequestTopic::default()
        });
        OffsetCommitRequest {
            group_id: self.group.clone(),
            topics: topics.collect(),
            ..OffsetCommitRequest::default()
        }
    }

    fn settle(
        &self,
        asked: &Asked<'_, TopicPartition>,
        response: OffsetCommitResponse,
    ) -> Vec<(TopicPartition, Settled<()>)> {
        let impossible = asked.keys.iter().filter_map(|key| {
            let refusal = self.offsets.get(key)?.check().err()?;
            Some((key.clone(), Err(refusal)))
        });
        let answered = response.topics.into_iter().flat_map(|topic| {
            let name = match asked.version {
                ..FIRST_BY_ID => Some(TopicName::from(topic.name)),
                FIRST_BY_ID.. => self.name_of(topic.topic_id).cloned(),
            };
            topic.partitions.into_iter().filter_map(move |row| {
                let key = TopicPartition::new(name.clone()?, row.partition_index);
                Some((key, check_code(row.error_code).map_err(explained)))
            })
        });
        impossible.chain(answered).collect()
    }

    /// As in Java's `AlterConsumerGroupOffsetsHandler`. Asking again with the same id would not help
    /// either.
    fn is_final(&self, code: ErrorCode) -> bool {
        matches!(code, ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId)
    }
}

/// The topic had this id when the call looked it up.
fn explained(refusal: Refusal) -> Refusal {
    let message = (refusal.code == ErrorCode::UnknownTopicId).then(|| {
        "the group's coordinator does not know the id that the topic had a moment ago: it was \
         deleted, or made anew. Alter the offset again"
            .into()
    });
    Refusal { message: message.or(refusal.message), ..refusal }
}

fn row((partition_index, offset): (i32, &NewOffset)) -> OffsetCommitRequestPartition {
    let NewOffset { offset, leader_epoch, metadata } = offset;
    OffsetCommitRequestPartition {
        partition_index,
        committed_offset: *offset,
        committed_leader_epoch: LeaderEpoch::to_wire(*leader_epoch),
        committed_metadata: Some(metadata.clone()),
        ..OffsetCommitRequestPartition::default()
    }
}

/// The first version with ids instead of names.
const FIRST_BY_ID: i16 = 10;

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::offset_commit::{
        OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    };

    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn nobody_commits_it() {
        let keys = [partition(0)];
        let request = call([(partition(0), 5.into())]).request(&asked(&keys, 10));
        assert_eq!((request.generation_id_or_member_epoch, &*request.member_id), (-1, ""));
        assert_eq!(request.topics[0].topic_id, ID);
        assert_eq!(request.topics[0].partitions[0].committed_offset, 5);
    }

    #[test]
    fn a_topic_is_known_by_its_id_from_version_10_on() {
        let keys = [partition(0)];
        let row = OffsetCommitResponsePartition::default();
        let topic = |name: &'static str, topic_id| OffsetCommitResponseTopic {
            name: name.into(),
            topic_id,
            partitions: vec![row.clone()],
            ..OffsetCommitResponseTopic::default()
        };
        let call = call([(partition(0), 5.into())]);
        for (version, topic) in [(10, topic("", ID)), (9, topic("orders", Uuid::ZERO))] {
            let response =
                OffsetCommitResponse { topics: vec![topic], ..OffsetCommitResponse::default() };
            let settled = call.settle(&asked(&keys, version), response);
            assert_eq!(settled, [(partition(0), Ok(()))], "version {version}");
        }
    }

    #[test]
    fn an_id_that_is_no_longer_the_topics_is_told_as_such() {
        let keys = [partition(0)];
        let code = ErrorCode::UnknownTopicId;
        let row = OffsetCommitResponsePartition {
            error_code: code.code(),
            ..OffsetCommitResponsePartition::default()
        };
        let topic = OffsetCommitResponseTopic {
            topic_id: ID,
            partitions: vec![row],
            ..OffsetCommitResponseTopic::default()
        };
        let response =
            OffsetCommitResponse { topics: vec![topic], ..OffsetCommitResponse::default() };
        let call = call([(partition(0), 5.into())]);
        let refusal = call.settle(&asked(&keys, 10), response).remove(0).1.unwrap_err();
        assert!(call.is_final(refusal.code));
        let message = refusal.message.unwrap();
        assert!(message.contains("deleted, or made anew"), "{message}");
    }

    #[test]
    fn a_negative_offset_is_not_committed() {
        let keys = [partition(0)];
        let call = call([(partition(0), (-1).into())]);
        assert!(call.request(&asked(&keys, 9)).topics.is_empty());
        let settled = call.settle(&asked(&keys, 9), OffsetCommitResponse::default()).remove(0).1;
        assert_eq!(settled.unwrap_err().code, ErrorCode::OffsetOutOfRange);
    }

    const ID: Uuid = Uuid::from_bytes([7; 16]);

    fn partition(index: i32) -> TopicPartition {
        TopicPartition::new("orders", index)
    }

    fn call<const N: usize>(offsets: [(TopicPartition, NewOffset); N]) -> AlterGroupOffsets {
        let ids = BTreeMap::from([("orders".into(), ID)]);
        AlterGroupOffsets { group: "billing".into(), offsets: BTreeMap::from(offsets), ids }
    }
}
