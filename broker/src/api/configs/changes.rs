//! The settings of topics and brokers, changed.

use std::collections::BTreeSet;

use ottla_protocol::messages::{
    AlterConfigsRequest, AlterConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, alter_configs, incremental_alter_configs,
};
use ottla_protocol::{ByteString, ErrorCode};

use super::{BROKER, Resource, TOPIC};
use crate::api::topics::check_name;
use crate::api::{Refused, told};
use crate::world::catalog::TopicKey;
use crate::world::config::{
    BROKER_KEYS, ConfigError, Foreign, Key, Kind, TOPIC_KEYS, Values, find, is_dynamic,
};
use crate::world::{Context, NodeId, World};

/// As [`described`](super::described), of what is to be changed, for which Kafka has other words.
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

/// The resources that a request names more than once: the kind of each, and its name.
fn named_twice<'a>(
    resources: impl Iterator<Item = (i8, &'a ByteString)>,
) -> BTreeSet<(i8, ByteString)> {
    let mut once = BTreeSet::new();
    let again = resources.filter(|resource| !once.insert(*resource));
    again.map(|(kind, name)| (kind, name.clone())).collect()
}

fn check_once(
    twice: &BTreeSet<(i8, ByteString)>,
    kind: i8,
    name: &ByteString,
) -> Result<(), Refused> {
    if !twice.contains(&(kind, name.clone())) {
        return Ok(());
    }
    let reason = "Each resource must appear at most once.";
    Err(Refused::new(ErrorCode::InvalidRequest, reason))
}

fn known_key(resource: Resource, name: &str) -> Option<&'static Key> {
    match resource {
        Resource::Topic(_) => find(TOPIC_KEYS, name),
        Resource::Broker(_) => find(BROKER_KEYS, name),
    }
}

pub(in crate::api) fn replace(
    world: &mut World,
    cx: &Context,
    request: AlterConfigsRequest,
) -> AlterConfigsResponse {
    let twice = named_twice(request.resources.iter().map(|r| (r.resource_type, &r.resource_name)));
    let rows = request.resources.into_iter().map(|wanted| {
        let outcome = check_once(&twice, wanted.resource_type, &wanted.resource_name)
            .and_then(|()| replace_one(world, cx, &wanted, request.validate_only));
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

pub(in crate::api) fn alter(
    world: &mut World,
    cx: &Context,
    request: IncrementalAlterConfigsRequest,
) -> IncrementalAlterConfigsResponse {
    let twice = named_twice(request.resources.iter().map(|r| (r.resource_type, &r.resource_name)));
    let rows = request.resources.into_iter().map(|wanted| {
        let outcome = check_once(&twice, wanted.resource_type, &wanted.resource_name)
            .and_then(|()| alter_one(world, cx, &wanted, request.validate_only));
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

/// `ConfigOperation`: sets a value.
const SET: i8 = 0;
/// `ConfigOperation`: goes back to the default.
const DELETE: i8 = 1;
/// `ConfigOperation`: adds to a list.
const APPEND: i8 = 2;
/// `ConfigOperation`: takes from a list.
const SUBTRACT: i8 = 3;
