//! Records into the open batch, and the open batch into the queue.

use std::time::Instant;

use ottla_core::error::Certainty;
use ottla_core::retry::Deadline;
use ottla_protocol::compression::Codec;
use ottla_protocol::records::{AppendError, BatchBuilder, BatchHeader};

use super::{AppendFault, Effects, PartitionQueue};
use crate::machine::batch::{Batch, Body, OpenBatch, Place, Terms};
use crate::machine::budget::Charge;
use crate::machine::delivery::BatchDone;

impl PartitionQueue {
    /// Whether the open batch takes another record, once it has a larger buffer if need be.
    #[inline]
    pub(super) fn has_room(&mut self, len_bound: usize, reserved: &mut Option<Charge>) -> bool {
        let Some(open) = &mut self.open else { return false };
        let len = open.builder.len() + len_bound;
        if len > self.terms.batch_size && !open.builder.is_empty() {
            return false;
        }
        len <= open.charge.bytes() || grow(open, len, reserved, &self.terms)
    }

    pub(super) fn begin(
        &mut self,
        len_bound: usize,
        reserved: &mut Option<Charge>,
        now: Instant,
        effects: &mut Effects,
    ) -> Result<(), AppendFault> {
        let budget = &self.terms.budget;
        let needed = BatchHeader::LEN + len_bound;
        let least = budget.buffer_for(needed);
        let usual = budget.buffer_for(self.recent_len.min(self.terms.batch_size)).max(least);
        let waited = reserved.take_if(|reserved| reserved.bytes() >= least);
        let charge = waited.or_else(|| budget.try_charge(usual));
        let charge = charge.or_else(|| budget.try_charge(least));
        let mut charge = charge.ok_or(AppendFault::NoRoom(least))?;
        if charge.bytes() < needed {
            // The bound of a record that just fits may exceed all there is.
            charge.resize(needed);
        }
        let due = Deadline::after(now, self.terms.linger).instant();
        let id = self.next_id;
        self.next_id += 1;
        self.open = Some(OpenBatch {
            id,
            builder: BatchBuilder::with_buffer(self.terms.pool.take(charge.bytes())),
            charge,
            done: BatchDone::new(self.topic.clone(), self.partition),
            due,
            expires: Deadline::after(now, self.terms.delivery_timeout).instant(),
            eager: self.terms.linger.is_zero(),
        });
        if self.terms.linger.is_zero() {
            effects.ready = true;
        } else {
            effects.opened = Some((id, due));
        }
        Ok(())
    }

    /// Undoes what was begun for a record that cannot be encoded.
    pub(super) fn refuse(&mut self, error: AppendError, effects: &mut Effects) -> AppendFault {
        if let Some(empty) = self.open.take_if(|open| open.builder.is_empty()) {
            self.terms.pool.give_back(empty.builder.into_buffer());
            effects.opened = None;
        }
        AppendFault::Encode(error)
    }

    pub(super) fn seal_if_due(&mut self, now: Instant, effects: &mut Effects) {
        let due = self.open.as_ref().is_some_and(|open| open.eager || open.due <= now);
        let idle = self.batches.iter().all(Batch::is_on_wire);
        if idle && (due || self.terms.budget.is_contended()) {
            self.seal_open(effects);
        }
    }

    pub(super) fn seal_open(&mut self, effects: &mut Effects) {
        let Some(open) = self.open.take() else { return };
        let OpenBatch { id, builder, charge, done, due: _, expires, eager: _ } = open;
        let records = builder.record_count();
        self.recent_len = builder.len();
        effects.sealed_bytes += builder.len();
        effects.ready = true;
        let body = if self.terms.codec == Codec::NONE {
            Body::Fresh(builder.seal(&self.terms.seal_options()), charge)
        } else {
            effects.unsealed.push(id);
            Body::Unsealed(builder, charge)
        };
        self.batches.push_back(Batch {
            id,
            done,
            records,
            expires,
            body,
            place: Place::Waiting,
            identity: None,
            sequence: 0,
            ordinal: 0,
            written: false,
            unknown: false,
            certainty: Certainty::NotWritten,
            attempts: 0,
            resolved: false,
        });
    }
}

/// Moves an open batch to a larger buffer, if there is memory.
fn grow(open: &mut OpenBatch, len: usize, reserved: &mut Option<Charge>, terms: &Terms) -> bool {
    let mut class = terms.budget.buffer_for(len).max(len);
    if class == len {
        // Beyond the usual sizes: not by a record at a time, which would copy the batch for each.
        class = (2 * open.charge.bytes()).min(terms.batch_size).max(len);
    }
    let missing = class.saturating_sub(open.charge.bytes());
    let waited = reserved.take_if(|reserved| reserved.bytes() >= missing);
    let Some(mut more) = waited.or_else(|| terms.budget.try_charge(missing)) else { return false };
    more.resize(missing);
    open.charge.absorb(more);
    let old = open.builder.move_to(terms.pool.take(class));
    terms.pool.give_back(old);
    true
}
