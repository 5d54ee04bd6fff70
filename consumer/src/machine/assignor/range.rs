//! Each topic in consecutive runs.

use std::collections::{BTreeMap, BTreeSet};

use bytestring::ByteString;
use ottla_core::types::{TopicName, TopicPartition};

use super::api::{in_turn, nothing_for};
use super::subscribers::subscribers;
use super::{
    AssignError, Assignment, Assignor, ClusterTopics, MemberSubscription, PartitionReplicas,
};

/// Hands out each topic by itself, in runs of consecutive partitions, the longer runs first. Topics
/// with as many partitions and the same subscribers are cut alike, so that partition *n* of all of
/// them is with the same member.
///
/// Where members and replicas have racks and not every partition is in every rack, partitions go to
/// members in a rack of theirs, as far as the lengths of the runs allow (KIP-881).
///
/// # Kafka
///
/// `range`; Java's `RangeAssignor`.
#[derive(Debug, Clone, Copy, Default)]
pub struct RangeAssignor;

impl Assignor for RangeAssignor {
    fn name(&self) -> &'static str {
        "range"
    }

    fn assign(
        &self,
        cluster: &ClusterTopics,
        members: &[MemberSubscription],
    ) -> Result<Assignment, AssignError> {
        let turns = in_turn(members);
        let mut topics: Vec<Topic<'_>> = cluster
            .iter()
            .zip(subscribers(cluster, &turns))
            .filter(|((_, partitions), _)| !partitions.is_empty())
            .map(|((name, partitions), indices)| {
                let members = indices.iter().filter_map(|index| turns.get(*index).copied());
                Topic::new(name, partitions, members.collect())
            })
            .collect();
        if topics.iter().any(|topic| topic.needs_racks) {
            assign_within_racks(&mut topics);
        }
        let mut assignment = nothing_for(members);
        for topic in &mut topics {
            topic.assign_runs(|_, _, _| true);
            topic.hand_out(&mut assignment);
        }
        Ok(assignment)
    }
}

/// A topic while it is handed out.
struct Topic<'a> {
    name: &'a TopicName,
    partitions: &'a [PartitionReplicas],
    subscribers: Vec<&'a MemberSubscription>,
    /// What each subscriber has, in the order of `subscribers`.
    assigned: Vec<BTreeSet<usize>>,
    unassigned: BTreeSet<usize>,
    /// Whether racks make a difference.
    needs_racks: bool,
    /// How long each run is at least.
    quota: usize,
    /// How many more members may have one more than that.
    longer: usize,
}

impl<'a> Topic<'a> {
    fn new(
        name: &'a TopicName,
        partitions: &'a [PartitionReplicas],
        subscribers: Vec<&'a MemberSubscription>,
    ) -> Self {
        let count = subscribers.len().max(1);
        Self {
            name,
            partitions,
            assigned: vec![BTreeSet::new(); subscribers.len()],
            unassigned: (0..partitions.len()).collect(),
            needs_racks: racks_matter(
                subscribers.iter().filter_map(|member| member.rack.as_ref()),
                partitions,
            ),
            quota: partitions.len() / count,
            longer: partitions.len() % count,
            subscribers,
        }
    }

    /// How many more partitions a subscriber may have.
    fn room(&self, subscriber: usize) -> usize {
        let most = self.quota + usize::from(self.longer > 0);
        most.saturating_sub(self.assigned.get(subscriber).map_or(0, BTreeSet::len))
    }

    fn is_in_rack(&self, subscriber: usize, partition: usize) -> bool {
        let rack = self.subscribers.get(subscriber).and_then(|member| member.rack.as_ref());
        let replicas = self.partitions.get(partition);
        rack.is_none_or(|rack| replicas.is_some_and(|replicas| replicas.is_in(rack)))
    }

    fn assign(&mut self, subscriber: usize, partitions: &[usize]) {
        let Some(mine) = self.assigned.get_mut(subscriber) else { return };
        mine.extend(partitions);
        if mine.len() > self.quota {
            self.longer = self.longer.saturating_sub(1);
        }
        for partition in partitions {
            self.unassigned.remove(partition);
        }
    }

    fn assign_runs(&mut self, may: impl Fn(&Self, usize, usize) -> bool) {
        for subscriber in 0..self.subscribers.len() {
            if self.unassigned.is_empty() {
                return;
            }
            let free = self.unassigned.iter().copied();
            let run: Vec<usize> = free
                .filter(|partition| may(self, subscriber, *partition))
                .take(self.room(subscriber))
                .collect();
            if !run.is_empty() {
                self.assign(subscriber, &run);
            }
        }
    }

    fn hand_out(&self, assignment: &mut Assignment) {
        let assigned = self.subscribers.iter().zip(&self.assigned);
        for (member, partitions) in assigned.filter(|(_, partitions)| !partitions.is_empty()) {
            let Some(mine) = assignment.get_mut(&member.member_id) else { continue };
            mine.partitions.extend(partitions.iter().filter_map(|partition| {
                let number = i32::try_from(*partition).ok()?;
                Some(TopicPartition::new(self.name, number))
            }));
        }
    }
}

/// Topics that are cut alike stay so: their partitions of one number go together, or not at all.
fn assign_within_racks(topics: &mut [Topic<'_>]) {
    let mut alike: BTreeMap<(Vec<ByteString>, usize), Vec<usize>> = BTreeMap::new();
    for (index, topic) in topics.iter().enumerate() {
        let members = topic.subscribers.iter().map(|member| member.member_id.clone());
        alike.entry((members.collect(), topic.partitions.len())).or_default().push(index);
    }
    for ((members, partitions), indices) in alike {
        if let [only] = indices.as_slice() {
            if let Some(topic) = topics.get_mut(*only).filter(|topic| topic.needs_racks) {
                topic.assign_runs(Topic::is_in_rack);
            }
        } else {
            assign_together(topics, &indices, members.len(), partitions);
        }
    }
}

fn assign_together(topics: &mut [Topic<'_>], alike: &[usize], members: usize, partitions: usize) {
    let mut remaining: Vec<usize> = (0..members).collect();
    for partition in 0..partitions {
        let fits = |member: &usize| {
            alike
                .iter()
                .filter_map(|index| topics.get(*index))
                .all(|topic| topic.is_in_rack(*member, partition) && topic.room(*member) > 0)
        };
        let Some(member) = remaining.iter().copied().find(fits) else { continue };
        let mut has_room = false;
        for index in alike {
            let Some(topic) = topics.get_mut(*index) else { continue };
            topic.assign(member, &[partition]);
            has_room |= topic.room(member) > 0;
        }
        if !has_room {
            remaining.retain(|other| *other != member);
        }
    }
}

/// Whether some members are in a rack with some replicas, and the partitions differ in that.
pub(super) fn racks_matter<'a>(
    members: impl Iterator<Item = &'a ByteString>,
    partitions: &[PartitionReplicas],
) -> bool {
    let members: BTreeSet<&ByteString> = members.collect();
    let everywhere: BTreeSet<&ByteString> =
        partitions.iter().flat_map(|partition| &partition.racks).collect();
    !members.is_disjoint(&everywhere)
        && partitions.iter().any(|partition| partition.racks.len() != everywhere.len())
}
