//! Several members of one group in one program: who owns what, and what each commits by hand.

use std::fmt::Arguments;
use std::io::{Write, stdout};
use std::time::Duration;

use clap::Parser;
use ottla::{
    Assigned, AutoOffsetReset, CommitError, Consumer, ConsumerError, Kafka, ListenerError,
    RebalanceListener, Record, Revoking, ShutdownHandle, TopicPartition,
};
use ottla_examples::{Cluster, Failure, end};
use tokio::sync::mpsc;
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
    /// How many members there are in the end, one at least.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    members: u32,
    /// How many records are sent and read.
    #[arg(long, default_value_t = 300)]
    records: usize,
}

/// Says who gets and gives up what, and commits before giving up.
struct Tell {
    member: u32,
}

impl RebalanceListener for Tell {
    async fn assigned(&self, assigned: &Assigned<'_>) -> Result<(), ListenerError> {
        self.say(format_args!("now owns {}", show(assigned.owned)));
        Ok(())
    }

    async fn revoking(&self, revoking: &Revoking<'_>) -> Result<(), ListenerError> {
        self.say(format_args!("gives up {}", show(revoking.partitions)));
        Ok(revoking.commit().await?)
    }
}

impl Tell {
    fn say(&self, what: Arguments<'_>) {
        // Where nobody reads any more, the next commit ends the program.
        drop(writeln!(stdout(), "member {} {what}", self.member));
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
    let (counter, counted) = mpsc::unbounded_channel();
    let (mut members, mut stops) = (JoinSet::new(), Vec::new());
    for member in 1..=options.members {
        let consumer = kafka
            .consumer(&options.group)
            .subscribe([options.topic.as_str()])
            .start_at(AutoOffsetReset::Earliest)
            .manual_commit()
            .on_rebalance(Tell { member })
            .build()
            .await?;
        stops.push(consumer.shutdown_handle());
        members.spawn(be_member(member, consumer, counter.clone()));
    }
    // Only members count.
    drop(counter);
    send(&kafka, &options).await?;
    until_read(options.records, counted, &mut members).await?;
    writeln!(stdout(), "all {} records were read", options.records)?;
    stops.iter().for_each(ShutdownHandle::shutdown);
    while let Some(left) = members.join_next().await {
        left??;
    }
    Ok(())
}

/// Waits until the members have committed so many records, or one of them fails.
async fn until_read(
    records: usize,
    mut counted: mpsc::UnboundedReceiver<usize>,
    members: &mut JoinSet<Result<(), Failure>>,
) -> Result<(), Failure> {
    let mut left = records;
    while left > 0 {
        tokio::select! {
            biased;
            Some(ended) = members.join_next() => ended??,
            Some(count) = counted.recv() => left = left.saturating_sub(count),
            else => return Err(Failure::new("no member is left to read")),
        }
    }
    Ok(())
}

/// Reads and commits batch by batch, until it is told to stop.
async fn be_member(
    member: u32,
    mut consumer: Consumer,
    counter: mpsc::UnboundedSender<usize>,
) -> Result<(), Failure> {
    while let Some(batch) = consumer.poll().await? {
        match batch.commit().await {
            Ok(()) => {}
            // Whoever has the partition by now reads this again, and commits it.
            Err(ConsumerError::Commit(CommitError::NotOwned { .. } | CommitError::NotMember)) => {
                continue;
            }
            Err(error) => return Err(error.into()),
        }
        let (partition, next) = (batch.topic_partition(), batch.next_offset());
        writeln!(stdout(), "member {member} committed {partition}@{next}")?;
        // Nobody counts any more when the program ends.
        let _closed = counter.send(batch.records().count());
    }
    Ok(consumer.close(CLOSE).await?)
}

async fn send(kafka: &Kafka, options: &Options) -> Result<(), Failure> {
    let producer = kafka.producer().build().await?;
    let record = |number: usize| {
        Record::to(options.topic.as_str()).key(number.to_string()).value(format!("record {number}"))
    };
    for outcome in producer.send_all((0..options.records).map(record)).await {
        outcome?;
    }
    let _report = producer.close(CLOSE).await?;
    Ok(())
}

const CLOSE: Duration = Duration::from_secs(5);
