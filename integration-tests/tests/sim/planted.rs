//! Defects, planted where the client meets the application: each must be caught, by its invariant.

use std::collections::BTreeSet;

use ottla_consumer::Consumer;

use crate::history::Ended;
use crate::runs::simulate;
use crate::transactions::play;

/// What a copier does wrong, as a client would that had the defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// Nothing.
    None,
    /// Offsets are committed before the transaction, and not in it.
    OffsetsBefore,
    /// Offsets are committed after the transaction, and not in it.
    OffsetsAfter,
    /// What was read is not read again after an abort.
    NoRewind,
    /// The first record of each transaction is written outside of it.
    WritesOutside,
    /// An abort is told as a commit.
    AbortToldAsCommit,
    /// A commit is told as an abort.
    CommitToldAsAbort,
    /// Records overtake one another.
    Reorders,
    /// Records go to another partition.
    Misroutes,
    /// A record is left out.
    Forgets,
    /// A record is written again, as a retry with a new sequence is.
    Repeats,
    /// The reader is given what is open or aborted.
    ReadsAll,
}

impl Defect {
    pub(crate) async fn before(self, consumer: &mut Consumer) {
        if self == Self::OffsetsBefore {
            drop(consumer.commit().await);
        }
    }

    pub(crate) async fn after(self, consumer: &mut Consumer) {
        if self == Self::OffsetsAfter {
            drop(consumer.commit().await);
        }
    }

    /// What the application is told.
    pub(crate) fn told(self, outcome: Ended) -> Ended {
        match (self, outcome) {
            (Self::AbortToldAsCommit, Ended::Aborted) => Ended::Committed,
            (Self::CommitToldAsAbort, Ended::Committed) => Ended::Aborted,
            (_, outcome) => outcome,
        }
    }

    pub(crate) fn forgets(self) -> bool {
        self == Self::NoRewind
    }

    pub(crate) fn keeps_offsets(self) -> bool {
        matches!(self, Self::OffsetsBefore | Self::OffsetsAfter)
    }

    pub(crate) fn writes_outside(self, at: usize) -> bool {
        self == Self::WritesOutside && at == 0
    }

    pub(crate) fn reads_all(self) -> bool {
        self == Self::ReadsAll
    }

    /// What becomes of the copies of a transaction: partition and value.
    pub(crate) fn change(self, records: &mut Vec<(i32, String)>) {
        match self {
            Self::Reorders => records.reverse(),
            Self::Misroutes => records.iter_mut().for_each(|(partition, _)| *partition = 0),
            Self::Forgets => drop(records.pop()),
            Self::Repeats => records.extend(records.last().cloned()),
            _ => {}
        }
    }
}

#[test]
fn offsets_outside_of_the_transaction_are_found() {
    check(Defect::OffsetsBefore, "S10");
    check(Defect::OffsetsAfter, "S10");
}

#[test]
fn a_transaction_that_is_not_run_again_is_found() {
    check(Defect::NoRewind, "S10");
}

#[test]
fn a_record_outside_of_its_transaction_is_found() {
    check(Defect::WritesOutside, "S7");
}

#[test]
fn an_outcome_that_is_told_wrongly_is_found() {
    check(Defect::AbortToldAsCommit, "S7");
    check(Defect::CommitToldAsAbort, "S7");
}

#[test]
fn a_reordering_is_found() {
    check(Defect::Reorders, "S3");
}

#[test]
fn a_record_in_another_partition_is_found() {
    check(Defect::Misroutes, "S6");
}

#[test]
fn a_record_that_is_left_out_or_written_again_is_found() {
    check(Defect::Forgets, "S10");
    check(Defect::Repeats, "S10");
}

#[test]
fn a_reader_of_what_is_not_committed_is_found() {
    check(Defect::ReadsAll, "S9");
}

/// Some seed brings it to light, as what it is.
#[track_caller]
fn check(defect: Defect, invariant: &str) {
    let mut found = BTreeSet::new();
    for seed in 0..300 {
        let (_, violations) = simulate(play(seed, defect));
        found.extend(violations.into_iter().map(|violation| violation.invariant));
        if found.contains(invariant) {
            return;
        }
    }
    panic!("{defect:?} is not {invariant}: {found:?}");
}
