//! Topics grow.

use ottla_protocol::messages::create_partitions::{
    CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use ottla_protocol::messages::{CreatePartitionsRequest, CreatePartitionsResponse};
use ottla_protocol::{ByteString, ErrorCode};

use super::placement::{manual_growth, spread};
use super::{MAX_PARTITIONS, duplicates};
use crate::api::Refused;
use crate::world::catalog::TopicKey;
use crate::world::{Context, World};

pub(in crate::api) fn create_partitions(
    world: &mut World,
    cx: &Context,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let more = request.topics.iter().map(|topic| growth(world, topic));
    if more.fold(0, usize::saturating_add) > MAX_PARTITIONS {
        let reason = "Excessively large number of additional partitions per request.";
        let refused = || Err(Refused::new(ErrorCode::PolicyViolation, reason));
        let results = request.topics.into_iter().map(|topic| grown_row(topic.name, refused()));
        return CreatePartitionsResponse { results: results.collect(), ..Default::default() };
    }
    let twice = duplicates(request.topics.iter().map(|topic| &topic.name));
    let duplicate = || Refused::new(ErrorCode::InvalidRequest, "Duplicate topic name.");
    let mut results: Vec<_> =
        twice.iter().map(|name| grown_row(name.clone(), Err(duplicate()))).collect();
    for topic in request.topics.into_iter().filter(|topic| !twice.contains(&topic.name)) {
        let grown = grow(world, cx, &topic, request.validate_only);
        results.push(grown_row(topic.name, grown));
    }
    CreatePartitionsResponse { results, ..Default::default() }
}

/// How many partitions a request adds to a topic.
fn growth(world: &World, wanted: &CreatePartitionsTopic) -> usize {
    let topic = world.catalog.topic(TopicKey::Name(&wanted.name));
    let count = usize::try_from(wanted.count).unwrap_or(0);
    topic.map_or(0, |topic| count.saturating_sub(topic.partitions.len()))
}

fn grown_row(name: ByteString, grown: Result<(), Refused>) -> CreatePartitionsTopicResult {
    let refused = grown.err().unwrap_or_else(|| ErrorCode::None.into());
    let (error_code, error_message) = (refused.code.code(), refused.message.map(Into::into));
    CreatePartitionsTopicResult { name, error_code, error_message, ..Default::default() }
}

fn grow(
    world: &mut World,
    cx: &Context,
    wanted: &CreatePartitionsTopic,
    validate_only: bool,
) -> Result<(), Refused> {
    cx.item(&wanted.name, -1)?;
    let topic = world.catalog.topic(TopicKey::Name(&wanted.name))?;
    let (id, replicas, now) = (topic.id, topic.replication_factor(), topic.partitions.len());
    let count = usize::try_from(wanted.count).unwrap_or(0);
    let more = match count.checked_sub(now) {
        Some(0) => Err(format!("Topic already has {now} partition(s).")),
        Some(more) => Ok(more),
        None => Err(format!(
            "The topic {} currently has {now} partition(s); {} would not be an increase.",
            wanted.name, wanted.count
        )),
    };
    let more = more.map_err(|reason| Refused::new(ErrorCode::InvalidPartitions, reason))?;
    let assignment = match wanted.assignments.as_deref() {
        None => spread(&world.catalog, now, more, replicas)?,
        Some(given) => manual_growth(&world.catalog, given, (now, more), replicas)?,
    };
    if !validate_only {
        world.catalog.extend(id, assignment);
    }
    Ok(())
}
