//! The settings of topics and brokers, told and changed.

use std::collections::{BTreeMap, BTreeSet};

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
    BROKER_KEYS, ConfigError, Foreign, Key, Kind, Source, Synonym, TOPIC_KEYS, Values, find,
    is_dynamic,
};
use crate::world::{Context, NodeId, World};

/// A setting with the value it has, and every place that sets it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: &'static Key,
    pub(super) value: String,
    pub(super) source: Source,
    /// Whether it stands while the broker runs.
    read_only: bool,
    synonyms: Vec<(Source, &'static str, String)>,
}

/// What a request is about.
#[derive(Debug, Clone, Copy)]
enum Resource {
    Topic(Uuid),
    /// One broker, or what all have in common.
    Broker(Option<NodeId>),
}

/// The settings, at a node, of a topic on which these are set.
pub(super) fn of_topic(
    world: &World,
    overrides: &Values,
    node: Option<NodeId>,
) -> impl Iterator<Item = Entry> {
    TOPIC_KEYS.iter().map(move |key| {
        let synonyms = world.settings.topic_sources(key, overrides, node);
        let value = synonyms.first().map_or_else(|| key.default.to_owned(), Synonym::effective);
        let source = synonyms.first().map_or(Source::Default, |first| first.source);
        let synonyms = synonyms.into_iter().map(|s| (s.source, s.name, s.value)).collect();
        Entry { key, value, source, read_only: false, synonyms }
    })
}

/// As [`of_topic`], in the way that Kafka describes them: it does not see the weaker names of a
/// setting where nobody sets the strongest, and takes what follows from them for a default.
fn of_described_topic(
    world: &World,
    overrides: &Values,
    node: NodeId,
) -> impl Iterator<Item = Entry> {
    of_topic(world, overrides, Some(node)).map(|entry| {
        let strongest = entry.key.broker_names.first().map(|(name, _)| *name);
        let is_seen = entry.synonyms.iter().any(|(_, name, _)| Some(*name) == strongest);
        let seen = |(source, ..): &(Source, &str, String)| is_seen || *source == Source::Topic;
        let own = |(source, name, value)| match source {
            Source::Topic => (source, name, entry.key.canonical(value)),
            _ => (source, name, value),
        };
        let synonyms: Vec<_> = entry.synonyms.into_iter().filter(seen).map(own).collect();
        let source = synonyms.first().map_or(Source::Default, |(source, ..)| *source);
        Entry { source, synonyms, value: entry.key.canonical(entry.value), ..entry }
    })
}

fn of_broker(world: &World, node: Option<NodeId>) -> impl Iterator<Item = Entry> {
    BROKER_KEYS.iter().map(move |key| {
        let synonyms = world.settings.sources(key, node);
        let (source, value) = match synonyms.first() {
            Some((source, value)) => (*source, key.canonical(value.clone())),
            None => (Source::Default, key.default.to_owned()),
        };
        let synonyms = synonyms.into_iter().map(|(source, value)| (source, key.name, value));
        let read_only = !is_dynamic(key.name);
        Entry { key, value, source, read_only, synonyms: synonyms.collect() }
    })
}

pub(super) fn describe(
    world: &World,
    cx: &Context,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let with_synonyms = request.include_synonyms;
    let rows = request.resources.into_iter().map(|wanted| {
        let (entries, refused) = match entries(world, cx, &wanted, with_synonyms) {
            Ok(entries) => (entries, ErrorCode::None.into()),
            Err(refused) => (Vec::new(), refused),
        };
        DescribeConfigsResult {
            error_code: refused.code.code(),
            // Never null here, in Kafka.
            error_message: Some(refused.message.unwrap_or_default().into()),
            resource_type: wanted.resource_type,
            resource_name: wanted.resource_name,
            configs: entries,
            ..Default::default()
        }
    });
    DescribeConfigsResponse { results: rows.collect(), ..Default::default() }
}

fn entries(
    world: &World,
    cx: &Context,
    wanted: &DescribeConfigsResource,
    with_synonyms: bool,
) -> Result<Vec<DescribeConfigsResourceResult>, Refused> {
    let resource = described(world, cx, wanted.resource_type, &wanted.resource_name)?;
    let entries: Vec<Entry> = match resource {
        Resource::Topic(id) => {
            let overrides = &world.catalog.topic(TopicKey::Id(id))?.overrides;
            of_described_topic(world, overrides, cx.node).collect()
        }
        // What all brokers have in common is only what was set on all of them.
        Resource::Broker(None) => {
            let in_common = |entry: Entry| entry.within(Source::AllBrokers);
            of_broker(world, None).filter_map(in_common).collect()
        }
        Resource::Broker(node) => of_broker(world, node).collect(),
    };
    let told = entries.into_iter().map(|entry| entry.tell(with_synonyms));
    let unknown = match resource {
        Resource::Topic(_) => BTreeMap::new(),
        Resource::Broker(node) => world.settings.unknown(node),
    };
    let unknown = unknown.into_iter().map(|(name, set)| tell_unknown(name, &set, with_synonyms));
    let keys = wanted.configuration_keys.as_ref().filter(|keys| !keys.is_empty());
    let is_asked =
        |entry: &DescribeConfigsResourceResult| keys.is_none_or(|keys| keys.contains(&entry.name));
    Ok(told.chain(unknown).filter(is_asked).collect())
}

/// A key that Kafka does not know may be a secret, so it keeps the value to itself.
fn tell_unknown(name: &str, set: &[Source], with_synonyms: bool) -> DescribeConfigsResourceResult {
    let synonym = |source: &Source| DescribeConfigsSynonym {
        name: name.into(),
        value: None,
        source: *source as i8,
        ..Default::default()
    };
    let synonyms = if with_synonyms { set } else { &[] };
    DescribeConfigsResourceResult {
        name: name.into(),
        value: None,
        config_source: set.first().map_or(Source::Default, |source| *source) as i8,
        is_sensitive: true,
        read_only: true,
        synonyms: synonyms.iter().map(synonym).collect(),
        config_type: UNKNOWN_TYPE,
        documentation: None,
        ..Default::default()
    }
}

impl Entry {
    /// The setting as places of one kind have it, if one of them sets it and none counts more.
    fn within(mut self, kind: Source) -> Option<Self> {
        self.synonyms.retain(|(source, ..)| *source == kind);
        (self.source == kind).then_some(self)
    }

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
            read_only: self.read_only,
            synonyms: synonyms.into_iter().filter(told).map(synonym).collect(),
            config_type: self.key.kind as i8,
            documentation: None,
            ..Default::default()
        }
    }
}

fn described(
    world: &World,
    cx: &Context,
    kind: i8,
    name: &ByteString,
) -> Result<Resource, Refused> {
    cx.item(name, -1)?;
    let refuse = |reason: String| Err(Refused::new(ErrorCode::InvalidRequest, reason));
    match kind {
        TOPIC => {
            check_name(name)?;
            Ok(Resource::Topic(world.catalog.topic(TopicKey::Name(name))?.id))
        }
        BROKER if name.is_empty() => Ok(Resource::Broker(None)),
        BROKER => match name.parse().map(NodeId) {
            Ok(node) if node == cx.node => Ok(Resource::Broker(Some(node))),
            Ok(NodeId(other)) => refuse(format!(
                "Unexpected broker id, expected {} or empty string, but received {other}",
                cx.node.0
            )),
            Err(_) => refuse(format!("Broker id must be an integer, but it is: {name}")),
        },
        _ => refuse(format!("Unsupported resource type {kind}")),
    }
}

/// As [`described`], of what is to be changed, for which Kafka has other words.
fn changed<'a>(
    world: &World,
    cx: &Context,
    (kind, name): (i8, &ByteString),
    mut keys: impl Iterator<Item = &'a ByteString>,
) -> Result<Resource, Refused> {
    cx.item(name, -1)?;
    let refuse = |reason: String| Err(Refused::new(ErrorCode::InvalidRequest, reason));
    let mut once = BTreeSet::new();
    if !keys.all(|key| once.insert(key)) {
        return refuse("Error due to duplicate config keys".to_owned());
    }
    match kind {
        TOPIC if name.is_empty() => refuse("Default topic resources are not allowed.".to_owned()),
        TOPIC => {
            check_name(name)?;
            let reason = || format!("The topic '{name}' does not exist.");
            let topic = world.catalog.topic(TopicKey::Name(name));
            Ok(Resource::Topic(topic.map_err(|code| Refused::new(code, reason()))?.id))
        }
        BROKER if name.is_empty() => Ok(Resource::Broker(None)),
        BROKER => match name.parse().map(NodeId) {
            Ok(node) if node == cx.node => Ok(Resource::Broker(Some(node))),
            Ok(NodeId(other)) => refuse(format!(
                "Unexpected broker id, expected {}, but received {other}",
                cx.node.0
            )),
            Err(_) => refuse(format!("Node id must be an integer, but it is: {name}")),
        },
        _ => refuse(format!("Unknown resource type {kind}")),
    }
}

impl World {
    fn values(&mut self, resource: Resource) -> Result<Values, Refused> {
        match resource {
            Resource::Topic(id) => Ok(self.catalog.topic(TopicKey::Id(id))?.overrides.clone()),
            Resource::Broker(node) => Ok(self.settings.dynamic(node).clone()),
        }
    }

    /// Sets all of these values, and no others; only whether it can be done, if it is `only_tried`.
    fn set_values(
        &mut self,
        resource: Resource,
        values: Values,
        only_tried: bool,
    ) -> Result<(), Refused> {
        if let Resource::Topic(_) = resource {
            let together = self.settings.check_together(&values, self.catalog.controller());
            together.map_err(|error| Refused::new(ErrorCode::InvalidConfig, error))?;
        }
        if only_tried {
            return Ok(());
        }
        match resource {
            Resource::Topic(id) => self.catalog.configure(id, values, &self.settings),
            Resource::Broker(node) => {
                *self.settings.dynamic(node) = values;
                self.catalog.reconfigure(&self.settings);
                let verifies = self.settings.flag("transaction.partition.verification.enable");
                self.transactions.set_verifies(verifies);
            }
        }
        Ok(())
    }
}

fn known_key(resource: Resource, name: &str) -> Option<&'static Key> {
    match resource {
        Resource::Topic(_) => find(TOPIC_KEYS, name),
        Resource::Broker(_) => find(BROKER_KEYS, name),
    }
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
    let resource = (wanted.resource_type, &wanted.resource_name);
    let keys = wanted.configs.iter().map(|config| &config.name);
    let resource = changed(world, cx, resource, keys)?;
    let mut values = Values::new();
    for config in &wanted.configs {
        set(resource, &mut values, &config.name, config.value.as_deref())?;
    }
    world.set_values(resource, values, validate_only)
}

fn set(
    resource: Resource,
    values: &mut Values,
    name: &str,
    value: Option<&str>,
) -> Result<(), Refused> {
    let value = given(name, value)?;
    let Some(key) = known_key(resource, name) else {
        return set_unknown(resource, values, name, value);
    };
    let invalid = match resource {
        Resource::Topic(_) => ErrorCode::InvalidConfig,
        Resource::Broker(_) if is_dynamic(key.name) => ErrorCode::InvalidRequest,
        Resource::Broker(_) => return Err(not_dynamic(key.name)),
    };
    key.parse(value).map_err(|error| Refused::new(invalid, error))?;
    values.insert(key.name.into(), value.to_owned());
    Ok(())
}

/// A broker keeps what it does not know: it may be for a plugin, which has settings of its own.
fn set_unknown(
    resource: Resource,
    values: &mut Values,
    name: &str,
    value: &str,
) -> Result<(), Refused> {
    match resource {
        Resource::Topic(_) => {
            let unknown = ConfigError::UnknownTopicKey(name.to_owned());
            Err(Refused::new(ErrorCode::InvalidConfig, unknown))
        }
        Resource::Broker(_) => match Foreign::find(name) {
            Some(Foreign::ReadOnly(name) | Foreign::ReadOnlyList(name)) => Err(not_dynamic(name)),
            Some(Foreign::Dynamic(_)) | None => {
                values.insert(name.to_owned().into(), value.to_owned());
                Ok(())
            }
        },
    }
}

fn not_dynamic(name: &'static str) -> Refused {
    Refused::new(ErrorCode::InvalidRequest, ConfigError::NotDynamic(name))
}

fn given<'a>(name: &str, value: Option<&'a str>) -> Result<&'a str, Refused> {
    let error = || ConfigError::NullValue(name.to_owned());
    value.ok_or_else(|| Refused::new(ErrorCode::InvalidRequest, error()))
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
    let resource = (wanted.resource_type, &wanted.resource_name);
    let keys = wanted.configs.iter().map(|config| &config.name);
    let resource = changed(world, cx, resource, keys)?;
    let mut values = world.values(resource)?;
    for config in &wanted.configs {
        let value = config.value.as_deref();
        apply(resource, &mut values, &config.name, config.config_operation, value)?;
    }
    world.set_values(resource, values, validate_only)
}

fn apply(
    resource: Resource,
    values: &mut Values,
    name: &str,
    operation: i8,
    value: Option<&str>,
) -> Result<(), Refused> {
    match operation {
        SET => set(resource, values, name, value),
        DELETE => {
            values.remove(name);
            Ok(())
        }
        APPEND | SUBTRACT => {
            let change = given(name, value)?;
            let key = known_key(resource, name).filter(|key| key.kind == Kind::List);
            let key = key.ok_or_else(|| no_list(resource, name, operation))?;
            // Not to what other places set, which Kafka does not look at here.
            let current = values.get(key.name).map_or(key.default, String::as_str);
            let changed = change_list(current, operation, change);
            set(resource, values, name, Some(&changed))
        }
        _ => {
            let reason = format!("Unknown operations type {operation}");
            Err(Refused::new(ErrorCode::InvalidRequest, reason))
        }
    }
}

fn no_list(resource: Resource, name: &str, operation: i8) -> Refused {
    let (topics, brokers) =
        if operation == APPEND { ("APPEND", "append") } else { ("SUBTRACT", "subtract") };
    let is_known = known_key(resource, name).is_some();
    let reason = match (resource, Foreign::find(name)) {
        (Resource::Broker(_), Some(Foreign::ReadOnlyList(name))) => return not_dynamic(name),
        (Resource::Broker(_), None | Some(Foreign::Dynamic(_))) if !is_known => {
            ConfigError::UnknownList(name.to_owned()).to_string()
        }
        (Resource::Topic(_), _) => {
            format!("Can't {topics} to key {name} because its type is not LIST.")
        }
        (Resource::Broker(_), _) => {
            format!("Config value {brokers} is not allowed for config key: {name}")
        }
    };
    Refused::new(ErrorCode::InvalidConfig, reason)
}

/// Item by item as they were written, blanks and all, as Kafka does.
fn change_list(current: &str, operation: i8, change: &str) -> String {
    let mut items: Vec<&str> = current.split(',').filter(|item| !item.is_empty()).collect();
    for item in change.split(',') {
        let known = items.iter().position(|known| *known == item);
        match known {
            Some(at) if operation == SUBTRACT => drop(items.remove(at)),
            None if operation == APPEND => items.push(item),
            Some(_) | None => {}
        }
    }
    items.join(",")
}

/// `ConfigResource`: a topic.
const TOPIC: i8 = 2;
/// `ConfigResource`: a broker.
const BROKER: i8 = 4;
/// `ConfigType` of a key that is not known.
const UNKNOWN_TYPE: i8 = 0;
/// `ConfigOperation`: sets a value.
const SET: i8 = 0;
/// `ConfigOperation`: goes back to the default.
const DELETE: i8 = 1;
/// `ConfigOperation`: adds to a list.
const APPEND: i8 = 2;
/// `ConfigOperation`: takes from a list.
const SUBTRACT: i8 = 3;
