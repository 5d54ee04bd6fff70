//! The transactional producer.

use std::time::Duration;

use ottla_core::net::Client;
use ottla_core::retry::Backoff;
use ottla_core::types::Progress;

use super::handle::Transaction;
use crate::error::TransactionError;
use crate::machine::transaction::{Begun, Decision, Protocol, Transactions};
use crate::net::builder::ProducerBuilder;
use crate::net::close::{AlreadyClosed, CloseReport};
use crate::net::producer::Producer;
use crate::net::shared::Shared;

/// Writes records in transactions: all of one are there for who reads committed, or none.
///
/// It cannot send outside of a transaction, and has one at a time: there is no method for the one,
/// and the borrow checker sees to the other.
///
/// ```compile_fail,E0499
/// # async fn run(mut producer: ottla_producer::TransactionalProducer) {
/// let first = producer.begin().await.unwrap();
/// let second = producer.begin().await.unwrap();
/// first.commit().await.unwrap();
/// # }
/// ```
///
/// A transaction that has ended takes nothing any more:
///
/// ```compile_fail,E0382
/// # async fn run(mut producer: ottla_producer::TransactionalProducer) {
/// let transaction = producer.begin().await.unwrap();
/// transaction.commit().await.unwrap();
/// transaction.send(ottla_producer::Record::to("t")).await.unwrap();
/// # }
/// ```
///
/// Dropping it waits for nothing: a transaction that is open is aborted in the background.
///
/// # Delivery
///
/// A transaction whose [`commit`](Transaction::commit) returned is there exactly once, whatever was
/// sent more than once on the way. One that failed with an error that
/// [requires an abort](TransactionError::requires_abort) is not there.
///
/// # Kafka
///
/// Java's `KafkaProducer` with `transactional.id`; KIP-98, KIP-447, KIP-588, KIP-654, and KIP-890
/// where the cluster has finalized `transaction.version` 2.
#[derive(Debug)]
pub struct TransactionalProducer {
    producer: Producer,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransactionOutcome {
    /// It is committed.
    Committed,
    /// It is aborted, or there was none.
    Aborted,
}

impl TransactionalProducer {
    /// Begins a producer over `client`, that is known by `id` across restarts.
    pub fn builder(client: &Client, id: &str) -> super::TransactionalProducerBuilder {
        ProducerBuilder::new(client).transactional(id)
    }

    pub(super) fn new(producer: Producer) -> Self {
        Self { producer }
    }

    /// The transactional id.
    #[must_use]
    pub fn transactional_id(&self) -> &str {
        let id = self.shared().accumulator.common.config.transactional_id.as_ref();
        id.map_or("", |id| id)
    }

    /// Begins a transaction. If the one before is still ending, as one is that was dropped, waits
    /// for that.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Fatal`] when the producer was fenced or refused,
    /// [`TransactionError::Timeout`] when the one before has not ended within `max.block.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has begun nothing.
    ///
    /// # Kafka
    ///
    /// Java's `beginTransaction`.
    pub async fn begin(&mut self) -> Result<Transaction<'_>, TransactionError> {
        let shared = self.shared();
        if shared.is_closed() {
            return Err(shared.closed());
        }
        let within = shared.max_block();
        let client = &shared.client;
        // One that was forgotten, so that not even its drop was seen.
        shared.transact(Transactions::wind_down);
        let begun = shared.await_transaction(within, |machine| {
            let protocol = Protocol::of_level(client.feature("transaction.version"));
            match machine.begin(protocol, client.runtime().now()) {
                Begun::Open(number) => Some(Ok(number)),
                Begun::NotYet => None,
                Begun::Refused(error) => Some(Err(error)),
            }
        });
        let number = begun.await.unwrap_or_else(|| Err(shared.timeout("begin")))?;
        Ok(Transaction::new(&self.producer, number))
    }

    /// Runs `work` in a transaction, which is committed when it returns `Ok` and aborted when it
    /// returns `Err` or panics.
    ///
    /// Where the transaction failed, and not the work, and another one may well succeed
    /// ([`may_run_again`](TransactionError::may_run_again)), `work` is run again in a new one: up to
    /// five times in all, with waits from `retry.backoff.ms` up to `retry.backoff.max.ms` between. So
    /// it must be such that it can be, and do nothing that cannot be taken back.
    ///
    /// In a task of its own, `work` has to own what it uses: `async move |transaction| …`. Of one that
    /// borrows, the compiler does not see yet that it is [`Send`].
    ///
    /// # Errors
    ///
    /// What `work` returns, and [`TransactionError`] where the transaction could not be begun or
    /// committed.
    ///
    /// # Cancel safety
    ///
    /// A dropped future aborts the transaction, unless `work` has returned `Ok`: then it goes on to
    /// be committed.
    pub async fn transaction<T, E>(
        &mut self,
        mut work: impl AsyncFnMut(&Transaction<'_>) -> Result<T, E>,
    ) -> Result<T, E>
    where
        E: From<TransactionError>,
    {
        let mut runs = Runs::begin(self.shared());
        loop {
            let transaction = self.begin().await?;
            let worked = work(&transaction).await;
            match finish(transaction, worked).await {
                Ok(value) => return Ok(value),
                Err((failure, error)) => {
                    if !runs.another(self.shared(), failure).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// As [`transaction`](Self::transaction), for something that was read: `work` is given it, and
    /// how far it goes is committed with the transaction. `work` is lent, as it is run for one batch after
    /// the other.
    ///
    /// Where the group has given the partitions to another member since, nothing is written, and the
    /// error is one of a [lost group](TransactionError::is_group_lost).
    ///
    /// # Errors
    ///
    /// As [`transaction`](Self::transaction), and
    /// [`commit_offsets`](Transaction::commit_offsets).
    ///
    /// # Cancel safety
    ///
    /// As [`transaction`](Self::transaction).
    pub async fn transaction_over<P, T, E>(
        &mut self,
        read: &P,
        work: &mut impl AsyncFnMut(&Transaction<'_>, &P) -> Result<T, E>,
    ) -> Result<T, E>
    where
        P: Progress + ?Sized + Sync,
        E: From<TransactionError>,
    {
        let mut runs = Runs::begin(self.shared());
        loop {
            let transaction = self.begin().await?;
            let mut worked = work(&transaction, read).await;
            if worked.is_ok()
                && let Err(error) = transaction.commit_offsets(read).await
            {
                worked = Err(error.into());
            }
            match finish(transaction, worked).await {
                Ok(value) => return Ok(value),
                Err((failure, error)) => {
                    if !runs.another(self.shared(), failure).await {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// Waits until nothing is left to be done for the latest transaction, and says what became of
    /// it: to be asked after [`TransactionError::OutcomeUnknown`].
    ///
    /// # Errors
    ///
    /// [`TransactionError::Fatal`], whose [certainty](TransactionError::certainty) says whether it
    /// may be committed; [`TransactionError::OutcomeUnknown`], when that is not known within
    /// `max.block.ms` either.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    pub async fn settle(&mut self) -> Result<TransactionOutcome, TransactionError> {
        let shared = self.shared();
        let within = shared.max_block();
        let settled = shared.await_transaction(within, |machine| machine.settled()).await;
        match settled.unwrap_or_else(|| Err(shared.unknown(within))) {
            Ok(Decision::Commit) => Ok(TransactionOutcome::Committed),
            Ok(Decision::Abort) | Err(TransactionError::Aborted { .. }) => {
                Ok(TransactionOutcome::Aborted)
            }
            Err(error) => Err(error),
        }
    }

    /// Closes the producer: aborts what is open, waits up to `timeout` until that and what was to be
    /// committed has ended, and gives up on the rest.
    ///
    /// # Errors
    ///
    /// [`AlreadyClosed`], when it is.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the producer is dropped: it ends in the background.
    pub async fn close(self, timeout: Duration) -> Result<CloseReport, AlreadyClosed> {
        self.producer.close(timeout).await
    }

    /// Records acknowledged so far, whatever became of their transactions.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.producer.delivered()
    }

    /// Records that were taken and have failed so far.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.producer.failed()
    }

    /// Waits until the coordinator has said who this is.
    pub(super) async fn initialized(&self) -> Result<(), TransactionError> {
        let shared = self.shared();
        let known = |machine: &mut Transactions| machine.initialized();
        let initialized = shared.await_transaction(shared.max_block(), known).await;
        initialized.unwrap_or_else(|| Err(shared.timeout("producer id")))
    }

    fn shared(&self) -> &Shared {
        self.producer.shared()
    }
}

/// Ends a transaction as its work did: gives back why it failed, if it did, and what to return.
async fn finish<T, E: From<TransactionError>>(
    transaction: Transaction<'_>,
    worked: Result<T, E>,
) -> Result<T, (Option<TransactionError>, E)> {
    match worked {
        Ok(value) => match transaction.commit().await {
            Ok(()) => Ok(value),
            Err(error) => Err((Some(error.clone()), error.into())),
        },
        Err(error) => {
            let failure = transaction.failure();
            // Why it was given up says more than why that took long.
            drop(transaction.abort().await);
            Err((failure, error))
        }
    }
}

/// How often the work of a transaction was run.
struct Runs(Backoff);

impl Runs {
    fn begin(shared: &Shared) -> Self {
        let config = &shared.accumulator.common.config;
        Self(Backoff::new(config.retry_backoff, config.retry_backoff_max))
    }

    /// Waits for another run, if there is to be one after a transaction that failed so.
    async fn another(&mut self, shared: &Shared, failure: Option<TransactionError>) -> bool {
        let runtime = shared.client.runtime();
        let wait = self.0.fail(runtime.random());
        let again =
            failure.is_some_and(|failure| failure.may_run_again()) && self.0.failures() < MOST_RUNS;
        if again {
            runtime.sleep(wait).await;
        }
        again
    }
}

impl Shared {
    pub(super) fn max_block(&self) -> Duration {
        self.accumulator.common.config.max_block
    }

    /// Something took longer than a call may.
    pub(super) fn timeout(&self, operation: &'static str) -> TransactionError {
        let (id, last) = self.transact(|it| (it.id().clone(), it.trouble())).unwrap_or_default();
        TransactionError::Timeout { id, operation, max_block: self.max_block(), last }
    }

    /// A commit was not answered.
    pub(super) fn unknown(&self, within: Duration) -> TransactionError {
        let (id, last) = self.transact(|it| (it.id().clone(), it.trouble())).unwrap_or_default();
        TransactionError::OutcomeUnknown { id, within, last }
    }

    pub(super) fn closed(&self) -> TransactionError {
        let id = self.transact(|it| it.id().clone()).unwrap_or_default();
        TransactionError::Closed { id }
    }
}

/// How often the work of a transaction is run at most.
const MOST_RUNS: u32 = 5;
