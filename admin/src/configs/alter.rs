//! Changing settings one by one (KIP-339).

use std::collections::BTreeMap;

use ottla_core::error::ErrorCode;
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::ConfigResource;
use crate::call::{AdminCall, Asked, Route, Settled, check};

/// What is to become of one setting.
///
/// # Kafka
///
/// Java's `AlterConfigOp`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfigChange {
    /// It has this value.
    Set(String),
    /// It has no value of its own: what holds for all, or the default, holds for it.
    Delete,
    /// This is added to its list, unless it is there. Several are separated by commas.
    Append(String),
    /// This is taken from its list. Several are separated by commas.
    Subtract(String),
}

impl ConfigChange {
    fn to_wire(&self) -> (i8, Option<&str>) {
        match self {
            Self::Set(value) => (0, Some(value)),
            Self::Delete => (1, None),
            Self::Append(value) => (2, Some(value)),
            Self::Subtract(value) => (3, Some(value)),
        }
    }
}

/// Changes of one resource's settings, by name: the last change of a setting counts. They are all
/// made or none is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigChanges(BTreeMap<String, ConfigChange>);

impl ConfigChanges {
    /// No change yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Gives a setting a value.
    #[must_use]
    pub fn set(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(name, ConfigChange::Set(value.into()))
    }

    /// Takes a setting's own value away.
    #[must_use]
    pub fn delete(self, name: impl Into<String>) -> Self {
        self.with(name, ConfigChange::Delete)
    }

    /// Adds to a setting that is a list.
    #[must_use]
    pub fn append(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(name, ConfigChange::Append(value.into()))
    }

    /// Takes from a setting that is a list.
    #[must_use]
    pub fn subtract(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.with(name, ConfigChange::Subtract(value.into()))
    }

    fn with(mut self, name: impl Into<String>, change: ConfigChange) -> Self {
        self.0.insert(name.into(), change);
        self
    }

    fn to_wire(&self) -> Vec<AlterableConfig> {
        let config = |(name, change): (&String, &ConfigChange)| {
            let (config_operation, value) = change.to_wire();
            AlterableConfig {
                name: name.as_str().into(),
                config_operation,
                value: value.map(Into::into),
                ..AlterableConfig::default()
            }
        };
        self.0.iter().map(config).collect()
    }
}

/// Changes settings of several resources.
#[derive(Debug)]
pub struct AlterConfigs {
    pub(crate) resources: BTreeMap<ConfigResource, ConfigChanges>,
    pub(crate) validate_only: bool,
}

/// Changes settings of one resource.
#[derive(Debug)]
pub struct AlterConfig {
    pub(crate) resource: ConfigResource,
    pub(crate) changes: ConfigChanges,
    pub(crate) validate_only: bool,
}

impl AdminCall for AlterConfigs {
    type Key = ConfigResource;
    type Request = IncrementalAlterConfigsRequest;
    type Value = ();

    fn subject(&self, resource: &ConfigResource) -> String {
        format!("alter the settings of {resource}")
    }

    fn route(&self, resource: &ConfigResource) -> Route {
        resource.route()
    }

    fn request(&self, asked: &Asked<'_, ConfigResource>) -> IncrementalAlterConfigsRequest {
        let resource = |resource: &ConfigResource| {
            let (resource_type, resource_name) = resource.to_wire();
            AlterConfigsResource {
                resource_type,
                resource_name,
                configs: self
                    .resources
                    .get(resource)
                    .map(ConfigChanges::to_wire)
                    .unwrap_or_default(),
                ..AlterConfigsResource::default()
            }
        };
        IncrementalAlterConfigsRequest {
            resources: asked.keys.iter().map(resource).collect(),
            validate_only: self.validate_only,
            ..IncrementalAlterConfigsRequest::default()
        }
    }

    fn settle(
        &self,
        _: &Asked<'_, ConfigResource>,
        response: IncrementalAlterConfigsResponse,
    ) -> Vec<(ConfigResource, Settled<()>)> {
        let settled = response.responses.into_iter().filter_map(|row| {
            let resource = ConfigResource::from_wire(row.resource_type, &row.resource_name)?;
            Some((resource, check(row.error_code, row.error_message)))
        });
        settled.collect()
    }

    fn is_final(&self, code: ErrorCode) -> bool {
        code == ErrorCode::UnknownTopicOrPartition
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::tests::asked;

    #[test]
    fn each_change_has_its_operation_and_value() {
        let changes =
            ConfigChanges::new().set("a", "1").delete("b").append("c", "x").subtract("d", "y");
        let resource = ConfigResource::topic("orders");
        let resources = BTreeMap::from([(resource.clone(), changes)]);
        let call = AlterConfigs { resources, validate_only: false };
        let request = call.request(&asked(&[resource], 1));
        let told: Vec<_> = request.resources[0]
            .configs
            .iter()
            .map(|config| (&*config.name, config.config_operation, config.value.as_deref()))
            .collect();
        let expected =
            [("a", 0, Some("1")), ("b", 1, None), ("c", 2, Some("x")), ("d", 3, Some("y"))];
        assert_eq!(told, expected);
    }

    #[test]
    fn the_last_change_of_a_setting_counts() {
        let changes = ConfigChanges::new().set("a", "1").delete("a");
        assert_eq!(changes.to_wire().len(), 1);
        assert_eq!(changes.to_wire()[0].config_operation, 1);
    }
}
