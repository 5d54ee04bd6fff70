//! Reads, upper-cases and writes, exactly once, whatever dies.
#![expect(clippy::print_stderr, reason = "this is a program")]

use std::io::IsTerminal as _;
use std::time::Duration;

use clap::Parser;
use ottla::{
    AutoOffsetReset, Batch, Consumer, ConsumerError, Record, RecordRef, TransactionError,
    TransactionOutcome, TransactionalProducer,
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
    let copied = copy(&mut consumer, &mut producer, &options).await;
    let closed = consumer.close(CLOSE).await;
    drop(producer.close(CLOSE).await?);
    copied?;
    Ok(closed?)
}

/// Copies until somebody wants an end, or it cannot go on.
async fn copy(
    consumer: &mut Consumer,
    producer: &mut TransactionalProducer,
    options: &Options,
) -> Result<(), Failure> {
    let mut stop = std::pin::pin!(stop_signal());
    let (mut copied, mut backoff) = (0, BACKOFF);
    loop {
        let first = tokio::select! {
            biased;
            () = &mut stop => return Ok(()),
            first = consumer.poll() => first?,
        };
        let Some(first) = first else { return Ok(()) };
        let (batches, count) = fill(consumer, first, options.batch)?;
        match write(producer, &batches, &options.to).await {
            Ok(()) => (copied, backoff) = (copied + count, BACKOFF),
            Err(error) if goes_on(&error) => {
                eprintln!("not written: {error}");
                consumer.rewind(&batches);
                tokio::time::sleep(backoff).await;
                backoff = MOST_BACKOFF.min(backoff * 2);
            }
            Err(error) => return Err(error.into()),
        }
        if std::io::stderr().is_terminal() {
            eprint!("\r{copied} copied");
        }
    }
}

/// Puts what else is there with a batch, until there are enough records. How many there are then.
fn fill(
    consumer: &mut Consumer,
    first: Batch,
    enough: usize,
) -> Result<(Vec<Batch>, usize), ConsumerError> {
    let mut count = first.records().count();
    let mut batches = vec![first];
    while count < enough
        && let Some(next) = consumer.try_poll()?
    {
        count += next.records().count();
        batches.push(next);
    }
    Ok((batches, count))
}

/// Whether the same records may be written the next time: by this program, or by whoever has their
/// partitions now. What else fails is refused again each time, however often it is tried.
fn goes_on(error: &TransactionError) -> bool {
    error.may_run_again()
        || error.is_retriable()
        || error.is_group_lost()
        || error.is_outcome_unknown()
}

/// Writes batches in a transaction. Where nobody answers the commit, waits until it is known what
/// became of it.
async fn write(
    producer: &mut TransactionalProducer,
    batches: &[Batch],
    to: &str,
) -> Result<(), TransactionError> {
    let unknown = match transact(producer, batches, to).await {
        Err(error) if error.is_outcome_unknown() => error,
        known => return known,
    };
    loop {
        match producer.settle().await {
            Ok(TransactionOutcome::Committed) => return Ok(()),
            Ok(TransactionOutcome::Aborted) => return Err(unknown),
            Err(error) if error.is_outcome_unknown() => {}
            Err(error) => return Err(error),
        }
    }
}

/// Dropped on the way, a transaction is aborted.
async fn transact(
    producer: &mut TransactionalProducer,
    batches: &[Batch],
    to: &str,
) -> Result<(), TransactionError> {
    let transaction = producer.begin().await?;
    for record in batches.iter().flatten() {
        // A record that is not taken fails the transaction, and what comes next says why.
        if transaction.post(in_upper_case(&record, to)).await.is_err() {
            break;
        }
    }
    transaction.commit_offsets(batches).await?;
    transaction.commit().await
}

/// All of a record but its place, its value in upper case.
fn in_upper_case(record: &RecordRef<'_>, to: &str) -> Record {
    let mut copy = Record::to(to).timestamp(record.timestamp());
    if let Some(key) = record.key() {
        copy = copy.key(key.to_vec());
    }
    if let Some(value) = record.value() {
        copy = copy.value(value.to_ascii_uppercase());
    }
    for header in record.headers() {
        // A producer's keys are text, as Java's are.
        let key = String::from_utf8_lossy(header.key).into_owned();
        copy = match header.value {
            Some(value) => copy.header(key, value.to_vec()),
            None => copy.null_header(key),
        };
    }
    copy
}

/// The wait before records are written again. Doubles with each failure, up to the most.
const BACKOFF: Duration = Duration::from_millis(100);
const MOST_BACKOFF: Duration = Duration::from_secs(1);

const CLOSE: Duration = Duration::from_secs(10);
