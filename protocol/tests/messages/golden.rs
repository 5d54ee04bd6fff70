//! Against what Apache Kafka's own serializers wrote: see `golden/README.md`.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use ottla_codegen::sample::{Fill, Sample};
use ottla_codegen::schema::Message;

use crate::support::{every_schema, message, unhex};

#[test]
fn every_message_of_kafka_is_read_and_written_again_byte_for_byte() {
    for_each_golden(|schema, golden| {
        let Golden { version, variant, bytes } = golden;
        let again = (message(&schema.name).recode)(bytes, *version);
        let again = again.unwrap_or_else(|error| panic!("{variant} {version}: {error}"));
        let again = again.unwrap_or_else(|error| panic!("{variant} {version}: {error}"));
        let shown = (message(&schema.name).show)(bytes, *version);
        assert_eq!(again, bytes, "{} {version} {variant}: {shown:?}", schema.name);
    });
}

#[test]
fn our_defaults_are_kafkas() {
    for_each_golden(|schema, Golden { version, variant, bytes }| {
        if variant == "default" {
            let default = (message(&schema.name).encode_default)(*version);
            assert_eq!(default.as_ref(), Ok(bytes), "{} version {version}", schema.name);
        }
    });
}

#[test]
fn our_schemas_say_what_kafkas_say() {
    for_each_golden(|schema, Golden { version, variant, bytes }| {
        let fill = match &variant[..] {
            "filled" => Fill::Numbered,
            "null" => Fill::Nulls,
            "empty" => Fill::EmptyArrays,
            _ => return,
        };
        let sample = Sample::new(schema, *version, fill);
        assert_eq!(sample.bytes, &bytes[..], "{} version {version} {variant}", schema.name);
    });
}

/// One line of a golden file.
pub(crate) struct Golden {
    pub(crate) version: i16,
    pub(crate) variant: String,
    pub(crate) bytes: Bytes,
}

/// Hands every line of every golden file to `check`, having made sure that none is missing.
pub(crate) fn for_each_golden(mut check: impl FnMut(&Message, &Golden)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/messages");
    let schemas = every_schema();
    assert_eq!(fs::read_dir(&folder).unwrap().count(), schemas.len(), "a golden file a schema");
    for schema in schemas {
        let lines = golden_lines(&folder.join(format!("{}.txt", schema.name)));
        for version in schema.versions.iter() {
            for variant in ["default", "filled", "null"] {
                let there =
                    lines.iter().any(|line| line.version == version && line.variant == variant);
                assert!(there, "{} version {version} has no {variant}", schema.name);
            }
        }
        lines.iter().for_each(|line| check(schema, line));
    }
}

fn golden_lines(path: &Path) -> Vec<Golden> {
    let text =
        fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let [version, variant, hex] = line.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{}: {line}", path.display());
            };
            let bytes = Bytes::from(unhex(hex));
            Golden { version: version.parse().unwrap(), variant: variant.to_owned(), bytes }
        })
        .collect()
}
