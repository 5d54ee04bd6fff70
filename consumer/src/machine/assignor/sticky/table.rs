//! Who subscribes to what, who claims what, and who is believed.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use bytestring::ByteString;
use ottla_core::types::{TopicName, TopicPartition};

use super::super::range::racks_matter;
use super::super::subscribers::subscribers;
use super::{ClusterTopics, MemberSubscription};
use crate::machine::assignor::PartitionReplicas;

/// The members and the partitions that they may have, by index, so that thousands of each are
/// compared as numbers.
#[derive(Debug)]
pub(super) struct Table<'a> {
    /// By ascending id.
    pub(super) members: Vec<&'a MemberSubscription>,
    /// Topics with a subscriber, by ascending name.
    pub(super) topics: Vec<Topic<'a>>,
    /// The topic of each partition: partitions are numbered through, topic by topic.
    pub(super) topic_of: Vec<usize>,
    /// What each member says that it owns and may own.
    pub(super) claims: Vec<Vec<usize>>,
    /// The believed owner of each partition: the one claimant of the highest generation. `None`
    /// where two claim it in the same generation: then neither is.
    pub(super) owner: Vec<Option<usize>>,
    /// The one before that, where an older claim says so.
    pub(super) previous: Vec<Option<usize>>,
    /// `None` where racks make no difference.
    pub(super) racks: Option<Racks>,
}

/// What a member says that it owns, and the generation in which it came to.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) owned: Cow<'a, [TopicPartition]>,
    pub(super) generation: Option<i32>,
}

/// A topic of a [`Table`].
#[derive(Debug)]
pub(super) struct Topic<'a> {
    pub(super) name: &'a TopicName,
    /// The number of its first partition.
    pub(super) first: usize,
    pub(super) partitions: &'a [PartitionReplicas],
    /// Ascending.
    pub(super) subscribers: Rc<[usize]>,
}

/// The racks of members and partitions, by number.
#[derive(Debug)]
pub(super) struct Racks {
    of_member: Vec<Option<usize>>,
    of_partition: Vec<Vec<usize>>,
    members_in: Vec<usize>,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        cluster: &'a ClusterTopics,
        members: &'a [MemberSubscription],
        claim: impl Fn(&'a MemberSubscription) -> Claim<'a>,
    ) -> Self {
        let mut members: Vec<&MemberSubscription> = members.iter().collect();
        members.sort_unstable_by(|left, right| left.member_id.cmp(&right.member_id));
        let topics = subscribed_topics(cluster, &members);
        let mut topic_of = Vec::new();
        for (index, topic) in topics.iter().enumerate() {
            topic_of.extend(topic.partitions.iter().map(|_| index));
        }
        let racks = Racks::new(&members, &topics);
        let count = topic_of.len();
        let mut table = Self {
            members,
            topics,
            topic_of,
            claims: Vec::new(),
            owner: vec![None; count],
            previous: vec![None; count],
            racks,
        };
        let claims: Vec<Claim<'_>> = table.members.iter().copied().map(claim).collect();
        table.read_claims(&claims);
        table
    }

    /// Whether all members subscribe to the same of the topics that exist.
    pub(super) fn subscriptions_are_equal(&self) -> bool {
        self.topics.iter().all(|topic| topic.subscribers.len() == self.members.len())
    }

    /// How many partitions there are.
    pub(super) fn count(&self) -> usize {
        self.topic_of.len()
    }

    /// A partition's number within its topic.
    pub(super) fn number(&self, partition: usize) -> usize {
        let topic = self.topic_of.get(partition).and_then(|topic| self.topics.get(*topic));
        topic.map_or(0, |topic| partition - topic.first)
    }

    pub(super) fn name(&self, partition: usize) -> Option<TopicPartition> {
        let topic = self.topics.get(*self.topic_of.get(partition)?)?;
        let number = i32::try_from(partition.checked_sub(topic.first)?).ok()?;
        Some(TopicPartition::new(topic.name, number))
    }

    /// Whether racks matter, and the member is in none of the partition's.
    pub(super) fn racks_mismatch(&self, member: usize, partition: usize) -> bool {
        let Some(racks) = &self.racks else { return false };
        racks.of_member(member).is_some() && !racks.share(member, partition)
    }

    fn read_claims(&mut self, told: &[Claim<'_>]) {
        let index: BTreeMap<&TopicName, usize> =
            self.topics.iter().enumerate().map(|(index, topic)| (topic.name, index)).collect();
        let claim = |member: usize, claim: &TopicPartition| {
            let topic = self.topics.get(*index.get(&claim.topic)?)?;
            let number = usize::try_from(claim.partition).ok()?;
            let subscribes = topic.subscribers.binary_search(&member).is_ok();
            let may = number < topic.partitions.len() && subscribes;
            may.then_some(topic.first + number)
        };
        let claims = told.iter().enumerate().map(|(member, told)| {
            let mine = told.owned.iter().filter_map(|partition| claim(member, partition));
            mine.collect::<BTreeSet<usize>>().into_iter().collect()
        });
        self.claims = claims.collect();
        self.believe(told);
    }

    fn believe(&mut self, told: &[Claim<'_>]) {
        let mut claimants: Vec<Vec<(i32, usize)>> = vec![Vec::new(); self.count()];
        for (member, claims) in self.claims.iter().enumerate() {
            let generation = told.get(member).and_then(|told| told.generation);
            for partition in claims {
                if let Some(claimants) = claimants.get_mut(*partition) {
                    claimants.push((generation.unwrap_or(-1), member));
                }
            }
        }
        let settled = self.owner.iter_mut().zip(&mut self.previous);
        for ((owner, previous), mut claimants) in settled.zip(claimants) {
            claimants.sort_unstable_by(|left, right| right.cmp(left));
            *owner = match claimants.as_slice() {
                [first, second, ..] if first.0 == second.0 => None,
                [first, ..] => Some(first.1),
                [] => None,
            };
            let newest = claimants.first().map(|first| first.0);
            let older = claimants.iter().find(|claim| Some(claim.0) != newest);
            *previous = older.map(|claim| claim.1);
        }
    }
}

impl Racks {
    fn new(members: &[&MemberSubscription], topics: &[Topic<'_>]) -> Option<Self> {
        let partitions: Vec<PartitionReplicas> =
            topics.iter().flat_map(|topic| topic.partitions).cloned().collect();
        if !racks_matter(members.iter().filter_map(|member| member.rack.as_ref()), &partitions) {
            return None;
        }
        let mut numbers: BTreeMap<&ByteString, usize> = BTreeMap::new();
        let mut number = |rack| {
            let next = numbers.len();
            *numbers.entry(rack).or_insert(next)
        };
        let of_member: Vec<Option<usize>> =
            members.iter().map(|member| member.rack.as_ref().map(&mut number)).collect();
        let of_partition: Vec<Vec<usize>> = partitions
            .iter()
            .map(|partition| partition.racks.iter().map(&mut number).collect())
            .collect();
        let mut members_in = vec![0; numbers.len()];
        for rack in of_member.iter().flatten() {
            if let Some(count) = members_in.get_mut(*rack) {
                *count += 1;
            }
        }
        Some(Self { of_member, of_partition, members_in })
    }

    fn of_member(&self, member: usize) -> Option<usize> {
        self.of_member.get(member).copied().flatten()
    }

    /// Whether a replica of the partition is in the member's rack.
    pub(super) fn share(&self, member: usize, partition: usize) -> bool {
        let racks = self.of_partition.get(partition);
        self.of_member(member).is_some_and(|rack| racks.is_some_and(|racks| racks.contains(&rack)))
    }

    /// How many members are in a rack with the partition: those with the fewest are served first.
    pub(super) fn choices(&self, partition: usize) -> usize {
        let racks = self.of_partition.get(partition).into_iter().flatten();
        racks.filter_map(|rack| self.members_in.get(*rack)).sum()
    }
}

fn subscribed_topics<'a>(
    cluster: &'a ClusterTopics,
    members: &[&MemberSubscription],
) -> Vec<Topic<'a>> {
    let mut first = 0;
    let mut topics = Vec::new();
    for ((name, partitions), subscribers) in cluster.iter().zip(subscribers(cluster, members)) {
        if subscribers.is_empty() {
            continue;
        }
        topics.push(Topic { name, first, partitions, subscribers });
        first += partitions.len();
    }
    topics
}
