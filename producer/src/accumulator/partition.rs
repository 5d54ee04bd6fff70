//! A partition and where it is looked after.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::time::Instant;

use ottla_core::error::Certainty;
use ottla_core::retry::Deadline;
use ottla_core::types::{NodeId, TopicName};
use parking_lot::Mutex;

use super::common::Common;
use super::link::BrokerLink;
use super::topic::TopicShared;
use crate::error::SendError;
use crate::machine::queue::{Appended, Effects, PartitionQueue};
use crate::record::RecordParts;

/// A partition: its batches, and the link that sends them.
#[derive(Debug)]
pub(crate) struct Partition {
    pub(super) topic: Arc<TopicShared>,
    pub(super) index: i32,
    /// Batches in the queue, for those who choose a partition.
    queue_len: AtomicUsize,
    /// −1 while there is none.
    leader: AtomicI32,
    pub(super) slot: Mutex<Slot>,
}

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) queue: PartitionQueue,
    pub(super) link: Option<Arc<BrokerLink>>,
    /// Whether it is on the link's list of those that may have something to send.
    pub(super) queued: bool,
    /// The last request that it has a batch in: by whose link, and its number there.
    pub(super) drafted: Option<(NodeId, u64)>,
    /// Whether it has an entry among the expiries.
    pub(super) watched: bool,
    /// Whether it is part of the transaction that is open.
    pub(super) enlisted: bool,
}

impl Partition {
    pub(super) fn new(topic: &Arc<TopicShared>, index: i32, common: &Common) -> Arc<Self> {
        let mut queue = PartitionQueue::new(Arc::clone(&common.terms), topic.name.clone(), index);
        if common.is_closed() {
            queue.close();
        }
        Arc::new(Self {
            topic: Arc::clone(topic),
            index,
            queue_len: AtomicUsize::new(0),
            leader: AtomicI32::new(NO_LEADER),
            slot: Mutex::new(Slot {
                queue,
                link: None,
                queued: false,
                drafted: None,
                watched: false,
                enlisted: false,
            }),
        })
    }

    /// Its number.
    pub(crate) fn index(&self) -> i32 {
        self.index
    }

    pub(super) fn name(&self) -> &TopicName {
        &self.topic.name
    }

    pub(super) fn leader(&self) -> Option<NodeId> {
        NodeId::from_wire(self.leader.load(Ordering::Relaxed))
    }

    pub(super) fn set_leader(&self, leader: Option<NodeId>) {
        self.leader.store(leader.map_or(NO_LEADER, NodeId::number), Ordering::Relaxed);
    }

    /// Whether nothing has to be done about its link while the leader stays.
    pub(super) fn has_link_or_leaderless(&self) -> bool {
        self.leader().is_none() || self.slot.lock().link.is_some()
    }

    /// Batches that wait; `None` if it has no leader, or has taken none for `patience`.
    pub(super) fn availability(&self, common: &Common) -> Option<usize> {
        self.leader()?;
        let patience = common.config.partitioner_availability_timeout;
        if !patience.is_zero() {
            let since = self.slot.lock().queue.waiting_since();
            let now = common.host.now();
            if since.is_some_and(|since| Deadline::after(since, patience).is_over(now)) {
                return None;
            }
        }
        Some(self.queue_len.load(Ordering::Relaxed))
    }

    /// Why no record is taken for the transaction that is open.
    #[cold]
    pub(super) fn abandonment(&self) -> SendError {
        let topic = self.name().clone();
        match self.slot.lock().queue.abandonment() {
            Some(why) => why.error(&topic, Certainty::NotWritten),
            None => SendError::Closed { topic },
        }
    }

    /// Takes a record, if nothing follows from that.
    #[inline]
    pub(super) fn append_quietly(
        &self,
        parts: &RecordParts<'_>,
        len_bound: usize,
        timestamp: i64,
        ticket: bool,
    ) -> Option<Appended> {
        self.slot.lock().queue.append_quietly(parts, len_bound, timestamp, ticket)
    }

    /// Lets `change` at the queue, and sees to what follows from it once the lock is gone.
    #[inline]
    pub(super) fn with<T>(
        self: &Arc<Self>,
        common: &Arc<Common>,
        change: impl FnOnce(&mut Slot, &mut Effects) -> T,
    ) -> T {
        let mut effects = Effects::default();
        let mut slot = self.slot.lock();
        let result = change(&mut slot, &mut effects);
        if effects.is_quiet() {
            // Nothing is in it: to forget it is cheaper than to call for it to be dropped.
            std::mem::forget(effects);
            return result;
        }
        if let Some(transaction) = &common.transaction {
            transaction.attend(self, &mut slot, &mut effects, common);
        }
        let wake = self.list(&mut slot, &effects);
        let leaderless = slot.link.is_none() && !slot.queue.is_empty();
        let first = self.watch(&mut slot, common);
        drop(slot);
        if let Some(link) = wake {
            link.wake();
        }
        if leaderless {
            common.host.want_leader();
        }
        if first {
            common.host.watch_expiries();
        }
        self.settle(common, effects);
        result
    }

    /// Tells what came of batches, and sees to those that a codec must seal. Call it under no lock.
    pub(super) fn settle(self: &Arc<Self>, common: &Arc<Common>, effects: Effects) {
        let Effects { opened: _, ready: _, sealed_bytes, unsealed, finished } = effects;
        if sealed_bytes > 0 {
            self.topic.count_sealed(self.index, sealed_bytes, common);
        }
        for id in unsealed {
            common.seal(self, id);
        }
        for finished in finished {
            common.resolve(finished);
        }
    }

    /// Puts it on its link's lists, and gives the link back if it must be woken for that.
    fn list(self: &Arc<Self>, slot: &mut Slot, effects: &Effects) -> Option<Arc<BrokerLink>> {
        self.queue_len.store(slot.queue.len(), Ordering::Relaxed);
        let link = slot.link.as_ref()?;
        let mut wake = false;
        if effects.ready && !slot.queued {
            slot.queued = true;
            wake |= link.push_ready(Arc::clone(self));
        }
        if let Some((id, due)) = effects.opened {
            wake |= link.push_opened(Arc::clone(self), id, due);
        }
        wake.then(|| Arc::clone(link))
    }

    /// As [`watch`](Self::watch), for who looks when the next entry is due in any case.
    pub(super) fn keep_watch(self: &Arc<Self>, common: &Common) {
        let _first = self.watch(&mut self.slot.lock(), common);
    }

    /// Sees to it that somebody looks when its oldest batch is too old; whether that is before all
    /// others.
    fn watch(self: &Arc<Self>, slot: &mut Slot, common: &Common) -> bool {
        if slot.watched {
            return false;
        }
        let Some(at) = slot.queue.next_expiry() else { return false };
        slot.watched = true;
        common.expiries.push(at, Arc::clone(self))
    }
}

impl Slot {
    /// Goes over to another link, or to the first one.
    pub(super) fn move_to(
        &mut self,
        partition: &Arc<Partition>,
        link: Arc<BrokerLink>,
        effects: &mut Effects,
    ) {
        if self.link.as_ref().is_some_and(|known| Arc::ptr_eq(known, &link)) {
            return;
        }
        self.queue.handle_moved(effects);
        if let Some((id, due)) = self.queue.open_batch() {
            link.push_opened(Arc::clone(partition), id, due);
        }
        // Whatever list it is on is another link's.
        self.queued = false;
        self.link = Some(link);
    }

    /// Whether `link` looks after it.
    pub(super) fn is_on(&self, link: &BrokerLink) -> bool {
        self.link.as_deref().is_some_and(|mine| std::ptr::eq(mine, link))
    }
}

impl Effects {
    /// Whether nothing follows, as for nearly every record, and no memory is held.
    #[inline]
    fn is_quiet(&self) -> bool {
        self.opened.is_none()
            && !self.ready
            && self.sealed_bytes == 0
            && self.unsealed.capacity() == 0
            && self.finished.capacity() == 0
    }
}

/// When a list of partitions says that one is due.
pub(super) type Due = (Arc<Partition>, u64, Instant);

const NO_LEADER: i32 = -1;
