//! What a producer promises: S1 to S4, one outcome for each record (A1), in its time (L1).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ottla_core::error::Certainty;

use super::{Broken, Truth};
use crate::history::{Event, Stamp};

pub(super) struct Produced<'a> {
    truth: &'a Truth,
    deadline: Duration,
    sent: BTreeMap<Stamp, Duration>,
    settled: BTreeSet<Stamp>,
}

impl<'a> Produced<'a> {
    pub(super) fn new(truth: &'a Truth, deadline: Duration) -> Self {
        Self { truth, deadline, sent: BTreeMap::new(), settled: BTreeSet::new() }
    }

    pub(super) fn read(&mut self, at: Duration, event: &Event, broken: &mut Broken) {
        match event {
            Event::Sent(stamp) => {
                self.sent.insert(*stamp, at);
            }
            Event::Acknowledged { stamp, partition, offset } => {
                self.settle(*stamp, at, broken);
                self.judge_acknowledged(*stamp, *partition, *offset, broken);
            }
            Event::Failed { stamp, certainty, error } => {
                self.settle(*stamp, at, broken);
                let written = self.truth.places.get(stamp);
                if let (Certainty::NotWritten, Some(places)) = (certainty, written) {
                    broken.note("S4", format!("{stamp} failed ({error}), but lies at {places:?}"));
                }
            }
            Event::Withdrawn(stamp) => {
                self.settle(*stamp, at, broken);
                if let Some(places) = self.truth.places.get(stamp) {
                    broken.note("S4", format!("{stamp} was withdrawn, but lies at {places:?}"));
                }
            }
            Event::Abandoned(stamp) => self.settle(*stamp, at, broken),
            _ => {}
        }
    }

    fn settle(&mut self, stamp: Stamp, at: Duration, broken: &mut Broken) {
        let Some(sent) = self.sent.get(&stamp).copied() else {
            return broken.note("A1", format!("{stamp} has an outcome, but was never sent"));
        };
        if !self.settled.insert(stamp) {
            broken.note("A1", format!("{stamp} has two outcomes"));
        }
        let took = at.saturating_sub(sent);
        if took > self.deadline {
            broken.note("L1", format!("{stamp} had its outcome after {took:?}"));
        }
    }

    fn judge_acknowledged(
        &self,
        stamp: Stamp,
        partition: i32,
        offset: Option<i64>,
        broken: &mut Broken,
    ) {
        let Some(offset) = offset else { return };
        if !self.truth.has_had(partition, offset, stamp) {
            let there = self.truth.log.get(&(partition, offset));
            let there = there.map_or_else(|| "nothing".to_owned(), ToString::to_string);
            let what = format!("{stamp} was acknowledged at {partition}@{offset}: {there}");
            broken.note("S1", what);
        }
    }

    pub(super) fn conclude(&self, broken: &mut Broken) {
        for (stamp, places) in self.truth.places.iter().filter(|(_, places)| places.len() > 1) {
            broken.note("S2", format!("{stamp} lies at {places:?}"));
        }
        self.judge_order(broken);
        for stamp in self.sent.keys().filter(|stamp| !self.settled.contains(stamp)) {
            broken.note("A1", format!("{stamp} has no outcome"));
        }
    }

    /// A producer's records lie in each partition in the order it handed them over.
    fn judge_order(&self, broken: &mut Broken) {
        let mut last: BTreeMap<(u32, i32), Stamp> = BTreeMap::new();
        for ((partition, offset), stamp) in &self.truth.log {
            if let Some(before) = last.insert((stamp.producer, *partition), *stamp)
                && before.number > stamp.number
            {
                let what = format!("{stamp} at {partition}@{offset} lies behind {before}");
                broken.note("S3", what);
            }
        }
    }
}
