//! Transactions: the coordinator, what it asks of logs and groups, and what consumers see.

mod coordinators;
mod ends;
mod epochs;
mod inspection;
mod markers;
mod members;
mod offsets;
mod records;
mod sweep;
mod timeouts;

use std::collections::BTreeMap;

use ottla_broker::partition::Partition;
use ottla_broker::world::catalog::{CoordinatorType, TopicKey};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::add_partitions_to_txn::AddPartitionsToTxnTopic;
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse, AddPartitionsToTxnRequest,
    AddPartitionsToTxnResponse, EndTxnRequest, EndTxnResponse, InitProducerIdRequest,
    InitProducerIdResponse, TxnOffsetCommitRequest, TxnOffsetCommitResponse,
};
use ottla_protocol::records::BatchDecoder;

use super::*;

/// What a transactional producer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Protocol {
    /// It adds partitions before it writes to them, and keeps its epoch.
    One,
    /// It writes, and gets a new epoch with each end (KIP-890).
    Two,
}

const BOTH: [Protocol; 2] = [Protocol::One, Protocol::Two];

/// A producer that does what it is told and remembers what it must.
#[derive(Debug, Clone)]
struct Producer {
    name: &'static str,
    protocol: Protocol,
    id: i64,
    epoch: i16,
    /// The next sequence of each topic's partition 0.
    sequences: BTreeMap<&'static str, i32>,
}

impl Test {
    /// Topics `t` and `u` with a partition each, led by nodes 1 and 2 of three.
    fn with_topics() -> Self {
        let mut test = Self::new();
        test.topic("u", &[]);
        assert_eq!((test.leader("t"), test.leader("u")), (NodeId(1), NodeId(2)));
        test
    }

    fn coordinator(&self, name: &str) -> i32 {
        self.world.catalog().coordinator(CoordinatorType::Transaction, name).unwrap().id.0
    }

    fn group_coordinator(&self) -> i32 {
        self.world.catalog().coordinator(CoordinatorType::Group, "g").unwrap().id.0
    }

    #[track_caller]
    fn state(&self, name: &str) -> &'static str {
        self.world.transaction(name).unwrap().state
    }

    /// Asks the coordinator of `name`.
    #[track_caller]
    fn ask_coordinator<A: TryFromAny>(
        &mut self,
        name: &str,
        version: i16,
        request: impl Into<AnyRequest>,
    ) -> A {
        let node = self.coordinator(name);
        reply(self.send(node, version, request))
    }

    /// `InitProducerId` in version 5 with a minute's time.
    fn init(&mut self, name: &str, expected: Option<(i64, i16)>) -> Result<(i64, i16), ErrorCode> {
        self.init_in(5, name, expected)
    }

    fn init_in(
        &mut self,
        version: i16,
        name: &str,
        expected: Option<(i64, i16)>,
    ) -> Result<(i64, i16), ErrorCode> {
        let (producer_id, producer_epoch) = expected.unwrap_or((-1, -1));
        let request = InitProducerIdRequest {
            transactional_id: Some(name.into()),
            transaction_timeout_ms: 60_000,
            producer_id,
            producer_epoch,
            ..Default::default()
        };
        let response: InitProducerIdResponse = self.ask_coordinator(name, version, request);
        outcome(response.error_code).map(|()| (response.producer_id, response.producer_epoch))
    }

    fn partition(&self, topic: &str) -> &Partition {
        self.world.catalog().topic(TopicKey::Name(topic)).unwrap().partition(0).unwrap()
    }

    /// The values that a consumer with `read_committed` gets, one character each.
    fn visible(&self, topic: &str) -> String {
        values(self.partition(topic).read_committed())
    }

    /// The values of every batch of data in the leader's log.
    fn written(&self, topic: &str) -> String {
        let log = self.partition(topic).leader_log().unwrap();
        values(log.batches().filter(|batch| !batch.header().attributes.is_control()))
    }

    /// The offset that group `g` has committed for topic `t`, or why it is not told.
    fn committed(&mut self, require_stable: bool) -> Result<i64, ErrorCode> {
        use ottla_protocol::messages::offset_fetch::OffsetFetchRequestTopic;
        use ottla_protocol::messages::{OffsetFetchRequest, OffsetFetchResponse};
        let topic = OffsetFetchRequestTopic {
            name: "t".into(),
            partition_indexes: vec![0].into(),
            ..Default::default()
        };
        let request = OffsetFetchRequest {
            group_id: "g".into(),
            topics: Some(vec![topic]),
            require_stable,
            ..Default::default()
        };
        let node = self.group_coordinator();
        let response: OffsetFetchResponse = reply(self.send(node, 7, request));
        let row = &response.topics[0].partitions[0];
        outcome(row.error_code).map(|()| row.committed_offset)
    }
}

impl Producer {
    #[track_caller]
    fn new(test: &mut Test, name: &'static str, protocol: Protocol) -> Self {
        let (id, epoch) = test.init(name, None).unwrap();
        Self { name, protocol, id, epoch, sequences: BTreeMap::new() }
    }

    /// Begins anew as whoever the coordinator now says it is.
    fn become_producer(&mut self, (id, epoch): (i64, i16)) {
        if (id, epoch) != (self.id, self.epoch) {
            self.sequences.clear();
        }
        (self.id, self.epoch) = (id, epoch);
    }

    /// `AddPartitionsToTxn` in version 3.
    fn add(&self, test: &mut Test, topics: &[&str]) -> Vec<ErrorCode> {
        self.add_in(test, 3, topics)
    }

    fn add_in(&self, test: &mut Test, version: i16, topics: &[&str]) -> Vec<ErrorCode> {
        let topics = topics.iter().map(|name| AddPartitionsToTxnTopic {
            name: (*name).into(),
            partitions: vec![0].into(),
            ..Default::default()
        });
        let request = AddPartitionsToTxnRequest {
            v3_and_below_transactional_id: self.name.into(),
            v3_and_below_producer_id: self.id,
            v3_and_below_producer_epoch: self.epoch,
            v3_and_below_topics: topics.collect(),
            ..Default::default()
        };
        let response: AddPartitionsToTxnResponse =
            test.ask_coordinator(self.name, version, request);
        let rows = response.results_by_topic_v3_and_below.iter();
        rows.map(|topic| error(topic.results_by_partition[0].partition_error_code)).collect()
    }

    /// Writes a record to the leader of a topic, as a part of its transaction.
    fn write(
        &mut self,
        test: &mut Test,
        topic: &'static str,
        value: &str,
    ) -> Result<(), ErrorCode> {
        if self.protocol == Protocol::One {
            outcome(self.add(test, &[topic])[0].code())?;
        }
        let version = if self.protocol == Protocol::One { 11 } else { 12 };
        self.produce(test, version, topic, value)
    }

    /// The `Produce` request alone.
    fn produce(
        &mut self,
        test: &mut Test,
        version: i16,
        topic: &'static str,
        value: &str,
    ) -> Result<(), ErrorCode> {
        let sequence = self.sequences.get(topic).copied().unwrap_or(0);
        let request = ProduceRequest {
            transactional_id: Some(self.name.into()),
            ..produce_request(topic, -1, self.batch(sequence, value))
        };
        let leader = test.leader(topic).0;
        let row = match test.send(leader, version, request) {
            Flow::Reply(reply) => produced(Flow::Reply(reply)),
            // It is in the leader's log, and nobody pulls it.
            Flow::Park(_) => return Err(ErrorCode::RequestTimedOut),
            other => panic!("{other:?}"),
        };
        outcome(row.error_code)?;
        self.sequences.insert(topic, sequence + 1);
        Ok(())
    }

    fn batch(&self, base_sequence: i32, value: &str) -> RecordChunks {
        let producer =
            ProducerStamp { producer_id: self.id, producer_epoch: self.epoch, base_sequence };
        let options = SealOptions { producer, transactional: true, ..SealOptions::default() };
        chunks(seal(&[(START, value)], &options))
    }

    fn add_offsets(&self, test: &mut Test) -> ErrorCode {
        let request = AddOffsetsToTxnRequest {
            transactional_id: self.name.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            group_id: "g".into(),
            ..Default::default()
        };
        let response: AddOffsetsToTxnResponse = test.ask_coordinator(self.name, 3, request);
        error(response.error_code)
    }

    /// Commits an offset of topic `t` for group `g`, as a part of its transaction.
    fn commit_offset(&self, test: &mut Test, offset: i64) -> ErrorCode {
        match self.protocol {
            Protocol::One => match self.add_offsets(test) {
                ErrorCode::None => self.commit_offset_in(test, 3, offset),
                error => error,
            },
            Protocol::Two => self.commit_offset_in(test, 5, offset),
        }
    }

    fn commit_offset_in(&self, test: &mut Test, version: i16, offset: i64) -> ErrorCode {
        let partitions = vec![TxnOffsetCommitRequestPartition {
            committed_offset: offset,
            ..Default::default()
        }];
        let topic =
            TxnOffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() };
        let request = TxnOffsetCommitRequest {
            transactional_id: self.name.into(),
            group_id: "g".into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            topics: vec![topic],
            ..Default::default()
        };
        let node = test.group_coordinator();
        let response: TxnOffsetCommitResponse = reply(test.send(node, version, request));
        error(response.topics[0].partitions[0].error_code)
    }

    fn commit(&mut self, test: &mut Test) -> Result<(), ErrorCode> {
        self.end(test, true)
    }

    fn abort(&mut self, test: &mut Test) -> Result<(), ErrorCode> {
        self.end(test, false)
    }

    fn end(&mut self, test: &mut Test, committed: bool) -> Result<(), ErrorCode> {
        let next = self.ask_end(test, committed)?;
        if self.protocol == Protocol::Two {
            self.become_producer(next);
        }
        Ok(())
    }

    /// `EndTxn`, with the producer that the answer names; it itself stays who it is.
    fn ask_end(&self, test: &mut Test, committed: bool) -> Result<(i64, i16), ErrorCode> {
        let version = if self.protocol == Protocol::One { 4 } else { 5 };
        self.ask_end_in(test, version, committed)
    }

    fn ask_end_in(
        &self,
        test: &mut Test,
        version: i16,
        committed: bool,
    ) -> Result<(i64, i16), ErrorCode> {
        let request = EndTxnRequest {
            transactional_id: self.name.into(),
            producer_id: self.id,
            producer_epoch: self.epoch,
            committed,
            ..Default::default()
        };
        let response: EndTxnResponse = test.ask_coordinator(self.name, version, request);
        outcome(response.error_code).map(|()| (response.producer_id, response.producer_epoch))
    }
}

fn values<'a>(batches: impl Iterator<Item = &'a ottla_broker::log::batch::Batch>) -> String {
    let mut decoder = BatchDecoder::new(1 << 20);
    let mut all = String::new();
    for batch in batches {
        let whole = batch.to_record_batch().unwrap();
        for record in decoder.records(&whole).unwrap() {
            all += std::str::from_utf8(record.unwrap().value.unwrap()).unwrap();
        }
    }
    all
}

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code)
}

fn outcome(code: i16) -> Result<(), ErrorCode> {
    if code == 0 { Ok(()) } else { Err(error(code)) }
}
