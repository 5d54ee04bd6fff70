//! Fetch: what is there, or the wait for it.

mod sessions;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_protocol::messages::fetch::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};
use ottla_protocol::messages::{FetchRequest, FetchResponse};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{ByteString, ErrorCode};

use crate::log::Log;
use crate::log::batch::{Batch, to_chunks};
use crate::log::producers::Aborted;
use crate::partition::{Partition, Serving};
use crate::world::catalog::{Node, TopicKey};
use crate::world::{Context, Flow, NodeId, Resume, WaitKey, Why, World};
pub(crate) use sessions::Sessions;
use sessions::{Session, Want};

/// A fetch that is not answered yet.
#[derive(Debug)]
pub(crate) struct FetchWait {
    wants: Vec<Want>,
    /// The places of those that were unknown when the request came, with why: they are not what it
    /// waits for, nor do they end the wait.
    unknown: BTreeMap<usize, ErrorCode>,
    session: Session,
    limits: Limits,
    /// The consumer's rack (`client.rack`); empty for none.
    rack: ByteString,
    until: Duration,
}

/// What bounds an answer, and when it is enough.
#[derive(Debug, Clone, Copy)]
struct Limits {
    max_bytes: usize,
    min_bytes: usize,
    read_committed: bool,
}

/// What one partition has for the fetcher.
#[derive(Debug)]
struct Found {
    high_watermark: i64,
    stable: i64,
    log_start: i64,
    batches: Vec<Batch>,
    /// `None` unless asked for with `read_committed`.
    aborted: Option<Vec<Aborted>>,
    /// The epoch, with its end, at which the fetcher's log leaves this one.
    diverging: Option<(i32, i64)>,
    /// The follower to read from instead (KIP-392).
    preferred: Option<NodeId>,
}

/// What is left of an answer's bytes.
#[derive(Debug)]
struct Budget {
    left: usize,
    /// The very first batch of an answer is returned whatever its size.
    untouched: bool,
}

type Outcome = Result<Found, ErrorCode>;

pub(super) fn fetch(world: &mut World, cx: &Context, request: FetchRequest) -> Flow {
    let max_bytes = usize::try_from(request.max_bytes).unwrap_or(0).min(world.fetch_max_bytes);
    let min_bytes = usize::try_from(request.min_bytes).unwrap_or(0).min(max_bytes);
    let read_committed = request.isolation_level == 1;
    let limits = Limits { max_bytes, min_bytes, read_committed };
    let (wait, rack) = (request.max_wait_ms, request.rack_id.clone());
    let (wants, session) = match world.sessions.begin(cx, request) {
        Ok(begun) => begun,
        Err(code) => {
            let error_code = code.code();
            return FetchResponse { error_code, ..FetchResponse::default() }.into();
        }
    };
    let (unknown, until) = (BTreeMap::new(), cx.deadline(wait));
    let mut fetch = FetchWait { wants, unknown, session, limits, rack, until };
    let outcomes = fetch.gather(world, cx);
    fetch.unknown = (0..).zip(&outcomes).filter_map(unknown_at).collect();
    let may_wait = wait > 0 && fetch.unknown.len() < fetch.wants.len();
    fetch.settle(world, cx, outcomes, may_wait)
}

/// Kafka refuses what it does not know before it looks at the rest.
fn unknown_at((at, outcome): (usize, &Outcome)) -> Option<(usize, ErrorCode)> {
    let code = outcome.as_ref().err().copied().filter(|code| is_unknown(*code))?;
    Some((at, code))
}

pub(crate) fn resume(world: &mut World, cx: &Context, wait: FetchWait, why: Why) -> Flow {
    let expired = why == Why::Expired || cx.now.mono >= wait.until;
    let outcomes = wait.gather(world, cx);
    wait.settle(world, cx, outcomes, !expired)
}

impl FetchWait {
    fn settle(
        self,
        world: &mut World,
        cx: &Context,
        outcomes: Vec<Outcome>,
        may_wait: bool,
    ) -> Flow {
        if may_wait && !self.is_enough(&outcomes) {
            let keys = self.keys(world);
            let until = self.until;
            return world.park(&keys, Some(until), Resume::Fetch(self));
        }
        self.answer(world, cx, outcomes).into()
    }

    fn keys(&self, world: &World) -> Vec<WaitKey> {
        let key = |want: &Want| {
            let topic = world.catalog.topic(want.key()).ok()?;
            Some(WaitKey::Partition(topic.id, want.partition))
        };
        self.wants.iter().filter_map(key).collect()
    }

    /// The rack to look for near replicas in, if the brokers do that at all.
    fn near_rack(&self, world: &World) -> Option<&str> {
        let wanted = !self.rack.is_empty() && world.settings.reads_near();
        wanted.then_some(&*self.rack)
    }

    fn gather(&self, world: &World, cx: &Context) -> Vec<Outcome> {
        let mut budget = Budget { left: self.limits.max_bytes, untouched: true };
        let reader = Reader { world, cx, rack: self.near_rack(world) };
        let read = |(at, want)| match self.unknown.get(&at) {
            Some(code) => Err(*code),
            None => reader.read(want, self.limits.read_committed, &mut budget),
        };
        (0..).zip(&self.wants).map(read).collect()
    }

    fn is_enough(&self, outcomes: &[Outcome]) -> bool {
        let mut bytes = 0;
        for (at, outcome) in (0..).zip(outcomes) {
            match outcome {
                Ok(found) if found.diverging.is_none() && found.preferred.is_none() => {
                    bytes += found.bytes();
                }
                Err(_) if self.unknown.contains_key(&at) => {}
                Ok(_) | Err(_) => return true,
            }
        }
        bytes >= self.limits.min_bytes
    }

    fn answer(self, world: &mut World, cx: &Context, outcomes: Vec<Outcome>) -> FetchResponse {
        let session_id = world.establish(cx, &self.session, &self.wants);
        let mut response = FetchResponse { session_id, ..FetchResponse::default() };
        for (want, outcome) in self.wants.iter().zip(outcomes) {
            let row = row(want.partition, outcome);
            if world.sessions.is_news(cx.node, &self.session, session_id, want, &row) {
                add_row(&mut response, want, row);
            }
        }
        if cx.version >= 16 {
            name_leaders(&mut response, world);
        }
        response
    }
}

impl Found {
    fn bytes(&self) -> usize {
        self.batches.iter().map(Batch::len).sum()
    }
}

/// Who reads, and where.
struct Reader<'a> {
    world: &'a World,
    cx: &'a Context,
    rack: Option<&'a str>,
}

impl Reader<'_> {
    fn read(&self, want: &Want, read_committed: bool, budget: &mut Budget) -> Outcome {
        let topic = self.world.catalog.topic(want.key())?;
        self.cx.item(&topic.name, want.partition)?;
        let partition = topic.partition(want.partition)?;
        let log = partition.log_at(self.cx.node, want.current_leader_epoch, self.serving())?;
        let found = Found {
            high_watermark: log.high_watermark(),
            stable: log.stable(),
            log_start: log.start(),
            batches: Vec::new(),
            aborted: None,
            diverging: None,
            preferred: self.nearer(partition, want.fetch_offset),
        };
        if found.preferred.is_some() {
            return Ok(found);
        }
        found.fill(log, want, read_committed, budget)
    }

    /// Only consumers that can be told of a preferred replica may read from one.
    fn serving(&self) -> Serving {
        if self.cx.version >= FIRST_WITH_RACKS { Serving::AnyReplica } else { Serving::Leader }
    }

    /// The follower in the consumer's rack, if the leader is asked and is not in it itself.
    fn nearer(&self, partition: &Partition, offset: i64) -> Option<NodeId> {
        let rack = self.rack.filter(|_| partition.leader() == Some(self.cx.node))?;
        let is_near = |id| {
            let node = self.world.catalog.node(id);
            node.is_some_and(|node| node.rack.as_deref() == Some(rack))
        };
        partition.preferred_read_replica(offset, is_near)
    }
}

impl Found {
    /// Reads up to where the reader may see.
    fn fill(
        mut self,
        log: &Log,
        want: &Want,
        read_committed: bool,
        budget: &mut Budget,
    ) -> Outcome {
        self.aborted = read_committed.then(Vec::new);
        self.diverging = divergence(log, want)?;
        if self.diverging.is_some() {
            return Ok(self);
        }
        if !(log.start()..=log.end()).contains(&want.fetch_offset) {
            return Err(ErrorCode::OffsetOutOfRange);
        }
        let upto = if read_committed { self.stable } else { self.high_watermark };
        self.batches = budget.read(log, want, upto);
        if let (Some(aborted), Some(last)) = (&mut self.aborted, self.batches.last()) {
            *aborted = log.aborted(want.fetch_offset, last.next());
        }
        Ok(self)
    }
}

impl Budget {
    fn read(&mut self, log: &Log, want: &Want, upto: i64) -> Vec<Batch> {
        let max_bytes = want.max_bytes.min(self.left);
        let batches = log.read(want.fetch_offset, upto, max_bytes, self.untouched);
        let bytes = batches.iter().map(Batch::len).sum();
        self.left = self.left.saturating_sub(bytes);
        self.untouched &= batches.is_empty();
        batches
    }
}

/// Where a fetcher that knows what it read last has read something else than this log has
/// (KIP-595's truncation on fetch).
fn divergence(log: &Log, want: &Want) -> Result<Option<(i32, i64)>, ErrorCode> {
    if want.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let (epoch, end) = log.epoch_end(want.last_fetched_epoch).ok_or(ErrorCode::OffsetOutOfRange)?;
    if want.fetch_offset < log.start() {
        return Err(ErrorCode::OffsetOutOfRange);
    }
    let diverges = epoch < want.last_fetched_epoch || end < want.fetch_offset;
    Ok(diverges.then_some((epoch, end)))
}

fn row(partition_index: i32, outcome: Outcome) -> PartitionData {
    match outcome {
        Ok(found) => found.into_row(partition_index),
        Err(code) => PartitionData {
            partition_index,
            error_code: code.code(),
            high_watermark: -1,
            aborted_transactions: is_unknown(code).then(Vec::new),
            records: Some(RecordChunks::new()),
            ..PartitionData::default()
        },
    }
}

impl Found {
    fn into_row(self, partition_index: i32) -> PartitionData {
        let aborted = |a: Aborted| AbortedTransaction {
            producer_id: a.producer_id,
            first_offset: a.first_offset,
            ..AbortedTransaction::default()
        };
        let diverging = |(epoch, end_offset)| {
            Box::new(EpochEndOffset { epoch, end_offset, ..EpochEndOffset::default() })
        };
        PartitionData {
            partition_index,
            high_watermark: self.high_watermark,
            last_stable_offset: self.stable,
            log_start_offset: self.log_start,
            aborted_transactions: self.aborted.map(|all| all.into_iter().map(aborted).collect()),
            // Empty, never null: librdkafka refuses null.
            records: Some(to_chunks(&self.batches)),
            diverging_epoch: self.diverging.map(diverging),
            preferred_read_replica: self.preferred.map_or(-1, |node| node.0),
            ..PartitionData::default()
        }
    }
}

/// Whether Kafka answers before it looks at the log, in which case a list is empty and not null.
fn is_unknown(code: ErrorCode) -> bool {
    matches!(code, ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId)
}

fn add_row(response: &mut FetchResponse, want: &Want, row: PartitionData) {
    let (topic, topic_id) = (want.topic.clone(), want.topic_id);
    match response.responses.last_mut() {
        Some(last) if last.topic == topic && last.topic_id == topic_id => last.partitions.push(row),
        _ => response.responses.push(FetchableTopicResponse {
            topic,
            topic_id,
            partitions: vec![row],
            ..FetchableTopicResponse::default()
        }),
    }
}

/// Who leads the partitions that are not led here, or not in this epoch (KIP-951).
fn name_leaders(response: &mut FetchResponse, world: &World) {
    let moved = [ErrorCode::NotLeaderOrFollower.code(), ErrorCode::FencedLeaderEpoch.code()];
    let mut leaders = BTreeSet::new();
    for topic in &mut response.responses {
        for row in topic.partitions.iter_mut().filter(|row| moved.contains(&row.error_code)) {
            let leader = world.catalog.leader(TopicKey::Id(topic.topic_id), row.partition_index);
            let Some((node, leader_epoch)) = leader else { continue };
            let leader_id = node.0;
            let current = LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() };
            row.current_leader = Some(Box::new(current));
            leaders.insert(node);
        }
    }
    let nodes = world.catalog.live_nodes().filter(|node| leaders.contains(&node.id));
    response.node_endpoints = nodes.map(endpoint).collect();
}

fn endpoint(node: &Node) -> NodeEndpoint {
    NodeEndpoint {
        node_id: node.id.0,
        host: node.host.clone(),
        port: i32::from(node.port),
        rack: node.rack.clone(),
        ..NodeEndpoint::default()
    }
}

/// The first version of Fetch in which a consumer says where it stands (KIP-392).
const FIRST_WITH_RACKS: i16 = 11;
