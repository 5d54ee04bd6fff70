//! What only leaders know: where a partition begins and ends, and where epochs end.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ottla_core::types::{LeaderEpoch, NodeId, TopicName};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::{
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

use super::partition::{Check, Life, Place, Seeking, Target};
use super::{FetchEvent, Fetcher, Generation, Outcome, Slot, classify};
use crate::config::IsolationLevel;
use crate::error::FetchError;
use crate::machine::offsets::{OffsetAsk, list_offsets, rows};
use crate::machine::{OffsetSpec, Position};

/// Something to be asked of one leader, for some of its partitions. Nothing else is asked for them
/// before it is answered or has failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// The leader.
    pub node: NodeId,
    /// What is asked.
    pub kind: LookupKind,
    /// For which partitions, by topic.
    pub items: Vec<LookupItem>,
}

/// What is asked of a leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LookupKind {
    /// Offsets by time: `ListOffsets`.
    Offsets,
    /// Where an epoch ends: `OffsetForLeaderEpoch` (KIP-320).
    Epochs,
}

/// One partition of a [`Lookup`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupItem {
    slot: Slot,
    generation: Generation,
    topic: TopicName,
    partition: i32,
    leader_epoch: Option<LeaderEpoch>,
    /// A timestamp or one of its sentinels; or an epoch.
    asked: i64,
}

/// What `ListOffsets` says of one partition; no position where no record is that young.
pub type Found = Result<Option<Position>, ErrorCode>;

/// What `OffsetForLeaderEpoch` says of one partition; no position where the leader cannot tell.
pub type EpochEnd = Result<Option<Position>, ErrorCode>;

impl Fetcher {
    /// What is to be asked of leaders now. `wall_clock_ms` is for what lies so and so long ago, in
    /// milliseconds since 1970.
    pub fn poll_lookups(&mut self, wall_clock_ms: i64) -> Vec<Lookup> {
        let mut lookups: BTreeMap<(NodeId, LookupKind), Vec<LookupItem>> = BTreeMap::new();
        let due: BTreeSet<Slot> = std::mem::take(&mut self.lookups);
        for slot in due {
            let Some(partition) = self.get_mut(slot) else { continue };
            // Without a leader it waits for one: who leads next settles it.
            let Some(leader) = partition.leader else { continue };
            let (kind, asked) = match &mut partition.life {
                Life::Seeking(seeking) if !seeking.asked => {
                    seeking.asked = true;
                    (LookupKind::Offsets, seeking.target.to_wire(wall_clock_ms))
                }
                Life::Placed(Place { fetched, check: check @ Check::Due, .. }) => {
                    *check = Check::Asked;
                    let epoch = LeaderEpoch::to_wire(fetched.leader_epoch);
                    (LookupKind::Epochs, i64::from(epoch))
                }
                Life::Unplaced { .. } | Life::Seeking(_) | Life::Placed(_) | Life::Halted(_) => {
                    continue;
                }
            };
            lookups.entry((leader, kind)).or_default().push(LookupItem {
                slot,
                generation: partition.generation,
                topic: partition.name.topic.clone(),
                partition: partition.name.partition,
                leader_epoch: partition.leader_epoch,
                asked,
            });
        }
        let lookup = |((node, kind), items)| Lookup { node, kind, items };
        lookups.into_iter().map(lookup).collect()
    }

    /// Whether something is to be asked of leaders.
    #[must_use]
    pub fn has_lookups(&self) -> bool {
        !self.lookups.is_empty()
    }

    /// Takes the answer to one partition of a lookup of offsets.
    pub fn handle_offset(&mut self, item: &LookupItem, found: Found, now: Instant) {
        let Some(Life::Seeking(seeking)) = self.life(item) else { return };
        match found {
            Ok(Some(position)) => self.place(item.slot, seeking, position, now),
            // A leader that does not know its own end will.
            Ok(None) if seeking.target == Target::Spec(OffsetSpec::Latest) => {
                self.ask_again(item.slot, now);
            }
            Ok(None) => self.seek_end(item.slot, seeking, now),
            Err(code) => self.handle_lookup_error(item.slot, code, now),
        }
    }

    /// Takes the answer to one partition of a lookup of epochs.
    pub fn handle_epoch_end(&mut self, item: &LookupItem, end: EpochEnd, now: Instant) {
        let Some(Life::Placed(Place { check: Check::Asked, .. })) = self.life(item) else { return };
        match end {
            Ok(end) => self.truncate(item.slot, end, now),
            Err(code) => self.handle_lookup_error(item.slot, code, now),
        }
    }

    /// Takes note that a lookup was not answered: it is asked again, with backoff, and perhaps of
    /// another leader.
    pub fn handle_lookup_failure(&mut self, lookup: &Lookup, now: Instant) {
        self.wants_refresh = true;
        for item in &lookup.items {
            if self.life(item).is_some() {
                self.ask_again(item.slot, now);
            }
        }
    }

    /// Takes note that the broker is too old for a lookup of epochs: positions are trusted.
    pub fn handle_epochs_unsupported(&mut self, lookup: &Lookup, now: Instant) {
        for item in &lookup.items {
            if self.life(item).is_some() {
                self.trust(item.slot, now);
            }
        }
    }

    /// Where the partition of an item is in its life, unless something happened to it since it was
    /// asked.
    fn life(&self, item: &LookupItem) -> Option<Life> {
        let partition = self.get(item.slot)?;
        (partition.generation == item.generation).then_some(partition.life)
    }

    fn place(&mut self, slot: Slot, seeking: Seeking, position: Position, now: Instant) {
        self.change(slot, now, |partition| partition.life = Life::Placed(Place::at(position)));
        let Some(partition) = self.get(slot) else { return };
        if let Some(reset) = seeking.reset {
            let (partition, to) = (partition.name.clone(), position.offset);
            self.note(FetchEvent::Reset { partition, from: reset.from, to, cause: reset.cause });
        }
    }

    /// No record is young enough: the end it is.
    fn seek_end(&mut self, slot: Slot, seeking: Seeking, now: Instant) {
        let target = Target::Spec(OffsetSpec::Latest);
        let seeking = Seeking { target, asked: false, ..seeking };
        self.change(slot, now, |partition| partition.life = Life::Seeking(seeking));
    }

    fn handle_lookup_error(&mut self, slot: Slot, code: ErrorCode, now: Instant) {
        match classify(code) {
            Outcome::Wait => {}
            Outcome::Data | Outcome::Refresh | Outcome::OutOfRange => self.wants_refresh = true,
            Outcome::Report => {
                let Some(partition) = self.get(slot) else { return };
                let partition = partition.name.clone();
                self.report(FetchError::Refused { partition, code });
            }
        }
        self.ask_again(slot, now);
    }

    fn ask_again(&mut self, slot: Slot, now: Instant) {
        let Some(partition) = self.get_mut(slot) else { return };
        match &mut partition.life {
            Life::Seeking(seeking) => seeking.asked = false,
            Life::Placed(place) => place.check = Check::Due,
            Life::Unplaced { .. } | Life::Halted(_) => return,
        }
        self.back_off(slot, now);
    }
}

impl Target {
    fn to_wire(self, wall_clock_ms: i64) -> i64 {
        match self {
            Self::Spec(spec) => spec.to_wire(),
            Self::Ago(age) => {
                let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
                OffsetSpec::Timestamp(wall_clock_ms.saturating_sub(age)).to_wire()
            }
        }
    }
}

impl Lookup {
    /// The request for offsets.
    #[must_use]
    pub fn list_offsets(&self, isolation: IsolationLevel) -> ListOffsetsRequest {
        let asks = self.items.iter().map(|item| OffsetAsk {
            topic: &item.topic,
            partition: item.partition,
            leader_epoch: item.leader_epoch,
            timestamp: item.asked,
        });
        list_offsets(asks, isolation)
    }

    /// The request for the ends of epochs.
    #[must_use]
    pub fn offset_for_leader_epoch(&self) -> OffsetForLeaderEpochRequest {
        let mut topics: Vec<OffsetForLeaderTopic> = Vec::new();
        for item in &self.items {
            let partition = OffsetForLeaderPartition {
                partition: item.partition,
                current_leader_epoch: LeaderEpoch::to_wire(item.leader_epoch),
                leader_epoch: i32::try_from(item.asked).unwrap_or(-1),
                ..OffsetForLeaderPartition::default()
            };
            match topics.last_mut().filter(|topic| *topic.topic == *item.topic) {
                Some(topic) => topic.partitions.push(partition),
                None => topics.push(OffsetForLeaderTopic {
                    topic: item.topic.to_wire(),
                    partitions: vec![partition],
                    ..OffsetForLeaderTopic::default()
                }),
            }
        }
        OffsetForLeaderEpochRequest { replica_id: -1, topics, ..Default::default() }
    }

    /// What an answer says of each item, in their order. Of what it leaves out, nobody knows.
    #[must_use]
    pub fn read_offsets(&self, answer: &ListOffsetsResponse) -> Vec<Found> {
        let mut found = BTreeMap::new();
        for (topic, row) in rows(answer) {
            let position = Position {
                offset: row.offset,
                leader_epoch: LeaderEpoch::from_wire(row.leader_epoch),
            };
            let code = ErrorCode::from_code(row.error_code);
            found.insert((topic, row.partition_index), read(code, position));
        }
        self.read(&found)
    }

    /// As [`read_offsets`](Self::read_offsets), for the ends of epochs.
    #[must_use]
    pub fn read_epoch_ends(&self, answer: &OffsetForLeaderEpochResponse) -> Vec<EpochEnd> {
        let mut found = BTreeMap::new();
        for topic in &answer.topics {
            for row in &topic.partitions {
                let position = Position {
                    offset: row.end_offset,
                    leader_epoch: LeaderEpoch::from_wire(row.leader_epoch),
                };
                let code = ErrorCode::from_code(row.error_code);
                found.insert((&*topic.topic, row.partition), read(code, position));
            }
        }
        self.read(&found)
    }

    fn read(&self, found: &BTreeMap<(&str, i32), Found>) -> Vec<Found> {
        let of = |item: &LookupItem| {
            let row = found.get(&(item.topic.as_str(), item.partition));
            row.copied().unwrap_or(Err(ErrorCode::UnknownServerError))
        };
        self.items.iter().map(of).collect()
    }
}

fn read(code: ErrorCode, position: Position) -> Found {
    if code.is_error() { Err(code) } else { Ok((position.offset >= 0).then_some(position)) }
}
