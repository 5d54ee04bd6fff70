//! Several members of one group in one program: who owns what, and what each commits by hand.
#![expect(clippy::print_stdout, reason = "this is a program")]

use std::time::Duration;

use clap::Parser;
use ottla::{
    Assigned, AutoOffsetReset, Kafka, ListenerError, RebalanceListener, Record, Revoking,
    TopicPartition,
};
use ottla_examples::{Cluster, Failure, end};
use tokio::task::JoinSet;

#[derive(Parser)]
#[command(about = "Shares a topic among members that come one by one")]
struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// The topic to read.
    #[arg(long, default_value = "group-example")]
    topic: String,
    /// The group to be members of.
    #[arg(long, default_value = "group-example")]
    group: String,
    /// How many members there are in the end.
    #[arg(long, default_value_t = 3)]
    members: u32,
    /// How many records are sent and read.
    #[arg(long, default_value_t = 300)]
    records: u64,
}

/// Says who gets and gives up what, and commits before giving up.
struct Tell {
    member: u32,
}

impl RebalanceListener for Tell {
    async fn assigned(&self, assigned: &Assigned<'_>) -> Result<(), ListenerError> {
        println!("member {} now owns {}", self.member, show(assigned.owned));
        Ok(())
    }

    async fn revoking(&self, revoking: &Revoking<'_>) -> Result<(), ListenerError> {
        println!("member {} gives up {}", self.member, show(revoking.partitions));
        Ok(revoking.commit().await?)
    }
}

fn show(partitions: &[TopicPartition]) -> String {
    let shown: Vec<String> = partitions.iter().map(ToString::to_string).collect();
    shown.join(" ")
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    end(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let kafka = options.cluster.connect(&[(&options.topic, 6)]).await?;
    let (counted, mut count) = tokio::sync::mpsc::unbounded_channel();
    let mut members = JoinSet::new();
    for member in 1..=options.members {
        let consumer = kafka
            .consumer(&options.group)
            .subscribe([options.topic.as_str()])
            .start_at(AutoOffsetReset::Earliest)
            .manual_commit()
            .on_rebalance(Tell { member })
            .build()
            .await?;
        members.spawn(be_member(member, consumer, counted.clone()));
    }
    send(&kafka, &options).await?;
    for _ in 0..options.records {
        let _offset = count.recv().await;
    }
    println!("all {} records were read", options.records);
    members.shutdown().await;
    Ok(())
}

/// Reads and commits batch by batch, until the program ends.
async fn be_member(
    member: u32,
    mut consumer: ottla::Consumer,
    counted: tokio::sync::mpsc::UnboundedSender<i64>,
) -> Result<(), ottla::Error> {
    while let Some(batch) = consumer.poll().await? {
        for record in &batch {
            // Nobody counts any more when the program ends.
            let _closed = counted.send(record.offset());
        }
        batch.commit().await?;
        println!("member {member} committed {}@{}", batch.topic_partition(), batch.next_offset());
    }
    Ok(())
}

async fn send(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let producer = kafka.producer().build().await?;
    let record = |number: u64| {
        Record::to(options.topic.as_str()).key(number.to_string()).value(format!("record {number}"))
    };
    for outcome in producer.send_all((0..options.records).map(record)).await {
        outcome?;
    }
    let _report = producer.close(Duration::from_secs(5)).await?;
    Ok(())
}
