//! Which partitions are read.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::{Context, Poll};

use ottla_core::types::{TopicName, TopicPartition};

use super::Consumer;
use crate::driver::Unplaced;
use crate::error::ConsumerError;
use crate::machine::subscription::Subscription;

impl Consumer {
    /// Reads these partitions and no others from now on. Those that stay are read on where they are.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Exclusive`], where it subscribes; [`ConsumerError`], when the committed offsets
    /// cannot be looked up.
    ///
    /// # Cancel safety
    ///
    /// A dropped future takes nothing back: the partitions are read once their committed offsets are
    /// known, and the next poll says why, should that fail.
    ///
    /// # Kafka
    ///
    /// Java's `assign`.
    pub async fn assign<P: Into<TopicPartition>>(
        &mut self,
        partitions: impl IntoIterator<Item = P>,
    ) -> Result<(), ConsumerError> {
        if self.subscribed {
            return Err(ConsumerError::Exclusive);
        }
        let wanted: BTreeSet<TopicPartition> = partitions.into_iter().map(Into::into).collect();
        for gone in self.assignment().iter().filter(|name| !wanted.contains(*name)) {
            self.remove(gone);
        }
        // What failed before is not what this call fails with: it looks it up again.
        drop(self.shared.take_unknown_offsets());
        self.begin(wanted.into_iter().collect());
        poll_fn(|cx| self.poll_placed(cx)).await
    }

    /// Waits until it is known of all partitions where they begin.
    fn poll_placed(&self, cx: &Context<'_>) -> Poll<Result<(), ConsumerError>> {
        // Registered before looking, so that what comes in between is not missed.
        self.shared.reader().register(cx.waker());
        if let Err(error) = self.shared.check_open() {
            return Poll::Ready(Err(error));
        }
        if let Some(error) = self.shared.take_unknown_offsets() {
            return Poll::Ready(Err(error.into()));
        }
        let waits = self.shared.look(|fetcher| {
            fetcher.assignment().any(|name| {
                let slot = fetcher.slot(&name.topic, name.partition);
                slot.is_some_and(|slot| fetcher.is_being_placed(slot))
            })
        });
        if waits { Poll::Pending } else { Poll::Ready(Ok(())) }
    }

    /// Reads the partitions that the group gives it, of these topics, from now on. What begins with
    /// `^` is a pattern.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Pattern`]; [`ConsumerError::NoGroup`] without a group id;
    /// [`ConsumerError::Exclusive`], where it has partitions that it was [assigned](Self::assign).
    pub fn subscribe<T: Into<TopicName>>(
        &mut self,
        topics: impl IntoIterator<Item = T>,
    ) -> Result<(), ConsumerError> {
        let subscription = Subscription::new(topics.into_iter().map(Into::into))?;
        if self.group.is_none() {
            return Err(ConsumerError::NoGroup);
        }
        if !self.subscribed && !self.assignment().is_empty() {
            return Err(ConsumerError::Exclusive);
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

    /// Adds partitions, which are not read before they are placed; returns those that are new.
    pub(super) fn add(&mut self, mut partitions: Vec<TopicPartition>) -> Vec<Unplaced> {
        let now = self.shared.now();
        self.shared.look(|fetcher| {
            partitions.retain(|name| fetcher.slot(&name.topic, name.partition).is_none());
        });
        if let Some(arrived) = &mut self.arrived {
            arrived.extend(partitions.iter().cloned());
        }
        let streamed = self.arrived.is_some();
        let added = self.shared.with(|fetcher| {
            let mut added = Vec::new();
            for partition in partitions {
                let slot = fetcher.add(partition.clone());
                if streamed {
                    fetcher.set_streamed(slot, now);
                }
                let tenure = fetcher.tenure(slot);
                added.extend(tenure.map(|tenure| Unplaced::new(partition, slot, tenure)));
            }
            // Taken here, where none that is newer can come before it.
            fetcher.handle_snapshot(&self.shared.client().snapshot(), now);
            added
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
