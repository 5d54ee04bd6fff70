//! Deleting topics.

use std::collections::BTreeSet;

use ottla_core::error::ErrorCode;
use ottla_core::types::TopicName;
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};

use crate::call::{AdminCall, Asked, Route, Settled, check};

/// Deletes several topics.
#[derive(Debug)]
pub struct DeleteTopics {
    pub(crate) topics: BTreeSet<TopicName>,
    pub(crate) if_exists: bool,
}

/// Deletes one topic.
#[derive(Debug)]
pub struct DeleteTopic {
    pub(crate) topic: TopicName,
    pub(crate) if_exists: bool,
}

impl AdminCall for DeleteTopics {
    type Key = TopicName;
    type Request = DeleteTopicsRequest;
    type Value = ();

    fn subject(&self, name: &TopicName) -> String {
        format!("delete topic {name}")
    }

    fn route(&self, _: &TopicName) -> Route {
        Route::Controller
    }

    fn request(&self, asked: &Asked<'_, TopicName>) -> DeleteTopicsRequest {
        let names = || asked.keys.iter().map(TopicName::to_wire);
        let by_name = |name| DeleteTopicState { name: Some(name), ..DeleteTopicState::default() };
        // Version 6 can name them by id as well, and has another field for that.
        let has_states = asked.version >= 6;
        DeleteTopicsRequest {
            topics: if has_states { names().map(by_name).collect() } else { Vec::new() },
            topic_names: if has_states { Vec::new() } else { names().collect() },
            timeout_ms: asked.timeout_ms(),
            ..DeleteTopicsRequest::default()
        }
    }

    fn settle(
        &self,
        _: &Asked<'_, TopicName>,
        response: DeleteTopicsResponse,
    ) -> Vec<(TopicName, Settled<()>)> {
        let settled = response.responses.into_iter().filter_map(|row| {
            let deleted = match check(row.error_code, row.error_message) {
                Err(refusal)
                    if self.if_exists && refusal.code == ErrorCode::UnknownTopicOrPartition =>
                {
                    Ok(())
                }
                other => other,
            };
            Some((row.name?.into(), deleted))
        });
        settled.collect()
    }

    fn is_final(&self, code: ErrorCode) -> bool {
        code == ErrorCode::UnknownTopicOrPartition
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::messages::delete_topics::DeletableTopicResult;

    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn each_version_has_the_names_where_it_wants_them() {
        let keys = ["a".into(), "b".into()];
        let new = call(false).request(&asked(&keys, 6));
        assert_eq!((new.topics.len(), new.topic_names.len()), (2, 0));
        let old = call(false).request(&asked(&keys, 5));
        assert_eq!((old.topics.len(), old.topic_names.len()), (0, 2));
    }

    #[test]
    fn a_topic_that_is_gone_already_may_be_fine() {
        let row = DeletableTopicResult {
            name: Some("a".into()),
            error_code: ErrorCode::UnknownTopicOrPartition.code(),
            ..DeletableTopicResult::default()
        };
        let response =
            DeleteTopicsResponse { responses: vec![row], ..DeleteTopicsResponse::default() };
        let keys = ["a".into()];
        let settle =
            |call: DeleteTopics| call.settle(&asked(&keys, 6), response.clone()).remove(0).1;
        assert!(settle(call(false)).is_err());
        assert_eq!(settle(call(true)), Ok(()));
    }

    fn call(if_exists: bool) -> DeleteTopics {
        DeleteTopics { topics: BTreeSet::new(), if_exists }
    }
}
