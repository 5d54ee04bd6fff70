//! Writes the seeds of `broker` and `fetch_view`: `cargo run --example seeds`, in this folder.
//!
//! The scripts are made by talking to the cluster that they will be played to, because what comes
//! later in them names members, producers and sessions that came of what was before.

use std::fs;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use ottla_broker::world::NodeId;
use ottla_fuzz::{Bed, Step};
use ottla_protocol::frames::encode_request;
use ottla_protocol::messages::add_partitions_to_txn::AddPartitionsToTxnTopic;
use ottla_protocol::messages::create_topics::CreatableTopic;
use ottla_protocol::messages::fetch::{
    AbortedTransaction, FetchPartition, FetchTopic, FetchableTopicResponse, PartitionData,
};
use ottla_protocol::messages::join_group::JoinGroupRequestProtocol;
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::sync_group::SyncGroupRequestAssignment;
use ottla_protocol::messages::*;
use ottla_protocol::records::{BatchBuilder, NewRecord, ProducerStamp, SealOptions};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{AnyResponse, Message, Request};

fn main() {
    let seeds: [(&str, fn() -> Script); 7] = [
        ("records", records),
        ("waiting", waiting),
        ("sessions", sessions),
        ("groups", groups),
        ("transactions", transactions),
        ("topics", topics),
        ("failover", failover),
    ];
    for (name, script) in seeds {
        write("broker", name, &script().bytes);
    }
    for version in FetchResponse::VERSIONS.iter() {
        let body = fetched(version).encode(version).expect("it can be written").into_bytes();
        let version = u8::try_from(version).expect("it is small");
        write("fetch_view", &version.to_string(), &[&[version], &*body].concat());
    }
}

fn write(target: &str, name: &str, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
    fs::create_dir_all(&folder).expect("the folder can be made");
    fs::write(folder.join(name), bytes).expect("the seed can be written");
}

/// A script, and the cluster it has been played to so far.
#[derive(Default)]
struct Script {
    bytes: Vec<u8>,
    bed: Bed,
}

impl Script {
    fn step(&mut self, step: Step) -> Option<AnyResponse> {
        step.write(&mut self.bytes);
        self.bed.act(step).pop()
    }

    fn send<R: Request>(&mut self, node: i32, version: i16, request: &R) -> Option<AnyResponse> {
        let frame = encode_request(request, version, 7, Some("fuzz")).expect("it can be written");
        let frame = frame.into_bytes().slice(4..);
        self.step(Step::Send(NodeId(node), frame))
    }

    fn pass(&mut self, exponent: u32) {
        self.step(Step::Pass(Duration::from_millis(1 << exponent)));
    }
}

fn records() -> Script {
    let mut script = Script::default();
    for (version, acks) in [(3, 0), (7, 1), (9, -1), (12, -1)] {
        script.send(1, version, &produce("t", acks, batch(ProducerStamp::NONE, false)));
    }
    let idempotent = ProducerStamp { producer_id: 5, producer_epoch: 0, base_sequence: 0 };
    for topic in ["t", "compacted", "stamped"] {
        for node in 1..=3 {
            script.send(node, 9, &produce(topic, -1, batch(idempotent, false)));
        }
    }
    for timestamp in [-1, -2, -3, 1_700_000_000_000] {
        let partition = ListOffsetsPartition { timestamp, ..Default::default() };
        let topics = vec![ListOffsetsTopic {
            name: "t".into(),
            partitions: vec![partition],
            ..Default::default()
        }];
        script.send(1, 7, &ListOffsetsRequest { replica_id: -1, topics, ..Default::default() });
    }
    for node in 1..=3 {
        script.send(node, 12, &fetch(0, 0));
    }
    script
}

fn waiting() -> Script {
    let mut script = Script::default();
    script.send(1, 12, &fetch(0, 500));
    script.send(2, 12, &fetch(0, 500));
    script.send(1, 9, &produce("t", -1, batch(ProducerStamp::NONE, false)));
    script.send(1, 12, &fetch(3, 500));
    script.pass(9);
    script
}

fn sessions() -> Script {
    let mut script = Script::default();
    let full = FetchRequest { session_epoch: 0, ..fetch(0, 0) };
    let Some(AnyResponse::Fetch(answer)) = script.send(1, 12, &full) else { return script };
    for session_epoch in 1..4 {
        let (session_id, topics) = (answer.session_id, Vec::new());
        script.send(1, 9, &produce("t", -1, batch(ProducerStamp::NONE, false)));
        script.send(1, 12, &FetchRequest { session_id, session_epoch, topics, ..fetch(0, 0) });
    }
    script
}

fn groups() -> Script {
    let mut script = Script::default();
    let protocol = JoinGroupRequestProtocol {
        name: "range".into(),
        metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"),
        ..Default::default()
    };
    let join = JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 10_000,
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    };
    let mut coordinator = 1;
    let mut member_id = ottla_protocol::ByteString::new();
    for node in 1..=3 {
        if let Some(AnyResponse::JoinGroup(answer)) = script.send(node, 9, &join)
            && !answer.member_id.is_empty()
        {
            (coordinator, member_id) = (node, answer.member_id);
        }
    }
    let again = JoinGroupRequest { member_id: member_id.clone(), ..join };
    script.send(coordinator, 9, &again);
    let assignment = SyncGroupRequestAssignment {
        member_id: member_id.clone(),
        assignment: Bytes::from_static(b"\0\0\0\0\0\0\xff\xff\xff\xff"),
        ..Default::default()
    };
    let sync = SyncGroupRequest {
        group_id: "g".into(),
        generation_id: 1,
        member_id: member_id.clone(),
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        assignments: vec![assignment],
        ..Default::default()
    };
    script.send(coordinator, 5, &sync);
    let (group_id, generation_id) = ("g".into(), 1);
    let heartbeat = HeartbeatRequest {
        group_id,
        generation_id,
        member_id: member_id.clone(),
        ..Default::default()
    };
    script.send(coordinator, 4, &heartbeat);
    let partition = OffsetCommitRequestPartition { committed_offset: 3, ..Default::default() };
    let topic = OffsetCommitRequestTopic {
        name: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let commit = OffsetCommitRequest {
        group_id: "g".into(),
        generation_id_or_member_epoch: 1,
        member_id,
        topics: vec![topic],
        ..Default::default()
    };
    script.send(coordinator, 9, &commit);
    script.send(coordinator, 5, &ListGroupsRequest::default());
    let groups = vec!["g".into()];
    script.send(coordinator, 5, &DescribeGroupsRequest { groups, ..Default::default() });
    script.pass(15);
    script
}

fn transactions() -> Script {
    let mut script = Script::default();
    let init = InitProducerIdRequest {
        transactional_id: Some("x".into()),
        transaction_timeout_ms: 10_000,
        ..Default::default()
    };
    let (mut coordinator, mut producer) = (1, (0, 0));
    for node in 1..=3 {
        if let Some(AnyResponse::InitProducerId(answer)) = script.send(node, 4, &init)
            && answer.error_code == 0
        {
            (coordinator, producer) = (node, (answer.producer_id, answer.producer_epoch));
        }
    }
    let (producer_id, producer_epoch) = producer;
    let topic = AddPartitionsToTxnTopic {
        name: "t".into(),
        partitions: [0].into_iter().collect(),
        ..Default::default()
    };
    let add = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: "x".into(),
        v3_and_below_producer_id: producer_id,
        v3_and_below_producer_epoch: producer_epoch,
        v3_and_below_topics: vec![topic],
        ..Default::default()
    };
    let stamp = |base_sequence| ProducerStamp { producer_id, producer_epoch, base_sequence };
    for (committed, sequence) in [(true, 0), (false, 3)] {
        script.send(coordinator, 3, &add);
        for node in 1..=3 {
            let request = ProduceRequest {
                transactional_id: Some("x".into()),
                ..produce("t", -1, batch(stamp(sequence), true))
            };
            script.send(node, 11, &request);
        }
        let end = EndTxnRequest {
            transactional_id: "x".into(),
            producer_id,
            producer_epoch,
            committed,
            ..Default::default()
        };
        script.send(coordinator, 3, &end);
    }
    let states =
        DescribeTransactionsRequest { transactional_ids: vec!["x".into()], ..Default::default() };
    script.send(coordinator, 0, &states);
    script.send(coordinator, 2, &ListTransactionsRequest::default());
    script.send(1, 12, &FetchRequest { isolation_level: 1, ..fetch(0, 0) });
    script.send(coordinator, 3, &add);
    script.pass(15);
    script
}

fn topics() -> Script {
    let mut script = Script::default();
    script.send(
        1,
        5,
        &ApiVersionsRequest {
            client_software_name: "fuzz".into(),
            client_software_version: "1".into(),
            ..Default::default()
        },
    );
    let topic = CreatableTopic {
        name: "new".into(),
        num_partitions: 3,
        replication_factor: 2,
        ..Default::default()
    };
    script.send(1, 7, &CreateTopicsRequest { topics: vec![topic], ..Default::default() });
    for version in [0, 4, 12] {
        script.send(2, version, &MetadataRequest::default());
    }
    script.send(3, 1, &DescribeClusterRequest::default());
    let topic_names = vec!["new".into()];
    script.send(1, 5, &DeleteTopicsRequest { topic_names, ..Default::default() });
    script
}

fn failover() -> Script {
    let mut script = records();
    for node in [1, 2, 1, 2] {
        script.step(Step::Toggle(NodeId(node)));
        for at in 1..=3 {
            script.send(at, 9, &produce("t", 1, batch(ProducerStamp::NONE, false)));
            script.send(at, 12, &fetch(0, 0));
        }
    }
    script.pass(20);
    script
}

/// Three records.
fn batch(producer: ProducerStamp, transactional: bool) -> RecordChunks {
    let mut builder = BatchBuilder::new();
    for value in ["a", "b", "c"] {
        let record = NewRecord::new(1_700_000_000_000, Some(b"k"), Some(value.as_bytes()));
        builder.append(record).expect("there is room");
    }
    let options = SealOptions { producer, transactional, ..SealOptions::default() };
    RecordChunks::from(Bytes::from(builder.seal(&options).into_buffer()))
}

fn produce(topic: &str, acks: i16, records: RecordChunks) -> ProduceRequest {
    let partition = PartitionProduceData { records: Some(records), ..Default::default() };
    let topic = TopicProduceData {
        name: topic.into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

fn fetch(fetch_offset: i64, max_wait_ms: i32) -> FetchRequest {
    let partition =
        FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    let (min_bytes, max_bytes) = (1, 1 << 20);
    FetchRequest { max_wait_ms, min_bytes, max_bytes, topics: vec![topic], ..Default::default() }
}

/// Two topics with what each version has room for.
fn fetched(version: i16) -> FetchResponse {
    let aborted = AbortedTransaction { producer_id: 5, first_offset: 3, ..Default::default() };
    let partition = |partition_index| PartitionData {
        partition_index,
        high_watermark: 9,
        last_stable_offset: 7,
        aborted_transactions: Some(vec![aborted.clone()]),
        diverging_epoch: (version >= 12).then(Default::default),
        current_leader: (version >= 12).then(Default::default),
        records: Some(batch(ProducerStamp::NONE, false)),
        ..Default::default()
    };
    let topic = |name: &str, id: u128| FetchableTopicResponse {
        topic: if version < 13 { name.into() } else { Default::default() },
        topic_id: if version < 13 { ottla_protocol::Uuid::ZERO } else { id.into() },
        partitions: vec![partition(0), partition(1)],
        ..Default::default()
    };
    let node_endpoints = if version < 16 { Vec::new() } else { vec![Default::default()] };
    FetchResponse {
        responses: vec![topic("t", 1), topic("u", 2)],
        node_endpoints,
        ..Default::default()
    }
}
