//! Numbers from a seed.

use std::ops::Range;
use std::time::Duration;

/// Draws numbers; the same seed draws the same ones.
#[derive(Debug, Clone)]
pub(crate) struct Draw(u64);

impl Draw {
    /// A generator with a seed. Neighbouring seeds have nothing in common.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd129_0cc4_7bb5_a5a5) ^ 0x6a09_e667_f3bc_c908)
    }

    /// Any number (`SplitMix64`).
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `range`, which is not empty.
    pub(crate) fn within(&mut self, range: Range<u64>) -> u64 {
        range.start + self.number() % (range.end - range.start).max(1)
    }

    /// A duration from `range`, to the millisecond.
    pub(crate) fn duration(&mut self, range: Range<Duration>) -> Duration {
        let millis = |at: Duration| u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.within(millis(range.start)..millis(range.end)))
    }

    /// Yes, `percent` times out of a hundred.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.within(0..100) < percent
    }

    /// One of `choices`, which are not empty.
    pub(crate) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let len = u64::try_from(choices.len()).unwrap_or(u64::MAX);
        let index = usize::try_from(self.within(0..len)).unwrap_or(0);
        &choices[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_numbers() {
        let draw =
            |seed| (0..9).scan(Draw::new(seed), |it, _| Some(it.number())).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn what_is_drawn_lies_within() {
        let mut draw = Draw::new(7);
        for _ in 0..1_000 {
            assert!((3..9).contains(&draw.within(3..9)));
        }
    }
}
