//! Topics come and go, and grow.

mod deletion;
mod growth;
mod placement;

use std::collections::BTreeSet;

use ottla_protocol::messages::create_topics::{
    CreatableTopic, CreatableTopicConfigs, CreatableTopicResult,
};
use ottla_protocol::messages::{CreateTopicsRequest, CreateTopicsResponse};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::{Refused, configs};
use crate::world::catalog::TopicKey;
use crate::world::config::{Values, check_topic};
use crate::world::{Context, NodeId, World};
pub(super) use deletion::delete;
pub(super) use growth::create_partitions;

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
    let entries = configs::of_topic(world, &plan.overrides, world.catalog.controller());
    let configs = entries.map(config).collect();
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
    let together = world.settings.check_together(&overrides, world.catalog.controller());
    together.map_err(|error| Refused::new(ErrorCode::InvalidConfig, error))?;
    let assignment = match &topic.assignments[..] {
        [] => placement::automatic(world, topic)?,
        assignments => placement::manual(&world.catalog, topic, assignments)?,
    };
    Ok(Plan { assignment, overrides })
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

/// Characters of the longest topic name.
const MAX_NAME: usize = 249;

/// Partitions that one request can make: Kafka's limit.
const MAX_PARTITIONS: usize = 10_000;
