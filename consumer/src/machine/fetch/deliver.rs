//! What the application takes.

use std::time::Instant;

use ottla_core::types::TopicPartition;
use ottla_protocol::Uuid;
use ottla_protocol::records::{Batch, RecordsError};

use super::partition::{Fetched, Life};
use super::{FetchedBatch, Fetcher, Generation, ResetCause, Slot};
use crate::error::FetchError;
use crate::machine::Position;

/// A batch that the application has taken. Neither its checksum nor its records have been looked at.
#[derive(Debug)]
pub struct Taken {
    /// Where its partition is kept.
    pub slot: Slot,
    /// Of the partition when it was taken.
    pub generation: Generation,
    /// The assignment of the partition that it was taken in.
    pub tenure: Generation,
    /// Its partition.
    pub partition: TopicPartition,
    /// The id of its topic; `None` where the cluster has none.
    pub topic_id: Option<Uuid>,
    /// The batch.
    pub batch: Batch,
    /// The first record that is to be delivered: there may be others before it.
    pub from: Position,
    /// Where to go on after it.
    pub next: Position,
}

/// What a batch was taken from, for whoever says something of it later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The partition's place.
    pub slot: Slot,
    /// Of the partition when it was taken.
    pub generation: Generation,
    /// The assignment of the partition that it was taken in.
    pub tenure: Generation,
}

impl Taken {
    /// What it was taken from.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin { slot: self.slot, generation: self.generation, tenure: self.tenure }
    }
}

impl Fetcher {
    /// Whether [`take`](Self::take) has something.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.errors.is_empty()
            || self.line.iter().any(|slot| self.get(*slot).is_some_and(|p| p.is_deliverable()))
    }

    /// Takes the next batch of the partition whose turn it is. The position moves past it.
    pub fn take(&mut self, now: Instant) -> Option<Taken> {
        while let Some(slot) = self.line.pop_front() {
            let Some(partition) = self.get_mut(slot) else { continue };
            partition.in_line = false;
            if partition.streamed {
                continue;
            }
            let taken = self.take_from(slot, now);
            if taken.is_some() {
                return taken;
            }
        }
        None
    }

    /// As [`take`](Self::take), of one partition.
    pub fn take_from(&mut self, slot: Slot, now: Instant) -> Option<Taken> {
        let enough = self.config.enough();
        let partition = self.get_mut(slot).filter(|partition| partition.is_deliverable())?;
        let Life::Placed(place) = &mut partition.life else { return None };
        let from = place.delivered;
        match partition.queue.pop_front()? {
            Fetched::Batch(fetched) => {
                let bytes = fetched.len();
                let was_enough = partition.queued_bytes >= enough;
                // Behind the last batch nothing was fetched but what no application sees: markers that
                // came with a later answer, for one.
                let is_last = !matches!(partition.queue.front(), Some(Fetched::Batch(_)));
                let next = if is_last { place.fetched } else { fetched.next };
                place.delivered = next;
                partition.queued_bytes = partition.queued_bytes.saturating_sub(bytes);
                let relieved = was_enough && partition.queued_bytes < enough;
                let (generation, name) = (partition.generation, partition.name.clone());
                let tenure = partition.tenure;
                let topic_id = partition.topic_id;
                self.release(bytes);
                if relieved {
                    self.settle(slot, now);
                } else {
                    self.line_up(slot);
                }
                let (partition, batch) = (name, fetched.batch);
                Some(Taken { slot, generation, tenure, partition, topic_id, batch, from, next })
            }
            Fetched::Fault(fault) => {
                let (generation, tenure) = (partition.generation, partition.tenure);
                self.fail(Origin { slot, generation, tenure }, from, fault, now);
                None
            }
            Fetched::OutOfRange => {
                self.reset(slot, ResetCause::OutOfRange, now);
                None
            }
        }
    }

    /// Has what was taken read again from `to` on, whatever happened to the partition's leader since.
    /// Whether it will be: not where the partition was given up, is of another topic, or reads from
    /// before `to` anyway.
    pub fn rewind(&mut self, origin: Origin, to: Position, now: Instant) -> bool {
        let Origin { slot, generation, .. } = origin;
        if self.is_past(slot, generation) {
            return false;
        }
        let is_behind = self.position(slot).is_none_or(|at| at.offset > to.offset);
        if is_behind {
            self.seek(slot, to, now);
        }
        is_behind
    }

    /// Puts the rest of a batch that was taken back, to be taken next from `at` on. Where something
    /// happened to the partition since, it is fetched again; where that was given up, nothing happens.
    pub fn put_back(&mut self, origin: Origin, batch: FetchedBatch, at: Position, now: Instant) {
        let Origin { slot, generation, .. } = origin;
        let Some(partition) = self.get_mut(slot).filter(|p| p.generation == generation) else {
            self.rewind(origin, at, now);
            return;
        };
        let Life::Placed(place) = &mut partition.life else { return };
        place.delivered = at;
        let bytes = batch.len();
        partition.queued_bytes += bytes;
        partition.queue.push_front(Fetched::Batch(batch));
        self.buffered += bytes;
        self.line_up_first(slot);
        self.settle(slot, now);
    }

    /// Lets a partition be the next, whose turn is not over.
    fn line_up_first(&mut self, slot: Slot) {
        let Some(partition) = self.get_mut(slot).filter(|it| !it.streamed && it.is_deliverable())
        else {
            return;
        };
        if std::mem::replace(&mut partition.in_line, true)
            // Taking from it has placed it behind the others.
            && let Some(last) = self.line.iter().rposition(|waiting| *waiting == slot)
        {
            self.line.remove(last);
        }
        self.line.push_front(slot);
    }

    /// Where to go on behind what was taken up to `next`: before that, where it has turned out since
    /// that a record cannot be read, or is not in the log any more.
    #[must_use]
    pub fn behind(&self, slot: Slot, tenure: Generation, next: Position) -> Position {
        let partition = self.get(slot).filter(|p| p.tenure == tenure);
        let at = partition.and_then(|partition| partition.position());
        at.filter(|at| at.offset < next.offset).unwrap_or(next)
    }

    /// Takes note that a batch which was taken cannot be read from `at` on: the partition is not read
    /// before the application seeks. Where something happened to the partition since, such as another
    /// leader, it is fetched again from there: it must not be passed over.
    pub fn fail(&mut self, origin: Origin, at: Position, source: RecordsError, now: Instant) {
        let Origin { slot, generation, .. } = origin;
        let Some(partition) = self.get(slot).filter(|p| p.generation == generation) else {
            self.rewind(origin, at, now);
            return;
        };
        let (partition, offset) = (partition.name.clone(), at.offset);
        self.halt(slot, Some(at), FetchError::Unreadable { partition, offset, source }, now);
    }
}
