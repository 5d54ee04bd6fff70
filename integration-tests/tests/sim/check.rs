//! What was promised, held against what happened.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use ottla_core::error::Certainty;

use crate::history::{Event, FinalLog, History, Stamp};

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
    let mut judge = Judge::default();
    judge.read_logs(logs);
    for (at, event) in history.events() {
        judge.read(*at, event, deadline);
    }
    judge.conclude();
    judge.violations
}

#[derive(Default)]
struct Judge {
    violations: Vec<Violation>,
    /// Where each record lies.
    places: BTreeMap<Stamp, Vec<(i32, i64)>>,
    log: BTreeMap<(i32, i64), Stamp>,
    sent: BTreeMap<Stamp, Duration>,
    settled: BTreeSet<Stamp>,
    /// By consumer and partition: the next offset that may be delivered.
    positions: BTreeMap<(u32, i32), i64>,
    /// By partition: the offset up to which everything has been delivered to somebody.
    delivered: BTreeMap<i32, BTreeSet<i64>>,
    committed: BTreeMap<i32, i64>,
}

impl Judge {
    fn read_logs(&mut self, logs: &BTreeMap<i32, FinalLog>) {
        for (partition, log) in logs {
            for (offset, value) in &log.records {
                match value.parse::<Stamp>() {
                    Ok(stamp) => self.read_place(stamp, *partition, *offset),
                    Err(why) => self.broken("S6", format!("{partition}@{offset}: {why}")),
                }
            }
        }
        self.judge_places();
        self.judge_order();
    }

    fn read_place(&mut self, stamp: Stamp, partition: i32, offset: i64) {
        if stamp.partition.is_some_and(|meant| meant != partition) {
            self.broken("S6", format!("{stamp} lies in partition {partition}"));
        }
        self.places.entry(stamp).or_default().push((partition, offset));
        self.log.insert((partition, offset), stamp);
    }

    fn judge_places(&mut self) {
        let twice = self.places.iter().filter(|(_, places)| places.len() > 1);
        let found: Vec<String> =
            twice.map(|(stamp, places)| format!("{stamp} lies at {places:?}")).collect();
        found.into_iter().for_each(|what| self.broken("S2", what));
    }

    /// A producer's records lie in each partition in the order it handed them over.
    fn judge_order(&mut self) {
        let mut last: BTreeMap<(u32, i32), Stamp> = BTreeMap::new();
        let mut found = Vec::new();
        for ((partition, offset), stamp) in &self.log {
            if let Some(before) = last.insert((stamp.producer, *partition), *stamp)
                && before.number > stamp.number
            {
                found.push(format!("{stamp} at {partition}@{offset} lies behind {before}"));
            }
        }
        found.into_iter().for_each(|what| self.broken("S3", what));
    }

    fn read(&mut self, at: Duration, event: &Event, deadline: Duration) {
        match event {
            Event::Sent(stamp) => {
                self.sent.insert(*stamp, at);
            }
            Event::Acknowledged { stamp, partition, offset } => {
                self.settle(*stamp, at, deadline);
                self.judge_acknowledged(*stamp, *partition, *offset);
            }
            Event::Failed { stamp, certainty, error } => {
                self.settle(*stamp, at, deadline);
                let written = self.places.get(stamp).cloned();
                if let (Certainty::NotWritten, Some(places)) = (certainty, written) {
                    self.broken("S4", format!("{stamp} failed ({error}), but lies at {places:?}"));
                }
            }
            Event::Assigned { consumer, partition } => self.read_assigned(*consumer, *partition),
            Event::Revoked { consumer, partition } => {
                self.positions.remove(&(*consumer, *partition));
            }
            Event::Died { consumer } => {
                self.positions.retain(|(owner, _), _| owner != consumer);
            }
            Event::Delivered { consumer, partition, offset, stamp } => {
                self.read_delivered(*consumer, *partition, *offset, *stamp);
            }
            Event::Committed { partition, offset } => self.read_committed(*partition, *offset),
            Event::Reset { consumer, partition } => {
                self.positions.remove(&(*consumer, *partition));
            }
            Event::Fault(_) => {}
        }
    }

    fn settle(&mut self, stamp: Stamp, at: Duration, deadline: Duration) {
        let Some(sent) = self.sent.get(&stamp).copied() else {
            return self.broken("A1", format!("{stamp} has an outcome, but was never sent"));
        };
        if !self.settled.insert(stamp) {
            self.broken("A1", format!("{stamp} has two outcomes"));
        }
        let took = at.saturating_sub(sent);
        if took > deadline {
            self.broken("L1", format!("{stamp} had its outcome after {took:?}"));
        }
    }

    fn judge_acknowledged(&mut self, stamp: Stamp, partition: i32, offset: Option<i64>) {
        let Some(offset) = offset else { return };
        match self.log.get(&(partition, offset)) {
            Some(there) if *there == stamp => {}
            Some(there) => {
                let what = format!("{stamp} was acknowledged at {partition}@{offset}: {there}");
                self.broken("S1", what);
            }
            None => {
                let what = format!("{stamp} was acknowledged at {partition}@{offset}: nothing");
                self.broken("S1", what);
            }
        }
    }

    /// Whoever had the partition before may go on for as long as it takes to hear that it was
    /// fenced: that two members never own one at once (S13) cannot be judged without the broker's
    /// view, and is not judged here.
    fn read_assigned(&mut self, consumer: u32, partition: i32) {
        self.positions.remove(&(consumer, partition));
    }

    fn read_delivered(&mut self, consumer: u32, partition: i32, offset: i64, stamp: Stamp) {
        match self.log.get(&(partition, offset)) {
            Some(there) if *there == stamp => {}
            there => {
                let what = format!("{partition}@{offset} was read as {stamp}, and is {there:?}");
                self.broken("S17", what);
            }
        }
        let next = self.positions.insert((consumer, partition), offset + 1);
        if let Some(next) = next
            && next != offset
        {
            let what =
                format!("consumer {consumer} got {partition}@{offset} where {next} was next");
            self.broken("S12", what);
        }
        self.delivered.entry(partition).or_default().insert(offset);
    }

    fn read_committed(&mut self, partition: i32, offset: i64) {
        let delivered = self.delivered.entry(partition).or_default();
        let missing = (0..offset).find(|before| !delivered.contains(before));
        if let Some(missing) = missing {
            let what = format!("{partition}: {offset} is committed, {missing} was given to nobody");
            self.broken("S11", what);
        }
        self.committed.insert(partition, offset);
    }

    fn conclude(&mut self) {
        let open: Vec<Stamp> =
            self.sent.keys().filter(|stamp| !self.settled.contains(stamp)).copied().collect();
        for stamp in open {
            self.broken("A1", format!("{stamp} has no outcome"));
        }
        if self.delivered.is_empty() {
            return;
        }
        // Somebody consumed, and everything was drained before the end.
        let missed: Vec<String> = self
            .log
            .iter()
            .filter(|((partition, offset), _)| {
                !self.delivered.get(partition).is_some_and(|seen| seen.contains(offset))
            })
            .map(|((partition, offset), stamp)| format!("{stamp} at {partition}@{offset}"))
            .collect();
        missed
            .into_iter()
            .for_each(|what| self.broken("S11", format!("{what} was given to nobody")));
    }

    fn broken(&mut self, invariant: &'static str, what: String) {
        self.violations.push(Violation { invariant, what });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_honest_history_is_accepted() {
        check_that(&[sent(0), acked(0, 0), sent(1), acked(1, 1)], &[0, 1], &[]);
    }

    #[test]
    fn a_lost_record_is_found() {
        check_that(&[sent(0), acked(0, 0)], &[], &["S1"]);
    }

    #[test]
    fn a_duplicate_is_found() {
        check_that(&[sent(0), acked(0, 0)], &[0, 0], &["S2"]);
    }

    #[test]
    fn a_reordering_is_found() {
        check_that(&[sent(0), sent(1), acked(1, 0), acked(0, 1)], &[1, 0], &["S3"]);
    }

    #[test]
    fn a_failure_that_was_written_is_found() {
        check_that(&[sent(0), failed(0, Certainty::NotWritten)], &[0], &["S4"]);
        check_that(&[sent(0), failed(0, Certainty::PossiblyWritten)], &[0], &[]);
    }

    #[test]
    fn a_record_in_the_wrong_partition_is_found() {
        let logs = BTreeMap::from([(1, log(&[0]))]);
        let found = check(&history(&[sent(0), failed(0, MAYBE)]), &logs, DEADLINE);
        assert_eq!(names(&found), ["S6"]);
    }

    #[test]
    fn a_record_without_outcome_is_found() {
        check_that(&[sent(0)], &[], &["A1"]);
    }

    #[test]
    fn a_record_with_two_outcomes_is_found() {
        check_that(&[sent(0), acked(0, 0), failed(0, MAYBE)], &[0], &["A1"]);
    }

    #[test]
    fn a_late_outcome_is_found() {
        let mut history = History::default();
        history.add(Duration::ZERO, sent(0));
        history.add(DEADLINE + Duration::from_millis(1), acked(0, 0));
        let found = check(&history, &BTreeMap::from([(0, log(&[0]))]), DEADLINE);
        assert_eq!(names(&found), ["L1"]);
    }

    #[test]
    fn a_skip_in_what_is_delivered_is_found() {
        check_that(&[delivered(1, 0), delivered(1, 2)], &[0, 1, 2], &["S12", "S11"]);
    }

    #[test]
    fn a_rewind_is_found_unless_it_is_reported() {
        let reset = Event::Reset { consumer: 1, partition: 0 };
        check_that(&[delivered(1, 0), delivered(1, 0)], &[0], &["S12"]);
        check_that(&[delivered(1, 0), reset, delivered(1, 0)], &[0], &[]);
    }

    #[test]
    fn a_new_assignment_begins_anywhere() {
        let assigned = Event::Assigned { consumer: 1, partition: 0 };
        check_that(&[delivered(1, 0), assigned, delivered(1, 0)], &[0], &[]);
        let revoked = Event::Revoked { consumer: 1, partition: 0 };
        check_that(&[delivered(1, 0), revoked, delivered(1, 0)], &[0], &[]);
        check_that(&[delivered(1, 0), Event::Died { consumer: 1 }, delivered(2, 0)], &[0], &[]);
    }

    #[test]
    fn a_commit_of_what_nobody_saw_is_found() {
        let committed = Event::Committed { partition: 0, offset: 2 };
        check_that(&[delivered(1, 0), committed, delivered(1, 1)], &[0, 1], &["S11"]);
    }

    #[test]
    fn a_record_that_reads_differently_is_found() {
        check_that(&[delivered(1, 0)], &[5], &["S17"]);
    }

    #[track_caller]
    fn check_that(events: &[Event], numbers: &[u64], expected: &[&str]) {
        let logs = BTreeMap::from([(0, log(numbers))]);
        assert_eq!(names(&check(&history(events), &logs, DEADLINE)), expected);
    }

    fn history(events: &[Event]) -> History {
        let mut history = History::default();
        events.iter().for_each(|event| history.add(Duration::ZERO, event.clone()));
        history
    }

    fn log(numbers: &[u64]) -> FinalLog {
        FinalLog { records: (0..).zip(numbers.iter().map(|&it| stamp(it).to_string())).collect() }
    }

    fn names(found: &[Violation]) -> Vec<&'static str> {
        found.iter().map(|violation| violation.invariant).collect()
    }

    fn stamp(number: u64) -> Stamp {
        Stamp { producer: 0, number, partition: Some(0) }
    }

    fn sent(number: u64) -> Event {
        Event::Sent(stamp(number))
    }

    fn acked(number: u64, offset: i64) -> Event {
        Event::Acknowledged { stamp: stamp(number), partition: 0, offset: Some(offset) }
    }

    fn failed(number: u64, certainty: Certainty) -> Event {
        Event::Failed { stamp: stamp(number), certainty, error: "late".into() }
    }

    fn delivered(consumer: u32, offset: i64) -> Event {
        let number = u64::try_from(offset).unwrap();
        Event::Delivered { consumer, partition: 0, offset, stamp: stamp(number) }
    }

    const MAYBE: Certainty = Certainty::PossiblyWritten;
    const DEADLINE: Duration = Duration::from_secs(30);
}
