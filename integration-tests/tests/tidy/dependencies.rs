//! What the dependency tree may contain. The lists are `deny.toml`'s; this is the part of `cargo
//! deny` that needs neither its minutes of installation nor a network.

use std::collections::BTreeSet;

use crate::house::{assert_none, cargo, members, metadata, table};
use crate::spdx::accepts;

/// How many crates a default build of ours may compile for its user, itself included.
const BUDGETS: &[(&str, usize)] = &[("ottla-protocol", 30), ("ottla", 60)];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[test]
fn every_licence_is_one_we_accept() {
    let allowed = strings(&table("deny.toml"), "licenses", "allow", |licence| licence.as_str());
    let mut complaints = Vec::new();
    for package in &metadata().packages {
        let licence = package.license.as_deref().unwrap_or("(none)");
        if !accepts(&allowed, licence) {
            complaints.push(format!(
                "{} {} is under {licence}: choose another crate, or allow it in deny.toml \
                 in a commit that says why",
                package.name, package.version
            ));
        }
    }
    assert_none(&complaints);
}

#[test]
fn no_banned_crate_is_in_the_tree() {
    let banned = strings(&table("deny.toml"), "bans", "deny", |ban| {
        ban.get("crate").and_then(toml::Value::as_str)
    });
    let complaints: Vec<String> = metadata()
        .packages
        .iter()
        .filter(|package| banned.contains(package.name.as_str()))
        .map(|package| {
            let name = &package.name;
            format!(
                "{name} is banned, deny.toml says why: \
                 `cargo tree --all-features --target all -i {name}` shows who brings it"
            )
        })
        .collect();
    assert_none(&complaints);
}

#[test]
fn every_crate_comes_from_the_registry() {
    let complaints: Vec<String> = metadata()
        .packages
        .iter()
        .filter_map(|package| Some((package, package.source.as_ref()?)))
        .filter(|(_, source)| source.repr != CRATES_IO)
        .map(|(package, source)| {
            format!(
                "{} comes from {source}: only a released crate can be depended on",
                package.name
            )
        })
        .collect();
    assert_none(&complaints);
}

#[test]
fn every_dependency_says_which_versions_it_accepts() {
    let mut complaints = Vec::new();
    for package in members() {
        for dependency in &package.dependencies {
            // Ours are named by path; those that are published carry a version too, and cargo
            // insists on it.
            if dependency.path.is_none() && dependency.req.comparators.is_empty() {
                complaints.push(format!(
                    "{} accepts any version of {}: name the oldest that works",
                    package.name, dependency.name
                ));
            }
        }
    }
    assert_none(&complaints);
}

#[test]
fn a_default_build_stays_within_its_budget() {
    let mut complaints = Vec::new();
    for package in members() {
        let name = package.name.as_str();
        let Some((_, budget)) = BUDGETS.iter().find(|(budgeted, _)| *budgeted == name) else {
            continue;
        };
        let tree = cargo(&["tree", "--locked", "-p", name, "-e", "normal", "--prefix", "none"]);
        let count = crates(&tree).len();
        if count > *budget {
            complaints.push(format!(
                "{name} compiles {count} crates, over its {budget}: \
                 `cargo tree -p {name} -e normal` shows which"
            ));
        }
    }
    assert_none(&complaints);
}

#[test]
fn a_crate_is_counted_once_per_version() {
    let tree =
        "ottla v0.1.0 (/src/ottla)\nsyn v2.0.1\nquote v1.0.47\nsyn v3.0.9\nquote v1.0.47 (*)\n\n";
    assert_eq!(crates(tree).len(), 4);
}

/// A list of `deny.toml`.
fn strings(
    table: &toml::Table,
    section: &str,
    key: &str,
    pick: impl Fn(&toml::Value) -> Option<&str>,
) -> BTreeSet<String> {
    let list = table[section][key].as_array().expect("deny.toml has the list");
    list.iter()
        .map(|entry| pick(entry).expect("every entry has the same shape").to_owned())
        .collect()
}

/// The crates that `cargo tree --prefix none` lists, each as its name and version.
fn crates(tree: &str) -> BTreeSet<(&str, &str)> {
    tree.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.next()?))
        })
        .collect()
}
