//! Which broker coordinates the group.

use std::time::{Duration, Instant};

use ottla_core::retry::Backoff;
use ottla_core::types::NodeId;

/// Knows the coordinator, or when to look it up.
///
/// ```text
/// Unknown --look up--> Looking --found--> Known --lost, or silent--> Unknown
///    ^                    |
///    '------failed--------'
/// ```
#[derive(Debug)]
pub struct CoordinatorFinder {
    state: Finding,
    backoff: Backoff,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Unknown {
        /// When to look it up.
        at: Instant,
    },
    Looking,
    Known {
        node: NodeId,
    },
}

impl CoordinatorFinder {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(now: Instant) -> Self {
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        Self { state: Finding::Unknown { at: now }, backoff }
    }

    /// The coordinator, if it is known.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        match self.state {
            Finding::Known { node } => Some(node),
            Finding::Unknown { .. } | Finding::Looking => None,
        }
    }

    /// Whether to look it up now. If so, the outcome is waited for.
    pub fn poll_lookup(&mut self, now: Instant) -> bool {
        let due = matches!(self.state, Finding::Unknown { at } if at <= now);
        if due {
            self.state = Finding::Looking;
        }
        due
    }

    /// Takes note of the coordinator.
    pub fn handle_found(&mut self, node: NodeId) {
        self.backoff.reset();
        self.state = Finding::Known { node };
    }

    /// Takes note that nobody could say.
    pub fn handle_failed(&mut self, now: Instant, random: u64) {
        self.state = Finding::Unknown { at: now + self.backoff.fail(random) };
    }

    /// Takes note that the broker which was believed to be the coordinator is not, or does not
    /// answer.
    pub fn handle_lost(&mut self, now: Instant) {
        if let Finding::Known { .. } = self.state {
            self.state = Finding::Unknown { at: now };
        }
    }

    /// When [`poll_lookup`](Self::poll_lookup) has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        match self.state {
            Finding::Unknown { at } => Some(at),
            Finding::Looking | Finding::Known { .. } => None,
        }
    }
}
