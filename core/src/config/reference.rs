//! What the tables say, for people: the reference, and which value counts.

use std::fmt::{self, Write};

use super::{Fate, Origin, Properties, Row};

/// Which value of a property counts, and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Explanation {
    /// The property.
    pub name: &'static str,
    /// Its value; `***` where that is secret.
    pub value: Box<str>,
    /// Where it was set; `None` for the default.
    pub origin: Option<Origin>,
    /// What it does.
    pub text: &'static str,
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{} = {} ({origin})", self.name, self.value),
            None => write!(f, "{} = {} (default)", self.name, self.value),
        }
    }
}

impl Properties {
    /// Which value of each property counts, and where it came from; properties that do nothing are
    /// left out.
    #[must_use]
    pub fn explain(&self, rows: &[&'static Row]) -> Vec<Explanation> {
        let used = rows.iter().filter(|row| row.fate == Fate::Used);
        used.map(|row| self.explain_one(row)).collect()
    }

    fn explain_one(&self, row: &'static Row) -> Explanation {
        let Row { name, text, .. } = *row;
        let Some(setting) = self.last(row) else {
            return Explanation { name, value: row.default.into(), origin: None, text };
        };
        let value = match setting.value() {
            _ if row.is_secret => "***".into(),
            Ok(value) => value.as_ref().into(),
            Err(_) => setting.raw.into(),
        };
        Explanation { name, value, origin: Some(setting.origin.clone()), text }
    }
}

/// The properties of one role, as a section in Markdown: those that do something in a table, then
/// those that are only known.
#[must_use]
pub fn section(title: &str, introduction: &str, rows: &[&'static Row]) -> String {
    let mut text = format!("## {title}\n\n{introduction}\n\n");
    text.push_str("| property | default | importance | what it does |\n|---|---|---|---|\n");
    for row in rows.iter().filter(|row| row.fate == Fate::Used) {
        text.push_str(&used(row));
    }
    for (heading, is_meant) in [
        ("Accepted with a warning, without effect", true),
        ("Refused, because programs that set them rely on them", false),
    ] {
        let lines = known(rows, is_meant);
        if !lines.is_empty() {
            let _ = write!(text, "\n{heading}:\n\n{lines}");
        }
    }
    text
}

fn used(row: &Row) -> String {
    let default = if row.default.is_empty() { String::new() } else { format!("`{}`", row.default) };
    let mut what = row.text.replace('|', "\\|");
    if let Some(kip) = row.kip {
        let _ = write!(what, " (KIP-{kip})");
    }
    if !row.aliases.is_empty() {
        let _ = write!(what, " Also {}.", names(row));
    }
    format!("| `{}` | {default} | {} | {what} |\n", row.name, row.importance.word())
}

fn names(row: &Row) -> String {
    let name = |alias: &super::Alias| match alias.scale {
        1 => format!("`{}`", alias.name),
        scale => format!("`{}` (× {scale})", alias.name),
    };
    row.aliases.iter().map(name).collect::<Vec<_>>().join(", ")
}

/// Properties without effect, one line for each reason.
fn known(rows: &[&'static Row], are_ignored: bool) -> String {
    let mut reasons: Vec<(&str, Vec<String>)> = Vec::new();
    for row in rows {
        let why = match row.fate {
            Fate::Ignored(why) if are_ignored => why,
            Fate::Refused(why) if !are_ignored => why,
            Fate::Used | Fate::Ignored(_) | Fate::Refused(_) => continue,
        };
        let mut name = format!("`{}`", row.name);
        if !row.aliases.is_empty() {
            let _ = write!(name, " ({})", names(row));
        }
        match reasons.iter_mut().find(|(reason, _)| *reason == why) {
            Some((_, names)) => names.push(name),
            None => reasons.push((why, vec![name])),
        }
    }
    let line = |(why, names): &(&str, Vec<String>)| format!("- {}: {why}.\n", names.join(", "));
    reasons.iter().map(line).collect()
}
