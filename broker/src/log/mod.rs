//! One replica's log of one partition.

pub mod batch;
pub mod incoming;
pub mod producers;
mod search;
mod segment;
mod walk;

use std::collections::VecDeque;

use batch::Batch;
use incoming::Incoming;
use producers::{Aborted, Producers, Verdict};
pub use search::Search;
use search::Wanted;
use segment::Segment;

use ottla_protocol::ErrorCode;

/// The log of one replica: its batches in segments, and what follows from them.
///
/// **Invariant.** Everything besides the batches and the high watermark is a fold over them:
/// producer state, last stable offset, aborted transactions, epoch cache.
#[derive(Debug, Clone, Default)]
pub struct Log {
    segments: VecDeque<Segment>,
    /// Offset of the first record that may be read; it can lie within the first batch.
    start: i64,
    /// Offset of the next record: the log end offset.
    end: i64,
    high_watermark: i64,
    /// Leader epochs with the offset each began at, both ascending.
    epochs: Vec<(i32, i64)>,
    producers: Producers,
}

/// When a log begins a new segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roll {
    /// Largest segment, in bytes (`segment.bytes`).
    pub bytes: u64,
    /// Longest time span of a segment, in milliseconds (`segment.ms`).
    pub ms: i64,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, in milliseconds since 1970.
    pub timestamp: i64,
    /// The leader epoch that its batch was appended in.
    pub epoch: i32,
}

impl Log {
    /// Offset of the first record that may be read.
    #[must_use]
    pub fn start(&self) -> i64 {
        self.start
    }

    /// Offset of the next record.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// What every in-sync replica has lies below this offset.
    #[must_use]
    pub fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// The last stable offset: what `read_committed` may see lies below it. Never below the start,
    /// though a transaction may have begun there.
    #[must_use]
    pub fn stable(&self) -> i64 {
        self.producers.stable(self.high_watermark).max(self.start)
    }

    /// Bytes in all batches.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(Segment::bytes).sum()
    }

    /// Every batch, oldest first.
    pub fn batches(&self) -> impl DoubleEndedIterator<Item = &Batch> {
        self.segments.iter().flat_map(Segment::batches)
    }

    /// What it knows of those who wrote to it.
    #[must_use]
    pub fn producers(&self) -> &Producers {
        &self.producers
    }

    /// Whether the producer state admits a client's batch.
    ///
    /// # Errors
    ///
    /// As [`Producers::check`].
    pub fn check_producer(&self, batch: &Incoming) -> Result<Verdict, ErrorCode> {
        self.producers.check(batch.header())
    }

    /// Appends a batch at the end, as the leader in `epoch`, and returns its base offset.
    pub fn append(&mut self, batch: &Incoming, epoch: i32, roll: Roll, wall_ms: i64) -> i64 {
        let base = self.end;
        self.append_replica(batch.place(base, epoch), roll, wall_ms);
        base
    }

    /// Appends a batch where the leader put it.
    pub fn append_replica(&mut self, batch: Batch, roll: Roll, wall_ms: i64) {
        self.begin_epoch(batch.epoch(), batch.base());
        self.producers.apply(&batch);
        self.end = batch.next();
        if self.segments.back().is_none_or(|last| last.is_full(&batch, roll)) {
            self.segments.push_back(Segment::new(wall_ms));
        }
        if let Some(last) = self.segments.back_mut() {
            last.push(batch);
        }
    }

    /// The whole batches that hold the offsets from `from` up to but excluding `upto`, the first
    /// being the one that contains `from`: together at most `max_bytes`, though always one if
    /// `at_least_one`.
    #[must_use]
    pub fn read(&self, from: i64, upto: i64, max_bytes: usize, at_least_one: bool) -> Vec<Batch> {
        let mut left = max_bytes;
        let mut found = Vec::new();
        for batch in self.batches_from(from).take_while(|batch| batch.next() <= upto) {
            if batch.len() > left && !(found.is_empty() && at_least_one) {
                break;
            }
            left = left.saturating_sub(batch.len());
            found.push(batch.clone());
        }
        found
    }

    fn batches_from(&self, from: i64) -> impl Iterator<Item = &Batch> {
        let at = self.segments.partition_point(|segment| segment.last() < from);
        self.segments.range(at..).flat_map(move |segment| segment.batches_from(from))
    }

    /// Drops every batch that reaches `to`, and every epoch that began there or later.
    pub fn truncate(&mut self, to: i64) {
        while let Some(last) = self.segments.back_mut() {
            last.truncate(to);
            if !last.is_empty() {
                break;
            }
            self.segments.pop_back();
        }
        self.end = match self.segments.back() {
            Some(segment) => segment.last() + 1,
            None => to.min(self.end).max(self.start),
        };
        self.epochs.retain(|(_, start)| *start < self.end);
        self.high_watermark = self.high_watermark.min(self.end);
        self.producers = self.fold();
    }

    fn fold(&self) -> Producers {
        let mut producers = Producers::default();
        self.batches().for_each(|batch| producers.apply(batch));
        producers.settle(self.high_watermark);
        producers
    }

    /// Empties the log and goes on at `to`: a follower that is too far behind starts there.
    pub fn restart_at(&mut self, to: i64) {
        *self = Self { start: to, end: to, high_watermark: to, ..Self::default() };
    }

    /// Moves the start up to `to`, and drops the segments that lie below it.
    pub fn raise_start(&mut self, to: i64) {
        self.start = self.start.max(to.min(self.end));
        while self.segments.len() > 1
            && self.segments.front().is_some_and(|s| s.last() < self.start)
        {
            self.segments.pop_front();
        }
        if self.segments.front().is_some_and(|s| s.last() < self.start) {
            self.segments.clear();
        }
        let superseded = self.epochs.partition_point(|(_, start)| *start <= self.start);
        self.epochs.drain(..superseded.saturating_sub(1));
        self.producers.trim(self.start);
    }

    /// Moves the high watermark up to `to`; returns whether it moved.
    pub fn raise_high_watermark(&mut self, to: i64) -> bool {
        let to = to.min(self.end);
        if to <= self.high_watermark {
            return false;
        }
        self.high_watermark = to;
        self.producers.settle(to);
        true
    }

    /// Drops the oldest segments that are wholly older than `retention_ms`, in milliseconds, or
    /// surplus to `retention_bytes`. `None` keeps all. Returns whether the start moved.
    pub fn retain(
        &mut self,
        retention_ms: Option<i64>,
        retention_bytes: Option<u64>,
        wall_ms: i64,
    ) -> bool {
        let before = self.start;
        let mut surplus = retention_bytes.map_or(0, |keep| self.bytes().saturating_sub(keep));
        while let Some(oldest) = self.segments.front() {
            let expired = retention_ms.is_some_and(|keep| oldest.newest_ms() < wall_ms - keep);
            let too_much = surplus > 0 && surplus >= oldest.bytes();
            if !(expired || too_much) || oldest.last() >= self.high_watermark {
                break;
            }
            surplus = surplus.saturating_sub(oldest.bytes());
            self.raise_start(oldest.last() + 1);
        }
        self.start > before
    }

    /// Forgets idle producers; see [`Producers::expire`].
    pub fn expire_producers(&mut self, before: i64) {
        self.producers.expire(before);
    }

    /// Forgets every producer, as after their expiry.
    pub fn forget_producers(&mut self) {
        self.producers = Producers::default();
    }

    /// How to find the first record below `upto` whose timestamp is `timestamp` or later.
    ///
    /// The header of a batch says how late its records are. Where it lied, the next batch is looked
    /// into, but no more than a few: a log full of lies must not be read from end to end.
    #[must_use]
    pub fn at_time(&self, timestamp: i64, upto: i64) -> Search {
        let segments = self.segments.iter().filter(|s| s.max_timestamp() >= timestamp);
        let batches = segments.flat_map(Segment::batches);
        let late_enough = batches.filter(|batch| batch.header().max_timestamp >= timestamp);
        let readable = late_enough.filter(|batch| batch.next() > self.start);
        let batches = readable.take_while(|batch| batch.base() < upto).take(CANDIDATES);
        let wanted = Wanted::NotBefore(timestamp);
        Search { batches: batches.cloned().collect(), from: self.start, upto, wanted }
    }

    /// How to find the first record of those with the largest timestamp: it is in the batch whose
    /// header has that, or in the one within which the log begins and whose header is no guide.
    #[must_use]
    pub fn at_max_timestamp(&self) -> Search {
        let mut live = self.batches_from(self.start).peekable();
        let cut = live.next_if(|batch| batch.base() < self.start);
        // Of equals, the first.
        let later = |best: &'_ Batch, next: &'_ Batch| {
            next.header().max_timestamp > best.header().max_timestamp
        };
        let latest = live.reduce(|best, next| if later(best, next) { next } else { best });
        let batches = cut.into_iter().chain(latest).cloned().collect();
        Search { batches, from: self.start, upto: self.end, wanted: Wanted::Latest }
    }

    /// The leader epoch of the record at `offset`, or of the next one behind it.
    #[must_use]
    pub fn epoch_at(&self, offset: i64) -> Option<i32> {
        let at = self.epochs.partition_point(|(_, start)| *start <= offset);
        self.epochs.get(at.saturating_sub(1)).map(|(epoch, _)| *epoch)
    }

    /// Notes that `epoch` begins at `at`, unless it, or a later one, has begun. An epoch that began
    /// there, and in which nothing was written, is as if it had never been.
    pub fn begin_epoch(&mut self, epoch: i32, at: i64) {
        if self.last_epoch().is_none_or(|last| last < epoch) {
            while self.epochs.pop_if(|(_, start)| *start >= at).is_some() {}
            self.epochs.push((epoch, at));
        }
    }

    /// The latest leader epoch that this log knows of.
    #[must_use]
    pub fn last_epoch(&self) -> Option<i32> {
        self.epochs.last().map(|(epoch, _)| *epoch)
    }

    /// The largest epoch up to `epoch`, and the offset where it ends (KIP-101, KIP-279). `None`
    /// for an epoch above all.
    #[must_use]
    pub fn epoch_end(&self, epoch: i32) -> Option<(i32, i64)> {
        let above = self.epochs.partition_point(|(known, _)| *known <= epoch);
        let next_start = self.epochs.get(above).map(|(_, start)| *start);
        match above.checked_sub(1).and_then(|at| self.epochs.get(at)) {
            Some((known, _)) if next_start.is_none() && *known < epoch => None,
            Some((known, _)) => Some((*known, next_start.unwrap_or(self.end))),
            None => next_start.map(|start| (epoch, start)),
        }
    }

    /// The aborted transactions that touch these offsets; see [`Producers::aborted`].
    #[must_use]
    pub fn aborted(&self, from: i64, upto: i64) -> Vec<Aborted> {
        self.producers.aborted(from, upto)
    }
}

/// Batches that a search by time looks into.
const CANDIDATES: usize = 8;
