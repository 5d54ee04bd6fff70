//! The handlers, by what they are about.

mod configs;
pub(crate) mod deletions;
mod demands;
pub mod fetch;
mod metadata;
pub(crate) mod offsets;
pub mod produce;
mod producers;
mod topics;
mod versions;

use ottla_protocol::{AnyRequest, ApiKey, ByteString, ErrorCode, VersionRange};

use crate::group;
use crate::txn;
use crate::world::{Context, Flow, Prepared, World};
pub use versions::{Admission, admit};

/// The APIs that are served, each with the versions to announce. No other is announced: a client's
/// own negotiation refuses what is missing, and a half-served API is worse than none.
pub const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::WriteTxnMarkers,
    ApiKey::TxnOffsetCommit,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::OffsetDelete,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::DescribeTransactions,
    ApiKey::ListTransactions,
    ApiKey::DescribeTopicPartitions,
];

/// The versions in which a served API may be asked; none for one that is not served.
#[must_use]
pub fn versions(api: ApiKey) -> Option<VersionRange> {
    SERVED.contains(&api).then(|| api.stable_versions())
}

/// Why an administrative request is refused, as the client is told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", message.as_deref().unwrap_or_else(|| code.description()))]
pub struct Refused {
    /// The code.
    pub code: ErrorCode,
    /// The reason in words; `None` where the code says it all.
    pub message: Option<String>,
}

impl Refused {
    fn new(code: ErrorCode, reason: impl ToString) -> Self {
        Self { code, message: Some(reason.to_string()) }
    }
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None }
    }
}

/// The code and message of a row.
fn told(outcome: Result<(), Refused>) -> (i16, Option<ByteString>) {
    match outcome {
        Ok(()) => (0, None),
        Err(Refused { code, message }) => {
            let message = message.unwrap_or_else(|| code.description().to_owned());
            (code.code(), Some(message.into()))
        }
    }
}

impl World {
    /// Gives a request to its handler.
    pub(crate) fn serve(&mut self, cx: &Context, request: Prepared) -> Flow {
        match request {
            Prepared::Produce(request) => produce::produce(self, cx, request),
            Prepared::Other(request) => self.serve_other(cx, request),
        }
    }

    fn serve_coordinator(&mut self, cx: &Context, request: AnyRequest) -> Flow {
        let served = txn::serve(self, cx, request).or_else(|other| group::serve(self, cx, *other));
        served.unwrap_or_else(|other| {
            tracing::warn!(api = %other.api(), "request of an API that is not served");
            Flow::Close
        })
    }

    fn serve_other(&mut self, cx: &Context, request: AnyRequest) -> Flow {
        match request {
            AnyRequest::Fetch(request) => fetch::fetch(self, cx, request),
            AnyRequest::ListOffsets(request) => offsets::list(self, cx, request),
            AnyRequest::OffsetForLeaderEpoch(request) => {
                offsets::leader_epoch_ends(self, cx, request).into()
            }
            AnyRequest::DeleteRecords(request) => deletions::delete_records(self, cx, request),
            AnyRequest::ApiVersions(request) => versions::api_versions(self, cx, &request).into(),
            AnyRequest::Metadata(request) => {
                self.as_known_to(cx.node, |known| metadata::metadata(known, cx, request)).into()
            }
            AnyRequest::DescribeCluster(request) => self
                .as_known_to(cx.node, |known| metadata::describe_cluster(known, cx, &request))
                .into(),
            AnyRequest::DescribeTopicPartitions(request) => self
                .as_known_to(cx.node, |known| {
                    metadata::describe_topic_partitions(known, cx, request)
                })
                .into(),
            AnyRequest::FindCoordinator(request) => self
                .as_known_to(cx.node, |known| metadata::find_coordinator(known, cx, request))
                .into(),
            AnyRequest::CreateTopics(request) => topics::create(self, cx, request).into(),
            AnyRequest::DeleteTopics(request) => topics::delete(self, cx, request).into(),
            AnyRequest::CreatePartitions(request) => {
                topics::create_partitions(self, cx, request).into()
            }
            AnyRequest::DescribeConfigs(request) => configs::describe(self, cx, request).into(),
            AnyRequest::AlterConfigs(request) => configs::replace(self, cx, request).into(),
            AnyRequest::IncrementalAlterConfigs(request) => {
                configs::alter(self, cx, request).into()
            }
            AnyRequest::DescribeProducers(request) => producers::describe(self, cx, request).into(),
            other => self.serve_coordinator(cx, other),
        }
    }
}
