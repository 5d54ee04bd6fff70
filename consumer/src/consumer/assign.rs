//! Which partitions are read.

use ottla_core::types::{TopicName, TopicPartition};
use std::collections::BTreeSet;

use super::Consumer;
use crate::error::ConsumerError;
use crate::machine::fetch::Slot;
use crate::machine::subscription::Subscription;

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
    pub async fn assign<P: Into<TopicPartition>>(
        &mut self,
        partitions: impl IntoIterator<Item = P>,
    ) -> Result<(), ConsumerError> {
        let wanted: BTreeSet<TopicPartition> = partitions.into_iter().map(Into::into).collect();
        for gone in self.assignment().iter().filter(|name| !wanted.contains(*name)) {
            self.remove(gone);
        }
        self.begin(wanted.into_iter().collect()).await
    }

    /// Reads the partitions that the group gives it, of these topics, from now on. What begins with
    /// `^` is a pattern.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Pattern`], and [`ConsumerError::NoGroup`] without a group id.
    pub fn subscribe<T: Into<TopicName>>(
        &mut self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<(), ConsumerError> {
        let subscription = Subscription::new(topics.into_iter().map(Into::into))?;
        if self.group.is_none() {
            return Err(ConsumerError::NoGroup);
        }
        self.subscribe_to(subscription);
        Ok(())
    }

    pub(crate) fn subscribe_to(&mut self, subscription: Subscription) {
        let client = self.shared.client();
        // The new ones are used before the old ones are let go, so that none is forgotten between.
        self.wanted = Some(if subscription.has_patterns() {
            client.use_all_topics()
        } else {
            client.use_topics(subscription.names().cloned())
        });
        self.subscribed = true;
        self.shared.subscribe(subscription);
    }

    /// Adds partitions, which are not read before they are placed; returns those that wait for that.
    pub(super) fn add(&mut self, partitions: Vec<TopicPartition>) -> Vec<(Slot, TopicPartition)> {
        let now = self.shared.now();
        if let Some(arrived) = &mut self.arrived {
            let known = self.shared.look(|fetcher| {
                let new =
                    |name: &&TopicPartition| fetcher.slot(&name.topic, name.partition).is_none();
                partitions.iter().filter(new).cloned().collect::<Vec<_>>()
            });
            arrived.extend(known);
        }
        let streamed = self.arrived.is_some();
        let added = self.shared.with(|fetcher| {
            let slots: Vec<Slot> =
                partitions.iter().map(|partition| fetcher.add(partition.clone())).collect();
            if streamed {
                slots.iter().for_each(|slot| fetcher.set_streamed(*slot, now));
            }
            // Taken here, where none that is newer can come before it.
            fetcher.handle_snapshot(&self.shared.client().snapshot(), now);
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
        if self.is_within(slot) {
            self.current = None;
            self.returned = None;
        }
        self.shared.with(|fetcher| fetcher.remove(partition, now));
        self.shared.drop_marks(partition);
        if let Some(arrived) = &mut self.arrived {
            arrived.retain(|waiting| waiting != partition);
        }
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
