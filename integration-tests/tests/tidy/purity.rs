//! What decides does not act: without the feature `net` no crate can await, spawn or open a socket,
//! because no runtime is there.

use std::collections::BTreeSet;

use cargo_metadata::Package;

use crate::house::{assert_none, cargo, members};

/// Crates that hold machines and, behind `net`, their shells.
const SHELLED: &[&str] =
    &["ottla-core", "ottla-producer", "ottla-consumer", "ottla-admin", "ottla-broker"];

/// Crates that have machines only, so there is no feature to switch off.
const SHELL_LESS: &[&str] = &["ottla-protocol"];

#[test]
fn net_is_a_default_feature_of_every_crate_with_a_shell() {
    let complaints: Vec<String> = members()
        .into_iter()
        .filter(|package| SHELLED.contains(&package.name.as_str()))
        .filter(|package| {
            !package.features.get("default").is_some_and(|on| on.iter().any(|name| name == "net"))
        })
        .map(|package| {
            format!("{} needs a feature `net`, on by default, that brings tokio in", package.name)
        })
        .collect();
    assert_none(&complaints);
}

#[test]
fn without_net_no_runtime_is_in_the_tree() {
    let mut complaints = Vec::new();
    for Package { name, .. } in pure_members() {
        let tree = cargo(&[
            "tree",
            "--locked",
            "-p",
            name,
            "-e",
            "normal",
            "--no-default-features",
            "--target",
            "all",
            "--prefix",
            "none",
        ]);
        complaints.extend(runtimes(&tree).into_iter().map(|runtime| {
            format!(
                "{name} without `net` has {runtime}: make it optional and let `net` bring it \
                 (`cargo tree -p {name} -e normal --no-default-features -i {runtime}` shows how \
                 it comes in)"
            )
        }));
    }
    assert_none(&complaints);
}

#[test]
fn without_net_every_crate_compiles() {
    for Package { name, .. } in pure_members() {
        cargo(&["check", "--locked", "-p", name, "--no-default-features"]);
    }
}

#[test]
fn a_runtime_is_seen_at_any_depth() {
    let tree = "\
ottla-core v0.1.0 (/src/core)
bytes v1.12.1
tokio v1.52.3
tokio-macros v2.6.0 (proc-macro)
bytes v1.12.1 (*)
";
    assert_eq!(runtimes(tree), BTreeSet::from(["tokio", "tokio-macros"]));
}

#[test]
fn a_crate_that_only_sounds_like_a_runtime_is_not_one() {
    assert!(runtimes("tokionomics v1.0.0\nmiow v0.6.0\n").is_empty());
}

/// A crate with a feature `net` is checked whether or not it is named above.
fn pure_members() -> Vec<&'static Package> {
    let mut pure = members();
    pure.retain(|package| {
        package.features.contains_key("net") || SHELL_LESS.contains(&package.name.as_str())
    });
    pure
}

/// The runtimes that `cargo tree --prefix none` lists.
fn runtimes(tree: &str) -> BTreeSet<&str> {
    let names = tree.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| *name == "tokio" || name.starts_with("tokio-") || *name == "mio").collect()
}
