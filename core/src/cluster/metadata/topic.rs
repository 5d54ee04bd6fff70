//! What is being done to know one topic, and which answers about it are believed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use ottla_protocol::{ErrorClass, ErrorCode, Uuid};

use super::later;
use crate::cluster::{PartitionInfo, TopicInfo};
use crate::retry::Backoff;
use crate::types::{LeaderEpoch, NodeId, TopicName};

/// What is being done to know one topic.
#[derive(Debug)]
pub(super) struct Tracked {
    /// How many users it has.
    pub(super) uses: usize,
    /// When it lost its last user.
    pub(super) idle_since: Instant,
    /// When it must be asked for by itself; `None` if the next full refresh is soon enough.
    pub(super) due: Option<Instant>,
    /// Whether the snapshot has an answer that its users may act on.
    pub(super) answered: bool,
    /// When the last answer came, if one did.
    pub(super) answered_at: Option<Instant>,
    /// The last description that it had, which outlives answers that deny the topic.
    pub(super) info: Option<Arc<TopicInfo>>,
    /// The id before the present one: an answer that still has it is behind.
    former_id: Option<Uuid>,
    backoff: Backoff,
    missing: Option<Missing>,
    doubted: Option<Doubted>,
}

/// For how long and how often brokers have denied the topic.
#[derive(Debug)]
struct Missing {
    since: Instant,
    answers: u32,
}

/// An answer that is behind what is known, and how often in a row it came.
#[derive(Debug)]
struct Doubted {
    answer: TopicInfo,
    times: u32,
}

/// What an answer about a topic means for the snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// What it says stays.
    Keep,
    /// It says this from now on.
    Show(Arc<TopicInfo>),
    /// The topic is gone, and nobody asked for it by name.
    Drop,
}

impl Tracked {
    /// A topic nobody uses so far, to be asked for at once. `info` is what was known of it before.
    pub(super) fn new(info: Option<Arc<TopicInfo>>, backoff: Backoff, now: Instant) -> Self {
        Self {
            uses: 0,
            idle_since: now,
            due: Some(now),
            answered: info.is_some(),
            answered_at: None,
            info,
            former_id: None,
            backoff,
            missing: None,
            doubted: None,
        }
    }

    /// Takes what a broker says of the topic. `random` moves the next attempt.
    pub(super) fn handle_answer(
        &mut self,
        answer: TopicInfo,
        now: Instant,
        random: u64,
    ) -> Verdict {
        self.answered_at = Some(now);
        match meaning(answer.error) {
            Meaning::Refused => {
                self.settle();
                self.show(answer)
            }
            Meaning::NotYet => self.handle_missing(answer, now, random),
            // It is being made: no partition can be chosen among none.
            Meaning::Described if answer.partitions.is_empty() => {
                self.ask_again(now, random);
                Verdict::Keep
            }
            Meaning::Described => self.handle_described(answer, now, random),
        }
    }

    /// Follows a hint, if it is news.
    pub(super) fn handle_leader(
        &mut self,
        partition: i32,
        leader: NodeId,
        epoch: LeaderEpoch,
    ) -> Option<Arc<TopicInfo>> {
        let mut info = TopicInfo::clone(self.info.as_deref()?);
        let slot = info.partitions.get_mut(usize::try_from(partition).ok()?)?;
        if slot.leader_epoch.is_some_and(|known| epoch <= known) {
            return None;
        }
        slot.leader = Some(leader);
        slot.leader_epoch = Some(epoch);
        let info = Arc::new(info);
        self.info = Some(info.clone());
        Some(info)
    }

    /// A broker that is behind denies topics that others know, and so does one that has just come
    /// back; what was known stays until they had time to hear of it.
    fn handle_missing(&mut self, answer: TopicInfo, now: Instant, random: u64) -> Verdict {
        self.ask_again(now, random);
        let missing = self.missing.get_or_insert(Missing { since: now, answers: 0 });
        missing.answers = missing.answers.saturating_add(1);
        let is_believed = if self.info.is_some() {
            now.saturating_duration_since(missing.since) >= PROPAGATION
        } else {
            missing.answers >= DENIALS
        };
        match (is_believed, self.uses) {
            (false, _) => Verdict::Keep,
            (true, 0) => Verdict::Drop,
            (true, _) => self.show(answer),
        }
    }

    fn handle_described(&mut self, answer: TopicInfo, now: Instant, random: u64) -> Verdict {
        self.missing = None;
        let known = self.info.take();
        let (info, is_behind) = match known.as_deref() {
            None => (answer, false),
            Some(known) => self.reconcile(known, answer),
        };
        if is_behind || info.partitions.iter().any(|partition| partition.leader.is_none()) {
            self.ask_again(now, random);
        } else {
            self.settle();
        }
        let info = known.filter(|known| **known == info).unwrap_or_else(|| Arc::new(info));
        self.info = Some(info.clone());
        self.answered = true;
        Verdict::Show(info)
    }

    /// What to believe after `answer`, and whether that answer was behind.
    fn reconcile(&mut self, known: &TopicInfo, answer: TopicInfo) -> (TopicInfo, bool) {
        let is_behind = self.is_behind(known, &answer);
        if is_behind && self.doubt(&answer) < CONSISTENT {
            return (newest_of(known, answer), true);
        }
        self.doubted = None;
        if is_other(known, &answer) {
            self.former_id = known.id;
            return (answer, false);
        }
        if is_behind {
            // Every broker says so: the cluster itself went back, by a restored backup for one.
            return (TopicInfo { id: answer.id.or(known.id), ..answer }, false);
        }
        (newest_of(known, answer), false)
    }

    fn is_behind(&self, known: &TopicInfo, answer: &TopicInfo) -> bool {
        if is_other(known, answer) {
            return answer.id == self.former_id;
        }
        answer.partitions.len() < known.partitions.len()
            || known.partitions.iter().zip(&answer.partitions).any(|(known, new)| older(known, new))
    }

    /// Counts how often in a row this same answer came.
    fn doubt(&mut self, answer: &TopicInfo) -> u32 {
        match &mut self.doubted {
            Some(doubted) if doubted.answer == *answer => {
                doubted.times += 1;
                doubted.times
            }
            doubted => {
                *doubted = Some(Doubted { answer: answer.clone(), times: 1 });
                1
            }
        }
    }

    fn show(&mut self, answer: TopicInfo) -> Verdict {
        self.answered = true;
        Verdict::Show(Arc::new(answer))
    }

    fn settle(&mut self) {
        self.due = None;
        self.backoff.reset();
    }

    fn ask_again(&mut self, now: Instant, random: u64) {
        self.due = Some(later(now, self.backoff.fail(random)));
    }
}

/// The topic as one answer describes it. `epochs` says whether its leader epochs can be relied on.
pub(super) fn read(name: &TopicName, topic: &MetadataResponseTopic, epochs: Epochs) -> TopicInfo {
    let code = ErrorCode::from_code(topic.error_code);
    let error = code.is_error().then_some(code);
    let partitions = if error.is_some() { &[][..] } else { &topic.partitions };
    TopicInfo {
        name: name.clone(),
        id: (topic.topic_id != Uuid::ZERO).then_some(topic.topic_id),
        error,
        internal: topic.is_internal,
        partitions: read_partitions(partitions, epochs),
    }
}

/// The topic as an answer describes it that was asked for it and does not mention it.
pub(super) fn unmentioned(name: &TopicName) -> TopicInfo {
    TopicInfo {
        name: name.clone(),
        id: None,
        error: Some(ErrorCode::UnknownTopicOrPartition),
        internal: false,
        partitions: Vec::new(),
    }
}

/// Whether the leader epochs of an answer can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Epochs {
    /// They can.
    Reliable,
    /// They may be those of another time than the leaders beside them.
    Unreliable,
}

/// Partition *n* at index *n*. A number beyond the count of those present would leave holes, which
/// Kafka has none of, and could ask for any amount of memory; it is passed over.
fn read_partitions(answered: &[MetadataResponsePartition], epochs: Epochs) -> Vec<PartitionInfo> {
    let mut partitions = vec![PartitionInfo::default(); answered.len()];
    for partition in answered {
        let index = usize::try_from(partition.partition_index).ok();
        if let Some(slot) = index.and_then(|index| partitions.get_mut(index)) {
            *slot = read_partition(partition, epochs);
        }
    }
    partitions
}

/// A leader that cannot be reached through this listener comes with an error and no leader, as does
/// a partition without one.
fn read_partition(partition: &MetadataResponsePartition, epochs: Epochs) -> PartitionInfo {
    let nodes = |raw: &[i32]| raw.iter().filter_map(|&id| NodeId::from_wire(id)).collect();
    let epoch = match epochs {
        Epochs::Reliable => LeaderEpoch::from_wire(partition.leader_epoch),
        Epochs::Unreliable => None,
    };
    PartitionInfo {
        leader: NodeId::from_wire(partition.leader_id),
        leader_epoch: epoch,
        replicas: nodes(&partition.replica_nodes),
        in_sync: nodes(&partition.isr_nodes),
        offline: nodes(&partition.offline_replicas),
    }
}

/// What the error of a topic means.
enum Meaning {
    /// There is none.
    Described,
    /// The broker may not know it yet.
    NotYet,
    /// Asking again will not help.
    Refused,
}

fn meaning(error: Option<ErrorCode>) -> Meaning {
    let Some(code) = error else {
        return Meaning::Described;
    };
    // Brokers that start up count too few of themselves for the replicas of a topic.
    if code == ErrorCode::InvalidReplicationFactor {
        return Meaning::NotYet;
    }
    match code.class() {
        None => Meaning::Described,
        Some(ErrorClass::Retriable | ErrorClass::RefreshRetriable) => Meaning::NotYet,
        Some(
            ErrorClass::Abortable
            | ErrorClass::ApplicationRecoverable
            | ErrorClass::InvalidConfiguration
            | ErrorClass::Fatal,
        ) => Meaning::Refused,
    }
}

/// Whether `answer` describes another topic of the same name. An answer without an id, from an older
/// broker, is taken for the same.
fn is_other(known: &TopicInfo, answer: &TopicInfo) -> bool {
    matches!((known.id, answer.id), (Some(known), Some(new)) if known != new)
}

/// Whether `new` has an older leader than `known`.
fn older(known: &PartitionInfo, new: &PartitionInfo) -> bool {
    matches!((known.leader_epoch, new.leader_epoch), (Some(known), Some(new)) if new < known)
}

/// For each partition what is newer, and the partitions of both: topics never lose any. All of
/// `known`, if the answer is about the topic that was there before it.
fn newest_of(known: &TopicInfo, answer: TopicInfo) -> TopicInfo {
    if is_other(known, &answer) {
        return known.clone();
    }
    let TopicInfo { name, id, error, internal, mut partitions } = answer;
    for (new, known) in partitions.iter_mut().zip(&known.partitions) {
        if older(known, new) || *new == PartitionInfo::default() {
            new.clone_from(known);
        }
    }
    partitions.extend(known.partitions.iter().skip(partitions.len()).cloned());
    TopicInfo { name, id: id.or(known.id), error, internal, partitions }
}

/// How long a topic that was known may be denied before that is believed: the time that news take
/// through a cluster whose brokers restart. librdkafka's `topic.metadata.propagation.max.ms`.
const PROPAGATION: Duration = Duration::from_secs(30);

/// How often a topic that was never known is denied before that is believed. With the default
/// backoff that is 1.5 s, in which a topic just made is known everywhere.
const DENIALS: u32 = 5;

/// How often in a row the same answer must be behind before it is believed. franz-go has the number.
const CONSISTENT: u32 = 5;
