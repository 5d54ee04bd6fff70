//! Medians with their range.

use serde::{Deserialize, Serialize};

/// The middle of some figures, and their extremes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Of at least one figure.
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
        Some(Self { median: f64::midpoint(low, high), min, max })
    }

    /// Whether no figure of the one is within the range of the other.
    pub fn is_apart_from(&self, other: &Self) -> bool {
        self.max < other.min || other.max < self.min
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_lies_between_the_middle_two() {
        check([4.0, 1.0, 2.0, 9.0], (3.0, 1.0, 9.0));
    }

    #[test]
    fn the_median_of_an_odd_number_is_one_of_them() {
        check([9.0, 1.0, 2.0], (2.0, 1.0, 9.0));
        check([7.0], (7.0, 7.0, 7.0));
    }

    #[test]
    fn nothing_has_no_median() {
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn ranges_that_touch_are_not_apart() {
        let spread = |min, max| Spread { median: min, min, max };
        assert!(spread(1.0, 2.0).is_apart_from(&spread(2.1, 3.0)));
        assert!(spread(2.1, 3.0).is_apart_from(&spread(1.0, 2.0)));
        assert!(!spread(1.0, 2.0).is_apart_from(&spread(2.0, 3.0)));
        assert!(!spread(1.0, 4.0).is_apart_from(&spread(2.0, 3.0)));
    }

    #[track_caller]
    fn check<const N: usize>(figures: [f64; N], (median, min, max): (f64, f64, f64)) {
        assert_eq!(Spread::of(figures), Some(Spread { median, min, max }));
    }
}
