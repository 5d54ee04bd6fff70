//! How long to wait before the next attempt (KIP-144, KIP-580).

use std::time::Duration;

/// Delays that double from `base` up to `max`, each moved by up to 20 % either way.
///
/// # Kafka
///
/// `retry.backoff.ms` and `retry.backoff.max.ms`, `reconnect.backoff.ms` and
/// `reconnect.backoff.max.ms`; Java's `ExponentialBackoff`.
#[derive(Debug, Clone)]
pub struct Backoff {
    base: Duration,
    max: Duration,
    failures: u32,
}

impl Backoff {
    /// The shortest delay that there is, but for jitter. A broker that refuses is not asked again
    /// without end, whatever the settings say.
    pub const LEAST: Duration = Duration::from_millis(1);

    /// A backoff before its first failure. Where `base` exceeds `max`, every delay is `max`, as in
    /// Java.
    #[must_use]
    pub fn new(base: Duration, max: Duration) -> Self {
        let max = max.max(Self::LEAST);
        Self { base: base.clamp(Self::LEAST, max), max, failures: 0 }
    }

    /// The delay after one more failure. `random` decides the jitter: any number, drawn anew each
    /// time.
    pub fn fail(&mut self, random: u64) -> Duration {
        let doubled = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        let delay = self.base.saturating_mul(doubled).min(self.max);
        jitter(delay, random)
    }

    /// Forgets the failures: the next delay is the base again.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last success.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// `delay`, moved by up to 20 % either way, so that clients which failed together do not come back
/// together.
#[must_use]
pub fn jitter(delay: Duration, random: u64) -> Duration {
    let percent = 80 + u32::try_from(random % 41).unwrap_or(20);
    delay.saturating_mul(percent) / 100
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The draw that moves nothing.
    const EVEN: u64 = 20;

    #[test]
    fn delays_double_up_to_their_bound() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_millis(300));
        let delays: Vec<u128> = (0..5).map(|_| backoff.fail(EVEN).as_millis()).collect();
        assert_eq!(delays, [50, 100, 200, 300, 300]);
    }

    #[test]
    fn a_backoff_of_nothing_waits_all_the_same() {
        let delays = |max| {
            let mut backoff = Backoff::new(Duration::ZERO, max);
            [(); 4].map(|()| backoff.fail(EVEN).as_millis())
        };
        assert_eq!(delays(Duration::from_millis(3)), [1, 2, 3, 3]);
        assert_eq!(delays(Duration::ZERO), [1, 1, 1, 1]);
    }

    #[test]
    fn a_success_starts_over() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        backoff.fail(EVEN);
        backoff.fail(EVEN);
        backoff.reset();
        assert_eq!(backoff.fail(EVEN), Duration::from_millis(50));
    }

    #[test]
    fn jitter_stays_within_a_fifth() {
        let delay = Duration::from_millis(100);
        for random in 0..1_000 {
            let moved = jitter(delay, random).as_millis();
            assert!((80..=120).contains(&moved), "{moved}");
        }
    }

    #[test]
    fn ages_of_failures_do_not_overflow() {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        for _ in 0..100 {
            assert!(backoff.fail(EVEN) <= Duration::from_secs(1));
        }
    }
}
