//! Reads a topic again from a point in time.
#![expect(clippy::print_stdout, reason = "this is a program")]

use std::time::Duration;

use clap::Parser;
use ottla::admin::offsets::OffsetSpec;
use ottla::{Kafka, Record, TopicPartition};
use ottla_examples::{Cluster, Connected, Failure, end};

#[derive(Parser)]
#[command(about = "Prints the records that are no older than a timestamp")]
struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// The topic to read.
    #[arg(long, default_value = "replay-example")]
    topic: String,
    /// Milliseconds since 1970; without it, the embedded broker's records from the middle on.
    #[arg(long)]
    since: Option<i64>,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    end(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let kafka = options.cluster.connect(&[(&options.topic, 2)]).await?;
    let since = match options.since {
        Some(since) => since,
        None => middle_of_a_demonstration(&kafka, &options.topic).await?,
    };
    let described = kafka.admin().describe_topic(options.topic.as_str()).await?;
    for (number, _) in (0..).zip(&described.partitions) {
        replay(&kafka, TopicPartition::new(options.topic.as_str(), number), since).await?;
    }
    Ok(())
}

/// Prints one partition from the first record that is no older than `since` to its end.
async fn replay(kafka: &Kafka, partition: TopicPartition, since: i64) -> Result<(), Failure> {
    if offset(kafka, &partition, OffsetSpec::At(since)).await?.is_none() {
        return Ok(());
    }
    let end = offset(kafka, &partition, OffsetSpec::Latest).await?.unwrap_or(0);
    let mut consumer = kafka.standalone_consumer().assign([partition.clone()]).build().await?;
    consumer.seek_to_timestamp(&partition, since)?;
    while let Some(record) = consumer.recv().await? {
        let value = String::from_utf8_lossy(record.value().unwrap_or_default()).into_owned();
        println!("{partition}@{} {} {value}", record.offset(), record.timestamp());
        if record.offset() + 1 >= end {
            break;
        }
    }
    consumer.close(CLOSE).await?;
    Ok(())
}

async fn offset(
    kafka: &Kafka,
    partition: &TopicPartition,
    spec: OffsetSpec,
) -> Result<Option<i64>, Failure> {
    let listed = kafka.admin().list_offsets([(partition.clone(), spec)]).await.into_result()?;
    Ok(listed.get(partition).and_then(|listed| listed.offset))
}

/// Ten records a minute apart, and the time in their middle.
async fn middle_of_a_demonstration(kafka: &Connected, topic: &str) -> Result<i64, Failure> {
    if !kafka.is_embedded() {
        return Err(Failure::new("--since is needed on a cluster that is not embedded"));
    }
    let producer = kafka.producer().build().await?;
    for minute in 0..10_i64 {
        let record = Record::to(topic).timestamp(BEGIN + minute * 60_000);
        producer.send(record.value(format!("minute {minute}"))).await?;
    }
    Ok(BEGIN + 5 * 60_000)
}

/// 2024-01-01, in milliseconds since 1970.
const BEGIN: i64 = 1_704_067_200_000;

const CLOSE: Duration = Duration::from_secs(5);
