//! An answer as a list of fields, each with its path and its value.

use std::collections::BTreeMap;
use std::fmt::Debug;

/// The fields by their paths, such as `topics[orders].partitions[0].leader_id`. Elements of an array
/// are called by what names them, so that their order does not matter; where nothing does, by their
/// place.
pub(crate) type Fields = BTreeMap<String, String>;

/// The fields of anything that derives `Debug`, blanked where two brokers cannot agree.
pub(crate) fn fields(answer: &impl Debug) -> Fields {
    let text = format!("{answer:#?}");
    let mut lines = text.lines().map(str::trim);
    let mut fields = Fields::new();
    read(&mut lines, "", &mut fields);
    fields.into_iter().map(|(path, value)| blank_path(&path, &value)).collect()
}

/// Reads one value of pretty `Debug`: a plain one, or one that opens a bracket.
fn read<'a>(lines: &mut impl Iterator<Item = &'a str>, path: &str, fields: &mut Fields) {
    let Some(first) = lines.next() else { return };
    read_value(first, lines, path, fields);
}

fn read_value<'a>(
    first: &'a str,
    lines: &mut impl Iterator<Item = &'a str>,
    path: &str,
    fields: &mut Fields,
) {
    let value = first.trim_end_matches(',');
    if value == "[]" {
        fields.insert(path.to_owned(), value.to_owned());
        return;
    }
    match value.chars().last() {
        Some('[') => read_elements(lines, path, fields),
        Some('{') => read_members(lines, path, fields),
        Some('(') => {
            read(lines, path, fields);
            lines.next();
        }
        _ => {
            fields.insert(path.to_owned(), value.to_owned());
        }
    }
}

fn read_members<'a>(lines: &mut impl Iterator<Item = &'a str>, path: &str, fields: &mut Fields) {
    while let Some(line) = lines.next() {
        if line.starts_with('}') {
            return;
        }
        let (name, value) = line.split_once(": ").unwrap_or(("", line));
        if name == "unknown_tagged_fields" {
            read_value(value, lines, "-", &mut Fields::new());
            continue;
        }
        let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        read_value(value, lines, &path, fields);
    }
}

fn read_elements<'a>(lines: &mut impl Iterator<Item = &'a str>, path: &str, fields: &mut Fields) {
    let mut place = 0;
    while let Some(line) = lines.next() {
        if line.starts_with(']') {
            return;
        }
        let mut element = Fields::new();
        read_value(line, lines, "", &mut element);
        let name = NAMES.iter().find_map(|name| element.get(*name)).cloned();
        let name = name.map_or_else(|| place.to_string(), |name| name.replace('"', ""));
        for (inner, value) in element {
            let dot = if inner.is_empty() { "" } else { "." };
            fields.insert(format!("{path}[{name}]{dot}{inner}"), value);
        }
        place += 1;
    }
}

/// Fields that name the element that they are in, the strongest first.
const NAMES: &[&str] = &[
    "api_key",
    "name",
    "topic",
    "topic_name",
    "resource_name",
    "group_id",
    "transactional_id",
    "key",
    "partition_index",
    "partition",
    "index",
    "broker_id",
    "node_id",
];

/// A field, its value blanked if two brokers cannot agree on it: only whether there is one is left.
fn blank_path(path: &str, value: &str) -> (String, String) {
    let name = path.rsplit('.').next().unwrap_or(path);
    let name = name.split('[').next().unwrap_or(name);
    let absent = NOTHING.contains(&value);
    let blank = BLANKED.contains(&name) && !absent;
    (path.to_owned(), if blank { "…".to_owned() } else { value.to_owned() })
}

/// Values that say that there is none.
const NOTHING: &[&str] = &["\"\"", "None", "-1", "0", "AAAAAAAAAAAAAAAAAAAAAA", "b\"\""];

/// Ids that are drawn, addresses, and times.
const BLANKED: &[&str] = &[
    "topic_id",
    "cluster_id",
    "host",
    "port",
    "member_id",
    "leader",
    "client_host",
    "session_id",
    "producer_id",
    "transaction_start_time_ms",
    "last_timestamp",
    "log_append_time_ms",
    "coordinator_epoch",
    "finalized_features_epoch",
    "throttle_time_ms",
];
