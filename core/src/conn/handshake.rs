//! The first exchange on each connection: what does the broker speak?

use bytes::Bytes;
use ottla_protocol::messages::{ApiVersionsRequest, ApiVersionsResponse};
use ottla_protocol::{ApiKey, ErrorCode, Message};

use super::BrokerVersions;
use crate::error::CloseReason;
use crate::types::NodeId;

/// Asks a broker which versions it speaks, in a version that it may not speak itself.
///
/// ```text
/// Asked in the newest --UNSUPPORTED_VERSION--> asked in one it knows --> done
///         \---------------------------------------------------------------> done
/// ```
///
/// # Kafka
///
/// KIP-35, KIP-511 (the answer to an unknown version is in version 0, and names the versions of
/// `ApiVersions`), KIP-1242 (cluster id and node id, so that a broker which is not the one meant
/// says so).
#[derive(Debug)]
pub struct Handshake {
    version: i16,
    downgraded: bool,
    expected: Expected,
}

/// Whom the client means to reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The cluster, once it is known.
    pub cluster_id: Option<String>,
    /// The node; `None` for a bootstrap server.
    pub node: Option<NodeId>,
}

/// What becomes of a handshake.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// The request must be sent again.
    Again,
    /// The connection is ready.
    Ready(BrokerVersions),
}

impl Handshake {
    /// A handshake before its first request.
    #[must_use]
    pub fn new(expected: Expected) -> Self {
        Self { version: ApiKey::ApiVersions.stable_versions().max, downgraded: false, expected }
    }

    /// The version to ask in.
    #[must_use]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// What to ask. Brokers refuse a cluster id without a node id, so a bootstrap server gets neither.
    #[must_use]
    pub fn request(&self) -> ApiVersionsRequest {
        let Expected { cluster_id, node } = &self.expected;
        let cluster_id = cluster_id.as_deref().filter(|_| node.is_some());
        ApiVersionsRequest {
            client_software_name: SOFTWARE_NAME.into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            cluster_id: cluster_id.map(Into::into),
            node_id: node.map_or(-1, NodeId::number),
            ..ApiVersionsRequest::default()
        }
    }

    /// Takes the broker's answer.
    ///
    /// # Errors
    ///
    /// [`CloseReason`], when the broker refuses, or answers what cannot be read.
    pub fn handle_answer(&mut self, body: &Bytes) -> Result<Step, CloseReason> {
        let response = self.read(body)?;
        match ErrorCode::from_code(response.error_code) {
            ErrorCode::None => Ok(Step::Ready(BrokerVersions::from_wire(&response))),
            ErrorCode::UnsupportedVersion if !self.downgraded => {
                self.downgraded = true;
                self.version = known_to_both(&response);
                Ok(Step::Again)
            }
            ErrorCode::RebootstrapRequired => Err(CloseReason::WrongCluster),
            code => Err(CloseReason::Refused(code)),
        }
    }

    /// An answer that begins with `UNSUPPORTED_VERSION` is in version 0, whatever was asked.
    fn read(&self, body: &Bytes) -> Result<ApiVersionsResponse, CloseReason> {
        let refused = body.starts_with(&ErrorCode::UnsupportedVersion.code().to_be_bytes());
        let version = if refused { 0 } else { self.version };
        ApiVersionsResponse::decode(body, version)
            .map_err(|error| CloseReason::NotKafka(error.to_string().into()))
    }
}

/// The newest version of `ApiVersions` that the broker says it speaks; 0 where it does not say, as
/// every broker speaks that.
fn known_to_both(response: &ApiVersionsResponse) -> i16 {
    BrokerVersions::from_wire(response).highest(ApiKey::ApiVersions).unwrap_or(0)
}

/// What this client calls itself (KIP-511).
const SOFTWARE_NAME: &str = "ottla";

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::messages::api_versions::ApiVersion;

    #[test]
    fn a_broker_that_speaks_the_newest_version_is_asked_once() {
        let mut handshake = Handshake::new(Expected::default());
        let body = answer(0, &[(18, 0, 5), (3, 0, 13)]).encode(handshake.version()).unwrap();
        let Ok(Step::Ready(versions)) = handshake.handle_answer(&body.into_bytes()) else {
            panic!("not ready");
        };
        assert_eq!(versions.highest(ApiKey::Metadata), Some(13));
        assert_eq!(versions.highest(ApiKey::Produce), None);
    }

    #[test]
    fn a_bootstrap_server_is_not_told_which_cluster_is_meant() {
        let told = |node| {
            let expected = Expected { cluster_id: Some("mine".into()), node };
            let ApiVersionsRequest { cluster_id, node_id, .. } = Handshake::new(expected).request();
            (cluster_id.map(|id| id.to_string()), node_id)
        };
        assert_eq!(told(None), (None, -1));
        assert_eq!(told(NodeId::from_wire(3)), (Some("mine".into()), 3));
    }

    #[test]
    fn an_old_broker_is_asked_again_in_a_version_it_knows() {
        let mut handshake = Handshake::new(Expected::default());
        let refusal = answer(35, &[(18, 0, 2)]).encode(0).unwrap().into_bytes();
        assert!(matches!(handshake.handle_answer(&refusal), Ok(Step::Again)));
        assert_eq!(handshake.version(), 2);
    }

    #[test]
    fn a_refusal_without_versions_falls_back_to_version_0() {
        let mut handshake = Handshake::new(Expected::default());
        let refusal = answer(35, &[]).encode(0).unwrap().into_bytes();
        assert!(matches!(handshake.handle_answer(&refusal), Ok(Step::Again)));
        assert_eq!(handshake.version(), 0);
    }

    #[test]
    fn a_broker_that_refuses_twice_is_given_up() {
        let mut handshake = Handshake::new(Expected::default());
        let refusal = answer(35, &[]).encode(0).unwrap().into_bytes();
        assert!(matches!(handshake.handle_answer(&refusal), Ok(Step::Again)));
        let refused = handshake.handle_answer(&refusal);
        assert!(matches!(refused, Err(CloseReason::Refused(ErrorCode::UnsupportedVersion))));
    }

    #[test]
    fn a_broker_of_another_cluster_is_told_apart() {
        let mut handshake = Handshake::new(Expected::default());
        let body = answer(ErrorCode::RebootstrapRequired.code(), &[]);
        let body = body.encode(handshake.version()).unwrap().into_bytes();
        assert!(matches!(handshake.handle_answer(&body), Err(CloseReason::WrongCluster)));
    }

    #[test]
    fn garbage_is_not_kafka() {
        let mut handshake = Handshake::new(Expected::default());
        let garbage = Bytes::from_static(&[0, 0, 0xff, 0xff, 0xff]);
        assert!(matches!(handshake.handle_answer(&garbage), Err(CloseReason::NotKafka(_))));
    }

    fn answer(error_code: i16, apis: &[(i16, i16, i16)]) -> ApiVersionsResponse {
        let api_keys = apis.iter().map(|&(api_key, min_version, max_version)| ApiVersion {
            api_key,
            min_version,
            max_version,
            ..ApiVersion::default()
        });
        ApiVersionsResponse { error_code, api_keys: api_keys.collect(), ..Default::default() }
    }
}
