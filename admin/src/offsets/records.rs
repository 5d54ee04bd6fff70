//! Deleting the oldest records of partitions.

use std::collections::BTreeMap;

use ottla_core::error::ErrorCode;
use ottla_core::types::TopicPartition;
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

use crate::call::{AdminCall, Asked, Refusal, Route, Settled, by_topic, check_code};

/// Up to where records are deleted.
///
/// # Kafka
///
/// Java's `RecordsToDelete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeleteBefore {
    /// Those with a smaller offset than this; not negative.
    Offset(i64),
    /// All that are committed.
    HighWatermark,
}

impl DeleteBefore {
    fn to_wire(self) -> Result<i64, Refusal> {
        match self {
            Self::Offset(offset @ 0..) => Ok(offset),
            // On the wire −1 means everything: nobody is to say that by a miscalculation.
            Self::Offset(_) => {
                let message = Some("an offset is not negative".into());
                Err(Refusal { code: ErrorCode::OffsetOutOfRange, message })
            }
            Self::HighWatermark => Ok(-1),
        }
    }
}

impl From<i64> for DeleteBefore {
    fn from(offset: i64) -> Self {
        Self::Offset(offset)
    }
}

/// Deletes the oldest records of several partitions.
#[derive(Debug)]
pub struct DeleteRecords {
    pub(crate) partitions: BTreeMap<TopicPartition, DeleteBefore>,
}

impl DeleteRecords {
    fn wanted(&self, partition: &TopicPartition) -> Option<Result<i64, Refusal>> {
        self.partitions.get(partition).map(|before| before.to_wire())
    }
}

impl AdminCall for DeleteRecords {
    type Key = TopicPartition;
    type Request = DeleteRecordsRequest;
    /// The low watermark: the smallest offset that any live replica still has.
    type Value = i64;

    fn subject(&self, partition: &TopicPartition) -> String {
        format!("delete records of {partition}")
    }

    fn route(&self, partition: &TopicPartition) -> Route {
        Route::Leader(partition.clone())
    }

    fn request(&self, asked: &Asked<'_, TopicPartition>) -> DeleteRecordsRequest {
        let possible = asked.keys.iter().filter_map(|key| Some((key, self.wanted(key)?.ok()?)));
        let partition = |(partition_index, offset)| DeleteRecordsPartition {
            partition_index,
            offset,
            ..DeleteRecordsPartition::default()
        };
        let topics = by_topic(possible).into_iter().map(|(name, rows)| DeleteRecordsTopic {
            name,
            partitions: rows.into_iter().map(partition).collect(),
            ..DeleteRecordsTopic::default()
        });
        DeleteRecordsRequest {
            topics: topics.collect(),
            timeout_ms: asked.timeout_ms(),
            ..DeleteRecordsRequest::default()
        }
    }

    fn settle(
        &self,
        asked: &Asked<'_, TopicPartition>,
        response: DeleteRecordsResponse,
    ) -> Vec<(TopicPartition, Settled<i64>)> {
        let impossible =
            asked.keys.iter().filter_map(|key| Some((key.clone(), Err(self.wanted(key)?.err()?))));
        let answered = response.topics.into_iter().flat_map(|topic| {
            topic.partitions.into_iter().map(move |row| {
                let key = TopicPartition::new(topic.name.clone(), row.partition_index);
                (key, check_code(row.error_code).map(|()| row.low_watermark))
            })
        });
        impossible.chain(answered).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn a_negative_offset_deletes_nothing() {
        let partition = TopicPartition::new("orders", 0);
        let key = [partition.clone()];
        let call = DeleteRecords { partitions: BTreeMap::from([(partition, (-1).into())]) };
        assert!(call.request(&asked(&key, 2)).topics.is_empty());
        let settled = call.settle(&asked(&key, 2), DeleteRecordsResponse::default()).remove(0).1;
        assert_eq!(settled.unwrap_err().code, ErrorCode::OffsetOutOfRange);
    }

    #[test]
    fn everything_is_said_by_its_name() {
        let partition = TopicPartition::new("orders", 0);
        let key = [partition.clone()];
        let all = BTreeMap::from([(partition, DeleteBefore::HighWatermark)]);
        let request = DeleteRecords { partitions: all }.request(&asked(&key, 2));
        assert_eq!(request.topics[0].partitions[0].offset, -1);
    }
}
