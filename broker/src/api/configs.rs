//! The settings of topics and brokers, told and changed.

mod changes;

use std::collections::BTreeMap;

use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsResult,
    DescribeConfigsSynonym,
};
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::Refused;
use super::topics::check_name;
use crate::world::catalog::TopicKey;
use crate::world::config::{BROKER_KEYS, Key, Source, Synonym, TOPIC_KEYS, Values, is_dynamic};
use crate::world::{Context, NodeId, World};
pub(super) use changes::{alter, replace};

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

/// `ConfigResource`: a topic.
const TOPIC: i8 = 2;
/// `ConfigResource`: a broker.
const BROKER: i8 = 4;
/// `ConfigType` of a key that is not known.
const UNKNOWN_TYPE: i8 = 0;
