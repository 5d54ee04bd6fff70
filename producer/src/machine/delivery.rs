//! What becomes of the records of a batch, and how whoever waits learns of it.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use bytestring::ByteString;
use ottla_core::types::{TopicName, TopicPartition};
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::split::{record_at, records};
use crate::error::{SendError, Undelivered};
use crate::record::{Record, RecordMetadata, RecordOffset};

/// What becomes of the records of one batch: one object a batch, however many wait.
pub(crate) struct BatchDone {
    topic: TopicName,
    partition: i32,
    outcome: OnceLock<Outcome>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    wakers: SmallVec<[Waker; 1]>,
    callbacks: Vec<(u32, i64, Callback)>,
}

/// Called once with what became of a record.
pub(crate) type Callback = Box<dyn FnOnce(Result<RecordMetadata, Undelivered>) + Send>;

/// What became of a batch.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It is written.
    Acknowledged {
        /// The offset of its first record, if it is known.
        base_offset: Option<i64>,
        /// The broker's time in place of the records' own.
        log_append_time: Option<i64>,
    },
    /// It is not, as far as is known.
    Failed(BatchFailure),
    /// Its records are in smaller batches now: the index of the first, and what becomes of each.
    Split(Vec<(u32, Arc<BatchDone>)>),
}

/// Why the records of a batch failed.
#[derive(Debug)]
pub(crate) struct BatchFailure {
    pub(crate) error: SendError,
    /// The records that the broker refused by name, by index (KIP-467), with its words. Where there
    /// are any, the others failed only because they were in one batch with these.
    pub(crate) refused: BTreeMap<u32, Option<ByteString>>,
    /// The batch, to give its records back; `None` if it could not be kept.
    pub(crate) body: Option<Bytes>,
}

impl BatchDone {
    pub(crate) fn new(topic: TopicName, partition: i32) -> Arc<Self> {
        Arc::new(Self {
            topic,
            partition,
            outcome: OnceLock::new(),
            waiting: Mutex::new(Waiting::default()),
        })
    }

    /// The partition that the batch is for.
    pub(crate) fn partition(&self) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), self.partition)
    }

    pub(crate) fn topic(&self) -> &TopicName {
        &self.topic
    }

    pub(crate) fn partition_index(&self) -> i32 {
        self.partition
    }

    /// A completion like this one, for a part of the batch.
    pub(crate) fn part(&self) -> Arc<Self> {
        Self::new(self.topic.clone(), self.partition)
    }

    /// Whether it is known what became of the batch itself; with a split, that is that of its parts.
    pub(crate) fn is_resolved(&self) -> bool {
        self.outcome.get().is_some()
    }

    /// The parts, if the batch was split.
    pub(crate) fn parts(&self) -> &[(u32, Arc<Self>)] {
        match self.outcome.get() {
            Some(Outcome::Split(parts)) => parts,
            _ => &[],
        }
    }

    /// Settles what becomes of the batch, and tells all who wait. The first word counts: `false`
    /// means that it was settled before. Call it under no lock.
    pub(crate) fn resolve(self: &Arc<Self>, outcome: Outcome) -> bool {
        if self.outcome.set(outcome).is_err() {
            return false;
        }
        let Waiting { wakers, callbacks } = std::mem::take(&mut *self.waiting.lock());
        for (index, timestamp, callback) in callbacks {
            self.call_back(index, timestamp, callback);
        }
        for waker in wakers {
            waker.wake();
        }
        true
    }

    /// Calls `callback` with what becomes of one record, at once if that is known.
    pub(crate) fn call_back(self: &Arc<Self>, index: u32, timestamp: i64, callback: Callback) {
        if let Some((part, index)) = self.follow(index) {
            return part.call_back(index, timestamp, callback);
        }
        if let Some(result) = Arc::clone(self).result(index, timestamp) {
            return run(callback, result);
        }
        let mut waiting = self.waiting.lock();
        if self.is_resolved() {
            drop(waiting);
            return self.call_back(index, timestamp, callback);
        }
        waiting.callbacks.push((index, timestamp, callback));
    }

    /// Whether the batch itself is settled; if not, registers `cx`.
    #[inline]
    pub(crate) fn poll_resolved(&self, cx: &mut Context<'_>) -> bool {
        self.is_resolved() || self.register(cx)
    }

    /// Whether the batch was settled in the meantime; if not, registers `cx`.
    fn register(&self, cx: &Context<'_>) -> bool {
        let mut waiting = self.waiting.lock();
        if self.is_resolved() {
            return true;
        }
        // One task that waits for many records of a batch, one after the other, is one waker.
        if !waiting.wakers.last().is_some_and(|last| last.will_wake(cx.waker())) {
            waiting.wakers.push(cx.waker().clone());
        }
        false
    }

    /// The part that a record is in, and its index there.
    fn follow(&self, index: u32) -> Option<(&Arc<Self>, u32)> {
        let parts = self.parts();
        let after = parts.partition_point(|(first, _)| *first <= index);
        let (first, part) = parts.get(after.checked_sub(1)?)?;
        Some((part, index - first))
    }

    /// What became of one record, if that is known here. Takes one count of `self`, as what it gives
    /// has one: there is no other that a record costs.
    #[inline(always)]
    fn result(
        self: Arc<Self>,
        index: u32,
        timestamp: i64,
    ) -> Option<Result<RecordMetadata, Undelivered>> {
        match self.outcome.get()? {
            Outcome::Acknowledged { base_offset, log_append_time } => {
                let offset = RecordOffset::new(base_offset.map(|base| base + i64::from(index)));
                let timestamp = log_append_time.unwrap_or(timestamp);
                Some(Ok(RecordMetadata::new(self, offset, timestamp)))
            }
            Outcome::Failed(failure) => Some(Err(self.undelivered(failure, index))),
            Outcome::Split(_) => None,
        }
    }

    /// Calls `told` with each record of the batch that failed, and why.
    pub(crate) fn each_failure(&self, mut told: impl FnMut(&Record, &SendError)) {
        let Some(Outcome::Failed(failure)) = self.outcome.get() else { return };
        let Some(body) = &failure.body else { return };
        for (index, record) in (0..).zip(records(body, &self.topic, self.partition)) {
            told(&record, &failure.error_of(index, self));
        }
    }

    /// Adds the records of the batch that failed, and why, or those of its parts.
    pub(crate) fn collect_failures(&self, undelivered: &mut Vec<Undelivered>) {
        self.each_failure(|record, error| {
            undelivered.push(Undelivered::new(error.clone(), Some(record.clone())));
        });
        for (_, part) in self.parts() {
            part.collect_failures(undelivered);
        }
    }

    #[cold]
    #[inline(never)]
    fn undelivered(&self, failure: &BatchFailure, index: u32) -> Undelivered {
        let record = failure
            .body
            .as_ref()
            .and_then(|body| record_at(body, index, &self.topic, self.partition));
        Undelivered::new(failure.error_of(index, self), record)
    }
}

impl BatchFailure {
    fn error_of(&self, index: u32, done: &BatchDone) -> SendError {
        match self.refused.get(&index) {
            Some(message) => {
                SendError::RecordRefused { partition: done.partition(), message: message.clone() }
            }
            None if self.refused.is_empty() => self.error.clone(),
            None => SendError::SiblingRefused { partition: done.partition() },
        }
    }
}

impl fmt::Debug for BatchDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, partition, outcome, waiting: _ } = self;
        write!(f, "BatchDone({topic}-{partition}, {:?})", outcome.get())
    }
}

/// What becomes of a record that was taken: a future of its acknowledgement.
///
/// Dropping it neither cancels nor costs anything; the record is sent all the same. What nobody
/// awaits is still counted, and its failure still reaches `on_failure`.
///
/// # Cancel safety
///
/// It can be polled by one task after another, and dropped at any time.
#[derive(Debug)]
#[must_use = "the record is sent all the same, but nobody learns of its failure here"]
pub struct Delivery {
    /// `None` once the outcome was told.
    done: Option<Arc<BatchDone>>,
    index: u32,
    timestamp: i64,
}

impl Delivery {
    #[inline]
    pub(crate) fn new(done: Arc<BatchDone>, index: u32, timestamp: i64) -> Self {
        Self { done: Some(done), index, timestamp }
    }

    /// The batch that the record is in, while its outcome was not told.
    pub(crate) fn batch(&self) -> Option<&Arc<BatchDone>> {
        self.done.as_ref()
    }

    /// Calls `callback` once with what becomes of the record.
    pub(crate) fn call_back(self, callback: Callback) {
        if let Some(done) = self.done {
            done.call_back(self.index, self.timestamp, callback);
        }
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata, Undelivered>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.is_acknowledged() || self.is_settled(cx) { self.tell() } else { Poll::Pending }
    }
}

impl Delivery {
    /// Whether it is known that the record is written, as for nearly every one that is awaited.
    #[inline(always)]
    fn is_acknowledged(&self) -> bool {
        let outcome = self.done.as_ref().and_then(|done| done.outcome.get());
        matches!(outcome, Some(Outcome::Acknowledged { .. }))
    }

    /// Follows the record to where its outcome is, and says whether that is known.
    #[inline(never)]
    fn is_settled(&mut self, cx: &mut Context<'_>) -> bool {
        while let Some(done) = &self.done {
            if !done.poll_resolved(cx) {
                return false;
            }
            let Some((part, index)) = done.follow(self.index) else { return true };
            let part = Arc::clone(part);
            (self.done, self.index) = (Some(part), index);
        }
        false
    }

    /// The outcome, once.
    ///
    /// Nothing is called here that gives back more than fits into registers: what it writes would be
    /// read again in other pieces, for which the processor waits as long as all else takes.
    #[inline(always)]
    fn tell(&mut self) -> Poll<Result<RecordMetadata, Undelivered>> {
        let (index, timestamp) = (self.index, self.timestamp);
        let result = self.done.take().and_then(|done| done.result(index, timestamp));
        result.map_or(Poll::Pending, Poll::Ready)
    }
}

/// Runs what belongs to somebody else: its panic stays here.
fn run(callback: Callback, result: Result<RecordMetadata, Undelivered>) {
    let call = std::panic::AssertUnwindSafe(|| callback(result));
    if std::panic::catch_unwind(call).is_err() {
        tracing::error!("the callback of a delivery panicked");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn done() -> Arc<BatchDone> {
        BatchDone::new("t".into(), 3)
    }

    fn acknowledged(base_offset: i64) -> Outcome {
        Outcome::Acknowledged { base_offset: Some(base_offset), log_append_time: None }
    }

    fn poll(
        done: &Arc<BatchDone>,
        index: u32,
        timestamp: i64,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RecordMetadata, Undelivered>> {
        Pin::new(&mut Delivery::new(Arc::clone(done), index, timestamp)).poll(cx)
    }

    fn offset(done: &Arc<BatchDone>, index: u32) -> Option<i64> {
        let mut cx = Context::from_waker(Waker::noop());
        match poll(done, index, 0, &mut cx) {
            Poll::Ready(Ok(metadata)) => metadata.offset.known(),
            Poll::Ready(Err(_)) | Poll::Pending => None,
        }
    }

    #[test]
    fn a_task_that_waits_for_many_records_is_woken_once_a_batch() {
        let (done, count) = (done(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        let mut cx = Context::from_waker(&waker);
        for index in 0..100 {
            assert!(poll(&done, index, 0, &mut cx).is_pending());
        }
        done.resolve(acknowledged(1_000));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert_eq!(offset(&done, 99), Some(1_099));
    }

    #[test]
    fn the_first_word_counts() {
        let done = done();
        assert!(done.resolve(acknowledged(7)));
        assert!(!done.resolve(acknowledged(8)));
        assert_eq!(offset(&done, 0), Some(7));
    }

    #[test]
    fn the_brokers_time_takes_the_place_of_the_records() {
        let done = done();
        let mut cx = Context::from_waker(Waker::noop());
        done.resolve(Outcome::Acknowledged { base_offset: None, log_append_time: Some(50) });
        let Poll::Ready(Ok(metadata)) = poll(&done, 2, 40, &mut cx) else { panic!("not resolved") };
        assert_eq!((metadata.offset.known(), metadata.timestamp), (None, 50));
    }

    #[test]
    fn a_record_of_a_split_batch_follows_its_part() {
        let (whole, low, high) = (done(), done(), done());
        let parts = vec![(0, Arc::clone(&low)), (5, Arc::clone(&high))];
        whole.resolve(Outcome::Split(parts));
        assert_eq!(offset(&whole, 4), None);
        low.resolve(acknowledged(100));
        high.resolve(acknowledged(200));
        assert_eq!((offset(&whole, 4), offset(&whole, 5)), (Some(104), Some(200)));
    }

    #[test]
    fn a_callback_is_called_once_even_across_a_split() {
        let (whole, part, calls) = (done(), done(), Arc::new(AtomicUsize::new(0)));
        let counted = Arc::clone(&calls);
        let callback = Box::new(move |result: Result<RecordMetadata, Undelivered>| {
            assert_eq!(result.unwrap().offset, 11);
            counted.fetch_add(1, Ordering::Relaxed);
        });
        whole.call_back(1, 0, callback);
        whole.resolve(Outcome::Split(vec![(0, Arc::clone(&part))]));
        part.resolve(acknowledged(10));
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_callback_that_panics_disturbs_nobody() {
        let (done, count) = (done(), Arc::new(Count::default()));
        let waker = Waker::from(Arc::clone(&count));
        done.call_back(0, 0, Box::new(|_| panic!("as callbacks do")));
        assert!(poll(&done, 1, 0, &mut Context::from_waker(&waker)).is_pending());
        done.resolve(acknowledged(0));
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_refused_record_and_its_siblings_fail_differently() {
        let done = done();
        let refused = BTreeMap::from([(1, Some(ByteString::from_static("no key")))]);
        let error = SendError::SiblingRefused { partition: done.partition() };
        done.resolve(Outcome::Failed(BatchFailure { error, refused, body: None }));
        let texts: Vec<String> = (0..2)
            .filter_map(|index| Arc::clone(&done).result(index, 0)?.err())
            .map(|undelivered| undelivered.to_string())
            .collect();
        assert_eq!(
            texts,
            [
                "send t-3: not written, because the broker refused another record of the batch",
                "send t-3: the broker refused this record: no key",
            ]
        );
    }
}
