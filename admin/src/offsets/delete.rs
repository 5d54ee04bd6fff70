//! Deleting offsets of a group (KIP-496).

use std::collections::BTreeSet;

use ottla_core::error::ErrorCode;
use ottla_core::types::TopicPartition;
use ottla_protocol::ByteString;
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

use crate::call::{AdminCall, Asked, Route, Settled, by_topic, check_code};

/// Deletes offsets of a group.
#[derive(Debug)]
pub struct DeleteGroupOffsets {
    pub(crate) group: ByteString,
    pub(crate) partitions: BTreeSet<TopicPartition>,
}

impl AdminCall for DeleteGroupOffsets {
    type Key = TopicPartition;
    type Request = OffsetDeleteRequest;
    type Value = ();

    fn subject(&self, partition: &TopicPartition) -> String {
        format!("delete the offset of group {} for {partition}", self.group)
    }

    fn route(&self, _: &TopicPartition) -> Route {
        Route::Coordinator(self.group.clone())
    }

    fn request(&self, asked: &Asked<'_, TopicPartition>) -> OffsetDeleteRequest {
        let partition = |(partition_index, ())| OffsetDeleteRequestPartition { partition_index };
        let topics = by_topic(asked.keys.iter().map(|key| (key, ())));
        let topic = |(name, rows): (ByteString, Vec<(i32, ())>)| OffsetDeleteRequestTopic {
            name,
            partitions: rows.into_iter().map(partition).collect(),
        };
        let topics = topics.into_iter().map(topic).collect();
        OffsetDeleteRequest { group_id: self.group.clone(), topics }
    }

    fn settle(
        &self,
        asked: &Asked<'_, TopicPartition>,
        response: OffsetDeleteResponse,
    ) -> Vec<(TopicPartition, Settled<()>)> {
        if let Err(refusal) = check_code(response.error_code) {
            return asked.refused(&refusal);
        }
        let topics = response.topics.into_iter();
        let settled = topics.flat_map(|topic| {
            topic.partitions.into_iter().map(move |row| {
                let key = TopicPartition::new(topic.name.clone(), row.partition_index);
                (key, check_code(row.error_code))
            })
        });
        settled.collect()
    }

    fn is_final(&self, code: ErrorCode) -> bool {
        code == ErrorCode::UnknownTopicOrPartition
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn what_the_group_refuses_it_refuses_for_every_partition() {
        let keys = [("orders", 0), ("orders", 1)].map(TopicPartition::from);
        let call = DeleteGroupOffsets { group: "billing".into(), partitions: BTreeSet::new() };
        assert_eq!(call.request(&asked(&keys, 0)).topics[0].partitions.len(), 2);
        let code = ErrorCode::GroupIdNotFound;
        let response =
            OffsetDeleteResponse { error_code: code.code(), ..OffsetDeleteResponse::default() };
        let settled = call.settle(&asked(&keys, 0), response);
        assert_eq!(settled, keys.map(|key| (key, Err(code.into()))));
    }
}
