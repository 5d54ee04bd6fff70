//! What was processed and is not committed yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_core::types::TopicPartition;

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
    /// Where marks decide what was processed.
    marks: Option<Arc<MarkedPartition>>,
    committed: Option<Offset>,
}

impl Stored {
    fn processed(&self) -> Option<Offset> {
        match &self.marks {
            Some(marks) => marks.committable(),
            None => self.processed.clone(),
        }
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
