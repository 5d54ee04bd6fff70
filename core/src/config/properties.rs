//! Settings as text, and where they came from.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use super::{ConfigError, ConfigProblem, ConfigWarning, Row, java, nearest};

/// Settings as text, from files, the environment and code. The last one of a name wins.
///
/// Nothing is checked before a table reads it. Names are Java's or librdkafka's.
#[derive(Clone, Default)]
pub struct Properties {
    entries: Vec<Entry>,
}

#[derive(Clone)]
struct Entry {
    name: Box<str>,
    value: Box<str>,
    origin: Origin,
}

/// Where a setting came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// Code: [`Properties::set`].
    Code,
    /// A line of a file.
    File {
        /// The file, as it was named.
        path: Arc<str>,
        /// The line, from 1.
        line: usize,
    },
    /// A variable of the environment.
    Environment(Arc<str>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code => f.write_str("set in code"),
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Environment(variable) => write!(f, "environment {variable}"),
        }
    }
}

/// One setting under the name that it was given.
#[derive(Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) name: &'a str,
    pub(super) raw: &'a str,
    pub(super) origin: &'a Origin,
    scale: u64,
}

impl<'a> Setting<'a> {
    /// The value as the property has it, whatever unit the alias counts in.
    pub(super) fn value(&self) -> Result<Cow<'a, str>, String> {
        let raw = self.raw.trim();
        if self.scale == 1 {
            return Ok(raw.into());
        }
        let number: u64 = raw.parse().map_err(|_| "is not a whole number".to_owned())?;
        let scaled = number.checked_mul(self.scale).ok_or_else(|| "is too large".to_owned())?;
        Ok(scaled.to_string().into())
    }
}

impl Properties {
    /// None at all.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one property.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) -> &mut Self {
        self.push(name, value.to_string(), Origin::Code);
        self
    }

    /// Reads a file in the format of Java's `Properties`. It is read at once, and small: this does
    /// not wait for other tasks.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], when it cannot be read or a line has a broken escape.
    pub fn read_file(&mut self, path: impl AsRef<Path>) -> Result<&mut Self, ConfigError> {
        let path = path.as_ref();
        let shown: Box<str> = path.display().to_string().into();
        match std::fs::read_to_string(path) {
            Ok(text) => self.read_str(&shown, &text),
            Err(error) => {
                let why = error.to_string().into();
                Err(ConfigProblem::Source { path: shown, why }.into())
            }
        }
    }

    /// Reads text in the format of Java's `Properties`; `path` is how errors call it.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], when a line has a broken escape.
    pub fn read_str(&mut self, path: &str, text: &str) -> Result<&mut Self, ConfigError> {
        let source: Arc<str> = path.into();
        let mut problems = Vec::new();
        for line in java::lines(text) {
            match line.read() {
                Ok((name, value)) => {
                    let origin = Origin::File { path: source.clone(), line: line.number };
                    self.push(&name, value, origin);
                }
                Err(why) => {
                    let why = format!("line {} {why}", line.number).into();
                    problems.push(ConfigProblem::Source { path: path.into(), why });
                }
            }
        }
        ConfigError::check(problems)?;
        Ok(self)
    }

    /// Reads the variables of this process's environment that begin with `prefix`, such as `KAFKA_`:
    /// `KAFKA_LINGER_MS` is `linger.ms`.
    pub fn read_env(&mut self, prefix: &str) -> &mut Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        self.read_variables(prefix, std::env::vars_os().filter_map(text))
    }

    /// Reads those of `variables` that begin with `prefix`. The variables of Kafka's own scripts,
    /// such as `KAFKA_OPTS`, are passed over.
    pub fn read_variables(
        &mut self,
        prefix: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> &mut Self {
        let mut variables: Vec<(String, String)> = variables.into_iter().collect();
        variables.sort();
        for (variable, value) in variables {
            let Some(rest) = variable.strip_prefix(prefix).filter(|rest| !rest.is_empty()) else {
                continue;
            };
            if SCRIPTS.contains(&variable.as_str()) {
                continue;
            }
            let name = rest.to_ascii_lowercase().replace('_', ".");
            self.push(&name, value, Origin::Environment(variable.as_str().into()));
        }
        self
    }

    /// Appends the settings of another, which win over these.
    pub fn extend(&mut self, other: &Self) -> &mut Self {
        self.entries.extend(other.entries.iter().cloned());
        self
    }

    /// What belongs to none of `rows`. A variable of the environment is an error only where a name
    /// is near that it was probably meant for: other programs use the prefix, too.
    pub fn unknown(&self, rows: &[&'static Row]) -> (Vec<ConfigProblem>, Vec<ConfigWarning>) {
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let is_known = |name: &str| rows.iter().any(|row| row.scale_of(name).is_some());
        for Entry { name, origin, .. } in self.entries.iter().filter(|it| !is_known(&it.name)) {
            let (name, origin) = (name.clone(), origin.clone());
            let nearest = nearest::to(&name, rows);
            if nearest.is_none() && matches!(origin, Origin::Environment(_)) {
                let why = "no property has this name; it is passed over".into();
                warnings.push(ConfigWarning { name, why, origin: Some(origin) });
            } else {
                problems.push(ConfigProblem::Unknown { name, nearest, origin });
            }
        }
        (problems, warnings)
    }

    /// The setting of a property that counts.
    pub(super) fn last(&self, row: &Row) -> Option<Setting<'_>> {
        self.entries.iter().rev().find_map(|Entry { name, value, origin }| {
            let scale = row.scale_of(name)?;
            Some(Setting { name, raw: value, origin, scale })
        })
    }

    fn push(&mut self, name: &str, value: String, origin: Origin) {
        self.entries.push(Entry { name: name.trim().into(), value: value.into(), origin });
    }
}

/// Shows names and origins. A value may be a secret, which only its table knows.
impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.entries.iter().map(|entry| (&entry.name, &entry.origin));
        f.debug_map().entries(entries).finish()
    }
}

/// Variables that Kafka's scripts and images read for themselves.
const SCRIPTS: &[&str] = &[
    "KAFKA_CLUSTER_ID",
    "KAFKA_DEBUG",
    "KAFKA_GC_LOG_OPTS",
    "KAFKA_HEAP_OPTS",
    "KAFKA_HOME",
    "KAFKA_IMAGE",
    "KAFKA_JMX_OPTS",
    "KAFKA_JMX_PORT",
    "KAFKA_JVM_PERFORMANCE_OPTS",
    "KAFKA_LOG4J_OPTS",
    "KAFKA_OPTS",
    "KAFKA_VERSION",
];
