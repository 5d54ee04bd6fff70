//! Reading, processing and writing, exactly once.

use std::error::Error as StdError;

use ottla_consumer::config::{ConsumerConfig, IsolationLevel};
use ottla_consumer::{Batch, Consumer};
use ottla_core::config::{ConfigError, ConfigProblem};
use ottla_core::error::Error;
use ottla_producer::{Transaction, TransactionError, TransactionOutcome, TransactionalProducer};

/// Reads, processes and writes in transactions, so that each record that was read takes effect
/// exactly once: what the work writes and how far the consumer has read are committed together, or
/// not at all.
///
/// The consumer must read committed records and leave commits to the transactions:
/// [`read_committed`](ottla_consumer::ConsumerBuilder::read_committed) and
/// [`manual_commit`](ottla_consumer::ConsumerBuilder::manual_commit). Build the producer before the
/// consumer: it ends what an instance before it left open, whose offsets the consumer would wait for.
///
/// ```no_run
/// use ottla::{Kafka, Pipeline, Record};
///
/// # async fn run(kafka: Kafka) -> Result<(), ottla::Error> {
/// let mut producer = kafka.producer().transactional("billing-1").build().await?;
/// let mut consumer = kafka.consumer("billing").subscribe(["orders"])
///     .read_committed().manual_commit().build().await?;
/// Pipeline::new(&mut consumer, &mut producer).run(async |transaction, batches| {
///     for order in batches.iter().flatten() {
///         let invoice = order.value().unwrap_or_default().to_vec();
///         transaction.post(Record::to("invoices").value(invoice)).await?;
///     }
///     Ok(())
/// }).await
/// # }
/// ```
#[derive(Debug)]
#[must_use = "a pipeline does nothing until it runs"]
pub struct Pipeline<'a> {
    consumer: &'a mut Consumer,
    producer: &'a mut TransactionalProducer,
    records: usize,
}

impl<'a> Pipeline<'a> {
    /// A pipeline with one batch in each transaction.
    pub fn new(consumer: &'a mut Consumer, producer: &'a mut TransactionalProducer) -> Self {
        Self { consumer, producer, records: 1 }
    }

    /// Puts batches together until a transaction has this many records, as long as there are any: no
    /// transaction waits for records. Batches are never cut for it; the consumer's `max.poll.records`
    /// does that.
    pub fn records(mut self, records: usize) -> Self {
        self.records = records.max(1);
        self
    }

    /// Runs `work` on what is read, each time in a transaction, until the consumer is
    /// [shut down](Consumer::shutdown_handle).
    ///
    /// Where a transaction failed and another may well succeed, `work` is run again with the same
    /// batches ([`TransactionalProducer::transaction`]). Where the group gave partitions to another
    /// member meanwhile, nothing of the transaction is written, and the pipeline goes on with what it
    /// still has. Where nobody answers a commit, it waits until it is known what became of it.
    ///
    /// # Errors
    ///
    /// A setting of the consumer with which records would be processed twice or not at all. Otherwise
    /// what `work`, the consumer or the producer returned: the transaction is aborted, and the consumer
    /// is back in front of its records, so that another run begins with them. After an error that
    /// [is fatal](Error::is_fatal), begin anew with another producer and another consumer.
    ///
    /// # Cancel safety
    ///
    /// A dropped future ends no transaction by half, but the consumer no longer knows which of its
    /// records were processed: give it up too, and let the next one begin at what is committed. To
    /// stop in between, shut the consumer down.
    pub async fn run(
        self,
        mut work: impl AsyncFnMut(&Transaction<'_>, &[Batch]) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let Self { consumer, producer, records } = self;
        check(consumer.config())?;
        while let Some(batches) = take(consumer, records).await? {
            let written = producer.transaction_over(&*batches, &mut work).await;
            if let Err(error) = written {
                if is_committed(producer, &error).await? {
                    continue;
                }
                consumer.rewind(&batches);
                if !goes_on(&error) {
                    return Err(error);
                }
            }
        }
        Ok(())
    }
}

/// Whether a consumer with these settings reads each record that is there once.
fn check(config: &ConsumerConfig) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    let mut refuse = |wrong: bool, text: &str| {
        if wrong {
            problems.push(ConfigProblem::Conflict(text.into()));
        }
    };
    refuse(
        config.enable_auto_commit,
        "enable.auto.commit=true commits what a pipeline may yet abort: build its consumer with \
         manual_commit()",
    );
    refuse(
        config.isolation_level == IsolationLevel::ReadUncommitted,
        "isolation.level=read_uncommitted lets a pipeline process what is aborted later: build its \
         consumer with read_committed()",
    );
    ConfigError::check(problems)
}

/// Waits for a batch, and takes what else is there.
async fn take(consumer: &mut Consumer, most: usize) -> Result<Option<Vec<Batch>>, Error> {
    let Some(first) = consumer.poll().await? else { return Ok(None) };
    let mut count = first.records().count();
    let mut batches = vec![first];
    while count < most {
        match consumer.try_poll() {
            Ok(Some(next)) => {
                count += next.records().count();
                batches.push(next);
            }
            Ok(None) => break,
            Err(error) => {
                consumer.rewind(&batches);
                return Err(error.into());
            }
        }
    }
    Ok(Some(batches))
}

/// Whether the transaction is committed after all, though nobody said so in time.
async fn is_committed(producer: &mut TransactionalProducer, error: &Error) -> Result<bool, Error> {
    if !cause(error).is_some_and(TransactionError::is_outcome_unknown) {
        return Ok(false);
    }
    loop {
        match producer.settle().await {
            Ok(outcome) => return Ok(outcome == TransactionOutcome::Committed),
            Err(error) if error.is_outcome_unknown() => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Whether an error is a part of life: others read what was read here, or nobody answered.
fn goes_on(error: &Error) -> bool {
    cause(error).is_some_and(|cause| cause.is_group_lost() || cause.is_outcome_unknown())
}

fn cause(error: &Error) -> Option<&TransactionError> {
    error.source()?.downcast_ref()
}
