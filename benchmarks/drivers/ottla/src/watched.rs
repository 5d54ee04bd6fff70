//! What is held, and how often something wakes up, where little or nothing happens.

use std::time::{Duration, Instant};

use bench_driver::{Failure, Held, Options, Usage, held_bytes, mebibytes, settled};
use ottla::TopicPartition;
use tokio::time::{sleep, timeout};

/// Many clients that have each sent one record, and do nothing more.
pub async fn idle_clients(options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let before = held_bytes();
    let mut clients = Vec::new();
    for index in 0..options.clients {
        let producer = crate::connect(options).await?.producer().build().await?;
        let topic = producer.topic(options.topic.as_str()).await?;
        topic.send(None, Some(payload.value(index))).await?;
        clients.push((producer, topic));
    }
    let from = settle(options).await?;
    sleep(options.duration()).await;
    report_idle(from, options, before, options.clients)
}

/// Many partitions that are assigned and empty.
pub async fn idle_partitions(options: &Options) -> Result<(), Failure> {
    let before = held_bytes();
    let partitions = (0..options.partitions)
        .map(|partition| TopicPartition::new(options.topic.as_str(), partition));
    let kafka = crate::connect(options).await?;
    let mut consumer = kafka.standalone_consumer().assign(partitions).build().await?;
    // Until every position is known, and every partition is in the session.
    drop(timeout(SETTLING, consumer.poll()).await);
    let from = settle(options).await?;
    drop(timeout(options.duration(), consumer.poll()).await);
    report_idle(from, options, before, u64::try_from(options.partitions)?)
}

async fn settle(_: &Options) -> Result<Usage, Failure> {
    sleep(Duration::from_secs(1)).await;
    settled();
    Usage::now()
}

fn report_idle(from: Usage, options: &Options, before: u64, count: u64) -> Result<(), Failure> {
    let wakeups = from.wakeups()? / options.seconds as f64;
    let each = held_bytes().saturating_sub(before) as f64 / count as f64;
    let figures = [("bytes_each", each), ("wakeups_per_s", wakeups)];
    crate::report_with(from, options, &figures)
}

/// Takes one batch, and then nothing more.
pub async fn stall(options: &Options) -> Result<(), Failure> {
    let held = Held::watch();
    let partitions = (0..options.partitions)
        .map(|partition| TopicPartition::new(options.topic.as_str(), partition));
    let kafka = crate::connect(options).await?;
    let mut consumer = kafka.standalone_consumer().assign(partitions).build().await?;
    drop(consumer.poll().await?);
    let from = Usage::now()?;
    sleep(options.duration()).await;
    let (most, _) = held.end();
    crate::report_with(from, options, &[("held_mib", mebibytes(most))])
}

/// Offers so many records in a second, whatever becomes of them. What there is no room for is dropped.
pub async fn overload(options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let producer = crate::connect(options).await?.producer().build().await?;
    let topic = producer.topic(options.topic.as_str()).await?;
    topic.send(None, Some(payload.value(0))).await?;
    let (held, from) = (Held::watch(), Usage::now()?);
    let (began, mut offered, mut refused) = (Instant::now(), 0, 0);
    while began.elapsed() < options.duration() {
        let due = (began.elapsed().as_secs_f64() * options.rate as f64) as u64;
        for index in offered..due {
            match topic.try_post(None, Some(payload.value(index))) {
                Err(error) if error.would_wait() => refused += 1,
                posted => posted?,
            }
        }
        offered = due;
        sleep(Duration::from_millis(1)).await;
    }
    producer.flush().await;
    sleep(SETTLING).await;
    let (most, left) = held.end();
    let accepted = 100.0 * (offered - refused) as f64 / offered as f64;
    let figures = [
        ("most_mib", mebibytes(most)),
        ("left_mib", mebibytes(left)),
        ("accepted_percent", accepted),
        ("expired_percent", 100.0 * producer.failed() as f64 / offered as f64),
    ];
    crate::report_with(from, options, &figures)
}

/// How long it may take until nothing moves any more.
const SETTLING: Duration = Duration::from_secs(3);
