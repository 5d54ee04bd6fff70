//! What users hold.

use std::sync::Arc;
use std::time::Duration;

use ottla_core::net::Client;
use ottla_core::retry::Deadline;
use ottla_core::types::TopicName;

use super::builder::ProducerBuilder;
use super::close::{AlreadyClosed, CloseReport};
use super::shared::Shared;
use super::topic::TopicHandle;
use crate::accumulator::{Refusal, Taken, Topic, Want};
use crate::error::{SendError, Undelivered};
use crate::machine::delivery::Delivery;
use crate::record::{Record, RecordMetadata, RecordParts};

/// Sends records. Cheap to clone; clones share all there is.
///
/// | verb | waits for | returns |
/// |---|---|---|
/// | [`send`](Self::send) | the acknowledgement | where the record is |
/// | [`enqueue`](Self::enqueue) | room, then not | a [`Delivery`] to await, or not |
/// | [`try_enqueue`](Self::try_enqueue) | nothing | a [`Delivery`], or the record back |
///
/// Dropping the last clone waits for nothing: what was taken is still sent in the background, for as
/// long as `delivery.timeout.ms` allows. [`close`](Self::close) waits, and says what was not
/// delivered.
///
/// # Ordering
///
/// Records of one partition are written in the order in which they were taken.
///
/// # Delivery
///
/// Each record that was taken has exactly one outcome. With idempotence, the default, an
/// acknowledged record is in its partition exactly once; a failed one says whether it may be there.
#[derive(Debug, Clone)]
pub struct Producer(Arc<Handle>);

/// Ends the producer when its last clone is gone: tasks hold [`Shared`], never this.
#[derive(Debug)]
struct Handle(Arc<Shared>);

impl Drop for Handle {
    fn drop(&mut self) {
        if let Some(closing) = self.0.close() {
            let timeout = self.0.accumulator.common.config.delivery_timeout;
            self.0.client.runtime().spawn("producer-drain", async move {
                let undelivered = closing.finish(timeout).await.len();
                if undelivered > 0 {
                    tracing::warn!(undelivered, "a dropped producer gave up on records");
                }
            });
        }
    }
}

impl Producer {
    /// Begins a producer over `client`.
    pub fn builder(client: &Client) -> ProducerBuilder {
        ProducerBuilder::new(client)
    }

    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self(Arc::new(Handle(shared)))
    }

    /// Sends a record and waits for its acknowledgement. Its batch does not linger.
    ///
    /// # Errors
    ///
    /// [`Undelivered`]: the reason, whether the record may be written, and the record.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe. Dropped while it waits for metadata or memory, the record is not sent; after
    /// that it is, and only its outcome is lost here.
    pub async fn send(&self, record: Record) -> Result<RecordMetadata, Undelivered> {
        let taken = match self.take_now(&record, Want::Soon) {
            Some(taken) => taken.map_err(|error| Undelivered::new(error, Some(record))),
            None => Box::pin(self.take_later(record, Want::Soon)).await,
        };
        taken?.await
    }

    /// Waits until there is room for a record, and takes it.
    ///
    /// # Errors
    ///
    /// [`Undelivered`], with the record, when it was not taken: within `max.block.ms` its topic
    /// could not be learnt or there was no room, or it cannot be sent at all. A partition that is not
    /// known is asked for first, as it may have been added.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the record was not taken.
    pub async fn enqueue(&self, record: Record) -> Result<Delivery, Undelivered> {
        match self.take_now(&record, Want::Ticket) {
            Some(taken) => taken.map_err(|error| Undelivered::new(error, Some(record))),
            None => Box::pin(self.take_later(record, Want::Ticket)).await,
        }
    }

    /// Takes a record if that needs no waiting. Works outside of async code.
    ///
    /// A topic that was never sent to is not known; [`topic`](Self::topic) learns it ahead.
    ///
    /// # Errors
    ///
    /// [`Undelivered`], with the record. [`SendError::would_wait`] says that
    /// [`enqueue`](Self::enqueue) would wait.
    pub fn try_enqueue(&self, record: Record) -> Result<Delivery, Undelivered> {
        match self.try_take(record.topic(), &record.parts(), Want::Ticket) {
            Ok(delivery) => Ok(delivery),
            Err(error) => Err(Undelivered::new(error, Some(record))),
        }
    }

    /// As [`try_enqueue`](Self::try_enqueue), and calls `callback` once with what became of the
    /// record.
    ///
    /// It is called by the task of a connection: it must not block. A panic in it is logged, and
    /// disturbs nobody.
    ///
    /// # Errors
    ///
    /// As [`try_enqueue`](Self::try_enqueue); the callback is not called then.
    pub fn try_enqueue_with(
        &self,
        record: Record,
        callback: impl FnOnce(Result<RecordMetadata, Undelivered>) + Send + 'static,
    ) -> Result<(), Undelivered> {
        self.try_enqueue(record)?.call_back(Box::new(callback));
        Ok(())
    }

    /// Sends many records, and waits for what becomes of each, in their order.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, in that the producer stays usable: some records were taken and are sent, the
    /// others were not.
    pub async fn send_all(
        &self,
        records: impl IntoIterator<Item = Record, IntoIter: Send>,
    ) -> Vec<Result<RecordMetadata, Undelivered>> {
        let mut taken = Vec::new();
        for record in records {
            taken.push(self.enqueue(record).await);
        }
        let batches = taken.iter().flatten().filter_map(Delivery::batch);
        self.shared().accumulator.hurry_batches(batches);
        let mut outcomes = Vec::with_capacity(taken.len());
        for delivery in taken {
            outcomes.push(match delivery {
                Ok(delivery) => delivery.await,
                Err(undelivered) => Err(undelivered),
            });
        }
        outcomes
    }

    /// Learns a topic, and gives a handle that sends to it without looking it up each time.
    ///
    /// # Errors
    ///
    /// [`SendError`], when its partitions cannot be learnt within `max.block.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn topic(&self, name: impl Into<TopicName> + Send) -> Result<TopicHandle, SendError> {
        let name = name.into();
        let topic = self.load(&name, self.shared().deadline()).await?;
        Ok(TopicHandle::new(self.clone(), topic))
    }

    /// Waits until all records that were taken before are settled, without lingering. They are
    /// within `delivery.timeout.ms`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the records are sent all the same.
    pub async fn flush(&self) {
        self.shared().flush().await;
    }

    /// Closes the producer and all its clones: takes nothing any more, waits up to `timeout` until
    /// what was taken is settled, and gives up on the rest.
    ///
    /// # Errors
    ///
    /// [`AlreadyClosed`], when it is, or another call is closing it.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the producer is closed to new records, and goes on with those that it has. It can be
    /// closed again; otherwise it ends as if its clones were dropped, when they are.
    pub async fn close(&self, timeout: Duration) -> Result<CloseReport, AlreadyClosed> {
        let closing = self.shared().close().ok_or(AlreadyClosed)?;
        let undelivered = closing.finish(timeout).await;
        let delivered = self.delivered();
        Ok(CloseReport { delivered, undelivered })
    }

    /// Records acknowledged so far.
    #[must_use]
    pub fn delivered(&self) -> u64 {
        self.shared().accumulator.common.delivered()
    }

    /// Records that were taken and have failed so far.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.shared().accumulator.common.failed()
    }

    /// Takes a record, unless it has to wait for its topic or for memory.
    #[inline]
    fn take_now(&self, record: &Record, want: Want) -> Option<Result<Delivery, SendError>> {
        let topic = self.shared().accumulator.topic(record.topic())?;
        match self.append(&topic, &record.parts(), want) {
            Ok(taken) => Some(taken.delivery()),
            Err(Refusal::NoRoom(_) | Refusal::Error(SendError::NoSuchPartition { .. })) => None,
            Err(Refusal::Error(error)) => Some(Err(error)),
        }
    }

    /// Takes a record once its topic and partition are known and there is memory. Box it: a future is
    /// moved to where it is awaited, with all that it may become, and this one seldom becomes anything.
    async fn take_later(&self, record: Record, want: Want) -> Result<Delivery, Undelivered> {
        let taken = async {
            let deadline = self.shared().deadline();
            let topic = self.load(record.topic(), deadline).await?;
            let mut taken = self.append(&topic, &record.parts(), want);
            if let Err(Refusal::Error(SendError::NoSuchPartition { partition, .. })) = taken
                && self.shared().finds_partition(&topic, partition, deadline).await
            {
                taken = self.append(&topic, &record.parts(), want);
            }
            match taken {
                Ok(taken) => taken.delivery(),
                Err(Refusal::Error(error)) => Err(error),
                Err(Refusal::NoRoom(bytes)) => {
                    let parts = record.parts();
                    self.wait_append(&topic, parts, want, bytes, deadline).await?.delivery()
                }
            }
        };
        taken.await.map_err(|error| Undelivered::new(error, Some(record)))
    }

    async fn load(&self, name: &TopicName, deadline: Deadline) -> Result<Arc<Topic>, SendError> {
        if self.shared().is_closed() {
            return Err(closed(name));
        }
        match self.shared().accumulator.topic(name) {
            Some(topic) => Ok(topic),
            None => self.shared().topic(name, deadline).await,
        }
    }

    fn try_take(
        &self,
        name: &TopicName,
        parts: &RecordParts<'_>,
        want: Want,
    ) -> Result<Delivery, SendError> {
        let Some(topic) = self.shared().accumulator.topic(name) else {
            return Err(SendError::TopicNotLoaded { topic: name.clone() });
        };
        self.try_append(&topic, parts, want)?.delivery()
    }

    /// Appends a record, or says how much memory there would have to be.
    #[inline]
    pub(super) fn append<'a>(
        &self,
        topic: &'a Topic,
        parts: &RecordParts<'_>,
        want: Want,
    ) -> Result<Taken<'a>, Refusal> {
        let shared = self.shared();
        if shared.is_closed() {
            return Err(Refusal::Error(closed(topic.name())));
        }
        shared.accumulator.append(topic, parts, want, &mut None)
    }

    /// Appends a record for which `bytes` of memory were missing, once they are there.
    pub(super) async fn wait_append<'a>(
        &self,
        topic: &'a Topic,
        parts: RecordParts<'_>,
        want: Want,
        mut bytes: usize,
        deadline: Deadline,
    ) -> Result<Taken<'a>, SendError> {
        let shared = self.shared();
        loop {
            let mut reserved = Some(shared.room(topic.name(), bytes, deadline).await?);
            if shared.is_closed() {
                return Err(closed(topic.name()));
            }
            match shared.accumulator.append(topic, &parts, want, &mut reserved) {
                Ok(taken) => return Ok(taken),
                Err(Refusal::Error(error)) => return Err(error),
                Err(Refusal::NoRoom(more)) => bytes = more,
            }
        }
    }

    /// Appends if there is room.
    #[inline]
    pub(super) fn try_append<'a>(
        &self,
        topic: &'a Topic,
        parts: &RecordParts<'_>,
        want: Want,
    ) -> Result<Taken<'a>, SendError> {
        self.append(topic, parts, want).map_err(|refusal| match refusal {
            Refusal::Error(error) => self.refused(error),
            Refusal::NoRoom(_) => self.buffer_full(topic),
        })
    }

    #[cold]
    fn refused(&self, error: SendError) -> SendError {
        if matches!(error, SendError::NoSuchPartition { .. }) {
            // It may have been added since, and be known when it is tried again.
            self.shared().client.request_refresh();
        }
        error
    }

    #[cold]
    fn buffer_full(&self, topic: &Topic) -> SendError {
        let accumulator = &self.shared().accumulator;
        accumulator.wake_links();
        SendError::BufferFull {
            topic: topic.name().clone(),
            buffer_memory: accumulator.common.config.buffer_memory,
        }
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }
}

fn closed(topic: &TopicName) -> SendError {
    SendError::Closed { topic: topic.clone() }
}
