//! What becomes of batches: answers, and giving up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use ottla_core::error::{Certainty, ErrorCode};
use ottla_core::retry::Deadline;

use super::{Effects, PartitionQueue};
use crate::error::{SendError, Trouble};
use crate::machine::batch::{self, Batch, Finished, Place};
use crate::machine::delivery::{BatchFailure, Outcome};
use crate::machine::identity::Identity;

/// Answers.
impl PartitionQueue {
    pub(super) fn acknowledge(
        &mut self,
        index: usize,
        base_offset: Option<i64>,
        log_append_time: Option<i64>,
        effects: &mut Effects,
    ) {
        self.backoff.reset();
        self.patience.reset();
        self.trouble = None;
        // What is written proves that all before it with a sequence is, if it may be: nothing is
        // missing.
        let all_stamped = self.batches.iter().take(index).all(|batch| batch.identity.is_some());
        let Some(batch) = self.batches.remove(index) else { return };
        for earlier in self.batches.iter_mut().take(index) {
            let may_be = earlier.unknown || earlier.is_on_wire();
            earlier.written |=
                may_be && earlier.identity.is_some_and(|it| Some(it) == batch.identity);
        }
        if all_stamped && self.gap.is_some_and(|gap| gap < batch.id) {
            self.gap = None;
        }
        self.fail_overtaken(index, batch.identity, effects);
        if !batch.resolved {
            let outcome = Outcome::Acknowledged { base_offset, log_append_time };
            effects.finished.push(Finished { done: batch.done, records: batch.records, outcome });
        }
    }

    /// Gives up on batches in front of `index` that are certainly not written, although one with a
    /// later sequence is: their leader has lost what it knew of this producer. To write them now
    /// would be to write them behind what follows them.
    fn fail_overtaken(&mut self, index: usize, by: Option<Identity>, effects: &mut Effects) {
        let is_overtaken =
            |batch: &Batch| batch.identity.is_some() && batch.identity == by && !batch.written;
        let mut left = index;
        while let Some(at) = self.batches.iter().take(left).position(is_overtaken) {
            left -= 1;
            let (partition, code) = (self.place(), ErrorCode::OutOfOrderSequenceNumber);
            let (message, certainty) = (None, Certainty::NotWritten);
            let error = SendError::Refused { partition, code, message, certainty };
            self.fail(at, effects, |_, batch| error.leaving_open(batch.certainty));
        }
    }

    pub(super) fn retry(
        &mut self,
        index: usize,
        certainty: Certainty,
        trouble: Trouble,
        now: Instant,
        random: u64,
        effects: &mut Effects,
    ) {
        self.weaken(index, certainty);
        let soon = trouble.is_about_a_coordinator();
        self.trouble = Some(trouble);
        let Some(batch) = self.batches.get_mut(index) else { return };
        batch.place = Place::Waiting;
        if batch.resolved {
            self.remove_unwritten(index);
        } else if batch.expires <= now {
            self.fail(index, effects, Self::timed_out);
        } else if self.abandoned.is_some() {
            self.fail(index, effects, Self::given_up);
        }
        self.draining = self.on_wire > 0;
        let backoff = if soon { self.patience.next(random) } else { self.backoff.fail(random) };
        self.retry_at = Some(Deadline::after(now, backoff).instant());
    }

    /// A leader that has not what comes before. If nothing does, what did is lost, and this batch
    /// is certainly not written, nor are those behind it.
    pub(super) fn out_of_order(
        &mut self,
        index: usize,
        trouble: Trouble,
        now: Instant,
        random: u64,
        effects: &mut Effects,
    ) {
        if self.settle_written(index, effects) {
            // So old that the leader has forgotten it.
            return;
        }
        let first = self.batches.iter().position(|batch| batch.identity.is_some());
        if first == Some(index) && self.terms.transactional {
            // What is lost is part of the transaction, which must not be committed without it.
            let (partition, code) = (self.place(), trouble.code());
            let (message, certainty) = (None, Certainty::NotWritten);
            let error = SendError::Refused { partition, code, message, certainty };
            return self.fail(index, effects, |_, batch| error.leaving_open(batch.certainty));
        }
        if first == Some(index) {
            let id = self.batches.get(index).map(|batch| batch.id);
            self.gap = self.gap.or(id);
            for batch in self.batches.iter_mut() {
                batch.unknown = false;
            }
        }
        self.retry(index, Certainty::NotWritten, trouble, now, random, effects);
    }

    pub(super) fn split(&mut self, index: usize, effects: &mut Effects) {
        if self.settle_written(index, effects) {
            return;
        }
        if self.abandoned.is_some() {
            // Its parts would wait behind what is missing for as long as deliveries may take.
            if let Some(whole) = self.batches.get_mut(index) {
                whole.place = Place::Waiting;
            }
            return self.fail(index, effects, Self::given_up);
        }
        let Some(whole) = self.batches.get(index) else { return };
        match batch::split(whole, &self.terms).filter(|_| !whole.resolved) {
            Some((finished, mut parts)) => {
                if self.terms.transactional {
                    self.pass_on_sequences(index, &mut parts);
                } else {
                    self.remove_unwritten(index);
                }
                for (place, part) in (index..).zip(parts) {
                    self.batches.insert(place, part);
                }
                effects.finished.push(finished);
            }
            None => self.fail(index, effects, Self::too_large),
        }
    }

    /// Takes a batch out whose parts take its place, its sequences included: a transaction cannot
    /// begin them anew.
    fn pass_on_sequences(&mut self, index: usize, parts: &mut [Batch]) {
        let Some(whole) = self.batches.remove(index) else { return };
        let Some(identity) = whole.identity else { return };
        let mut sequence = whole.sequence;
        for part in parts {
            part.ordinal = whole.ordinal;
            part.stamp(identity, sequence, &self.terms);
            sequence = sequence.wrapping_add(part.records) & i32::MAX;
        }
    }

    pub(super) fn refused(&mut self, index: usize, failure: BatchFailure, effects: &mut Effects) {
        if self.settle_written(index, effects) {
            return;
        }
        let Some(batch) = self.batches.get(index) else { return };
        if !batch.resolved {
            let error = failure.error.leaving_open(batch.certainty);
            // That a record is not written can be said only where no attempt leaves it open.
            let is_known = error.certainty() == Certainty::NotWritten;
            let refused = if is_known { failure.refused } else { BTreeMap::new() };
            let failure = BatchFailure { error, refused, body: batch.body_copy() };
            effects.finished.push(Finished {
                done: Arc::clone(&batch.done),
                records: batch.records,
                outcome: Outcome::Failed(failure),
            });
        }
        self.remove_unwritten(index);
    }

    pub(super) fn weaken(&mut self, index: usize, certainty: Certainty) {
        if let Some(batch) = self.batches.get_mut(index) {
            batch.certainty = batch.certainty.max(certainty);
            batch.unknown |= certainty == Certainty::PossiblyWritten;
        }
    }
}

/// Giving up.
impl PartitionQueue {
    /// A record of a transaction that is not committed.
    pub(super) fn given_up(&self, batch: &Batch) -> SendError {
        match &self.abandoned {
            Some(why) => why.error(&self.topic, batch.left_open()),
            None => SendError::ClosedBeforeDelivery {
                partition: self.place(),
                certainty: batch.left_open(),
            },
        }
    }

    fn too_large(&self, batch: &Batch) -> SendError {
        let (partition, certainty) = (self.place(), batch.certainty);
        if certainty == Certainty::NotWritten {
            return SendError::TooLargeForTopic { partition, size: batch.len() };
        }
        // An attempt before may have been written all the same.
        let code = ErrorCode::MessageTooLarge;
        SendError::Refused { partition, code, message: None, certainty }
    }

    pub(super) fn timed_out(&self, batch: &Batch) -> SendError {
        let trouble = self.trouble.clone();
        SendError::DeliveryTimeout {
            partition: self.place(),
            delivery_timeout: self.terms.delivery_timeout,
            attempts: batch.attempts,
            certainty: batch.left_open(),
            last: trouble,
        }
    }

    /// Tells those who wait for a batch under way, which stays until its answer comes.
    pub(super) fn resolve_on_wire(
        &mut self,
        index: usize,
        effects: &mut Effects,
        error: impl FnOnce(&Self, &Batch) -> SendError,
    ) {
        let Some(batch) = self.batches.get(index).filter(|it| it.is_on_wire() && !it.resolved)
        else {
            return;
        };
        let written = batch.written.then(|| Finished::written(batch));
        effects.finished.push(written.unwrap_or_else(|| batch.failed(error(self, batch))));
        if let Some(batch) = self.batches.get_mut(index) {
            batch.resolved = true;
        }
    }

    pub(super) fn fail(
        &mut self,
        index: usize,
        effects: &mut Effects,
        error: impl FnOnce(&Self, &Batch) -> SendError,
    ) {
        if self.settle_written(index, effects) {
            return;
        }
        if let Some(batch) = self.batches.get_mut(index)
            && let Some(work) = batch.begin_seal()
        {
            batch.body = work.give_up(&self.terms);
        }
        let Some(batch) = self.batches.get(index) else { return };
        let error = (!batch.resolved).then(|| error(self, batch));
        match error {
            Some(error) if batch.is_sealed() => effects.finished.push(batch.failed(error)),
            // Without a sequence, so that nothing is missed behind it.
            Some(error) => {
                let batch = self.batches.remove(index);
                return self.returning.extend(batch.map(|batch| (batch, error)));
            }
            None => {}
        }
        self.remove_unwritten(index);
    }

    pub(super) fn fail_open(
        &mut self,
        effects: &mut Effects,
        error: impl FnOnce(&Self, &Batch) -> SendError,
    ) {
        let open = self.open.as_ref().map(|open| open.id);
        self.seal_open(effects);
        if let Some(id) = open
            && let Some(index) = self.batches.iter().position(|batch| batch.id == id)
        {
            self.fail(index, effects, error);
        }
    }

    /// Takes a batch out that the log certainly has.
    pub(super) fn settle_written(&mut self, index: usize, effects: &mut Effects) -> bool {
        let written = self.batches.get(index).is_some_and(|batch| batch.written);
        if written
            && let Some(batch) = self.batches.remove(index)
            && !batch.resolved
        {
            effects.finished.push(Finished::written(&batch));
        }
        written
    }

    /// Takes a batch out that is not written as far as is known. If it had a sequence, that is
    /// spent.
    pub(super) fn remove_unwritten(&mut self, index: usize) {
        let Some(batch) = self.batches.remove(index) else { return };
        if batch.identity.is_some() && !batch.written {
            self.gap = Some(self.gap.map_or(batch.id, |gap| gap.max(batch.id)));
        }
    }
}

impl Batch {
    /// What all of its attempts leave open, the one under way included.
    pub(crate) fn left_open(&self) -> Certainty {
        if self.is_on_wire() { Certainty::PossiblyWritten } else { self.certainty }
    }
}
