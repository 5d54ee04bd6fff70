//! The partitions of a transaction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ottla_core::types::TopicPartition;
use parking_lot::{Mutex, MutexGuard};

use super::common::Common;
use super::partition::{Partition, Slot};
use crate::error::SendError;
use crate::machine::batch::Finished;
use crate::machine::delivery::Outcome;
use crate::machine::identity::Identity;
use crate::machine::queue::Effects;
use crate::machine::transaction::{Abandonment, Enlisted, Transactions};

/// The transactions of a producer, and the partitions of the one that is open.
///
/// Locks: a partition's comes before the machine's, and the list's is the last.
#[derive(Debug)]
pub(crate) struct Enlistment {
    machine: Mutex<Transactions>,
    /// Partitions that records of the transaction were taken for.
    enlisted: Mutex<Vec<Arc<Partition>>>,
    /// Whether somebody waits until nothing is left in these partitions.
    draining: AtomicBool,
}

impl Enlistment {
    pub(crate) fn new(machine: Transactions) -> Self {
        Self {
            machine: Mutex::new(machine),
            enlisted: Mutex::default(),
            draining: AtomicBool::new(false),
        }
    }

    /// What decides. Held for microseconds.
    pub(crate) fn machine(&self) -> MutexGuard<'_, Transactions> {
        self.machine.lock()
    }

    /// Sees to it that a partition with records is part of the transaction, and that the failure of
    /// a batch is known before anybody can see that the batch is gone.
    pub(super) fn attend(
        &self,
        partition: &Arc<Partition>,
        slot: &mut Slot,
        effects: &mut Effects,
        common: &Common,
    ) {
        if !slot.enlisted && !slot.queue.is_empty() {
            slot.enlisted = true;
            self.enlist(partition, slot, effects, common);
        }
        let failed: Vec<&SendError> = effects.finished.iter().filter_map(failure).collect();
        if !failed.is_empty() {
            let mut machine = self.machine.lock();
            failed.into_iter().for_each(|error| machine.handle_failed_send(error));
            drop(machine);
            common.host.stir_transaction();
        } else if self.draining.load(Ordering::Acquire) && slot.queue.is_empty() {
            common.host.stir_transaction();
        }
    }

    fn enlist(
        &self,
        partition: &Arc<Partition>,
        slot: &mut Slot,
        effects: &mut Effects,
        common: &Common,
    ) {
        let place = TopicPartition::new(partition.name().clone(), partition.index());
        let enlisted = self.machine.lock().enlist(place);
        self.enlisted.lock().push(Arc::clone(partition));
        match enlisted {
            Enlisted::Admitted(identity) => slot.queue.admit(identity, effects),
            Enlisted::Pending | Enlisted::Refused => common.host.stir_transaction(),
        }
    }

    /// Lets batches of a partition be sent, if it is one of these.
    pub(crate) fn admit(
        &self,
        places: &[TopicPartition],
        identity: Identity,
        common: &Arc<Common>,
    ) {
        for partition in self.all() {
            let is = |place: &TopicPartition| {
                place.partition == partition.index() && place.topic == *partition.name()
            };
            if places.iter().any(is) {
                partition.with(common, |slot, effects| slot.queue.admit(identity, effects));
            }
        }
    }

    /// Lets everything that lingers go, and has the end of it told.
    pub(crate) fn drain(&self, common: &Arc<Common>) {
        self.draining.store(true, Ordering::Release);
        for partition in self.all() {
            partition.with(common, |slot, effects| slot.queue.hurry(effects));
        }
    }

    /// Whether nothing is left in the partitions, and if so whether sequences were spent in vain.
    pub(crate) fn drained(&self) -> Option<bool> {
        let mut gaps = false;
        for partition in self.all() {
            let slot = partition.slot.lock();
            if !slot.queue.is_empty() {
                return None;
            }
            gaps |= slot.queue.has_gap();
        }
        Some(gaps)
    }

    /// Gives up on what is not written.
    pub(crate) fn abandon(&self, why: &Abandonment, common: &Arc<Common>) {
        for partition in self.all() {
            partition.with(common, |slot, effects| slot.queue.abandon(why, effects));
        }
    }

    /// Lets the partitions go: the transaction has ended.
    pub(crate) fn release(&self) {
        self.draining.store(false, Ordering::Release);
        let enlisted = std::mem::take(&mut *self.enlisted.lock());
        for partition in enlisted {
            let mut slot = partition.slot.lock();
            slot.enlisted = false;
            slot.queue.end_transaction();
        }
    }

    fn all(&self) -> Vec<Arc<Partition>> {
        self.enlisted.lock().clone()
    }
}

fn failure(finished: &Finished) -> Option<&SendError> {
    match &finished.outcome {
        Outcome::Failed(failure) => Some(&failure.error),
        Outcome::Acknowledged { .. } | Outcome::Split(_) => None,
    }
}
