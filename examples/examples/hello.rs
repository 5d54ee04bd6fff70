//! Ten lines of ottla: a record goes out, and comes back.

use std::io::{Write, stdout};

use clap::Parser;
use ottla::{Record, TopicPartition};
use ottla_examples::{Cluster, Failure, end};

#[derive(Parser)]
#[command(about = "Sends a record and reads it back")]
struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// The topic to use.
    #[arg(long, default_value = "hello")]
    topic: String,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    end(hello(Options::parse()).await)
}

async fn hello(Options { cluster, topic }: Options) -> Result<(), Failure> {
    let kafka = cluster.connect(&[(&topic, 1)]).await?;

    let producer = kafka.producer().build().await?;
    let sent = producer.send(Record::to(&*topic).key("42").value("hello, Kafka")).await?;
    writeln!(stdout(), "written to partition {} at offset {}", sent.partition, sent.offset)?;

    let there = TopicPartition::new(&*topic, sent.partition);
    let mut consumer = kafka.standalone_consumer().assign([there.clone()]).build().await?;
    consumer.seek(&there, sent.offset.known().unwrap_or_default())?;
    if let Some(record) = consumer.recv().await? {
        let value = String::from_utf8_lossy(record.value().unwrap_or_default());
        writeln!(stdout(), "read back: {value}")?;
    }

    consumer.close(CLOSE).await?;
    let _report = producer.close(CLOSE).await?;
    Ok(())
}

const CLOSE: std::time::Duration = std::time::Duration::from_secs(5);
