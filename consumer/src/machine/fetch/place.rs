//! Where partitions are read: seeks, pauses, and resets.

use std::time::Instant;

use ottla_protocol::ErrorCode;

use super::partition::{Check, Life, Place, Reset, Seeking, Target};
use super::{FetchEvent, Fetcher, Generation, ResetCause, Slot};
use crate::config::AutoOffsetReset;
use crate::error::FetchError;
use crate::machine::{OffsetSpec, Position};

impl Fetcher {
    /// The next record of a partition to be delivered; `None` where that is not known yet.
    #[must_use]
    pub fn position(&self, slot: Slot) -> Option<Position> {
        self.get(slot)?.position()
    }

    /// Whether nobody has said yet where a partition begins.
    #[must_use]
    pub fn is_unplaced(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|partition| matches!(partition.life, Life::Unplaced { .. }))
    }

    /// Whether it is to be expected that somebody says where a partition begins: nobody has, or has
    /// refused to.
    #[must_use]
    pub fn is_being_placed(&self, slot: Slot) -> bool {
        let awaited = Life::Unplaced { refused: false };
        self.get(slot).is_some_and(|partition| partition.life == awaited)
    }

    /// Begins at what is committed, unless the application sought meanwhile. Without a committed
    /// offset, `auto.offset.reset` decides.
    pub fn begin(&mut self, slot: Slot, committed: Option<Position>, now: Instant) {
        if !self.is_unplaced(slot) {
            return;
        }
        match committed {
            Some(position) => self.seek(slot, position, now),
            None => self.reset(slot, ResetCause::NoCommittedOffset, now),
        }
    }

    /// Takes note that somebody who was asked what is committed of a partition does not say it, and may
    /// yet when asked again. Nothing happens if the application sought meanwhile.
    pub fn refuse(&mut self, slot: Slot, code: ErrorCode) {
        if !self.is_unplaced(slot) {
            return;
        }
        let Some(partition) = self.get_mut(slot) else { return };
        partition.life = Life::Unplaced { refused: true };
        let partition = partition.name.clone();
        self.report(FetchError::Refused { partition, code });
    }

    /// Reads on at `position`. What was fetched before is dropped.
    pub fn seek(&mut self, slot: Slot, position: Position, now: Instant) {
        self.change(slot, now, |partition| {
            let check = partition.check_of(position);
            partition.life = Life::Placed(Place { check, ..Place::at(position) });
        });
    }

    /// Reads on at a place that the leader is asked for.
    pub fn seek_to(&mut self, slot: Slot, spec: OffsetSpec, now: Instant) {
        let seeking = Seeking { target: Target::Spec(spec), reset: None, asked: false };
        self.change(slot, now, |partition| partition.life = Life::Seeking(seeking));
    }

    /// Asks no more for a partition and delivers nothing of it; what was fetched is kept.
    pub fn pause(&mut self, slot: Slot, now: Instant) {
        self.set(slot, now, |partition| partition.paused = true);
    }

    /// Goes on after [`pause`](Self::pause).
    pub fn resume(&mut self, slot: Slot, now: Instant) {
        self.set(slot, now, |partition| partition.paused = false);
    }

    /// Whether a partition is paused.
    #[must_use]
    pub fn is_paused(&self, slot: Slot) -> bool {
        self.get(slot).is_some_and(|partition| partition.paused)
    }

    /// Delivers nothing more of a partition that is being given up. Its position stays known.
    pub fn hold(&mut self, slot: Slot, now: Instant) {
        self.set(slot, now, |partition| partition.held = true);
    }

    /// Takes note that nobody reads a partition any more in that assignment: what it brought is
    /// dropped, and nothing more is asked for. Its position stays known.
    pub fn abandon(&mut self, slot: Slot, tenure: Generation, now: Instant) {
        let Some(partition) = self.get_mut(slot).filter(|it| it.tenure == tenure) else { return };
        partition.held = true;
        let name = partition.name.clone();
        self.errors.retain(|error| *error.partition() != name);
        self.drop_undelivered(slot, now);
    }

    /// Has a partition taken by a stream of its own.
    pub fn set_streamed(&mut self, slot: Slot, now: Instant) {
        self.set(slot, now, |partition| partition.streamed = true);
    }

    fn set(
        &mut self,
        slot: Slot,
        now: Instant,
        set: impl FnOnce(&mut super::partition::Partition),
    ) {
        if let Some(partition) = self.get_mut(slot) {
            set(partition);
            self.settle(slot, now);
        }
    }

    /// Goes on where `auto.offset.reset` says.
    pub(super) fn reset(&mut self, slot: Slot, cause: ResetCause, now: Instant) {
        let Some(partition) = self.get(slot) else { return };
        let (name, from) = (partition.name.clone(), partition.position());
        let target = match self.config.reset {
            AutoOffsetReset::Earliest => Target::Spec(OffsetSpec::Earliest),
            AutoOffsetReset::Latest => Target::Spec(OffsetSpec::Latest),
            AutoOffsetReset::ByDuration(age) => Target::Ago(age),
            AutoOffsetReset::None => {
                let offset = from.map_or(0, |from| from.offset);
                let error = match cause {
                    ResetCause::NoCommittedOffset => FetchError::NoOffset { partition: name },
                    ResetCause::OutOfRange => {
                        FetchError::OffsetOutOfRange { partition: name, offset }
                    }
                    ResetCause::Truncated => {
                        FetchError::Truncated { partition: name, offset, diverging: None }
                    }
                    ResetCause::TopicRecreated => FetchError::TopicRecreated { partition: name },
                };
                return self.halt(slot, from, error, now);
            }
        };
        let reset = Reset { from: from.map(|from| from.offset), cause };
        let seeking = Seeking { target, reset: Some(reset), asked: false };
        self.change(slot, now, |partition| partition.life = Life::Seeking(seeking));
    }

    /// Stops reading a partition until the application seeks.
    pub(super) fn halt(
        &mut self,
        slot: Slot,
        at: Option<Position>,
        error: FetchError,
        now: Instant,
    ) {
        self.report(error);
        self.change(slot, now, |partition| partition.life = Life::Halted(at));
    }

    /// Takes note of where the log parts from what was read (KIP-320): `end` is the last offset, and
    /// the epoch, that both have in common.
    pub(super) fn truncate(&mut self, slot: Slot, end: Option<Position>, now: Instant) {
        let Some(partition) = self.get(slot) else { return };
        let Life::Placed(Place { delivered, fetched, .. }) = partition.life else { return };
        let name = partition.name.clone();
        let Some(end) = end else { return self.reset(slot, ResetCause::Truncated, now) };
        if end.offset >= fetched.offset {
            return self.set(slot, now, |partition| partition.mark(Check::Sound));
        }
        if end.offset >= delivered.offset {
            // Nothing that was delivered is gone. What was fetched behind it may be, and whether the
            // delivered records themselves are the leader's is asked with their own epoch.
            return self.seek(slot, delivered, now);
        }
        if self.config.reset == AutoOffsetReset::None {
            let (offset, diverging) = (delivered.offset, Some(end.offset));
            let error = FetchError::Truncated { partition: name, offset, diverging };
            return self.halt(slot, Some(delivered), error, now);
        }
        self.note(FetchEvent::Truncated {
            partition: name,
            from: delivered.offset,
            to: end.offset,
        });
        self.change(slot, now, |partition| partition.life = Life::Placed(Place::at(end)));
    }
}
