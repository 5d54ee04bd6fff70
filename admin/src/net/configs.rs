//! What can be done to settings.

use std::collections::{BTreeMap, BTreeSet};

use ottla_core::retry::Deadline;
use ottla_protocol::ByteString;

use super::{Admin, Operation, Pending};
use crate::configs::{
    AlterConfig, AlterConfigs, ConfigChanges, ConfigEntry, ConfigResource, DescribeConfigs,
};
use crate::{AdminError, Results};

impl Admin {
    /// Describes the settings of topics, brokers and groups: by name, each with its value and where
    /// it comes from.
    pub fn describe_configs(
        &self,
        resources: impl IntoIterator<Item = ConfigResource>,
    ) -> Pending<DescribeConfigs> {
        let (resources, names) = (resources.into_iter().collect(), BTreeSet::new());
        let (synonyms, documentation) = (false, false);
        Pending::new(self, DescribeConfigs { resources, names, synonyms, documentation })
    }

    /// Changes settings of one topic, broker or group. Settings that are not named stay as they
    /// are.
    pub fn alter_config(&self, resource: ConfigResource) -> Pending<AlterConfig> {
        let changes = ConfigChanges::new();
        Pending::new(self, AlterConfig { resource, changes, validate_only: false })
    }

    /// Changes settings of several topics, brokers and groups. Settings that are not named stay as
    /// they are; each resource is changed as a whole or not at all.
    pub fn alter_configs(
        &self,
        resources: impl IntoIterator<Item = (ConfigResource, ConfigChanges)>,
    ) -> Pending<AlterConfigs> {
        let resources = resources.into_iter().collect();
        Pending::new(self, AlterConfigs { resources, validate_only: false })
    }
}

impl Pending<DescribeConfigs> {
    /// Only these settings.
    pub fn only(self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.with(|it| it.names.extend(names.into_iter().map(Into::into)))
    }

    /// With every place that sets each of them.
    pub fn include_synonyms(self) -> Self {
        self.with(|it| it.synonyms = true)
    }

    /// With what each of them is for.
    pub fn include_documentation(self) -> Self {
        self.with(|it| it.documentation = true)
    }
}

impl Pending<AlterConfig> {
    /// Gives a setting a value.
    pub fn set(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(|changes| changes.set(name, value))
    }

    /// Takes a setting's own value away.
    pub fn delete(self, name: impl Into<String>) -> Self {
        self.change(|changes| changes.delete(name))
    }

    /// Adds to a setting that is a list.
    pub fn append(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(|changes| changes.append(name, value))
    }

    /// Takes from a setting that is a list.
    pub fn subtract(self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.change(|changes| changes.subtract(name, value))
    }

    /// Only finds out whether they could be changed.
    pub fn validate_only(self) -> Self {
        self.with(|it| it.validate_only = true)
    }

    fn change(self, change: impl FnOnce(ConfigChanges) -> ConfigChanges) -> Self {
        self.with(|it| it.changes = change(std::mem::take(&mut it.changes)))
    }
}

impl Pending<AlterConfigs> {
    /// Only finds out whether they could be changed.
    pub fn validate_only(self) -> Self {
        self.with(|it| it.validate_only = true)
    }
}

impl Operation for DescribeConfigs {
    type Output = Results<ConfigResource, BTreeMap<ByteString, ConfigEntry>>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let resources = self.resources.clone();
        admin.all(self, resources, deadline).await
    }
}

impl Operation for AlterConfig {
    type Output = Result<(), AdminError>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let Self { resource, changes, validate_only } = self;
        let resources = BTreeMap::from([(resource.clone(), changes)]);
        admin.one(AlterConfigs { resources, validate_only }, resource, deadline).await
    }
}

impl Operation for AlterConfigs {
    type Output = Results<ConfigResource, ()>;

    async fn perform(self, admin: Admin, deadline: Deadline) -> Self::Output {
        let resources: Vec<ConfigResource> = self.resources.keys().cloned().collect();
        admin.all(self, resources, deadline).await
    }
}
