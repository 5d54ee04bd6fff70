//! Produce: checks, append, acknowledgement.

mod whole;

use std::collections::BTreeSet;

use ottla_protocol::messages::produce::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceData,
    PartitionProduceResponse, TopicProduceResponse,
};
use ottla_protocol::messages::{ProduceRequest, ProduceResponse};
use ottla_protocol::records::ProducerStamp;
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::demands::Demands;
use crate::log::Log;
use crate::log::incoming::{Carried, Incoming, NoBatch, Refusal, Unpacker, check_base};
use crate::partition::{Appended, Partition, Surroundings};
use crate::txn::{FIRST_PRODUCE_THAT_ADDS, Producer};
use crate::world::catalog::{Node, TopicKey};
use crate::world::config::TopicSettings;
use crate::world::{Acknowledgements, Context, Flow, Now, Resume, Unacknowledged, Why, World};

/// A produce request whose batches were checked outside the lock.
#[derive(Debug, Clone)]
pub struct Checked {
    transactional_id: Option<ByteString>,
    acks: i16,
    timeout_ms: i32,
    topics: Vec<CheckedTopic>,
}

#[derive(Debug, Clone)]
struct CheckedTopic {
    name: ByteString,
    id: Uuid,
    partitions: Vec<CheckedPartition>,
}

#[derive(Debug, Clone)]
struct CheckedPartition {
    index: i32,
    carried: Carried,
    /// What the log would have against the batch.
    found: Result<(), Refusal>,
    records: Reading,
}

/// Whether the records of a batch have been looked at for all that their topic demands.
#[derive(Debug, Clone)]
enum Reading {
    /// The topic has not been asked yet.
    Unasked,
    /// They are to be read.
    Wanted(Demands),
    /// They need not be read, or have been.
    Done,
}

/// A produce request that waits for its batches to be committed.
#[derive(Debug)]
pub struct AckWait {
    response: ProduceResponse,
    /// By the topic and the partition within the response.
    acknowledgements: Acknowledgements<(usize, usize)>,
}

impl Checked {
    pub(crate) fn new(request: ProduceRequest, version: i16, frame_len: usize) -> Self {
        let ProduceRequest { transactional_id, acks, timeout_ms, topic_data, .. } = request;
        let mut unpacker = Unpacker::at_once();
        let topics = topic_data.into_iter().map(|topic| CheckedTopic {
            name: topic.name,
            id: topic.topic_id,
            partitions: topic
                .partition_data
                .into_iter()
                .map(|data| CheckedPartition::new(data, version, frame_len, &mut unpacker))
                .collect(),
        });
        let topics = topics.collect();
        Self { transactional_id, acks, timeout_ms, topics }
    }

    /// Notes what the topics demand of the records; returns whether any does, so that they are to be
    /// inspected. Each is asked once, as soon as it is led here.
    fn demand(&mut self, world: &World, cx: &Context) -> bool {
        let mut any = false;
        for CheckedTopic { name, id, partitions } in &mut self.topics {
            let Ok(topic) = world.catalog.topic(TopicKey::of(name, *id, cx.version >= 13)) else {
                continue;
            };
            let settings = topic.settings.at(Some(cx.node));
            for row in partitions {
                let is_led = topic.partition(row.index).is_ok_and(|p| p.led_by(cx.node).is_ok());
                let batch =
                    row.sound().filter(|batch| is_led && batch.len() <= settings.max_message_bytes);
                let (Some(batch), Reading::Unasked) = (batch, &row.records) else { continue };
                let demands = Demands::of(topic, row.index, batch, cx);
                any |= demands.is_some();
                row.records = demands.map_or(Reading::Done, Reading::Wanted);
            }
        }
        any
    }

    /// Reads the records that topics demand something of, which may take long.
    pub(crate) fn inspect(&mut self) {
        let mut unpacker = Unpacker::at_leisure();
        for row in self.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            if let (Ok(batch), Reading::Wanted(demands)) = (&mut row.carried.batch, &row.records) {
                row.found = demands.check(batch, &mut unpacker);
                row.records = Reading::Done;
            }
        }
    }
}

impl CheckedPartition {
    fn new(
        data: PartitionProduceData,
        version: i16,
        frame_len: usize,
        at_once: &mut Unpacker,
    ) -> Self {
        let mut carried = Carried::new(data.records, version, frame_len);
        let found = carried.batch.as_mut().map_or(Ok(()), |batch| batch.verify(at_once));
        Self { index: data.index, carried, found, records: Reading::Unasked }
    }

    /// Whether there is one batch, whatever is in it.
    fn check_frame(&self) -> Result<(), Refusal> {
        match &self.carried.batch {
            Err(NoBatch::Unreadable(refusal) | NoBatch::Unframed(refusal)) => Err(refusal.clone()),
            Ok(_) | Err(NoBatch::Contradictory(_)) => Ok(()),
        }
    }

    /// Who wrote it as part of a transaction, whether the log will take it or not: Kafka asks the
    /// coordinator before it looks at anything else.
    fn transactional(&self) -> Option<ProducerStamp> {
        let header = self.carried.header.filter(|header| header.attributes.is_transactional());
        header.map(|header| header.producer).filter(|stamp| stamp.producer_id >= 0)
    }

    /// The batch, or what the log has against it.
    fn judged(&self) -> Result<&Incoming, &Refusal> {
        let batch = self.carried.batch.as_ref().map_err(NoBatch::refusal)?;
        self.found.as_ref().map(|()| batch)
    }

    /// The batch, if nothing is known to be wrong with it.
    fn sound(&self) -> Option<&Incoming> {
        self.judged().ok()
    }
}

impl CheckedTopic {
    fn key(&self, version: i16) -> TopicKey<'_> {
        TopicKey::of(&self.name, self.id, version >= 13)
    }
}

pub(crate) fn produce(world: &mut World, cx: &Context, mut request: Checked) -> Flow {
    if request.demand(world, cx) {
        return world.park(&[], Some(cx.now.mono), Resume::Inspect(request));
    }
    let mut wait = AckWait {
        response: ProduceResponse::default(),
        acknowledgements: Acknowledgements::new(cx.deadline(request.timeout_ms)),
    };
    let whole = request.check_whole(world, cx);
    for topic in &request.topics {
        let key = topic.key(cx.version);
        let append = |row: &CheckedPartition| match &whole {
            Ok(()) => append_row(world, cx, &request, key, row),
            Err(refusal) => (refused(row.index, refusal.clone()), None),
        };
        let rows: Vec<_> = topic.partitions.iter().map(append).collect();
        wait.add_topic(topic, rows);
    }
    match request.acks {
        0 if wait.has_errors() => Flow::Close,
        0 => Flow::Silent,
        -1 => wait.settle(world, cx, Why::Woken),
        _ => wait.answer(world, cx),
    }
}

pub(crate) fn resume(world: &mut World, cx: &Context, wait: AckWait, why: Why) -> Flow {
    wait.settle(world, cx, why)
}

/// What one partition answered, and what must be committed before it is told.
type Row = (PartitionProduceResponse, Option<Unacknowledged>);

fn append_row(
    world: &mut World,
    cx: &Context,
    request: &Checked,
    key: TopicKey<'_>,
    row: &CheckedPartition,
) -> Row {
    let index = row.index;
    match append(world, cx, request, key, row) {
        Ok((appended, log_start_offset, unacknowledged)) => {
            let row = PartitionProduceResponse {
                index,
                base_offset: appended.base,
                log_append_time_ms: appended.append_time_ms,
                log_start_offset,
                ..PartitionProduceResponse::default()
            };
            (row, Some(unacknowledged))
        }
        Err(Refused { refusal, log_start }) => {
            let refused = refused(index, refusal);
            (PartitionProduceResponse { log_start_offset: log_start, ..refused }, None)
        }
    }
}

/// A refusal, and the start of the log if Kafka has looked at that by then; else −1.
struct Refused {
    refusal: Refusal,
    log_start: i64,
}

impl Refused {
    /// By the log that begins at `start`: Kafka does not tell that with every code.
    fn by_log(start: i64, refusal: Refusal) -> Self {
        let is_kept_back = matches!(
            refusal.code,
            ErrorCode::CorruptMessage
                | ErrorCode::KafkaStorageError
                | ErrorCode::MessageTooLarge
                | ErrorCode::NotLeaderOrFollower
                | ErrorCode::RecordListTooLarge
                | ErrorCode::UnknownTopicOrPartition
        );
        Self { refusal, log_start: if is_kept_back { -1 } else { start } }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, log_start: -1 }
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Refusal::from(code).into()
    }
}

fn append(
    world: &mut World,
    cx: &Context,
    request: &Checked,
    key: TopicKey<'_>,
    row: &CheckedPartition,
) -> Result<(Appended, i64, Unacknowledged), Refused> {
    let (index, acks) = (row.index, request.acks);
    let topic = world.catalog.topic(key)?;
    let (id, name) = (topic.id, topic.name.clone());
    topic.partition(index)?;
    row.check_frame()?;
    let transactional = row.transactional().zip(request.transactional_id.as_deref());
    let overtakes = transactional.map_or(Ok(false), |(stamp, id)| {
        admit_transaction(world, cx, id, key, index, stamp).map_err(outside_transaction)
    })?;
    if !matches!(acks, -1..=1) {
        return Err(ErrorCode::InvalidRequiredAcks.into());
    }
    let done = world.catalog.with_partition(key, index, cx.now, |partition, around| {
        let log_start = partition.led_by(cx.node)?.start();
        let mut append = || {
            cx.item(&name, index)?;
            if acks == -1 {
                partition.check_in_sync(around)?;
            }
            let batch = admitted(row, around.settings.at(Some(cx.node)), cx.now)?;
            if overtakes {
                return Err(ErrorCode::OutOfOrderSequenceNumber.into());
            }
            append_to(partition, &batch, around)
        };
        append().map_err(|refusal| Refused::by_log(log_start, refusal))
    })?;
    let done = done?;
    world.wake_partition(id, index);
    if done.lagging {
        world.watch_lag(cx.now);
    }
    let Done { appended, log_start, epoch, .. } = done;
    let unacknowledged = Unacknowledged { topic: id, partition: index, last: appended.last, epoch };
    Ok((appended, log_start, unacknowledged))
}

fn outside_transaction(code: ErrorCode) -> Refusal {
    match code {
        ErrorCode::InvalidTxnState | ErrorCode::TransactionAbortable => {
            Refusal::new(code, "Partition was not added to the transaction")
        }
        code => code.into(),
    }
}

/// Asks the transaction coordinator about the first batch of a transaction in this partition
/// (KIP-890); once it is open in the log, no more. Returns whether a batch is a later one than the
/// first and has overtaken it, which the log is not to take (KAFKA-18202).
fn admit_transaction(
    world: &mut World,
    cx: &Context,
    transactional_id: &str,
    key: TopicKey<'_>,
    index: i32,
    stamp: ProducerStamp,
) -> Result<bool, ErrorCode> {
    let topic = world.catalog.topic(key)?;
    let producers = topic.partition(index)?.led_by(cx.node)?.producers();
    cx.item(&topic.name, index)?;
    if producers.has_open_transaction(stamp) {
        return Ok(false);
    }
    let is_later = stamp.base_sequence != 0 && !producers.knows(stamp.producer_id);
    let partition = (topic.name.clone(), index);
    let producer = Producer { id: stamp.producer_id, epoch: stamp.producer_epoch };
    world.transactions.admit_records(cx.version, transactional_id, producer, partition, cx.now)?;
    Ok(is_later && cx.version >= FIRST_PRODUCE_THAT_ADDS)
}

/// An append, and what its partition was like after it.
struct Done {
    appended: Appended,
    log_start: i64,
    epoch: i32,
    /// Whether a follower is still to pull it.
    lagging: bool,
}

fn append_to(
    partition: &mut Partition,
    batch: &Incoming,
    around: Surroundings<'_>,
) -> Result<Done, Refusal> {
    let appended = partition.append(batch, around)?;
    let log_start = partition.leader_log().map_or(-1, Log::start);
    let (epoch, lagging) = (partition.epoch(), partition.has_laggards());
    Ok(Done { appended, log_start, epoch, lagging })
}

/// The batch as the topic wants it, after the checks that need the topic.
fn admitted(row: &CheckedPartition, topic: &TopicSettings, now: Now) -> Result<Incoming, Refusal> {
    let Carried { header, len, .. } = &row.carried;
    header.as_ref().map_or(Ok(()), check_base)?;
    check_size(*len, topic.max_message_bytes)?;
    let batch = row.judged().map_err(Refusal::clone)?;
    Ok(batch.stamped(topic.append_time(now)))
}

fn check_size(size: usize, limit: usize) -> Result<(), Refusal> {
    if size <= limit {
        return Ok(());
    }
    let reason = format!("the batch has {size} bytes, max.message.bytes is {limit}");
    Err(Refusal::new(ErrorCode::MessageTooLarge, reason))
}

fn refused(index: i32, refusal: Refusal) -> PartitionProduceResponse {
    let errors = refusal.records.into_iter().map(|(batch_index, why)| BatchIndexAndErrorMessage {
        batch_index,
        batch_index_error_message: Some(why.into()),
        ..BatchIndexAndErrorMessage::default()
    });
    PartitionProduceResponse {
        index,
        error_code: refusal.code.code(),
        base_offset: -1,
        record_errors: errors.collect(),
        error_message: refusal.message.map(Into::into),
        ..PartitionProduceResponse::default()
    }
}

impl AckWait {
    fn add_topic(&mut self, topic: &CheckedTopic, rows: Vec<Row>) {
        let mut partition_responses = Vec::with_capacity(rows.len());
        for (row, unacknowledged) in rows {
            let at = (self.response.responses.len(), partition_responses.len());
            if let Some(append) = unacknowledged {
                self.acknowledgements.push(at, append);
            }
            partition_responses.push(row);
        }
        let (name, topic_id) = (topic.name.clone(), topic.id);
        self.response.responses.push(TopicProduceResponse {
            name,
            topic_id,
            partition_responses,
            ..TopicProduceResponse::default()
        });
    }

    fn rows(&mut self) -> impl Iterator<Item = &mut PartitionProduceResponse> {
        self.response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses)
    }

    fn has_errors(&mut self) -> bool {
        self.rows().any(|row| row.error_code != 0)
    }

    /// Answers if every row is settled, and waits on if not.
    fn settle(mut self, world: &mut World, cx: &Context, why: Why) -> Flow {
        for (at, code) in self.acknowledgements.settle(world, cx, why) {
            self.fail(at, code);
        }
        if self.acknowledgements.is_empty() {
            return self.answer(world, cx);
        }
        let (keys, until) = (self.acknowledgements.keys(), self.acknowledgements.until);
        world.park(&keys, Some(until), Resume::Acks(self))
    }

    /// Kafka tells where the records went all the same: they are in the leader's log.
    fn fail(&mut self, (topic, row): (usize, usize), code: ErrorCode) {
        let rows = self.response.responses.get_mut(topic).map(|t| &mut t.partition_responses);
        if let Some(row) = rows.and_then(|rows| rows.get_mut(row)) {
            row.error_code = code.code();
        }
    }

    fn answer(mut self, world: &World, cx: &Context) -> Flow {
        if cx.version >= 10 {
            self.name_leaders(world, cx);
        }
        self.response.into()
    }

    /// Who leads the partitions that are not led here (KIP-951).
    fn name_leaders(&mut self, world: &World, cx: &Context) {
        let mut leaders = BTreeSet::new();
        for topic in &mut self.response.responses {
            let key = TopicKey::of(&topic.name, topic.topic_id, cx.version >= 13);
            for row in &mut topic.partition_responses {
                let moved = row.error_code == ErrorCode::NotLeaderOrFollower.code();
                let leader = world.catalog.leader(key, row.index).filter(|_| moved);
                let Some((node, leader_epoch)) = leader else { continue };
                let leader_id = node.0;
                let current = LeaderIdAndEpoch { leader_id, leader_epoch, ..Default::default() };
                row.current_leader = Some(Box::new(current));
                leaders.insert(node);
            }
        }
        let nodes = world.catalog.live_nodes().filter(|node| leaders.contains(&node.id));
        self.response.node_endpoints = nodes.map(endpoint).collect();
    }
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
