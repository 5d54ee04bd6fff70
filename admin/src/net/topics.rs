//! What can be done to topics.

use std::collections::BTreeSet;

use ottla_core::retry::Deadline;
use ottla_core::types::{NodeId, TopicName};

use super::{Admin, Operation, Pending};
use crate::topics::{
    CreatePartitions, CreateTopic, CreateTopics, CreatedTopic, DeleteTopic, DeleteTopics,
    DescribeTopic, DescribeTopics, ListTopics, NewPartitions, NewTopic, TopicDescription,
};
use crate::{AdminError, Results};

impl Admin {
    /// Creates a topic, with the brokers' default numbers of partitions and replicas unless others
    /// are asked for.
    ///
    /// Brokers may learn of it a moment later than the one that answers.
    pub fn create_topic(&self, name: impl Into<TopicName>) -> Pending<CreateTopic> {
        let topic = NewTopic::new(name);
        Pending::new(self, CreateTopic { topic, if_not_exists: false, validate_only: false })
    }

    /// Creates several topics. Of two with one name, the last counts.
    pub fn create_topics(
        &self,
        topics: impl IntoIterator<Item = impl Into<NewTopic>>,
    ) -> Pending<CreateTopics> {
        Pending::new(self, CreateTopics::new(topics.into_iter().map(Into::into)))
    }

    /// Deletes a topic and its records.
    pub fn delete_topic(&self, name: impl Into<TopicName>) -> Pending<DeleteTopic> {
        Pending::new(self, DeleteTopic { topic: name.into(), if_exists: false })
    }

    /// Deletes several topics and their records.
    pub fn delete_topics(
        &self,
        names: impl IntoIterator<Item = impl Into<TopicName>>,
    ) -> Pending<DeleteTopics> {
        Pending::new(self, DeleteTopics { topics: all(names), if_exists: false })
    }

    /// Gives topics more partitions: `[("orders", 12)]` lets `orders` have twelve, those it has
    /// included.
    ///
    /// Records with the same key may go to another partition from then on.
    pub fn create_partitions(
        &self,
        topics: impl IntoIterator<Item = impl Into<NewPartitions>>,
    ) -> Pending<CreatePartitions> {
        let topics = topics.into_iter().map(Into::into).map(|it| (it.topic.clone(), it)).collect();
        Pending::new(self, CreatePartitions { topics, validate_only: false })
    }

    /// Describes a topic. One that does not exist is not created by that.
    pub fn describe_topic(&self, name: impl Into<TopicName>) -> Pending<DescribeTopic> {
        Pending::new(self, DescribeTopic { topic: name.into() })
    }

    /// Describes several topics. Those that do not exist are not created by that.
    pub fn describe_topics(
        &self,
        names: impl IntoIterator<Item = impl Into<TopicName>>,
    ) -> Pending<DescribeTopics> {
        Pending::new(self, DescribeTopics { topics: all(names) })
    }

    /// Describes all topics that the client may see, by name; those of Kafka itself only if asked
    /// for.
    pub fn list_topics(&self) -> Pending<ListTopics> {
        Pending::new(self, ListTopics { with_internal: false })
    }
}

impl Pending<CreateTopic> {
    /// With so many partitions; without this, `num.partitions` of the brokers.
    pub fn partitions(self, partitions: i32) -> Self {
        self.with(|it| it.topic.partitions = Some(partitions))
    }

    /// With so many replicas of each partition; without this, `default.replication.factor` of the
    /// brokers.
    pub fn replication(self, replicas: i16) -> Self {
        self.with(|it| it.topic.replication = Some(replicas))
    }

    /// With these replicas: see [`NewTopic::assignment`].
    pub fn assignment(self, replicas: impl IntoIterator<Item = Vec<NodeId>>) -> Self {
        self.with(|it| it.topic.assignment = replicas.into_iter().collect())
    }

    /// With a topic setting, by Kafka's name.
    pub fn config(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(|it| drop(it.topic.configs.insert(name.into(), value.into())))
    }

    /// Accepts that the topic is there already, whatever it is like.
    pub fn if_not_exists(self) -> Self {
        self.with(|it| it.if_not_exists = true)
    }

    /// Only finds out whether it could be created.
    pub fn validate_only(self) -> Self {
        self.with(|it| it.validate_only = true)
    }
}

impl Pending<CreateTopics> {
    /// Accepts that topics are there already, whatever they are like.
    pub fn if_not_exists(self) -> Self {
        self.with(|it| it.if_not_exists = true)
    }

    /// Only finds out whether they could be created.
    pub fn validate_only(self) -> Self {
        self.with(|it| it.validate_only = true)
    }
}

impl Pending<DeleteTopic> {
    /// Accepts that the topic does not exist.
    pub fn if_exists(self) -> Self {
        self.with(|it| it.if_exists = true)
    }
}

impl Pending<DeleteTopics> {
    /// Accepts that topics do not exist.
    pub fn if_exists(self) -> Self {
        self.with(|it| it.if_exists = true)
    }
}

impl Pending<CreatePartitions> {
    /// Only finds out whether they could be created.
    pub fn validate_only(self) -> Self {
        self.with(|it| it.validate_only = true)
    }
}

impl Pending<ListTopics> {
    /// With Kafka's own topics, such as `__consumer_offsets`.
    pub fn include_internal(self) -> Self {
        self.with(|it| it.with_internal = true)
    }
}

impl Operation for CreateTopic {
    type Output = Result<CreatedTopic, AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let Self { topic, if_not_exists, validate_only } = self;
        let name = topic.name.clone();
        let call = CreateTopics { if_not_exists, validate_only, ..CreateTopics::new([topic]) };
        admin.one(call, name, deadline).await
    }
}

impl Operation for CreateTopics {
    type Output = Results<TopicName, CreatedTopic>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let names: Vec<TopicName> = self.topics.keys().cloned().collect();
        admin.all(self, names, deadline).await
    }
}

impl Operation for DeleteTopic {
    type Output = Result<(), AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let Self { topic, if_exists } = self;
        let call = DeleteTopics { topics: BTreeSet::new(), if_exists };
        admin.one(call, topic, deadline).await
    }
}

impl Operation for DeleteTopics {
    type Output = Results<TopicName, ()>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let names = self.topics.clone();
        admin.all(self, names, deadline).await
    }
}

impl Operation for CreatePartitions {
    type Output = Results<TopicName, ()>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let names: Vec<TopicName> = self.topics.keys().cloned().collect();
        admin.all(self, names, deadline).await
    }
}

impl Operation for DescribeTopic {
    type Output = Result<TopicDescription, AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let call = DescribeTopics { topics: BTreeSet::new() };
        admin.one(call, self.topic, deadline).await
    }
}

impl Operation for DescribeTopics {
    type Output = Results<TopicName, TopicDescription>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let names = self.topics.clone();
        admin.all(self, names, deadline).await
    }
}

impl Operation for ListTopics {
    type Output = Result<Vec<TopicDescription>, AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        admin.one(self, (), deadline).await
    }
}

fn all(names: impl IntoIterator<Item = impl Into<TopicName>>) -> BTreeSet<TopicName> {
    names.into_iter().map(Into::into).collect()
}
