//! Which requests are let in, and what a client is told of the broker (KIP-35, KIP-511).

use ottla_protocol::frames::RequestFrame;
use ottla_protocol::messages::api_versions::{
    ApiVersion, FinalizedFeatureKey, SupportedFeatureKey,
};
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{ApiKey, ErrorCode};

use super::{SERVED, versions};
use crate::world::{Context, MAX_TRANSACTION_VERSION, World};

/// What becomes of a request, by its header alone.
#[derive(Debug)]
pub enum Admission {
    /// It is read and served.
    Serve,
    /// It is answered with this, in version 0: the client is newer than the broker (KIP-511).
    Downgrade(ApiVersionsResponse),
    /// Its connection is closed, as Kafka does.
    Close,
}

/// Decides by the header whether a request is read at all. The body of an unknown version of
/// `ApiVersions` is not.
#[must_use]
pub fn admit(frame: &RequestFrame) -> Admission {
    match versions(frame.api) {
        Some(range) if range.contains(frame.version) => Admission::Serve,
        Some(_) if frame.api == ApiKey::ApiVersions => Admission::Downgrade(ApiVersionsResponse {
            error_code: ErrorCode::UnsupportedVersion.code(),
            api_keys: vec![announce(ApiKey::ApiVersions)],
            ..ApiVersionsResponse::default()
        }),
        _ => Admission::Close,
    }
}

pub(super) fn api_versions(
    world: &World,
    cx: &Context,
    request: &ApiVersionsRequest,
) -> ApiVersionsResponse {
    if let Err(code) = check(world, cx, request) {
        let error_code = code.code();
        return ApiVersionsResponse { error_code, ..ApiVersionsResponse::default() };
    }
    ApiVersionsResponse {
        api_keys: SERVED.iter().copied().map(announce).collect(),
        supported_features: supported(cx.version),
        finalized_features_epoch: 0,
        finalized_features: finalized(world),
        ..ApiVersionsResponse::default()
    }
}

fn check(world: &World, cx: &Context, request: &ApiVersionsRequest) -> Result<(), ErrorCode> {
    cx.whole()?;
    let named = [&request.client_software_name, &request.client_software_version];
    if cx.version >= 3 && !named.into_iter().all(|text| is_software_name(text)) {
        return Err(ErrorCode::InvalidRequest);
    }
    // A client that means another cluster or node must look them up anew (KIP-1242).
    let cluster = request.cluster_id.as_ref();
    // Kafka wants both or neither.
    if cluster.is_some() != (request.node_id >= 0) {
        return Err(ErrorCode::InvalidRequest);
    }
    let other_cluster = cluster.is_some_and(|id| id != world.catalog.cluster_id());
    let other_node = request.node_id >= 0 && request.node_id != cx.node.0;
    if other_cluster || other_node { Err(ErrorCode::RebootstrapRequired) } else { Ok(()) }
}

/// `[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?`
fn is_software_name(text: &str) -> bool {
    let inner = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    let ends = [text.as_bytes().first(), text.as_bytes().last()];
    text.as_bytes().iter().all(inner)
        && ends.into_iter().all(|end| end.is_some_and(u8::is_ascii_alphanumeric))
}

fn announce(api: ApiKey) -> ApiVersion {
    let range = api.stable_versions();
    // librdkafka before mid-2025 compresses only where version 0 of Produce is announced; Kafka
    // announces it for that reason and refuses it when it is used (KAFKA-18659).
    let min_version = if api == ApiKey::Produce { 0 } else { range.min };
    let (api_key, max_version) = (api.code(), range.max);
    ApiVersion { api_key, min_version, max_version, ..ApiVersion::default() }
}

/// Features that can be used, with the levels they can have: KIP-848 groups put theirs here.
/// Clients below version 4 cannot read one whose minimum is 0 (KAFKA-17492).
fn supported(version: i16) -> Vec<SupportedFeatureKey> {
    let transactions = SupportedFeatureKey {
        name: TRANSACTION_VERSION.into(),
        min_version: 0,
        max_version: MAX_TRANSACTION_VERSION,
        ..SupportedFeatureKey::default()
    };
    let all = [transactions].into_iter();
    all.filter(|feature| version >= 4 || feature.min_version > 0).collect()
}

/// The levels that features have, but for level 0, which is not told.
fn finalized(world: &World) -> Vec<FinalizedFeatureKey> {
    let level = world.transactions.version();
    let transactions = FinalizedFeatureKey {
        name: TRANSACTION_VERSION.into(),
        min_version_level: level,
        max_version_level: level,
        ..FinalizedFeatureKey::default()
    };
    [transactions].into_iter().filter(|feature| feature.max_version_level > 0).collect()
}

/// Whether producers speak the protocol of KIP-890.
const TRANSACTION_VERSION: &str = "transaction.version";
