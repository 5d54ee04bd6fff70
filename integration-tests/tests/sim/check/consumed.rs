//! What consumers of a group promise: S11 to S17.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, Truth};
use crate::history::{Commit, Event, Stamp};

pub(super) struct Consumed<'a> {
    truth: &'a Truth,
    /// By consumer and partition: where it is to be given the next record, and the number of the
    /// assignment.
    tenures: BTreeMap<(u32, i32), (u64, From)>,
    assignments: u64,
    /// By partition: what was given to somebody.
    delivered: BTreeMap<i32, Delivered>,
    /// By partition: the offsets whose commit was begun by now.
    committing: BTreeMap<i32, BTreeSet<i64>>,
    /// By partition: the highest offset whose commit was acknowledged.
    committed: BTreeMap<i32, i64>,
    /// What was acknowledged when a consumer began its commit.
    floors: BTreeMap<Commit, i64>,
}

/// Where a consumer is to go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// Where the group has come to: this far at least, by what was acknowledged.
    Committed { at_least: i64 },
    /// At this offset.
    Offset(i64),
}

#[derive(Debug, Default)]
struct Delivered {
    offsets: BTreeSet<i64>,
    stamps: BTreeSet<Stamp>,
    /// The first record that nobody was given; `None` while that is not known.
    frontier: Option<i64>,
}

impl<'a> Consumed<'a> {
    pub(super) fn new(truth: &'a Truth) -> Self {
        Self {
            truth,
            tenures: BTreeMap::new(),
            assignments: 0,
            delivered: BTreeMap::new(),
            committing: BTreeMap::new(),
            committed: BTreeMap::new(),
            floors: BTreeMap::new(),
        }
    }

    pub(super) fn read(&mut self, event: &Event, broken: &mut Broken) {
        match event {
            Event::Assigned { consumer, partition } => self.assign(*consumer, *partition),
            Event::Revoked { consumer, partition } => {
                self.tenures.remove(&(*consumer, *partition));
            }
            Event::Died { consumer } => self.tenures.retain(|(owner, _), _| owner != consumer),
            Event::Delivered { consumer, partition, offset, stamp } => {
                self.judge_content(*partition, *offset, *stamp, broken);
                self.deliver(*consumer, *partition, *offset, broken);
                self.delivered.entry(*partition).or_default().stamps.insert(*stamp);
            }
            Event::Committing(commit) => self.begin_commit(*commit, broken),
            Event::Committed(commit) => self.end_commit(*commit, broken),
            Event::CommitFailed(commit) => {
                self.floors.remove(commit);
            }
            Event::FinallyCommitted { partition, offset } => {
                self.judge_final(*partition, *offset, broken);
            }
            Event::Reset { consumer, partition, to } => {
                self.reset(*consumer, *partition, *to, broken);
            }
            _ => {}
        }
    }

    /// A member that was busy may be told of an assignment when there is another one already: whose
    /// the partition is shows when somebody is given a record.
    fn assign(&mut self, consumer: u32, partition: i32) {
        self.assignments += 1;
        let at_least = self.committed.get(&partition).copied().unwrap_or(0);
        let tenure = (self.assignments, From::Committed { at_least });
        self.tenures.insert((consumer, partition), tenure);
    }

    fn judge_content(&self, partition: i32, offset: i64, stamp: Stamp, broken: &mut Broken) {
        if !self.truth.has_had(partition, offset, stamp) {
            let there = self.truth.log.get(&(partition, offset));
            let what = format!("{partition}@{offset} was read as {stamp}, and is {there:?}");
            broken.note("S17", what);
        }
    }

    fn deliver(&mut self, consumer: u32, partition: i32, offset: i64, broken: &mut Broken) {
        let what = format!("consumer {consumer} got {partition}@{offset}");
        match self.tenures.get_mut(&(consumer, partition)) {
            None => broken.note("S13", format!("{what}, which is not its own")),
            Some((number, from)) => {
                let (number, before) = (*number, std::mem::replace(from, From::Offset(offset + 1)));
                // Whoever had the partition before was fenced, whether it knows that yet or not.
                self.tenures
                    .retain(|(_, owned), (other, _)| *owned != partition || *other >= number);
                self.judge_position(before, partition, offset, &what, broken);
            }
        }
        self.delivered.entry(partition).or_default().add(partition, offset, self.truth);
    }

    fn judge_position(
        &self,
        before: From,
        partition: i32,
        offset: i64,
        what: &str,
        broken: &mut Broken,
    ) {
        match before {
            From::Offset(next) if self.truth.next(partition, next) == Some(offset) => {}
            From::Offset(next) => broken.note("S12", format!("{what}, where {next} was next")),
            From::Committed { at_least } => {
                let begun = self.committing.get(&partition);
                let known = begun.is_some_and(|begun| {
                    begun.iter().any(|from| self.truth.next(partition, *from) == Some(offset))
                });
                let takes_back = offset < at_least && !self.truth.is_shortened(partition);
                if !known || takes_back {
                    let what = format!("{what} first, where {at_least} was committed");
                    broken.note("S16", what);
                }
            }
        }
    }

    /// Nothing is ever deleted here: a position is only missing where nobody committed one, or where
    /// the log became shorter.
    fn reset(&mut self, consumer: u32, partition: i32, to: i64, broken: &mut Broken) {
        let Some((_, from)) = self.tenures.get_mut(&(consumer, partition)) else { return };
        if *from != (From::Committed { at_least: 0 }) && !self.truth.is_shortened(partition) {
            let what = format!("consumer {consumer} was reset to {partition}@{to} from {from:?}");
            broken.note("S16", what);
        }
        *from = From::Offset(to);
    }

    fn begin_commit(&mut self, commit: Commit, broken: &mut Broken) {
        let Commit { partition, offset, .. } = commit;
        self.committing.entry(partition).or_default().insert(offset);
        let acknowledged = self.committed.get(&partition).copied().unwrap_or(0);
        self.floors.insert(commit, acknowledged);
        let delivered = self.delivered.get(&partition).and_then(|seen| seen.frontier);
        let missing = delivered.or_else(|| self.truth.next(partition, 0));
        if let Some(missing) = missing.filter(|missing| *missing < offset) {
            let what = format!("{partition}: {offset} is committed, {missing} was given to nobody");
            broken.note("S11", what);
        }
    }

    /// An offset below what was acknowledged before the commit began takes something back.
    fn end_commit(&mut self, commit: Commit, broken: &mut Broken) {
        let Commit { consumer, partition, offset } = commit;
        let floor = self.floors.remove(&commit).unwrap_or(0);
        if offset < floor && !self.truth.is_shortened(partition) {
            let what = format!("{partition}: consumer {consumer} committed {offset} after {floor}");
            broken.note("S15", what);
        }
        let highest = self.committed.entry(partition).or_default();
        *highest = offset.max(*highest);
    }

    fn judge_final(&self, partition: i32, offset: Option<i64>, broken: &mut Broken) {
        let acknowledged = self.committed.get(&partition).copied();
        if offset < acknowledged && !self.truth.is_shortened(partition) {
            let what = format!("{partition}: {offset:?} is left, {acknowledged:?} was committed");
            broken.note("S15", what);
        }
        let begun = self.committing.get(&partition);
        let known = |offset| begun.is_some_and(|begun| begun.contains(offset));
        if !self.delivered.is_empty() && !offset.as_ref().is_none_or(known) {
            broken.note("S11", format!("{partition}: nobody committed {offset:?}, which is left"));
        }
    }

    /// Where somebody consumed, everything was drained before the end.
    pub(super) fn conclude(&self, broken: &mut Broken) {
        if self.delivered.is_empty() {
            return;
        }
        for ((partition, offset), stamp) in &self.truth.log {
            let seen = self.delivered.get(partition);
            let is_new = self.truth.is_shortened(*partition);
            if !seen.is_some_and(|seen| seen.has(*offset, stamp, is_new)) {
                let what = format!("{stamp} at {partition}@{offset} was given to nobody");
                broken.note("S11", what);
            }
        }
    }
}

impl Delivered {
    /// Whether a record was given to somebody: by its offset, but where that came twice by what it is.
    fn has(&self, offset: i64, stamp: &Stamp, is_new: bool) -> bool {
        if is_new { self.stamps.contains(stamp) } else { self.offsets.contains(&offset) }
    }

    fn add(&mut self, partition: i32, offset: i64, truth: &Truth) {
        self.offsets.insert(offset);
        let mut frontier = self.frontier.or_else(|| truth.next(partition, 0));
        while let Some(first) = frontier.filter(|first| self.offsets.contains(first)) {
            frontier = Some(truth.next(partition, first + 1).unwrap_or(i64::MAX));
        }
        self.frontier = frontier;
    }
}
