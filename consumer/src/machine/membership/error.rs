//! Why a member could not go on.

use std::sync::Arc;

use bytestring::ByteString;
use ottla_core::error::{ErrorClass, ErrorCode, RequestError, WithCauses};

use crate::machine::assignor::AssignError;

/// Why a member could not go on. The poll after the one that fails with it has the member try again,
/// unless it [is fatal](Self::is_fatal).
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum GroupError {
    /// Another consumer with the same `group.instance.id` has taken over (KIP-345).
    #[error(
        "group {group}: fenced by another consumer with group.instance.id={instance}; give each \
         its own"
    )]
    FencedInstance {
        /// The group.
        group: ByteString,
        /// `group.instance.id`.
        instance: ByteString,
    },
    /// The coordinator refused the member.
    #[error("group {group}: refused with {code}{}", hint(*.code))]
    Refused {
        /// The group.
        group: ByteString,
        /// What the coordinator said.
        code: ErrorCode,
    },
    /// The group chose an assignor that this member does not have.
    #[error(
        "group {group}: assigns with `{protocol}`, which is not in this member's \
         partition.assignment.strategy"
    )]
    UnknownAssignor {
        /// The group.
        group: ByteString,
        /// What was chosen.
        protocol: ByteString,
    },
    /// The assignment that the leader made for this member cannot be read.
    #[error("group {group}: the leader's assignment cannot be read: {why}")]
    MalformedAssignment {
        /// The group.
        group: ByteString,
        /// What is wrong with it.
        why: Arc<str>,
    },
    /// An assignor of the application failed while this member led the group.
    #[error("group {group}: cannot be assigned: {}", WithCauses(source))]
    Assign {
        /// The group.
        group: ByteString,
        /// Why.
        #[source]
        source: AssignError,
    },
    /// The coordinator cannot be asked at all.
    #[error("group {group}: cannot be joined: {}", WithCauses(source))]
    Request {
        /// The group.
        group: ByteString,
        /// Why.
        #[source]
        source: Arc<RequestError>,
    },
}

impl GroupError {
    /// Whether the member does not try again: another one has its place.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::FencedInstance { .. })
    }

    /// What to do about it (KIP-1050).
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::FencedInstance { .. } | Self::MalformedAssignment { .. } => ErrorClass::Fatal,
            Self::Refused { code, .. } => code.class().unwrap_or(ErrorClass::Fatal),
            Self::UnknownAssignor { .. } | Self::Assign { .. } => ErrorClass::InvalidConfiguration,
            Self::Request { source, .. } => source.class(),
        }
    }
}

impl PartialEq for GroupError {
    /// Alike in what they say: errors of requests hold what cannot be compared.
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for GroupError {}

fn hint(code: ErrorCode) -> &'static str {
    match code {
        ErrorCode::InvalidSessionTimeout => {
            "; session.timeout.ms must lie within the broker's group.min.session.timeout.ms and \
             group.max.session.timeout.ms"
        }
        ErrorCode::InconsistentGroupProtocol => {
            "; no assignor of partition.assignment.strategy is one that all members have"
        }
        ErrorCode::GroupMaxSizeReached => "; the broker's group.max.size is reached",
        ErrorCode::GroupAuthorizationFailed => "; it needs READ on the group",
        ErrorCode::InvalidGroupId => "; set a group.id",
        _ => "",
    }
}
