//! What was promised, held against what happened.

mod consumed;
mod copied;
mod produced;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::history::{Event, FinalLog, History, Stamp};
use consumed::Consumed;
pub(crate) use copied::check_copies;
use produced::Produced;

/// A promise that was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Violation {
    /// The invariant's name: S1, L1.
    pub(crate) invariant: &'static str,
    /// What is wrong.
    pub(crate) what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}

/// Holds a history against the invariants. `logs` are the partitions at the end, by number;
/// `deadline` is the time in which a record must have an outcome.
pub(crate) fn check(
    history: &History,
    logs: &BTreeMap<i32, FinalLog>,
    deadline: Duration,
) -> Vec<Violation> {
    let mut broken = Broken::default();
    let truth = Truth::read(logs, &mut broken);
    let mut produced = Produced::new(&truth, deadline);
    let mut consumed = Consumed::new(&truth);
    let mut epochs = BTreeMap::new();
    for (at, event) in history.events() {
        produced.read(*at, event, &mut broken);
        consumed.read(event, &mut broken);
        match event {
            Event::Epoch { client, partition, epoch } => {
                let before = epochs.insert((*client, *partition), *epoch);
                if before.is_some_and(|before| before > *epoch) {
                    let what = format!("{partition}: epoch {epoch} after {before:?}");
                    broken.note("S18", format!("client {client}, {what}"));
                }
            }
            Event::Late { what, limit } => broken.note("L1", format!("{what}: not in {limit:?}")),
            Event::Stuck(what) => broken.note("L3", what.clone()),
            _ => {}
        }
    }
    produced.conclude(&mut broken);
    consumed.conclude(&mut broken);
    broken.0
}

/// The promises that were broken.
#[derive(Debug, Default)]
struct Broken(Vec<Violation>);

impl Broken {
    fn note(&mut self, invariant: &'static str, what: String) {
        self.0.push(Violation { invariant, what });
    }
}

/// The logs at the end.
#[derive(Debug, Default)]
struct Truth {
    /// By partition and offset.
    log: BTreeMap<(i32, i64), Stamp>,
    /// Where each record lies.
    places: BTreeMap<Stamp, Vec<(i32, i64)>>,
    /// What lay there before an unclean election, by partition and offset.
    lost: BTreeSet<(i32, i64, Stamp)>,
    /// The partitions that lost something.
    shortened: BTreeSet<i32>,
    /// By partition: the offsets at which there ever was a record.
    offsets: BTreeSet<(i32, i64)>,
}

impl Truth {
    fn read(logs: &BTreeMap<i32, FinalLog>, broken: &mut Broken) -> Self {
        let mut truth = Self::default();
        for (partition, log) in logs {
            for (offset, value) in &log.records {
                match value.parse::<Stamp>() {
                    Ok(stamp) => truth.place(stamp, *partition, *offset, broken),
                    Err(why) => broken.note("S6", format!("{partition}@{offset}: {why}")),
                }
            }
            for (offset, value) in &log.lost {
                truth.shortened.insert(*partition);
                truth.offsets.insert((*partition, *offset));
                truth.lost.extend(value.parse().map(|stamp| (*partition, *offset, stamp)));
            }
        }
        truth
    }

    fn place(&mut self, stamp: Stamp, partition: i32, offset: i64, broken: &mut Broken) {
        if stamp.partition.is_some_and(|meant| meant != partition) {
            broken.note("S6", format!("{stamp} lies in partition {partition}"));
        }
        self.places.entry(stamp).or_default().push((partition, offset));
        self.log.insert((partition, offset), stamp);
        self.offsets.insert((partition, offset));
    }

    /// The first record at or behind an offset; `None` behind the last one.
    fn next(&self, partition: i32, from: i64) -> Option<i64> {
        let mut behind = self.offsets.range((partition, from)..(partition + 1, i64::MIN));
        behind.next().map(|(_, offset)| *offset)
    }

    /// Whether a record lies at a place, or did until that was lost.
    fn has_had(&self, partition: i32, offset: i64, stamp: Stamp) -> bool {
        self.log.get(&(partition, offset)) == Some(&stamp)
            || self.lost.contains(&(partition, offset, stamp))
    }

    /// Whether records of a partition were lost, so that its offsets came twice.
    fn is_shortened(&self, partition: i32) -> bool {
        self.shortened.contains(&partition)
    }
}
