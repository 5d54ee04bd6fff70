//! Which settings hold, and where they come from.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::error::ErrorCode;
use ottla_protocol::ByteString;
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult, DescribeConfigsSynonym,
};
use ottla_protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};

use super::ConfigResource;
use crate::call::{AdminCall, Asked, Route, Settled, check};

/// One setting.
///
/// # Kafka
///
/// Java's `ConfigEntry`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigEntry {
    /// Its name.
    pub name: ByteString,
    /// Its value; `None` if it has none, or if it is sensitive.
    pub value: Option<ByteString>,
    /// Where the value comes from.
    pub source: ConfigSource,
    /// Whether it cannot be changed at run time.
    pub read_only: bool,
    /// Whether brokers never tell its value.
    pub sensitive: bool,
    /// Every place that sets it, the one that holds first; empty unless asked for.
    pub synonyms: Vec<ConfigSynonym>,
    /// What it is for; `None` unless asked for, or where the broker is older than Kafka 2.6.
    pub documentation: Option<ByteString>,
}

/// Where the value of a setting comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigSource {
    /// Set on the topic.
    Topic,
    /// Set on one broker at run time.
    Broker,
    /// Set on all brokers at run time.
    AllBrokers,
    /// Set in the broker's properties file.
    BrokerFile,
    /// Nobody set it.
    Default,
    /// A broker's log level (KIP-412).
    BrokerLogger,
    /// Set on the subscription of client metrics.
    ClientMetrics,
    /// Set on the group.
    Group,
    /// A source that is not known here, by its number.
    Unrecognized(i8),
}

impl ConfigSource {
    fn from_wire(source: i8) -> Self {
        match source {
            1 => Self::Topic,
            2 => Self::Broker,
            3 => Self::AllBrokers,
            4 => Self::BrokerFile,
            5 => Self::Default,
            6 => Self::BrokerLogger,
            7 => Self::ClientMetrics,
            8 => Self::Group,
            other => Self::Unrecognized(other),
        }
    }
}

/// A place that sets the value of a setting, perhaps under another name.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigSynonym {
    /// The setting's name there.
    pub name: ByteString,
    /// Its value there; `None` if it is sensitive.
    pub value: Option<ByteString>,
    /// The place.
    pub source: ConfigSource,
}

/// Describes the settings of several resources.
#[derive(Debug)]
pub struct DescribeConfigs {
    pub(crate) resources: BTreeSet<ConfigResource>,
    /// Only these settings; all if empty.
    pub(crate) names: BTreeSet<String>,
    pub(crate) synonyms: bool,
    pub(crate) documentation: bool,
}

impl AdminCall for DescribeConfigs {
    type Key = ConfigResource;
    type Request = DescribeConfigsRequest;
    type Value = BTreeMap<ByteString, ConfigEntry>;

    fn subject(&self, resource: &ConfigResource) -> String {
        format!("describe the settings of {resource}")
    }

    fn route(&self, resource: &ConfigResource) -> Route {
        resource.route()
    }

    fn request(&self, asked: &Asked<'_, ConfigResource>) -> DescribeConfigsRequest {
        let names: Vec<ByteString> = self.names.iter().map(|name| name.as_str().into()).collect();
        let resource = |resource: &ConfigResource| {
            let (resource_type, resource_name) = resource.to_wire();
            DescribeConfigsResource {
                resource_type,
                resource_name,
                configuration_keys: Some(names.clone()).filter(|names| !names.is_empty()),
                ..DescribeConfigsResource::default()
            }
        };
        DescribeConfigsRequest {
            resources: asked.keys.iter().map(resource).collect(),
            include_synonyms: self.synonyms,
            include_documentation: self.documentation && asked.version >= FIRST_DOCUMENTED,
            ..DescribeConfigsRequest::default()
        }
    }

    fn settle(
        &self,
        _: &Asked<'_, ConfigResource>,
        response: DescribeConfigsResponse,
    ) -> Vec<(ConfigResource, Settled<Self::Value>)> {
        let settled = response.results.into_iter().filter_map(|row| {
            let resource = ConfigResource::from_wire(row.resource_type, &row.resource_name)?;
            let described = check(row.error_code, row.error_message)
                .map(|()| row.configs.into_iter().map(entry).collect());
            Some((resource, described))
        });
        settled.collect()
    }

    fn is_final(&self, code: ErrorCode) -> bool {
        code == ErrorCode::UnknownTopicOrPartition
    }
}

fn entry(row: DescribeConfigsResourceResult) -> (ByteString, ConfigEntry) {
    let entry = ConfigEntry {
        name: row.name.clone(),
        value: row.value,
        source: ConfigSource::from_wire(row.config_source),
        read_only: row.read_only,
        sensitive: row.is_sensitive,
        synonyms: row.synonyms.into_iter().map(synonym).collect(),
        documentation: row.documentation,
    };
    (row.name, entry)
}

fn synonym(row: DescribeConfigsSynonym) -> ConfigSynonym {
    let source = ConfigSource::from_wire(row.source);
    ConfigSynonym { name: row.name, value: row.value, source }
}

/// The first version that can be asked for documentation (KIP-569).
const FIRST_DOCUMENTED: i16 = 3;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn all_settings_are_asked_for_unless_some_are_named() {
        let keys = [ConfigResource::topic("orders")];
        let mut call = call();
        let request = call.request(&asked(&keys, 4));
        assert_eq!(request.resources[0].configuration_keys, None);
        call.names.insert("retention.ms".into());
        let request = call.request(&asked(&keys, 4));
        assert_eq!(request.resources[0].configuration_keys, Some(vec!["retention.ms".into()]));
    }

    #[test]
    fn old_brokers_are_not_asked_for_documentation() {
        let keys = [ConfigResource::AllBrokers];
        assert!(!call().request(&asked(&keys, 2)).include_documentation);
        assert!(call().request(&asked(&keys, 3)).include_documentation);
    }

    #[test]
    fn every_source_has_a_name() {
        for source in 1..=8 {
            assert!(!matches!(ConfigSource::from_wire(source), ConfigSource::Unrecognized(_)));
        }
        assert_eq!(ConfigSource::from_wire(9), ConfigSource::Unrecognized(9));
    }

    fn call() -> DescribeConfigs {
        DescribeConfigs {
            resources: BTreeSet::new(),
            names: BTreeSet::new(),
            synonyms: false,
            documentation: true,
        }
    }
}
