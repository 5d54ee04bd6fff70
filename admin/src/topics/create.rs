//! Creating topics.

use std::collections::BTreeMap;

use ottla_core::error::ErrorCode;
use ottla_core::types::{NodeId, TopicName, Uuid};
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
};
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};

use crate::call::{AdminCall, Asked, Route, Settled, check};

/// A topic that is to be created.
///
/// # Kafka
///
/// Java's `NewTopic`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTopic {
    pub(crate) name: TopicName,
    pub(crate) partitions: Option<i32>,
    pub(crate) replication: Option<i16>,
    pub(crate) assignment: Vec<Vec<NodeId>>,
    pub(crate) configs: BTreeMap<String, String>,
}

impl NewTopic {
    /// A topic with the brokers' default numbers of partitions and replicas.
    pub fn new(name: impl Into<TopicName>) -> Self {
        Self {
            name: name.into(),
            partitions: None,
            replication: None,
            assignment: Vec::new(),
            configs: BTreeMap::new(),
        }
    }

    /// With so many partitions; without this, `num.partitions` of the brokers.
    #[must_use]
    pub fn partitions(self, partitions: i32) -> Self {
        Self { partitions: Some(partitions), ..self }
    }

    /// With so many replicas of each partition; without this, `default.replication.factor` of the
    /// brokers.
    #[must_use]
    pub fn replication(self, replicas: i16) -> Self {
        Self { replication: Some(replicas), ..self }
    }

    /// With these replicas: one list for each partition from 0 on, the preferred leader first. It
    /// takes the place of [`partitions`](Self::partitions) and [`replication`](Self::replication).
    #[must_use]
    pub fn assignment(self, replicas: impl IntoIterator<Item = Vec<NodeId>>) -> Self {
        Self { assignment: replicas.into_iter().collect(), ..self }
    }

    /// With a topic setting, by Kafka's name.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.insert(name.into(), value.into());
        self
    }

    fn to_wire(&self) -> CreatableTopic {
        let Self { name, partitions, replication, assignment, configs } = self;
        let is_manual = !assignment.is_empty();
        let replicas = |(partition_index, nodes): (i32, &Vec<NodeId>)| CreatableReplicaAssignment {
            partition_index,
            broker_ids: nodes.iter().map(|node| node.number()).collect(),
            ..CreatableReplicaAssignment::default()
        };
        let config = |(name, value): (&String, &String)| CreatableTopicConfig {
            name: name.as_str().into(),
            value: Some(value.as_str().into()),
            ..CreatableTopicConfig::default()
        };
        CreatableTopic {
            name: name.to_wire(),
            num_partitions: partitions.filter(|_| !is_manual).unwrap_or(-1),
            replication_factor: replication.filter(|_| !is_manual).unwrap_or(-1),
            assignments: (0..).zip(assignment).map(replicas).collect(),
            configs: configs.iter().map(config).collect(),
            ..CreatableTopic::default()
        }
    }
}

impl From<&str> for NewTopic {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// A topic that was created, or that would have been.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedTopic {
    /// Whether it was there before, which only `if_not_exists` lets pass. Nothing else is known of
    /// it then: it may have other partitions and settings than were asked for. It may also have
    /// been created by an earlier attempt of the same call, whose answer was lost.
    pub existed: bool,
    /// Its id; `None` if it was only validated, existed, or the broker is older than Kafka 2.8.
    pub id: Option<Uuid>,
    /// How many partitions it has; `None` if it existed or the broker does not say.
    pub partitions: Option<i32>,
    /// How many replicas each partition has; `None` if it existed or the broker does not say.
    pub replication: Option<i16>,
}

/// Creates several topics.
#[derive(Debug)]
pub struct CreateTopics {
    pub(crate) topics: BTreeMap<TopicName, NewTopic>,
    pub(crate) if_not_exists: bool,
    pub(crate) validate_only: bool,
}

/// Creates one topic.
#[derive(Debug)]
pub struct CreateTopic {
    pub(crate) topic: NewTopic,
    pub(crate) if_not_exists: bool,
    pub(crate) validate_only: bool,
}

impl CreateTopics {
    pub(crate) fn new(topics: impl IntoIterator<Item = NewTopic>) -> Self {
        let topics = topics.into_iter().map(|topic| (topic.name.clone(), topic)).collect();
        Self { topics, if_not_exists: false, validate_only: false }
    }

    fn settle_one(&self, result: CreatableTopicResult) -> Settled<CreatedTopic> {
        let existed = CreatedTopic { existed: true, id: None, partitions: None, replication: None };
        match check(result.error_code, result.error_message) {
            Err(refusal) if self.if_not_exists && refusal.code == ErrorCode::TopicAlreadyExists => {
                Ok(existed)
            }
            Err(refusal) => Err(refusal),
            Ok(()) => Ok(CreatedTopic {
                existed: false,
                // Brokers make up an id for what they only validate.
                id: Some(result.topic_id).filter(|id| !id.is_zero() && !self.validate_only),
                partitions: Some(result.num_partitions).filter(|count| *count > 0),
                replication: Some(result.replication_factor).filter(|count| *count > 0),
            }),
        }
    }
}

impl AdminCall for CreateTopics {
    type Key = TopicName;
    type Request = CreateTopicsRequest;
    type Value = CreatedTopic;

    fn subject(&self, name: &TopicName) -> String {
        let verb = if self.validate_only { "validate" } else { "create" };
        format!("{verb} topic {name}")
    }

    fn route(&self, _: &TopicName) -> Route {
        Route::Controller
    }

    fn request(&self, asked: &Asked<'_, TopicName>) -> CreateTopicsRequest {
        let topics = asked.keys.iter().filter_map(|name| self.topics.get(name));
        CreateTopicsRequest {
            topics: topics.map(NewTopic::to_wire).collect(),
            timeout_ms: asked.timeout_ms(),
            validate_only: self.validate_only,
            ..CreateTopicsRequest::default()
        }
    }

    fn settle(
        &self,
        _: &Asked<'_, TopicName>,
        response: CreateTopicsResponse,
    ) -> Vec<(TopicName, Settled<CreatedTopic>)> {
        let settled = response.topics.into_iter();
        settled.map(|result| (result.name.clone().into(), self.settle_one(result))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::{asked, refusal};

    #[test]
    fn what_is_not_said_is_the_brokers_default() {
        let topic = request(NewTopic::new("orders"));
        assert_eq!((topic.num_partitions, topic.replication_factor), (-1, -1));
        assert!(topic.assignments.is_empty() && topic.configs.is_empty());
    }

    #[test]
    fn an_assignment_takes_the_place_of_numbers() {
        let nodes = |ids: &[i32]| ids.iter().filter_map(|id| NodeId::from_wire(*id)).collect();
        let topic = NewTopic::new("orders").partitions(9).replication(9);
        let topic = request(topic.assignment([nodes(&[1, 2]), nodes(&[2, 3])]));
        assert_eq!((topic.num_partitions, topic.replication_factor), (-1, -1));
        let second = &topic.assignments[1];
        assert_eq!((second.partition_index, &second.broker_ids[..]), (1, &[2, 3][..]));
    }

    #[test]
    fn a_topic_that_exists_is_a_result_only_if_that_was_asked_for() {
        let exists = ErrorCode::TopicAlreadyExists;
        let mut call = CreateTopics::new(["orders".into()]);
        assert_eq!(call.settle_one(row(exists)), Err(refusal(exists, "why")));
        call.if_not_exists = true;
        assert!(call.settle_one(row(exists)).unwrap().existed);
        assert!(call.settle_one(row(ErrorCode::InvalidPartitions)).is_err());
    }

    #[test]
    fn what_the_broker_does_not_say_is_unknown() {
        let silent = CreatableTopicResult::default();
        let created = CreateTopics::new(["orders".into()]).settle_one(silent).unwrap();
        assert_eq!((created.existed, created.id, created.replication), (false, None, None));
    }

    fn request(topic: NewTopic) -> CreatableTopic {
        let key = [topic.name.clone()];
        CreateTopics::new([topic]).request(&asked(&key, 7)).topics.remove(0)
    }

    fn row(code: ErrorCode) -> CreatableTopicResult {
        CreatableTopicResult {
            error_code: code.code(),
            error_message: Some("why".into()),
            ..CreatableTopicResult::default()
        }
    }
}
