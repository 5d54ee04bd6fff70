//! The Rust that stands for the schema files.

mod field;
mod structure;

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::names::snake;
use crate::schema::{Kind, Message, Schema, Versions};
use structure::Structures;

/// The generated files, as path below `protocol/` and text.
#[must_use]
pub fn generate(schemas: &[Schema]) -> Vec<(String, String)> {
    let file = |schema: &Schema| (format!("src/messages/{}.rs", schema.module), module(schema));
    let mut files: Vec<_> = schemas.iter().map(file).collect();
    files.push(("src/messages/mod.rs".to_owned(), index(schemas)));
    files.push(("tests/support/every_message.rs".to_owned(), every_message(schemas)));
    files.push(("tests/support/every_element.rs".to_owned(), every_element(schemas)));
    files
}

fn module(schema: &Schema) -> String {
    let mut body = String::new();
    let taken = name_counts(schema);
    for message in &schema.messages {
        let structures = Structures::new(message, &taken);
        structures.write_all(&mut body);
        write_message(&mut body, schema, message);
    }
    let mut text =
        format!("//! {}\n//!\n//! {GENERATED} `schemas/{}.schema`.\n\n", schema.doc, schema.module);
    text.push_str(&imports(&body));
    text + &body
}

/// How often each structure's name occurs in the file: what occurs twice needs a longer name.
fn name_counts(schema: &Schema) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for message in &schema.messages {
        for (name, _) in structure::described(message) {
            *counts.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    counts
}

fn imports(body: &str) -> String {
    let mut text = String::new();
    let uses = |name: &str| mentions(body, name);
    if uses("Bytes") {
        text.push_str("use bytes::Bytes;\n");
    }
    if uses("ByteString") {
        text.push_str("use bytestring::ByteString;\n");
    }
    if !text.is_empty() {
        text.push('\n');
    }
    if uses("ApiKey") {
        text.push_str("use crate::messages::ApiKey;\n");
    }
    if uses("Uuid") {
        text.push_str("use crate::uuid::Uuid;\n");
    }
    text.push_str("use crate::version::VersionRange;\n");
    let wire = [
        "CoordinatorKey",
        "DecodeError",
        "EncodeError",
        "Int32Array",
        "Message",
        "Reader",
        "RecordChunks",
        "Request",
        "Response",
        "UnknownTaggedFields",
        "Wire",
        "Writer",
    ];
    let wire: Vec<_> = wire.into_iter().filter(|name| uses(name)).collect();
    let _ = writeln!(text, "use crate::wire::{{{}}};", wire.join(", "));
    text
}

/// Whether `text` has `name` as a word of its own that is not the name of a field.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        let word = |letter: Option<char>| letter.is_some_and(|c| c.is_alphanumeric() || c == '_');
        let is_field = before == Some('.') || before == Some('"') || after == Some(':');
        !word(before) && !word(after) && !is_field
    })
}

fn write_message(body: &mut String, schema: &Schema, message: &Message) {
    let Message { name, versions, .. } = message;
    let flexible =
        message.flexible.map_or_else(|| "i16::MAX".to_owned(), |first| first.to_string());
    let _ = write!(
        body,
        "\nimpl Message for {name} {{\n    const NAME: &'static str = \"{name}\";\n    \
         const VERSIONS: VersionRange = VersionRange::new({}, {});\n    \
         const FIRST_FLEXIBLE: i16 = {flexible};\n}}\n",
        versions.min, versions.max,
    );
    let api = schema.api.as_ref().map_or("", |(_, name)| name);
    match (message.kind, message.id) {
        (Kind::Request, _) => {
            let _ = write!(
                body,
                "\nimpl Request for {name} {{\n    const API: ApiKey = ApiKey::{api};\n    \
                 type Response = {api}Response;\n}}\n"
            );
        }
        (Kind::Response, _) => {
            let throttle = if message.fields.iter().any(|field| field.name == "ThrottleTimeMs") {
                "\n    fn throttle_time_ms(&self) -> i32 {\n        self.throttle_time_ms\n    }\n"
            } else {
                ""
            };
            let _ = write!(
                body,
                "\nimpl Response for {name} {{\n    const API: ApiKey = ApiKey::{api};\n{throttle}}}\n"
            );
        }
        (Kind::Key, Some(id)) => {
            let _ = write!(
                body,
                "\nimpl CoordinatorKey for {name} {{\n    const RECORD_TYPE: i16 = {id};\n}}\n"
            );
        }
        (Kind::Data | Kind::Key | Kind::Value, _) => {}
    }
}

/// `messages/mod.rs`: the modules and the table of APIs.
fn index(schemas: &[Schema]) -> String {
    let mut text = format!(
        "//! The messages of Apache Kafka 4.4.0, a module for each API.\n//!\n\
         //! {GENERATED} `schemas/`. Each field's versions stand in its documentation.\n\n"
    );
    for schema in schemas {
        let _ = writeln!(text, "pub mod {};", schema.module);
    }
    text.push('\n');
    for schema in schemas {
        let names: Vec<_> = schema.messages.iter().map(|message| &message.name[..]).collect();
        let _ = writeln!(text, "pub use {}::{{{}}};", schema.module, names.join(", "));
    }
    text.push_str("\ncrate::api::api_table! {\n");
    let mut apis: Vec<_> = schemas.iter().filter(|schema| schema.api.is_some()).collect();
    apis.sort_by_key(|schema| schema.api.as_ref().map(|(code, _)| *code));
    for schema in apis {
        let (Some((code, name)), Some(request)) = (&schema.api, schema.messages.first()) else {
            continue;
        };
        let stable = request.versions.max - i16::from(request.unstable_latest);
        let _ = writeln!(
            text,
            "    {code} {name} {name}Request {name}Response {stable} {:?}",
            schema.doc
        );
    }
    text.push_str("}\n");
    text
}

/// `tests/support/every_message.rs`: a macro that hands the names of all messages to another.
fn every_message(schemas: &[Schema]) -> String {
    let mut text = format!(
        "//! The names of all messages. {GENERATED} `schemas/`.\n\n\
         /// Calls the macro `$with` with the name of every message.\nmacro_rules! every_message {{\n    \
         ($with:ident) => {{\n        $with! {{\n"
    );
    for message in schemas.iter().flat_map(|schema| &schema.messages) {
        let _ = writeln!(text, "            {}", message.name);
    }
    text + "        }\n    };\n}\n\npub(crate) use every_message;\n"
}

/// `tests/support/every_element.rs`: a macro that hands the structures that are elements of arrays
/// to another, each with the first and last version in which it is one.
fn every_element(schemas: &[Schema]) -> String {
    let mut text = format!(
        "//! The structures that are elements of arrays. {GENERATED} `schemas/`.\n\n\
         /// Calls the macro `$with` with every such structure and the versions in which it is \
         one.\nmacro_rules! every_element {{\n    ($with:ident) => {{\n        $with! {{\n"
    );
    for schema in schemas {
        let taken = name_counts(schema);
        for message in &schema.messages {
            for (name, versions) in Structures::new(message, &taken).elements() {
                let Versions { min, max } = versions;
                let _ = writeln!(text, "            {}::{name} {min} {max}", schema.module);
            }
        }
    }
    text + "        }\n    };\n}\n\npub(crate) use every_element;\n"
}

/// A name of Kafka's as documentation shows it.
pub(super) fn shown(name: &str) -> String {
    format!("`{name}`")
}

pub(super) fn rust_field(name: &str) -> String {
    crate::names::field(name)
}

/// The name of a field in error paths.
pub(super) fn path_name(name: &str) -> String {
    snake(name)
}

const GENERATED: &str = "Generated by `just gen` from";
