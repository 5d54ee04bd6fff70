//! Arrows between our crates run one way.

use cargo_metadata::DependencyKind;

use crate::house::{assert_none, members};

/// Each crate of ours, and those of ours that it may import. Dev-dependencies are exempt: a test
/// may stand on both sides of a wall.
///
/// The three roles never import one another, so each is read and released alone. The broker shares
/// only the bytes with the client, so a wrong rule cannot live on both sides and agree with itself.
const ARROWS: &[(&str, &[&str])] = &[
    ("ottla-protocol", &[]),
    ("ottla-codegen", &[]),
    ("ottla-core", &["ottla-protocol"]),
    ("ottla-producer", &["ottla-core", "ottla-protocol"]),
    ("ottla-consumer", &["ottla-core", "ottla-protocol"]),
    ("ottla-admin", &["ottla-core", "ottla-protocol"]),
    ("ottla", &["ottla-core", "ottla-producer", "ottla-consumer", "ottla-admin"]),
    ("ottla-broker", &["ottla-protocol"]),
    ("ottla-cli", &["ottla", "ottla-broker"]),
    ("ottla-examples", &["ottla", "ottla-broker"]),
    (
        "ottla-integration-tests",
        &[
            "ottla-protocol",
            "ottla-core",
            "ottla-producer",
            "ottla-consumer",
            "ottla-admin",
            "ottla",
            "ottla-broker",
            "ottla-cli",
            "ottla-examples",
        ],
    ),
];

#[test]
fn arrows_between_our_crates_run_one_way() {
    let mut complaints = Vec::new();
    for package in members() {
        let imports = package
            .dependencies
            .iter()
            .filter(|dependency| {
                dependency.path.is_some() && dependency.kind != DependencyKind::Development
            })
            .map(|dependency| dependency.name.as_str());
        complaints.extend(wrong_arrows(&package.name, imports));
    }
    assert_none(&complaints);
}

#[test]
fn every_allowed_import_has_a_row_of_its_own() {
    for (krate, allowed) in ARROWS {
        for import in *allowed {
            assert!(
                row(import).is_some(),
                "{krate} may import {import}, which has no row in ARROWS"
            );
        }
    }
}

#[test]
fn roles_may_not_import_one_another() {
    check("ottla-producer", &["ottla-core", "ottla-consumer"], &["ottla-consumer"]);
}

#[test]
fn the_broker_may_not_import_the_client_it_judges() {
    check("ottla-broker", &["ottla-protocol", "ottla-core"], &["ottla-core"]);
}

#[test]
fn the_facade_may_not_import_the_broker() {
    check("ottla", &["ottla-producer", "ottla-broker"], &["ottla-broker"]);
}

#[test]
fn an_unlisted_crate_is_refused_until_it_has_a_row() {
    check("ottla-newcomer", &[], &["ottla-newcomer"]);
}

/// Each complaint names, after the crate, the name expected here.
#[track_caller]
fn check(krate: &str, imports: &[&str], expected: &[&str]) {
    let complaints = wrong_arrows(krate, imports.iter().copied());
    assert_eq!(complaints.len(), expected.len(), "{complaints:?}");
    for (complaint, name) in complaints.iter().zip(expected) {
        assert!(complaint.contains(name), "{complaint:?} does not name {name}");
    }
}

fn wrong_arrows<'a>(krate: &str, imports: impl Iterator<Item = &'a str>) -> Vec<String> {
    let Some(allowed) = row(krate) else {
        return vec![format!(
            "{krate} has no row in ARROWS: say there which of our crates it may import"
        )];
    };
    imports
        .filter(|import| !allowed.contains(import))
        .map(|import| {
            format!("{krate} may not import {import}: move what both need to a crate below both")
        })
        .collect()
}

fn row(krate: &str) -> Option<&'static [&'static str]> {
    ARROWS.iter().find(|(name, _)| *name == krate).map(|(_, allowed)| *allowed)
}
