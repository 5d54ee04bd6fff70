//! Control messages: decoding answers about 1,000 partitions.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use kafka_protocol::protocol::Decodable;
use ottla_protocol::messages::fetch::{FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{FetchResponse, MetadataResponse};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{FetchView, Message, PartitionView, Uuid};

const PARTITIONS: i32 = 1_000;

/// Versions that both crates know.
const METADATA_VERSION: i16 = 13;
const FETCH_VERSION: i16 = 17;

pub fn metadata(criterion: &mut Criterion) {
    let bytes = metadata_response().encode(METADATA_VERSION).unwrap().into_bytes();
    let mut group = criterion.benchmark_group("decode-metadata-1000");
    group.throughput(Throughput::Elements(PARTITIONS as u64));
    group.bench_function("ottla", |bencher| {
        bencher.iter(|| MetadataResponse::decode(black_box(&bytes), METADATA_VERSION).unwrap());
    });
    group.bench_function("kafka-protocol", |bencher| {
        bencher.iter(|| {
            theirs::<kafka_protocol::messages::MetadataResponse>(&bytes, METADATA_VERSION)
        });
    });
}

pub fn fetch(criterion: &mut Criterion) {
    let bytes = fetch_response().encode(FETCH_VERSION).unwrap().into_bytes();
    let mut group = criterion.benchmark_group("decode-fetch-1000");
    group.throughput(Throughput::Elements(PARTITIONS as u64));
    group.bench_function("ottla", |bencher| {
        bencher.iter(|| FetchResponse::decode(black_box(&bytes), FETCH_VERSION).unwrap());
    });
    group.bench_function("ottla, walked", |bencher| bencher.iter(|| walk(&bytes, |_| {})));
    group.bench_function("ottla, walked and all records taken", |bencher| {
        bencher.iter(|| walk(&bytes, |partition| drop(black_box(partition.records()))));
    });
    group.bench_function("kafka-protocol", |bencher| {
        bencher.iter(|| theirs::<kafka_protocol::messages::FetchResponse>(&bytes, FETCH_VERSION));
    });
}

/// What a consumer does: each partition is looked at where it lies.
fn walk(bytes: &Bytes, look: impl Fn(&PartitionView<'_>)) {
    let mut walk = FetchView::new(black_box(bytes), FETCH_VERSION).unwrap();
    while let Some(partition) = walk.next().unwrap() {
        look(black_box(partition));
    }
}

fn theirs<M: Decodable>(bytes: &Bytes, version: i16) -> M {
    M::decode(&mut black_box(bytes).clone(), version).unwrap()
}

fn metadata_response() -> MetadataResponse {
    let broker = |id: i32| MetadataResponseBroker {
        node_id: id,
        host: format!("broker-{id}.example").into(),
        port: 9092,
        ..MetadataResponseBroker::default()
    };
    let partition = |index: i32| MetadataResponsePartition {
        partition_index: index,
        leader_id: index % 3 + 1,
        leader_epoch: 7,
        replica_nodes: [1, 2, 3].as_slice().into(),
        isr_nodes: [1, 2, 3].as_slice().into(),
        ..MetadataResponsePartition::default()
    };
    let topic = MetadataResponseTopic {
        name: Some("orders".into()),
        topic_id: Uuid::from(7_u128),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..MetadataResponseTopic::default()
    };
    MetadataResponse {
        brokers: (1..=3).map(broker).collect(),
        cluster_id: Some("bench".into()),
        controller_id: 1,
        topics: vec![topic],
        ..MetadataResponse::default()
    }
}

fn fetch_response() -> FetchResponse {
    let records = Bytes::from(vec![0; 64]);
    let partition = |index: i32| PartitionData {
        partition_index: index,
        high_watermark: 1_000,
        last_stable_offset: 1_000,
        log_start_offset: 0,
        records: Some(RecordChunks::from(records.clone())),
        ..PartitionData::default()
    };
    let topic = FetchableTopicResponse {
        topic_id: Uuid::from(7_u128),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..FetchableTopicResponse::default()
    };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}
