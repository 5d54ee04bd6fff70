//! Which records of a partition were processed, where they are processed out of order.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use ottla_core::types::LeaderEpoch;

use super::Offset;

/// The records of one partition that were handed out, and which of them were acknowledged.
///
/// What may be committed is the end of the contiguous prefix: the first record that was handed out
/// and not acknowledged. So however many are processed at once, none that failed is skipped.
#[derive(Debug, Default)]
pub struct Marks {
    /// The unacknowledged and what lies behind them, by ascending offset.
    open: VecDeque<Handed>,
    committable: Option<Offset>,
}

#[derive(Debug, Clone, Copy)]
struct Handed {
    offset: i64,
    leader_epoch: Option<LeaderEpoch>,
    acknowledged: bool,
}

impl Marks {
    /// Nothing was handed out yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes note that a record was handed out. Offsets ascend; one that does not is handed out
    /// again after a seek, and what lies at or behind it is forgotten.
    pub fn hand_out(&mut self, offset: i64, leader_epoch: Option<LeaderEpoch>) {
        while self.open.back().is_some_and(|last| last.offset >= offset) {
            self.open.pop_back();
        }
        if self.committable.as_ref().is_some_and(|committable| committable.offset > offset) {
            self.committable = None;
        }
        self.open.push_back(Handed { offset, leader_epoch, acknowledged: false });
    }

    /// Marks the record that a leader of this epoch appended there as processed. One that was not
    /// handed out, or was already marked, is passed over, and so is one that is gone from the log:
    /// another may stand at its offset.
    pub fn acknowledge(&mut self, offset: i64, leader_epoch: Option<LeaderEpoch>) {
        let Ok(at) = self.open.binary_search_by_key(&offset, |handed| handed.offset) else {
            return;
        };
        let handed = self.open.get_mut(at).filter(|handed| handed.leader_epoch == leader_epoch);
        let Some(handed) = handed else { return };
        handed.acknowledged = true;
        while let Some(first) = self.open.front().copied().filter(|first| first.acknowledged) {
            self.open.pop_front();
            let next = Offset::new(first.offset.saturating_add(1));
            self.committable = Some(next.with_leader_epoch(first.leader_epoch));
        }
    }

    /// The offset up to which all is processed; `None` before anything is.
    #[must_use]
    pub fn committable(&self) -> Option<&Offset> {
        self.committable.as_ref()
    }

    /// Records that were handed out and stand in the way of a higher offset, or behind one that does.
    #[must_use]
    pub fn open(&self) -> usize {
        self.open.len()
    }
}

/// The [`Marks`] of a partition, shared between those who process its records and the task that
/// commits.
#[derive(Debug, Default)]
pub struct MarkedPartition {
    /// Std: held for one record's note.
    marks: Mutex<Marks>,
}

impl MarkedPartition {
    /// As [`Marks::hand_out`], for a run of records: one lock for all of them.
    pub fn hand_out(&self, records: impl IntoIterator<Item = (i64, Option<LeaderEpoch>)>) {
        self.with(|marks| {
            for (offset, leader_epoch) in records {
                marks.hand_out(offset, leader_epoch);
            }
        });
    }

    /// As [`Marks::acknowledge`].
    pub fn acknowledge(&self, offset: i64, leader_epoch: Option<LeaderEpoch>) {
        self.with(|marks| marks.acknowledge(offset, leader_epoch));
    }

    /// As [`Marks::open`].
    #[must_use]
    pub fn open(&self) -> usize {
        self.with(|marks| marks.open())
    }

    /// As [`Marks::committable`].
    #[must_use]
    pub fn committable(&self) -> Option<Offset> {
        self.with(|marks| marks.committable().cloned())
    }

    fn with<R>(&self, act: impl FnOnce(&mut Marks) -> R) -> R {
        act(&mut self.marks.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_contiguous_prefix_is_committable() {
        check(&[0, 1, 2, 3], &[0, 1, 3], Some(2));
        check(&[0, 1, 2, 3], &[1, 2, 3], None);
        check(&[0, 1, 2, 3], &[3, 2, 1, 0], Some(4));
    }

    #[test]
    fn gaps_between_offsets_are_no_records() {
        check(&[5, 9, 20], &[5, 9], Some(10));
        check(&[5, 9, 20], &[20, 9, 5], Some(21));
    }

    #[test]
    fn what_was_never_handed_out_is_no_mark() {
        check(&[5, 9], &[6, 100, -1], None);
        check(&[], &[0], None);
    }

    #[test]
    fn a_second_mark_changes_nothing() {
        check(&[0, 1], &[0, 0, 0], Some(1));
    }

    #[test]
    fn a_seek_back_hands_out_again() {
        let mut marks = Marks::new();
        for offset in 0..4 {
            marks.hand_out(offset, None);
            marks.acknowledge(offset, None);
        }
        marks.hand_out(1, None);
        assert_eq!(marks.committable(), None, "1 is unprocessed again");
        marks.acknowledge(1, None);
        assert_eq!(marks.committable(), Some(&Offset::new(2)));
    }

    #[test]
    fn the_epoch_is_that_of_the_last_processed_record() {
        let mut marks = Marks::new();
        marks.hand_out(0, LeaderEpoch::from_wire(3));
        marks.hand_out(1, LeaderEpoch::from_wire(4));
        marks.acknowledge(0, LeaderEpoch::from_wire(3));
        let epoch = marks.committable().and_then(|offset| offset.leader_epoch);
        assert_eq!(epoch, LeaderEpoch::from_wire(3));
    }

    #[test]
    fn a_late_mark_of_a_truncated_record_is_not_of_the_one_that_came_in_its_place() {
        let (old, new) = (LeaderEpoch::from_wire(3), LeaderEpoch::from_wire(4));
        let mut marks = Marks::new();
        marks.hand_out(0, old);
        marks.hand_out(1, old);
        marks.hand_out(1, new);
        for offset in [0, 1] {
            marks.acknowledge(offset, old);
        }
        assert_eq!(marks.committable(), Some(&Offset::new(1).with_leader_epoch(old)));
        marks.acknowledge(1, new);
        assert_eq!(marks.committable(), Some(&Offset::new(2).with_leader_epoch(new)));
    }

    #[track_caller]
    fn check(handed: &[i64], acknowledged: &[i64], committable: Option<i64>) {
        let mut marks = Marks::new();
        for offset in handed {
            marks.hand_out(*offset, None);
        }
        for offset in acknowledged {
            marks.acknowledge(*offset, None);
        }
        assert_eq!(marks.committable().map(|offset| offset.offset), committable);
    }
}
