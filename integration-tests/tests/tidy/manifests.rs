//! One version, one edition, one compiler, one licence, one requirement for each dependency: each
//! is said once, in the workspace's table.

use std::iter;

use crate::house::{assert_none, members, root, table};

const SAID_ONCE: &[&str] = &["version", "edition", "rust-version", "license"];
const DEPENDENCY_TABLES: &[&str] = &["dependencies", "dev-dependencies", "build-dependencies"];

#[test]
fn every_crate_inherits_what_the_workspace_says() {
    let mut complaints = Vec::new();
    for package in members() {
        let path =
            package.manifest_path.strip_prefix(root()).expect("a member lies below the root");
        let manifest = table(path);
        let wanting = own_words(&manifest).into_iter().chain(own_requirements(&manifest));
        complaints.extend(wanting.map(|key| format!("{path}: say `{key}.workspace = true`")));
    }
    assert_none(&complaints);
}

#[test]
fn every_published_crate_says_what_it_is_for() {
    let silent = |package: &&cargo_metadata::Package| {
        package.publish != Some(Vec::new())
            && package.description.as_deref().unwrap_or_default().is_empty()
    };
    let complaints: Vec<String> = members()
        .into_iter()
        .filter(silent)
        .map(|package| {
            format!("{} needs a `description`: the registry shows it in every search", package.name)
        })
        .collect();
    assert_none(&complaints);
}

#[test]
fn a_crate_with_an_edition_of_its_own_is_found() {
    let manifest = toml::toml! {
        [package]
        version.workspace = true
        edition = "2021"
        rust-version.workspace = true
        license.workspace = true
    };
    assert_eq!(own_words(&manifest), ["edition"]);
}

#[test]
fn a_crate_with_a_requirement_of_its_own_is_found() {
    let manifest = toml::toml! {
        [dependencies]
        bytes.workspace = true
        snap = { workspace = true, optional = true }
        tokio = "1"

        [target."cfg(unix)".dependencies]
        rustix = { version = "1", features = ["time"] }
    };
    assert_eq!(own_requirements(&manifest), ["tokio", "rustix"]);
}

/// The keys that a manifest says itself, or leaves out, instead of inheriting them.
fn own_words(manifest: &toml::Table) -> Vec<&str> {
    let package = manifest.get("package");
    SAID_ONCE
        .iter()
        .copied()
        .filter(|key| !package.and_then(|package| package.get(key)).is_some_and(inherits))
        .collect()
}

/// The dependencies whose requirement a manifest says itself.
fn own_requirements(manifest: &toml::Table) -> Vec<&str> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten();
    let places =
        iter::once(manifest).chain(platforms.filter_map(|(_, platform)| platform.as_table()));
    let tables = places
        .flat_map(|place| DEPENDENCY_TABLES.iter().filter_map(|name| place.get(*name)?.as_table()));
    tables
        .flatten()
        .filter(|(_, dependency)| !inherits(dependency))
        .map(|(name, _)| name.as_str())
        .collect()
}

fn inherits(value: &toml::Value) -> bool {
    value.get("workspace").and_then(toml::Value::as_bool) == Some(true)
}
