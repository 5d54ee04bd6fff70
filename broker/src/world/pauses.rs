//! Nodes that are paused, and what they missed.

use std::collections::BTreeMap;
use std::time::Duration;

use super::NodeId;

/// Nodes that are paused, and those that catch up after it.
///
/// A coordinator can go elsewhere and come back while its node is paused. What waits in that node's
/// sockets was meant for what it was before, and is out of date; Kafka is spared it because a
/// coordinator loads its state before it serves.
#[derive(Debug, Clone, Default)]
pub(super) struct Pauses {
    /// By paused node: whether coordinators moved meanwhile.
    paused: BTreeMap<NodeId, bool>,
    /// By node: until when it loads what it coordinates.
    loading: BTreeMap<NodeId, Duration>,
}

impl Pauses {
    pub(super) fn pause(&mut self, node: NodeId) {
        self.paused.entry(node).or_default();
    }

    pub(super) fn unpause(&mut self, node: NodeId, now: Duration) {
        if self.paused.remove(&node) == Some(true) {
            self.loading.insert(node, now + LOADING);
        }
    }

    /// Takes note that coordinators may have moved.
    pub(super) fn note_moved(&mut self) {
        self.paused.values_mut().for_each(|missed| *missed = true);
    }

    /// Takes note that a node went down, or came up: nothing waits in its sockets.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.paused.remove(&node);
        self.loading.remove(&node);
    }

    pub(super) fn is_loading(&self, node: NodeId, now: Duration) -> bool {
        self.loading.get(&node).is_some_and(|until| now < *until)
    }
}

/// How long it takes to load what is coordinated.
const LOADING: Duration = Duration::from_millis(50);
