//! The settings of topics and brokers: names, types, defaults, and what is done with them.

mod foreign;
mod keys;
mod value;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub use foreign::Foreign;
pub use keys::{BROKER_KEYS, Check, Key, Kind, RACK_AWARE, TOPIC_KEYS, is_dynamic};
pub use value::Value;

use super::{NodeId, Now};
use crate::log::Roll;

/// Values by key, as they were given. Keys that Kafka does not know can be set on brokers.
pub type Values = BTreeMap<Cow<'static, str>, String>;

/// A setting that is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such key for a topic. Kafka's words.
    #[error("Unknown topic config name: {0}")]
    UnknownTopicKey(String),
    /// No such key for a broker.
    #[error("unknown broker setting `{name}`; the nearest known one is `{nearest}`")]
    UnknownBrokerKey {
        /// The key as given.
        name: String,
        /// The known key that looks most like it.
        nearest: &'static str,
    },
    /// A broker setting of Kafka's that does nothing here.
    #[error("Kafka has the broker setting `{0}`, but this broker has no use for it: leave it out")]
    Unused(&'static str),
    /// A value that the key does not take. Kafka's words.
    #[error("Invalid value {value} for configuration {name}: {reason}")]
    InvalidValue {
        /// The key.
        name: &'static str,
        /// The value as given.
        value: String,
        /// Why it is refused.
        reason: String,
    },
    /// A list with an empty item. Kafka's words.
    #[error("Configuration '{0}' values must not be empty.")]
    EmptyItem(&'static str),
    /// Values of a topic that contradict each other. Kafka's words.
    #[error(
        "conflict topic config setting min.compaction.lag.ms ({least}) > max.compaction.lag.ms \
         ({most})"
    )]
    CompactionLags {
        /// `min.compaction.lag.ms`.
        least: i64,
        /// `max.compaction.lag.ms`.
        most: i64,
    },
    /// A topic in tiered storage. Kafka's words, where it has none.
    #[error(
        "Tiered Storage functionality is disabled in the broker. Topic cannot be configured with \
         remote log storage."
    )]
    NoTieredStorage,
    /// A list operation on a key that no broker has. Kafka's words.
    #[error("Unknown config name: {0}")]
    UnknownList(String),
    /// A broker setting that stands while the broker runs. Kafka's words.
    #[error("Cannot update these configs dynamically: [{0}]")]
    NotDynamic(&'static str),
    /// A key that was given no value. Kafka's words, with the gap in them.
    #[error("Null value not supported for : {0}")]
    NullValue(String),
}

/// Where a value comes from, by the numbers of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// Set on the topic.
    Topic = 1,
    /// Set on one broker while it runs.
    Broker = 2,
    /// Set on all brokers while they run.
    AllBrokers = 3,
    /// Given when the cluster was built.
    Static = 4,
    /// Kafka's default.
    Default = 5,
}

/// A place that sets a topic key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synonym {
    /// What kind of place it is.
    pub source: Source,
    /// The name that the key has there.
    pub name: &'static str,
    /// The value as it was given there.
    pub value: String,
    /// What to multiply it by.
    factor: i64,
}

impl Synonym {
    /// The value in the unit of the topic key, as it was written where that is the same.
    #[must_use]
    pub fn effective(&self) -> String {
        scaled(&self.value, self.factor)
    }
}

/// The settings of the brokers: given at the start, or changed while they run.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    given: Values,
    /// What was given to one broker.
    given_to: BTreeMap<NodeId, Values>,
    all: Values,
    single: BTreeMap<NodeId, Values>,
}

impl Settings {
    /// Checks and takes a setting, as from the command line.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], when Kafka has no such broker setting, this broker has no use for it, or it does
    /// not take this value.
    pub fn give(&mut self, name: &str, value: &str) -> Result<(), ConfigError> {
        self.given.insert(broker_key(name, value)?.name.into(), value.to_owned());
        Ok(())
    }

    /// As [`give`](Self::give), for one broker alone.
    ///
    /// # Errors
    ///
    /// As [`give`](Self::give).
    pub fn give_to(&mut self, node: NodeId, name: &str, value: &str) -> Result<(), ConfigError> {
        let key = broker_key(name, value)?;
        self.given_to.entry(node).or_default().insert(key.name.into(), value.to_owned());
        Ok(())
    }

    /// What was set while running: on `node`, or on all.
    pub fn dynamic(&mut self, node: Option<NodeId>) -> &mut Values {
        match node {
            Some(node) => self.single.entry(node).or_default(),
            None => &mut self.all,
        }
    }

    /// Every place that sets a broker key for `node`, the one that counts first; the default is
    /// always there.
    pub fn sources(&self, key: &'static Key, node: Option<NodeId>) -> Vec<(Source, String)> {
        let of = |all: &'_ BTreeMap<NodeId, Values>| {
            node.and_then(|node| all.get(&node)?.get(key.name).cloned())
        };
        let given = of(&self.given_to).or_else(|| self.given.get(key.name).cloned());
        let set = [
            (Source::Broker, of(&self.single)),
            (Source::AllBrokers, self.all.get(key.name).cloned()),
            (Source::Static, given),
        ];
        let set = set.into_iter().filter_map(|(source, value)| Some((source, value?)));
        set.chain([(Source::Default, key.default.to_owned())]).collect()
    }

    /// The names set on `node`, or on all, that Kafka does not know, with the places that set them,
    /// the one that counts first.
    pub fn unknown(&self, node: Option<NodeId>) -> BTreeMap<&str, Vec<Source>> {
        let single = node.and_then(|node| self.single.get(&node));
        let mut unknown = BTreeMap::<_, Vec<_>>::new();
        for (source, values) in [(Source::Broker, single), (Source::AllBrokers, Some(&self.all))] {
            let names = values.into_iter().flat_map(Values::keys).map(|name| &**name);
            for name in names.filter(|name| find(BROKER_KEYS, name).is_none()) {
                unknown.entry(name).or_default().push(source);
            }
        }
        unknown
    }

    /// Every place that sets a topic key, as `node` has it, the one that counts first; none where it
    /// has a default that no broker setting gives.
    pub fn topic_sources(
        &self,
        key: &'static Key,
        overrides: &Values,
        node: Option<NodeId>,
    ) -> Vec<Synonym> {
        let own = overrides.get(key.name).cloned();
        let own =
            own.map(|value| Synonym { source: Source::Topic, name: key.name, value, factor: 1 });
        let mut synonyms: Vec<_> = own.into_iter().collect();
        for (name, factor) in key.broker_names {
            let Some(broker) = find(BROKER_KEYS, name) else {
                // Nobody can set it on a broker here; in Kafka it has a default all the same.
                let value = key.default.to_owned();
                synonyms.push(Synonym { source: Source::Default, name, value, factor: 1 });
                continue;
            };
            let set = self.sources(broker, node).into_iter().filter(|(_, v)| !broker.is_null(v));
            let synonym = |(source, value)| Synonym { source, name, value, factor: *factor };
            synonyms.extend(set.map(synonym));
        }
        // Among places of one kind, the stronger name still comes first.
        synonyms.sort_by_key(|synonym| synonym.source);
        synonyms
    }

    /// The rack of a broker (`broker.rack`), if it has one.
    #[must_use]
    pub fn rack(&self, node: NodeId) -> Option<String> {
        let sources = self.sources(find(BROKER_KEYS, "broker.rack")?, Some(node));
        sources.into_iter().next().map(|(_, rack)| rack).filter(|rack| !rack.is_empty())
    }

    /// Whether consumers are sent to replicas in their rack (`replica.selector.class`, KIP-392).
    #[must_use]
    pub fn reads_near(&self) -> bool {
        self.value("replica.selector.class") == Some(Value::Text(RACK_AWARE.to_owned()))
    }

    /// A broker setting as a number; 0 for one that is none.
    #[must_use]
    pub fn number(&self, name: &str) -> i64 {
        self.value(name).and_then(Value::number).unwrap_or(0)
    }

    /// A broker setting that is true or false.
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.value(name) == Some(Value::Flag(true))
    }

    fn value(&self, name: &str) -> Option<Value> {
        let key = find(BROKER_KEYS, name)?;
        self.sources(key, None).into_iter().find_map(|(_, given)| key.parse(&given).ok())
    }

    /// The settings that act on a topic.
    #[must_use]
    pub fn topic(&self, overrides: &Values) -> PerNode {
        let own = self.single.keys().chain(self.given_to.keys());
        let own = own.map(|node| (*node, self.topic_at(overrides, Some(*node))));
        PerNode { all: self.topic_at(overrides, None), own: own.collect() }
    }

    /// Whether what is set on a topic makes sense together, at the node that controls the cluster.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], in Kafka's words.
    pub fn check_together(
        &self,
        overrides: &Values,
        controller: Option<NodeId>,
    ) -> Result<(), ConfigError> {
        let value = |name| self.topic_value(name, overrides, controller);
        let number = |name| value(name).and_then(Value::number);
        let lags = number("min.compaction.lag.ms").zip(number("max.compaction.lag.ms"));
        if let Some((least, most)) = lags.filter(|(least, most)| least > most) {
            return Err(ConfigError::CompactionLags { least, most });
        }
        let is_tiered = value("remote.storage.enable") == Some(Value::Flag(true));
        if is_tiered { Err(ConfigError::NoTieredStorage) } else { Ok(()) }
    }

    /// A topic setting as `node` has it; `None` for a name that is none.
    fn topic_value(&self, name: &str, overrides: &Values, node: Option<NodeId>) -> Option<Value> {
        let key = find(TOPIC_KEYS, name)?;
        let set = self.topic_sources(key, overrides, node);
        let set = set.into_iter().find_map(|synonym| key.parse(&synonym.effective()).ok());
        set.or_else(|| key.parse(key.default).ok())
    }

    fn topic_at(&self, overrides: &Values, node: Option<NodeId>) -> TopicSettings {
        let value = |name| self.topic_value(name, overrides, node);
        let number = |name| value(name).and_then(Value::number).unwrap_or(0);
        let policies = value("cleanup.policy").map_or_else(Vec::new, Value::items);
        TopicSettings {
            compacts: policies.iter().any(|policy| policy == "compact"),
            deletes: policies.iter().any(|policy| policy == "delete"),
            retention_ms: Some(number("retention.ms")).filter(|ms| *ms >= 0),
            retention_bytes: u64::try_from(number("retention.bytes")).ok(),
            roll: Roll {
                bytes: u64::try_from(number("segment.bytes")).unwrap_or(u64::MAX),
                ms: number("segment.ms"),
            },
            max_message_bytes: usize::try_from(number("max.message.bytes")).unwrap_or(0),
            max_record_bytes: i32::try_from(number("max.decompressed.message.bytes")).unwrap_or(0),
            stamps_append_time: value("message.timestamp.type")
                == Some(Value::Text("LogAppendTime".to_owned())),
            timestamp_before_ms: number("message.timestamp.before.max.ms"),
            timestamp_after_ms: number("message.timestamp.after.max.ms"),
            min_in_sync: usize::try_from(number("min.insync.replicas")).unwrap_or(1),
            unclean_election: value("unclean.leader.election.enable") == Some(Value::Flag(true)),
        }
    }
}

/// What acts on a topic at each node: what is set on one broker reaches the topics there, and there
/// only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerNode {
    all: TopicSettings,
    /// At the nodes that have settings of their own.
    own: BTreeMap<NodeId, TopicSettings>,
}

impl PerNode {
    /// The settings at `node`; those of brokers without settings of their own for `None`.
    #[must_use]
    pub fn at(&self, node: Option<NodeId>) -> &TopicSettings {
        node.and_then(|node| self.own.get(&node)).unwrap_or(&self.all)
    }
}

/// The settings of a topic that change what the broker does; the rest is stored and told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSettings {
    /// Whether `cleanup.policy` has `compact`: records need keys.
    pub compacts: bool,
    /// Whether `cleanup.policy` has `delete`: retention applies.
    pub deletes: bool,
    /// Age of the records to keep, in milliseconds; `None` keeps all.
    pub retention_ms: Option<i64>,
    /// Bytes of a partition to keep; `None` keeps all.
    pub retention_bytes: Option<u64>,
    /// When a log begins a new segment.
    pub roll: Roll,
    /// The largest batch, in bytes.
    pub max_message_bytes: usize,
    /// The longest record that a compressed batch may unpack to, in bytes.
    pub max_record_bytes: i32,
    /// Whether the broker stamps the time of the append.
    pub stamps_append_time: bool,
    /// How far in the past a record's timestamp may lie, in milliseconds.
    pub timestamp_before_ms: i64,
    /// How far in the future a record's timestamp may lie, in milliseconds.
    pub timestamp_after_ms: i64,
    /// In-sync replicas that `acks = -1` asks for.
    pub min_in_sync: usize,
    /// Whether a replica that is not in sync may lead when no other is left.
    pub unclean_election: bool,
}

impl TopicSettings {
    /// The time to stamp on what is appended `now`, in milliseconds since 1970.
    #[must_use]
    pub fn append_time(&self, now: Now) -> Option<i64> {
        self.stamps_append_time.then_some(now.wall_ms)
    }
}

/// The row of a broker setting that takes `value`.
fn broker_key(name: &str, value: &str) -> Result<&'static Key, ConfigError> {
    let unknown = || match Foreign::find(name) {
        Some(foreign) => ConfigError::Unused(foreign.name()),
        None => ConfigError::UnknownBrokerKey { name: name.to_owned(), nearest: nearest(name) },
    };
    let key = find(BROKER_KEYS, name).ok_or_else(unknown)?;
    key.parse(value)?;
    Ok(key)
}

/// The row of `name`.
#[must_use]
pub fn find(keys: &'static [Key], name: &str) -> Option<&'static Key> {
    keys.iter().find(|key| key.name == name)
}

/// Checks what is to be set on a topic.
///
/// # Errors
///
/// [`ConfigError`], when Kafka has no such topic setting, or it does not take this value.
pub fn check_topic(name: &str, value: &str) -> Result<&'static Key, ConfigError> {
    let key = find(TOPIC_KEYS, name);
    let key = key.ok_or_else(|| ConfigError::UnknownTopicKey(name.to_owned()))?;
    key.parse(value)?;
    Ok(key)
}

/// A value of a broker key in the unit of the topic key that it stands for.
fn scaled(value: &str, factor: i64) -> String {
    match value.trim().parse::<i64>() {
        Ok(number) if factor != 1 && number >= 0 => number.saturating_mul(factor).to_string(),
        _ => value.to_owned(),
    }
}

/// The known broker key that takes the fewest edits to reach from `name`.
fn nearest(name: &str) -> &'static str {
    let closest = BROKER_KEYS.iter().map(|key| key.name).min_by_key(|known| edits(name, known));
    closest.unwrap_or_default()
}

/// Levenshtein's distance.
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (done, a) in from.bytes().enumerate() {
        let mut diagonal = done;
        let mut left = done + 1;
        for (cell, b) in row.iter_mut().skip(1).zip(to.bytes()) {
            let substituted = diagonal + usize::from(a != b);
            diagonal = *cell;
            left = substituted.min(left + 1).min(*cell + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = done + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}
