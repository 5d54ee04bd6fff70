//! Reads, upper-cases and writes, exactly once, whatever dies.
#![expect(clippy::print_stderr, reason = "this is a program")]

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Parser;
use ottla::{
    AutoOffsetReset, Batch, Consumer, Error, Record, TransactionError, TransactionOutcome,
    TransactionalProducer,
};
use ottla_examples::{Cluster, Failure, end, stop_signal};

#[derive(Parser)]
#[command(about = "Copies a topic with its values in upper case, in transactions")]
struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// The topic to read.
    #[arg(long)]
    from: String,
    /// The topic to write.
    #[arg(long)]
    to: String,
    /// The group to read as.
    #[arg(long)]
    group: String,
    /// Who this is: the same after each restart, and nobody else's.
    #[arg(long)]
    transactional_id: String,
    /// How many records a transaction has, where there are so many.
    #[arg(long, default_value_t = 500)]
    batch: usize,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    end(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let kafka = options.cluster.connect(&[(&options.from, 1), (&options.to, 1)]).await?;
    // First: it ends what an instance before this one left open, for which a consumer would wait.
    let id = options.transactional_id.as_str();
    let mut producer = kafka.producer().transactional(id).build().await?;
    let mut consumer = kafka
        .consumer(&options.group)
        .subscribe([options.from.as_str()])
        .start_at(AutoOffsetReset::Earliest)
        .read_committed()
        .manual_commit()
        // A restart takes the partitions back at once, and not when the session is over.
        .configure(|config| config.group_instance_id = Some(id.into()))
        .build()
        .await?;
    let stop = consumer.shutdown_handle();
    let copied = tokio::select! {
        biased;
        copied = copy(&mut consumer, &mut producer, &options) => copied,
        () = async { stop_signal().await; stop.shutdown(); std::future::pending().await } => Ok(()),
    };
    consumer.close(CLOSE).await?;
    drop(producer.close(CLOSE).await?);
    Ok(copied?)
}

async fn copy(
    consumer: &mut Consumer,
    producer: &mut TransactionalProducer,
    options: &Options,
) -> Result<(), Error> {
    let mut copied = 0;
    while let Some(first) = consumer.poll().await? {
        let mut count = first.records().count();
        let mut batches = vec![first];
        while count < options.batch
            && let Some(next) = consumer.try_poll()?
        {
            count += next.records().count();
            batches.push(next);
        }
        let written = match transact(producer, &batches, &options.to).await {
            Ok(()) => true,
            Err(error) if error.is_outcome_unknown() => {
                producer.settle().await? == TransactionOutcome::Committed
            }
            Err(error) if error.is_fatal() => return Err(error.into()),
            Err(error) => {
                eprintln!("not written: {error}");
                false
            }
        };
        if !written {
            consumer.rewind(&batches);
            continue;
        }
        copied += count;
        if std::io::stderr().is_terminal() {
            eprint!("\r{copied} copied");
        }
    }
    Ok(())
}

/// Dropped on the way, a transaction is aborted.
async fn transact(
    producer: &mut TransactionalProducer,
    batches: &[Batch],
    to: &str,
) -> Result<(), TransactionError> {
    let transaction = producer.begin().await?;
    for record in batches.iter().flatten() {
        let mut copy = Record::to(to).timestamp(record.timestamp());
        if let Some(key) = record.key() {
            copy = copy.key(key.to_vec());
        }
        if let Some(value) = record.value() {
            copy = copy.value(value.to_ascii_uppercase());
        }
        // A record that is not taken fails the transaction, and what comes next says why.
        if transaction.post(copy).await.is_err() {
            break;
        }
    }
    transaction.commit_offsets(batches).await?;
    transaction.commit().await
}

const CLOSE: Duration = Duration::from_secs(10);
