//! Defects, planted where the client meets the application: each must be caught, by its invariant.

use std::collections::BTreeSet;

use ottla_consumer::{Batch, Consumer};
use ottla_core::types::{ConsumerGroupMetadata, Offsets, Progress};

use crate::hardship::Hardships;
use crate::history::Ended;
use crate::nemesis::GROUP;
use crate::runs::simulate;
use crate::transactions::{NEMESIS, play};

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
    /// A commit of which nobody knows the outcome counts as an abort.
    AbortsUnknown,
    /// Offsets are committed in the transaction without the generation that they were read in.
    OmitsGeneration,
}

/// What is done to copiers beyond what their seed brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ordeal {
    /// Nothing.
    None,
    /// Ends of transactions are done, and never answered; copiers soon stop waiting.
    SilentEnds,
    /// Members are put out of their group between what they write and its offsets.
    Expulsions,
}

/// What a run is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Trial {
    pub(crate) defect: Defect,
    pub(crate) ordeal: Ordeal,
}

impl Trial {
    /// Nothing but what the seed brings.
    pub(crate) const NONE: Self = Self { defect: Defect::None, ordeal: Ordeal::None };
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

    pub(crate) fn gives_unknown_up(self) -> bool {
        self == Self::AbortsUnknown
    }

    /// What is committed of a transaction's offsets, and in whose name.
    pub(crate) fn progress(self, batches: &[Batch]) -> (ConsumerGroupMetadata, Offsets) {
        let reader = batches.group().filter(|_| self != Self::OmitsGeneration);
        let reader = reader.unwrap_or_else(|| ConsumerGroupMetadata::standalone(GROUP));
        (reader, batches.offsets())
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

#[test]
fn an_abort_of_what_may_be_committed_is_found() {
    check_in(Ordeal::SilentEnds, Defect::AbortsUnknown, "S10");
}

#[test]
fn offsets_of_a_generation_that_is_over_are_found() {
    check_in(Ordeal::Expulsions, Defect::OmitsGeneration, "S10");
}

#[test]
fn no_ordeal_breaks_a_copier_without_defects() {
    for ordeal in [Ordeal::SilentEnds, Ordeal::Expulsions] {
        for seed in 0..SEEDS {
            let trial = Trial { defect: Defect::None, ordeal };
            let (bed, violations) = simulate(play(seed, trial, Hardships::NONE));
            bed.judge_found(&violations);
        }
    }
}

#[test]
fn what_is_allowed_in_hardships_hides_no_defect() {
    for (defect, invariant) in [
        (Defect::OffsetsAfter, "S10"),
        (Defect::NoRewind, "S10"),
        (Defect::WritesOutside, "S7"),
        (Defect::AbortToldAsCommit, "S7"),
        (Defect::Reorders, "S3"),
        (Defect::Misroutes, "S6"),
        (Defect::Forgets, "S10"),
        (Defect::Repeats, "S10"),
        (Defect::ReadsAll, "S9"),
    ] {
        let trial = Trial { defect, ordeal: Ordeal::None };
        check_with(|seed| Hardships::of(seed, &NEMESIS), trial, invariant);
    }
}

#[track_caller]
fn check(defect: Defect, invariant: &str) {
    check_in(Ordeal::None, defect, invariant);
}

#[track_caller]
fn check_in(ordeal: Ordeal, defect: Defect, invariant: &str) {
    check_with(|_| Hardships::NONE, Trial { defect, ordeal }, invariant);
}

/// One of few seeds brings it to light, as what it is.
#[track_caller]
fn check_with(hardships: impl Fn(u64) -> Hardships, trial: Trial, invariant: &str) {
    let mut found = BTreeSet::new();
    for seed in 0..SEEDS {
        let (_, violations) = simulate(play(seed, trial, hardships(seed)));
        found.extend(violations.into_iter().map(|violation| violation.invariant));
        if found.contains(invariant) {
            return;
        }
    }
    panic!("{trial:?} is not {invariant}: {found:?}");
}

/// How many seeds a defect is to be found in.
const SEEDS: u64 = 20;
