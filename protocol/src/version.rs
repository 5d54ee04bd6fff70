//! Ranges of message versions.

use std::fmt;

/// Versions from `min` to `max`, both included. Empty where `max < min`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VersionRange {
    /// The lowest version.
    pub min: i16,
    /// The highest version.
    pub max: i16,
}

impl VersionRange {
    /// The range from `min` to `max`, both included.
    #[must_use]
    pub const fn new(min: i16, max: i16) -> Self {
        Self { min, max }
    }

    /// Whether `version` lies in the range.
    #[must_use]
    pub const fn contains(self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }

    /// The highest version in both ranges: what two peers speak. `None` if they share none.
    #[must_use]
    pub fn highest_common(self, other: Self) -> Option<i16> {
        let highest = self.max.min(other.max);
        (self.contains(highest) && other.contains(highest)).then_some(highest)
    }

    /// Each version of the range, lowest first.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i16> {
        self.min..=self.max
    }
}

impl fmt::Display for VersionRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{}", self.min, self.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_speak_the_highest_version_both_know() {
        check((0, 5), (3, 9), Some(5));
        check((3, 9), (0, 5), Some(5));
        check((0, 5), (0, 5), Some(5));
    }

    #[test]
    fn peers_without_a_common_version_speak_none() {
        check((0, 2), (3, 9), None);
        check((3, 9), (0, 2), None);
        check((1, 0), (0, 2), None);
    }

    #[track_caller]
    fn check(ours: (i16, i16), theirs: (i16, i16), common: Option<i16>) {
        let ours = VersionRange::new(ours.0, ours.1);
        let theirs = VersionRange::new(theirs.0, theirs.1);
        assert_eq!(ours.highest_common(theirs), common);
    }
}
