//! Commits, and what is committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_core::types::{ConsumerGroupMetadata, TopicPartition};

use super::{Consumer, Returned};
use crate::batch::Batch;
use crate::driver::group::GroupHandle;
use crate::error::ConsumerError;
use crate::machine::commit::{CommitError, CommittedOffsets, Cursor, Offsets};
use crate::machine::fetch::Origin;

impl Consumer {
    /// Commits all that was returned: whoever takes over begins behind it. With explicit
    /// acknowledgement, commits the contiguous prefix of what was acknowledged.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Commit`], and [`ConsumerError::NoGroup`] without a group id.
    ///
    /// # Cancel safety
    ///
    /// A dropped future takes nothing back: the commit goes on.
    ///
    /// # Kafka
    ///
    /// Java's `commitSync`.
    pub async fn commit(&mut self) -> Result<(), ConsumerError> {
        self.store_returned();
        let committing = self.group()?.commit_stored(None, self.deadline());
        Ok(committing.await?)
    }

    /// As [`commit`](Self::commit), without waiting. Commits happen in the order of the calls; what
    /// fails is an event.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NoGroup`].
    ///
    /// # Kafka
    ///
    /// Java's `commitAsync`.
    pub fn commit_async(&mut self) -> Result<(), ConsumerError> {
        self.store_returned();
        let committing = self.group()?.commit_stored(None, self.deadline());
        let shared = Arc::clone(&self.shared);
        self.shared.client().runtime().spawn("commit", async move {
            if let Err(error) = committing.await {
                shared.note_failed_commit(error);
            }
        });
        Ok(())
    }

    /// Commits `offsets`: of each partition, the next record to be processed.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    ///
    /// # Cancel safety
    ///
    /// As [`commit`](Self::commit).
    pub async fn commit_offsets(&self, offsets: Offsets) -> Result<(), ConsumerError> {
        Ok(self.group()?.commit(offsets, self.deadline()).await?)
    }

    /// What the group has committed; `None` for a partition of which it has committed nothing.
    ///
    /// # Errors
    ///
    /// As [`commit`](Self::commit).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn committed<P: Into<TopicPartition>>(
        &self,
        partitions: impl IntoIterator<Item = P>,
    ) -> Result<CommittedOffsets, ConsumerError> {
        let partitions: BTreeSet<TopicPartition> = partitions.into_iter().map(Into::into).collect();
        let committed = self.group()?.committed(partitions, self.deadline()).await?;
        let told = committed.into_iter().map(|(partition, offset)| match offset {
            Ok(offset) => Ok((partition, offset)),
            Err(code) => Err(CommitError::Partition { partition, code }),
        });
        Ok(told.collect::<Result<CommittedOffsets, CommitError>>()?)
    }

    /// Who commits for which group in which generation, for a transactional producer (KIP-447);
    /// `None` without a group id.
    #[must_use]
    pub fn group_metadata(&self) -> Option<ConsumerGroupMetadata> {
        self.group.as_ref().map(GroupHandle::group_metadata)
    }

    /// Counts what was returned so far as processed.
    pub(super) fn store_returned(&self) {
        let Some(group) = self.group.as_ref().filter(|_| !self.explicit) else { return };
        let Some(Returned { partition, origin, topic_id, next }) = &self.returned else { return };
        let Origin { slot, tenure, .. } = *origin;
        // Stored within: a log that becomes shorter meanwhile has it forgotten, and not before it.
        self.shared.look(|fetcher| {
            if topic_id.is_none() || *topic_id == fetcher.topic_id(slot) {
                let next = fetcher.behind(slot, tenure, *next);
                group.store(partition, next.into());
            }
        });
    }

    /// Lets the commits know how far a batch was processed while its records are given.
    pub(super) fn follow(&self, batch: &Batch) -> Option<Arc<Cursor>> {
        let group = self.group.as_ref().filter(|_| !self.explicit)?;
        let cursor = Arc::new(Cursor::new(batch.first_offset(), batch.leader_epoch()));
        group.follow(batch.topic_partition(), Arc::clone(&cursor));
        Some(cursor)
    }

    /// Counts what no application sees as processed, where all before it is.
    pub(super) fn store_passed(&self) {
        let Some(group) = self.group.as_ref().filter(|_| !self.explicit) else { return };
        self.shared.with(|fetcher| {
            while let Some(slot) = fetcher.poll_passed() {
                let passed = fetcher.name(slot).zip(fetcher.position(slot));
                if let Some((partition, position)) = passed {
                    group.store(partition, position.into());
                }
            }
        });
    }

    /// Begins to note what is processed of a partition that has come.
    pub(super) fn prepare_commits(&self, partition: &TopicPartition) {
        let Some(group) = &self.group else { return };
        group.reset_stored(partition);
        if self.explicit {
            self.track_marks(partition);
        }
    }

    /// Has the acknowledgements of a partition noted.
    pub(super) fn track_marks(&self, partition: &TopicPartition) {
        if let Some(group) = &self.group {
            self.shared.put_marks(partition, group.track_marks(partition));
        }
    }

    pub(super) fn group(&self) -> Result<&GroupHandle, ConsumerError> {
        self.shared.check_open()?;
        self.group.as_ref().ok_or(ConsumerError::NoGroup)
    }
}
