//! Raw messages against the world: no runtime, no socket, time as the test has it.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a suite says what failed by panicking")]

mod faults;
mod fetch;
mod followers;
mod groups;
mod log;
mod malformed;
mod metadata;
mod offsets;
mod placement;
mod produce;
mod replicas;
mod settings;
mod topics;
mod transactions;
mod unpacking;
mod versions;

use std::time::Duration;

use bytes::Bytes;
use ottla_broker::world::catalog::Node;
use ottla_broker::world::config::Settings;
use ottla_broker::world::{Context, Flow, NodeId, Now, Parked, Prepared, Why, World};
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic, PartitionData};
use ottla_protocol::messages::produce::{
    PartitionProduceData, PartitionProduceResponse, TopicProduceData,
};
use ottla_protocol::messages::{FetchRequest, FetchResponse, ProduceRequest, ProduceResponse};
use ottla_protocol::records::{
    BatchBuilder, Batches, NewRecord, ProducerStamp, SealOptions, SealedBatch,
};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{AnyRequest, AnyResponse};

/// When every test begins, in milliseconds since 1970.
const START: i64 = 1_700_000_000_000;

/// A world with its time, and a client that asks the leader of partition 0 of topic `t`.
struct Test {
    world: World,
    now: Now,
}

impl Test {
    /// Three nodes, and a topic `t` with one partition on each, led by node 1.
    fn new() -> Self {
        let mut test = Self::without_topics(3, &[]);
        test.topic("t", &[]);
        test
    }

    fn without_topics(nodes: i32, configs: &[(&str, &str)]) -> Self {
        let mut settings = Settings::default();
        for (name, value) in configs {
            settings.give(name, value).unwrap();
        }
        let mut world = World::new(7, settings);
        for id in 1..=nodes {
            let host = format!("n{id}").into();
            world.add_node(Node { id: NodeId(id), host, port: 9092, rack: None });
        }
        Self { world, now: Now { mono: Duration::ZERO, wall_ms: START } }
    }

    fn topic(&mut self, name: &str, configs: &[(&str, &str)]) {
        let replicas = i16::try_from(self.world.catalog().alive().len()).unwrap();
        self.world.create_topic(name, 1, replicas, configs).unwrap();
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono += time;
        self.now.wall_ms += i64::try_from(time.as_millis()).unwrap();
        while self.world.next_deadline().is_some_and(|at| at <= self.now.mono) {
            self.world.tick(self.now);
        }
    }

    fn leader(&self, topic: &str) -> NodeId {
        let key = ottla_broker::world::catalog::TopicKey::Name(topic);
        self.world.catalog().leader(key, 0).unwrap().0
    }

    /// Sends to a node, and gives what becomes of it, once the records have been read that it is
    /// about.
    fn send(&mut self, node: i32, version: i16, request: impl Into<AnyRequest>) -> Flow {
        match self.begin(node, version, request) {
            Flow::Park(mut parked) => match parked.read_records() {
                true => self.resume(node, version, *parked, Why::Expired),
                false => Flow::Park(parked),
            },
            flow => flow,
        }
    }

    fn begin(&mut self, node: i32, version: i16, request: impl Into<AnyRequest>) -> Flow {
        let cx = Context::new(self.now, NodeId(node), version);
        let request = Prepared::new(request.into(), version, 0);
        self.world.handle(&cx, request)
    }

    fn resume(&mut self, node: i32, version: i16, parked: Parked, why: Why) -> Flow {
        let cx = Context::new(self.now, NodeId(node), version);
        self.world.resume(&cx, parked, why)
    }

    /// Sends to node 1, which answers at once.
    #[track_caller]
    fn ask<A: TryFromAny>(&mut self, version: i16, request: impl Into<AnyRequest>) -> A {
        reply(self.send(1, version, request))
    }

    fn produce(&mut self, acks: i16, records: RecordChunks) -> PartitionProduceResponse {
        let leader = self.leader("t").0;
        produced(self.send(leader, 9, produce_request("t", acks, records)))
    }

    fn fetch(&mut self, offset: i64) -> PartitionData {
        let leader = self.leader("t").0;
        fetched(self.send(leader, 12, fetch_request(offset)))
    }
}

/// An answer of a known kind.
trait TryFromAny: Sized {
    fn try_from_any(response: AnyResponse) -> Option<Self>;
}

macro_rules! answers {
    ($($api:ident $response:ident)*) => {
        $(impl TryFromAny for ottla_protocol::messages::$response {
            fn try_from_any(response: AnyResponse) -> Option<Self> {
                match response {
                    AnyResponse::$api(response) => Some(response),
                    _ => None,
                }
            }
        })*
    };
}

answers! {
    Produce ProduceResponse
    Fetch FetchResponse
    ListOffsets ListOffsetsResponse
    Metadata MetadataResponse
    FindCoordinator FindCoordinatorResponse
    ApiVersions ApiVersionsResponse
    OffsetCommit OffsetCommitResponse
    OffsetFetch OffsetFetchResponse
    JoinGroup JoinGroupResponse
    Heartbeat HeartbeatResponse
    CreateTopics CreateTopicsResponse
    DeleteTopics DeleteTopicsResponse
    DeleteRecords DeleteRecordsResponse
    InitProducerId InitProducerIdResponse
    OffsetForLeaderEpoch OffsetForLeaderEpochResponse
    DescribeConfigs DescribeConfigsResponse
    DescribeCluster DescribeClusterResponse
    CreatePartitions CreatePartitionsResponse
    IncrementalAlterConfigs IncrementalAlterConfigsResponse
    DescribeTopicPartitions DescribeTopicPartitionsResponse
    AddPartitionsToTxn AddPartitionsToTxnResponse
    AddOffsetsToTxn AddOffsetsToTxnResponse
    EndTxn EndTxnResponse
    TxnOffsetCommit TxnOffsetCommitResponse
    WriteTxnMarkers WriteTxnMarkersResponse
    DescribeProducers DescribeProducersResponse
    DescribeTransactions DescribeTransactionsResponse
    ListTransactions ListTransactionsResponse
}

#[track_caller]
fn reply<A: TryFromAny>(flow: Flow) -> A {
    match flow {
        Flow::Reply(reply) => A::try_from_any(reply.response).unwrap(),
        other => panic!("no reply but {other:?}"),
    }
}

#[track_caller]
fn parked(flow: Flow) -> Parked {
    match flow {
        Flow::Park(parked) => *parked,
        other => panic!("not parked but {other:?}"),
    }
}

#[track_caller]
fn produced(flow: Flow) -> PartitionProduceResponse {
    match flow {
        Flow::Reply(reply) => match reply.response {
            AnyResponse::Produce(ProduceResponse { mut responses, .. }) => {
                responses.remove(0).partition_responses.remove(0)
            }
            other => panic!("{other:?}"),
        },
        other => panic!("no reply but {other:?}"),
    }
}

#[track_caller]
fn fetched(flow: Flow) -> PartitionData {
    fetch_response(flow).responses.remove(0).partitions.remove(0)
}

#[track_caller]
fn fetch_response(flow: Flow) -> FetchResponse {
    reply(flow)
}

fn produce_request(topic: &str, acks: i16, records: RecordChunks) -> ProduceRequest {
    let partition = PartitionProduceData { records: Some(records), ..Default::default() };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

/// Answered at once, whatever is there.
fn fetch_request(offset: i64) -> FetchRequest {
    let partition =
        FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    FetchRequest { max_bytes: 1 << 20, topics: vec![topic], ..Default::default() }
}

/// Waits up to a second for a byte.
fn long_fetch(offset: i64) -> FetchRequest {
    FetchRequest { max_wait_ms: 1000, min_bytes: 1, ..fetch_request(offset) }
}

fn seal(records: &[(i64, &str)], options: &SealOptions) -> SealedBatch {
    let mut builder = BatchBuilder::new();
    for (timestamp, value) in records {
        builder.append(NewRecord::new(*timestamp, Some(b"k"), Some(value.as_bytes()))).unwrap();
    }
    builder.seal(options)
}

fn chunks(batch: SealedBatch) -> RecordChunks {
    RecordChunks::from(Bytes::from(batch.into_buffer()))
}

fn batch(values: &[&str]) -> RecordChunks {
    let records: Vec<_> = values.iter().map(|value| (START, *value)).collect();
    chunks(seal(&records, &SealOptions::default()))
}

fn timed(records: &[(i64, &str)]) -> RecordChunks {
    chunks(seal(records, &SealOptions::default()))
}

/// A batch of one record by an idempotent producer.
fn stamped(producer_id: i64, producer_epoch: i16, base_sequence: i32) -> RecordChunks {
    let producer = ProducerStamp { producer_id, producer_epoch, base_sequence };
    chunks(seal(&[(START, "v")], &SealOptions { producer, ..SealOptions::default() }))
}

/// Base offsets of the batches in a fetched row.
fn bases(row: &PartitionData) -> Vec<i64> {
    let bytes = row.records.clone().unwrap().into_bytes();
    let batches = Batches::new(bytes).map(|batch| match batch.unwrap() {
        ottla_protocol::records::Batch::V2(batch) => {
            batch.verify_crc().unwrap();
            batch.header().base_offset
        }
        ottla_protocol::records::Batch::Legacy(message) => panic!("{message:?}"),
    });
    batches.collect()
}
