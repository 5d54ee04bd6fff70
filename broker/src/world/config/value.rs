//! What is given for a setting, read once into what it means, as Kafka's `ConfigDef` reads it.

use std::fmt;

use super::{Check, ConfigError, Key, Kind};

/// The value of a setting. It is displayed as Kafka describes it, however it was written.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// True or false.
    Flag(bool),
    /// A number of any width.
    Number(i64),
    /// A fraction.
    Fraction(f64),
    /// A text.
    Text(String),
    /// Several texts; none where it was empty.
    List(Vec<String>),
}

impl Value {
    /// The number, if it is one.
    #[must_use]
    pub fn number(self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(number),
            Self::Flag(_) | Self::Fraction(_) | Self::Text(_) | Self::List(_) => None,
        }
    }

    /// The items of a list; none of anything else.
    #[must_use]
    pub fn items(self) -> Vec<String> {
        match self {
            Self::List(items) => items,
            Self::Flag(_) | Self::Number(_) | Self::Fraction(_) | Self::Text(_) => Vec::new(),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Fraction(fraction) => write_fraction(*fraction, f),
            Self::Text(text) => text.fmt(f),
            Self::List(items) => items.join(",").fmt(f),
        }
    }
}

/// As Java does, which changes to powers of ten below a thousandth.
fn write_fraction(fraction: f64, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    if fraction == 0.0 || fraction.abs() >= 1e-3 {
        return write!(f, "{fraction:?}");
    }
    let text = format!("{fraction:E}");
    let (digits, power) = text.split_once('E').unwrap_or((&text, "0"));
    let dot = if digits.contains('.') { "" } else { ".0" };
    write!(f, "{digits}{dot}E{power}")
}

impl Key {
    /// Whether `value` stands for Kafka's null: no setting of these has an empty text; lists do.
    #[must_use]
    pub fn is_null(&self, value: &str) -> bool {
        self.kind != Kind::List && value.is_empty()
    }

    /// What was given for the key, as Kafka describes it.
    #[must_use]
    pub fn canonical(&self, given: String) -> String {
        self.parse(&given).map_or(given, |value| value.to_string())
    }

    /// Reads what is given for the key. Blanks around it do not count, nor does the case of a
    /// `true`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::InvalidValue`] and [`ConfigError::EmptyItem`], in Kafka's words.
    pub fn parse(&self, given: &str) -> Result<Value, ConfigError> {
        let value = self.read(trim(given)).map_err(|reason| self.refuse(given, reason))?;
        if let Value::List(items) = &value {
            self.check_items(items)?;
        } else if let Some(reason) = refusal(&value, self.check) {
            return Err(self.refuse(value.to_string(), reason));
        }
        Ok(value)
    }

    fn read(&self, text: &str) -> Result<Value, &'static str> {
        let flag = |known: &str| text.eq_ignore_ascii_case(known);
        match self.kind {
            Kind::Boolean if flag("true") => Ok(Value::Flag(true)),
            Kind::Boolean if flag("false") => Ok(Value::Flag(false)),
            Kind::Boolean => Err("Expected value to be either true or false"),
            Kind::Int => number::<i32>(text).ok_or("Not a number of type INT"),
            Kind::Short => number::<i16>(text).ok_or("Not a number of type SHORT"),
            Kind::Long => number::<i64>(text).ok_or("Not a number of type LONG"),
            Kind::Double => fraction(text).ok_or("Not a number of type DOUBLE"),
            Kind::String => Ok(Value::Text(text.to_owned())),
            Kind::List if text.is_empty() => Ok(Value::List(Vec::new())),
            Kind::List => Ok(Value::List(self.read_items(text.split(',').map(trim)))),
        }
    }

    /// What is named twice counts once, where Kafka knows what can be named.
    fn read_items<'a>(&self, given: impl Iterator<Item = &'a str>) -> Vec<String> {
        let mut items = Vec::new();
        for item in given.map(str::to_owned) {
            if !matches!(self.check, Check::OneOf(_)) || !items.contains(&item) {
                items.push(item);
            }
        }
        items
    }

    fn check_items(&self, items: &[String]) -> Result<(), ConfigError> {
        let name = self.name;
        match self.check {
            Check::OneOf(allowed) => {
                if items.iter().any(String::is_empty) {
                    return Err(ConfigError::EmptyItem(name));
                }
                let refused = |item: &String| Some((item.clone(), not_allowed(item, allowed)?));
                let refused = items.iter().find_map(refused);
                refused.map_or(Ok(()), |(item, reason)| Err(self.refuse(item, reason)))
            }
            Check::Throttled if !are_throttled(items) => {
                let reason = format!(
                    "{name} must be the literal '*' or a list of replicas in the following \
                     format: [partitionId]:[brokerId],[partitionId]:[brokerId],..."
                );
                Err(self.refuse(format!("[{}]", items.join(", ")), reason))
            }
            Check::Any
            | Check::AtLeast(_)
            | Check::Between(..)
            | Check::GzipLevel
            | Check::Ratio
            | Check::Throttled => Ok(()),
        }
    }

    fn refuse(&self, value: impl Into<String>, reason: impl Into<String>) -> ConfigError {
        ConfigError::InvalidValue { name: self.name, value: value.into(), reason: reason.into() }
    }
}

/// As Java trims: of more characters than are blank, and not of all that are.
fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

fn number<N: std::str::FromStr + Into<i64>>(text: &str) -> Option<Value> {
    text.parse::<N>().ok().map(|number| Value::Number(number.into()))
}

/// Without the words that Rust knows and Java does not.
fn fraction(text: &str) -> Option<Value> {
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    text.parse().ok().filter(|_| is_plain).map(Value::Fraction)
}

/// Why a check refuses a value that is no list. Checks are of values of their kind.
fn refusal(value: &Value, check: Check) -> Option<String> {
    match (value, check) {
        (Value::Number(n), Check::AtLeast(least)) => below(*n < least, least),
        (Value::Number(n), Check::Between(least, most)) => {
            below(*n < least, least).or_else(|| above(*n > most, most))
        }
        (Value::Number(n), Check::GzipLevel) => {
            let reason = "Value must be between 1 and 9 or equal to -1";
            (!matches!(n, -1 | 1..=9)).then(|| reason.to_owned())
        }
        (Value::Fraction(x), Check::Ratio) => below(*x < 0.0, 0).or_else(|| above(*x > 1.0, 1)),
        (Value::Text(text), Check::OneOf(allowed)) => not_allowed(text, allowed),
        (
            Value::Flag(_)
            | Value::Number(_)
            | Value::Fraction(_)
            | Value::Text(_)
            | Value::List(_),
            _,
        ) => None,
    }
}

fn below(is_below: bool, least: i64) -> Option<String> {
    is_below.then(|| format!("Value must be at least {least}"))
}

fn above(is_above: bool, most: i64) -> Option<String> {
    is_above.then(|| format!("Value must be no more than {most}"))
}

fn not_allowed(value: &str, allowed: &[&str]) -> Option<String> {
    let refused = !allowed.contains(&value);
    refused.then(|| format!("String must be one of: {}", allowed.join(", ")))
}

/// Whether these are replicas, each as `partition:broker`, or all of them, as `*`.
fn are_throttled(items: &[String]) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_replica = |item: &String| {
        let parts = item.split_once(':');
        item.is_empty() || parts.is_some_and(|(p, broker)| is_number(p) && is_number(broker))
    };
    items.iter().all(is_replica) || items.concat() == "*"
}
