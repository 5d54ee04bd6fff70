//! A broker that is slow, and that dies for a while.

use std::time::Duration;

use tokio::time::Instant;

/// How slow, and when dead. It is dead as a frozen process is: connections stand, and nothing that
/// was asked is answered before it is well again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Trouble {
    /// Bytes of requests that are answered in a second; as many as come, without.
    pub bytes_per_second: Option<u64>,
    /// How long it lives first, from the first request on.
    pub dead_after: Duration,
    /// How long it is dead then; zero for a broker that does not die.
    pub dead_for: Duration,
}

/// [`Trouble`] as it goes on.
#[derive(Debug)]
pub(crate) struct Troubled {
    trouble: Trouble,
    began: Option<Instant>,
    busy_until: Option<Instant>,
}

impl Troubled {
    pub(crate) fn new(trouble: Trouble) -> Self {
        Self { trouble, began: None, busy_until: None }
    }

    /// When the answer to a request of so many bytes may leave that could leave at `due`.
    pub(crate) fn handle_request(&mut self, bytes: usize, due: Instant, now: Instant) -> Instant {
        let Trouble { bytes_per_second, dead_after, dead_for } = self.trouble;
        let dies = *self.began.get_or_insert(now) + dead_after;
        let mut due = due;
        if let Some(rate) = bytes_per_second {
            let free = self.busy_until.unwrap_or(now).max(now);
            let done = free + Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            self.busy_until = Some(done);
            due = due.max(done);
        }
        let lives_again = dies + dead_for;
        if dies <= due && due < lives_again { lives_again } else { due }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_broker_answers_one_request_after_the_other() {
        let trouble = Trouble { bytes_per_second: Some(1_000), ..Trouble::default() };
        check(trouble, &[(0, 100, 100), (0, 600, 500), (2_000, 2_100, 100)]);
    }

    #[test]
    fn a_dead_broker_answers_when_it_is_well_again() {
        let trouble = Trouble {
            dead_after: Duration::from_secs(1),
            dead_for: Duration::from_secs(5),
            ..Trouble::default()
        };
        check(trouble, &[(0, 0, 9), (999, 999, 9), (1_000, 6_000, 9), (6_000, 6_000, 9)]);
    }

    #[test]
    fn without_trouble_nothing_waits() {
        check(Trouble::default(), &[(0, 0, 1 << 20), (0, 0, 1 << 20), (7, 7, 1)]);
    }

    /// Each request comes, is answered (both in milliseconds) and has so many bytes.
    #[track_caller]
    fn check(trouble: Trouble, requests: &[(u64, u64, usize)]) {
        let began = Instant::now();
        let mut troubled = Troubled::new(trouble);
        for (comes, answered, bytes) in requests.iter().copied() {
            let now = began + Duration::from_millis(comes);
            let due = troubled.handle_request(bytes, now, now);
            assert_eq!((due - began).as_millis(), u128::from(answered), "at {comes}");
        }
    }
}
