//! What holds for every table.

use std::collections::BTreeMap;
use std::fmt::Debug;

use ottla_admin::config::ADMIN;
use ottla_consumer::config::CONSUMER;
use ottla_core::config::{CLIENT, Fate, Properties, Row, Table};
use ottla_producer::config::PRODUCER;

use crate::roles;

#[test]
fn every_default_is_the_one_of_the_typed_settings() {
    check_defaults(&CLIENT);
    check_defaults(&PRODUCER);
    check_defaults(&CONSUMER);
    check_defaults(&ADMIN);
}

#[test]
fn every_property_that_is_used_changes_something() {
    check_effects(&CLIENT);
    check_effects(&PRODUCER);
    check_effects(&CONSUMER);
    check_effects(&ADMIN);
}

#[test]
fn every_property_that_is_used_refuses_nonsense() {
    check_refusals(&CLIENT);
    check_refusals(&PRODUCER);
    check_refusals(&CONSUMER);
    check_refusals(&ADMIN);
}

#[test]
fn a_name_stands_for_one_property_once_in_a_table_and_the_same_in_all() {
    let mut meant: BTreeMap<&str, &Row> = BTreeMap::new();
    for (role, rows) in roles() {
        let mut seen: Vec<&str> = Vec::new();
        for row in rows {
            for name in row.aliases.iter().map(|alias| alias.name).chain([row.name]) {
                assert!(!seen.contains(&name), "{name} is twice in the table of the {role}");
                seen.push(name);
                let first = meant.entry(name).or_insert(row);
                assert_eq!(first.name, row.name, "{name}");
                assert_eq!(first.default, row.default, "{name}");
                assert_eq!(first.scale_of(name), row.scale_of(name), "{name}");
            }
        }
    }
}

#[test]
fn rows_are_written_alike() {
    for row in roles().into_iter().flat_map(|(_, rows)| rows) {
        let name = row.name;
        match row.fate {
            Fate::Used => assert!(row.text.ends_with('.') && row.text.len() > 10, "{name}"),
            Fate::Ignored(why) | Fate::Refused(why) => {
                assert!(!why.ends_with('.') && why.len() > 10, "{name}");
            }
        }
    }
}

fn check_defaults<C: Default + Debug + PartialEq>(table: &Table<C>) {
    for row in used(table).filter(|row| !row.default.is_empty()) {
        let parsed = table.read(&one(row, row.default));
        assert_eq!(parsed.problems, [], "{}", row.name);
        assert_eq!(parsed.config, C::default(), "{}", row.name);
    }
}

fn check_effects<C: Default + Debug + PartialEq>(table: &Table<C>) {
    for row in used(table).filter(|row| !ONE_VALUE.contains(&row.name)) {
        let changes = |value: &&str| table.read(&one(row, value)).config != C::default();
        assert!(SAMPLES.iter().any(changes), "{} does nothing", row.name);
    }
}

fn check_refusals<C: Default + Debug + PartialEq>(table: &Table<C>) {
    for row in used(table).filter(|row| !ANY_VALUE.contains(&row.name)) {
        let parsed = table.read(&one(row, "\u{1}nonsense"));
        assert_eq!(parsed.problems.len(), 1, "{}", row.name);
        assert_eq!(parsed.config, C::default(), "{}", row.name);
    }
}

fn used<C: Default>(table: &Table<C>) -> impl Iterator<Item = &'static Row> {
    table.rows().filter(|row| row.fate == Fate::Used)
}

fn one(row: &Row, value: &str) -> Properties {
    let mut properties = Properties::new();
    properties.set(row.name, value);
    properties
}

/// Values of which each property takes at least one that is not its default.
const SAMPLES: &[&str] = &[
    "12345",
    "7",
    "false",
    "true",
    "none",
    "0",
    "host:1",
    "zstd",
    "range",
    "read_committed",
    "round_robin",
];

/// Properties that this version has one value of.
const ONE_VALUE: &[&str] = &[
    "security.protocol",
    "group.protocol",
    "compression.level",
    "enable.auto.offset.store",
    "enable.gapless.guarantee",
    "enable.partition.eof",
    "offset.store.method",
    "partitioner.rack.aware",
    "queuing.strategy",
    "transaction.two.phase.commit.enable",
];

/// Properties that are any text.
const ANY_VALUE: &[&str] = &["client.id", "client.rack", "group.id", "transactional.id"];
