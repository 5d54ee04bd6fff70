//! Topics go.

use ottla_protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use crate::api::Refused;
use crate::world::catalog::TopicKey;
use crate::world::{Context, World};

pub(in crate::api) fn delete(
    world: &mut World,
    cx: &Context,
    request: DeleteTopicsRequest,
) -> DeleteTopicsResponse {
    let by_name = |name| DeleteTopicState { name: Some(name), ..Default::default() };
    let wanted = match cx.version {
        6.. => request.topics,
        _ => request.topic_names.into_iter().map(by_name).collect(),
    };
    let rows = wanted.into_iter().map(|topic| delete_one(world, cx, topic));
    DeleteTopicsResponse { responses: rows.collect(), ..Default::default() }
}

fn delete_one(world: &mut World, cx: &Context, topic: DeleteTopicState) -> DeletableTopicResult {
    let outcome = find_to_delete(world, cx, &topic);
    if let Ok((id, _)) = outcome {
        world.drop_topic(id);
    }
    let refused = outcome.as_ref().err().cloned();
    let (topic_id, name) = match outcome {
        Ok((id, name)) => (id, Some(name)),
        Err(_) => (topic.topic_id, topic.name),
    };
    DeletableTopicResult {
        name,
        topic_id,
        error_code: refused.as_ref().map_or(0, |refused| refused.code.code()),
        error_message: refused.and_then(|refused| refused.message).map(Into::into),
        ..Default::default()
    }
}

fn find_to_delete(
    world: &World,
    cx: &Context,
    topic: &DeleteTopicState,
) -> Result<(Uuid, ByteString), Refused> {
    let name = topic.name.as_deref();
    if name.is_some() && !topic.topic_id.is_zero() {
        let reason = "You may not specify both topic name and topic id.";
        return Err(Refused::new(ErrorCode::InvalidRequest, reason));
    }
    if !world.settings.flag("delete.topic.enable") {
        return Err(ErrorCode::TopicDeletionDisabled.into());
    }
    let key = TopicKey::of(name.unwrap_or_default(), topic.topic_id, name.is_none());
    let found = world.catalog.topic(key)?;
    cx.item(&found.name, -1)?;
    Ok((found.id, found.name.clone()))
}

impl World {
    /// Drops a topic's logs and committed offsets, and wakes who waits on them.
    fn drop_topic(&mut self, id: Uuid) {
        let Some(topic) = self.catalog.delete(id) else { return };
        self.groups.handle_topic_deleted(&topic.name);
        for index in (0..).take(topic.partitions.len()) {
            self.wake_partition(id, index);
        }
    }
}
