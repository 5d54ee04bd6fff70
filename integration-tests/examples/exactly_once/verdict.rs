//! Compares the copies with what there was to copy.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What a run has shown.
#[derive(Debug)]
pub(crate) struct Verdict {
    copied: usize,
    lost: u64,
    duplicated: usize,
    /// Behind one of the same key that was written later.
    reordered: usize,
    /// In another form than was asked for.
    odd: usize,
    broker_kills: u32,
    copier_kills: u32,
    aborted: u64,
    took: Duration,
}

impl Verdict {
    /// `copies` has a line for each copy: partition, key and value, with tabs between.
    pub(crate) fn new(
        copies: &str,
        records: u64,
        broker_kills: u32,
        copier_kills: u32,
        aborted: u64,
        took: Duration,
    ) -> Self {
        let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
        let mut newest: BTreeMap<&str, u64> = BTreeMap::new();
        let (mut reordered, mut odd) = (0, 0);
        for line in copies.lines().filter(|line| line.starts_with("Partition:")) {
            let Some((key, number)) = read(line) else {
                odd += 1;
                continue;
            };
            *seen.entry(number).or_default() += 1;
            let before = newest.insert(key, number);
            reordered += usize::from(before.is_some_and(|before| before > number));
        }
        let copied = seen.len();
        let lost = (0..records).filter(|number| !seen.contains_key(number)).count() as u64;
        let duplicated = seen.values().filter(|count| **count > 1).count();
        Self { copied, lost, duplicated, reordered, odd, broker_kills, copier_kills, aborted, took }
    }

    /// Whether no promise was broken.
    pub(crate) fn is_clean(&self, records: u64) -> bool {
        let Self { lost, duplicated, reordered, odd, .. } = self;
        self.copied as u64 == records && *lost == 0 && duplicated + reordered + odd == 0
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { copied, lost, duplicated, reordered, odd, .. } = self;
        write!(
            f,
            "{copied} records copied, {lost} lost, {duplicated} duplicated, {reordered} reordered, \
             {odd} odd; {} brokers and {} copiers killed, {} transactions told as not written, \
             {:.0} s",
            self.broker_kills,
            self.copier_kills,
            self.aborted,
            self.took.as_secs_f64()
        )
    }
}

/// The key and the number of a copy.
fn read(line: &str) -> Option<(&str, u64)> {
    let mut columns = line.split('\t').skip(1);
    let (key, value) = (columns.next()?, columns.next()?);
    Some((key, value.strip_prefix('N')?.parse().ok()?))
}
