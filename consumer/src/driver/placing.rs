//! Where partitions that have come begin: at what their group has committed.

use std::collections::BTreeSet;
use std::sync::Arc;

use ottla_core::retry::Deadline;
use ottla_core::types::{TopicPartition, Uuid};

use super::Shared;
use crate::machine::Position;
use crate::machine::commit::{CommitError, LookedUpOffsets};
use crate::machine::fetch::{Fetcher, Generation, Slot};

/// A partition that is not read before somebody says what is committed of it.
#[derive(Debug, Clone)]
pub(crate) struct Unplaced {
    pub(crate) partition: TopicPartition,
    slot: Slot,
    /// The assignment that it came with: what is said in one says nothing about another, between
    /// which somebody else may have committed.
    tenure: Generation,
    /// Of the topic that was asked for: another of its name has other records at its offsets.
    topic_id: Option<Uuid>,
}

impl Unplaced {
    pub(crate) fn new(partition: TopicPartition, slot: Slot, tenure: Generation) -> Self {
        Self { partition, slot, tenure, topic_id: None }
    }

    /// Whether what was said of it may be taken.
    fn is_as_asked(&self, fetcher: &Fetcher) -> bool {
        self.is_waiting(fetcher)
            && (self.topic_id.is_none() || self.topic_id == fetcher.topic_id(self.slot))
    }

    fn is_waiting(&self, fetcher: &Fetcher) -> bool {
        fetcher.tenure(self.slot) == Some(self.tenure) && fetcher.is_unplaced(self.slot)
    }
}

impl Shared {
    /// Begins to look up what is committed of partitions for which that has not begun, or has failed.
    /// Never waits: a poll that is dropped meanwhile drops no look-up, and delivers what there is of
    /// other partitions.
    pub(crate) fn place(self: &Arc<Self>) {
        let mut unplaced = std::mem::take(&mut *self.unplaced());
        if unplaced.is_empty() || !self.is_open() {
            return;
        }
        self.look(|fetcher| unplaced.retain(|it| it.is_waiting(fetcher)));
        if self.group().is_none() {
            let nowhere = unplaced.iter().map(|it| (it.partition.clone(), Ok(None))).collect();
            self.begin(unplaced, &nowhere);
            return;
        }
        let budget = self.client().config().default_api_timeout;
        let deadline = Deadline::after(self.now(), budget);
        let placing = place(Arc::clone(self), unplaced, deadline);
        self.client().runtime().spawn("committed offsets", placing);
    }

    /// Has partitions read from where their group has come to, and returns those that are not read yet:
    /// nothing is said of them, or that nothing will be.
    fn begin(
        self: &Arc<Self>,
        mut unplaced: Vec<Unplaced>,
        found: &LookedUpOffsets,
    ) -> Vec<Unplaced> {
        let now = self.now();
        self.with(|fetcher| {
            unplaced.retain(|it| {
                let found = found.get(&it.partition).filter(|_| it.is_as_asked(fetcher));
                match found {
                    Some(Ok(offset)) => {
                        fetcher.begin(it.slot, offset.as_ref().map(Position::from), now);
                    }
                    Some(Err(code)) => fetcher.refuse(it.slot, *code),
                    None => {}
                }
                it.is_waiting(fetcher)
            });
        });
        // Whoever assigned them may wait for that.
        self.reader().wake();
        unplaced
    }

    /// Asks again, after a while, for what the application has been told is refused: somebody may grant
    /// it meanwhile, as with a fetch that is refused.
    fn ask_later(self: &Arc<Self>, refused: Vec<Unplaced>) {
        if refused.is_empty() {
            return;
        }
        let shared = Arc::clone(self);
        self.client().runtime().spawn("refused offsets", async move {
            let client = shared.client();
            client.runtime().sleep(client.config().retry_backoff_max).await;
            shared.unplaced().extend(refused);
            shared.place();
        });
    }

    /// Takes note that nobody says what is committed: the next poll tells, and the one after it asks
    /// again.
    fn put_off(&self, mut unplaced: Vec<Unplaced>, error: CommitError) {
        self.look(|fetcher| unplaced.retain(|it| it.is_waiting(fetcher)));
        if unplaced.is_empty() || !self.is_open() {
            return;
        }
        self.unplaced().extend(unplaced);
        self.troubles().committed = Some(error);
        self.reader().wake();
    }
}

/// Looks up what is committed, and has each partition begin as soon as its offset is known: one that
/// an open transaction may still change keeps no other waiting.
async fn place(shared: Arc<Shared>, mut unplaced: Vec<Unplaced>, deadline: Deadline) {
    while !unplaced.is_empty() {
        shared.look(|fetcher| {
            unplaced.iter_mut().for_each(|it| it.topic_id = fetcher.topic_id(it.slot));
        });
        let names: BTreeSet<TopicPartition> =
            unplaced.iter().map(|it| it.partition.clone()).collect();
        // Not held while it is waited for: a dropped consumer leaves its group.
        let Some(looking_up) = shared.group().map(|group| group.committed_so_far(names, deadline))
        else {
            return;
        };
        match looking_up.await {
            Ok(found) => {
                let is_refused = |it: &Unplaced| matches!(found.get(&it.partition), Some(Err(_)));
                let left = shared.begin(unplaced, &found);
                let (refused, awaited) = left.into_iter().partition(is_refused);
                shared.ask_later(refused);
                unplaced = awaited;
            }
            Err(error) => return shared.put_off(unplaced, error),
        }
    }
}
