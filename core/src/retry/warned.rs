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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::retry::test_now;

    #[test]
    fn the_first_is_told_and_then_one_in_a_while_with_a_count() {
        let (mut warned, now) = (Warned::default(), test_now());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(warned.count(now), Some(1));
        assert_eq!(warned.count(at(1)), None);
        assert_eq!(warned.count(at(9)), None);
        assert_eq!(warned.count(at(10)), Some(3));
        assert_eq!(warned.count(at(11)), None);
    }
}
