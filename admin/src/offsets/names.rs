//! The names of topics that are known by their ids.

use ottla_core::error::ErrorCode;
use ottla_core::types::{TopicName, Uuid};
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::{MetadataRequest, MetadataResponse};

use crate::call::{AdminCall, Asked, Route, Settled, check_code};

/// Finds the names of topics that are known by their ids.
#[derive(Debug)]
pub(crate) struct TopicNames;

impl AdminCall for TopicNames {
    type Key = Uuid;
    type Request = MetadataRequest;
    type Value = TopicName;

    fn subject(&self, id: &Uuid) -> String {
        format!("find the name of topic {id}")
    }

    fn route(&self, _: &Uuid) -> Route {
        Route::AnyBroker
    }

    fn request(&self, asked: &Asked<'_, Uuid>) -> MetadataRequest {
        let topic = |id: &Uuid| MetadataRequestTopic {
            topic_id: *id,
            name: None,
            ..MetadataRequestTopic::default()
        };
        MetadataRequest {
            topics: Some(asked.keys.iter().map(topic).collect()),
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        }
    }

    fn settle(
        &self,
        asked: &Asked<'_, Uuid>,
        response: MetadataResponse,
    ) -> Vec<(Uuid, Settled<TopicName>)> {
        if let Err(refusal) = check_code(response.error_code) {
            return asked.refused(&refusal);
        }
        let settled = response.topics.into_iter().map(|topic| {
            let name = topic.name.filter(|name| !name.is_empty());
            let found = check_code(topic.error_code)
                .and_then(|()| name.ok_or_else(|| ErrorCode::UnknownTopicId.into()));
            (topic.topic_id, found.map(TopicName::from))
        });
        settled.collect()
    }

    fn is_final(&self, code: ErrorCode) -> bool {
        code == ErrorCode::UnknownTopicId
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::metadata::MetadataResponseTopic;

    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn a_topic_without_a_name_is_unknown() {
        let id = Uuid::from_bytes([7; 16]);
        let topic = MetadataResponseTopic { topic_id: id, ..MetadataResponseTopic::default() };
        let response = MetadataResponse { topics: vec![topic], ..MetadataResponse::default() };
        let settled = TopicNames.settle(&asked(&[id], 12), response);
        assert_eq!(settled, [(id, Err(ErrorCode::UnknownTopicId.into()))]);
    }

    #[test]
    fn what_is_refused_as_a_whole_is_refused_for_every_id() {
        let id = Uuid::from_bytes([7; 16]);
        let code = ErrorCode::RebootstrapRequired;
        let response = MetadataResponse { error_code: code.code(), ..MetadataResponse::default() };
        let settled = TopicNames.settle(&asked(&[id], 13), response);
        assert_eq!(settled, [(id, Err(code.into()))]);
    }

    #[test]
    fn topics_are_asked_for_by_id_alone() {
        let id = Uuid::from_bytes([7; 16]);
        let topics = TopicNames.request(&asked(&[id], 12)).topics.unwrap();
        assert_eq!((topics[0].topic_id, &topics[0].name), (id, &None));
    }
}
