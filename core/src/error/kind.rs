//! What kind of thing went wrong.

use ottla_protocol::ErrorCode;

/// What kind of thing went wrong, for a program to decide by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Settings that cannot be used.
    Config,
    /// No broker could be reached.
    Connect,
    /// There was no answer within the time that there was.
    Timeout,
    /// The client, producer or consumer was closed.
    Closed,
    /// There is no room for another record now.
    BufferFull,
    /// The record cannot be written: too large, or malformed.
    InvalidRecord,
    /// There is no such topic, or no such partition of it.
    UnknownTopic,
    /// The broker does not know who this is, or does not believe it.
    Authentication,
    /// The broker does not allow it.
    Authorization,
    /// The broker, or this build, cannot do it.
    Unsupported,
    /// Another producer or member took this one's place.
    Fenced,
    /// The transaction cannot be committed any more.
    TransactionAborted,
    /// The group goes on without this member.
    GroupLost,
    /// The position lies outside of what the partition has.
    OffsetOutOfRange,
    /// Something that was received cannot be read.
    Corrupt,
    /// It was called at the wrong time: a call that is not allowed in this state.
    State,
    /// The broker refused, for a reason that is none of the others: see [`Error::code`].
    ///
    /// [`Error::code`]: super::Error::code
    Refused,
}

impl ErrorKind {
    /// The kind of what a broker says.
    #[must_use]
    pub fn of(code: ErrorCode) -> Self {
        use ErrorCode as Code;
        match code {
            Code::UnknownTopicOrPartition | Code::UnknownTopicId | Code::InconsistentTopicId => {
                Self::UnknownTopic
            }
            Code::RequestTimedOut => Self::Timeout,
            Code::MessageTooLarge | Code::RecordListTooLarge | Code::InvalidRecord => {
                Self::InvalidRecord
            }
            Code::TopicAuthorizationFailed
            | Code::GroupAuthorizationFailed
            | Code::ClusterAuthorizationFailed
            | Code::TransactionalIdAuthorizationFailed
            | Code::DelegationTokenAuthorizationFailed => Self::Authorization,
            Code::SaslAuthenticationFailed
            | Code::UnsupportedSaslMechanism
            | Code::IllegalSaslState => Self::Authentication,
            Code::UnsupportedVersion
            | Code::UnsupportedForMessageFormat
            | Code::UnsupportedCompressionType => Self::Unsupported,
            Code::ProducerFenced | Code::InvalidProducerEpoch | Code::FencedInstanceId => {
                Self::Fenced
            }
            Code::TransactionAbortable => Self::TransactionAborted,
            Code::UnknownMemberId | Code::IllegalGeneration | Code::FencedMemberEpoch => {
                Self::GroupLost
            }
            Code::OffsetOutOfRange => Self::OffsetOutOfRange,
            Code::CorruptMessage => Self::Corrupt,
            _ => Self::Refused,
        }
    }
}
