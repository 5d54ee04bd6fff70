//! Warnings about trouble that is tried again.

use std::time::{Duration, Instant};

/// Keeps warnings about one thing apart: the first is told, then one in a while with a count.
#[derive(Debug, Default)]
pub struct Warned {
    last: Option<Instant>,
    since: u64,
}

impl Warned {
    /// Counts one more, and says how many there were since the last that was told, if it is time to
    /// tell again.
    pub fn count(&mut self, now: Instant) -> Option<u64> {
        self.since += 1;
        if self.last.is_some_and(|last| now < last + WARN_AGAIN) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.since))
    }
}

/// How long trouble of one kind is counted before it is told again.
const WARN_AGAIN: Duration = Duration::from_secs(10);
