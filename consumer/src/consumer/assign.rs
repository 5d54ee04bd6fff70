//! Which partitions are read.

use ottla_core::types::{TopicName, TopicPartition};
use std::collections::BTreeSet;

use super::Consumer;
use crate::error::ConsumerError;
use crate::machine::Position;
use crate::machine::fetch::Slot;

impl Consumer {
    /// Reads these partitions and no others from now on. Those that stay are read on where they are.
    ///
    /// # Errors
    ///
    /// [`ConsumerError`], when the committed offsets cannot be looked up.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: partitions whose committed offsets were not looked up are not read until the next
    /// call.
    ///
    /// # Kafka
    ///
    /// Java's `assign`.
    #[expect(clippy::unused_async, reason = "committed offsets are looked up")]
    pub async fn assign<P: Into<TopicPartition>>(
        &mut self,
        partitions: impl IntoIterator<Item = P>,
    ) -> Result<(), ConsumerError> {
        let wanted: BTreeSet<TopicPartition> = partitions.into_iter().map(Into::into).collect();
        for gone in self.assignment().iter().filter(|name| !wanted.contains(*name)) {
            self.remove(gone);
        }
        let added = self.add(wanted.into_iter().collect());
        let now = self.shared.now();
        self.shared.with(|fetcher| {
            for (slot, _) in added {
                fetcher.begin(slot, None::<Position>, now);
            }
        });
        Ok(())
    }

    /// Adds partitions, which are not read before they are placed; returns those that wait for that.
    pub(super) fn add(&mut self, partitions: Vec<TopicPartition>) -> Vec<(Slot, TopicPartition)> {
        let snapshot = self.shared.client().snapshot();
        let now = self.shared.now();
        let added = self.shared.with(|fetcher| {
            let slots: Vec<Slot> =
                partitions.iter().map(|partition| fetcher.add(partition.clone())).collect();
            fetcher.handle_snapshot(&snapshot, now);
            let both = slots.into_iter().zip(partitions);
            both.filter(|(slot, _)| fetcher.is_unplaced(*slot)).collect()
        });
        self.use_topics();
        added
    }

    /// Removes a partition: nothing of it is returned any more.
    pub(super) fn remove(&mut self, partition: &TopicPartition) {
        let now = self.shared.now();
        let Ok(slot) = self.slot(partition) else { return };
        if self.returned.is_some_and(|returned| returned.slot == slot) {
            self.current = None;
            self.returned = None;
        }
        self.shared.with(|fetcher| fetcher.remove(partition, now));
        self.use_topics();
    }

    /// Keeps the topics of the assignment in the metadata.
    fn use_topics(&mut self) {
        let names: BTreeSet<TopicName> =
            self.assignment().into_iter().map(|partition| partition.topic).collect();
        // The new ones are used before the old ones are let go, so that none is forgotten between.
        self.topics = Some(self.shared.client().use_topics(names));
    }
}
