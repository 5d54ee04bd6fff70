//! Topics go.

use std::collections::BTreeMap;

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
    let wanted: Vec<DeleteTopicState> = match cx.version {
        6.. => request.topics,
        _ => request.topic_names.into_iter().map(by_name).collect(),
    };
    let responses = if world.settings.flag("delete.topic.enable") {
        delete_all(world, cx, wanted)
    } else {
        let code = match cx.version {
            ..FIRST_WITH_DISABLED => ErrorCode::InvalidRequest,
            _ => ErrorCode::TopicDeletionDisabled,
        };
        wanted.into_iter().map(|t| row(t.name, t.topic_id, Err(code.into()))).collect()
    };
    DeleteTopicsResponse { responses, ..Default::default() }
}

/// What is named twice, in whichever way, is refused and stays.
fn delete_all(
    world: &mut World,
    cx: &Context,
    wanted: Vec<DeleteTopicState>,
) -> Vec<DeletableTopicResult> {
    let mut rows = Vec::new();
    let mut names = BTreeMap::<ByteString, usize>::new();
    let mut ids = BTreeMap::<Uuid, usize>::new();
    for DeleteTopicState { name, topic_id, .. } in wanted {
        match (name, topic_id.is_zero()) {
            (Some(name), true) => *names.entry(name).or_default() += 1,
            (None, false) => *ids.entry(topic_id).or_default() += 1,
            (None, true) => {
                let reason = "Neither topic name nor id were specified.";
                rows.push(row(None, topic_id, refuse(reason)));
            }
            (name, false) => {
                let reason = "You may not specify both topic name and topic id.";
                rows.push(row(name, topic_id, refuse(reason)));
            }
        }
    }
    for (name, times) in names {
        let found = find(world, cx, TopicKey::Name(&name)).map(|(id, _)| id);
        rows.push(match found {
            _ if times > 1 => row(Some(name), Uuid::ZERO, refuse("Duplicate topic name.")),
            Ok(id) if ids.contains_key(&id) => {
                let reason = "The provided topic name maps to an ID that was already supplied.";
                // The id's own row is only left out where there would be a topic to delete.
                ids.retain(|other, times| *other != id || *times > 1);
                row(Some(name), id, refuse(reason))
            }
            Ok(id) => {
                world.drop_topic(id);
                row(Some(name), id, Ok(()))
            }
            Err(refused) => row(Some(name), Uuid::ZERO, Err(refused)),
        });
    }
    for (id, times) in ids {
        rows.push(match find(world, cx, TopicKey::Id(id)) {
            _ if times > 1 => row(None, id, refuse("Duplicate topic id.")),
            Ok((id, name)) => {
                world.drop_topic(id);
                row(Some(name), id, Ok(()))
            }
            Err(refused) => row(None, id, Err(refused)),
        });
    }
    rows
}

fn find(world: &World, cx: &Context, key: TopicKey<'_>) -> Result<(Uuid, ByteString), Refused> {
    let found = world.catalog.topic(key)?;
    cx.item(&found.name, -1)?;
    Ok((found.id, found.name.clone()))
}

fn refuse(reason: &str) -> Result<(), Refused> {
    Err(Refused::new(ErrorCode::InvalidRequest, reason))
}

fn row(
    name: Option<ByteString>,
    topic_id: Uuid,
    outcome: Result<(), Refused>,
) -> DeletableTopicResult {
    let refused = outcome.err().unwrap_or_else(|| ErrorCode::None.into());
    DeletableTopicResult {
        name,
        topic_id,
        error_code: refused.code.code(),
        error_message: refused.message.map(Into::into),
        ..Default::default()
    }
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

/// The first version whose clients know `TOPIC_DELETION_DISABLED`.
const FIRST_WITH_DISABLED: i16 = 3;
