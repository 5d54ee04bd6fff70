//! The consumer.

mod assign;
mod commit;
mod group;
mod lifecycle;
mod listening;
mod offsets;
mod poll;
mod seek;
mod streams;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use ottla_core::net::TopicUse;
use ottla_core::types::{TopicPartition, Uuid};

use crate::batch::{Opener, OwnedBatchRecords};
use crate::config::ConsumerConfig;
use crate::driver::Shared;
use crate::driver::group::GroupHandle;
use crate::error::ConsumerError;
use crate::listener::AnyListener;
use crate::machine::Position;
use crate::machine::commit::{CommitError, Cursor};
use crate::machine::fetch::{FetchEvent, Origin, Slot};
use crate::machine::membership::NoticeId;

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
pub struct Consumer {
    shared: Arc<Shared>,
    opener: Opener,
    /// What [`recv`](Self::recv) is in the middle of.
    current: Option<Current>,
    /// What was returned last, and counts as processed with the next call.
    returned: Option<Returned>,
    /// Keeps the topics of the partitions in the metadata.
    topics: Option<TopicUse>,
    /// Keeps the topics of the subscription in the metadata.
    wanted: Option<TopicUse>,
    group: Option<GroupHandle>,
    listener: Option<Arc<dyn AnyListener>>,
    /// When the group last heard of a record that was taken, in seconds.
    polled: i64,
    /// The failure of the member that the last poll told.
    failed: Option<NoticeId>,
    /// Whether the group gives the partitions.
    subscribed: bool,
    /// Whether only what was acknowledged counts as processed.
    explicit: bool,
    /// Partitions that have come and whose streams nobody has taken yet, where each has its own.
    arrived: Option<VecDeque<TopicPartition>>,
}

/// A batch whose records are given one after the other.
#[derive(Debug)]
struct Current {
    records: OwnedBatchRecords,
    next: Position,
    /// Tells the commits how far it was processed, where that is when the next record is asked for.
    cursor: Option<Arc<Cursor>>,
}

/// How far a partition was returned to the application.
#[derive(Debug, Clone)]
struct Returned {
    partition: TopicPartition,
    /// What it was read from.
    origin: Origin,
    /// Of the topic that it was read from: offsets mean nothing in another of its name.
    topic_id: Option<Uuid>,
    next: Position,
}

impl Consumer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        group: Option<GroupHandle>,
        listener: Option<Arc<dyn AnyListener>>,
        explicit: bool,
    ) -> Self {
        Self {
            shared,
            opener: Opener::new(),
            current: None,
            returned: None,
            topics: None,
            wanted: None,
            group,
            listener,
            polled: 0,
            failed: None,
            subscribed: false,
            explicit,
            arrived: None,
        }
    }

    /// The settings that it was built with.
    #[must_use]
    pub fn config(&self) -> &ConsumerConfig {
        self.shared.config()
    }

    /// The partitions that are read, by topic and number.
    #[must_use]
    pub fn assignment(&self) -> Vec<TopicPartition> {
        self.shared.look(|fetcher| fetcher.assignment().cloned().collect())
    }

    /// The oldest thing that happened on its own and that nobody has taken yet. Up to a thousand are
    /// kept of each kind.
    pub fn next_event(&mut self) -> Option<ConsumerEvent> {
        let fetched = self.shared.with(|fetcher| fetcher.poll_event()).map(ConsumerEvent::Fetch);
        fetched.or_else(|| self.shared.take_failed_commit().map(ConsumerEvent::CommitFailed))
    }

    /// Everything that [`next_event`](Self::next_event) has by now.
    pub fn events(&mut self) -> impl Iterator<Item = ConsumerEvent> + '_ {
        std::iter::from_fn(|| self.next_event())
    }

    fn group_id(&self) -> Option<&str> {
        self.shared.config().group_id.as_deref()
    }

    /// Whether the application is in the middle of what was returned of a partition.
    fn is_within(&self, slot: Slot) -> bool {
        self.returned.as_ref().is_some_and(|returned| returned.origin.slot == slot)
    }

    fn slot(&self, partition: &TopicPartition) -> Result<Slot, ConsumerError> {
        let slot = self.shared.look(|fetcher| fetcher.slot(&partition.topic, partition.partition));
        slot.ok_or_else(|| ConsumerError::NotAssigned { partition: partition.clone() })
    }
}

impl fmt::Debug for Consumer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Consumer").field("assignment", &self.assignment()).finish_non_exhaustive()
    }
}

/// Something that happened on its own, without the application and without an error of a call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ConsumerEvent {
    /// The position of a partition changed.
    Fetch(FetchEvent),
    /// A commit that nobody waits for failed.
    CommitFailed(CommitError),
}
