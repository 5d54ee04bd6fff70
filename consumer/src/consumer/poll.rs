//! How an application takes records.

use std::future::poll_fn;
use std::task::{Context, Poll};

use tracing::Instrument;

use super::{Consumer, Current, Returned};
use crate::batch::Batch;
use crate::driver::group::{GroupHandle, PollGuard};
use crate::error::ConsumerError;
use crate::record::ConsumerRecord;
use crate::spans;

impl Consumer {
    /// Lends the next batch, and waits for one if there is none; `None` once the consumer is
    /// [shut down](Self::shutdown_handle).
    ///
    /// Batches of a partition come in the order of its log, those of several partitions in turn.
    /// Calling it again says that the batch before is processed.
    ///
    /// # Errors
    ///
    /// [`ConsumerError`]. Unless it [is fatal](ConsumerError::is_fatal), the next call goes on with what
    /// can be read, and has a member that could not go on join again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing, and what is looked up for it goes on.
    ///
    /// # Kafka
    ///
    /// Java's `poll`, without a timeout: drop the future to stop waiting.
    pub async fn poll(&mut self) -> Result<Option<Batch>, ConsumerError> {
        let span = spans::poll(self.group_id());
        let polled = self.poll_batch().instrument(span.clone()).await;
        if let Ok(Some(batch)) = &polled {
            spans::delivered(&span, batch);
        }
        polled
    }

    async fn poll_batch(&mut self) -> Result<Option<Batch>, ConsumerError> {
        self.finish_returned();
        self.record_poll();
        loop {
            self.heed_group().await?;
            // Before any records: on a busy topic there are always some.
            if self.shared.is_stopping() {
                return Ok(None);
            }
            if let Some(batch) = self.next_batch()? {
                return Ok(Some(batch));
            }
            self.arrival().await;
        }
    }

    /// Lends the next batch if it is there: what a call to [`poll`](Self::poll) would return without
    /// waiting. Partitions neither come nor go with it: while that is to be done, there is nothing, nor
    /// once the consumer is [shut down](Self::shutdown_handle).
    ///
    /// Calling it says that the batch before is processed.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll).
    pub fn try_poll(&mut self) -> Result<Option<Batch>, ConsumerError> {
        self.shared.check_open()?;
        self.finish_returned();
        self.record_poll();
        if self.has_event() || self.shared.is_stopping() {
            return Ok(None);
        }
        self.next_batch()
    }

    /// Gives the next record as a value of its own, and waits for one if there is none; `None` once
    /// the consumer is [shut down](Self::shutdown_handle).
    ///
    /// Calling it again says that the record before is processed.
    ///
    /// # Errors
    ///
    /// As [`poll`](Self::poll).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn recv(&mut self) -> Result<Option<ConsumerRecord>, ConsumerError> {
        loop {
            if !self.has_event()
                && let Some(record) = self.next_of_current()?
            {
                return Ok(Some(record));
            }
            // Boxed, as a future is moved to where it is awaited: with this one inside, moving it
            // would cost each record more than reading it.
            if !Box::pin(self.recv_batch()).await? {
                return Ok(None);
            }
        }
    }

    /// Does what the group wants, or gets the next batch for [`recv`](Self::recv); `false` once the
    /// consumer is shut down.
    async fn recv_batch(&mut self) -> Result<bool, ConsumerError> {
        if self.has_event() {
            self.store_returned();
            self.heed_group().await?;
            return Ok(true);
        }
        let batch = self.poll().await?;
        let came = batch.is_some();
        batch.into_iter().for_each(|batch| self.put_current(batch));
        Ok(came)
    }

    /// Whether the group wants something done before the next record is given.
    fn has_event(&self) -> bool {
        self.group.as_ref().is_some_and(|group| group.current_event().is_some())
    }

    /// The next record of the batch that [`recv`](Self::recv) is in the middle of.
    #[inline]
    pub(crate) fn next_of_current(&mut self) -> Result<Option<ConsumerRecord>, ConsumerError> {
        let Some(current) = &mut self.current else { return Ok(None) };
        self.shared.check_open()?;
        if let Some((cursor, returned)) = current.cursor.as_ref().zip(self.returned.as_ref()) {
            cursor.advance(returned.next.offset);
        }
        if let Some(group) = &self.group {
            // An application that is slow with each record is there, all the same. The exact clock
            // costs more than the record, so it is read when the coarse one has moved on.
            let seconds = self.shared.client().runtime().wall_clock_ms() / 1_000;
            if std::mem::replace(&mut self.polled, seconds) != seconds {
                group.record_poll(self.shared.now());
            }
        }
        let Some(record) = current.records.next() else {
            self.end_current();
            return Ok(None);
        };
        if let Some(returned) = &mut self.returned {
            // A record may lie beyond its batch; what is committed must not.
            returned.next.offset = record.offset().saturating_add(1).min(current.next.offset);
        }
        Ok(Some(record))
    }

    /// All records of the batch have been given.
    #[cold]
    fn end_current(&mut self) {
        let ended = self.current.take();
        if let Some((ended, returned)) = ended.zip(self.returned.as_mut()) {
            returned.next.offset = ended.next.offset;
        }
    }

    /// Begins to give the records of a batch one after the other.
    pub(crate) fn put_current(&mut self, batch: Batch) {
        if let Some(returned) = &mut self.returned {
            returned.next.offset = batch.first_offset();
        }
        let (next, cursor) = (batch.next(), self.follow(&batch));
        self.current = Some(Current { records: batch.into_records(), next, cursor });
    }

    /// The next batch that is there.
    fn next_batch(&mut self) -> Result<Option<Batch>, ConsumerError> {
        self.shared.check_open()?;
        if let Some(trouble) = self.shared.take_trouble() {
            return Err(trouble);
        }
        self.shared.place();
        loop {
            let now = self.shared.now();
            let reader = self.group.as_ref().map(GroupHandle::reader);
            let (error, taken) = self.shared.with(|fetcher| match fetcher.poll_error() {
                Some(error) => (Some(error), None),
                None => (None, fetcher.take(now)),
            });
            if let Some(error) = error {
                return Err(error.into());
            }
            // Taking may have found out that a partition cannot be read.
            let Some(taken) = taken else {
                let error = self.shared.with(|fetcher| fetcher.poll_error());
                return error.map_or(Ok(None), |error| Err(error.into()));
            };
            let (origin, from) = (taken.origin(), taken.from);
            let (partition, topic_id) = (taken.partition.clone(), taken.topic_id);
            match self.opener.open(taken, reader, &self.shared, now) {
                Ok(batch) => {
                    batch.hand_out();
                    let next = batch.next();
                    self.returned = Some(Returned { partition, origin, topic_id, next });
                    return Ok(Some(batch));
                }
                Err(fault) => {
                    self.shared.with(|fetcher| fetcher.fail(origin, from, fault, now));
                }
            }
        }
    }

    /// Waits until it is worth looking again.
    pub(super) async fn arrival(&self) {
        let _within = self.enter_poll();
        let records = poll_fn(|cx| self.poll_arrival(cx));
        match &self.group {
            Some(group) => tokio::select! {
                biased;
                () = records => {}
                _ = group.next_event(None) => {}
            },
            None => records.await,
        }
    }

    /// Lets the group know that the application is there.
    pub(super) fn record_poll(&self) {
        if let Some(group) = &self.group {
            group.record_poll(self.shared.now());
        }
    }

    /// Lets the group know that the application is there, for as long as it waits for something to do.
    /// Not while its listener runs: one that hangs must not keep the partitions.
    fn enter_poll(&self) -> Option<PollGuard> {
        self.group.as_ref().map(|group| group.enter_poll(self.shared.now()))
    }

    /// Waits until partitions may have come or the consumer is to end.
    pub(super) async fn arrival_of_partition(&self) {
        let _within = self.enter_poll();
        let ended = poll_fn(|cx| {
            self.shared.reader().register(cx.waker());
            let ends = self.shared.is_stopping() || !self.shared.is_open();
            if ends || self.shared.has_trouble() { Poll::Ready(()) } else { Poll::Pending }
        });
        match &self.group {
            Some(group) => tokio::select! {
                biased;
                () = ended => {}
                _ = group.next_event(None) => {}
            },
            None => ended.await,
        }
    }

    fn poll_arrival(&self, cx: &Context<'_>) -> Poll<()> {
        // Registered before looking, so that what comes in between is not missed.
        self.shared.reader().register(cx.waker());
        let there = self.shared.look(|fetcher| fetcher.is_ready());
        let ends = self.shared.is_stopping() || !self.shared.is_open();
        if there || ends || self.shared.has_trouble() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Counts what was returned last as processed.
    pub(super) fn finish_returned(&mut self) {
        self.store_returned();
        self.rewind_current();
        self.returned = None;
        self.store_passed();
    }

    /// Has the records read again that [`recv`](Self::recv) has not given yet of its batch.
    pub(super) fn rewind_current(&mut self) {
        let rest = self.current.take().and_then(|mut current| current.records.next());
        let Some((returned, _)) = self.returned.as_ref().zip(rest) else { return };
        let (origin, next, now) = (returned.origin, returned.next, self.shared.now());
        self.shared.with(|fetcher| fetcher.rewind(origin, next, now));
    }
}
