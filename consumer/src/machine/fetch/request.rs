//! What is asked of a broker.

use std::time::{Duration, Instant};

use ottla_core::types::NodeId;
use ottla_protocol::messages::FetchRequest;

use super::node::{InFlight, Node};
use super::{Fetcher, Lane, Slot, Wording};

impl Fetcher {
    /// The next fetch from `node`, and the number that its answer is to be given back with; `None`
    /// while there is nothing to ask, one is under way, or there is no room for an answer.
    pub fn poll_fetch(
        &mut self,
        node: NodeId,
        lane: Lane,
        wording: Wording,
        now: Instant,
    ) -> Option<(u64, FetchRequest)> {
        match lane {
            Lane::Session => self.poll_session(node, wording, now),
            Lane::Late => self.poll_late(node, now),
        }
    }

    fn poll_session(
        &mut self,
        node: NodeId,
        wording: Wording,
        now: Instant,
    ) -> Option<(u64, FetchRequest)> {
        self.expire_preferred(node, now);
        let known = self.nodes.get_mut(&node)?;
        let max_wait = known.may_ask(self.config.max_wait, now)?;
        let wanted = known.wants.len();
        let Some(reserved) = self.reserve(wanted, now) else {
            self.starved.insert(node);
            return None;
        };
        let (token, mut request) = self.fetch_request(max_wait, reserved);
        let node = self.nodes.get_mut(&node)?;
        node.in_flight = Some(InFlight::new(token, reserved, now, max_wait));
        node.ask(&mut request, wording);
        Some((token, request))
    }

    /// A request for at most `reserved` bytes, with no partition in it yet.
    pub(super) fn fetch_request(
        &mut self,
        max_wait: Duration,
        reserved: usize,
    ) -> (u64, FetchRequest) {
        self.last_token += 1;
        self.reserved += reserved;
        let request = FetchRequest {
            max_wait_ms: to_i32(max_wait.as_millis()),
            min_bytes: if max_wait.is_zero() { 0 } else { to_i32(self.config.min_bytes) },
            max_bytes: to_i32(reserved),
            isolation_level: self.config.isolation.to_wire(),
            rack_id: self.config.rack.clone(),
            ..FetchRequest::default()
        };
        (self.last_token, request)
    }

    /// Whether topics must go by their names at `node`, because the id of one is not known.
    #[must_use]
    pub fn needs_names(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(|node| !node.nameless.is_empty())
    }

    /// Whether `node` has anything to be asked, or is being asked.
    #[must_use]
    pub fn wants_connection(&self, node: NodeId, lane: Lane) -> bool {
        self.nodes.get(&node).is_some_and(|node| match lane {
            Lane::Session => node.in_flight.is_some() || !node.wants.is_empty(),
            Lane::Late => !node.late.is_empty(),
        })
    }

    /// When [`poll_fetch`](Self::poll_fetch) may have something that it has not now.
    #[must_use]
    pub fn next_fetch(&self, node: NodeId, lane: Lane) -> Option<Instant> {
        if lane == Lane::Late {
            return None;
        }
        let node = self.nodes.get(&node).filter(|node| node.in_flight.is_none())?;
        let held = node.held_until.filter(|_| !node.full.is_empty());
        [held, node.retry_at].into_iter().flatten().max().filter(|_| !node.wants.is_empty())
    }

    /// Notes that what [`next_fetch`](Self::next_fetch) waited for has come.
    pub fn handle_node_timeout(&mut self, node: NodeId, now: Instant) {
        if let Some(node) = self.nodes.get_mut(&node) {
            node.held_until = node.held_until.filter(|until| now < *until);
            node.retry_at = node.retry_at.filter(|until| now < *until);
        }
    }

    /// The last request of each session. Brokers know sessions by their numbers, so it need not go
    /// over the connection on which another may wait.
    pub fn close_sessions(&mut self) -> Vec<(NodeId, FetchRequest)> {
        let nodes = self.nodes.iter_mut();
        nodes.filter_map(|(id, node)| Some((*id, node.session.close()?))).collect()
    }

    /// Goes back to the leader where a nearer replica's time is over.
    fn expire_preferred(&mut self, node: NodeId, now: Instant) {
        let Some(read_here) = self.nodes.get(&node).map(|node| &node.preferred) else { return };
        if read_here.is_empty() {
            return;
        }
        for slot in read_here.clone() {
            self.settle(slot, now);
        }
    }

    /// Room for an answer from one broker about `wanted` partitions: its share of what is free. `None`
    /// when that is not even an answer from one partition.
    pub(super) fn reserve(&mut self, wanted: usize, now: Instant) -> Option<usize> {
        let active = self.nodes.values().filter(|node| !node.wants.is_empty()).count().max(1);
        let wanted = wanted.saturating_mul(self.config.max_partition_bytes as usize);
        let share = self.config.buffer / active;
        let most = wanted.min(self.config.max_bytes as usize).min(share).max(1);
        let least = most.min(self.config.max_partition_bytes as usize);
        if self.free_bytes() < least {
            self.drop_stuck(now);
        }
        let room = self.free_bytes().min(most);
        (room >= least || self.buffered + self.reserved == 0).then_some(room.max(1))
    }

    fn free_bytes(&self) -> usize {
        self.config.buffer.saturating_sub(self.buffered + self.reserved)
    }

    /// Drops what nobody may take for now, so that the others do not wait for it: of partitions that
    /// are paused, or whose leader has not said yet what of it is still there. It is fetched again
    /// when they go on.
    fn drop_stuck(&mut self, now: Instant) {
        let is_stuck = |slot: &Slot| {
            self.get(*slot).is_some_and(|it| it.queued_bytes > 0 && !it.is_deliverable())
        };
        let stuck: Vec<Slot> = (0..self.partitions.len()).map(Slot).filter(is_stuck).collect();
        for slot in stuck {
            self.drop_undelivered(slot, now);
        }
    }

    /// Drops what a partition brought and is not delivered: it is fetched again.
    pub(super) fn drop_undelivered(&mut self, slot: Slot, now: Instant) {
        let generation = self.next_generation();
        let Some(partition) = self.get_mut(slot) else { return };
        let dropped = partition.drop_fetched();
        partition.rewind();
        partition.generation = generation;
        self.release(dropped);
        self.settle(slot, now);
    }
}

impl Node {
    /// How long the broker may wait with its answer; `None` when it is not to be asked now.
    ///
    /// While a partition has brought enough and not all of it is delivered, the others are asked only
    /// for what is there: their answer could take as long as the broker may wait, and so long the
    /// first one would bring nothing although it could.
    fn may_ask(&mut self, max_wait: Duration, now: Instant) -> Option<Duration> {
        let waits = |until: Option<Instant>| until.is_some_and(|until| now < until);
        if self.in_flight.is_some() || self.wants.is_empty() || waits(self.retry_at) {
            return None;
        }
        self.retry_at = None;
        if self.full.is_empty() {
            self.held_until = None;
            return Some(max_wait);
        }
        let held = waits(self.held_until);
        self.held_until = self.held_until.filter(|_| held);
        (!held).then_some(Duration::ZERO)
    }

    /// Takes note that nothing came. While partitions are full, the others are not asked at once:
    /// nobody would wait with the answer.
    pub(super) fn handle_nothing(&mut self, now: Instant) {
        self.held_until = Some(now + HOLD);
    }

    fn ask(&mut self, request: &mut FetchRequest, wording: Wording) {
        let dirty = std::mem::take(&mut self.dirty);
        if !self.session.is_full(wording) {
            let changes = dirty.into_iter().map(|slot| (slot, self.wants.get(&slot)));
            return self.session.ask_changes(request, changes);
        }
        let first = Slot(self.first);
        let turned = self.wants.range(first..).chain(self.wants.range(..first));
        self.session.ask_all(request, turned.map(|(slot, want)| (*slot, want)), wording);
        let after = std::ops::Bound::Excluded(first);
        let next = self.wants.range((after, std::ops::Bound::Unbounded)).next();
        self.first = next.map_or(0, |(slot, _)| slot.0);
    }
}

/// How long other partitions wait, after they have brought nothing, for one that has brought enough.
const HOLD: Duration = Duration::from_millis(100);

fn to_i32(number: impl TryInto<i32>) -> i32 {
    number.try_into().unwrap_or(i32::MAX)
}
