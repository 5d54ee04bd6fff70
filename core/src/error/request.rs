//! Why a request got no answer.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::wire::FrameError;
use ottla_protocol::{ApiKey, DecodeError, EncodeError, ErrorClass, ErrorCode, VersionRange};

use super::{Certainty, ErrorKind};
use crate::types::{HostPort, NodeId};

/// The broker at the other end, as errors and logs name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id; `None` for an address of `bootstrap.servers`, before it has said who it is.
    pub node: Option<NodeId>,
    /// Where it is.
    pub address: HostPort,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => write!(f, "broker {node} at {}", self.address),
            None => write!(f, "bootstrap server {}", self.address),
        }
    }
}

/// Why a request got no answer that could be read. What a broker answers is not here, even where it
/// is an error code.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// There is no connection, or there is none any more.
    #[error("{peer}: {reason}")]
    Connection {
        /// The broker.
        peer: Arc<Peer>,
        /// Why there is none.
        reason: CloseReason,
        /// Whether the request was on its way.
        certainty: Certainty,
    },
    /// The broker and this client have no version of the API in common.
    #[error("{peer} speaks {api:?} {}, and this client versions {ours}", spoken(*.theirs))]
    UnsupportedVersion {
        /// The broker.
        peer: Arc<Peer>,
        /// The API.
        api: ApiKey,
        /// The versions that the broker speaks; `None` if it does not know the API.
        theirs: Option<VersionRange>,
        /// The versions that the request could be written in.
        ours: VersionRange,
    },
    /// The request cannot be written in the version that both speak.
    #[error("cannot be asked of {peer}: {source}")]
    Encode {
        /// The broker.
        peer: Arc<Peer>,
        /// What is wrong with the request.
        #[source]
        source: EncodeError,
    },
    /// The deadline passed before there was an answer.
    #[error("no answer from any broker within {}", Took(*.within))]
    DeadlineExceeded {
        /// The time that there was.
        within: Duration,
        /// Whether a request was on its way at some time.
        certainty: Certainty,
        /// Why the last attempt failed, if one did.
        #[source]
        last: Option<Arc<Self>>,
    },
    /// No broker answered as the coordinator, the leader or the controller that was looked for.
    #[error("no broker is available for this: {code:?}")]
    Unroutable {
        /// What the broker that was asked said.
        code: ErrorCode,
    },
    /// The client was closed.
    #[error("the client was closed")]
    Closed {
        /// Whether the request was on its way.
        certainty: Certainty,
    },
}

impl RequestError {
    /// Whether a broker may have acted on the request.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Connection { certainty, .. }
            | Self::DeadlineExceeded { certainty, .. }
            | Self::Closed { certainty } => *certainty,
            Self::UnsupportedVersion { .. } | Self::Encode { .. } | Self::Unroutable { .. } => {
                Certainty::NotWritten
            }
        }
    }

    /// What to do about it (KIP-1050).
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connection { reason, .. } => reason.class(),
            Self::DeadlineExceeded { .. } => ErrorClass::Retriable,
            Self::Unroutable { code } => code.class().unwrap_or(ErrorClass::Retriable),
            Self::UnsupportedVersion { .. } | Self::Encode { .. } => {
                ErrorClass::InvalidConfiguration
            }
            Self::Closed { .. } => ErrorClass::ApplicationRecoverable,
        }
    }

    /// What kind of thing went wrong. Where time ran out, that is what stood in the way at last:
    /// brokers that cannot be reached are [`Connect`](ErrorKind::Connect), however long they were
    /// tried.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Connection { reason, .. } => reason.kind(),
            Self::UnsupportedVersion { .. } | Self::Encode { .. } => ErrorKind::Unsupported,
            Self::DeadlineExceeded { last: Some(last), .. } => last.kind(),
            Self::DeadlineExceeded { last: None, .. } => ErrorKind::Timeout,
            Self::Unroutable { code } => ErrorKind::of(*code),
            Self::Closed { .. } => ErrorKind::Closed,
        }
    }
}

/// Why a connection did not come to be, or ended.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// No connection could be made.
    #[error("cannot connect: {0}")]
    Connect(#[source] Arc<io::Error>),
    /// No connection came up in time.
    #[error(
        "no connection within {} (socket.connection.setup.timeout.ms)",
        Took(*.0)
    )]
    SetupTimeout(Duration),
    /// The broker closed before its first answer, as one does that expects TLS.
    #[error(
        "closed the connection before its first answer; if this port expects TLS, connect to a \
         plaintext one: security.protocol=PLAINTEXT is all that this version speaks"
    )]
    ClosedBeforeFirstAnswer,
    /// The first bytes are those of a TLS alert.
    #[error(
        "answers in TLS; connect to its plaintext port: security.protocol=PLAINTEXT is all that this \
         version speaks"
    )]
    SpeaksTls,
    /// The first bytes are no answer of a Kafka broker.
    #[error("is not a Kafka broker: {0}")]
    NotKafka(Arc<str>),
    /// The broker belongs to another cluster than the one this client began with (KIP-1242).
    #[error("belongs to another cluster or is another node than expected")]
    WrongCluster,
    /// The broker refused the first request.
    #[error("refused ApiVersions with {0:?}")]
    Refused(ErrorCode),
    /// The broker closed the connection.
    #[error("closed the connection")]
    Closed,
    /// The connection broke.
    #[error("connection lost: {0}")]
    Lost(#[source] Arc<io::Error>),
    /// A request was not answered in time.
    #[error("did not answer {api:?} within {} (request.timeout.ms)", Took(*.after))]
    RequestTimeout {
        /// The API that was asked.
        api: ApiKey,
        /// How long it waited.
        after: Duration,
    },
    /// What came is no frame.
    #[error("sent what is no frame: {0}")]
    Frame(FrameError),
    /// An answer that nobody asked for.
    #[error("answered request {got} where {expected} was next")]
    WrongCorrelation {
        /// The correlation id of the oldest request without an answer.
        expected: i32,
        /// The one that came.
        got: i32,
    },
    /// An answer that cannot be read.
    #[error("sent an answer that cannot be read: {0}")]
    Decode(Arc<DecodeError>),
    /// Nothing was sent for `connections.max.idle.ms`.
    #[error("idle connection closed")]
    Idle,
    /// The broker has another address now.
    #[error("the broker has moved to another address")]
    Moved,
    /// Nobody needs it any more.
    #[error("the connection is no longer needed")]
    Released,
}

impl CloseReason {
    /// What to do about it (KIP-1050).
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connect(_)
            | Self::SetupTimeout(_)
            | Self::ClosedBeforeFirstAnswer
            | Self::WrongCluster
            | Self::Moved => ErrorClass::RefreshRetriable,
            Self::Closed
            | Self::Lost(_)
            | Self::RequestTimeout { .. }
            | Self::Frame(_)
            | Self::WrongCorrelation { .. }
            | Self::Decode(_)
            | Self::Idle => ErrorClass::Retriable,
            Self::SpeaksTls | Self::NotKafka(_) | Self::Refused(_) => {
                ErrorClass::InvalidConfiguration
            }
            Self::Released => ErrorClass::ApplicationRecoverable,
        }
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::SetupTimeout(_) | Self::RequestTimeout { .. } => ErrorKind::Timeout,
            Self::Frame(_) | Self::WrongCorrelation { .. } | Self::Decode(_) => ErrorKind::Corrupt,
            Self::Refused(code) => ErrorKind::of(*code),
            Self::Connect(_)
            | Self::ClosedBeforeFirstAnswer
            | Self::SpeaksTls
            | Self::NotKafka(_)
            | Self::WrongCluster
            | Self::Closed
            | Self::Lost(_)
            | Self::Idle
            | Self::Moved
            | Self::Released => ErrorKind::Connect,
        }
    }
}

/// A duration as errors say it: `0.2 s`, `30 s`.
#[derive(Debug)]
pub(super) struct Took(pub(super) Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.subsec_millis() == 0 {
            write!(f, "{} s", self.0.as_secs())
        } else {
            write!(f, "{:.1} s", self.0.as_secs_f64())
        }
    }
}

fn spoken(theirs: Option<VersionRange>) -> String {
    theirs.map_or_else(|| "in no version".into(), |range| format!("in versions {range}"))
}
