//! What topics there are, and what they are like.

use std::collections::BTreeSet;

use ottla_core::cluster::PartitionInfo;
use ottla_core::error::ErrorCode;
use ottla_core::types::{LeaderEpoch, NodeId, TopicName, Uuid};
use ottla_protocol::messages::metadata::{
    MetadataRequestTopic, MetadataResponsePartition, MetadataResponseTopic,
};
use ottla_protocol::messages::{MetadataRequest, MetadataResponse};

use crate::call::{AdminCall, Asked, Route, Settled, check_code};

/// A topic, as the cluster describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicDescription {
    /// Its name.
    pub name: TopicName,
    /// Its id; `None` where the broker is older than Kafka 2.8.
    pub id: Option<Uuid>,
    /// Whether it is one of Kafka's own, such as `__consumer_offsets`.
    pub internal: bool,
    /// Its partitions: partition *n* is at index *n*.
    pub partitions: Vec<PartitionInfo>,
}

/// Describes several topics.
#[derive(Debug)]
pub struct DescribeTopics {
    pub(crate) topics: BTreeSet<TopicName>,
}

/// Describes one topic.
#[derive(Debug)]
pub struct DescribeTopic {
    pub(crate) topic: TopicName,
}

/// Describes all topics.
#[derive(Debug)]
pub struct ListTopics {
    pub(crate) with_internal: bool,
}

impl AdminCall for DescribeTopics {
    type Key = TopicName;
    type Request = MetadataRequest;
    type Value = TopicDescription;

    fn subject(&self, name: &TopicName) -> String {
        format!("describe topic {name}")
    }

    fn route(&self, _: &TopicName) -> Route {
        Route::AnyBroker
    }

    fn request(&self, asked: &Asked<'_, TopicName>) -> MetadataRequest {
        let topic = |name: &TopicName| MetadataRequestTopic {
            name: Some(name.to_wire()),
            ..MetadataRequestTopic::default()
        };
        request(Some(asked.keys.iter().map(topic).collect()))
    }

    fn settle(
        &self,
        asked: &Asked<'_, TopicName>,
        response: MetadataResponse,
    ) -> Vec<(TopicName, Settled<TopicDescription>)> {
        if let Err(refusal) = check_code(response.error_code) {
            return asked.refused(&refusal);
        }
        let settled = response.topics.into_iter().filter_map(|topic| {
            let name = TopicName::from(topic.name.clone()?);
            Some((name.clone(), describe(name, &topic)))
        });
        settled.collect()
    }

    fn is_final(&self, code: ErrorCode) -> bool {
        code == ErrorCode::UnknownTopicOrPartition
    }
}

impl AdminCall for ListTopics {
    type Key = ();
    type Request = MetadataRequest;
    type Value = Vec<TopicDescription>;

    fn subject(&self, (): &()) -> String {
        "list topics".into()
    }

    fn route(&self, (): &()) -> Route {
        Route::AnyBroker
    }

    fn request(&self, _: &Asked<'_, ()>) -> MetadataRequest {
        request(None)
    }

    /// A topic that cannot be described now, because it comes or goes, is passed over.
    fn settle(
        &self,
        _: &Asked<'_, ()>,
        response: MetadataResponse,
    ) -> Vec<((), Settled<Vec<TopicDescription>>)> {
        let listed = response.topics.into_iter().filter_map(|topic| {
            let described = describe(topic.name.clone()?.into(), &topic).ok()?;
            (self.with_internal || !described.internal).then_some(described)
        });
        let mut listed: Vec<_> = listed.collect();
        listed.sort_by(|one, other| one.name.cmp(&other.name));
        vec![((), check_code(response.error_code).map(|()| listed))]
    }
}

/// Never lets a topic come to be by being asked for.
fn request(topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
    MetadataRequest { topics, allow_auto_topic_creation: false, ..MetadataRequest::default() }
}

fn describe(name: TopicName, topic: &MetadataResponseTopic) -> Settled<TopicDescription> {
    check_code(topic.error_code)?;
    let mut partitions: Vec<&MetadataResponsePartition> = topic.partitions.iter().collect();
    partitions.sort_by_key(|partition| partition.partition_index);
    let is_whole = (0..).zip(&partitions).all(|(index, it)| it.partition_index == index);
    if !is_whole {
        // Between two partitions that were made together: the next answer has them all.
        return Err(ErrorCode::LeaderNotAvailable.into());
    }
    Ok(TopicDescription {
        name,
        id: Some(topic.topic_id).filter(|id| !id.is_zero()),
        internal: topic.is_internal,
        partitions: partitions.into_iter().map(partition).collect(),
    })
}

fn partition(partition: &MetadataResponsePartition) -> PartitionInfo {
    let nodes = |ids: &[i32]| ids.iter().filter_map(|id| NodeId::from_wire(*id)).collect();
    PartitionInfo {
        leader: NodeId::from_wire(partition.leader_id),
        leader_epoch: LeaderEpoch::from_wire(partition.leader_epoch),
        replicas: nodes(&partition.replica_nodes),
        in_sync: nodes(&partition.isr_nodes),
        offline: nodes(&partition.offline_replicas),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn asking_for_a_topic_never_makes_it() {
        let request = DescribeTopics { topics: BTreeSet::new() }.request(&asked(&["a".into()], 12));
        assert!(!request.allow_auto_topic_creation);
    }

    #[test]
    fn what_is_refused_as_a_whole_is_refused_for_every_topic() {
        let keys = ["a".into(), "b".into()];
        let code = ErrorCode::RebootstrapRequired;
        let response = MetadataResponse { error_code: code.code(), ..MetadataResponse::default() };
        let call = DescribeTopics { topics: BTreeSet::new() };
        let settled = call.settle(&asked(&keys, 13), response);
        assert_eq!(settled, keys.map(|key| (key, Err(code.into()))));
    }

    #[test]
    fn partitions_stand_at_their_index() {
        let described = describe("a".into(), &topic(&[1, 0])).unwrap();
        let leaders: Vec<_> = described.partitions.iter().map(|it| it.leader.unwrap()).collect();
        assert_eq!(leaders.iter().map(|node| node.number()).collect::<Vec<_>>(), [10, 11]);
    }

    #[test]
    fn a_topic_with_a_gap_is_asked_for_again() {
        assert_eq!(
            describe("a".into(), &topic(&[0, 2])),
            Err(ErrorCode::LeaderNotAvailable.into())
        );
    }

    #[test]
    fn a_partition_without_leader_is_described_all_the_same() {
        let mut topic = topic(&[0]);
        topic.partitions[0].leader_id = -1;
        topic.partitions[0].error_code = ErrorCode::LeaderNotAvailable.code();
        assert_eq!(describe("a".into(), &topic).unwrap().partitions[0].leader, None);
    }

    #[test]
    fn internal_topics_are_listed_only_when_asked_for() {
        let internal = MetadataResponseTopic { is_internal: true, ..topic(&[0]) };
        let response = MetadataResponse { topics: vec![internal], ..MetadataResponse::default() };
        let list = |with_internal| {
            let mut settled =
                ListTopics { with_internal }.settle(&asked(&[()], 12), response.clone());
            settled.remove(0).1.unwrap().len()
        };
        assert_eq!((list(false), list(true)), (0, 1));
    }

    fn topic(partitions: &[i32]) -> MetadataResponseTopic {
        let partition = |index: &i32| MetadataResponsePartition {
            partition_index: *index,
            leader_id: 10 + index,
            ..MetadataResponsePartition::default()
        };
        MetadataResponseTopic {
            name: Some("a".into()),
            partitions: partitions.iter().map(partition).collect(),
            ..MetadataResponseTopic::default()
        }
    }
}
