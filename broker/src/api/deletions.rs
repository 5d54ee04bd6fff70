//! `DeleteRecords`: where a log begins is moved, and its followers' are waited for (KIP-107).

use std::time::Duration;

use ottla_protocol::messages::delete_records::{
    DeleteRecordsPartition, DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use ottla_protocol::messages::{DeleteRecordsRequest, DeleteRecordsResponse};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use crate::partition::{Partition, Surroundings};
use crate::world::catalog::TopicKey;
use crate::world::{Context, Flow, Resume, WaitKey, Why, World};

/// A request whose deletions have not reached every live replica yet.
#[derive(Debug)]
pub(crate) struct DeleteWait {
    topics: Vec<(ByteString, Vec<Row>)>,
    until: Duration,
}

/// A partition, and what has become of its deletion.
type Row = (i32, Result<Deletion, ErrorCode>);

#[derive(Debug, Clone, Copy)]
struct Deletion {
    topic: Uuid,
    /// Where the log is to begin.
    to: i64,
    /// The smallest log start among the live replicas, as seen last.
    low_watermark: i64,
}

pub(super) fn delete_records(
    world: &mut World,
    cx: &Context,
    request: DeleteRecordsRequest,
) -> Flow {
    let topics = request.topics.into_iter().map(|topic| {
        let row = |asked: &DeleteRecordsPartition| {
            let index = asked.partition_index;
            (index, delete(world, cx, &topic.name, index, asked.offset))
        };
        let rows = topic.partitions.iter().map(row).collect();
        (topic.name, rows)
    });
    let wait = DeleteWait { topics: topics.collect(), until: cx.deadline(request.timeout_ms) };
    wait.settle(world, Why::Woken)
}

impl DeleteWait {
    /// Goes on when a log start may have moved, or it is too late.
    pub(crate) fn resume(mut self, world: &mut World, cx: &Context, why: Why) -> Flow {
        for (_, rows) in &mut self.topics {
            for (index, row) in rows {
                let seen = row.and_then(|deletion| match deletion.is_done() {
                    true => Ok(deletion),
                    false => deletion.look(world, cx, *index),
                });
                *row = seen;
            }
        }
        self.settle(world, why)
    }

    fn settle(self, world: &mut World, why: Why) -> Flow {
        let keys = self.keys();
        if why == Why::Woken && !keys.is_empty() {
            let until = self.until;
            return world.park(&keys, Some(until), Resume::Deletions(self));
        }
        self.answer().into()
    }

    /// What there is to wait for.
    fn keys(&self) -> Vec<WaitKey> {
        let rows = self.topics.iter().flat_map(|(_, rows)| rows);
        let key = |(index, row): &Row| {
            let waiting = row.ok().filter(|deletion| !deletion.is_done())?;
            Some(WaitKey::Partition(waiting.topic, *index))
        };
        rows.filter_map(key).collect()
    }

    fn answer(self) -> DeleteRecordsResponse {
        let topics = self.topics.into_iter().map(|(name, rows)| DeleteRecordsTopicResult {
            name,
            partitions: rows.into_iter().map(result).collect(),
            ..Default::default()
        });
        DeleteRecordsResponse { topics: topics.collect(), ..Default::default() }
    }
}

impl Deletion {
    fn is_done(&self) -> bool {
        self.low_watermark >= self.to
    }

    /// Looks again at how far the replicas are.
    fn look(self, world: &World, cx: &Context, index: i32) -> Result<Self, ErrorCode> {
        let topic = world.catalog.topic(TopicKey::Id(self.topic));
        let topic = topic.map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        let partition = topic.partition(index)?;
        partition.led_by(cx.node)?;
        Ok(Self { low_watermark: partition.low_watermark(world.catalog.alive()), ..self })
    }
}

fn result((partition_index, row): Row) -> DeleteRecordsPartitionResult {
    let error = match row {
        Ok(deletion) if deletion.is_done() => ErrorCode::None,
        Ok(_) => ErrorCode::RequestTimedOut,
        Err(code) => code,
    };
    DeleteRecordsPartitionResult {
        partition_index,
        low_watermark: row.map_or(-1, |deletion| deletion.low_watermark),
        error_code: error.code(),
        ..Default::default()
    }
}

fn delete(
    world: &mut World,
    cx: &Context,
    name: &str,
    index: i32,
    offset: i64,
) -> Result<Deletion, ErrorCode> {
    cx.item(name, index)?;
    let topic = world.catalog.topic(TopicKey::Name(name))?;
    let log = topic.partition(index)?.led_by(cx.node)?;
    let settings = topic.settings.at(Some(cx.node));
    if settings.compacts && !settings.deletes {
        return Err(ErrorCode::PolicyViolation);
    }
    let committed = log.high_watermark();
    let to = if offset == TO_HIGH_WATERMARK { committed } else { offset };
    if !(0..=committed).contains(&to) {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let topic = topic.id;
    let raise = |partition: &mut Partition, around: Surroundings<'_>| {
        partition.raise_start(to, around);
        partition.low_watermark(around.alive)
    };
    let low_watermark = world.catalog.with_partition(TopicKey::Id(topic), index, cx.now, raise)?;
    world.wake_partition(topic, index);
    Ok(Deletion { topic, to, low_watermark })
}

/// `Offset` of `DeleteRecords`: everything that is committed.
const TO_HIGH_WATERMARK: i64 = -1;
