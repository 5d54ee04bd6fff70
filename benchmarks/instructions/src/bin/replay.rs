//! What is counted: one hot path, so often, on one thread. `replay PATH TIMES` goes along PATH with
//! TIMES thousand records.

use std::collections::VecDeque;
use std::error::Error;
use std::hint::black_box;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use nullbroker::{Broker, CannedLog, Config, Payload, Trouble, Versions, net};
use ottla::runtime::{BoxStream, Dialer, Runtime};
use ottla::{Kafka, TopicPartition};
use ottla_protocol::compression::Compression;
use ottla_protocol::records::{Batch, BatchBuilder, BatchDecoder, Batches, NewRecord, SealOptions};

type Failure = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let (path, times) = (arguments.next(), arguments.next());
    let times: u64 = times.ok_or("usage: replay PATH TIMES")?.parse()?;
    match path.as_deref() {
        Some("encode-100") => encode(100, times),
        Some("encode-1024") => encode(1_024, times),
        Some("decode-100") => decode(100, times),
        Some("decode-1024") => decode(1_024, times),
        Some("produce-100") => on_one_thread(produce(times)),
        Some("produce-awaited-100") => on_one_thread(produce_awaited(times)),
        Some("consume-100") => on_one_thread(consume(times)),
        _ => Err("no such path".into()),
    }
}

const RECORDS: usize = 1_000;

const TIMESTAMP: i64 = 1_750_000_000_000;

fn encode(size: usize, times: u64) -> Result<(), Failure> {
    let values = values(size);
    let mut buffer = Vec::new();
    for _ in 0..times {
        buffer = batch(std::mem::take(&mut buffer), black_box(&values), size)?;
    }
    black_box(buffer);
    Ok(())
}

fn batch(mut buffer: Vec<u8>, values: &[u8], size: usize) -> Result<Vec<u8>, Failure> {
    buffer.clear();
    let mut builder = BatchBuilder::with_buffer(buffer);
    for value in values.chunks_exact(size) {
        builder.append(NewRecord::new(TIMESTAMP, None, Some(value)))?;
    }
    Ok(builder.seal(&SealOptions::default()).into_buffer())
}

fn decode(size: usize, times: u64) -> Result<(), Failure> {
    let encoded = Bytes::from(batch(Vec::new(), &values(size), size)?);
    let mut decoder = BatchDecoder::new(64 << 20);
    for _ in 0..times {
        for batch in Batches::new(black_box(&encoded).clone()) {
            let Batch::V2(batch) = batch? else { return Err("magic 2 was written".into()) };
            batch.verify_crc()?;
            for record in decoder.records(&batch)? {
                black_box(record?.value);
            }
        }
    }
    Ok(())
}

/// `RECORDS` different values.
fn values(size: usize) -> Vec<u8> {
    (0..RECORDS * size).map(|at| (at * 31 + at / size) as u8).collect()
}

/// The whole client and a null broker, joined in memory.
fn on_one_thread(path: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(path)
}

/// From the application to its acknowledgement, which is asked for in the end.
async fn produce(times: u64) -> Result<(), Failure> {
    let values = values(VALUE);
    let producer = connect().await?.producer().linger(NEVER).build().await?;
    let topic = producer.topic("bench").await?;
    for _ in 0..times {
        for value in values.chunks_exact(VALUE) {
            match topic.try_post(None, Some(value)) {
                Err(error) if error.would_wait() => topic.post(None, Some(value)).await?,
                posted => posted?,
            }
        }
        // What is full leaves now, whatever the time is.
        tokio::task::yield_now().await;
    }
    producer.flush().await;
    match producer.delivered() {
        delivered if delivered == times * RECORDS as u64 => Ok(()),
        delivered => Err(format!("{delivered} records were acknowledged").into()),
    }
}

/// From the application to the acknowledgement of each record.
async fn produce_awaited(times: u64) -> Result<(), Failure> {
    let values = values(VALUE);
    let producer = connect().await?.producer().linger(NEVER).build().await?;
    let topic = producer.topic("bench").await?;
    let mut outstanding = VecDeque::with_capacity(OUTSTANDING);
    for _ in 0..times {
        for value in values.chunks_exact(VALUE) {
            outstanding.push_back(topic.enqueue(None, Some(value)).await?);
            if outstanding.len() == OUTSTANDING
                && let Some(oldest) = outstanding.pop_front()
            {
                oldest.await?;
            }
        }
    }
    let last = tokio::spawn(async move { producer.flush().await });
    for delivery in outstanding {
        delivery.await?;
    }
    Ok(last.await?)
}

/// Deliveries that are kept before the oldest is awaited: more than a batch has.
const OUTSTANDING: usize = 10_000;

/// From the answer to the application.
async fn consume(times: u64) -> Result<(), Failure> {
    let assigned = [TopicPartition::new("bench", 0)];
    let kafka = connect().await?;
    let mut consumer = kafka.standalone_consumer().assign(assigned).build().await?;
    let mut left = times * RECORDS as u64;
    while left != 0 {
        let batch = consumer.poll().await?.ok_or("the consumer ended")?;
        for record in &batch {
            black_box(record.value());
            left = left.saturating_sub(1);
        }
    }
    Ok(())
}

const VALUE: usize = 100;

/// Batches leave when they are full. A clock that runs slowly, as it does when instructions are
/// counted, must not make more of them.
const NEVER: Duration = Duration::from_secs(80);

async fn connect() -> Result<Kafka, Failure> {
    let payload = Payload::new(values(VALUE), VALUE)?;
    let broker = Arc::new(Mutex::new(Broker::new(Config {
        host: "null".into(),
        port: 9_092,
        partitions: 1,
        versions: Versions::Newest,
        delay: Duration::ZERO,
        verify: false,
        log: CannedLog::encode(&payload, Compression::None, 64 << 10, i64::MAX / 2)?,
        trouble: Trouble::default(),
    })));
    let dialer: Dialer = Arc::new(move |_| {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        tokio::spawn(net::attend(theirs, Arc::clone(&broker)));
        Box::pin(async move { Ok(Box::new(ours) as BoxStream) })
    });
    // The coarse clock of the kernel cannot be found under valgrind; this one costs 100 instructions
    // a record more.
    let runtime = Runtime::builder().dialer(dialer).wall_clock(TIMESTAMP).seed(7).build();
    let kafka = Kafka::builder()
        .bootstrap_servers("null:9092")
        .set("batch.size", 64 << 10)
        .set("auto.offset.reset", "earliest")
        .runtime(runtime)
        .connect()
        .await?;
    Ok(kafka)
}
