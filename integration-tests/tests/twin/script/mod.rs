//! What is asked.

mod groups;
mod malformed;
mod records;
mod settings;
mod topics;
mod transactions;

use bytes::Bytes;
use ottla_broker::api::versions;
use ottla_protocol::messages::create_topics::{CreatableTopic, CreatableTopicConfig};
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, CreateTopicsResponse, DescribeClusterRequest,
    MetadataRequest, MetadataResponse,
};
use ottla_protocol::records::{BatchBuilder, NewRecord, ProducerStamp, SealOptions, SealedBatch};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{ApiKey, Request};

use crate::twin::Twin;

pub(crate) async fn play(twin: &mut Twin) {
    handshakes(twin).await;
    topics::play(twin).await;
    settings::play(twin).await;
    records::play(twin).await;
    malformed::play(twin).await;
    groups::play(twin).await;
    transactions::play(twin).await;
    topics::delete(twin).await;
    bad_bytes(twin).await;
}

/// Every version that is served of the API of `R`.
fn every<R: Request>() -> impl Iterator<Item = i16> {
    versions(R::API).expect("it is served").iter()
}

async fn handshakes(twin: &mut Twin) {
    let named = |name: &str| ApiVersionsRequest {
        client_software_name: name.into(),
        client_software_version: "1.0".into(),
        ..Default::default()
    };
    for version in every::<ApiVersionsRequest>() {
        twin.ask("", version, |_| named("twin")).await;
    }
    twin.ask("a name that is none", 3, |_| named("-twin-")).await;
    let meant = |cluster: &str, node_id| ApiVersionsRequest {
        cluster_id: (!cluster.is_empty()).then(|| cluster.into()),
        node_id,
        ..named("twin")
    };
    twin.ask("of another cluster", 5, |_| meant("elsewhere", 1)).await;
    twin.ask("of a cluster without a node", 5, |_| meant("elsewhere", -1)).await;
    twin.ask("of a node without a cluster", 5, |_| meant("", 9)).await;
    for version in every::<DescribeClusterRequest>() {
        twin.ask("", version, |_| DescribeClusterRequest::default()).await;
    }
    let operations = DescribeClusterRequest {
        include_cluster_authorized_operations: true,
        ..Default::default()
    };
    twin.ask("with operations", 2, |_| operations.clone()).await;
    let controllers = DescribeClusterRequest { endpoint_type: 2, ..Default::default() };
    twin.ask("of controllers", 1, |_| controllers.clone()).await;
}

/// Bytes that are no request that is served, each on a connection of its own.
async fn bad_bytes(twin: &mut Twin) {
    let header = |api: i16, version: i16| {
        let fields =
            [&api.to_be_bytes()[..], &version.to_be_bytes(), &7_i32.to_be_bytes(), &[0, 0]];
        fields.concat()
    };
    let framed = |frame: &[u8]| {
        let len = i32::try_from(frame.len()).expect("it is short");
        [&len.to_be_bytes()[..], frame].concat()
    };
    let (metadata, produce, versions) =
        (ApiKey::Metadata.code(), ApiKey::Produce.code(), ApiKey::ApiVersions.code());
    let future = framed(&[&header(versions, 99)[..], &[0]].concat());
    twin.send_bytes("ApiVersions of the future", &future).await;
    twin.send_bytes("an unknown API", &framed(&header(999, 0))).await;
    twin.send_bytes("a version of the future", &framed(&header(metadata, 99))).await;
    twin.send_bytes("a version of the past", &framed(&header(produce, 2))).await;
    twin.send_bytes("a body that is cut off", &framed(&header(metadata, 1))).await;
    twin.send_bytes("a length below zero", &(-1_i32).to_be_bytes()).await;
    twin.send_bytes("a length of 2 GiB", &i32::MAX.to_be_bytes()).await;
    twin.send_bytes("an empty frame", &0_i32.to_be_bytes()).await;
}

/// Creates a topic, and waits until it has a leader.
async fn create(twin: &mut Twin, name: &str, partitions: i32, configs: &[(&str, &str)]) {
    let request = CreateTopicsRequest {
        topics: vec![topic(name, partitions, configs)],
        ..Default::default()
    };
    let learn = |side: &mut crate::twin::Side, answer: &CreateTopicsResponse| {
        side.topics.insert(name.to_owned(), answer.topics[0].topic_id);
        true
    };
    twin.learn(&format!("of {name}"), 7, |_| request.clone(), learn).await;
    let ready = |_: &mut crate::twin::Side, answer: &MetadataResponse| {
        let row = &answer.topics[0];
        row.error_code == 0 && row.partitions.iter().all(|partition| partition.error_code == 0)
    };
    twin.learn(&format!("until {name} is led"), 12, |_| metadata_of(name), ready).await;
}

fn metadata_of(name: &str) -> MetadataRequest {
    let topic = MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
    MetadataRequest {
        topics: Some(vec![topic]),
        allow_auto_topic_creation: false,
        ..Default::default()
    }
}

/// Records stay for ever, whatever their timestamps.
fn topic(name: &str, num_partitions: i32, configs: &[(&str, &str)]) -> CreatableTopic {
    let config = |(name, value): &(&str, &str)| CreatableTopicConfig {
        name: (*name).into(),
        value: Some((*value).into()),
        ..Default::default()
    };
    CreatableTopic {
        name: name.into(),
        num_partitions,
        replication_factor: 1,
        configs: [("retention.ms", "-1")].iter().chain(configs).map(config).collect(),
        ..Default::default()
    }
}

fn batch(values: &[&str]) -> SealedBatch {
    sealed(values, &SealOptions::default())
}

fn stamped(producer: ProducerStamp, is_transactional: bool) -> RecordChunks {
    chunks(sealed(
        &["s"],
        &SealOptions { producer, transactional: is_transactional, ..Default::default() },
    ))
}

fn sealed(values: &[&str], options: &SealOptions) -> SealedBatch {
    let mut builder = BatchBuilder::new();
    for (at, value) in (0..).zip(values) {
        let record = NewRecord::new(START + at, Some(b"k"), Some(value.as_bytes()));
        builder.append(record).expect("there is room");
    }
    builder.seal(options)
}

fn chunks(batch: SealedBatch) -> RecordChunks {
    RecordChunks::from(Bytes::from(batch.into_buffer()))
}

/// The timestamp of the first record of every batch, in milliseconds since 1970.
const START: i64 = 1_700_000_000_000;
