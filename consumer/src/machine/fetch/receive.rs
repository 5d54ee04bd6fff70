//! What a broker answers.

use std::time::Instant;

use ottla_core::cluster::{BrokerInfo, LeaderHint};
use ottla_core::retry::Deadline;
use ottla_core::types::{HostPort, NodeId};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::fetch::NodeEndpoint;
use ottla_protocol::records::{BatchFault, RecordsError};

use super::node::{InFlight, Node};
use super::partition::{Check, Fetched, Life, Place, Preferred};
use super::{
    FetchAnswer, Fetcher, Lane, Outcome, PartitionAnswer, ResetCause, Slot, TopicKey, classify,
};
use crate::error::FetchError;

impl Fetcher {
    /// Takes the answer to a fetch. Whether there is something to deliver now is for
    /// [`is_ready`](Self::is_ready) to say.
    pub fn handle_fetched(&mut self, node: NodeId, token: u64, answer: FetchAnswer, now: Instant) {
        let Some(lane) = self.end_flight(node, token) else { return };
        let Some(known) = self.nodes.get_mut(&node) else { return };
        let taken = match lane {
            Lane::Session => known.handle_answer(&answer, now),
            Lane::Late => known.late.handle_answer(&answer),
        };
        if let Err(code) = taken {
            return self.handle_refusal(node, lane, code, now);
        }
        self.hints.endpoints.extend(answer.endpoints.iter().filter_map(endpoint));
        for partition in answer.partitions {
            self.handle_answer(node, lane, partition, now);
        }
    }

    /// Takes note that a fetch is not answered: what the broker's session knows is not known here
    /// any more. The link waits before it connects again.
    pub fn handle_fetch_failure(&mut self, node: NodeId, token: u64, now: Instant) {
        if let Some(lane) = self.end_flight(node, token) {
            self.handle_lost(node, lane, now);
        }
    }

    /// Takes note that the broker was never asked what it was to be asked.
    pub fn handle_disconnected(&mut self, node: NodeId, lane: Lane, now: Instant) {
        self.wants_refresh |= lane == Lane::Session;
        self.handle_lost(node, lane, now);
    }

    /// A nearer replica that does not answer may be dead, which only the leader can tell: what was
    /// read there is read from the leader again, until that one prefers another.
    fn handle_lost(&mut self, node: NodeId, lane: Lane, now: Instant) {
        let Some(lost) = self.nodes.get_mut(&node) else { return };
        match lane {
            Lane::Session => lost.session.restart(),
            Lane::Late => lost.late.give_up(),
        }
        for slot in lost.preferred.clone() {
            self.forget_preferred(slot);
            self.settle(slot, now);
        }
    }

    /// Which request it is that is not under way any more.
    fn end_flight(&mut self, node: NodeId, token: u64) -> Option<Lane> {
        let node = self.nodes.get_mut(&node)?;
        let mine = |flight: &mut InFlight| flight.token == token;
        let (lane, flight) = if let Some(flight) = node.in_flight.take_if(mine) {
            // The next one knows of those that came late.
            node.late.give_up();
            (Lane::Session, flight)
        } else {
            (Lane::Late, node.late.in_flight.take_if(mine)?)
        };
        self.reserved = self.reserved.saturating_sub(flight.reserved);
        self.wake_starved();
        Some(lane)
    }

    /// The whole request was refused: the session is gone, or this broker is not well.
    fn handle_refusal(&mut self, node: NodeId, lane: Lane, code: ErrorCode, now: Instant) {
        let random = self.draw();
        let backoff = self.config.retry_backoff;
        let Some(node) = self.nodes.get_mut(&node) else { return };
        tracing::debug!(%code, "the whole fetch was refused");
        if lane == Lane::Late {
            return node.late.give_up();
        }
        node.refusals = node.refusals.saturating_add(1);
        // A lost session is made anew at once; if that is lost too, there is more to it.
        if node.refusals > 1 {
            node.retry_at = Some(now + ottla_core::retry::jitter(backoff, random));
        }
        if classify(code) == Outcome::Refresh {
            self.wants_refresh = true;
        }
    }

    fn handle_answer(&mut self, node: NodeId, lane: Lane, answer: PartitionAnswer, now: Instant) {
        let Some(slot) = self.slot_of(&answer) else { return };
        self.learn_leader(slot, &answer);
        if !self.is_current(node, lane, slot) {
            return;
        }
        let outcome = classify(answer.code);
        if matches!(outcome, Outcome::Wait | Outcome::Refresh) {
            self.warn_retried(node, slot, answer.code, now);
        }
        match outcome {
            Outcome::Data => self.handle_data(node, slot, answer, now),
            Outcome::OutOfRange => self.handle_out_of_range(node, slot, now),
            Outcome::Wait => self.back_off(slot, now),
            Outcome::Refresh => {
                self.wants_refresh = true;
                self.forget_preferred(slot);
                self.back_off(slot, now);
            }
            Outcome::Report => {
                let Some(partition) = self.get(slot) else { return };
                let partition = partition.name.clone();
                self.report(FetchError::Refused { partition, code: answer.code });
                self.back_off(slot, now);
            }
        }
    }

    /// Tells of a partition that is asked for again, now and then.
    fn warn_retried(&mut self, node: NodeId, slot: Slot, code: ErrorCode, now: Instant) {
        let count = self.nodes.get_mut(&node).and_then(|node| node.warned.count(now));
        let Some((count, partition)) = count.zip(self.name(slot)) else { return };
        tracing::warn!(%node, %partition, %code, count, "a fetch failed and is sent again");
    }

    fn slot_of(&self, answer: &PartitionAnswer) -> Option<Slot> {
        let topic = match &answer.topic {
            TopicKey::Name(name) => name,
            TopicKey::Id(id) => self.names.get(id)?,
        };
        self.slot(topic, answer.partition)
    }

    /// Whether an answer from `node` is to what is wanted now: nothing has moved the partition since
    /// it was asked for, nor has another answer said that nothing comes there.
    fn is_current(&self, node: NodeId, lane: Lane, slot: Slot) -> bool {
        let asked = self.nodes.get(&node).and_then(|node| match lane {
            Lane::Session => node.session.known(slot),
            Lane::Late => node.late.asked(slot),
        });
        let Some((partition, asked)) = self.get(slot).zip(asked) else { return false };
        let Life::Placed(place) = partition.life else { return false };
        let is_same = partition.generation == asked.generation;
        is_same && place.fetched.offset == asked.offset && !partition.is_ended()
    }

    fn learn_leader(&mut self, slot: Slot, answer: &PartitionAnswer) {
        let Some((leader, Some(epoch))) = answer.leader else { return };
        let Some(partition) = self.get(slot) else { return };
        let (partition, topic_id) = (partition.name.clone(), partition.topic_id);
        self.hints.leaders.push(LeaderHint { partition, topic_id, leader, epoch });
    }

    fn handle_data(&mut self, node: NodeId, slot: Slot, answer: PartitionAnswer, now: Instant) {
        let until = Deadline::after(now, self.config.preferred_for).instant();
        let Some(partition) = self.get_mut(slot) else { return };
        partition.backoff.reset();
        let bounds = &mut partition.bounds;
        bounds.log_start = answer.log_start_offset.or(bounds.log_start);
        bounds.high_watermark = answer.high_watermark.or(bounds.high_watermark);
        bounds.last_stable = answer.last_stable_offset.or(bounds.last_stable);
        if let Some(replica) = answer.preferred_replica.filter(|replica| *replica != node) {
            partition.preferred = Some(Preferred { node: replica, until });
        } else if answer.diverging.is_some() {
            return self.truncate(slot, answer.diverging, now);
        } else {
            self.queue(slot, answer);
        }
        self.settle(slot, now);
    }

    /// Puts what was fetched behind what was fetched before.
    fn queue(&mut self, slot: Slot, answer: PartitionAnswer) {
        let Some(partition) = self.partitions.get_mut(slot.0).and_then(Option::as_deref_mut) else {
            return;
        };
        let Life::Placed(place) = &mut partition.life else { return };
        let PartitionAnswer { batches, next, fault, cut_off, .. } = answer;
        let mut bytes = 0;
        // A fetch from within a batch brings all of it, and a broker may begin earlier still.
        let from = place.fetched.offset;
        for batch in batches.into_iter().filter(|batch| batch.batch.last_offset() >= from) {
            bytes += batch.len();
            partition.queue.push_back(Fetched::Batch(batch));
        }
        partition.queued_bytes += bytes;
        if let Some(next) = next.filter(|next| next.offset > from) {
            place.fetched = next;
            if partition.queue.is_empty() {
                // All of it was markers, aborted, or left empty by compaction.
                place.delivered = next;
                if !partition.streamed {
                    self.passed.insert(slot);
                }
            }
        }
        match (fault, next) {
            (Some(fault), _) => partition.queue.push_back(Fetched::Fault(fault)),
            (None, None) if cut_off > 0 => partition.grow(cut_off),
            (None, _) => {}
        }
        self.buffered += bytes;
    }

    fn handle_out_of_range(&mut self, node: NodeId, slot: Slot, now: Instant) {
        let Some(partition) = self.get_mut(slot) else { return };
        if partition.leader != Some(node) {
            // A follower may be behind: only the leader can tell.
            partition.preferred = None;
        } else if partition.queue.is_empty() {
            return self.reset(slot, ResetCause::OutOfRange, now);
        } else {
            // What was fetched is delivered first.
            partition.queue.push_back(Fetched::OutOfRange);
        }
        self.settle(slot, now);
    }

    fn forget_preferred(&mut self, slot: Slot) {
        if let Some(partition) = self.get_mut(slot) {
            partition.preferred = None;
        }
    }
}

impl Node {
    fn handle_answer(&mut self, answer: &FetchAnswer, now: Instant) -> Result<(), ErrorCode> {
        self.session.handle_answer(answer.code, answer.session_id)?;
        self.refusals = 0;
        if answer.partitions.iter().all(|partition| partition.next.is_none()) {
            self.handle_nothing(now);
        }
        Ok(())
    }
}

impl super::partition::Partition {
    /// Asks for more at once: what came was too little for a single batch. Brokers of today send a
    /// first batch whole whatever the limit (KIP-74).
    fn grow(&mut self, cut_off: usize) {
        const MOST: u32 = i32::MAX.unsigned_abs();
        if self.max_bytes >= MOST {
            let fault = BatchFault::Truncated { needed: MOST as usize, present: cut_off };
            self.queue.push_back(Fetched::Fault(RecordsError::Batch { at: 0, fault }));
        }
        self.max_bytes = self.max_bytes.max(1).saturating_mul(2).min(MOST);
    }

    /// Fetches again what was fetched and is not delivered. A leader that is to be asked, or is being
    /// asked, where that parts from its log is asked about what was delivered instead: its answer to
    /// the other would be stale.
    pub(super) fn rewind(&mut self) {
        let Life::Placed(Place { delivered, check, .. }) = self.life else { return };
        let check = match check {
            Check::Sound => Check::Sound,
            Check::Due | Check::Asked => self.check_of(delivered),
        };
        self.life = Life::Placed(Place { check, ..Place::at(delivered) });
    }
}

fn endpoint(told: &NodeEndpoint) -> Option<BrokerInfo> {
    Some(BrokerInfo {
        id: NodeId::from_wire(told.node_id)?,
        address: HostPort::new(&*told.host, u16::try_from(told.port).ok()?),
        rack: told.rack.as_deref().map(Into::into),
    })
}
