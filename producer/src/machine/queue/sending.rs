//! What leaves, and with which sequences.

use std::time::Instant;

use super::{Effects, NextSend, PartitionQueue, Sending};
use crate::machine::batch::{Batch, Place};
use crate::machine::identity::{Identity, IdentityCell};

impl PartitionQueue {
    /// Says what to send next, in at most `room` bytes, and counts it as under way.
    pub(crate) fn next_send(
        &mut self,
        now: Instant,
        identity: &IdentityCell,
        room: usize,
        effects: &mut Effects,
    ) -> NextSend {
        if let Some(retry_at) = self.retry_at.filter(|retry_at| *retry_at > now) {
            return NextSend::NotBefore(retry_at);
        }
        self.retry_at = None;
        if self.draining && self.on_wire > 0 {
            return NextSend::Nothing;
        }
        self.draining = false;
        if !self.admitted || (self.terms.transactional && self.gap.is_some()) {
            return NextSend::Nothing;
        }
        if self.gap.is_some()
            && let Some(first) = self.close_gap(identity, room, effects)
        {
            return first;
        }
        if self.on_wire >= self.window(now) {
            return NextSend::Nothing;
        }
        self.seal_if_due(now, effects);
        match self.first_waiting().filter(|index| self.is_remembered(*index)) {
            Some(index) => self.send(index, identity, room),
            None => NextSend::Nothing,
        }
    }

    /// How many batches may be under way. One, while the leader is not known to know these
    /// sequences: it would take a later one as the first.
    fn window(&self, now: Instant) -> usize {
        if self.terms.idempotent && !self.sequences.are_proven(now) { 1 } else { self.terms.window }
    }

    /// Whether sending this batch leaves the leader's memory of the oldest that is not settled:
    /// leaders know a batch again only while it is among the last five.
    fn is_remembered(&self, index: usize) -> bool {
        let stamped = |batch: &&Batch| batch.identity.is_some();
        if self.batches.get(index).is_some_and(|batch| stamped(&batch)) {
            return true;
        }
        let oldest = self.batches.iter().find(stamped);
        let span = oldest.map_or(0, |oldest| self.next_ordinal - oldest.ordinal);
        usize::try_from(span).is_ok_and(|span| span < self.terms.window) || !self.terms.idempotent
    }

    /// The first batch that is not under way, unless it is not sealed yet.
    fn first_waiting(&self) -> Option<usize> {
        let index = self.batches.iter().position(Batch::is_waiting)?;
        self.batches.get(index)?.is_sealed().then_some(index)
    }

    /// Begins the sequences anew, once all that is under way has been answered and nobody wonders
    /// what became of it; what is to be sent for that first, if anything.
    fn close_gap(
        &mut self,
        identity: &IdentityCell,
        room: usize,
        effects: &mut Effects,
    ) -> Option<NextSend> {
        // Nor is an identity asked for that nobody needs yet.
        if self.on_wire > 0 || (self.batches.is_empty() && self.open.is_none()) {
            return Some(NextSend::Nothing);
        }
        let oldest = self.batches.iter().position(|batch| batch.identity.is_some());
        if let Some(index) = oldest
            && self.batches.get(index).is_some_and(|batch| batch.unknown)
        {
            return Some(self.send(index, identity, room));
        }
        while let Some(index) = self.batches.iter().position(|batch| batch.written) {
            self.settle_written(index, effects);
        }
        if let Some(used) = self.sequences.identity() {
            let Some(newer) = identity.newer_than(used) else {
                return Some(NextSend::NoIdentity);
            };
            self.restart(newer);
        }
        self.gap = None;
        None
    }

    fn restart(&mut self, identity: Identity) {
        tracing::debug!(partition = %self.place(), ?identity, "sequences begin anew");
        self.sequences.begin(identity);
        for batch in &mut self.batches {
            batch.identity = None;
            batch.unknown = false;
        }
    }

    fn send(&mut self, index: usize, identity: &IdentityCell, room: usize) -> NextSend {
        let Some(batch) = self.batches.get_mut(index) else { return NextSend::Nothing };
        if batch.len() > room {
            return NextSend::NoRoom;
        }
        let bytes = if self.terms.idempotent && batch.identity.is_none() {
            let known = self.sequences.identity();
            let Some(identity) = known.or_else(|| identity.current()) else {
                return NextSend::NoIdentity;
            };
            if known.is_none() {
                self.sequences.begin(identity);
            }
            batch.ordinal = self.next_ordinal;
            self.next_ordinal += 1;
            batch.stamp(identity, self.sequences.take(batch.records), &self.terms)
        } else {
            batch.as_sent(&self.terms)
        };
        let attempt = self.next_attempt;
        self.next_attempt += 1;
        batch.place = Place::OnWire { attempt };
        batch.attempts += 1;
        self.on_wire += 1;
        NextSend::Batch(Sending { attempt, bytes, records: batch.records })
    }
}
