//! Reads a topic again from a point in time.

use std::io::{Write, stdout};
use std::time::Duration;

use clap::Parser;
use ottla::{Consumer, Kafka, Record, TopicPartition};
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

/// Prints one partition from the first record that is no older than `since` to its end as of now.
async fn replay(kafka: &Kafka, partition: TopicPartition, since: i64) -> Result<(), Failure> {
    let mut consumer = kafka.standalone_consumer().assign([partition.clone()]).build().await?;
    let begins = consumer.offsets_for_times([(partition.clone(), since)]).await?;
    let ends = consumer.end_offsets([partition.clone()]).await?;
    if let Some((begin, end)) = begins.get(&partition).copied().flatten().zip(ends.get(&partition))
    {
        consumer.seek(&partition, begin.offset)?;
        print_until(&mut consumer, &partition, *end).await?;
    }
    consumer.close(CLOSE).await?;
    Ok(())
}

/// Prints what lies before the offset `end`.
///
/// The last offsets may have no record that anybody sees: there are markers of transactions, and
/// what compaction took. The position moves past them, and whoever only waits for the record in
/// front of `end` waits for ever.
async fn print_until(
    consumer: &mut Consumer,
    partition: &TopicPartition,
    end: i64,
) -> Result<(), Failure> {
    while consumer.position(partition)? < Some(end) {
        let Ok(record) = tokio::time::timeout(LOOK_AGAIN, consumer.recv()).await else { continue };
        let Some(record) = record? else { break };
        if record.offset() < end {
            let value = String::from_utf8_lossy(record.value().unwrap_or_default());
            let (offset, timestamp) = (record.offset(), record.timestamp());
            writeln!(stdout(), "{partition}@{offset} {timestamp} {value}")?;
        }
    }
    Ok(())
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

/// How long a record is waited for before the position is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

const CLOSE: Duration = Duration::from_secs(5);
