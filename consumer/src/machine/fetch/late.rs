//! Partitions that come while a request waits at the broker.
//!
//! A fetch that finds nothing waits for `fetch.max.wait.ms`, and a broker reads nothing behind it on
//! its connection. A partition that is assigned, sought or resumed meanwhile would wait as long. So
//! it is asked for over a second connection and without a session, until the request that waits is
//! answered and the next one knows of it. Both may bring the same records: the second to come is
//! stale.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::types::NodeId;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::FetchRequest;

use super::node::{InFlight, Node};
use super::session::ask_alone;
use super::{FetchAnswer, Fetcher, Lane, Slot, Want};

/// What the request that waits at a broker does not know of.
#[derive(Debug, Default)]
pub(super) struct Late {
    /// The partitions.
    slots: BTreeSet<Slot>,
    /// Whether one of them was never asked for: it shall not wait for the others.
    fresh: bool,
    /// What the last request asked for.
    asked: BTreeMap<Slot, Arc<Want>>,
    pub(super) in_flight: Option<InFlight>,
}

impl Late {
    pub(super) fn put(&mut self, slot: Slot) {
        self.slots.insert(slot);
        self.fresh = true;
    }

    pub(super) fn drop(&mut self, slot: Slot) {
        self.slots.remove(&slot);
    }

    /// Leaves all to the requests of the session.
    pub(super) fn give_up(&mut self) {
        self.slots.clear();
    }

    /// What the last request asked of a partition.
    pub(super) fn asked(&self, slot: Slot) -> Option<&Want> {
        self.asked.get(&slot).map(|want| &**want)
    }

    pub(super) fn handle_answer(&self, answer: &FetchAnswer) -> Result<(), ErrorCode> {
        if answer.code.is_error() { Err(answer.code) } else { Ok(()) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty() && self.in_flight.is_none()
    }
}

impl Node {
    /// Whether its request waits for records that may come.
    pub(super) fn is_waiting(&self, now: Instant) -> bool {
        self.waits_for(now).is_some()
    }

    /// How much longer the request waits that is under way.
    fn waits_for(&self, now: Instant) -> Option<Duration> {
        let left = self.in_flight?.until.saturating_duration_since(now);
        (left >= Duration::from_millis(1)).then_some(left)
    }

    /// How long the broker may wait with its answer about latecomers; `None` when it is not to be
    /// asked about them.
    fn may_ask_late(&self, now: Instant) -> Option<Duration> {
        if self.late.slots.is_empty() || self.late.in_flight.is_some() {
            return None;
        }
        let left = self.waits_for(now)?;
        Some(if self.late.fresh { Duration::ZERO } else { left.min(LATE_WAIT) })
    }
}

impl Fetcher {
    /// The next fetch for those that have come while another waits.
    pub(super) fn poll_late(&mut self, node: NodeId, now: Instant) -> Option<(u64, FetchRequest)> {
        let known = self.nodes.get(&node)?;
        let max_wait = known.may_ask_late(now)?;
        let reserved = self.reserve(known.late.slots.len(), now)?;
        let (token, mut request) = self.fetch_request(max_wait, reserved);
        let node = self.nodes.get_mut(&node)?;
        let late = &mut node.late;
        let wanted = |slot: &Slot| node.wants.get(slot).map(|want| (*slot, want.clone()));
        late.asked = late.slots.iter().filter_map(wanted).collect();
        late.fresh = false;
        late.in_flight = Some(InFlight::new(token, reserved, now, max_wait));
        ask_alone(&mut request, late.asked.values().map(|want| &**want));
        Some((token, request))
    }

    /// Puts a partition that is wanted anew where it is asked for soonest.
    pub(super) fn wake(&mut self, node: NodeId, slot: Slot, now: Instant) {
        let Some(known) = self.nodes.get_mut(&node) else { return };
        if known.in_flight.is_none() {
            self.wakes.insert((node, Lane::Session));
        } else if known.is_waiting(now) {
            known.late.put(slot);
            self.wakes.insert((node, Lane::Late));
        }
    }
}

/// How long latecomers that have nothing to bring keep others from being asked for.
const LATE_WAIT: Duration = Duration::from_millis(100);
