//! Topics come and go, and grow.

use std::collections::{BTreeMap, BTreeSet};

use ottla_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic, CreatePartitionsTopicResult,
};
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfigs, CreatableTopicResult,
};
use ottla_protocol::messages::delete_topics::{DeletableTopicResult, DeleteTopicState};
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse,
};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::{Refused, configs};
use crate::world::catalog::TopicKey;
use crate::world::config::{Values, check_topic};
use crate::world::{Context, NodeId, World};

/// What a topic is to be.
#[derive(Debug)]
struct Plan {
    assignment: Vec<Vec<NodeId>>,
    overrides: Values,
}

pub(super) fn create(
    world: &mut World,
    cx: &Context,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    if let Err(refused) = check_size(world, &request) {
        let refused = || refused.clone();
        let topics = request.topics.iter().map(|topic| refused_row(&topic.name, refused()));
        return CreateTopicsResponse { topics: topics.collect(), ..Default::default() };
    }
    let twice = duplicates(request.topics.iter().map(|topic| &topic.name));
    let mut topics: Vec<CreatableTopicResult> = twice.iter().map(duplicate_row).collect();
    for topic in request.topics.iter().filter(|topic| !twice.contains(&topic.name)) {
        let created = create_one(world, cx, topic, request.validate_only);
        topics.push(created.unwrap_or_else(|refused| refused_row(&topic.name, refused)));
    }
    CreateTopicsResponse { topics, ..Default::default() }
}

/// Kafka bounds the partitions of a request, and the metadata records that come of it: one for each
/// topic, setting and partition.
fn check_size(world: &World, request: &CreateTopicsRequest) -> Result<(), Refused> {
    let default = usize::try_from(world.settings.number("num.partitions")).unwrap_or(1);
    let partitions_of =
        |topic: &CreatableTopic| match (&topic.assignments[..], topic.num_partitions) {
            ([], -1) => default,
            ([], count) => usize::try_from(count).unwrap_or(0),
            (assignments, _) => assignments.len(),
        };
    let partitions = request.topics.iter().map(partitions_of).fold(0, usize::saturating_add);
    let others: usize = request.topics.iter().map(|topic| 1 + topic.configs.len()).sum();
    let reason = if partitions > MAX_PARTITIONS {
        "Excessively large number of partitions per request."
    } else if partitions + others > MAX_PARTITIONS {
        "Unable to perform excessively large batch operation."
    } else {
        return Ok(());
    };
    Err(Refused::new(ErrorCode::PolicyViolation, reason))
}

fn duplicates<'a>(names: impl Iterator<Item = &'a ByteString>) -> BTreeSet<ByteString> {
    let mut once = BTreeSet::new();
    names.filter(|name| !once.insert(*name)).cloned().collect()
}

fn duplicate_row(name: &ByteString) -> CreatableTopicResult {
    refused_row(name, Refused::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
}

fn refused_row(name: &ByteString, refused: Refused) -> CreatableTopicResult {
    CreatableTopicResult {
        name: name.clone(),
        error_code: refused.code.code(),
        error_message: refused.message.map(Into::into),
        configs: Some(Vec::new()),
        ..Default::default()
    }
}

fn create_one(
    world: &mut World,
    cx: &Context,
    topic: &CreatableTopic,
    validate_only: bool,
) -> Result<CreatableTopicResult, Refused> {
    cx.item(&topic.name, -1)?;
    let plan = plan(world, topic)?;
    let row = result_row(world, topic, &plan);
    let topic_id = if validate_only {
        // The id that it would have, which Kafka tells though nobody can use it.
        world.random.uuid()
    } else {
        world.add_topic(&topic.name, plan.assignment, plan.overrides)
    };
    Ok(CreatableTopicResult { topic_id, ..row })
}

fn result_row(world: &World, topic: &CreatableTopic, plan: &Plan) -> CreatableTopicResult {
    let replicas = plan.assignment.first().map_or(0, Vec::len);
    let config = |entry: configs::Entry| CreatableTopicConfigs {
        name: entry.key.name.into(),
        value: Some(entry.value.into()),
        config_source: entry.source as i8,
        ..Default::default()
    };
    // As the controller has them, which makes the topic.
    let controller = world.catalog.alive().first().copied();
    let configs = configs::of_topic(world, &plan.overrides, controller).map(config).collect();
    CreatableTopicResult {
        name: topic.name.clone(),
        num_partitions: i32::try_from(plan.assignment.len()).unwrap_or(i32::MAX),
        replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
        error_message: None,
        // Never null when the topic was made: Java's admin client does not survive null.
        configs: Some(configs),
        ..Default::default()
    }
}

fn plan(world: &World, topic: &CreatableTopic) -> Result<Plan, Refused> {
    check_name(&topic.name)?;
    check_new(world, &topic.name)?;
    let mut overrides = Values::new();
    for config in &topic.configs {
        let Some(value) = config.value.as_deref() else {
            let reason = format!("Null value not supported for topic configs: {}", config.name);
            return Err(Refused::new(ErrorCode::InvalidConfig, reason));
        };
        let key = check_topic(&config.name, value)
            .map_err(|error| Refused::new(ErrorCode::InvalidConfig, error))?;
        overrides.insert(key.name.into(), value.to_owned());
    }
    let assignment = match &topic.assignments[..] {
        [] => automatic(world, topic)?,
        assignments => manual(world, topic, assignments)?,
    };
    Ok(Plan { assignment, overrides })
}

fn automatic(world: &World, topic: &CreatableTopic) -> Result<Vec<Vec<NodeId>>, Refused> {
    let partitions = match topic.num_partitions {
        -1 => world.settings.number("num.partitions"),
        ..=0 => {
            let reason = "Number of partitions was set to an invalid non-positive value.";
            return Err(Refused::new(ErrorCode::InvalidPartitions, reason));
        }
        count => i64::from(count),
    };
    let replicas = match topic.replication_factor {
        -1 => world.settings.number("default.replication.factor"),
        ..=0 => {
            let reason =
                "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refused::new(ErrorCode::InvalidReplicationFactor, reason));
        }
        factor => i64::from(factor),
    };
    let partitions = usize::try_from(partitions).unwrap_or(usize::MAX);
    spread(world, 0, partitions, usize::try_from(replicas).unwrap_or(usize::MAX))
}

fn spread(
    world: &World,
    from: usize,
    count: usize,
    replicas: usize,
) -> Result<Vec<Vec<NodeId>>, Refused> {
    let live = world.catalog.alive().len();
    if replicas > live {
        let reason = format!(
            "Unable to replicate the partition {replicas} time(s): The target replication factor \
             of {replicas} cannot be reached because only {live} broker(s) are registered or some \
             brokers have all their log directories cordoned."
        );
        return Err(Refused::new(ErrorCode::InvalidReplicationFactor, reason));
    }
    Ok(world.catalog.assign(from, count, replicas))
}

fn manual(
    world: &World,
    topic: &CreatableTopic,
    assignments: &[CreatableReplicaAssignment],
) -> Result<Vec<Vec<NodeId>>, Refused> {
    let both = |what| {
        let reason =
            format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(Refused::new(ErrorCode::InvalidRequest, reason))
    };
    if topic.replication_factor != -1 {
        return both("replication factor");
    }
    if topic.num_partitions != -1 {
        return both("numPartitions");
    }
    let mut by_index = BTreeMap::new();
    for assignment in assignments {
        let replicas = check_replicas(world, &assignment.broker_ids)?;
        if by_index.insert(assignment.partition_index, replicas).is_some() {
            let index = assignment.partition_index;
            let reason =
                format!("Found multiple manual partition assignments for partition {index}");
            return Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason));
        }
    }
    if !by_index.keys().copied().eq((0..).take(by_index.len())) {
        let reason = "partitions should be a consecutive 0-based integer sequence";
        return Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason));
    }
    same_size(by_index.into_values().collect())
}

fn same_size(assignment: Vec<Vec<NodeId>>) -> Result<Vec<Vec<NodeId>>, Refused> {
    let first = assignment.first().map_or(0, Vec::len);
    match assignment.iter().find(|replicas| replicas.len() != first) {
        None => Ok(assignment),
        Some(odd) => {
            let reason = format!(
                "The manual partition assignment includes a partition with {} replica(s), but \
                 this is not consistent with previous partitions, which have {first} replica(s).",
                odd.len()
            );
            Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason))
        }
    }
}

fn check_replicas(world: &World, brokers: &[i32]) -> Result<Vec<NodeId>, Refused> {
    let refuse = |what: String| {
        let reason = format!("The manual partition assignment includes {what}");
        Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason))
    };
    let mut seen = BTreeSet::new();
    for broker in brokers {
        if !seen.insert(*broker) {
            return refuse(format!("the broker {broker} more than once."));
        }
        if !world.catalog.alive().contains(&NodeId(*broker)) {
            return refuse(format!("broker {broker}, but no such broker is registered."));
        }
    }
    if brokers.is_empty() {
        return refuse("an empty replica list.".to_owned());
    }
    Ok(brokers.iter().copied().map(NodeId).collect())
}

/// Whether a topic can be called so at all.
pub(super) fn check_name(name: &str) -> Result<(), Refused> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let reason = match name {
        "" => "the empty string is not allowed".to_owned(),
        "." | ".." => format!("'{name}' is not allowed"),
        _ if name.len() > MAX_NAME => {
            format!("the length of '{name}' is longer than the max allowed length {MAX_NAME}")
        }
        _ if !name.chars().all(allowed) => format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' \
             and '-'"
        ),
        _ => return Ok(()),
    };
    let reason = format!("Topic name is invalid: {reason}");
    Err(Refused::new(ErrorCode::InvalidTopicException, reason))
}

/// Names that differ only in `.` and `_` collide, because metric names take one for the other.
fn check_new(world: &World, name: &str) -> Result<(), Refused> {
    if world.catalog.topic(TopicKey::Name(name)).is_ok() {
        let reason = format!("Topic '{name}' already exists.");
        return Err(Refused::new(ErrorCode::TopicAlreadyExists, reason));
    }
    let unified = name.replace('.', "_");
    match world.catalog.topics().find(|topic| topic.name.replace('.', "_") == unified) {
        None => Ok(()),
        Some(other) => {
            let reason = format!("Topic '{name}' collides with existing topic: {}", other.name);
            Err(Refused::new(ErrorCode::InvalidTopicException, reason))
        }
    }
}

/// Makes a topic as the brokers' settings have it, as Metadata does for a name that is new.
pub(super) fn create_default(world: &mut World, cx: &Context, name: &str) -> Result<(), Refused> {
    let topic = CreatableTopic {
        name: name.into(),
        num_partitions: -1,
        replication_factor: -1,
        ..Default::default()
    };
    create_one(world, cx, &topic, false).map(drop)
}

impl World {
    fn add_topic(&mut self, name: &str, assignment: Vec<Vec<NodeId>>, overrides: Values) -> Uuid {
        let id = self.random.uuid();
        self.catalog.create(name, id, assignment, overrides, &self.settings);
        id
    }

    /// Makes a topic as a client would; `None` and −1 are the brokers' defaults.
    ///
    /// # Errors
    ///
    /// [`Refused`], with what a client would be told.
    pub fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: &[(&str, &str)],
    ) -> Result<Uuid, Refused> {
        let config = |(name, value): &(&str, &str)| {
            ottla_protocol::messages::create_topics::CreatableTopicConfig {
                name: (*name).into(),
                value: Some((*value).into()),
                ..Default::default()
            }
        };
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: partitions,
            replication_factor,
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        let plan = plan(self, &topic)?;
        Ok(self.add_topic(name, plan.assignment, plan.overrides))
    }
}

pub(super) fn delete(
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

pub(super) fn create_partitions(
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
        None | Some([]) => spread(world, now, more, replicas)?,
        Some(given) => manual_growth(world, given, more, replicas)?,
    };
    if !validate_only {
        world.catalog.extend(id, assignment);
    }
    Ok(())
}

fn manual_growth(
    world: &World,
    given: &[CreatePartitionsAssignment],
    more: usize,
    replicas: usize,
) -> Result<Vec<Vec<NodeId>>, Refused> {
    let refuse = |reason: String| Err(Refused::new(ErrorCode::InvalidReplicaAssignment, reason));
    if given.len() != more {
        return refuse(format!(
            "Attempted to add {more} additional partition(s), but only {} assignment(s) were \
             specified.",
            given.len()
        ));
    }
    let checked = given.iter().map(|assignment| check_replicas(world, &assignment.broker_ids));
    let checked: Vec<Vec<NodeId>> = checked.collect::<Result<_, _>>()?;
    if checked.iter().any(|on| on.len() != replicas) {
        return refuse(format!("Every new partition must have {replicas} replica(s)."));
    }
    Ok(checked)
}

/// Characters of the longest topic name.
const MAX_NAME: usize = 249;

/// Partitions that one request can make: Kafka's limit.
const MAX_PARTITIONS: usize = 10_000;
