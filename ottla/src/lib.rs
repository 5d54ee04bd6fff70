//! A client for Apache Kafka: producer, consumer, admin.
//!
//! ```no_run
//! use ottla::{AutoOffsetReset, Kafka, Record};
//!
//! # async fn run() -> Result<(), ottla::Error> {
//! let kafka = Kafka::connect("localhost:9092").await?;
//!
//! let producer = kafka.producer().build().await?;
//! let sent = producer.send(Record::to("orders").key("42").value("paid")).await?;
//! println!("partition {} offset {}", sent.partition, sent.offset);
//!
//! let consumer = kafka.consumer("billing").subscribe(["orders"]);
//! let mut consumer = consumer.start_at(AutoOffsetReset::Earliest).build().await?;
//! while let Some(batch) = consumer.poll().await? {
//!     for record in &batch {
//!         println!("{:?}", record.value());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The [`manual`] says what is promised, and how to use it. Everything is built from one [`Kafka`]
//! handle, and every operation's error becomes one [`Error`], whose [`kind`](Error::kind) a program
//! can decide by.
//!
//! | to | see |
//! |---|---|
//! | send | [`Producer`], [`Record`], [`Delivery`] |
//! | send all or nothing | [`TransactionalProducer`], [`Transaction`] |
//! | read, process and write, exactly once | [`Pipeline`] |
//! | read | [`Consumer`], [`Batch`], [`ConsumerRecord`], [`RebalanceListener`] |
//! | manage | [`Admin`] |
//! | configure | [`KafkaBuilder`], [`manual::configuration`] |
//!
//! # Features
//!
//! `gzip`, `snappy`, `lz4` and `zstd`, all on by default, bring their codec. `zstd-pure` is a zstd
//! without C, several times slower, and it cannot read batches above 8 MiB of levels 20 to 22.

mod kafka;
pub mod manual;
mod pipeline;
mod settings;

pub use kafka::{Kafka, KafkaBuilder};
pub use ottla_admin as admin;
pub use ottla_admin::{Admin, AdminError};
pub use ottla_consumer::config::{
    AssignmentStrategy, AutoOffsetReset, ConsumerConfig, ConsumerConfigProblem, IsolationLevel,
};
pub use ottla_consumer::error::{ConsumerError, FetchError};
pub use ottla_consumer::listener::{Assigned, ListenerError, Lost, RebalanceListener, Revoking};
pub use ottla_consumer::machine::assignor;
pub use ottla_consumer::machine::commit::{CommitError, CommittedOffsets, Offset, Offsets};
pub use ottla_consumer::machine::fetch::{FetchEvent, ResetCause};
pub use ottla_consumer::machine::membership::{GroupError, LossReason};
pub use ottla_consumer::{
    Batch, BatchRecords, Consumer, ConsumerBuilder, ConsumerEvent, ConsumerRecord, ConsumerStream,
    Headers, OffsetAndTimestamp, OnClose, OwnedBatchRecords, PartitionStream, Partitions,
    RecordRef, RecordsError, ShutdownHandle, TimestampType,
};
pub use ottla_core::cluster::{PartitionInfo, TopicInfo};
pub use ottla_core::config::{
    ConfigError, ConfigProblem, ConfigWarning, Explanation, Origin, Properties,
};
pub use ottla_core::error::{Certainty, Error, ErrorClass, ErrorCode, ErrorKind, RequestError};
pub use ottla_core::net::Client;
pub use ottla_core::types::{
    ConsumerGroupMetadata, HostPort, LeaderEpoch, NodeId, Progress, TopicName, TopicPartition, Uuid,
};
pub use ottla_producer::config::{
    Acks, Codec, Compression, PartitionerKind, ProducerConfig, ProducerConfigProblem,
};
pub use ottla_producer::error::{AppendError, SealError};
pub use ottla_producer::net::{AlreadyClosed, BuildError};
pub use ottla_producer::partitioner::{Partitioner, Unpartitioned, partition_for_key};
pub use ottla_producer::{
    AbortCause, CloseReport, Delivery, FatalCause, Producer, ProducerBuilder, Record, RecordHeader,
    RecordMetadata, RecordOffset, SendError, StartError, TopicHandle, Transaction,
    TransactionError, TransactionOutcome, TransactionTopic, TransactionalProducer,
    TransactionalProducerBuilder, Trouble, Undelivered,
};
pub use pipeline::Pipeline;

/// What clocks, randomness and sockets are taken from, for tests that have their own.
pub mod runtime {
    pub use ottla_core::net::{BoxStream, DialFuture, Dialer, Runtime, RuntimeBuilder, Stream};
}
