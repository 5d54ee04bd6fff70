//! The generated files are what the schema files say.

use std::fs;

#[test]
fn the_committed_messages_are_what_the_schemas_generate() {
    let schemas = ottla_codegen::read_schemas().unwrap();
    for (path, text) in ottla_codegen::generate(&schemas) {
        let committed =
            fs::read_to_string(ottla_codegen::protocol().join(&path)).unwrap_or_default();
        assert!(committed == text, "protocol/{path} is stale; run `cargo run -p ottla-codegen`");
    }
}

#[test]
fn no_generated_message_is_left_without_a_schema() {
    let generated = ottla_codegen::generate(&ottla_codegen::read_schemas().unwrap());
    for entry in fs::read_dir(ottla_codegen::protocol().join("src/messages")).unwrap() {
        let path = format!("src/messages/{}", entry.unwrap().file_name().to_str().unwrap());
        assert!(generated.iter().any(|(known, _)| *known == path), "protocol/{path} has no schema");
    }
}

#[test]
fn the_committed_seeds_are_what_the_schemas_generate() {
    let seeds = ottla_codegen::seeds(&ottla_codegen::read_schemas().unwrap());
    for (path, bytes) in &seeds {
        let committed = fs::read(ottla_codegen::protocol().join(path)).ok();
        assert!(committed.as_ref() == Some(bytes), "{path} is stale; run `just gen`");
    }
    let folders = ["../fuzz/seeds/request", "../fuzz/seeds/response"];
    let committed =
        folders.map(|folder| fs::read_dir(ottla_codegen::protocol().join(folder)).unwrap().count());
    assert_eq!(committed.iter().sum::<usize>(), seeds.len(), "seeds without a schema");
}

#[test]
fn tags_count_up_from_zero_in_every_structure() {
    // The writer relies on it: an unknown tag always comes behind the known ones.
    for schema in ottla_codegen::read_schemas().unwrap() {
        for message in &schema.messages {
            for version in message.versions.iter() {
                check_tags(&message.name, &message.fields, version);
                message
                    .common
                    .iter()
                    .for_each(|common| check_tags(&common.name, &common.fields, version));
            }
        }
    }
}

fn check_tags(name: &str, fields: &[ottla_codegen::schema::Field], version: i16) {
    let tagged = fields.iter().filter_map(|field| field.tag);
    let mut tags: Vec<u32> =
        tagged.filter(|(_, versions)| versions.contains(version)).map(|(tag, _)| tag).collect();
    tags.sort_unstable();
    let expected: Vec<u32> = (0..).take(tags.len()).collect();
    assert_eq!(tags, expected, "{name} version {version}");
    fields.iter().for_each(|field| check_tags(&field.name, &field.fields, version));
}
