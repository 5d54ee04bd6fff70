//! Where a log begins, ends, and what lies where in it.

use std::collections::BTreeSet;

use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic, ListOffsetsTopicResponse,
};
use ottla_protocol::messages::offset_for_leader_epoch::{
    EpochEndOffset, OffsetForLeaderPartition, OffsetForLeaderTopicResult,
};
use ottla_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};
use ottla_protocol::{ByteString, ErrorCode};

use crate::log::{Found, Log, Search};
use crate::partition::{Partition, Serving};
use crate::world::catalog::TopicKey;
use crate::world::{Context, Flow, Resume, World};

/// Where the offsets that a request asks for are known, or how to find them.
#[derive(Debug)]
pub(crate) struct Lookup {
    topics: Vec<(ByteString, Vec<Row>)>,
}

/// A partition, and what is known of its offset.
type Row = (i32, Result<Sought, ErrorCode>);

#[derive(Debug)]
enum Sought {
    Known(Option<Found>),
    /// A record, by its time.
    Search {
        search: Search,
        /// The offset from which on the asker may not see it.
        upto: i64,
        /// What is told when there is none that may be seen; `None` for that alone.
        otherwise: Option<ErrorCode>,
    },
}

impl Sought {
    fn run(self) -> Result<Self, ErrorCode> {
        let Self::Search { search, upto, otherwise } = self else { return Ok(self) };
        match (search.run().filter(|found| found.offset < upto), otherwise) {
            (None, Some(code)) => Err(code),
            (found, _) => Ok(Self::Known(found)),
        }
    }
}

impl Lookup {
    /// Reads records, which may take long.
    pub(crate) fn run(&mut self) {
        for (_, rows) in &mut self.topics {
            for (_, sought) in rows {
                let found = std::mem::replace(sought, Ok(Sought::Known(None)));
                *sought = found.and_then(Sought::run);
            }
        }
    }

    pub(crate) fn is_open(&self) -> bool {
        let mut rows = self.topics.iter().flat_map(|(_, rows)| rows);
        rows.any(|(_, sought)| matches!(sought, Ok(Sought::Search { .. })))
    }

    pub(crate) fn answer(mut self, version: i16) -> ListOffsetsResponse {
        self.run();
        let topics = self.topics.into_iter().map(|(name, rows)| ListOffsetsTopicResponse {
            name,
            partitions: rows.into_iter().map(|(index, s)| list_row(version, index, s)).collect(),
            ..Default::default()
        });
        ListOffsetsResponse { topics: topics.collect(), ..Default::default() }
    }
}

pub(super) fn list(world: &mut World, cx: &Context, request: ListOffsetsRequest) -> Flow {
    let read_committed = request.isolation_level == 1;
    let twice = asked_twice(&request);
    let topics = request.topics.into_iter().map(|topic| {
        let row = |asked: &ListOffsetsPartition| {
            let index = asked.partition_index;
            if twice.contains(&(topic.name.clone(), index)) {
                return (index, Err(ErrorCode::InvalidRequest));
            }
            (index, look_up(world, cx, &topic.name, asked, read_committed))
        };
        let rows = topic.partitions.iter().map(row).collect();
        (topic.name, rows)
    });
    let lookup = Lookup { topics: topics.collect() };
    if lookup.is_open() {
        return world.park(&[], Some(cx.now.mono), Resume::Lookup(lookup));
    }
    lookup.answer(cx.version).into()
}

/// The partitions that a request names more than once, which would have it read as often.
fn asked_twice(request: &ListOffsetsRequest) -> BTreeSet<(ByteString, i32)> {
    let partitions = |topic: &ListOffsetsTopic| {
        let name = topic.name.clone();
        let indices: Vec<i32> = topic.partitions.iter().map(|p| p.partition_index).collect();
        indices.into_iter().map(move |index| (name.clone(), index))
    };
    let mut once = BTreeSet::new();
    let all = request.topics.iter().flat_map(partitions);
    all.filter(|partition| !once.insert(partition.clone())).collect()
}

fn list_row(
    version: i16,
    partition_index: i32,
    sought: Result<Sought, ErrorCode>,
) -> ListOffsetsPartitionResponse {
    let row = ListOffsetsPartitionResponse { partition_index, ..Default::default() };
    match sought {
        Ok(Sought::Known(None) | Sought::Search { .. }) => row,
        Ok(Sought::Known(Some(Found { offset, timestamp, epoch }))) => {
            let leader_epoch = if version >= 4 { epoch } else { -1 };
            ListOffsetsPartitionResponse { timestamp, offset, leader_epoch, ..row }
        }
        Err(code) => ListOffsetsPartitionResponse { error_code: code.code(), ..row },
    }
}

fn led<'a>(
    world: &'a World,
    cx: &Context,
    topic: &str,
    index: i32,
    known_epoch: i32,
) -> Result<(&'a Partition, &'a Log), ErrorCode> {
    cx.item(topic, index)?;
    let topic = world.catalog.topic(TopicKey::Name(topic))?;
    let partition = topic.partition(index)?;
    let log = partition.log_at(cx.node, known_epoch, Serving::Leader)?;
    Ok((partition, log))
}

fn look_up(
    world: &World,
    cx: &Context,
    topic: &str,
    asked: &ListOffsetsPartition,
    read_committed: bool,
) -> Result<Sought, ErrorCode> {
    let (index, epoch) = (asked.partition_index, asked.current_leader_epoch);
    let (partition, log) = led(world, cx, topic, index, epoch)?;
    let at = |offset, epoch| Sought::Known(Some(Found { offset, timestamp: -1, epoch }));
    let end = if read_committed { log.stable() } else { log.high_watermark() };
    let recovered = check_recovered(partition, cx.version);
    let search = |search| Sought::Search { search, upto: end, otherwise: recovered.err() };
    match asked.timestamp {
        LATEST => recovered.map(|()| at(end, partition.epoch())),
        EARLIEST => Ok(at(log.start(), log.epoch_at(log.start()).unwrap_or(-1))),
        EARLIEST_LOCAL if cx.version >= 8 => {
            Ok(at(log.start(), log.epoch_at(log.start()).unwrap_or(-1)))
        }
        MAX_TIMESTAMP if cx.version >= 7 => Ok(search(log.at_max_timestamp())),
        LATEST_TIERED if cx.version >= 9 => Ok(Sought::Known(None)),
        EARLIEST_PENDING_UPLOAD if cx.version >= 11 => Ok(Sought::Known(None)),
        time @ 0.. => Ok(search(log.at_time(time, end))),
        _ => Err(ErrorCode::UnsupportedVersion),
    }
}

/// Right after its election a leader may not know yet how much was committed.
fn check_recovered(partition: &Partition, version: i16) -> Result<(), ErrorCode> {
    match partition.is_recovering() {
        false => Ok(()),
        true if version >= 5 => Err(ErrorCode::OffsetNotAvailable),
        true => Err(ErrorCode::LeaderNotAvailable),
    }
}

pub(super) fn leader_epoch_ends(
    world: &World,
    cx: &Context,
    request: OffsetForLeaderEpochRequest,
) -> OffsetForLeaderEpochResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let row = |asked: &OffsetForLeaderPartition| {
            let found = epoch_end(world, cx, &topic.topic, asked);
            epoch_row(asked.partition, found)
        };
        OffsetForLeaderTopicResult {
            partitions: topic.partitions.iter().map(row).collect(),
            topic: topic.topic,
            ..Default::default()
        }
    });
    OffsetForLeaderEpochResponse { topics: topics.collect(), ..Default::default() }
}

fn epoch_end(
    world: &World,
    cx: &Context,
    topic: &str,
    asked: &OffsetForLeaderPartition,
) -> Result<(i32, i64), ErrorCode> {
    let (_, log) = led(world, cx, topic, asked.partition, asked.current_leader_epoch)?;
    let known = (asked.leader_epoch >= 0).then(|| log.epoch_end(asked.leader_epoch)).flatten();
    Ok(known.unwrap_or((-1, -1)))
}

fn epoch_row(partition: i32, found: Result<(i32, i64), ErrorCode>) -> EpochEndOffset {
    let row = EpochEndOffset { partition, ..Default::default() };
    match found {
        Ok((leader_epoch, end_offset)) => EpochEndOffset { leader_epoch, end_offset, ..row },
        Err(code) => EpochEndOffset { error_code: code.code(), ..row },
    }
}

/// `Timestamp`: the end.
const LATEST: i64 = -1;
/// `Timestamp`: the beginning.
const EARLIEST: i64 = -2;
/// `Timestamp`: the record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP: i64 = -3;
/// `Timestamp`: the beginning of what is not in tiered storage (KIP-405).
const EARLIEST_LOCAL: i64 = -4;
/// `Timestamp`: the end of what is in tiered storage (KIP-1005).
const LATEST_TIERED: i64 = -5;
/// `Timestamp`: the beginning of what is still to go there (KIP-1023).
const EARLIEST_PENDING_UPLOAD: i64 = -6;
