//! Two brokers, one topic with two partitions, and a fetcher: no clock, no socket.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::cluster::{ClusterSnapshot, PartitionInfo, TopicInfo};
use ottla_core::config::ClientConfig;
use ottla_core::types::{LeaderEpoch, NodeId, TopicPartition};
use ottla_protocol::messages::fetch::{FetchableTopicResponse, NodeEndpoint, PartitionData};
use ottla_protocol::messages::{FetchRequest, FetchResponse};
use ottla_protocol::records::{BatchBuilder, NewRecord, SealOptions};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{ErrorCode, Message, Uuid};

use super::super::*;
use crate::config::ConsumerConfig;
use crate::machine::Position;

pub(super) const VERSION: i16 = 17;

/// What a partition really is.
#[derive(Debug, Clone)]
pub(super) struct Log {
    pub(super) leader: i32,
    pub(super) epoch: i32,
    pub(super) start: i64,
    /// The epoch of each record, from offset 0 on.
    pub(super) epochs: Vec<i32>,
    /// The records that no application sees.
    pub(super) markers: BTreeSet<i64>,
}

impl Log {
    pub(super) fn end(&self) -> i64 {
        i64::try_from(self.epochs.len()).unwrap()
    }
}

#[derive(Debug, Default)]
struct Server {
    id: i32,
    epoch: i32,
    known: BTreeMap<i32, i64>,
}

#[derive(Debug)]
pub(super) struct World {
    pub(super) fetcher: Fetcher,
    pub(super) now: Instant,
    pub(super) logs: Vec<Log>,
    servers: BTreeMap<NodeId, Server>,
    /// Answers on their way.
    pub(super) answers: BTreeMap<NodeId, (u64, FetchResponse)>,
    pub(super) requests: Vec<(NodeId, FetchRequest)>,
    /// What leaders are being asked.
    lookups: VecDeque<Lookup>,
    pub(super) topic_id: u128,
    /// Of the last snapshot.
    version: u64,
}

/// A number as an index.
fn index(number: impl TryInto<usize>) -> usize {
    number.try_into().unwrap_or(0)
}

pub(super) fn node(id: i32) -> NodeId {
    NodeId::from_wire(id).unwrap()
}

pub(super) fn name(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

#[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other")]
fn any_instant() -> Instant {
    Instant::now()
}

impl World {
    pub(super) fn new(change: impl FnOnce(&mut ConsumerConfig)) -> Self {
        let mut consumer = ConsumerConfig::default();
        change(&mut consumer);
        let config = FetchConfig::new(&ClientConfig::default(), &consumer);
        let log = |leader| Log {
            leader,
            epoch: 1,
            start: 0,
            epochs: Vec::new(),
            markers: BTreeSet::new(),
        };
        let mut world = Self {
            fetcher: Fetcher::new(config, 7),
            now: any_instant(),
            logs: vec![log(1), log(2)],
            servers: BTreeMap::new(),
            answers: BTreeMap::new(),
            requests: Vec::new(),
            lookups: VecDeque::new(),
            topic_id: 9,
            version: 0,
        };
        for partition in 0..2 {
            world.fetcher.add(name(partition));
        }
        world.refresh();
        world
    }

    /// A world whose partitions are read from offset 0 on.
    pub(super) fn begun(change: impl FnOnce(&mut ConsumerConfig)) -> Self {
        let mut world = Self::new(change);
        for partition in 0..2 {
            let (slot, now) = (world.slot(partition), world.now);
            world.fetcher.begin(slot, Some(Position::at(0)), now);
        }
        world
    }

    pub(super) fn slot(&self, partition: i32) -> Slot {
        self.fetcher.slot("t", partition).unwrap()
    }

    pub(super) fn log(&mut self, partition: i32) -> &mut Log {
        &mut self.logs[index(partition)]
    }

    pub(super) fn append(&mut self, partition: i32, count: usize) {
        let log = self.log(partition);
        let (len, epoch) = (log.epochs.len() + count, log.epoch);
        log.epochs.resize(len, epoch);
    }

    /// Ends a transaction.
    pub(super) fn mark(&mut self, partition: i32) {
        let log = self.log(partition);
        let end = log.end();
        log.markers.insert(end);
        self.append(partition, 1);
    }

    /// Makes another broker the leader, whose log may be shorter.
    pub(super) fn elect(&mut self, partition: i32, leader: i32, end: i64) {
        let log = self.log(partition);
        log.leader = leader;
        log.epoch += 1;
        log.epochs.truncate(usize::try_from(end).unwrap_or(0));
        log.markers.retain(|at| *at < end);
    }

    /// Lets the fetcher see who leads.
    pub(super) fn refresh(&mut self) {
        let snapshot = self.snapshot();
        self.show(&snapshot);
    }

    pub(super) fn show(&mut self, snapshot: &ClusterSnapshot) {
        self.fetcher.handle_snapshot(snapshot, self.now);
    }

    /// Who leads now.
    pub(super) fn snapshot(&mut self) -> ClusterSnapshot {
        let partition = |log: &Log| PartitionInfo {
            leader: NodeId::from_wire(log.leader),
            leader_epoch: LeaderEpoch::from_wire(log.epoch),
            ..PartitionInfo::default()
        };
        let topic = TopicInfo {
            name: "t".into(),
            id: Some(Uuid::from(self.topic_id)),
            error: None,
            internal: false,
            partitions: self.logs.iter().map(partition).collect(),
        };
        let topics = BTreeMap::from([("t".into(), Arc::new(topic))]);
        self.version += 1;
        ClusterSnapshot { version: self.version, topics, ..ClusterSnapshot::default() }
    }

    pub(super) fn wait(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
        self.fetcher.handle_timeout(self.now);
    }

    /// Sends a fetch to a broker, if there is one to send; its answer is on its way.
    pub(super) fn send(&mut self, to: i32) -> Option<FetchRequest> {
        let to = node(to);
        let wording = Wording::of(VERSION);
        let (token, request) = self.fetcher.poll_fetch(to, Lane::Session, wording, self.now)?;
        let response = self.serve(to, &request);
        self.answers.insert(to, (token, response));
        self.requests.push((to, request.clone()));
        Some(request)
    }

    /// Sends a fetch to a broker, if there is one to send, and lets its answer arrive.
    pub(super) fn fetch(&mut self, from: i32) {
        self.send(from);
        self.receive(from);
    }

    /// As [`send`](Self::send), for those that have come since that request left.
    pub(super) fn send_late(&mut self, to: i32) -> Option<(u64, FetchRequest)> {
        self.fetcher.poll_fetch(node(to), Lane::Late, Wording::of(VERSION), self.now)
    }

    /// Lets the answer to such a request arrive.
    pub(super) fn receive_late(&mut self, from: i32, (token, request): (u64, FetchRequest)) {
        assert_eq!((request.session_id, request.session_epoch), (0, -1));
        let asked = request.topics.iter().flat_map(|topic| &topic.partitions);
        let asked: Vec<_> = asked.map(|want| (want.partition, want.fetch_offset)).collect();
        let rows = asked.into_iter().filter_map(|(p, at)| self.row(node(from), p, at)).collect();
        let response = self.response(0, rows);
        self.bring(from, token, &response);
    }

    /// Lets the answer of a broker arrive.
    pub(super) fn receive(&mut self, from: i32) -> bool {
        let Some((token, response)) = self.answers.remove(&node(from)) else { return false };
        self.bring(from, token, &response);
        true
    }

    fn bring(&mut self, from: i32, token: u64, response: &FetchResponse) {
        let body = response.encode(VERSION).unwrap().into_bytes();
        let level = self.fetcher.config.isolation;
        let answer =
            FetchAnswer::read(&body, VERSION, level, &mut ControlReader::default()).unwrap();
        self.fetcher.handle_fetched(node(from), token, answer, self.now);
    }

    /// Loses the connection to a broker, with the answer on it.
    pub(super) fn lose(&mut self, from: i32) {
        if let Some((token, _)) = self.answers.remove(&node(from)) {
            self.fetcher.handle_fetch_failure(node(from), token, self.now);
        }
        self.fetcher.handle_disconnected(node(from), Lane::Session, self.now);
    }

    /// Loses the sessions that a broker keeps.
    pub(super) fn forget_sessions(&mut self, of: i32) {
        self.servers.remove(&node(of));
    }

    /// Asks leaders what they are to be asked, and brings all their answers.
    pub(super) fn look_up(&mut self) -> usize {
        let count = self.ask();
        while self.answer() {}
        count
    }

    /// Asks leaders what they are to be asked; their answers are on their way.
    pub(super) fn ask(&mut self) -> usize {
        let lookups = self.fetcher.poll_lookups(1_000);
        let count = lookups.len();
        self.lookups.extend(lookups);
        count
    }

    /// Lets the oldest answer of a leader arrive.
    pub(super) fn answer(&mut self) -> bool {
        let Some(lookup) = self.lookups.pop_front() else { return false };
        for item in &lookup.items {
            self.look_up_item(&lookup, item);
        }
        true
    }

    /// Loses it.
    pub(super) fn lose_answer(&mut self) {
        if let Some(lookup) = self.lookups.pop_front() {
            self.fetcher.handle_lookup_failure(&lookup, self.now);
        }
    }

    fn look_up_item(&mut self, lookup: &Lookup, item: &LookupItem) {
        let request = Lookup { items: vec![item.clone()], ..lookup.clone() };
        let now = self.now;
        match lookup.kind {
            LookupKind::Offsets => {
                let asked = request.list_offsets(self.fetcher.config.isolation);
                let asked = &asked.topics[0].partitions[0];
                let log = self.logs[index(asked.partition_index)].clone();
                let found = if NodeId::from_wire(log.leader) != Some(lookup.node) {
                    Err(ErrorCode::NotLeaderOrFollower)
                } else if asked.timestamp == -2 {
                    Ok(Some(Position::at(log.start)))
                } else {
                    Ok(Some(Position::at(log.end())))
                };
                self.fetcher.handle_offset(item, found, now);
            }
            LookupKind::Epochs => {
                let asked = request.offset_for_leader_epoch();
                let asked = &asked.topics[0].partitions[0];
                let log = self.logs[index(asked.partition)].clone();
                let read = log.epochs.iter().take_while(|epoch| **epoch <= asked.leader_epoch);
                let offset = if asked.leader_epoch == log.epoch {
                    log.end()
                } else {
                    i64::try_from(read.count()).unwrap()
                };
                let before = index(offset).checked_sub(1);
                let epoch = before.map(|last| log.epochs[last]);
                let end = if NodeId::from_wire(log.leader) != Some(lookup.node) {
                    Err(ErrorCode::NotLeaderOrFollower)
                } else {
                    let leader_epoch = LeaderEpoch::from_wire(epoch.unwrap_or(asked.leader_epoch));
                    Ok(Some(Position { offset, leader_epoch }))
                };
                self.fetcher.handle_epoch_end(item, end, now);
            }
        }
    }

    fn serve(&mut self, at: NodeId, request: &FetchRequest) -> FetchResponse {
        let server = self.servers.entry(at).or_default();
        if request.session_epoch > 0 {
            if request.session_id != server.id || server.id == 0 {
                let error_code = ErrorCode::FetchSessionIdNotFound.code();
                return FetchResponse { error_code, ..FetchResponse::default() };
            }
            assert_eq!(request.session_epoch, server.epoch, "the session's epoch is out of step");
        } else {
            *server = Server { id: server.id + 100, epoch: 0, known: BTreeMap::new() };
        }
        server.epoch += 1;
        for partition in request.forgotten_topics_data.iter().flat_map(|t| &t.partitions) {
            assert!(server.known.remove(partition).is_some(), "forgets what it never asked for");
        }
        for partition in request.topics.iter().flat_map(|topic| &topic.partitions) {
            server.known.insert(partition.partition, partition.fetch_offset);
        }
        let (known, session_id) = (server.known.clone(), server.id);
        let rows = known.into_iter().filter_map(|(p, offset)| self.row(at, p, offset)).collect();
        self.response(session_id, rows)
    }

    fn response(&self, session_id: i32, rows: Vec<PartitionData>) -> FetchResponse {
        let topic = FetchableTopicResponse {
            topic_id: Uuid::from(self.topic_id),
            partitions: rows,
            ..FetchableTopicResponse::default()
        };
        FetchResponse {
            session_id,
            responses: vec![topic],
            node_endpoints: Vec::<NodeEndpoint>::new(),
            ..FetchResponse::default()
        }
    }

    /// What one partition brings: three batches of one record at most.
    fn row(&self, at: NodeId, partition_index: i32, offset: i64) -> Option<PartitionData> {
        let log = &self.logs[index(partition_index)];
        let error = |code: ErrorCode| PartitionData {
            partition_index,
            error_code: code.code(),
            high_watermark: -1,
            ..PartitionData::default()
        };
        if NodeId::from_wire(log.leader) != Some(at) {
            return Some(error(ErrorCode::NotLeaderOrFollower));
        }
        if !(log.start..=log.end()).contains(&offset) {
            return Some(error(ErrorCode::OffsetOutOfRange));
        }
        let until = log.end().min(offset + 3);
        let batches = (offset..until).map(|at| {
            let control = log.markers.contains(&at);
            batch(at, log.epochs[index(at)], control)
        });
        (offset < until).then(|| PartitionData {
            partition_index,
            high_watermark: log.end(),
            last_stable_offset: log.end(),
            log_start_offset: log.start,
            records: Some(RecordChunks::from_iter(batches)),
            ..PartitionData::default()
        })
    }
}

/// A batch of one record, of a hundred bytes or so.
fn batch(base_offset: i64, partition_leader_epoch: i32, control: bool) -> bytes::Bytes {
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord::new(0, None, Some(&[7; 30]))).unwrap();
    let options =
        SealOptions { base_offset, partition_leader_epoch, control, ..SealOptions::default() };
    builder.seal(&options).freeze().bytes().clone()
}
