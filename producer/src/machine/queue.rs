//! The batches of one partition, in order.

mod filling;
mod sending;
mod settling;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use ottla_core::error::Certainty;
use ottla_core::retry::Backoff;
use ottla_core::types::{TopicName, TopicPartition};
use ottla_protocol::records::AppendError;

use super::batch::{Batch, Body, Finished, OpenBatch, Place, SealWork, Sealed, Terms};
use super::budget::Charge;
use super::delivery::{BatchDone, BatchFailure};
use super::identity::{Identity, Sequences};
use super::transaction::{Abandonment, Patience};
use crate::error::{SendError, Trouble};
use crate::record::RecordParts;

/// The batches of one partition: one that takes records, and those that wait or are under way, in
/// the order of their records.
///
/// A batch never changes its place. When an attempt fails it waits again where it is, nothing more
/// leaves until what is under way has been answered, and then all go again in order.
///
/// ```text
///  open --full, due, hurried--> [codec] --> waiting --next_send--> on the wire --> done
///                                              ^------- retry ---------/
/// ```
///
/// With idempotence a batch gets its sequence when it is first sent, and keeps it. Where one leaves
/// without being written, its sequence is spent: there is a *gap*. What follows then cannot be
/// written either, so once all is answered the partition takes a newer epoch and begins at 0 with
/// what is left (KIP-360). A batch of which nobody knows whether it was written is first sent once
/// more as it was: the answer tells.
#[derive(Debug)]
pub(crate) struct PartitionQueue {
    terms: Arc<Terms>,
    topic: TopicName,
    partition: i32,
    open: Option<OpenBatch>,
    batches: VecDeque<Batch>,
    /// Given up on while a codec had them, which cannot be called off: told, with their records, when those come back.
    returning: Vec<(Batch, SendError)>,
    on_wire: usize,
    /// Whether something failed while others were under way: they are awaited first.
    draining: bool,
    sequences: Sequences,
    /// Of the next batch that gets a sequence.
    next_ordinal: u64,
    /// The batch that left without being written, by id.
    gap: Option<u64>,
    retry_at: Option<Instant>,
    backoff: Backoff,
    patience: Patience,
    trouble: Option<Trouble>,
    /// Whether batches may be sent: of a transactional producer, once the partition is part of the
    /// transaction.
    admitted: bool,
    /// Why the batches of the transaction are given up, if they are.
    abandoned: Option<Abandonment>,
    next_id: u64,
    next_attempt: u64,
    /// The first attempt whose answer tells what the present log knows.
    doubted: u64,
    /// Bytes of the last batch: the next one begins in a buffer of that size.
    recent_len: usize,
    closed: bool,
}

/// What follows from a call, for its caller to do once it holds no lock.
#[derive(Debug, Default)]
pub(crate) struct Effects {
    /// A batch was opened: its id, and when it is due at the latest.
    pub(crate) opened: Option<(u64, Instant)>,
    /// There may be something to send now.
    pub(crate) ready: bool,
    /// Bytes of batches that were sealed.
    pub(crate) sealed_bytes: usize,
    /// Batches for a codec, by id: see [`PartitionQueue::begin_seal`].
    pub(crate) unsealed: Vec<u64>,
    /// What has become of batches.
    pub(crate) finished: Vec<Finished>,
}

/// A record that was taken.
#[derive(Debug)]
pub(crate) struct Appended {
    /// Its index in the batch.
    pub(crate) index: u32,
    /// Where to learn what becomes of it, if that was asked for.
    pub(crate) done: Option<Arc<BatchDone>>,
}

/// Why a record was not taken. The queue is as if it had not come, but for what had to be sealed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum AppendFault {
    /// There is no memory now: wait for this many bytes.
    NoRoom(usize),
    /// Nothing is taken any more.
    Closed,
    /// Nothing is taken any more in this transaction.
    Abandoned,
    /// It cannot be encoded.
    Encode(AppendError),
}

/// What to send next.
#[derive(Debug)]
pub(crate) enum NextSend {
    /// Nothing, until something happens.
    Nothing,
    /// Nothing before this.
    NotBefore(Instant),
    /// Nothing before there is a producer id.
    NoIdentity,
    /// A batch, but it is larger than the room.
    NoRoom,
    /// This batch.
    Batch(Sending),
}

/// A batch under way.
#[derive(Debug)]
pub(crate) struct Sending {
    /// Names this attempt, so that a late answer to another one is known as such.
    pub(crate) attempt: u64,
    pub(crate) bytes: Bytes,
    pub(crate) records: i32,
}

/// What an answer, or its absence, says about an attempt.
#[derive(Debug)]
pub(crate) enum Answered {
    Acknowledged {
        base_offset: Option<i64>,
        log_append_time: Option<i64>,
    },
    Retry {
        certainty: Certainty,
        trouble: Trouble,
    },
    OutOfOrder {
        trouble: Trouble,
    },
    /// `restart` unless the broker could not tell where its log begins, and so whether it knows.
    UnknownProducer {
        restart: bool,
        trouble: Trouble,
    },
    TooLarge,
    Refused {
        failure: BatchFailure,
        certainty: Certainty,
    },
}

impl PartitionQueue {
    pub(crate) fn new(terms: Arc<Terms>, topic: TopicName, partition: i32) -> Self {
        let backoff = Backoff::new(terms.retry_backoff, terms.retry_backoff_max);
        let admits = terms.transactional;
        Self {
            terms,
            topic,
            partition,
            open: None,
            batches: VecDeque::new(),
            returning: Vec::new(),
            on_wire: 0,
            draining: false,
            sequences: Sequences::default(),
            next_ordinal: 0,
            gap: None,
            retry_at: None,
            backoff,
            patience: Patience::default(),
            trouble: None,
            admitted: !admits,
            abandoned: None,
            next_id: 0,
            next_attempt: 0,
            doubted: 0,
            recent_len: 0,
            closed: false,
        }
    }

    /// Encodes a record into the open batch where nothing follows from that, as for nearly every
    /// record. Where something does, or it cannot be done, [`append`](Self::append) sees to it. The
    /// two are compiled apart, which makes this one a tenth cheaper.
    #[inline]
    pub(crate) fn append_quietly(
        &mut self,
        parts: &RecordParts<'_>,
        len_bound: usize,
        timestamp: i64,
        ticket: bool,
    ) -> Option<Appended> {
        let open = self.open.as_mut()?;
        let len = open.builder.len() + len_bound;
        // No larger buffer is needed, and the batch is not full after it either.
        if len > open.charge.bytes() || len + len_bound > self.terms.batch_size {
            return None;
        }
        let index = open.builder.append(parts.at(timestamp)).ok()?.unsigned_abs();
        Some(Appended { index, done: ticket.then(|| Arc::clone(&open.done)) })
    }

    /// Encodes a record into the open batch, or into a new one. `len_bound` is what
    /// [`RecordParts::len_bound`] says; `reserved` is memory that was waited for, if any; `now` is
    /// asked only for a new batch.
    #[expect(clippy::too_many_arguments, reason = "each is measured or taken before the lock is")]
    #[inline]
    pub(crate) fn append(
        &mut self,
        parts: &RecordParts<'_>,
        len_bound: usize,
        timestamp: i64,
        ticket: bool,
        reserved: &mut Option<Charge>,
        now: impl FnOnce() -> Instant,
        effects: &mut Effects,
    ) -> Result<Appended, AppendFault> {
        if !self.has_room(len_bound, reserved) {
            if self.closed {
                return Err(AppendFault::Closed);
            }
            if self.abandoned.is_some() {
                return Err(AppendFault::Abandoned);
            }
            self.seal_open(effects);
            self.begin(len_bound, reserved, now(), effects)?;
        }
        let Some(open) = &mut self.open else { return Err(AppendFault::NoRoom(len_bound)) };
        let index = match open.builder.append(parts.at(timestamp)) {
            Ok(index) => index.unsigned_abs(),
            Err(error) => return Err(self.refuse(error, effects)),
        };
        let done = ticket.then(|| Arc::clone(&open.done));
        // The next one would probably not fit: why wait for it.
        if open.builder.len() + len_bound > self.terms.batch_size {
            self.seal_open(effects);
        }
        Ok(Appended { index, done })
    }

    /// Lets the open batch go as soon as it can: somebody waits for it.
    pub(crate) fn hurry(&mut self, effects: &mut Effects) {
        if let Some(open) = &mut self.open {
            open.eager = true;
            effects.ready = true;
        }
    }

    /// Lets the open batch go, if it is still the one that was opened as `id`: its time has come.
    pub(crate) fn hurry_batch(&mut self, id: u64, effects: &mut Effects) {
        if self.open.as_ref().is_some_and(|open| open.id == id) {
            self.hurry(effects);
        }
    }

    /// The open batch and when it is due, for a link that has to look after it.
    pub(crate) fn open_batch(&self) -> Option<(u64, Instant)> {
        self.open.as_ref().map(|open| (open.id, open.due))
    }

    /// Gives a batch to a codec that has time for it now; `None` if it was given up meanwhile.
    pub(crate) fn begin_seal(&mut self, id: u64) -> Option<SealWork> {
        self.batches.iter_mut().find(|batch| batch.id == id)?.begin_seal()
    }

    /// Takes back a batch that a codec has sealed.
    pub(crate) fn finish_seal(&mut self, id: u64, sealed: Sealed, effects: &mut Effects) {
        let Sealed { batch: sealed, charge, fault } = sealed;
        let mine = |batch: &Batch| batch.id == id && matches!(batch.body, Body::Sealing);
        if let Some(index) = self.returning.iter().position(|(batch, _)| mine(batch)) {
            let (mut batch, error) = self.returning.swap_remove(index);
            batch.body = Body::Fresh(sealed, charge);
            effects.finished.push(batch.failed(error));
            return;
        }
        let Some(index) = self.batches.iter().position(mine) else { return };
        effects.ready = true;
        if let Some(batch) = self.batches.get_mut(index) {
            batch.body = Body::Fresh(sealed, charge);
        }
        if let Some(source) = fault {
            self.fail(index, effects, |queue, _| SendError::Compression {
                partition: queue.place(),
                source,
            });
        }
    }

    /// Takes what is known of an attempt. An attempt that was taken back since is passed over.
    pub(crate) fn handle_answer(
        &mut self,
        now: Instant,
        attempt: u64,
        answered: Answered,
        random: u64,
        effects: &mut Effects,
    ) {
        let Some(index) = self.batches.iter().position(|batch| batch.is_attempt(attempt)) else {
            return;
        };
        self.on_wire -= 1;
        effects.ready = true;
        match answered {
            Answered::Acknowledged { base_offset, log_append_time } => {
                if attempt >= self.doubted {
                    self.sequences.prove(now);
                }
                self.acknowledge(index, base_offset, log_append_time, effects);
            }
            Answered::Retry { certainty, trouble } => {
                self.retry(index, certainty, trouble, now, random, effects);
            }
            Answered::OutOfOrder { trouble } => {
                self.out_of_order(index, trouble, now, random, effects);
            }
            Answered::UnknownProducer { restart: true, trouble } => {
                self.out_of_order(index, trouble, now, random, effects);
            }
            Answered::UnknownProducer { restart: false, trouble } => {
                self.retry(index, Certainty::NotWritten, trouble, now, random, effects);
            }
            Answered::TooLarge => self.split(index, effects),
            Answered::Refused { failure, certainty } => {
                self.weaken(index, certainty);
                self.refused(index, failure, effects);
            }
        }
    }

    /// Takes back what is under way, because another broker leads now. With idempotence it goes to
    /// that one as it is, and is written once whatever becomes of the first attempt. Without, only
    /// the answer or the end of the connection tells, so it is left where it is.
    pub(crate) fn handle_moved(&mut self, effects: &mut Effects) {
        self.doubt_leader();
        self.retry_at = None;
        self.backoff.reset();
        effects.ready = true;
        if !self.terms.idempotent {
            return;
        }
        let mut index = 0;
        while let Some(batch) = self.batches.get_mut(index) {
            if batch.is_on_wire() {
                batch.place = Place::Waiting;
                batch.unknown = true;
                batch.certainty = Certainty::PossiblyWritten;
                if batch.resolved {
                    self.remove_unwritten(index);
                    continue;
                }
            }
            index += 1;
        }
        self.on_wire = 0;
        self.draining = false;
        self.give_up_waiting(effects);
    }

    /// Takes note that the leader may know nothing of this producer, whatever is answered to what is
    /// under way: it is another one, or has another topic of the same name.
    pub(crate) fn doubt_leader(&mut self) {
        self.doubted = self.next_attempt;
        self.sequences.doubt();
    }

    /// Lets batches be sent, as `identity`: the partition is part of the transaction.
    pub(crate) fn admit(&mut self, identity: Identity, effects: &mut Effects) {
        if self.sequences.identity() != Some(identity) {
            self.sequences.begin(identity);
            self.gap = None;
        }
        self.admitted = true;
        effects.ready = true;
    }

    /// Gives up on what is not under way, and on what is as soon as it is known not to be written.
    pub(crate) fn abandon(&mut self, why: &Abandonment, effects: &mut Effects) {
        if self.abandoned.is_some() {
            return;
        }
        self.abandoned = Some(why.clone());
        self.fail_open(effects, Self::given_up);
        self.give_up_waiting(effects);
    }

    /// Why nothing is taken in this transaction.
    pub(crate) fn abandonment(&self) -> Option<&Abandonment> {
        self.abandoned.as_ref()
    }

    /// Whether sequences were spent on batches that are not written.
    pub(crate) fn has_gap(&self) -> bool {
        self.gap.is_some()
    }

    /// Ends the transaction: nothing is sent before the partition is part of the next.
    pub(crate) fn end_transaction(&mut self) {
        self.admitted = false;
        self.abandoned = None;
    }

    fn give_up_waiting(&mut self, effects: &mut Effects) {
        if self.abandoned.is_none() {
            return;
        }
        while let Some(index) = self.batches.iter().position(Batch::is_waiting) {
            self.fail(index, effects, Self::given_up);
        }
    }

    /// Gives up on batches whose time is over, and says when the next one's is. What is under way
    /// may still be written.
    pub(crate) fn expire(&mut self, now: Instant, effects: &mut Effects) -> Option<Instant> {
        let mut index = 0;
        while let Some(batch) = self.batches.get(index).filter(|batch| batch.expires <= now) {
            if batch.is_on_wire() {
                self.resolve_on_wire(index, effects, Self::timed_out);
                index += 1;
            } else {
                self.fail(index, effects, Self::timed_out);
            }
        }
        if self.open.as_ref().is_some_and(|open| open.expires <= now) {
            self.fail_open(effects, Self::timed_out);
        }
        self.next_expiry()
    }

    /// When the oldest batch's time is over; `None` if there is none.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        let unresolved = self.batches.iter().find(|batch| !batch.resolved);
        let sealed = unresolved.map(|batch| batch.expires);
        sealed.or_else(|| self.open.as_ref().map(|open| open.expires))
    }

    /// Gives up on everything, for the reason that `error` makes of what each batch leaves open.
    pub(crate) fn fail_all(
        &mut self,
        effects: &mut Effects,
        error: impl Fn(&Self, &Batch) -> SendError,
    ) {
        self.fail_open(effects, &error);
        while !self.batches.is_empty() {
            self.resolve_on_wire(0, effects, &error);
            self.fail(0, effects, &error);
        }
        self.on_wire = 0;
        self.draining = false;
    }

    /// Takes no records any more. Call it with nothing left in it, or before giving that up.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Adds the completions of all that is not settled yet.
    pub(crate) fn collect_pending(&self, pending: &mut Vec<Arc<BatchDone>>) {
        pending.extend(self.returning.iter().map(|(batch, _)| Arc::clone(&batch.done)));
        let sealed = self.batches.iter().filter(|batch| !batch.resolved);
        pending.extend(sealed.map(|batch| Arc::clone(&batch.done)));
        pending.extend(self.open.iter().map(|open| Arc::clone(&open.done)));
    }

    /// Since when the oldest batch that is not under way is there; `None` if there is none.
    pub(crate) fn waiting_since(&self) -> Option<Instant> {
        let oldest = self.batches.iter().find(|batch| batch.is_waiting())?;
        oldest.expires.checked_sub(self.terms.delivery_timeout)
    }

    /// Takes note of what is wrong outside of any attempt.
    pub(crate) fn note_trouble(&mut self, trouble: Trouble) {
        self.trouble = Some(trouble);
    }

    /// Batches that wait or are under way.
    pub(crate) fn len(&self) -> usize {
        self.batches.len()
    }

    /// Whether there is nothing in it, not even an open batch, and nothing of it with a codec: what
    /// was given up there is not told yet, and a transaction must not end before.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty() && self.open.is_none() && self.returning.is_empty()
    }

    /// Where it is, as errors say it.
    pub(crate) fn place(&self) -> TopicPartition {
        TopicPartition::new(self.topic.clone(), self.partition)
    }
}

#[cfg(test)]
mod tests;
