//! What transactions promise: S3, S6 to S10.

use std::collections::{BTreeMap, BTreeSet};

use super::{Broken, Truth, Violation};
use crate::history::{Attempt, Ended, Event, FinalLog, History, Stamp};

/// Holds copies against their originals. `output` is what a reader of committed records can see in
/// the end, `open` names the transactions that have not ended.
pub(crate) fn check_copies(
    history: &History,
    input: &BTreeMap<i32, FinalLog>,
    output: &BTreeMap<i32, FinalLog>,
    open: &[String],
) -> Vec<Violation> {
    let mut broken = Broken::default();
    let input = Truth::read(input, &mut Broken::default());
    let copies = Copies::read(output, &mut broken);
    copies.judge_each_once(&input, &mut broken);
    copies.judge_order(&input, &mut broken);
    copies.judge_attempts(history, &mut broken);
    copies.judge_read_back(history, output, &mut broken);
    judge_offsets(history, &input, &mut broken);
    for what in open {
        broken.note("S7", format!("{what} is left open"));
    }
    broken.0
}

/// A copy: where it lies, and which transaction it says that it is of.
#[derive(Debug, Clone, Copy)]
struct Copy {
    partition: i32,
    offset: i64,
    stamp: Stamp,
    attempt: Attempt,
}

#[derive(Debug, Default)]
struct Copies(Vec<Copy>);

impl Copies {
    fn read(output: &BTreeMap<i32, FinalLog>, broken: &mut Broken) -> Self {
        let mut copies = Self::default();
        for (partition, log) in output {
            for (offset, value) in &log.records {
                match read(value) {
                    Some((stamp, attempt)) => {
                        let (partition, offset) = (*partition, *offset);
                        copies.0.push(Copy { partition, offset, stamp, attempt });
                    }
                    None => broken.note("S6", format!("{partition}@{offset} is `{value}`")),
                }
            }
        }
        copies
    }

    fn judge_each_once(&self, input: &Truth, broken: &mut Broken) {
        let mut counts: BTreeMap<Stamp, u32> = BTreeMap::new();
        for copy in &self.0 {
            *counts.entry(copy.stamp).or_default() += 1;
            if copy.stamp.partition != Some(copy.partition) {
                broken.note("S6", format!("{} lies in {}", copy.stamp, copy.partition));
            }
        }
        for stamp in input.places.keys() {
            match counts.remove(stamp) {
                Some(1) => {}
                Some(count) => broken.note("S10", format!("{stamp} is there {count} times")),
                None => broken.note("S10", format!("{stamp} is lost")),
            }
        }
        for stamp in counts.keys() {
            broken.note("S10", format!("{stamp} is a copy of nothing"));
        }
    }

    /// Copies lie in the order of their originals.
    fn judge_order(&self, input: &Truth, broken: &mut Broken) {
        let mut last: BTreeMap<i32, (i32, i64)> = BTreeMap::new();
        for copy in &self.0 {
            let Some(place) = input.places.get(&copy.stamp).and_then(|places| places.first())
            else {
                continue;
            };
            let before = last.insert(copy.partition, *place);
            if before.is_some_and(|before| before.0 == place.0 && before.1 > place.1) {
                let Copy { partition, offset, stamp, .. } = copy;
                broken.note("S3", format!("{stamp} at {partition}@{offset} was overtaken"));
            }
        }
    }

    /// Of each transaction all can be seen or nothing, as the application was told.
    fn judge_attempts(&self, history: &History, broken: &mut Broken) {
        let mut seen: BTreeMap<Attempt, BTreeSet<Stamp>> = BTreeMap::new();
        for copy in &self.0 {
            seen.entry(copy.attempt).or_default().insert(copy.stamp);
        }
        let mut wrote: BTreeMap<Attempt, BTreeSet<Stamp>> = BTreeMap::new();
        let mut ended: BTreeMap<Attempt, Ended> = BTreeMap::new();
        for (_, event) in history.events() {
            match event {
                Event::Wrote { attempt, stamp } => {
                    wrote.entry(*attempt).or_default().insert(*stamp);
                }
                Event::Ended { attempt, outcome } => {
                    ended.insert(*attempt, *outcome);
                }
                _ => {}
            }
        }
        for (attempt, wrote) in wrote {
            let seen = seen.remove(&attempt).unwrap_or_default();
            let (some, all) = (seen.len(), wrote.len());
            match ended.get(&attempt) {
                Some(Ended::Committed) if seen != wrote => {
                    broken.note("S7", format!("{attempt} is committed, {some} of {all} are there"));
                }
                Some(Ended::Aborted) if some == all => {
                    broken.note("S7", format!("{attempt} was aborted, and is there"));
                }
                Some(Ended::Aborted) if some > 0 => {
                    broken.note("S8", format!("{attempt} was aborted, {some} of {all} are there"));
                }
                Some(Ended::Unknown) | None if some > 0 && seen != wrote => {
                    broken.note("S7", format!("of {attempt}, {some} of {all} are there"));
                }
                _ => {}
            }
        }
    }

    /// A reader of committed records gets all of what can be seen in the end, and nothing else.
    fn judge_read_back(
        &self,
        history: &History,
        output: &BTreeMap<i32, FinalLog>,
        broken: &mut Broken,
    ) {
        let visible: BTreeMap<(i32, i64), &String> = output
            .iter()
            .flat_map(|(at, log)| log.records.iter().map(move |(o, value)| ((*at, *o), value)))
            .collect();
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        for (_, event) in history.events() {
            let Event::ReadBack { partition, offset, value } = event else { continue };
            let place = (*partition, *offset);
            if visible.get(&place).is_none_or(|there| *there != value) {
                broken.note("S9", format!("{place:?} was read as `{value}`"));
                continue;
            }
            let from = next.insert(*partition, offset + 1).unwrap_or(0);
            let expected = visible.range((*partition, from)..).next().map(|(place, _)| *place);
            if expected != Some(place) {
                broken.note("S12", format!("{place:?} was read where {expected:?} was next"));
            }
        }
        for (place, value) in visible {
            if next.get(&place.0).is_none_or(|next| *next <= place.1) {
                broken.note("L2", format!("{place:?} `{value}` was never read"));
            }
        }
    }
}

/// The group has come to the end of what it copied, and no further.
fn judge_offsets(history: &History, input: &Truth, broken: &mut Broken) {
    for (_, event) in history.events() {
        let Event::FinallyCommitted { partition, offset } = event else { continue };
        let records = input.log.range((*partition, 0)..(*partition + 1, 0));
        let end = records.last().map(|((_, offset), _)| offset + 1);
        if *offset != end {
            let what = format!("{partition}: {offset:?} is committed, {end:?} is the end");
            broken.note("S10", what);
        }
    }
}

/// What a copy says of itself.
fn read(value: &str) -> Option<(Stamp, Attempt)> {
    let (stamp, attempt) = value.split_once(' ')?;
    Some((stamp.parse().ok()?, attempt.parse().ok()?))
}
