//! Offsets that only leaders know, for partitions that need not be assigned.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use ottla_core::cluster::ClusterSnapshot;
use ottla_core::retry::Backoff;
use ottla_core::types::{LeaderEpoch, NodeId, TopicName, TopicPartition};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic,
};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::OffsetSpec;
use super::fetch::{Outcome, classify};
use crate::config::IsolationLevel;

/// A place in a partition's log, and when the record there was written.
///
/// # Kafka
///
/// Java's `OffsetAndTimestamp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct OffsetAndTimestamp {
    /// The offset, never negative.
    pub offset: i64,
    /// The record's timestamp, in milliseconds since 1970; `None` where it was not a time that was
    /// asked for.
    pub timestamp: Option<i64>,
    /// The epoch of the leader that appended the record; `None` where it is not known.
    pub leader_epoch: Option<LeaderEpoch>,
}

/// What was asked for, of each partition; `None` where no record is that young.
pub type FoundOffsets = BTreeMap<TopicPartition, Option<OffsetAndTimestamp>>;

/// Asks the leaders of some partitions for offsets until all have answered: what fails is asked
/// again, of whoever leads by then.
#[derive(Debug)]
pub struct OffsetQuery {
    wanted: BTreeMap<TopicPartition, Wanted>,
    found: FoundOffsets,
    isolation: IsolationLevel,
    backoff: Backoff,
    /// When what failed is asked again.
    retry_at: Option<Instant>,
    wants_refresh: bool,
}

/// An offset that is not known yet.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    spec: OffsetSpec,
    /// Who was asked and has not answered.
    asked: Option<NodeId>,
    /// What was wrong the last time.
    last: Option<ErrorCode>,
}

/// A request for one leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetCall {
    /// The leader.
    pub node: NodeId,
    /// What it is asked.
    pub request: ListOffsetsRequest,
}

/// A leader's refusal, which waiting does not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OffsetRefusal {
    /// Of which partition.
    pub partition: TopicPartition,
    /// What it said.
    pub code: ErrorCode,
}

impl OffsetQuery {
    /// Nothing is asked yet. `backoff` decides how soon what fails is asked again.
    #[must_use]
    pub fn new(
        wanted: BTreeMap<TopicPartition, OffsetSpec>,
        isolation: IsolationLevel,
        backoff: Backoff,
    ) -> Self {
        let wanted = wanted
            .into_iter()
            .map(|(partition, spec)| (partition, Wanted { spec, asked: None, last: None }));
        Self {
            wanted: wanted.collect(),
            found: FoundOffsets::new(),
            isolation,
            backoff,
            retry_at: None,
            wants_refresh: false,
        }
    }

    /// What is to be asked now: each partition of its leader, and again where the leader is another
    /// than the one that was asked.
    pub fn poll_calls(&mut self, cluster: &ClusterSnapshot, now: Instant) -> Vec<OffsetCall> {
        let waits = self.retry_at.is_some_and(|at| now < at);
        let mut asks: BTreeMap<NodeId, Vec<OffsetAsk<'_>>> = BTreeMap::new();
        for (partition, wanted) in &mut self.wanted {
            let known = cluster.partition(&partition.topic, partition.partition);
            let Some((known, leader)) = known.and_then(|known| Some((known, known.leader?))) else {
                self.wants_refresh |= !waits;
                continue;
            };
            let moved = wanted.asked.is_some_and(|asked| asked != leader);
            if !moved && (waits || wanted.asked.is_some()) {
                continue;
            }
            wanted.asked = Some(leader);
            asks.entry(leader).or_default().push(OffsetAsk {
                topic: &partition.topic,
                partition: partition.partition,
                leader_epoch: known.leader_epoch,
                timestamp: wanted.spec.to_wire(),
            });
        }
        if !waits {
            self.retry_at = None;
        }
        let call = |(node, asks): (NodeId, Vec<OffsetAsk<'_>>)| OffsetCall {
            node,
            request: list_offsets(asks.into_iter(), self.isolation),
        };
        asks.into_iter().map(call).collect()
    }

    /// Takes a leader's answer.
    ///
    /// # Errors
    ///
    /// [`OffsetRefusal`], for the first partition that it refuses for good.
    pub fn handle_answer(
        &mut self,
        node: NodeId,
        answer: &ListOffsetsResponse,
        now: Instant,
        random: u64,
    ) -> Result<(), OffsetRefusal> {
        for (topic, row) in rows(answer) {
            let partition = TopicPartition::new(topic, row.partition_index);
            let Some(wanted) = self.wanted.get_mut(&partition) else { continue };
            let code = ErrorCode::from_code(row.error_code);
            match classify(code) {
                Outcome::Data => {
                    self.wanted.remove(&partition);
                    self.found.insert(partition, found(row));
                }
                Outcome::Report => return Err(OffsetRefusal { partition, code }),
                Outcome::Refresh | Outcome::OutOfRange => {
                    self.wants_refresh = true;
                    wanted.last = Some(code);
                }
                Outcome::Wait => wanted.last = Some(code),
            }
        }
        // What it did not answer is asked again like what it could not.
        self.ask_again(node, now, random);
        Ok(())
    }

    /// Takes note that a leader did not answer.
    pub fn handle_failure(&mut self, node: NodeId, now: Instant, random: u64) {
        self.wants_refresh = true;
        self.ask_again(node, now, random);
    }

    /// When [`poll_calls`](Self::poll_calls) has something that it has not now.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Whether metadata is stale; says so once.
    pub fn poll_refresh(&mut self) -> bool {
        std::mem::take(&mut self.wants_refresh)
    }

    /// All that was asked for, once all is known.
    pub fn poll_found(&mut self) -> Option<FoundOffsets> {
        self.wanted.is_empty().then(|| std::mem::take(&mut self.found))
    }

    /// What was said last of a partition that is not known, if anything was.
    #[must_use]
    pub fn last_refusal(&self) -> Option<OffsetRefusal> {
        self.wanted.iter().find_map(|(partition, wanted)| {
            Some(OffsetRefusal { partition: partition.clone(), code: wanted.last? })
        })
    }

    /// The topics that are asked about.
    pub fn topics(&self) -> BTreeSet<TopicName> {
        self.wanted.keys().map(|partition| partition.topic.clone()).collect()
    }

    fn ask_again(&mut self, node: NodeId, now: Instant, random: u64) {
        let mut again = false;
        for wanted in self.wanted.values_mut().filter(|wanted| wanted.asked == Some(node)) {
            wanted.asked = None;
            again = true;
        }
        if again {
            self.retry_at = Some(now + self.backoff.fail(random));
        }
    }
}

/// What is asked of a leader about one partition.
#[derive(Debug, Clone, Copy)]
pub(super) struct OffsetAsk<'a> {
    pub(super) topic: &'a TopicName,
    pub(super) partition: i32,
    pub(super) leader_epoch: Option<LeaderEpoch>,
    /// A timestamp or one of its sentinels.
    pub(super) timestamp: i64,
}

/// The request for offsets. Partitions of a topic stand together.
pub(super) fn list_offsets<'a>(
    asks: impl Iterator<Item = OffsetAsk<'a>>,
    isolation: IsolationLevel,
) -> ListOffsetsRequest {
    let mut topics: Vec<ListOffsetsTopic> = Vec::new();
    for ask in asks {
        let partition = ListOffsetsPartition {
            partition_index: ask.partition,
            current_leader_epoch: LeaderEpoch::to_wire(ask.leader_epoch),
            timestamp: ask.timestamp,
            ..ListOffsetsPartition::default()
        };
        match topics.last_mut().filter(|topic| *topic.name == **ask.topic) {
            Some(topic) => topic.partitions.push(partition),
            None => topics.push(ListOffsetsTopic {
                name: ask.topic.to_wire(),
                partitions: vec![partition],
                ..ListOffsetsTopic::default()
            }),
        }
    }
    let isolation_level = isolation.to_wire();
    ListOffsetsRequest { replica_id: -1, isolation_level, topics, ..Default::default() }
}

/// What an answer says, partition by partition.
pub(super) fn rows(
    answer: &ListOffsetsResponse,
) -> impl Iterator<Item = (&str, &ListOffsetsPartitionResponse)> {
    let topics = answer.topics.iter();
    topics.flat_map(|topic| topic.partitions.iter().map(|row| (&*topic.name, row)))
}

/// −1 is the wire's "none".
fn found(row: &ListOffsetsPartitionResponse) -> Option<OffsetAndTimestamp> {
    (row.offset >= 0).then(|| OffsetAndTimestamp {
        offset: row.offset,
        timestamp: (row.timestamp >= 0).then_some(row.timestamp),
        leader_epoch: LeaderEpoch::from_wire(row.leader_epoch),
    })
}
