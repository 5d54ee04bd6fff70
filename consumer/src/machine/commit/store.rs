//! What was processed and is not committed yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use ottla_core::types::{LeaderEpoch, TopicPartition};

use super::{MarkedPartition, Offset, Offsets};

/// How far each partition was processed, and how much of that is committed.
///
/// Only what is put in here is ever committed without being asked: not what was fetched, and not what
/// was merely returned.
#[derive(Debug, Default)]
pub struct OffsetStore {
    partitions: BTreeMap<TopicPartition, Stored>,
}

#[derive(Debug, Default)]
struct Stored {
    processed: Option<Offset>,
    /// The batch that is being processed, one record after the other.
    cursor: Option<Arc<Cursor>>,
    /// Where marks decide what was processed.
    marks: Option<Arc<MarkedPartition>>,
    committed: Option<Offset>,
}

impl Stored {
    fn processed(&self) -> Option<Offset> {
        match &self.marks {
            Some(marks) => marks.committable(),
            None => {
                let within = self.cursor.as_ref().and_then(|cursor| cursor.processed());
                let done = self.processed.as_ref();
                let ahead = |within: &Offset| done.is_none_or(|done| done.offset < within.offset);
                within.filter(ahead).or_else(|| self.processed.clone())
            }
        }
    }
}

/// How far one batch was processed, by whoever takes its records one after the other. What commits
/// reads it, so that a record costs a store and nothing else.
#[derive(Debug)]
pub struct Cursor {
    first: i64,
    next: AtomicI64,
    leader_epoch: Option<LeaderEpoch>,
}

impl Cursor {
    /// Nothing of a batch was processed, whose first record is at `first` or behind it.
    #[must_use]
    pub fn new(first: i64, leader_epoch: Option<LeaderEpoch>) -> Self {
        Self { first, next: AtomicI64::new(first), leader_epoch }
    }

    /// Notes that everything before `offset` was processed.
    #[inline]
    pub fn advance(&self, offset: i64) {
        // Whoever commits it sees what processing did.
        self.next.store(offset, Ordering::Release);
    }

    /// What may be committed; `None` before anything of the batch was processed.
    #[must_use]
    pub fn processed(&self) -> Option<Offset> {
        let next = self.next.load(Ordering::Acquire);
        (next > self.first).then(|| Offset::new(next).with_leader_epoch(self.leader_epoch))
    }
}

impl OffsetStore {
    /// Notes that everything before `offset` was processed. One that does not go ahead is passed
    /// over: only a [`reset`](Self::reset) goes back.
    pub fn store(&mut self, partition: &TopicPartition, offset: Offset) {
        let Some(stored) = self.partitions.get_mut(partition) else {
            let stored = Stored { processed: Some(offset), ..Stored::default() };
            self.partitions.insert(partition.clone(), stored);
            return;
        };
        if stored.processed.as_ref().is_none_or(|before| before.offset < offset.offset) {
            stored.processed = Some(offset);
        }
    }

    /// Has what `cursor` says count as processed, too, until another takes its place.
    pub fn follow(&mut self, partition: &TopicPartition, cursor: Arc<Cursor>) {
        match self.partitions.get_mut(partition) {
            Some(stored) => stored.cursor = Some(cursor),
            None => {
                let stored = Stored { cursor: Some(cursor), ..Stored::default() };
                self.partitions.insert(partition.clone(), stored);
            }
        }
    }

    /// Lets marks decide from now on what was processed of a partition.
    pub fn track_marks(&mut self, partition: &TopicPartition) -> Arc<MarkedPartition> {
        let stored = self.partitions.entry(partition.clone()).or_default();
        Arc::clone(stored.marks.get_or_insert_with(Arc::default))
    }

    /// Forgets a partition, its marks included.
    pub fn reset(&mut self, partition: &TopicPartition) {
        self.partitions.remove(partition);
    }

    /// What was processed and is not committed, of all partitions or of `only`.
    #[must_use]
    pub fn uncommitted(&self, only: Option<&BTreeSet<TopicPartition>>) -> Offsets {
        let wanted = |partition: &TopicPartition| only.is_none_or(|only| only.contains(partition));
        let uncommitted = self.partitions.iter().filter_map(|(partition, stored)| {
            let processed = stored.processed().filter(|_| wanted(partition))?;
            let is_new = stored.committed.as_ref() != Some(&processed);
            is_new.then(|| (partition.clone(), processed))
        });
        uncommitted.collect()
    }

    /// Takes note that offsets were committed.
    pub fn handle_committed(&mut self, offsets: &Offsets) {
        for (partition, offset) in offsets {
            if let Some(stored) = self.partitions.get_mut(partition) {
                stored.committed = Some(offset.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_of_which_nothing_was_processed_is_not_committed() {
        let (store, _) = following(10);
        assert!(store.uncommitted(None).is_empty());
    }

    #[test]
    fn what_was_processed_within_a_batch_is_committed_once() {
        let (mut store, cursor) = following(10);
        cursor.advance(13);
        let uncommitted = store.uncommitted(None);
        assert_eq!(uncommitted, [(partition(), Offset::new(13))].into());
        store.handle_committed(&uncommitted);
        assert!(store.uncommitted(None).is_empty());
    }

    #[test]
    fn the_higher_of_batch_and_store_counts() {
        let (mut store, cursor) = following(10);
        cursor.advance(13);
        store.store(&partition(), Offset::new(20));
        assert_eq!(store.uncommitted(None), [(partition(), Offset::new(20))].into());
        cursor.advance(21);
        assert_eq!(store.uncommitted(None), [(partition(), Offset::new(21))].into());
    }

    #[test]
    fn a_reset_lets_go_of_the_batch() {
        let (mut store, cursor) = following(10);
        store.reset(&partition());
        cursor.advance(13);
        assert!(store.uncommitted(None).is_empty());
    }

    fn following(first: i64) -> (OffsetStore, Arc<Cursor>) {
        let cursor = Arc::new(Cursor::new(first, None));
        let mut store = OffsetStore::default();
        store.follow(&partition(), Arc::clone(&cursor));
        (store, cursor)
    }

    fn partition() -> TopicPartition {
        TopicPartition::new("t", 0)
    }
}
