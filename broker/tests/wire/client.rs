//! A client of one line.

use std::io;

use bytes::{Bytes, BytesMut};
use ottla_broker::net::BoxStream;
use ottla_protocol::frames::{ResponseFrame, encode_request};
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{FetchRequest, ProduceRequest};
use ottla_protocol::records::{BatchBuilder, NewRecord, SealOptions};
use ottla_protocol::wire::{RecordChunks, take_frame};
use ottla_protocol::{Message, Request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// A batch with these values, one record each.
pub(crate) fn batch(values: &[&str]) -> RecordChunks {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.append(NewRecord::new(START, Some(b"k"), Some(value.as_bytes()))).unwrap();
    }
    RecordChunks::from(builder.seal(&SealOptions::default()).freeze().bytes().clone())
}

pub(crate) fn produce(acks: i16, records: RecordChunks) -> ProduceRequest {
    let partition = PartitionProduceData { records: Some(records), ..Default::default() };
    let topic = TopicProduceData {
        name: "t".into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() }
}

/// Waits up to a second for a byte.
pub(crate) fn fetch(offset: i64) -> FetchRequest {
    let partition =
        FetchPartition { fetch_offset: offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    FetchRequest {
        max_wait_ms: 1000,
        min_bytes: 1,
        max_bytes: 1 << 20,
        topics: vec![topic],
        ..Default::default()
    }
}

/// When every test begins, in milliseconds since 1970.
pub(crate) const START: i64 = 1_700_000_000_000;

/// A connection that speaks frames.
pub(crate) struct Wire {
    pub(crate) stream: BoxStream,
    received: BytesMut,
    correlation_id: i32,
}

impl Wire {
    pub(crate) fn new(stream: BoxStream) -> Self {
        Self { stream, received: BytesMut::new(), correlation_id: 0 }
    }

    pub(crate) async fn send<R: Request + Sync>(&mut self, request: &R, version: i16) {
        self.correlation_id += 1;
        let mut frame =
            encode_request(request, version, self.correlation_id, Some("test")).unwrap();
        self.stream.write_all_buf(&mut frame).await.unwrap();
    }

    pub(crate) async fn receive<R: Request + Sync>(
        &mut self,
        version: i16,
    ) -> io::Result<R::Response> {
        let frame = self.frame().await?;
        let frame = ResponseFrame::decode(&frame, R::API, version).unwrap();
        assert_eq!(frame.correlation_id, self.correlation_id);
        Ok(R::Response::decode(&frame.body, version).unwrap())
    }

    pub(crate) async fn call<R: Request + Sync>(
        &mut self,
        request: &R,
        version: i16,
    ) -> R::Response {
        self.send(request, version).await;
        self.receive::<R>(version).await.unwrap()
    }

    pub(crate) async fn frame(&mut self) -> io::Result<Bytes> {
        loop {
            if let Some(frame) = take_frame(&mut self.received, usize::MAX).unwrap() {
                return Ok(frame);
            }
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Waits until the broker closes the connection; nothing may come before that.
    pub(crate) async fn closed(&mut self) {
        assert!(!matches!(self.stream.read_buf(&mut self.received).await, Ok(1..)));
    }
}
