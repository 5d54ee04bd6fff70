//! Giving topics more partitions.

use std::collections::BTreeMap;

use ottla_core::error::ErrorCode;
use ottla_core::types::{NodeId, TopicName};
use ottla_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

use crate::call::{AdminCall, Asked, Route, Settled, check};

/// How many partitions a topic is to have. Partitions are never taken away.
///
/// # Kafka
///
/// Java's `NewPartitions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPartitions {
    pub(crate) topic: TopicName,
    pub(crate) total: i32,
    pub(crate) assignment: Vec<Vec<NodeId>>,
}

impl NewPartitions {
    /// Lets `topic` have `total` partitions, those it has included.
    pub fn to(topic: impl Into<TopicName>, total: i32) -> Self {
        Self { topic: topic.into(), total, assignment: Vec::new() }
    }

    /// With these replicas: one list for each partition that is new, the preferred leader first.
    #[must_use]
    pub fn assignment(self, replicas: impl IntoIterator<Item = Vec<NodeId>>) -> Self {
        Self { assignment: replicas.into_iter().collect(), ..self }
    }

    fn to_wire(&self) -> CreatePartitionsTopic {
        let Self { topic, total, assignment } = self;
        let replicas = |nodes: &Vec<NodeId>| CreatePartitionsAssignment {
            broker_ids: nodes.iter().map(|node| node.number()).collect(),
            ..CreatePartitionsAssignment::default()
        };
        let assignments: Vec<_> = assignment.iter().map(replicas).collect();
        CreatePartitionsTopic {
            name: topic.to_wire(),
            count: *total,
            assignments: Some(assignments).filter(|assignments| !assignments.is_empty()),
            ..CreatePartitionsTopic::default()
        }
    }
}

impl<T: Into<TopicName>> From<(T, i32)> for NewPartitions {
    fn from((topic, total): (T, i32)) -> Self {
        Self::to(topic, total)
    }
}

/// Gives topics more partitions.
#[derive(Debug)]
pub struct CreatePartitions {
    pub(crate) topics: BTreeMap<TopicName, NewPartitions>,
    pub(crate) validate_only: bool,
}

impl AdminCall for CreatePartitions {
    type Key = TopicName;
    type Request = CreatePartitionsRequest;
    type Value = ();

    fn subject(&self, name: &TopicName) -> String {
        format!("create partitions of topic {name}")
    }

    fn route(&self, _: &TopicName) -> Route {
        Route::Controller
    }

    fn request(&self, asked: &Asked<'_, TopicName>) -> CreatePartitionsRequest {
        let topics = asked.keys.iter().filter_map(|name| self.topics.get(name));
        CreatePartitionsRequest {
            topics: topics.map(NewPartitions::to_wire).collect(),
            timeout_ms: asked.timeout_ms(),
            validate_only: self.validate_only,
            ..CreatePartitionsRequest::default()
        }
    }

    fn settle(
        &self,
        _: &Asked<'_, TopicName>,
        response: CreatePartitionsResponse,
    ) -> Vec<(TopicName, Settled<()>)> {
        let settled = response.results.into_iter();
        settled.map(|row| (row.name.into(), check(row.error_code, row.error_message))).collect()
    }

    fn is_final(&self, code: ErrorCode) -> bool {
        code == ErrorCode::UnknownTopicOrPartition
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn without_an_assignment_the_broker_chooses() {
        let node = NodeId::from_wire(1).unwrap();
        let topics =
            [NewPartitions::to("a", 4), NewPartitions::to("b", 2).assignment([vec![node]])];
        let topics: BTreeMap<_, _> =
            topics.into_iter().map(|topic| (topic.topic.clone(), topic)).collect();
        let keys: Vec<_> = topics.keys().cloned().collect();
        let call = CreatePartitions { topics, validate_only: true };
        let request = call.request(&asked(&keys, 3));
        assert!(request.validate_only);
        assert_eq!((request.topics[0].count, &request.topics[0].assignments), (4, &None));
        assert_eq!(request.topics[1].assignments.as_ref().map(Vec::len), Some(1));
    }
}
