//! The consumer.

mod assign;
mod lifecycle;
mod poll;
mod seek;

use std::sync::Arc;

use ottla_core::net::TopicUse;
use ottla_core::types::TopicPartition;

use crate::batch::{Opener, OwnedBatchRecords};
use crate::driver::Shared;
use crate::error::ConsumerError;
use crate::machine::Position;
use crate::machine::fetch::{FetchEvent, Generation, Slot};

pub use lifecycle::ShutdownHandle;

/// Reads the records of partitions.
///
/// Three ways to take them, which may be mixed: [`poll`](Self::poll) lends whole batches and is the
/// fastest, [`recv`](Self::recv) gives one record after the other, and
/// [`into_stream`](Self::into_stream) does so as a `Stream`. With
/// [`partitions`](Self::partitions), each partition has a stream of its own.
///
/// Records are fetched in the background, up to `fetch.buffer.memory`. Dropping a consumer never
/// waits; [`close`](Self::close) does.
///
/// # Kafka
///
/// Java's `KafkaConsumer`.
#[derive(Debug)]
pub struct Consumer {
    shared: Arc<Shared>,
    opener: Opener,
    /// What [`recv`](Self::recv) is in the middle of.
    current: Option<Current>,
    /// What was returned last, and counts as processed with the next call.
    returned: Option<Returned>,
    /// Keeps the topics in the metadata.
    topics: Option<TopicUse>,
}

/// A batch whose records are given one after the other.
#[derive(Debug)]
struct Current {
    records: OwnedBatchRecords,
    next: Position,
}

/// How far a partition was returned to the application.
#[derive(Debug, Clone, Copy)]
struct Returned {
    slot: Slot,
    generation: Generation,
    next: Position,
}

impl Consumer {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, opener: Opener::new(), current: None, returned: None, topics: None }
    }

    /// The partitions that are read, by topic and number.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.shared.look(|fetcher| fetcher.assignment().cloned().collect())
    }

    /// The oldest thing that happened to a partition on its own and that nobody has taken yet: a
    /// reset, a truncation. Up to a thousand are kept.
    pub fn next_event(&mut self) -> Option<FetchEvent> {
        self.shared.with(|fetcher| fetcher.poll_event())
    }

    /// Everything that [`next_event`](Self::next_event) has by now, the oldest first.
    pub fn events(&mut self) -> impl Iterator<Item = FetchEvent> + '_ {
        std::iter::from_fn(|| self.next_event())
    }

    fn slot(&self, partition: &TopicPartition) -> Result<Slot, ConsumerError> {
        let slot = self.shared.look(|fetcher| fetcher.slot(&partition.topic, partition.partition));
        slot.ok_or_else(|| ConsumerError::NotAssigned { partition: partition.clone() })
    }
}
