//! What the task waits for: at most one thing of each kind.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

use super::calls::Outcome;

/// A kind of thing to wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Slot {
    /// The coordinator is looked up.
    Find,
    /// A join or a sync.
    Join,
    /// A heartbeat.
    Heartbeat,
    /// A commit.
    Commit,
    /// A look-up of committed offsets.
    LookUp,
    /// The group is left.
    Leave,
    /// The topics of the group are made known.
    Topics,
    /// The metadata changes.
    Snapshot,
}

type Waiting = Pin<Box<dyn Future<Output = Outcome> + Send>>;

#[derive(Default)]
pub(super) struct Slots(BTreeMap<Slot, Waiting>);

impl Slots {
    /// Waits for `outcome`, and for nothing else of that kind any more.
    pub(super) fn put(
        &mut self,
        slot: Slot,
        outcome: impl Future<Output = Outcome> + Send + 'static,
    ) {
        self.0.insert(slot, Box::pin(outcome));
    }

    pub(super) fn clear(&mut self, slot: Slot) {
        self.0.remove(&slot);
    }

    pub(super) fn is_free(&self, slot: Slot) -> bool {
        !self.0.contains_key(&slot)
    }

    /// The next outcome of any kind. Cancel safe: what is not ready stays.
    pub(super) async fn next(&mut self) -> Outcome {
        poll_fn(|context| {
            for (slot, waiting) in &mut self.0 {
                if let Poll::Ready(outcome) = waiting.as_mut().poll(context) {
                    let slot = *slot;
                    self.0.remove(&slot);
                    return Poll::Ready(outcome);
                }
            }
            Poll::Pending
        })
        .await
    }
}
