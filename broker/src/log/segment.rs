//! A run of batches that retention keeps or drops as one.

use super::Roll;
use super::batch::Batch;

/// Batches in ascending order of offset.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    batches: Vec<Batch>,
    bytes: u64,
    /// The largest timestamp of any record, in milliseconds since 1970; −1 when none has one.
    max_timestamp: i64,
    /// When the segment was begun, in milliseconds since 1970.
    created_ms: i64,
}

impl Segment {
    pub(super) fn new(created_ms: i64) -> Self {
        Self { batches: Vec::new(), bytes: 0, max_timestamp: -1, created_ms }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    pub(super) fn max_timestamp(&self) -> i64 {
        self.max_timestamp
    }

    /// What its age is reckoned from: the newest record, or its making where no record has a time.
    pub(super) fn newest_ms(&self) -> i64 {
        if self.max_timestamp >= 0 { self.max_timestamp } else { self.created_ms }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Offset of the last record; −1 when empty.
    pub(super) fn last(&self) -> i64 {
        self.batches.last().map_or(-1, Batch::last)
    }

    pub(super) fn batches(&self) -> impl DoubleEndedIterator<Item = &Batch> {
        self.batches.iter()
    }

    /// The batches from the one that contains `offset` on.
    pub(super) fn batches_from(&self, offset: i64) -> impl Iterator<Item = &Batch> {
        let at = self.batches.partition_point(|batch| batch.last() < offset);
        self.batches.iter().skip(at)
    }

    /// Whether `next` belongs in a new segment.
    pub(super) fn is_full(&self, next: &Batch, roll: Roll) -> bool {
        let first = self.batches.first().map_or(0, |first| first.header().max_timestamp);
        let span = next.header().max_timestamp.saturating_sub(first);
        !self.is_empty() && (self.bytes + next.len() as u64 > roll.bytes || span > roll.ms)
    }

    pub(super) fn push(&mut self, batch: Batch) {
        self.bytes += batch.len() as u64;
        self.max_timestamp = self.max_timestamp.max(batch.header().max_timestamp);
        self.batches.push(batch);
    }

    /// Drops the batches that reach `to`.
    pub(super) fn truncate(&mut self, to: i64) {
        let keep = self.batches.partition_point(|batch| batch.last() < to);
        self.batches.truncate(keep);
        self.bytes = self.batches.iter().map(|batch| batch.len() as u64).sum();
        let times = self.batches.iter().map(|batch| batch.header().max_timestamp);
        self.max_timestamp = times.max().unwrap_or(-1);
    }
}
