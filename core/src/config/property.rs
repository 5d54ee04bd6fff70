//! The rows and tables that say which settings there are.

use std::collections::BTreeSet;

use super::{ConfigError, ConfigProblem, ConfigWarning, Properties};

/// What a table says of one property, apart from how it is parsed.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Java's name, or that of librdkafka where Java has none.
    pub name: &'static str,
    /// Other names for it: librdkafka's.
    pub aliases: &'static [Alias],
    /// The default, as it would be written; empty for none.
    pub default: &'static str,
    /// How much it matters to most users.
    pub importance: Importance,
    /// The proposal that brought it to Kafka.
    pub kip: Option<u16>,
    /// What it does, in a sentence or two.
    pub text: &'static str,
    /// What becomes of it.
    pub fate: Fate,
    /// Whether its value must not be shown.
    pub is_secret: bool,
}

/// Another name for a property.
#[derive(Debug, Clone, Copy)]
pub struct Alias {
    /// The name.
    pub name: &'static str,
    /// What its values are multiplied by to be those of the property.
    pub scale: u64,
}

impl Alias {
    /// A name whose values are the same.
    #[must_use]
    pub const fn of(name: &'static str) -> Self {
        Self { name, scale: 1 }
    }

    /// A name whose values are kilobytes, of a property in bytes.
    #[must_use]
    pub const fn kilobytes(name: &'static str) -> Self {
        Self { name, scale: 1024 }
    }
}

/// How much a property matters to most users, as in Java's `ConfigDef`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Importance {
    /// Look at it before going to production.
    High,
    /// Look at it when something is not as it should be.
    Medium,
    /// Leave it alone.
    Low,
}

impl Importance {
    /// The word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }
}

/// What becomes of a property that somebody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It does what it says.
    Used,
    /// It is accepted with a warning that says this: programs work without it.
    Ignored(&'static str),
    /// It is an error that says this: programs that set it rely on it.
    Refused(&'static str),
}

/// One property of a table: its row, and how it gets into the typed settings.
#[derive(Debug)]
pub struct Property<C: 'static> {
    row: Row,
    set: Option<Set<C>>,
}

/// Parses a value into the settings, or says why it will not do: `is not a whole number`.
pub type Set<C> = fn(&mut C, &str) -> Result<(), String>;

impl<C> Property<C> {
    /// A property that does what it says. Its default is the one of the typed settings, as a test
    /// of each table shows.
    #[must_use]
    pub const fn new(
        name: &'static str,
        default: &'static str,
        importance: Importance,
        text: &'static str,
        set: Set<C>,
    ) -> Self {
        let row = Row { default, importance, text, ..Row::named(name, Fate::Used) };
        Self { row, set: Some(set) }
    }

    /// A property that is accepted with a warning.
    #[must_use]
    pub const fn ignored(name: &'static str, why: &'static str) -> Self {
        Self { row: Row::named(name, Fate::Ignored(why)), set: None }
    }

    /// A property that is refused.
    #[must_use]
    pub const fn refused(name: &'static str, why: &'static str) -> Self {
        Self { row: Row::named(name, Fate::Refused(why)), set: None }
    }

    /// The same, with other names.
    #[must_use]
    pub const fn alias(mut self, aliases: &'static [Alias]) -> Self {
        self.row.aliases = aliases;
        self
    }

    /// The same, with the proposal that brought it.
    #[must_use]
    pub const fn kip(mut self, number: u16) -> Self {
        self.row.kip = Some(number);
        self
    }

    /// The same, with a value that is not shown.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.row.is_secret = true;
        self
    }

    /// What the table says of it.
    #[must_use]
    pub const fn row(&self) -> &Row {
        &self.row
    }
}

impl Row {
    const fn named(name: &'static str, fate: Fate) -> Self {
        Self {
            name,
            aliases: &[],
            default: "",
            importance: Importance::Low,
            kip: None,
            text: "",
            fate,
            is_secret: false,
        }
    }

    /// By what the values under `name` are multiplied, if the property has that name.
    #[must_use]
    pub fn scale_of(&self, name: &str) -> Option<u64> {
        if self.name == name {
            return Some(1);
        }
        self.aliases.iter().find(|alias| alias.name == name).map(|alias| alias.scale)
    }
}

/// The properties of one role.
#[derive(Debug)]
pub struct Table<C: 'static> {
    /// Whose they are: `client`, `producer`.
    pub role: &'static str,
    /// The rows, in the order of the documentation; no name or alias twice.
    pub properties: &'static [Property<C>],
}

/// Settings as they were read, before they are checked together.
#[derive(Debug)]
pub struct Parsed<C> {
    /// The typed settings: those that are wrong have their default.
    pub config: C,
    /// The properties of this role that somebody set.
    pub set: BTreeSet<&'static str>,
    /// What is wrong so far.
    pub problems: Vec<ConfigProblem>,
    /// What is accepted and had better be changed.
    pub warnings: Vec<ConfigWarning>,
}

/// Settings that passed every check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked<C> {
    /// The typed settings.
    pub config: C,
    /// What is accepted and had better be changed.
    pub warnings: Vec<ConfigWarning>,
}

impl<C> Checked<C> {
    /// The settings. What had better be changed goes to the log.
    #[must_use]
    pub fn logged(self) -> C {
        for warning in &self.warnings {
            tracing::warn!("{warning}");
        }
        self.config
    }
}

impl<C: Default> Table<C> {
    /// Takes what this role knows from `properties`; the rest belongs to others, and
    /// [`Properties::unknown`] finds what belongs to nobody.
    #[must_use]
    pub fn read(&self, properties: &Properties) -> Parsed<C> {
        let mut parsed = Parsed {
            config: C::default(),
            set: BTreeSet::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        for property in self.properties {
            parsed.take(property, properties);
        }
        parsed
    }

    /// The rows.
    pub fn rows(&self) -> impl Iterator<Item = &'static Row> + use<C> {
        self.properties.iter().map(Property::row)
    }
}

impl<C> Parsed<C> {
    fn take(&mut self, property: &Property<C>, properties: &Properties) {
        let row = &property.row;
        let Some(setting) = properties.last(row) else {
            return;
        };
        let origin = setting.origin.clone();
        match row.fate {
            Fate::Ignored(why) => self.warnings.push(ConfigWarning {
                name: setting.name.into(),
                why: why.into(),
                origin: Some(origin),
            }),
            Fate::Refused(why) => {
                self.problems.push(ConfigProblem::Unsupported { name: row.name, why, origin });
            }
            Fate::Used => {
                self.set.insert(row.name);
                let parse = property.set.unwrap_or(|_, _| Ok(()));
                let outcome = setting.value().and_then(|value| parse(&mut self.config, &value));
                if let Err(why) = outcome {
                    let value = if row.is_secret { "***" } else { setting.raw };
                    let (value, why) = (value.into(), why.into());
                    self.problems.push(ConfigProblem::Value { name: row.name, value, why, origin });
                }
            }
        }
    }

    /// Whether somebody set the property of this name.
    #[must_use]
    pub fn is_set(&self, name: &str) -> bool {
        self.set.contains(name)
    }

    /// The same, with settings that `change` makes of these.
    #[must_use]
    pub fn map<D>(self, change: impl FnOnce(C) -> D) -> Parsed<D> {
        let Self { config, set, problems, warnings } = self;
        Parsed { config: change(config), set, problems, warnings }
    }

    /// Adds a warning if `is_doubtful`.
    pub fn warn(&mut self, is_doubtful: bool, name: &'static str, why: &str) {
        if is_doubtful {
            let (name, why) = (name.into(), why.into());
            self.warnings.push(ConfigWarning { name, why, origin: None });
        }
    }

    /// Adds a problem if `is_wrong`. Defaults fit one another, so that a conflict is always one
    /// that somebody set.
    pub fn refuse(&mut self, is_wrong: bool, why: impl Into<Box<str>>) {
        if is_wrong {
            self.problems.push(ConfigProblem::Conflict(why.into()));
        }
    }

    /// The settings, once everything was checked.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with all problems that were found.
    pub fn finish(self) -> Result<Checked<C>, ConfigError> {
        ConfigError::check(self.problems)?;
        Ok(Checked { config: self.config, warnings: self.warnings })
    }
}
