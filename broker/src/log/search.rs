//! Records that are found by what only they tell, which takes reading them.

use super::Found;
use super::batch::Batch;

/// A search for a record by its time: what it takes from a log, so that the log's lock need not be
/// held while batches are unpacked.
#[derive(Debug, Clone)]
pub struct Search {
    /// Where the record can be, in ascending order of offset.
    pub(super) batches: Vec<Batch>,
    /// The first offset that may be found.
    pub(super) from: i64,
    /// The offset behind the last one that may be found.
    pub(super) upto: i64,
    pub(super) wanted: Wanted,
}

/// Which record is searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// The first with this timestamp, or a later one.
    NotBefore(i64),
    /// The first of those with the largest timestamp.
    Latest,
}

impl Search {
    /// Reads the batches, which may take long.
    #[must_use]
    pub fn run(&self) -> Option<Found> {
        match self.wanted {
            Wanted::NotBefore(time) => self.batches.iter().find_map(|batch| {
                let is_wanted = |found: &Found| found.timestamp >= time && self.admits(found);
                let mut first = None;
                batch.for_each_record(|found| {
                    first = Some(found).filter(is_wanted);
                    first.is_some()
                });
                first
            }),
            Wanted::Latest => {
                let mut latest: Option<Found> = None;
                for batch in &self.batches {
                    batch.for_each_record(|found| {
                        let is_later = latest.is_none_or(|l| l.timestamp < found.timestamp);
                        if is_later && found.timestamp >= 0 && self.admits(&found) {
                            latest = Some(found);
                        }
                        false
                    });
                }
                latest
            }
        }
    }

    fn admits(&self, found: &Found) -> bool {
        (self.from..self.upto).contains(&found.offset)
    }
}
