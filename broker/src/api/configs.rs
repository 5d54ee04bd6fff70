//! The settings of topics and brokers, told and changed.

use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use ottla_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse, alter_configs,
    incremental_alter_configs,
};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::topics::check_name;
use super::{Refused, told};
use crate::world::catalog::TopicKey;
use crate::world::config::{
    BROKER_KEYS, ConfigError, Key, Kind, Source, TOPIC_KEYS, Values, find, list,
};
use crate::world::{Context, NodeId, World};

/// A setting with the value it has, and every place that sets it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: &'static Key,
    pub(super) value: String,
    pub(super) source: Source,
    synonyms: Vec<(Source, &'static str, String)>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
enum Resource {
    Topic(Uuid),
    /// One broker, or what all have in common.
    Broker(Option<NodeId>),
}

/// The settings of a topic on which these are set.
pub(super) fn of_topic(world: &World, overrides: &Values) -> impl Iterator<Item = Entry> {
    TOPIC_KEYS.iter().map(|key| entry(key, world.settings.topic_sources(key, overrides)))
}

fn of_broker(world: &World, node: Option<NodeId>) -> impl Iterator<Item = Entry> {
    BROKER_KEYS.iter().map(move |key| {
        let sources = world.settings.sources(key, node).into_iter();
        entry(key, sources.map(|(source, value)| (source, key.name, value)).collect())
    })
}

fn entry(key: &'static Key, synonyms: Vec<(Source, &'static str, String)>) -> Entry {
    let (source, value) = match synonyms.first() {
        Some((source, _, value)) => (*source, value.clone()),
        None => (Source::Default, key.default.to_owned()),
    };
    Entry { key, value, source, synonyms }
}

pub(super) fn describe(
    world: &World,
    cx: &Context,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let synonyms = request.include_synonyms;
    let rows = request.resources.into_iter().map(|wanted| {
        let entries = entries(world, cx, &wanted);
        let (entries, outcome) = match entries {
            Ok(entries) => (entries, Ok(())),
            Err(refused) => (Vec::new(), Err(refused)),
        };
        let (error_code, error_message) = told(outcome);
        DescribeConfigsResult {
            error_code,
            error_message,
            resource_type: wanted.resource_type,
            resource_name: wanted.resource_name,
            configs: entries.into_iter().map(|entry| entry.tell(synonyms)).collect(),
            ..Default::default()
        }
    });
    DescribeConfigsResponse { results: rows.collect(), ..Default::default() }
}

fn entries(
    world: &World,
    cx: &Context,
    wanted: &DescribeConfigsResource,
) -> Result<Vec<Entry>, Refused> {
    let resource = resource(world, cx, wanted.resource_type, &wanted.resource_name)?;
    let asked = |entry: &Entry| {
        let keys = wanted.configuration_keys.as_ref();
        let all = |keys: &&Vec<ByteString>| keys.is_empty();
        keys.filter(|keys| !all(keys)).is_none_or(|k| k.iter().any(|k| **k == *entry.key.name))
    };
    match resource {
        Resource::Topic(id) => {
            let overrides = &world.catalog.topic(TopicKey::Id(id))?.overrides;
            Ok(of_topic(world, overrides).filter(asked).collect())
        }
        // What all brokers have in common is only what was set on all of them.
        Resource::Broker(None) => {
            let set = |entry: &Entry| entry.source == Source::AllBrokers;
            Ok(of_broker(world, None).filter(set).filter(asked).collect())
        }
        Resource::Broker(node) => Ok(of_broker(world, node).filter(asked).collect()),
    }
}

impl Entry {
    fn tell(self, with_synonyms: bool) -> DescribeConfigsResourceResult {
        let key = self.key;
        let synonym = |(source, name, value): (Source, &str, String)| DescribeConfigsSynonym {
            name: name.into(),
            value: Some(value.into()),
            source: source as i8,
            ..Default::default()
        };
        let told = |(_, _, value): &(Source, &str, String)| !key.is_null(value);
        let synonyms = if with_synonyms { self.synonyms } else { Vec::new() };
        DescribeConfigsResourceResult {
            name: self.key.name.into(),
            value: Some(self.value).filter(|value| !key.is_null(value)).map(Into::into),
            config_source: self.source as i8,
            synonyms: synonyms.into_iter().filter(told).map(synonym).collect(),
            config_type: self.key.kind as i8,
            documentation: None,
            ..Default::default()
        }
    }
}

fn resource(world: &World, cx: &Context, kind: i8, name: &ByteString) -> Result<Resource, Refused> {
    cx.item(name, -1)?;
    match kind {
        TOPIC => {
            check_name(name)?;
            Ok(Resource::Topic(world.catalog.topic(TopicKey::Name(name))?.id))
        }
        BROKER if name.is_empty() => Ok(Resource::Broker(None)),
        BROKER => {
            let node = name.parse().ok().map(NodeId);
            let known = node.filter(|node| world.catalog.node(*node).is_some());
            let reason = || format!("Unexpected broker id, there is no broker {name}");
            let refused = || Refused::new(ErrorCode::InvalidRequest, reason());
            known.map(|node| Resource::Broker(Some(node))).ok_or_else(refused)
        }
        _ => Err(Refused::new(
            ErrorCode::InvalidRequest,
            format!("Unsupported resource type {kind}"),
        )),
    }
}

impl World {
    fn values(&mut self, resource: Resource) -> Result<Values, Refused> {
        match resource {
            Resource::Topic(id) => Ok(self.catalog.topic(TopicKey::Id(id))?.overrides.clone()),
            Resource::Broker(node) => Ok(self.settings.dynamic(node).clone()),
        }
    }

    fn set_values(&mut self, resource: Resource, values: Values) {
        match resource {
            Resource::Topic(id) => self.catalog.configure(id, values, &self.settings),
            Resource::Broker(node) => {
                *self.settings.dynamic(node) = values;
                self.catalog.reconfigure(&self.settings);
            }
        }
    }
}

fn known_key(resource: Resource, name: &str) -> Result<&'static Key, Refused> {
    let keys = match resource {
        Resource::Topic(_) => TOPIC_KEYS,
        Resource::Broker(_) => BROKER_KEYS,
    };
    let unknown = || ConfigError::UnknownTopicKey(name.to_owned());
    find(keys, name).ok_or_else(|| Refused::new(ErrorCode::InvalidConfig, unknown()))
}

pub(super) fn replace(
    world: &mut World,
    cx: &Context,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let rows = request.resources.into_iter().map(|wanted| {
        let outcome = replace_one(world, cx, &wanted, request.validate_only);
        let (error_code, error_message) = told(outcome);
        alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: wanted.resource_type,
            resource_name: wanted.resource_name,
            ..Default::default()
        }
    });
    AlterConfigsResponse { responses: rows.collect(), ..Default::default() }
}

fn replace_one(
    world: &mut World,
    cx: &Context,
    wanted: &alter_configs::AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refused> {
    let resource = resource(world, cx, wanted.resource_type, &wanted.resource_name)?;
    let mut values = Values::new();
    for config in &wanted.configs {
        set(resource, &mut values, &config.name, config.value.as_deref())?;
    }
    if !validate_only {
        world.set_values(resource, values);
    }
    Ok(())
}

fn set(
    resource: Resource,
    values: &mut Values,
    name: &str,
    value: Option<&str>,
) -> Result<(), Refused> {
    let key = known_key(resource, name)?;
    let Some(value) = value else {
        let error = ConfigError::NullValue(name.to_owned());
        return Err(Refused::new(ErrorCode::InvalidRequest, error));
    };
    key.check(value).map_err(|error| Refused::new(ErrorCode::InvalidConfig, error))?;
    values.insert(key.name, value.to_owned());
    Ok(())
}

pub(super) fn alter(
    world: &mut World,
    cx: &Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let rows = request.resources.into_iter().map(|wanted| {
        let outcome = alter_one(world, cx, &wanted, request.validate_only);
        let (error_code, error_message) = told(outcome);
        incremental_alter_configs::AlterConfigsResourceResponse {
            error_code,
            error_message,
            resource_type: wanted.resource_type,
            resource_name: wanted.resource_name,
            ..Default::default()
        }
    });
    IncrementalAlterConfigsResponse { responses: rows.collect(), ..Default::default() }
}

fn alter_one(
    world: &mut World,
    cx: &Context,
    wanted: &incremental_alter_configs::AlterConfigsResource,
    validate_only: bool,
) -> Result<(), Refused> {
    let resource = resource(world, cx, wanted.resource_type, &wanted.resource_name)?;
    let mut values = world.values(resource)?;
    for config in &wanted.configs {
        let value = config.value.as_deref();
        apply(world, resource, &mut values, &config.name, config.config_operation, value)?;
    }
    if !validate_only {
        world.set_values(resource, values);
    }
    Ok(())
}

fn apply(
    world: &World,
    resource: Resource,
    values: &mut Values,
    name: &str,
    operation: i8,
    value: Option<&str>,
) -> Result<(), Refused> {
    match operation {
        SET => set(resource, values, name, value),
        DELETE => {
            values.remove(known_key(resource, name)?.name);
            Ok(())
        }
        APPEND | SUBTRACT => {
            let key = known_key(resource, name)?;
            let current = match values.get(key.name) {
                Some(value) => value.clone(),
                None => effective(world, resource, key),
            };
            let changed = change_list(key, &current, operation, value.unwrap_or_default())?;
            set(resource, values, name, Some(&changed))
        }
        _ => Err(Refused::new(
            ErrorCode::InvalidRequest,
            format!("Unknown config operation {operation}"),
        )),
    }
}

/// The value that holds where none is set on the resource itself.
fn effective(world: &World, resource: Resource, key: &'static Key) -> String {
    let sources = match resource {
        Resource::Topic(_) => world.settings.topic_sources(key, &Values::new()),
        Resource::Broker(node) => {
            let sources = world.settings.sources(key, node).into_iter();
            sources.map(|(source, value)| (source, key.name, value)).collect()
        }
    };
    entry(key, sources).value
}

fn change_list(key: &Key, current: &str, operation: i8, change: &str) -> Result<String, Refused> {
    if key.kind != Kind::List {
        let operation = if operation == APPEND { "APPEND" } else { "SUBTRACT" };
        let error = ConfigError::NotAList { name: key.name, operation };
        return Err(Refused::new(ErrorCode::InvalidConfig, error));
    }
    let mut items: Vec<&str> = list(current).collect();
    for item in list(change) {
        items.retain(|known| *known != item);
        if operation == APPEND {
            items.push(item);
        }
    }
    Ok(items.join(","))
}

/// `ConfigResource`: a topic.
const TOPIC: i8 = 2;
/// `ConfigResource`: a broker.
const BROKER: i8 = 4;
/// `ConfigOperation`: sets a value.
const SET: i8 = 0;
/// `ConfigOperation`: goes back to the default.
const DELETE: i8 = 1;
/// `ConfigOperation`: adds to a list.
const APPEND: i8 = 2;
/// `ConfigOperation`: takes from a list.
const SUBTRACT: i8 = 3;
