//! Where partitions are read.

use ottla_core::types::TopicPartition;

use super::Consumer;
use crate::batch::Batch;
use crate::error::ConsumerError;
use crate::machine::fetch::{Fetcher, Slot};
use crate::machine::{OffsetSpec, Position};

impl Consumer {
    /// Goes on at `offset`. Takes effect at once: nothing that was fetched before is returned.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotAssigned`].
    pub fn seek(&mut self, partition: &TopicPartition, offset: i64) -> Result<(), ConsumerError> {
        let now = self.shared.now();
        let position = Position::at(offset.max(0));
        self.sought(partition, |fetcher, slot| fetcher.seek(slot, position, now))
    }

    /// Has batches read again: each partition goes on in front of the first of these that is of it.
    /// A partition that was given up since, whose topic was made again, or that reads from before
    /// them, is passed over.
    ///
    /// For who processed them in a transaction that was aborted.
    pub fn rewind<'a>(&mut self, batches: impl IntoIterator<Item = &'a Batch>) {
        let now = self.shared.now();
        for batch in batches {
            let (origin, position) = batch.origin();
            if !self.shared.with(|fetcher| fetcher.rewind(origin, position, now)) {
                continue;
            }
            if self.is_within(origin.slot) {
                self.current = None;
                self.returned = None;
            }
            self.prepare_commits(batch.topic_partition());
        }
    }

    /// Goes on at the oldest record that is left.
    ///
    /// # Errors
    ///
    /// As [`seek`](Self::seek).
    pub fn seek_to_beginning(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        self.seek_to(partition, OffsetSpec::Earliest)
    }

    /// Goes on behind the newest record, with `isolation.level=read_committed` at the last stable
    /// offset.
    ///
    /// # Errors
    ///
    /// As [`seek`](Self::seek).
    pub fn seek_to_end(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        self.seek_to(partition, OffsetSpec::Latest)
    }

    /// Goes on at the first record whose timestamp is `timestamp_ms`, in milliseconds since 1970, or
    /// later; behind the newest where there is none.
    ///
    /// # Errors
    ///
    /// As [`seek`](Self::seek).
    pub fn seek_to_timestamp(
        &mut self,
        partition: &TopicPartition,
        timestamp_ms: i64,
    ) -> Result<(), ConsumerError> {
        self.seek_to(partition, OffsetSpec::Timestamp(timestamp_ms))
    }

    /// The offset of the next record to be returned; `None` while it is being looked up.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotAssigned`].
    pub fn position(&self, partition: &TopicPartition) -> Result<Option<i64>, ConsumerError> {
        let slot = self.slot(partition)?;
        if self.current.is_some()
            && let Some(returned) =
                self.returned.as_ref().filter(|returned| returned.origin.slot == slot)
        {
            return Ok(Some(returned.next.offset));
        }
        let position = self.shared.look(|fetcher| fetcher.position(slot));
        Ok(position.map(|position| position.offset))
    }

    /// Records that are not returned yet, as of the last answer: up to the high watermark, with
    /// `isolation.level=read_committed` to the last stable offset. `None` before the first answer.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotAssigned`].
    pub fn lag(&self, partition: &TopicPartition) -> Result<Option<u64>, ConsumerError> {
        let slot = self.slot(partition)?;
        Ok(self.shared.look(|fetcher| fetcher.lag(slot)))
    }

    /// Returns and fetches nothing more of a partition. What was fetched is kept while there is room.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotAssigned`].
    pub fn pause(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        let (slot, now) = (self.slot(partition)?, self.shared.now());
        // The rest of a batch that `recv` is in the middle of stays for later, too.
        if self.is_within(slot) {
            self.rewind_current();
        }
        self.shared.with(|fetcher| fetcher.pause(slot, now));
        Ok(())
    }

    /// Goes on with a partition that was paused.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NotAssigned`].
    pub fn resume(&mut self, partition: &TopicPartition) -> Result<(), ConsumerError> {
        let (slot, now) = (self.slot(partition)?, self.shared.now());
        self.shared.with(|fetcher| fetcher.resume(slot, now));
        Ok(())
    }

    /// The partitions that are paused.
    #[must_use]
    pub fn paused(&self) -> Vec<TopicPartition> {
        self.shared.look(|fetcher| {
            let paused = |name: &&TopicPartition| {
                let slot = fetcher.slot(&name.topic, name.partition);
                slot.is_some_and(|slot| fetcher.is_paused(slot))
            };
            fetcher.assignment().filter(paused).cloned().collect()
        })
    }

    fn seek_to(
        &mut self,
        partition: &TopicPartition,
        spec: OffsetSpec,
    ) -> Result<(), ConsumerError> {
        let now = self.shared.now();
        self.sought(partition, |fetcher, slot| fetcher.seek_to(slot, spec, now))
    }

    fn sought(
        &mut self,
        partition: &TopicPartition,
        seek: impl FnOnce(&mut Fetcher, Slot),
    ) -> Result<(), ConsumerError> {
        let slot = self.slot(partition)?;
        self.shared.with(|fetcher| seek(fetcher, slot));
        if self.is_within(slot) {
            self.current = None;
            self.returned = None;
        }
        self.prepare_commits(partition);
        Ok(())
    }
}
