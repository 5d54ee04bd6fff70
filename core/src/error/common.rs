//! The one error that the facade returns.

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ottla_protocol::{ErrorClass, ErrorCode};

use super::causes::untold;
use super::request::Took;
use super::{Certainty, ErrorKind};

/// Why an operation failed. Small, and cheap to clone.
///
/// Shown in one line: what was done to what, why that failed, with whom, how often it was tried and
/// for how long, and what to do about it. `{:#}` adds what the causes say beyond that, a line for
/// each.
///
/// At most one of [`is_retriable`](Self::is_retriable), [`requires_abort`](Self::requires_abort)
/// and [`is_fatal`](Self::is_fatal) is true.
///
/// # Kafka
///
/// The classes are those of KIP-1050.
#[derive(Clone)]
pub struct Error(Arc<Parts>);

#[derive(Debug, Clone)]
struct Parts {
    kind: ErrorKind,
    class: ErrorClass,
    operation: Cow<'static, str>,
    subject: Option<Box<str>>,
    cause: Cow<'static, str>,
    with: Option<Box<str>>,
    attempts: Option<u32>,
    elapsed: Option<Duration>,
    code: Option<ErrorCode>,
    certainty: Certainty,
    hint: Option<Cow<'static, str>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    /// Whether what it came from must be given up, where the class does not tell.
    fatal: Option<bool>,
    /// Whether `cause` says it all: operation, subject and details are in it.
    is_whole: bool,
}

impl Error {
    /// Begins an error that an operation's own `error` says in full. That one is its source, to
    /// which it can be downcast.
    pub fn of_operation(
        kind: ErrorKind,
        class: ErrorClass,
        error: impl StdError + Send + Sync + 'static,
    ) -> ErrorBuilder {
        let mut builder = Self::builder("", kind, class, error.to_string()).source(error);
        builder.0.is_whole = true;
        builder
    }

    /// Begins an error of an operation, such as `send`. `cause` is why it failed, in lower case and
    /// without a final stop.
    pub fn builder(
        operation: impl Into<Cow<'static, str>>,
        kind: ErrorKind,
        class: ErrorClass,
        cause: impl Into<Cow<'static, str>>,
    ) -> ErrorBuilder {
        ErrorBuilder(Parts {
            kind,
            class,
            operation: operation.into(),
            subject: None,
            cause: cause.into(),
            with: None,
            attempts: None,
            elapsed: None,
            code: None,
            certainty: Certainty::NotWritten,
            hint: None,
            source: None,
            fatal: None,
            is_whole: false,
        })
    }

    /// What kind of thing went wrong.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What the broker said, if it was a broker.
    #[must_use]
    pub fn code(&self) -> Option<ErrorCode> {
        self.0.code
    }

    /// Whether the same call may succeed later. What can be tried again safely was, until the time
    /// that there was had passed.
    #[must_use]
    pub fn is_retriable(&self) -> bool {
        self.0.class.is_retriable()
    }

    /// Whether the transaction must be aborted. The producer can go on after that.
    #[must_use]
    pub fn requires_abort(&self) -> bool {
        self.0.class == ErrorClass::Abortable
    }

    /// Whether the producer, consumer or client that it came from must be given up: a new one may
    /// do better.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        self.0.fatal.unwrap_or_else(|| self.0.class.ends_client())
    }

    /// Whether a broker may have acted on it though it failed: a record that is sent again may be
    /// there twice.
    #[must_use]
    pub fn possibly_written(&self) -> bool {
        self.0.certainty == Certainty::PossiblyWritten
    }

    /// What to do about it, in whole sentences, where that is known.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.0.line();
        f.write_str(&line)?;
        let source = self.source().filter(|_| f.alternate());
        untold(line, source).try_for_each(|cause| write!(f, "\ncaused by: {cause}"))
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

impl Parts {
    fn line(&self) -> String {
        if self.is_whole {
            return self.cause.clone().into_owned();
        }
        let mut line = self.operation.clone().into_owned();
        if let Some(subject) = &self.subject {
            line.extend([" ", subject]);
        }
        line.extend([": ", &*self.cause]);
        let details = self.details();
        if !details.is_empty() {
            line.extend([" (", &details.join(", "), ")"]);
        }
        if let Some(hint) = &self.hint {
            line.extend([". ", hint]);
        }
        line
    }

    fn details(&self) -> Vec<String> {
        let with = self.with.as_deref().map(ToOwned::to_owned);
        let attempts = self.attempts.filter(|attempts| *attempts > 1);
        let attempts = attempts.map(|attempts| format!("{attempts} attempts"));
        let elapsed = self.elapsed.map(|elapsed| Took(elapsed).to_string());
        let written =
            (self.certainty == Certainty::PossiblyWritten).then(|| "possibly written".into());
        [with, attempts, elapsed, written].into_iter().flatten().collect()
    }
}

/// An error that is being put together.
#[derive(Debug)]
#[must_use = "an error that is not built is seen by nobody"]
pub struct ErrorBuilder(Parts);

impl ErrorBuilder {
    /// What it was done to: a topic, a partition, a group.
    pub fn subject(mut self, subject: impl fmt::Display) -> Self {
        self.0.subject = Some(subject.to_string().into());
        self
    }

    /// The broker, where the cause does not name it.
    pub fn broker(mut self, broker: impl fmt::Display) -> Self {
        self.0.with = Some(broker.to_string().into());
        self
    }

    /// How often it was tried.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.0.attempts = Some(attempts);
        self
    }

    /// How long it took.
    pub fn elapsed(mut self, elapsed: Duration) -> Self {
        self.0.elapsed = Some(elapsed);
        self
    }

    /// What the broker said.
    pub fn code(mut self, code: ErrorCode) -> Self {
        self.0.code = Some(code);
        self
    }

    /// Whether a broker may have acted on it; not, unless this says so.
    pub fn certainty(mut self, certainty: Certainty) -> Self {
        self.0.certainty = self.0.certainty.max(certainty);
        self
    }

    /// Whether what it came from must be given up, where its class does not tell.
    pub fn fatal(mut self, fatal: bool) -> Self {
        self.0.fatal = Some(fatal);
        self
    }

    /// What to do about it, in whole sentences.
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// What it came from, if that says more than the cause does.
    pub fn source(mut self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.0.source = Some(Arc::new(source));
        self
    }

    /// The error.
    #[must_use]
    pub fn build(self) -> Error {
        Error(Arc::new(self.0))
    }
}
