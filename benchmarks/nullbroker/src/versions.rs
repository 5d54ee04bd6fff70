//! Which versions of which APIs are announced.

use ottla_protocol::messages::ApiVersionsResponse;
use ottla_protocol::messages::api_versions::ApiVersion;
use ottla_protocol::{ApiKey, ErrorCode, VersionRange};

/// How new the broker looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Versions {
    /// Topics by name: what every client speaks, so that all are measured on the same messages.
    #[default]
    Common,
    /// All of Kafka 4.4's, topic ids included.
    Newest,
}

impl Versions {
    /// The versions served; none for an API that is not.
    pub(crate) fn of(self, api: ApiKey) -> Option<VersionRange> {
        let (_, common) = SERVED.iter().find(|(served, _)| *served == api)?;
        let VersionRange { min, max } = api.stable_versions();
        Some(match self {
            Self::Common => VersionRange::new(min, max.min(*common)),
            Self::Newest => VersionRange::new(min, max),
        })
    }

    pub(crate) fn announcement(self, error: ErrorCode) -> ApiVersionsResponse {
        let announced = SERVED.iter().filter_map(|(api, _)| {
            let VersionRange { min, max } = self.of(*api)?;
            let api_key = api.code();
            Some(ApiVersion {
                api_key,
                min_version: min,
                max_version: max,
                ..ApiVersion::default()
            })
        });
        ApiVersionsResponse {
            error_code: error.code(),
            api_keys: announced.collect(),
            ..ApiVersionsResponse::default()
        }
    }
}

/// The APIs that are served, and the last version of each before topics have ids.
const SERVED: &[(ApiKey, i16)] = &[
    (ApiKey::Produce, 9),
    (ApiKey::Fetch, 12),
    (ApiKey::ListOffsets, 7),
    (ApiKey::Metadata, 9),
    (ApiKey::OffsetCommit, 8),
    (ApiKey::OffsetFetch, 8),
    (ApiKey::FindCoordinator, 4),
    (ApiKey::ApiVersions, 3),
    (ApiKey::InitProducerId, 4),
    (ApiKey::OffsetForLeaderEpoch, 4),
];
