//! What a client sees of the null broker, without a socket and, at the end, with one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use nullbroker::{Broker, CannedLog, Config, Counts, Payload, Trouble, Versions, net};
use ottla_protocol::compression::Compression;
use ottla_protocol::frames::{ResponseFrame, encode_request};
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    ApiVersionsRequest, FetchRequest, FetchResponse, MetadataRequest, ProduceRequest,
};
use ottla_protocol::records::{Batch, BatchBuilder, Batches, NewRecord, SealOptions};
use ottla_protocol::wire::{Request, take_frame};
use ottla_protocol::{AnyResponse, ErrorCode};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

#[test]
fn what_is_produced_is_counted_by_request_batch_record_and_byte() {
    let mut broker = broker();
    let (one, two) = (batch(3), batch(4));
    let bytes = (one.len() + two.len()) as u64;
    ask(&mut broker, &produce(1, [(0, one), (1, two)]), 9);
    let Counts { requests, produced, .. } = broker.counts();
    assert_eq!((requests, produced.requests, produced.batches), (1, 1, 2));
    assert_eq!((produced.records, produced.bytes), (7, bytes));
}

#[test]
fn several_batches_of_one_partition_are_all_counted() {
    let mut broker = broker();
    ask(&mut broker, &produce(1, [(0, [batch(3), batch(4)].concat())]), 9);
    assert_eq!((broker.counts().produced.batches, broker.counts().produced.records), (2, 7));
}

#[test]
fn a_reset_counts_from_zero_and_keeps_the_offsets() {
    let mut broker = broker();
    ask(&mut broker, &produce(1, [(0, batch(3))]), 9);
    broker.reset();
    assert_eq!(broker.counts(), Counts::default());
    assert_eq!(base_offset(&mut broker, 2), 3);
}

#[test]
fn offsets_go_on_where_the_last_batch_ended_whatever_the_version() {
    let mut broker = broker();
    assert_eq!(base_offset(&mut broker, 3), 0);
    assert_eq!(base_offset(&mut broker, 2), 3);
    assert_eq!(base_offset(&mut broker, 1), 5);
}

#[test]
fn a_producer_that_wants_no_answer_gets_none() {
    let frame = frame(&produce(0, [(0, batch(3))]), 9);
    let mut broker = broker();
    assert!(broker.handle_request(&frame).unwrap().is_none());
    assert_eq!(broker.counts().produced.records, 3);
}

#[test]
fn a_broken_batch_ends_the_connection_where_checksums_are_verified() {
    let mut broken = batch(3);
    *broken.last_mut().unwrap() ^= 1;
    let frame = frame(&produce(1, [(0, broken)]), 9);
    assert!(broker().handle_request(&frame).is_ok());
    let mut verifying = Broker::new(Config { verify: true, ..config() });
    assert!(verifying.handle_request(&frame).is_err());
}

#[test]
fn a_fetch_brings_the_same_batches_at_any_offset() {
    let mut broker = broker();
    for offset in [0, 10, 1_000_000] {
        let AnyResponse::Fetch(response) = ask(&mut broker, &fetch(offset), 12) else {
            panic!("not a fetch response")
        };
        assert_eq!(first_base_offset(response), offset);
    }
    assert_eq!(broker.counts().fetched.requests, 3);
}

#[test]
fn a_fetch_at_the_end_waits_as_long_as_it_may() {
    let mut broker = broker();
    let frame = frame(&fetch(END), 12);
    let answer = broker.handle_request(&frame).unwrap().unwrap();
    assert_eq!(answer.hold, Duration::from_millis(500));
    assert_eq!(broker.counts().fetched.records, 0);
}

#[test]
fn produce_and_fetch_are_held_back_and_nothing_else_is() {
    let delay = Duration::from_millis(5);
    let mut broker = Broker::new(Config { delay, ..config() });
    let mut hold = |frame: Bytes| broker.handle_request(&frame).unwrap().unwrap().hold;
    assert_eq!(hold(frame(&produce(1, [(0, batch(3))]), 9)), delay);
    assert_eq!(hold(frame(&fetch(0), 12)), delay);
    assert_eq!(hold(frame(&MetadataRequest::default(), 9)), Duration::ZERO);
}

#[test]
fn any_topic_is_there_with_every_partition() {
    let topic = MetadataRequestTopic { name: Some("any".into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let mut broker = broker();
    let AnyResponse::Metadata(response) = ask(&mut broker, &request, 9) else {
        panic!("not a metadata response")
    };
    assert_eq!(response.topics[0].partitions.len(), 16);
    assert_eq!(response.brokers[0].port, 9_092);
}

#[test]
fn a_version_from_the_future_is_answered_in_version_0() {
    let mut frame = frame(&ApiVersionsRequest::default(), 5).to_vec();
    frame[3] = 99;
    let answer = broker().handle_request(&frame.into()).unwrap().unwrap();
    let AnyResponse::ApiVersions(response) =
        read::<ApiVersionsRequest>(answer.frame.into_bytes(), 0)
    else {
        panic!("not an answer about versions")
    };
    assert_eq!(response.error_code, ErrorCode::UnsupportedVersion.code());
    assert!(!response.api_keys.is_empty());
}

#[test]
fn topic_ids_are_served_only_when_asked_for() {
    let highest = |versions| {
        let mut broker = Broker::new(Config { versions, ..config() });
        let AnyResponse::ApiVersions(response) =
            ask(&mut broker, &ApiVersionsRequest::default(), 3)
        else {
            panic!("not an answer about versions")
        };
        let fetch = response.api_keys.iter().find(|api| api.api_key == 1);
        fetch.unwrap().max_version
    };
    assert_eq!((highest(Versions::Common), highest(Versions::Newest)), (12, 18));
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order_over_a_socket() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let delay = Duration::from_millis(1);
    let broker = Arc::new(Mutex::new(Broker::new(Config { delay, ..config() })));
    tokio::spawn(net::serve(listener, Arc::clone(&broker)));
    let mut client = TcpStream::connect(address).await.unwrap();
    for correlation_id in 0..20 {
        // Every other answer is held back, and every third is large.
        let request = match correlation_id % 3 {
            0 => encode_request(&fetch(0), 12, correlation_id, None),
            1 => encode_request(&produce(1, [(0, batch(3))]), 9, correlation_id, None),
            _ => encode_request(&MetadataRequest::default(), 9, correlation_id, None),
        };
        client.write_all(&request.unwrap().into_bytes()).await.unwrap();
    }
    let mut received = BytesMut::new();
    let mut next = 0_i32;
    while next < 20 {
        assert_ne!(client.read_buf(&mut received).await.unwrap(), 0, "{next} answers came");
        while let Some(frame) = take_frame(&mut received, 1 << 30).unwrap() {
            assert_eq!(frame[..4], next.to_be_bytes());
            next += 1;
        }
    }
    assert_eq!(net::lock(&broker).counts().connections, 1);
}

const END: i64 = 1_000_000_000_000;

fn broker() -> Broker {
    Broker::new(config())
}

fn config() -> Config {
    let payload = Payload::new(vec![b'v'; 100 * 64], 100).unwrap();
    let log = CannedLog::encode(&payload, Compression::None, 10 * 109, END).unwrap();
    Config {
        host: "127.0.0.1".into(),
        port: 9_092,
        partitions: 16,
        versions: Versions::Common,
        delay: Duration::ZERO,
        verify: false,
        log,
        trouble: Trouble::default(),
    }
}

fn batch(records: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new();
    for timestamp in 0..records {
        builder.append(NewRecord::new(timestamp, None, Some(b"value"))).unwrap();
    }
    builder.seal(&SealOptions::default()).into_buffer()
}

fn produce<const N: usize>(acks: i16, partitions: [(i32, Vec<u8>); N]) -> ProduceRequest {
    let partition_data = partitions.map(|(index, records)| PartitionProduceData {
        index,
        records: Some(Bytes::from(records).into()),
        ..Default::default()
    });
    let topic = TopicProduceData {
        name: "bench".into(),
        partition_data: partition_data.into(),
        ..Default::default()
    };
    ProduceRequest { acks, topic_data: vec![topic], ..Default::default() }
}

fn fetch(fetch_offset: i64) -> FetchRequest {
    let partition =
        FetchPartition { fetch_offset, partition_max_bytes: 64 << 10, ..FetchPartition::default() };
    let topic =
        FetchTopic { topic: "bench".into(), partitions: vec![partition], ..Default::default() };
    FetchRequest { max_wait_ms: 500, topics: vec![topic], ..Default::default() }
}

fn base_offset(broker: &mut Broker, records: i64) -> i64 {
    let AnyResponse::Produce(response) =
        ask(broker, &produce(-1, [(0, batch(records))]), 3 + records as i16)
    else {
        panic!("not a produce response")
    };
    response.responses[0].partition_responses[0].base_offset
}

fn first_base_offset(response: FetchResponse) -> i64 {
    let partition = response.responses.into_iter().next().unwrap().partitions.pop().unwrap();
    match Batches::new(partition.records.unwrap().into_bytes()).next().unwrap().unwrap() {
        Batch::V2(batch) => batch.header().base_offset,
        Batch::Legacy(_) => panic!("an old batch"),
    }
}

fn ask<R: Request>(broker: &mut Broker, request: &R, version: i16) -> AnyResponse {
    let answer = broker.handle_request(&frame(request, version)).unwrap().unwrap();
    read::<R>(answer.frame.into_bytes(), version)
}

fn read<R: Request>(answer: Bytes, version: i16) -> AnyResponse {
    let frame = ResponseFrame::decode(&answer.slice(4..), R::API, version).unwrap();
    frame.response(R::API, version).unwrap()
}

fn frame<R: Request>(request: &R, version: i16) -> Bytes {
    encode_request(request, version, 0, None).unwrap().into_bytes().slice(4..)
}
