//! What a broker speaks.

use std::collections::BTreeMap;

use ottla_protocol::messages::ApiVersionsResponse;
use ottla_protocol::{ApiKey, VersionRange};

/// The APIs, versions and features of the broker at the other end of one connection (KIP-35,
/// KIP-584). They may differ between the brokers of one cluster, and change when one is upgraded.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BrokerVersions {
    ranges: BTreeMap<i16, VersionRange>,
    features: BTreeMap<String, i16>,
    features_epoch: Option<i64>,
}

impl BrokerVersions {
    /// What an answer to `ApiVersions` says.
    #[must_use]
    pub fn from_wire(response: &ApiVersionsResponse) -> Self {
        let ranges = response.api_keys.iter();
        let features = response.finalized_features.iter();
        let epoch = response.finalized_features_epoch;
        Self {
            ranges: ranges
                .map(|api| (api.api_key, VersionRange::new(api.min_version, api.max_version)))
                .collect(),
            features: features
                .map(|feature| (feature.name.to_string(), feature.max_version_level))
                .collect(),
            features_epoch: (epoch >= 0).then_some(epoch),
        }
    }

    /// The versions of `api` that the broker speaks; `None` if it does not know the API.
    #[must_use]
    pub fn range(&self, api: ApiKey) -> Option<VersionRange> {
        self.ranges.get(&api.code()).copied()
    }

    /// The highest version of `api` that both speak, unstable versions left out.
    #[must_use]
    pub fn highest(&self, api: ApiKey) -> Option<i16> {
        self.highest_within(api, api.stable_versions())
    }

    /// The highest version of `api` that the broker speaks within `ours`.
    #[must_use]
    pub fn highest_within(&self, api: ApiKey, ours: VersionRange) -> Option<i16> {
        ours.highest_common(self.range(api)?)
    }

    /// The finalized level of a feature such as `transaction.version`; 0 if the cluster has not
    /// finalized it.
    #[must_use]
    pub fn feature(&self, name: &str) -> i16 {
        self.features.get(name).copied().unwrap_or(0)
    }

    /// The finalized features and their levels.
    #[must_use]
    pub fn features(&self) -> &BTreeMap<String, i16> {
        &self.features
    }

    /// Grows with each change of the finalized features; `None` where the broker does not say.
    #[must_use]
    pub fn features_epoch(&self) -> Option<i64> {
        self.features_epoch
    }
}
