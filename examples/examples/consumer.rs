//! Records become lines.

use std::io::Write as _;
use std::time::Duration;

use clap::Parser;
use ottla::{AutoOffsetReset, Consumer, Kafka, TopicPartition};
use ottla_examples::format::Format;
use ottla_examples::{Cluster, Failure, end, stop_signal};

#[derive(Parser)]
#[command(about = "Writes the records of a topic to standard output")]
struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// The topic to read.
    #[arg(long)]
    topic: String,
    /// The group to read as: what was written is committed. Without it, all partitions are read and
    /// nothing is committed.
    #[arg(long)]
    group: Option<String>,
    /// Begins with the oldest record where no offset is committed: auto.offset.reset=earliest.
    #[arg(long)]
    from_beginning: bool,
    /// Ends after so many records.
    #[arg(long)]
    max_records: Option<usize>,
    /// Shows keys too, with this between key and value.
    #[arg(long)]
    key_separator: Option<String>,
    /// How a record is shown: %t topic, %p partition, %o offset, %k key, %v value, %h headers,
    /// %T timestamp, \n, \t.
    #[arg(long)]
    format: Option<String>,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    end(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let format = match (&options.format, &options.key_separator) {
        (Some(format), _) => Format::parse(format),
        (None, Some(separator)) => Format::parse(&format!("%k{separator}%v\n")),
        (None, None) => Format::parse("%v\n"),
    }
    .map_err(Failure::new)?;
    let kafka = options.cluster.connect(&[(&options.topic, 1)]).await?;
    let builder = match &options.group {
        Some(group) => kafka.consumer(group).subscribe([options.topic.as_str()]),
        None => kafka.standalone_consumer().assign(partitions(&kafka, &options.topic).await?),
    };
    // Without the flag, it is as the settings say.
    let builder = match options.from_beginning {
        true => builder.start_at(AutoOffsetReset::Earliest),
        false => builder,
    };
    let mut consumer = builder.explicit_acks().build().await?;
    let written = write(&mut consumer, &format, options.max_records.unwrap_or(usize::MAX)).await;
    let closed = consumer.close(CLOSE).await;
    written?;
    Ok(closed?)
}

async fn partitions(kafka: &Kafka, topic: &str) -> Result<Vec<TopicPartition>, Failure> {
    let described = kafka.admin().describe_topic(topic).await?;
    let count = i32::try_from(described.partitions.len()).unwrap_or(i32::MAX);
    Ok((0..count).map(|number| TopicPartition::new(topic, number)).collect())
}

/// Writes records until there are enough, or somebody wants an end.
async fn write(consumer: &mut Consumer, format: &Format, most: usize) -> Result<(), Failure> {
    let mut stop = std::pin::pin!(stop_signal());
    let mut left = most;
    while left > 0 {
        let batch = tokio::select! {
            biased;
            () = &mut stop => break,
            batch = consumer.poll() => batch?,
        };
        let Some(batch) = batch else { break };
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut written = 0;
        for record in batch.records().take(left) {
            format.write(&batch, &record, &mut out)?;
            written += 1;
        }
        // Whoever reads this sees each record when it is there.
        out.flush()?;
        // Only now: a record that was not written is for whoever reads as this group next.
        batch.into_records().take(written).for_each(|record| record.ack());
        left -= written;
    }
    Ok(())
}

const CLOSE: Duration = Duration::from_secs(10);
