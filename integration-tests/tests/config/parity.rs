//! Every property of Java's clients and of librdkafka is known here, and a default that differs from
//! Java's has its reason.

use ottla_consumer::config::CONSUMER;
use ottla_core::config::{CLIENT, Fate, Properties, Row};
use ottla_producer::config::PRODUCER;

use crate::java::JAVA;
use crate::librdkafka::LIBRDKAFKA;
use crate::{Rows, roles};

#[test]
fn every_property_of_java_is_known_to_its_role() {
    for (name, java_roles, _) in JAVA {
        for role in java_roles.chars() {
            assert!(find(name, role).is_some(), "{name} is unknown to {role}");
        }
    }
}

#[test]
fn a_default_that_is_not_javas_says_so() {
    for (name, java_roles, default) in JAVA {
        let role = java_roles.chars().next().unwrap_or('P');
        let row = find(name, role).unwrap_or_else(|| panic!("{name} is unknown"));
        let is_same = row.fate != Fate::Used || row.default == *default;
        let is_explained = row.text.contains("Java") || SPELT_OTHERWISE.contains(name);
        assert!(is_same || is_explained, "{name}: {} is not Java's {default}", row.default);
    }
}

#[test]
fn every_property_of_librdkafka_is_known_to_its_role() {
    for (name, roles, _) in LIBRDKAFKA {
        for role in roles.chars() {
            assert!(find(name, role).is_some(), "{name} is unknown to {role}");
        }
    }
}

#[test]
fn who_writes_librdkafkas_defaults_out_asks_for_nothing_that_is_missing() {
    let mut properties = Properties::new();
    for (name, roles, default) in LIBRDKAFKA.iter().filter(|(_, _, default)| !default.is_empty()) {
        let row = roles.chars().find_map(|role| find(name, role));
        let is_of_security = matches!(row.map(|row| row.fate), Some(Fate::Refused(why))
            if why.contains("security.protocol=PLAINTEXT"));
        if !is_of_security {
            properties.set(name, default);
        }
    }
    assert_eq!(CLIENT.read(&properties).problems, []);
    assert_eq!(PRODUCER.read(&properties).problems, []);
    assert_eq!(CONSUMER.read(&properties).problems, []);
}

/// The row of a role's own table, or of the client's.
fn find(name: &str, role: char) -> Option<&'static Row> {
    let [client, producer, consumer, admin] = roles().map(|(_, rows)| rows);
    let own: Rows = match role {
        'P' => producer,
        'C' => consumer,
        _ => admin,
    };
    own.into_iter().chain(client).find(|row| row.scale_of(name).is_some())
}

/// Defaults that are the same under another name: the partitioner that Java has without a class.
const SPELT_OTHERWISE: &[&str] = &["partitioner.class"];
