//! A message costs one allocation for each of its arrays, and none for what is in them.
//!
//! The counter is the process's, so all of it is one test.
#![expect(clippy::unwrap_used, reason = "a suite says what failed by panicking")]

use std::alloc::System;

use bytes::Bytes;
use ottla_protocol::messages::fetch::{FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{FetchResponse, MetadataResponse};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{DecodeError, FetchView, Message};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const PARTITIONS: i32 = 1_000;

#[test]
fn decoding_allocates_at_most_once_for_each_array() {
    let metadata = metadata_response();
    for version in MetadataResponse::VERSIONS.iter() {
        let bytes = frame(&metadata, version);
        // The brokers, the topics and the partitions: the replicas of each lie within it.
        check("metadata", version, 3, || MetadataResponse::decode(&bytes, version).map(drop));
    }
    let fetch = fetch_response();
    for version in FetchResponse::VERSIONS.iter() {
        let bytes = frame(&fetch, version);
        // The topics and the partitions.
        check("fetch", version, 2, || FetchResponse::decode(&bytes, version).map(drop));
        check("fetch view", version, 0, || {
            let mut walk = FetchView::new(&bytes, version)?;
            while let Some(partition) = walk.next()? {
                assert_eq!(partition.records().len(), RECORDS.len());
            }
            Ok(())
        });
    }
}

/// `work` allocates `expected` times. The least of three, because the harness has a thread that
/// allocates now and then.
#[track_caller]
fn check(what: &str, version: i16, expected: usize, work: impl Fn() -> Result<(), DecodeError>) {
    let allocations = (0..3).map(|_| {
        let region = Region::new(ALLOCATOR);
        work().unwrap();
        let change = region.change();
        change.allocations + change.reallocations
    });
    assert_eq!(allocations.min(), Some(expected), "{what} version {version}");
}

/// The message's bytes, shared once before: the first time, `Bytes` allocates the count.
fn frame(message: &impl Message, version: i16) -> Bytes {
    let bytes = message.encode(version).unwrap().into_bytes();
    drop(bytes.clone());
    bytes
}

fn metadata_response() -> MetadataResponse {
    let broker = |node_id: i32| MetadataResponseBroker {
        node_id,
        host: format!("broker-{node_id}.example").into(),
        port: 9092,
        ..MetadataResponseBroker::default()
    };
    let partition = |index: i32| MetadataResponsePartition {
        partition_index: index,
        replica_nodes: vec![1, 2, 3].into(),
        isr_nodes: vec![1, 2, 3].into(),
        ..MetadataResponsePartition::default()
    };
    let topic = MetadataResponseTopic {
        name: Some("orders".into()),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..MetadataResponseTopic::default()
    };
    MetadataResponse {
        brokers: (1..=3).map(broker).collect(),
        topics: vec![topic],
        ..MetadataResponse::default()
    }
}

const RECORDS: &[u8] = &[0; 64];

fn fetch_response() -> FetchResponse {
    let partition = |index: i32| PartitionData {
        partition_index: index,
        records: Some(RecordChunks::from(Bytes::from_static(RECORDS))),
        ..PartitionData::default()
    };
    let topic = FetchableTopicResponse {
        topic: "orders".into(),
        partitions: (0..PARTITIONS).map(partition).collect(),
        ..FetchableTopicResponse::default()
    };
    FetchResponse { responses: vec![topic], ..FetchResponse::default() }
}
