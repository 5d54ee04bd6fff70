//! krafka under the command line that all drivers share.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::time::Duration;

use bench_driver::{
    Failure, HEADERS, Latencies, Op, Options, Payload, Usage, exit, key, time_in_order,
};
use bytes::Bytes;
use clap::Parser;
use krafka::consumer::Consumer;
use krafka::producer::{Acks, DeliveryHandle, Producer};
use krafka::{Compression, Kafka, Record};

fn main() -> ExitCode {
    exit("krafka", run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let kafka = Kafka::builder(options.bootstrap.as_str()).connect().await?;
        match (options.op, options.mode.as_str()) {
            (Op::Produce, "enqueue") => produce(&kafka, options).await,
            (Op::Latency, "enqueue") => acknowledge(&kafka, options).await,
            (Op::Consume, "poll") => consume(&kafka, options).await,
            _ => Err(options.no_such_mode("enqueue to produce, poll to consume")),
        }
    })
}

/// As many handles as rdkafka's `FutureProducer` keeps, awaited in order.
const OUTSTANDING: usize = 50_000;

async fn produce(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let producer = producer(kafka, options).await?;
    send(&producer, options, payload, options.warmup).await?;
    let from = Usage::now()?;
    send(&producer, options, payload, options.records).await?;
    report(from, options)?;
    Ok(producer.close().await?)
}

async fn producer(kafka: &Kafka, options: &Options) -> Result<Producer, Failure> {
    let producer = kafka
        .producer()
        .acks(Acks::All)
        .idempotent(true)
        .linger(options.linger())
        .batch_size(options.batch_bytes)
        .buffer_memory(64 << 20)
        .compression(compression(options)?)
        .build()
        .await?;
    Ok(producer)
}

/// Times each record until it is acknowledged.
async fn acknowledge(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let producer = producer(kafka, options).await?;
    time(&producer, options, payload, options.warmup).await?;
    let from = Usage::now()?;
    let latencies = time(&producer, options, payload, options.records).await?;
    from.report_with("krafka", VERSION, options, &latencies.figures())?;
    Ok(producer.close().await?)
}

async fn time(
    producer: &Producer,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<Latencies, Failure> {
    let send = async |index| {
        let value = Bytes::from_static(payload.value(index));
        let record = Record::new(options.topic.as_str(), value).partition(options.partition(index));
        Ok(producer.enqueue(record).await?)
    };
    time_in_order(options.rate, count, send, acknowledged).await
}

async fn send(
    producer: &Producer,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<(), Failure> {
    let mut outstanding: VecDeque<DeliveryHandle> = VecDeque::with_capacity(OUTSTANDING);
    for index in 0..count {
        let value = Bytes::from_static(payload.value(index));
        let mut record =
            Record::new(options.topic.as_str(), value).partition(options.partition(index));
        if options.keyed {
            record = record.key(key(index));
            for (key, value) in HEADERS {
                record = record.header(key, value);
            }
        }
        outstanding.push_back(producer.enqueue(record).await?);
        if outstanding.len() == OUTSTANDING
            && let Some(sent) = outstanding.pop_front()
        {
            acknowledged(sent).await?;
        }
    }
    for sent in outstanding {
        acknowledged(sent).await?;
    }
    Ok(())
}

async fn acknowledged(sent: DeliveryHandle) -> Result<(), Failure> {
    match sent.await?.is_success() {
        true => Ok(()),
        false => Err("a record was not acknowledged".into()),
    }
}

async fn consume(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let consumer = kafka
        .consumer_without_group()
        .max_partition_fetch_bytes(1 << 20)
        .max_poll_records(MAX_POLL_RECORDS)
        .max_buffered_records(MAX_POLL_RECORDS)
        .build()
        .await?;
    let partitions: Vec<i32> = (0..options.partitions).collect();
    consumer.assign(&options.topic, partitions.clone()).await?;
    for partition in partitions {
        consumer.seek(&options.topic, partition, 0).await?;
    }
    receive(&consumer, options, options.warmup).await?;
    let from = Usage::now()?;
    receive(&consumer, options, options.records).await?;
    report(from, options)?;
    Ok(consumer.close().await?)
}

/// More than any fetch brings: what is over the limit is thrown away and fetched again.
const MAX_POLL_RECORDS: i32 = 1_000_000;

async fn receive(consumer: &Consumer, options: &Options, count: u64) -> Result<(), Failure> {
    let mut seen = 0;
    while seen < count {
        for record in consumer.poll(Duration::from_secs(1)).await? {
            options.look_at(record.value.as_deref())?;
            seen += 1;
        }
    }
    Ok(())
}

fn report(from: Usage, options: &Options) -> Result<(), Failure> {
    from.report("krafka", VERSION, options)
}

const VERSION: &str = "0.28.1";

fn compression(options: &Options) -> Result<Compression, Failure> {
    Ok(match options.codec.as_str() {
        "none" => Compression::None,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => return Err(options.no_such_codec()),
    })
}
