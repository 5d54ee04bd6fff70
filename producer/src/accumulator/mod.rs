//! Where records gather until their broker takes them.
//!
//! Locks, from the outermost: a partition's, then a link's lists, then the budget, the identity and
//! the expiries. None is held for more than microseconds, and nobody is told anything under one.

mod common;
mod link;
mod partition;
mod request;
mod topic;
mod transaction;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use ottla_core::cluster::{ClusterSnapshot, PartitionInfo, TopicInfo};
use ottla_core::error::ErrorCode;
use ottla_core::types::{NodeId, TopicName};
use ottla_protocol::records::{BatchBuilder, BatchHeader};
use parking_lot::{Mutex, RwLock};

pub(crate) use common::Common;
#[cfg(feature = "net")]
pub(crate) use common::{FailureHook, Host};
pub(crate) use link::BrokerLink;
pub(crate) use partition::Partition;
pub(crate) use topic::Topic;
#[cfg(feature = "net")]
pub(crate) use transaction::Enlistment;

use crate::error::{SendError, Trouble};
use crate::machine::budget::Charge;
use crate::machine::delivery::{BatchDone, Delivery};
use crate::machine::queue::{AppendFault, Appended};
use crate::record::RecordParts;

/// Where records gather until their broker takes them: topics, their partitions, and a link for each
/// broker.
#[derive(Debug)]
pub(crate) struct Accumulator {
    pub(crate) common: Arc<Common>,
    topics: RwLock<BTreeMap<TopicName, Arc<Topic>>>,
    links: Mutex<BTreeMap<NodeId, Arc<BrokerLink>>>,
    /// The version of the snapshot that was taken last. Held while one is taken, so that none
    /// overtakes.
    seen: Mutex<u64>,
}

/// What somebody wants to know of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// Nothing: it is not even counted who could ask.
    Nothing,
    /// What becomes of it.
    Ticket,
    /// What becomes of it, and soon: its batch does not linger.
    Soon,
}

/// Why a record was not taken.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no memory now: wait for this many bytes.
    NoRoom(usize),
    /// It cannot be taken.
    Error(SendError),
}

/// What is known of a record that was taken, for whoever wants to know what becomes of it.
#[derive(Debug)]
pub(crate) struct Taken<'a> {
    pub(crate) partition: &'a Arc<Partition>,
    pub(crate) index: u32,
    pub(crate) timestamp: i64,
    pub(crate) done: Option<Arc<BatchDone>>,
}

impl<'a> Taken<'a> {
    #[inline]
    fn new(partition: &'a Arc<Partition>, timestamp: i64, appended: Appended) -> Self {
        let Appended { index, done } = appended;
        Self { partition, index, timestamp, done }
    }

    /// The record's future. A ticket was asked for.
    #[inline]
    pub(crate) fn delivery(self) -> Result<Delivery, SendError> {
        let Self { partition, index, timestamp, done } = self;
        let topic = || SendError::Closed { topic: partition.name().clone() };
        Ok(Delivery::new(done.ok_or_else(topic)?, index, timestamp))
    }
}

impl Accumulator {
    pub(crate) fn new(common: Arc<Common>) -> Self {
        Self { common, topics: RwLock::default(), links: Mutex::default(), seen: Mutex::new(0) }
    }

    /// A topic whose partitions are known.
    pub(crate) fn topic(&self, name: &str) -> Option<Arc<Topic>> {
        self.topics.read().get(name).cloned()
    }

    /// Learns a topic's partitions, if that was not done before. What has become of them since
    /// `info` was true is in the newest snapshot: give that to
    /// [`handle_snapshot`](Self::handle_snapshot) afterwards.
    pub(crate) fn learn_topic(&self, info: &TopicInfo) -> Arc<Topic> {
        let _seen = self.seen.lock();
        let mut topics = self.topics.write();
        if let Some(topic) = topics.get(&info.name) {
            return Arc::clone(topic);
        }
        let number = topics.len();
        let topic = topics
            .entry(info.name.clone())
            .or_insert_with(|| Arc::new(Topic::new(info, number, &self.common)));
        let topic = Arc::clone(topic);
        drop(topics);
        self.update_topic(&topic, info);
        topic
    }

    /// Takes a record: chooses its partition, and encodes it there. `reserved` is memory
    /// that was waited for.
    #[inline]
    pub(crate) fn append<'a>(
        &self,
        topic: &'a Topic,
        parts: &RecordParts<'_>,
        want: Want,
        reserved: &mut Option<Charge>,
    ) -> Result<Taken<'a>, Refusal> {
        let common = &self.common;
        let len_bound = parts.len_bound();
        if BatchHeader::LEN + len_bound > common.config.max_request_size {
            common.check_size(topic.name(), parts).map_err(Refusal::Error)?;
        }
        let partition = topic.choose(common, parts).map_err(Refusal::Error)?;
        let timestamp = parts.timestamp.unwrap_or_else(|| common.host.wall_clock_ms());
        let ticket = want != Want::Nothing;
        if want != Want::Soon
            && let Some(appended) = partition.append_quietly(parts, len_bound, timestamp, ticket)
        {
            return Ok(Taken::new(partition, timestamp, appended));
        }
        self.append_at(partition, parts, len_bound, timestamp, want, reserved)
    }

    /// Takes a record where something may follow from that.
    #[inline(never)]
    fn append_at<'a>(
        &self,
        partition: &'a Arc<Partition>,
        parts: &RecordParts<'_>,
        len_bound: usize,
        timestamp: i64,
        want: Want,
        reserved: &mut Option<Charge>,
    ) -> Result<Taken<'a>, Refusal> {
        let common = &self.common;
        let appended = partition.with(common, |slot, effects| {
            let (now, ticket) = (|| common.host.now(), want != Want::Nothing);
            let queue = &mut slot.queue;
            let appended =
                queue.append(parts, len_bound, timestamp, ticket, reserved, now, effects)?;
            if want == Want::Soon {
                queue.hurry(effects);
            }
            Ok(appended)
        });
        let topic = || partition.name().clone();
        match appended {
            Ok(appended) => Ok(Taken::new(partition, timestamp, appended)),
            Err(AppendFault::Closed) => Err(Refusal::Error(SendError::Closed { topic: topic() })),
            Err(AppendFault::Abandoned) => Err(Refusal::Error(partition.abandonment())),
            Err(AppendFault::NoRoom(bytes)) => Err(Refusal::NoRoom(bytes)),
            Err(AppendFault::Encode(source)) => {
                Err(Refusal::Error(SendError::Encode { topic: topic(), source }))
            }
        }
    }

    /// Lets everything that lingers go.
    pub(crate) fn hurry_all(&self) {
        for topic in self.all_topics() {
            for partition in topic.all() {
                partition.with(&self.common, |slot, effects| slot.queue.hurry(effects));
            }
        }
    }

    /// Lets the partitions of some batches send what lingers.
    pub(crate) fn hurry_batches<'a>(&self, batches: impl Iterator<Item = &'a Arc<BatchDone>>) {
        let places: BTreeSet<_> =
            batches.map(|batch| (batch.topic(), batch.partition_index())).collect();
        for (topic, partition) in places {
            let topic = self.topic(topic);
            if let Some(partition) = topic.as_ref().and_then(|topic| topic.partition(partition)) {
                partition.with(&self.common, |slot, effects| slot.queue.hurry(effects));
            }
        }
    }

    /// Whether records wait for a partition that nobody has led yet.
    pub(crate) fn waits_for_leader(&self) -> bool {
        let waits = |partition: &Arc<Partition>| {
            let slot = partition.slot.lock();
            slot.link.is_none() && !slot.queue.is_empty()
        };
        self.all_topics().iter().any(|topic| topic.all().any(waits))
    }

    /// Lets links look whether memory is short: they pass over the linger then.
    pub(crate) fn wake_links(&self) {
        let links: Vec<_> = self.links.lock().values().cloned().collect();
        for link in links {
            link.wake();
        }
    }

    /// The completions of all that is not settled yet.
    pub(crate) fn pending(&self) -> Vec<Arc<BatchDone>> {
        let mut pending = Vec::new();
        for topic in self.all_topics() {
            for partition in topic.all() {
                partition.slot.lock().queue.collect_pending(&mut pending);
            }
        }
        pending
    }

    /// Gives up on everything that is not settled, and takes nothing any more.
    pub(crate) fn fail_all(&self) {
        self.close();
        for topic in self.all_topics() {
            for partition in topic.all() {
                partition.with(&self.common, |slot, effects| {
                    slot.link = None;
                    slot.queue.close();
                    slot.queue.fail_all(effects, |queue, batch| SendError::ClosedBeforeDelivery {
                        partition: queue.place(),
                        certainty: batch.left_open(),
                    });
                });
            }
        }
        self.links.lock().clear();
    }

    /// Takes no records and no snapshots any more.
    fn close(&self) {
        // A snapshot that is being taken is taken to its end, so that its links are there to be
        // closed; and the topics that it adds partitions to are on the list.
        let _seen = self.seen.lock();
        self.common.close();
    }

    /// Takes note that no producer id is to be had: whatever needs one fails.
    pub(crate) fn fail_identity(&self, code: ErrorCode) {
        for topic in self.all_topics() {
            for partition in topic.all() {
                partition.with(&self.common, |slot, effects| {
                    slot.queue.fail_all(effects, |queue, batch| SendError::NoProducerId {
                        partition: queue.place(),
                        code,
                        certainty: batch.left_open(),
                    });
                });
            }
        }
        // Partitions that wait for it are still on their lists, where nobody would look again.
        self.wake_links();
    }

    /// Gives up on what is too old, and says when to look again.
    pub(crate) fn expire(&self, now: Instant) -> Option<Instant> {
        while let Some(partition) = self.common.expiries.pop_due(now) {
            partition.with(&self.common, |slot, effects| {
                slot.watched = false;
                slot.queue.expire(now, effects);
            });
            // Whether anything was too old or not: younger batches have no entry of their own.
            partition.keep_watch(&self.common);
        }
        self.common.expiries.next()
    }

    /// Follows leaders to where a snapshot says they are.
    pub(crate) fn handle_snapshot(&self, snapshot: &ClusterSnapshot) {
        let mut seen = self.seen.lock();
        if snapshot.version < *seen {
            return;
        }
        *seen = snapshot.version;
        for topic in self.all_topics() {
            if let Some(info) = snapshot.topic(topic.name())
                && topic.is_news(info)
            {
                self.update_topic(&topic, info);
            }
        }
    }

    fn update_topic(&self, topic: &Topic, info: &TopicInfo) {
        if topic.update(info, &self.common) {
            for partition in topic.all() {
                partition.slot.lock().queue.doubt_leader();
            }
        }
        for (partition, info) in topic.all().zip(&info.partitions) {
            self.route(partition, info);
        }
    }

    fn route(&self, partition: &Arc<Partition>, info: &PartitionInfo) {
        if self.common.is_closed() {
            // Nobody would close another link, and the client lives for as long as there is one.
            return;
        }
        if partition.leader() == info.leader && partition.has_link_or_leaderless() {
            return;
        }
        let link = info.leader.map(|node| self.link(node));
        partition.set_leader(info.leader);
        partition.with(&self.common, |slot, effects| match link {
            Some(link) => slot.move_to(partition, link, effects),
            None => slot.queue.note_trouble(Trouble::NoLeader),
        });
    }

    fn link(&self, node: NodeId) -> Arc<BrokerLink> {
        let mut links = self.links.lock();
        if let Some(link) = links.get(&node) {
            return Arc::clone(link);
        }
        let link = Arc::new(BrokerLink::new(node, Arc::clone(&self.common)));
        links.insert(node, Arc::clone(&link));
        drop(links);
        self.common.host.open_link(node, Arc::clone(&link));
        link
    }

    fn all_topics(&self) -> Vec<Arc<Topic>> {
        self.topics.read().values().cloned().collect()
    }
}

impl Common {
    /// Measures a record that may be too large.
    #[cold]
    fn check_size(&self, topic: &TopicName, parts: &RecordParts<'_>) -> Result<(), SendError> {
        let topic = topic.clone();
        let record = match BatchBuilder::new().size_of_next(parts.at(0)) {
            Ok(record) => record,
            Err(source) => return Err(SendError::Encode { topic, source }),
        };
        let (size, limit) = (BatchHeader::LEN + record, self.config.max_request_size);
        if size > limit { Err(SendError::RecordTooLarge { topic, size, limit }) } else { Ok(()) }
    }
}
