//! rskafka under the command line that all drivers share.

use std::collections::{BTreeMap, VecDeque};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use bench_driver::{Failure, HEADERS, Latencies, Op, Options, Payload, Schedule, Usage, exit, key};
use chrono::{DateTime, Utc};
use clap::Parser;
use futures::stream::{FuturesUnordered, SelectAll};
use futures::{StreamExt, TryStreamExt};
use rskafka::client::consumer::{StartOffset, StreamConsumer, StreamConsumerBuilder};
use rskafka::client::partition::{Compression, PartitionClient, UnknownTopicHandling};
use rskafka::client::producer::aggregator::RecordAggregator;
use rskafka::client::producer::{BatchProducer, BatchProducerBuilder};
use rskafka::client::{Client, ClientBuilder};
use rskafka::record::Record;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

fn main() -> ExitCode {
    exit("rskafka", run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = ClientBuilder::new(vec![options.bootstrap.clone()]).build().await?;
        match (options.op, options.mode.as_str()) {
            (Op::Produce, "batch") => produce_batches(&client, options).await,
            (Op::Produce, "record") => produce_records(&client, options).await,
            (Op::Latency, "record") => acknowledge(&client, options).await,
            (Op::Consume, "stream") => consume(&client, options).await,
            _ => Err(options.no_such_mode("batch, record to produce; stream to consume")),
        }
    })
}

fn report(from: Usage, options: &Options) -> Result<(), Failure> {
    let client = match options.op {
        Op::Consume => "rskafka".to_owned(),
        _ => format!("rskafka-{}", options.mode),
    };
    from.report(&client, VERSION, options)
}

const VERSION: &str = "0.6.0";

async fn partitions(
    client: &Client,
    options: &Options,
) -> Result<Vec<Arc<PartitionClient>>, Failure> {
    let mut partitions = Vec::new();
    for partition in 0..options.partitions {
        let topic = options.topic.as_str();
        let opened = client.partition_client(topic, partition, UnknownTopicHandling::Retry).await?;
        partitions.push(Arc::new(opened));
    }
    Ok(partitions)
}

/// Produce requests that may be unanswered.
const IN_FLIGHT: usize = 5;

async fn produce_batches(client: &Client, options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let partitions = partitions(client, options).await?;
    send_batches(&partitions, options, payload, options.warmup).await?;
    let from = Usage::now()?;
    send_batches(&partitions, options, payload, options.records).await?;
    report(from, options)
}

/// The application gathers a batch for each partition in turn, of as many records as fit into one.
async fn send_batches(
    partitions: &[Arc<PartitionClient>],
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<(), Failure> {
    let compression = compression(options)?;
    let per_batch = (options.batch_bytes / (options.size + RECORD_OVERHEAD)).max(1) as u64;
    let mut in_flight = VecDeque::with_capacity(IN_FLIGHT);
    let mut at = 0;
    for partition in partitions.iter().cycle() {
        if at == count {
            break;
        }
        let end = count.min(at + per_batch);
        let batch: Vec<Record> = (at..end).map(|index| record(options, payload, index)).collect();
        at = end;
        if in_flight.len() == IN_FLIGHT
            && let Some(oldest) = in_flight.pop_front()
        {
            answered(oldest).await?;
        }
        let partition = Arc::clone(partition);
        in_flight
            .push_back(tokio::spawn(async move { partition.produce(batch, compression).await }));
    }
    for request in in_flight {
        answered(request).await?;
    }
    Ok(())
}

type Request = JoinHandle<Result<Vec<i64>, rskafka::client::error::Error>>;

async fn answered(request: Request) -> Result<(), Failure> {
    request.await??;
    Ok(())
}

/// Futures that are waited for at the same time, as in rskafka's own benchmark, but more of them.
const OUTSTANDING: usize = 10_000;

async fn produce_records(client: &Client, options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let producers = producers(client, options).await?;
    send_records(&producers, options, payload, options.warmup).await?;
    let from = Usage::now()?;
    send_records(&producers, options, payload, options.records).await?;
    report(from, options)
}

async fn producers(
    client: &Client,
    options: &Options,
) -> Result<Vec<BatchProducer<RecordAggregator>>, Failure> {
    let compression = compression(options)?;
    let build = |partition| {
        BatchProducerBuilder::new(partition)
            .with_linger(options.linger())
            .with_compression(compression)
            .build(RecordAggregator::new(options.batch_bytes))
    };
    Ok(partitions(client, options).await?.into_iter().map(build).collect())
}

/// Times each record until it is acknowledged.
async fn acknowledge(client: &Client, options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let producer = Arc::new(producers(client, options).await?.remove(0));
    time(&producer, options, payload, options.warmup).await?;
    let from = Usage::now()?;
    let latencies = time(&producer, options, payload, options.records).await?;
    from.report_with("rskafka-record", VERSION, options, &latencies.figures())
}

/// A record is not sent before its future is polled, so each is a task.
async fn time(
    producer: &Arc<BatchProducer<RecordAggregator>>,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<Latencies, Failure> {
    let (done, mut acknowledged) = mpsc::unbounded_channel::<Instant>();
    let waiter = tokio::spawn(async move {
        let mut latencies = Latencies::of(count);
        while let Some(due) = acknowledged.recv().await {
            latencies.add(due);
        }
        latencies
    });
    let schedule = Schedule::begin(options.rate);
    for index in 0..count {
        let due = schedule.wait_for(index);
        let (producer, done) = (Arc::clone(producer), done.clone());
        let record = record(options, payload, index);
        tokio::spawn(async move {
            if producer.produce(record).await.is_ok() {
                let _ = done.send(due);
            }
        });
    }
    drop(done);
    let latencies = waiter.await?;
    match latencies.len() {
        all if all == count => Ok(latencies),
        some => Err(format!("{some} of {count} records were acknowledged").into()),
    }
}

async fn send_records(
    producers: &[BatchProducer<RecordAggregator>],
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<(), Failure> {
    let mut outstanding = FuturesUnordered::new();
    for index in 0..count {
        let partition = usize::try_from(options.partition(index)).unwrap_or(0);
        outstanding.push(producers[partition].produce(record(options, payload, index)));
        if outstanding.len() == OUTSTANDING {
            outstanding.try_next().await?;
        }
    }
    while outstanding.try_next().await?.is_some() {}
    Ok(())
}

async fn consume(client: &Client, options: &Options) -> Result<(), Failure> {
    let streams = partitions(client, options).await?.into_iter().map(|partition| {
        StreamConsumerBuilder::new(partition, StartOffset::At(0))
            .with_max_batch_size(1 << 20)
            .with_max_wait_ms(500)
            .build()
    });
    let mut records: SelectAll<StreamConsumer> = streams.collect();
    receive(&mut records, options, options.warmup).await?;
    let from = Usage::now()?;
    receive(&mut records, options, options.records).await?;
    report(from, options)
}

async fn receive(
    records: &mut SelectAll<StreamConsumer>,
    options: &Options,
    count: u64,
) -> Result<(), Failure> {
    for _ in 0..count {
        let (record, _) = records.next().await.ok_or("the stream ended")??;
        options.look_at(record.record.value.as_deref())?;
    }
    Ok(())
}

/// Bytes that a record without key and headers takes beside its value.
const RECORD_OVERHEAD: usize = 9;

fn record(options: &Options, payload: Payload, index: u64) -> Record {
    let mut headers = BTreeMap::new();
    if options.keyed {
        headers.extend(HEADERS.map(|(key, value)| (key.to_owned(), value.as_bytes().to_owned())));
    }
    Record {
        key: options.keyed.then(|| key(index).into_bytes()),
        value: Some(payload.value(index).to_owned()),
        headers,
        // What the application passes; reading the clock for each record is not the client's.
        timestamp: TIMESTAMP,
    }
}

const TIMESTAMP: DateTime<Utc> = DateTime::from_timestamp_nanos(1_750_000_000_000_000_000);

fn compression(options: &Options) -> Result<Compression, Failure> {
    Ok(match options.codec.as_str() {
        "none" => Compression::NoCompression,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => return Err(options.no_such_codec()),
    })
}
