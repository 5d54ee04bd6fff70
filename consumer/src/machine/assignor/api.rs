//! What an assignor is given, and what it answers.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use ottla_core::cluster::ClusterSnapshot;
use ottla_core::types::{TopicName, TopicPartition};

/// A way to hand out partitions. The group agrees on one that all of its members have, and its
/// leader runs it.
///
/// It keeps nothing between calls: what it wants to remember goes through the group as user data.
///
/// # Kafka
///
/// Java's `ConsumerPartitionAssignor`.
pub trait Assignor: Send + Sync {
    /// What the group calls it, such as `range`. The same name must mean the same to all members.
    fn name(&self) -> &str;

    /// How members give partitions up for it.
    fn protocol(&self) -> RebalanceProtocol {
        RebalanceProtocol::Eager
    }

    /// What this member tells the leader's assignor; `None` for nothing. `previous` is the last
    /// assignment, even where it was given up before rejoining.
    fn user_data(&self, previous: &PreviousAssignment<'_>) -> Option<Bytes> {
        let _ = previous;
        None
    }

    /// Assigns the partitions of `cluster` to `members`, which come sorted by member id.
    ///
    /// What others wrote has been sanitised: topics are sorted and without repetition, partitions
    /// that they claim to own exist. `user_data` is as it came.
    ///
    /// # Errors
    ///
    /// [`AssignError`], which ends the membership with that text.
    fn assign(
        &self,
        cluster: &ClusterTopics,
        members: &[MemberSubscription],
    ) -> Result<Assignment, AssignError>;
}

/// How members give partitions up (KIP-429).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RebalanceProtocol {
    /// All of them, before they join again.
    Eager,
    /// Only those that go elsewhere, after the new assignment is known.
    Cooperative,
}

/// What a member had before it rejoins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PreviousAssignment<'a> {
    /// The partitions of its last assignment, sorted.
    pub partitions: &'a [TopicPartition],
    /// The generation of that assignment; `None` before the first.
    pub generation: Option<i32>,
}

/// A member, as it describes itself to the leader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberSubscription {
    /// Its id in this generation.
    pub member_id: ByteString,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<ByteString>,
    /// The topics it subscribes to, sorted, without repetition.
    pub topics: Vec<TopicName>,
    /// What its assignor told ours.
    pub user_data: Option<Bytes>,
    /// What it says that it owns, sorted, without repetition; empty for eager members.
    pub owned: Vec<TopicPartition>,
    /// The generation in which it came to own them; `None` where it is too old to say (KIP-792).
    pub generation: Option<i32>,
    /// Its rack (KIP-881).
    pub rack: Option<ByteString>,
}

impl MemberSubscription {
    /// A dynamic member that owns nothing.
    #[must_use]
    pub fn new(member_id: impl Into<ByteString>, mut topics: Vec<TopicName>) -> Self {
        topics.sort_unstable();
        topics.dedup();
        Self {
            member_id: member_id.into(),
            instance_id: None,
            topics,
            user_data: None,
            owned: Vec::new(),
            generation: None,
            rack: None,
        }
    }

    /// Whether it subscribes to `topic`.
    #[must_use]
    pub fn subscribes_to(&self, topic: &str) -> bool {
        self.topics.binary_search_by(|mine| mine.as_str().cmp(topic)).is_ok()
    }
}

/// The topics that the members subscribe to, as far as they exist, with their partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClusterTopics {
    topics: BTreeMap<TopicName, Vec<PartitionReplicas>>,
}

/// Where a partition's replicas are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionReplicas {
    /// The racks of its replicas, sorted, without repetition; empty where they have none.
    pub racks: Vec<ByteString>,
}

impl ClusterTopics {
    /// Those of `names` that `snapshot` knows with partitions.
    pub fn from_snapshot<'a>(
        snapshot: &ClusterSnapshot,
        names: impl IntoIterator<Item = &'a TopicName>,
    ) -> Self {
        let known = names.into_iter().filter_map(|name| {
            let topic = snapshot.topic(name).filter(|topic| !topic.partitions.is_empty())?;
            let partitions = topic.partitions.iter();
            let partitions = partitions.map(|partition| {
                let brokers = partition.replicas.iter().filter_map(|id| snapshot.brokers.get(id));
                let racks = brokers.filter_map(|broker| broker.rack.as_deref());
                PartitionReplicas::in_racks(racks)
            });
            Some((name.clone(), partitions.collect()))
        });
        Self { topics: known.collect() }
    }

    /// Topics with so many partitions each, without racks.
    #[must_use]
    pub fn from_counts<T: Into<TopicName>>(counts: impl IntoIterator<Item = (T, usize)>) -> Self {
        let counts = counts.into_iter();
        let topics = counts
            .map(|(topic, count)| (topic.into(), vec![PartitionReplicas::default(); count]))
            .collect();
        Self { topics }
    }

    /// Gives a topic its partitions: number *n* is at index *n*.
    pub fn insert(&mut self, topic: impl Into<TopicName>, partitions: Vec<PartitionReplicas>) {
        self.topics.insert(topic.into(), partitions);
    }

    /// The partitions of `topic`: number *n* is at index *n*. Empty where it does not exist.
    #[must_use]
    pub fn partitions(&self, topic: &str) -> &[PartitionReplicas] {
        self.topics.get(topic).map_or(&[], Vec::as_slice)
    }

    /// Every topic with its partitions, by ascending name.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicName, &[PartitionReplicas])> {
        self.topics.iter().map(|(name, partitions)| (name, partitions.as_slice()))
    }

    /// Whether this partition exists.
    #[must_use]
    pub fn contains(&self, partition: &TopicPartition) -> bool {
        let count = self.partitions(&partition.topic).len();
        usize::try_from(partition.partition).is_ok_and(|index| index < count)
    }
}

impl PartitionReplicas {
    /// A partition with replicas in these racks.
    pub fn in_racks<'a>(racks: impl IntoIterator<Item = &'a str>) -> Self {
        let mut racks: Vec<ByteString> = racks.into_iter().map(ByteString::from).collect();
        racks.sort_unstable();
        racks.dedup();
        Self { racks }
    }

    /// Whether one of the replicas is in `rack`.
    #[must_use]
    pub fn is_in(&self, rack: &str) -> bool {
        self.racks.binary_search_by(|mine| (**mine).cmp(rack)).is_ok()
    }
}

/// Who gets what: for each member id, also of those that get nothing.
pub type Assignment = BTreeMap<ByteString, MemberAssignment>;

/// What one member gets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MemberAssignment {
    /// The partitions. Their order means nothing to the member.
    pub partitions: Vec<TopicPartition>,
    /// What the leader's assignor tells the member's; `None` for nothing.
    pub user_data: Option<Bytes>,
}

/// Why partitions could not be handed out.
#[derive(Debug, Clone, thiserror::Error)]
#[error("assignor `{assignor}` failed: {why}")]
pub struct AssignError {
    /// The assignor.
    pub assignor: Arc<str>,
    /// What it says.
    pub why: Arc<str>,
}

impl AssignError {
    /// The failure of `assignor`.
    #[must_use]
    pub fn new(assignor: &str, why: impl fmt::Display) -> Self {
        Self { assignor: assignor.into(), why: why.to_string().into() }
    }
}

/// The order in which range and round robin go through the members: static members by their
/// instance id, so that a restart changes nothing, then the others by member id (Java's
/// `MemberInfo`).
pub(super) fn in_turn(members: &[MemberSubscription]) -> Vec<&MemberSubscription> {
    let mut members: Vec<&MemberSubscription> = members.iter().collect();
    members.sort_by_key(|member| {
        (member.instance_id.is_none(), member.instance_id.clone(), member.member_id.clone())
    });
    members
}

/// An assignment in which nobody has anything.
pub(super) fn nothing_for(members: &[MemberSubscription]) -> Assignment {
    members.iter().map(|member| (member.member_id.clone(), MemberAssignment::default())).collect()
}
