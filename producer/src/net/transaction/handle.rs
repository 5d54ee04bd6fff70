//! A transaction that is open.

use ottla_core::types::{Progress, TopicName};

use super::topic::TransactionTopic;
use crate::error::{SendError, TransactionError, Undelivered};
use crate::machine::delivery::Delivery;
use crate::machine::transaction::{Decision, Transactions};
use crate::net::producer::Producer;
use crate::net::shared::Shared;
use crate::record::{Record, RecordMetadata};

/// A transaction that is open. Ends by [`commit`](Self::commit) or [`abort`](Self::abort); dropping
/// it aborts it in the background.
///
/// When a record of it cannot be written, it [fails](Self::failure): nothing more is taken, and it
/// can only be aborted. An error that a record was not taken because that would have waited
/// ([`SendError::would_wait`]) changes nothing.
#[derive(Debug)]
#[must_use = "a dropped transaction is aborted"]
pub struct Transaction<'a> {
    producer: &'a Producer,
    number: u64,
    /// Whether its end is decided.
    decided: bool,
}

impl<'a> Transaction<'a> {
    pub(super) fn new(producer: &'a Producer, number: u64) -> Self {
        Self { producer, number, decided: false }
    }

    /// As [`Producer::send`]: what is acknowledged is in the log, and read by who reads committed
    /// once the transaction is committed.
    ///
    /// # Errors
    ///
    /// [`Undelivered`]: the reason, and the record.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::send`].
    pub async fn send(&self, record: Record) -> Result<RecordMetadata, Undelivered> {
        self.note(self.producer.send(record).await)
    }

    /// As [`enqueue`](Self::enqueue), and gives nothing to await: [`commit`](Self::commit) waits for
    /// all records.
    ///
    /// # Errors
    ///
    /// [`Undelivered`], with the record, when it was not taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the record was not taken.
    pub async fn post(&self, record: Record) -> Result<(), Undelivered> {
        self.enqueue(record).await.map(drop)
    }

    /// As [`Producer::enqueue`].
    ///
    /// # Errors
    ///
    /// [`Undelivered`], with the record, when it was not taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the record was not taken.
    pub async fn enqueue(&self, record: Record) -> Result<Delivery, Undelivered> {
        self.note(self.producer.enqueue(record).await)
    }

    /// As [`Producer::try_enqueue`].
    ///
    /// # Errors
    ///
    /// [`Undelivered`], with the record, when it was not taken.
    pub fn try_enqueue(&self, record: Record) -> Result<Delivery, Undelivered> {
        self.note(self.producer.try_enqueue(record))
    }

    /// As [`Producer::send_all`].
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::send_all`].
    pub async fn send_all(
        &self,
        records: impl IntoIterator<Item = Record, IntoIter: Send>,
    ) -> Vec<Result<RecordMetadata, Undelivered>> {
        let outcomes = self.producer.send_all(records).await;
        outcomes.into_iter().map(|outcome| self.note(outcome)).collect()
    }

    /// Learns a topic, and gives a handle that sends to it within the transaction without looking it
    /// up each time.
    ///
    /// # Errors
    ///
    /// [`SendError`], when its partitions cannot be learnt within `max.block.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn topic(
        &self,
        name: impl Into<TopicName> + Send,
    ) -> Result<TransactionTopic<'_>, SendError> {
        Ok(TransactionTopic::new(self, self.producer.topic(name).await?))
    }

    /// Commits how far something was read, with the transaction: the group goes on behind it exactly
    /// if the transaction is committed.
    ///
    /// Where the group has given the partitions to another member since, the transaction fails, and
    /// the error is one of a [lost group](TransactionError::is_group_lost).
    ///
    /// # Errors
    ///
    /// [`TransactionError`]; the transaction has failed then, but for
    /// [`TransactionError::NoGroup`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future that was polled takes nothing back: the offsets are part of the transaction,
    /// which is not committed without them.
    ///
    /// # Kafka
    ///
    /// Java's `sendOffsetsToTransaction`; KIP-447.
    pub async fn commit_offsets<P>(&self, progress: &P) -> Result<(), TransactionError>
    where
        P: Progress + ?Sized + Sync,
    {
        let shared = self.shared();
        let Some(group) = progress.group() else {
            let id = shared.transact(|machine| machine.id().clone()).unwrap_or_default();
            return Err(TransactionError::NoGroup { id });
        };
        let (number, offsets, now) =
            (self.number, progress.offsets(), shared.client.runtime().now());
        let placed = shared.transact(|machine| machine.add_offsets(group, offsets, now));
        let place = placed.unwrap_or_else(|| Err(shared.closed()))?;
        let taken = |machine: &mut Transactions| machine.offsets_outcome(number, place);
        // Ends by itself: offsets that are not taken in time fail the transaction.
        let within = shared.max_block().saturating_mul(2);
        let outcome = shared.await_transaction(within, taken).await;
        outcome.unwrap_or_else(|| Err(shared.timeout("offset commit")))
    }

    /// Whether the transaction has failed, and why: then it can only be aborted.
    #[must_use]
    pub fn failure(&self) -> Option<TransactionError> {
        self.shared().look_at_transaction(Transactions::failure)
    }

    /// Waits until all of it is written, and commits it. One that has failed is aborted.
    ///
    /// An empty transaction is committed without asking anybody.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Aborted`] when it is not committed, and the producer can begin the next;
    /// [`TransactionError::OutcomeUnknown`] when nobody answers: the producer goes on asking;
    /// [`TransactionError::Fatal`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future that was polled takes nothing back: the commit goes on, and the next
    /// [`begin`](super::TransactionalProducer::begin) waits for it. One that was never polled aborts.
    ///
    /// # Kafka
    ///
    /// Java's `commitTransaction`.
    pub async fn commit(mut self) -> Result<(), TransactionError> {
        self.decided = true;
        let (shared, number) = (self.shared(), self.number);
        shared.transact(|machine| machine.commit(number));
        // The batches are settled within the one, the coordinator has the other.
        let delivery_timeout = shared.accumulator.common.config.delivery_timeout;
        let within = delivery_timeout.saturating_add(shared.max_block());
        let known = |machine: &mut Transactions| machine.outcome(number);
        match shared.await_transaction(within, known).await {
            Some(Ok(Decision::Commit | Decision::Abort)) => Ok(()),
            Some(Err(error)) => Err(error),
            None => Err(shared.unknown(within)),
        }
    }

    /// Aborts it: nobody who reads committed sees any of it. What was not sent is dropped.
    ///
    /// # Errors
    ///
    /// [`TransactionError::Timeout`] when the coordinator has not done it within `max.block.ms`: the
    /// producer goes on asking; [`TransactionError::Fatal`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future takes nothing back: the abort goes on, and the next
    /// [`begin`](super::TransactionalProducer::begin) waits for it.
    ///
    /// # Kafka
    ///
    /// Java's `abortTransaction`.
    pub async fn abort(mut self) -> Result<(), TransactionError> {
        self.decided = true;
        let (shared, number) = (self.shared(), self.number);
        shared.transact(|machine| machine.abort(number));
        let known = |machine: &mut Transactions| machine.outcome(number);
        match shared.await_transaction(shared.max_block(), known).await {
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => Err(error),
            None => Err(shared.timeout("abort")),
        }
    }

    /// Takes note of a record that was not taken: without it, the transaction must not be committed.
    fn note<T>(&self, outcome: Result<T, Undelivered>) -> Result<T, Undelivered> {
        if let Err(undelivered) = &outcome {
            self.note_error(undelivered.error());
        }
        outcome
    }

    #[cold]
    pub(super) fn note_error(&self, error: &SendError) {
        if !error.would_wait() {
            self.shared().transact(|machine| machine.handle_failed_send(error));
        }
    }

    fn shared(&self) -> &'a Shared {
        self.producer.shared()
    }
}

impl Drop for Transaction<'_> {
    fn drop(&mut self) {
        if !self.decided {
            let number = self.number;
            self.shared().transact(|machine| machine.abort(number));
        }
    }
}

impl Shared {
    fn look_at_transaction<T>(&self, look: impl FnOnce(&Transactions) -> Option<T>) -> Option<T> {
        look(&self.accumulator.common.transaction.as_ref()?.machine())
    }
}
