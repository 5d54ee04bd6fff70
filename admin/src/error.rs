//! Why an administrative call failed.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::error::{
    Certainty, ErrorBuilder, ErrorClass, ErrorCode, ErrorKind, RequestError, WithCauses,
};

/// Why an administrative call failed for one item: a topic, a partition, a group, a broker.
///
/// The text says what was to be done to what, why it was not, and, where there is one thing to do
/// about it, that.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// A broker refused.
    #[error("{subject}: {}", Refused { code: *code, message: message.as_deref() })]
    Refused {
        /// What was to be done to what: `create topic orders`.
        subject: Arc<str>,
        /// Why not.
        code: ErrorCode,
        /// Why not, in the broker's words; `None` where it has none.
        message: Option<Arc<str>>,
        /// Whether an earlier attempt of the same call may have done it: its answer was lost, or
        /// said that it took too long. A topic that is to be created and then
        /// [`TopicAlreadyExists`](ErrorCode::TopicAlreadyExists) was perhaps created by that
        /// attempt.
        certainty: Certainty,
    },
    /// No broker answered, or none could be asked.
    #[error("{subject}: {}", WithCauses(error))]
    Request {
        /// What was to be done to what.
        subject: Arc<str>,
        /// Why there is no answer.
        error: RequestError,
    },
    /// Brokers answered, but only that it is to be tried again later.
    #[error("{subject}: not done within {} s{}", within.as_secs_f32(), Last(last.as_deref()))]
    DeadlineExceeded {
        /// What was to be done to what.
        subject: Arc<str>,
        /// The time that there was.
        within: Duration,
        /// Whether some attempt may have done it.
        certainty: Certainty,
        /// How the last attempt failed; `None` if none was made.
        last: Option<Arc<Self>>,
    },
    /// The broker answered, but not for this item.
    #[error("{subject}: the broker's answer passes over it")]
    Unanswered {
        /// What was to be done to what.
        subject: Arc<str>,
    },
}

impl AdminError {
    /// What to do about it (KIP-1050). What is retriable was retried until the deadline; all else
    /// that a broker refuses asks for another request, or for other settings or permissions, and
    /// none of it for another client.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Refused { code, .. } => {
                let retriable = code.class().filter(|class| class.is_retriable());
                retriable.unwrap_or(ErrorClass::InvalidConfiguration)
            }
            Self::Request { error, .. } => error.class(),
            Self::DeadlineExceeded { .. } | Self::Unanswered { .. } => ErrorClass::Retriable,
        }
    }

    /// Whether it may have been done nevertheless. Calls that only look say
    /// [`PossiblyWritten`](Certainty::PossiblyWritten), too: they were perhaps asked.
    #[must_use]
    pub fn certainty(&self) -> Certainty {
        match self {
            Self::Refused { certainty, .. } | Self::DeadlineExceeded { certainty, .. } => {
                *certainty
            }
            Self::Request { error, .. } => error.certainty(),
            Self::Unanswered { .. } => Certainty::PossiblyWritten,
        }
    }

    /// What the broker said, the last time it was asked; `None` if no broker said anything.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            Self::DeadlineExceeded { last, .. } => last.as_ref()?.code(),
            Self::Request { error: RequestError::Unroutable { code }, .. } => Some(*code),
            Self::Request { .. } | Self::Unanswered { .. } => None,
        }
    }

    /// The broker's own words; `None` where it has none.
    #[must_use]
    pub fn broker_message(&self) -> Option<&str> {
        match self {
            Self::Refused { message, .. } => message.as_deref(),
            Self::DeadlineExceeded { last, .. } => last.as_ref()?.broker_message(),
            Self::Request { .. } | Self::Unanswered { .. } => None,
        }
    }

    /// What to do about it, in whole sentences, where there is one thing to do.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        self.code().and_then(hint)
    }

    /// What was to be done to what: `create topic orders`.
    #[must_use]
    pub fn subject(&self) -> &str {
        match self {
            Self::Refused { subject, .. }
            | Self::Request { subject, .. }
            | Self::DeadlineExceeded { subject, .. }
            | Self::Unanswered { subject } => subject,
        }
    }
}

impl AdminError {
    /// What kind of thing went wrong; where no broker answered, that is why none did.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            // That a group does not know a member is said of offsets that are set from outside.
            Self::Refused { code: ErrorCode::UnknownMemberId, .. } => ErrorKind::Refused,
            Self::Refused { code, .. } => ErrorKind::of(*code),
            Self::Request { error, .. } => error.kind(),
            Self::DeadlineExceeded { .. } => ErrorKind::Timeout,
            Self::Unanswered { .. } => ErrorKind::Refused,
        }
    }
}

impl From<AdminError> for ottla_core::error::Error {
    fn from(error: AdminError) -> Self {
        let (kind, class, certainty) = (error.kind(), error.class(), error.certainty());
        let (code, hint) = (error.code(), error.hint());
        let builder = Self::of_operation(kind, class, error).certainty(certainty);
        let builder = code.into_iter().fold(builder, ErrorBuilder::code);
        hint.into_iter().fold(builder, ErrorBuilder::hint).build()
    }
}

/// A code, the broker's words instead of ours where it has any, and what to do.
struct Refused<'a> {
    code: ErrorCode,
    message: Option<&'a str>,
}

impl fmt::Display for Refused<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { code, message } = self;
        match message.map(|message| message.trim_end_matches('.')) {
            Some(message) if !message.is_empty() => {
                write!(f, "{} ({}): {message}", code.name(), code.code())?;
            }
            _ => code.fmt(f)?,
        }
        hint(*code).map_or(Ok(()), |hint| write!(f, ". {hint}"))
    }
}

/// How the last attempt failed, without naming its subject again.
struct Last<'a>(Option<&'a AdminError>);

impl fmt::Display for Last<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(last) = self.0 else { return Ok(()) };
        let text = last.to_string();
        let cause = text.strip_prefix(last.subject()).unwrap_or(&text);
        write!(f, "{cause}")
    }
}

/// What to do, where there is one thing to do.
fn hint(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::UnknownTopicOrPartition => "Create it, or correct its name.",
        ErrorCode::TopicAlreadyExists => "if_not_exists() accepts that.",
        ErrorCode::TopicDeletionDisabled => "Set delete.topic.enable=true on the brokers.",
        ErrorCode::InvalidReplicationFactor => {
            "Ask for at most as many replicas as there are brokers."
        }
        ErrorCode::NonEmptyGroup | ErrorCode::UnknownMemberId => "Stop the group's members first.",
        ErrorCode::GroupSubscribedToTopic => "Stop the members that consume the topic first.",
        ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed
        | ErrorCode::ClusterAuthorizationFailed => {
            "The brokers' ACLs must allow this principal to do it."
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_why_and_what_to_do() {
        check(
            refused(ErrorCode::TopicAlreadyExists, Some("Topic 'orders' already exists.")),
            "create topic orders: TOPIC_ALREADY_EXISTS (36): Topic 'orders' already exists. \
             if_not_exists() accepts that.",
        );
    }

    #[test]
    fn a_broker_without_words_is_given_ours() {
        let words = ErrorCode::PolicyViolation.to_string();
        check(refused(ErrorCode::PolicyViolation, None), &format!("create topic orders: {words}"));
    }

    #[test]
    fn a_deadline_says_what_stood_in_the_way() {
        let last = refused(ErrorCode::NotController, Some("not me"));
        let error = AdminError::DeadlineExceeded {
            subject: "create topic orders".into(),
            within: Duration::from_millis(1_500),
            certainty: Certainty::NotWritten,
            last: Some(Arc::new(last)),
        };
        assert_eq!(error.code(), Some(ErrorCode::NotController));
        assert_eq!(error.broker_message(), Some("not me"));
        assert_eq!(error.class(), ErrorClass::Retriable);
        check(error, "create topic orders: not done within 1.5 s: NOT_CONTROLLER (41): not me");
    }

    #[test]
    fn a_lost_answer_is_told_with_its_cause() {
        let unroutable = RequestError::Unroutable { code: ErrorCode::CoordinatorNotAvailable };
        let error = AdminError::Request {
            subject: "delete group billing".into(),
            error: RequestError::DeadlineExceeded {
                within: Duration::from_secs(60),
                certainty: Certainty::PossiblyWritten,
                last: Some(Arc::new(unroutable)),
            },
        };
        assert_eq!(error.certainty(), Certainty::PossiblyWritten);
        check(
            error,
            "delete group billing: no answer from any broker within 60 s: no broker is available \
             for this: CoordinatorNotAvailable",
        );
    }

    #[test]
    fn a_request_without_an_answer_is_of_the_kind_of_its_cause() {
        let certainty = Certainty::NotWritten;
        let denied = RequestError::Unroutable { code: ErrorCode::GroupAuthorizationFailed };
        for (error, kind) in [
            (denied, ErrorKind::Authorization),
            (RequestError::Closed { certainty }, ErrorKind::Closed),
            (
                RequestError::DeadlineExceeded { within: Duration::ZERO, certainty, last: None },
                ErrorKind::Timeout,
            ),
        ] {
            let error = AdminError::Request { subject: "delete group billing".into(), error };
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(ottla_core::error::Error::from(error).kind(), kind);
        }
    }

    fn refused(code: ErrorCode, message: Option<&str>) -> AdminError {
        AdminError::Refused {
            subject: "create topic orders".into(),
            code,
            message: message.map(Into::into),
            certainty: Certainty::NotWritten,
        }
    }

    /// The error and the one of the facade say the same.
    #[track_caller]
    fn check(error: AdminError, expected: &str) {
        assert_eq!(error.to_string(), expected);
        let (code, hint, certainty) = (error.code(), error.hint(), error.certainty());
        let general = ottla_core::error::Error::from(error);
        assert_eq!(general.to_string(), expected);
        assert_eq!((general.code(), general.hint()), (code, hint));
        assert_eq!(general.possibly_written(), certainty == Certainty::PossiblyWritten);
    }

    #[test]
    fn no_refusal_asks_for_another_client() {
        for code in ErrorCode::ALL.iter().filter(|code| code.is_error()) {
            let error = refused(*code, None);
            assert_eq!(error.class().is_retriable(), code.is_retriable(), "{code}");
            assert!(!ottla_core::error::Error::from(error).is_fatal(), "{code}");
        }
    }
}
