//! A stream of batches for each partition.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use ottla_core::conn::WakeCell;
use ottla_core::types::{TopicPartition, Uuid};

use crate::batch::{Batch, Opener};
use crate::consumer::Consumer;
use crate::driver::Shared;
use crate::error::ConsumerError;
use crate::machine::Position;
use crate::machine::fetch::{Generation, Slot};

/// The partitions of a consumer as they come; made by
/// [`Consumer::partitions`](crate::Consumer::partitions).
#[derive(Debug)]
#[must_use = "partitions come and go only while it is asked for the next"]
pub struct Partitions<'a> {
    consumer: &'a mut Consumer,
    error: Option<ConsumerError>,
}

impl<'a> Partitions<'a> {
    pub(crate) fn new(consumer: &'a mut Consumer) -> Self {
        Self { consumer, error: None }
    }

    /// The next partition that has come, and waits for one if there is none; `None` once the consumer
    /// is shut down, or where there is something to tell, which [`error`](Self::error) tells apart. It
    /// can be called again unless that is [fatal](ConsumerError::is_fatal).
    ///
    /// The rebalance listener runs within this call, and partitions are given up while it waits: keep
    /// calling it.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn next(&mut self) -> Option<PartitionStream> {
        self.error = None;
        match self.consumer.next_partition().await {
            Ok(stream) => stream,
            Err(error) => {
                self.error = Some(error);
                None
            }
        }
    }

    /// Why [`next`](Self::next) gave none the last time; `None` if the consumer was shut down.
    #[must_use]
    pub fn error(&self) -> Option<&ConsumerError> {
        self.error.as_ref()
    }
}

/// The batches of one partition, as long as it is assigned. It can go to a task of its own.
///
/// It ends by itself when the partition is given up. Dropping it leaves the partition unread for as
/// long as it stays assigned: what was fetched is dropped, and nothing more is.
pub struct PartitionStream {
    shared: Arc<Shared>,
    opener: Opener,
    partition: TopicPartition,
    slot: Slot,
    tenure: Generation,
    cell: Arc<WakeCell>,
    /// Where to go on once what was returned is processed.
    returned: Option<Position>,
    /// Of the topic that it was read from.
    topic_id: Option<Uuid>,
    /// Whether only what was acknowledged counts as processed.
    explicit: bool,
}

impl PartitionStream {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        partition: TopicPartition,
        explicit: bool,
    ) -> Option<Self> {
        let (slot, tenure) = shared.look(|fetcher| {
            let slot = fetcher.slot(&partition.topic, partition.partition)?;
            Some((slot, fetcher.tenure(slot)?))
        })?;
        Some(Self {
            shared: Arc::clone(shared),
            opener: Opener::new(),
            partition,
            slot,
            tenure,
            cell: shared.stream_cell(slot),
            returned: None,
            topic_id: None,
            explicit,
        })
    }

    /// The topic and the partition.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.partition
    }

    /// Lends the next batch, and waits for one if there is none; `None` once the partition is given
    /// up, or the consumer is shut down or closed. Calling it again says that the batch before is
    /// processed.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Fetch`], after which the next call goes on where that is possible, and
    /// [`ConsumerError::Request`], once the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn next_batch(&mut self) -> Result<Option<Batch>, ConsumerError> {
        self.store_returned();
        poll_fn(|cx| self.poll_batch(cx)).await
    }

    fn poll_batch(&mut self, cx: &Context<'_>) -> Poll<Result<Option<Batch>, ConsumerError>> {
        // Registered before looking, so that what comes in between is not missed.
        self.cell.register(cx.waker());
        match self.shared.check_open() {
            Ok(()) => {}
            Err(ConsumerError::Closed) => return Poll::Ready(Ok(None)),
            Err(error) => return Poll::Ready(Err(error)),
        }
        let now = self.shared.now();
        let reader = self.shared.group().map(|group| group.reader());
        let found = self.shared.with(|fetcher| {
            if fetcher.tenure(self.slot) != Some(self.tenure) || self.shared.is_stopping() {
                return Found::End;
            }
            if let Some(taken) = fetcher.take_from(self.slot, now) {
                return Found::Batch(taken);
            }
            fetcher.poll_error_of(&self.partition).map_or(Found::Nothing, Found::Error)
        });
        match found {
            Found::End => Poll::Ready(Ok(None)),
            Found::Error(error) => Poll::Ready(Err(error.into())),
            Found::Nothing => Poll::Pending,
            Found::Batch(taken) => {
                let (origin, from, topic_id) = (taken.origin(), taken.from, taken.topic_id);
                match self.opener.open(taken, reader, &self.shared, now) {
                    Ok(batch) => {
                        batch.hand_out();
                        (self.returned, self.topic_id) = (Some(batch.next()), topic_id);
                        Poll::Ready(Ok(Some(batch)))
                    }
                    Err(fault) => {
                        self.shared.with(|fetcher| fetcher.fail(origin, from, fault, now));
                        // Its partition may have been given up since, or be fetched again.
                        self.poll_batch(cx)
                    }
                }
            }
        }
    }

    /// Counts what was returned as processed.
    fn store_returned(&mut self) {
        let Some(next) = self.returned.take().filter(|_| !self.explicit) else { return };
        let Some(group) = self.shared.group() else { return };
        // Stored within: a log that becomes shorter meanwhile has it forgotten, and not before it.
        self.shared.look(|fetcher| {
            let same_topic =
                self.topic_id.is_none() || self.topic_id == fetcher.topic_id(self.slot);
            if same_topic && fetcher.tenure(self.slot) == Some(self.tenure) {
                let next = fetcher.behind(self.slot, self.tenure, next);
                group.store(&self.partition, next.into());
            }
        });
    }
}

impl Drop for PartitionStream {
    fn drop(&mut self) {
        self.shared.abandon(self.slot, self.tenure);
    }
}

enum Found {
    Batch(crate::machine::fetch::Taken),
    Error(crate::error::FetchError),
    Nothing,
    End,
}

impl fmt::Debug for PartitionStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PartitionStream({})", self.partition)
    }
}
