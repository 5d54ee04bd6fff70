//! What is wrong with settings.

use std::fmt;
use std::sync::Arc;

use super::Origin;

/// Settings that cannot be used, and everything that is wrong with them: whoever corrects them
/// should not have to start again for each.
///
/// Shown in one line, the problems apart by semicolons; `{:#}` gives each a line of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    problems: Arc<[ConfigProblem]>,
}

impl ConfigError {
    /// An error, if there are problems.
    ///
    /// # Errors
    ///
    /// Itself, when `problems` is not empty.
    pub fn check(problems: Vec<ConfigProblem>) -> Result<(), Self> {
        if problems.is_empty() {
            return Ok(());
        }
        Err(Self { problems: problems.into() })
    }

    /// What is wrong, in the order of the settings; not empty.
    #[must_use]
    pub fn problems(&self) -> &[ConfigProblem] {
        &self.problems
    }
}

impl From<ConfigProblem> for ConfigError {
    fn from(problem: ConfigProblem) -> Self {
        Self { problems: [problem].into() }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            match (index, f.alternate()) {
                (0, _) => {}
                (_, true) => f.write_str("\n")?,
                (_, false) => f.write_str("; ")?,
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// One thing that is wrong with settings. Each says what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigProblem {
    /// There is no such property.
    #[error("no property is called `{name}` ({origin}){}", Meant(*nearest))]
    Unknown {
        /// The name as it was written.
        name: Box<str>,
        /// A name that it may have been meant for.
        nearest: Option<&'static str>,
        /// Where it stands.
        origin: Origin,
    },
    /// The value is none for this property.
    #[error("{name}={value} {why} ({origin})")]
    Value {
        /// The property.
        name: &'static str,
        /// The value as it was written; `***` where it is secret.
        value: Box<str>,
        /// Why it will not do, as the rest of a sentence: `is not a whole number`.
        why: Box<str>,
        /// Where it stands.
        origin: Origin,
    },
    /// The property is one of Java's or librdkafka's that this client does not have, and that
    /// cannot be passed over.
    #[error("{name} is not supported ({origin}): {why}")]
    Unsupported {
        /// The property.
        name: &'static str,
        /// Why, and what to do instead.
        why: &'static str,
        /// Where it stands.
        origin: Origin,
    },
    /// A property that must be set is not.
    #[error("{name} is not set: {why}")]
    Missing {
        /// The property.
        name: &'static str,
        /// What it is needed for.
        why: &'static str,
    },
    /// Settings that do not fit one another.
    #[error("{0}")]
    Conflict(Box<str>),
    /// A file of properties that cannot be read.
    #[error("{path}: {why}")]
    Source {
        /// The file.
        path: Box<str>,
        /// Why it cannot be read.
        why: Box<str>,
    },
}

/// A setting that is accepted and does nothing, or not what it seems to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigWarning {
    /// The property as it was written.
    pub name: Box<str>,
    /// Why, and what to do instead.
    pub why: Box<str>,
    /// Where it stands; `None` for what several settings do together.
    pub origin: Option<Origin>,
}

impl fmt::Display for ConfigWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} ({origin}): {}", self.name, self.why),
            None => write!(f, "{}: {}", self.name, self.why),
        }
    }
}

/// The name that was meant, perhaps.
struct Meant(Option<&'static str>);

impl fmt::Display for Meant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(name) => write!(f, "; did you mean `{name}`?"),
            None => Ok(()),
        }
    }
}
