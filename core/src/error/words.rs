//! What is said of failures that every role meets, and what to do about them.

use std::io;

use ottla_protocol::{ErrorClass, ErrorCode};

use super::{CloseReason, Error, ErrorBuilder, ErrorKind, Peer, RequestError};
use crate::config::ConfigError;
use crate::types::HostPort;

impl Error {
    /// An error of an operation whose request got no answer.
    pub fn of_request(operation: &'static str, error: RequestError) -> ErrorBuilder {
        let root = root(&error);
        let certainty = error.certainty();
        let mut builder = match root {
            RequestError::Connection { peer, reason, .. } => of_connection(operation, peer, reason),
            other => Self::builder(operation, other.kind(), other.class(), said(other)),
        };
        if let RequestError::DeadlineExceeded { within, .. } = &error {
            builder = builder.elapsed(*within);
        }
        if let RequestError::Unroutable { code } = root {
            builder = builder.code(*code);
        }
        builder.certainty(certainty).source(error)
    }

    /// An error of an operation that a broker refused. The class is the one that the code has by
    /// itself: where an operation knows better, it builds its own.
    pub fn of_code(operation: &'static str, code: ErrorCode) -> ErrorBuilder {
        let class = code.class().unwrap_or(ErrorClass::Fatal);
        let builder =
            |cause| Self::builder(operation, ErrorKind::of(code), class, cause).code(code);
        match code {
            ErrorCode::UnknownTopicOrPartition => builder("topic does not exist".to_owned()).hint(
                "Create it, or correct its name; with allow.auto.create.topics=true, brokers that \
                     are set so create what is asked for.",
            ),
            ErrorCode::TopicAuthorizationFailed => builder(code.to_string())
                .hint("The brokers' ACLs must allow this principal the operation on the topic."),
            ErrorCode::GroupAuthorizationFailed => builder(code.to_string())
                .hint("The brokers' ACLs must allow this principal to read as the group."),
            _ => builder(code.to_string()),
        }
    }
}

impl From<ConfigError> for Error {
    fn from(error: ConfigError) -> Self {
        let class = ErrorClass::InvalidConfiguration;
        let told = Self::builder("config", ErrorKind::Config, class, error.to_string());
        told.source(error).build()
    }
}

/// Why the last attempt failed, which says more than that there was no time left.
fn root(error: &RequestError) -> &RequestError {
    match error {
        RequestError::DeadlineExceeded { last: Some(last), .. } => root(last),
        other => other,
    }
}

/// The time that there was is among the details.
fn said(error: &RequestError) -> String {
    match error {
        RequestError::DeadlineExceeded { .. } => "no answer from any broker".into(),
        other => other.to_string(),
    }
}

fn of_connection(operation: &'static str, peer: &Peer, reason: &CloseReason) -> ErrorBuilder {
    let builder = |cause| Error::builder(operation, reason.kind(), reason.class(), cause);
    let port = peer.address.port;
    match reason {
        CloseReason::Connect(error) => unreachable(operation, peer, reason, error),
        CloseReason::ClosedBeforeFirstAnswer => {
            builder(format!("{peer} closed the connection before its first answer"))
                .hint(format!("If port {port} expects TLS: {NO_TLS}."))
        }
        CloseReason::SpeaksTls => builder(format!("{peer} answers in TLS"))
            .hint(format!("Connect to its plaintext port instead of {port}: {NO_TLS}.")),
        CloseReason::NotKafka(_) => {
            builder(format!("{peer} {reason}")).hint(format!("Check what listens on port {port}."))
        }
        CloseReason::WrongCluster => builder(format!("{peer} {reason}"))
            .hint("Check bootstrap.servers and the brokers' advertised.listeners."),
        CloseReason::SetupTimeout(_)
        | CloseReason::RequestTimeout { .. }
        | CloseReason::Frame(_)
        | CloseReason::WrongCorrelation { .. }
        | CloseReason::Decode(_) => builder(format!("{peer} {reason}")),
        CloseReason::Refused(code) => builder(format!("{peer} {reason}")).code(*code),
        CloseReason::Closed
        | CloseReason::Lost(_)
        | CloseReason::Idle
        | CloseReason::Moved
        | CloseReason::Released => builder(format!("{peer}: {reason}")),
    }
}

/// Bootstrap servers are what somebody wrote here; brokers are where the cluster says they are.
fn unreachable(
    operation: &'static str,
    peer: &Peer,
    reason: &CloseReason,
    error: &io::Error,
) -> ErrorBuilder {
    let outcome = match error.kind() {
        io::ErrorKind::ConnectionRefused => "refuses connections".to_owned(),
        _ => format!("cannot be reached: {error}"),
    };
    let address = &peer.address;
    let builder = |cause| Error::builder(operation, reason.kind(), reason.class(), cause);
    match peer.node {
        None => builder(format!("no bootstrap server could be reached: {address} {outcome}"))
            .hint(start_one(address)),
        Some(node) => builder(format!(
            "the cluster advertises broker {node} at {address}, which {outcome} from here"
        ))
        .hint(
            "If that broker is running, its advertised.listeners must name an address that can be \
             reached from here.",
        ),
    }
}

fn start_one(address: &HostPort) -> String {
    let is_local = matches!(&*address.host, "localhost" | "127.0.0.1" | "::1");
    if is_local {
        return "Is a broker running? `ottla-broker` starts one.".into();
    }
    "Check bootstrap.servers, and that the brokers are running.".into()
}

const NO_TLS: &str = "this version speaks only plaintext";

#[cfg(test)]
mod tests;
