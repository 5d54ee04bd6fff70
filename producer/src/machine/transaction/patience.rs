//! How long to wait before a coordinator is asked again.

use std::time::Duration;

use ottla_core::retry::jitter;

/// The waits between attempts at one step of a transaction: short ones, and after half a second of
/// them longer ones.
///
/// What a coordinator is busy with takes it milliseconds: the markers of the transaction before, or
/// the loading of its log. `retry.backoff.ms` is too long for that, and a step costs next to nothing
/// to ask again; where it takes seconds after all, asking less often saves the broker from us.
#[derive(Debug, Clone, Default)]
pub(crate) struct Patience(u32);

impl Patience {
    /// The next wait. `random` moves it by up to a fifth.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let wait = if self.0 < QUICK { SOON } else { LATER };
        self.0 = self.0.saturating_add(1);
        jitter(wait, random)
    }

    /// Begins anew: a step was done.
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }
}

/// A wait while something is about to be done.
const SOON: Duration = Duration::from_millis(20);

/// How many waits are short.
const QUICK: u32 = 25;

/// A wait while something is not done.
const LATER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_short_for_half_a_second() {
        let mut patience = Patience::default();
        let waits: Vec<u128> = (0..27).map(|_| patience.next(20).as_millis()).collect();
        assert_eq!(waits[..25], [20; 25]);
        assert_eq!(waits[25..], [100, 100]);
        patience.reset();
        assert_eq!(patience.next(20), SOON);
    }
}
