//! When a call must have answered.

use std::time::{Duration, Instant};

/// When a call must have answered. Taken once, where the call enters the client, and carried down:
/// no layer starts a timeout of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline of a call that has `budget` from `now`.
    #[must_use]
    pub fn after(now: Instant, budget: Duration) -> Self {
        Self(now.checked_add(budget).unwrap_or_else(|| now + FAR))
    }

    /// The moment itself.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Whether it has passed.
    #[must_use]
    pub fn is_over(self, now: Instant) -> bool {
        self.0 <= now
    }

    /// What is left.
    #[must_use]
    pub fn left(self, now: Instant) -> Duration {
        self.0.saturating_duration_since(now)
    }

    /// What one attempt may take: its own cap, or what is left if that is less. `None` when nothing
    /// is left.
    #[must_use]
    pub fn attempt(self, now: Instant, cap: Duration) -> Option<Duration> {
        let left = self.left(now);
        (!left.is_zero()).then(|| left.min(cap))
    }
}

/// Stands for "never" where a sum would overflow: a century.
const FAR: Duration = Duration::from_secs(100 * 365 * 24 * 3_600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_takes_its_cap_or_what_is_left() {
        let now = crate::retry::test_now();
        let deadline = Deadline::after(now, Duration::from_secs(3));
        assert_eq!(deadline.attempt(now, Duration::from_secs(2)), Some(Duration::from_secs(2)));
        let later = now + Duration::from_secs(2);
        assert_eq!(deadline.attempt(later, Duration::from_secs(2)), Some(Duration::from_secs(1)));
        assert_eq!(deadline.attempt(now + Duration::from_secs(3), Duration::from_secs(2)), None);
    }

    #[test]
    fn a_budget_without_end_does_not_overflow() {
        let now = crate::retry::test_now();
        assert!(!Deadline::after(now, Duration::MAX).is_over(now + Duration::from_secs(1 << 30)));
    }
}
