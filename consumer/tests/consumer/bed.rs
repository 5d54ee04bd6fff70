//! Three brokers in memory on paused time, and a client of theirs.

use std::time::Duration;

use bytes::Bytes;
use ottla_broker::cluster::{Cluster, ClusterBuilder, TopicSpec};
use ottla_consumer::config::{AutoOffsetReset, ConsumerConfig};
use ottla_consumer::{Batch, Consumer, ConsumerBuilder, ConsumerRecord};
use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime, Target};
use ottla_core::retry::Deadline;
use ottla_core::types::{HostPort, NodeId, TopicPartition};
use ottla_protocol::compression::{Codec, Compression, Compressor};
use ottla_protocol::messages::create_topics::CreatableTopic;
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, ProduceRequest};
use ottla_protocol::records::{
    Attributes, BatchBuilder, BatchHeader, NewRecord, RecordBatch, RecordsError, SealOptions,
};
use ottla_protocol::wire::RecordChunks;

pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
}

impl Bed {
    pub(crate) async fn start() -> Self {
        let t = TopicSpec::new("t").partitions(3).replicas(3);
        Self::start_with(Cluster::builder().topic(t)).await
    }

    /// As [`start`](Self::start), with another `t`.
    pub(crate) async fn start_with(cluster: ClusterBuilder) -> Self {
        let other = TopicSpec::new("other").partitions(3).replicas(3);
        let cluster = cluster.topic(other).start().await.unwrap();
        let client = client(&cluster).await;
        Self { cluster, client }
    }

    pub(crate) fn builder(&self) -> ConsumerBuilder {
        ConsumerBuilder::new(self.client.clone()).configure(|config| {
            config.auto_offset_reset = AutoOffsetReset::Earliest;
        })
    }

    /// A consumer of some partitions of `t`.
    pub(crate) async fn consumer(&self, partitions: &[i32]) -> Consumer {
        self.consumer_with(partitions, |_| {}).await
    }

    pub(crate) async fn consumer_with(
        &self,
        partitions: &[i32],
        change: impl FnOnce(&mut ConsumerConfig),
    ) -> Consumer {
        let partitions = partitions.iter().map(|partition| t(*partition));
        self.builder().configure(change).assign(partitions).build().await.unwrap()
    }

    /// Deletes `t`.
    pub(crate) async fn delete(&self) {
        let name = Some("t".into());
        let topics = vec![DeleteTopicState { name, ..Default::default() }];
        let request = DeleteTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
        let client = &self.client;
        let answer = client.call(&Target::Controller, &request, soon(client)).await.unwrap();
        assert_eq!(answer.responses[0].error_code, 0);
    }

    /// Makes `t` anew after it was deleted.
    pub(crate) async fn create(&self) {
        let topics = vec![CreatableTopic {
            name: "t".into(),
            num_partitions: 3,
            replication_factor: 3,
            ..Default::default()
        }];
        let request = CreateTopicsRequest { topics, timeout_ms: 10_000, ..Default::default() };
        let client = &self.client;
        let answer = client.call(&Target::Controller, &request, soon(client)).await.unwrap();
        assert_eq!(answer.topics[0].error_code, 0);
    }

    /// Writes a batch, and returns its base offset.
    pub(crate) async fn produce(&self, partition: i32, values: &[&str]) -> i64 {
        self.produce_with(partition, values, Compression::None).await
    }

    pub(crate) async fn produce_with(
        &self,
        partition: i32,
        values: &[&str],
        compression: Compression,
    ) -> i64 {
        self.write(partition, values, compression, &SealOptions::default(), None).await
    }

    /// Writes a batch, perhaps in a transaction.
    pub(crate) async fn write(
        &self,
        partition: i32,
        values: &[&str],
        compression: Compression,
        options: &SealOptions,
        transactional_id: Option<&'static str>,
    ) -> i64 {
        let mut builder = BatchBuilder::new();
        for value in values {
            builder.append(NewRecord::new(1_000, Some(b"key"), Some(value.as_bytes()))).unwrap();
        }
        let codec = Codec::new(compression);
        let sealed =
            builder.seal_compressed(options, codec, &mut Default::default(), Vec::new()).unwrap();
        self.write_batch(partition, sealed.freeze().bytes().clone(), transactional_id).await
    }

    /// Writes a batch of which brokers take the third record, and no reader does: it says that it is
    /// longer than it is, which brokers do not look at where records are compressed.
    pub(crate) async fn produce_unreadable(&self, partition: i32) -> i64 {
        let batch = sealed(&["a", "b", "c"]);
        let mut records = batch.encoded_records().to_vec();
        let third = records.len() / 3 * 2;
        records[third] += 2;
        self.write_batch(partition, with_records(&batch, Compression::Gzip, &records), None).await
    }

    /// Writes a batch of values of one letter, each at its offset within the batch: where records are
    /// not compressed, brokers do not look at those.
    pub(crate) async fn produce_at(&self, partition: i32, records: &[(&str, u8)]) -> i64 {
        let batch = sealed(&records.iter().map(|(value, _)| *value).collect::<Vec<_>>());
        let mut bytes = batch.encoded_records().to_vec();
        let len = bytes.len() / records.len();
        for (record, (_, delta)) in bytes.chunks_mut(len).zip(records) {
            // Behind length, attributes and timestamp; zig-zagged.
            record[3] = 2 * delta;
        }
        self.write_batch(partition, with_records(&batch, Compression::None, &bytes), None).await
    }

    async fn write_batch(
        &self,
        partition: i32,
        batch: Bytes,
        transactional_id: Option<&'static str>,
    ) -> i64 {
        let topic = self.client.topic(&"t".into(), soon(&self.client)).await.unwrap();
        let data = PartitionProduceData {
            index: partition,
            records: Some(RecordChunks::from(batch)),
            ..Default::default()
        };
        let request = ProduceRequest {
            transactional_id: transactional_id.map(Into::into),
            acks: -1,
            timeout_ms: 10_000,
            topic_data: vec![TopicProduceData {
                name: "t".into(),
                topic_id: topic.id.unwrap(),
                partition_data: vec![data],
                ..Default::default()
            }],
            ..Default::default()
        };
        let leader = self.cluster.partition("t", partition).leader().unwrap();
        let target = Target::Node(NodeId::from_wire(leader).unwrap());
        let answer = self.client.call(&target, &request, soon(&self.client)).await.unwrap();
        let row = &answer.responses[0].partition_responses[0];
        assert_eq!(row.error_code, 0);
        row.base_offset
    }
}

fn sealed(values: &[&str]) -> RecordBatch {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.append(NewRecord::new(1_000, Some(b"key"), Some(value.as_bytes()))).unwrap();
    }
    builder.seal(&SealOptions::default()).freeze()
}

/// The batch with other records, and its length and checksum put right.
fn with_records(batch: &RecordBatch, compression: Compression, records: &[u8]) -> Bytes {
    let mut packed = Vec::new();
    Compressor::new().compress(compression.into(), records, &mut packed).unwrap();
    let mut header = *batch.header();
    header.attributes = Attributes::from_bits(compression.id().into());
    // It counts what is behind it.
    header.batch_length = i32::try_from(BatchHeader::LEN - 12 + packed.len()).unwrap();
    let mut bytes = [&header.encode()[..], &packed].concat();
    if let Err(RecordsError::CrcMismatch { computed, .. }) = header.verify_crc(&bytes) {
        header.crc = computed;
    }
    bytes[..BatchHeader::LEN].copy_from_slice(&header.encode());
    bytes.into()
}

pub(crate) async fn client(cluster: &Cluster) -> Client {
    let connector = cluster.connector();
    let dial = move |to: HostPort| connector.connect(&to.host, to.port);
    let runtime = Runtime::builder().dial_with(dial).wall_clock(1_000_000).seed(1).build();
    let bootstrap_servers =
        cluster.bootstrap().iter().map(|address| address.parse().unwrap()).collect();
    let config = ClientConfig { bootstrap_servers, ..ClientConfig::default() };
    Client::connect(config, runtime).await.unwrap()
}

pub(crate) fn t(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

pub(crate) fn soon(client: &Client) -> Deadline {
    Deadline::after(client.runtime().now(), Duration::from_secs(60))
}

pub(crate) fn values(batch: &Batch) -> Vec<String> {
    batch.records().map(|record| text(record.value())).collect()
}

pub(crate) fn value(record: &ConsumerRecord) -> String {
    text(record.value())
}

fn text(bytes: Option<&[u8]>) -> String {
    String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap()
}

/// The next batch, within a time that no test needs.
pub(crate) async fn next(consumer: &mut Consumer) -> Batch {
    within(consumer.poll()).await.unwrap().unwrap()
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(300), future).await.expect("it takes for ever")
}
