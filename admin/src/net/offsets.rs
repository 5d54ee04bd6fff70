//! What can be done to offsets.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::retry::Deadline;
use ottla_core::types::{TopicName, TopicPartition, Uuid};
use ottla_protocol::ByteString;

use super::{Admin, Operation, Pending};
use crate::offsets::{
    AlterGroupOffsets, CommittedOffset, DeleteBefore, DeleteGroupOffsets, DeleteRecords,
    FetchOffsets, FetchedOffset, GroupLag, Isolation, Lag, ListGroupOffsets, ListOffsets,
    ListedOffset, NewOffset, OffsetSpec, TopicNames,
};
use crate::topics::{DescribeTopics, TopicDescription};
use crate::{AdminError, Results};

impl Admin {
    /// Lists an offset of each partition: the first, the last, or by time.
    pub fn list_offsets(
        &self,
        partitions: impl IntoIterator<Item = (impl Into<TopicPartition>, OffsetSpec)>,
    ) -> Pending<ListOffsets> {
        let partitions = keyed(partitions);
        Pending::new(self, ListOffsets { partitions, isolation: Isolation::default() })
    }

    /// Deletes the oldest records of partitions, and tells the smallest offset that each of them
    /// has left.
    pub fn delete_records(
        &self,
        partitions: impl IntoIterator<Item = (impl Into<TopicPartition>, impl Into<DeleteBefore>)>,
    ) -> Pending<DeleteRecords> {
        Pending::new(self, DeleteRecords { partitions: keyed(partitions) })
    }

    /// Lists the offsets that a group has committed. A partition without one is not there; a group
    /// that does not exist has none.
    pub fn list_group_offsets(&self, group: impl Into<ByteString>) -> Pending<ListGroupOffsets> {
        let (group, partitions) = (group.into(), BTreeSet::new());
        Pending::new(self, ListGroupOffsets { group, partitions, require_stable: false })
    }

    /// Sets offsets of a group that nobody is in. A group that does not exist comes to be.
    pub fn alter_group_offsets(
        &self,
        group: impl Into<ByteString>,
        offsets: impl IntoIterator<Item = (impl Into<TopicPartition>, impl Into<NewOffset>)>,
    ) -> Pending<AlterGroupOffsets> {
        let (group, offsets, ids) = (group.into(), keyed(offsets), BTreeMap::new());
        Pending::new(self, AlterGroupOffsets { group, offsets, ids })
    }

    /// Deletes offsets of a group, for topics that it does not consume.
    pub fn delete_group_offsets(
        &self,
        group: impl Into<ByteString>,
        partitions: impl IntoIterator<Item = impl Into<TopicPartition>>,
    ) -> Pending<DeleteGroupOffsets> {
        let partitions = partitions.into_iter().map(Into::into).collect();
        Pending::new(self, DeleteGroupOffsets { group: group.into(), partitions })
    }

    /// Finds out how far a group is behind, in each partition that it has committed an offset for.
    /// A group that does not exist has committed none.
    pub fn lag(&self, group: impl Into<ByteString>) -> Pending<Lag> {
        Pending::new(self, Lag { group: group.into(), isolation: Isolation::default() })
    }
}

impl Pending<ListOffsets> {
    /// Whether transactions that have not ended count for [`OffsetSpec::Latest`].
    pub fn isolation(self, isolation: Isolation) -> Self {
        self.with(|it| it.isolation = isolation)
    }
}

impl Pending<ListGroupOffsets> {
    /// Only those of these partitions.
    pub fn partitions(
        self,
        partitions: impl IntoIterator<Item = impl Into<TopicPartition>>,
    ) -> Self {
        self.with(|it| it.partitions.extend(partitions.into_iter().map(Into::into)))
    }

    /// Waits until no transaction can change them any more (KIP-447).
    pub fn require_stable(self) -> Self {
        self.with(|it| it.require_stable = true)
    }
}

impl Pending<Lag> {
    /// Whether transactions that have not ended count.
    pub fn isolation(self, isolation: Isolation) -> Self {
        self.with(|it| it.isolation = isolation)
    }
}

impl Operation for ListOffsets {
    type Output = Results<TopicPartition, ListedOffset>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let partitions: Vec<TopicPartition> = self.partitions.keys().cloned().collect();
        admin.all(self, partitions, deadline).await
    }
}

impl Operation for DeleteRecords {
    type Output = Results<TopicPartition, i64>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let partitions: Vec<TopicPartition> = self.partitions.keys().cloned().collect();
        admin.all(self, partitions, deadline).await
    }
}

impl Operation for ListGroupOffsets {
    type Output = Result<Results<TopicPartition, CommittedOffset>, AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let call = FetchOffsets { require_stable: self.require_stable };
        let fetched = admin.one(call, self.group.clone(), deadline).await?;
        let ids: BTreeSet<Uuid> = fetched.iter().filter_map(FetchedOffset::topic_id).collect();
        let names = admin.all(TopicNames, ids, deadline).await;
        self.named(fetched, &names)
    }
}

impl Operation for AlterGroupOffsets {
    type Output = Results<TopicPartition, ()>;

    /// Brokers want the ids of topics, so these are found out first.
    async fn perform(mut self, admin: Admin, deadline: Deadline) -> Self::Output {
        let topics: BTreeSet<TopicName> =
            self.offsets.keys().map(|key| key.topic.clone()).collect();
        let call = DescribeTopics { topics: BTreeSet::new() };
        let described = admin.all(call, topics, deadline).await;
        let (mut known, mut failed) = (Vec::new(), Vec::new());
        for partition in self.offsets.keys().cloned() {
            match described.get(&partition.topic) {
                Some(Err(error)) => failed.push((partition, Err(error.clone()))),
                Some(Ok(_)) | None => known.push(partition),
            }
        }
        let id = |(name, topic): (&TopicName, &TopicDescription)| Some((name.clone(), topic.id?));
        self.ids = described.successes().filter_map(id).collect();
        let mut altered = admin.all(self, known, deadline).await;
        altered.extend(failed);
        altered
    }
}

impl Operation for DeleteGroupOffsets {
    type Output = Results<TopicPartition, ()>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let partitions = self.partitions.clone();
        admin.all(self, partitions, deadline).await
    }
}

impl Operation for Lag {
    type Output = Result<GroupLag, AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let Self { group, isolation } = self;
        let committed =
            ListGroupOffsets { group, partitions: BTreeSet::new(), require_stable: false };
        let committed = committed.perform(admin.clone(), deadline).await?;
        let ends = committed.successes().map(|(key, _)| (key.clone(), OffsetSpec::Latest));
        let ends = ListOffsets { partitions: ends.collect(), isolation };
        let ends = ends.perform(admin, deadline).await;
        Ok(GroupLag::between(committed, ends.into_iter().collect()))
    }
}

fn keyed<V>(
    partitions: impl IntoIterator<Item = (impl Into<TopicPartition>, impl Into<V>)>,
) -> BTreeMap<TopicPartition, V> {
    partitions.into_iter().map(|(partition, value)| (partition.into(), value.into())).collect()
}
