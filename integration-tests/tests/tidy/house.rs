//! The workspace as the checks see it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use cargo_metadata::{CargoOpt, Metadata, MetadataCommand, Package};

/// The folder that holds the workspace's `Cargo.toml`.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("integration-tests lies in the workspace")
}

/// Every package of the dependency graph: all features, all platforms, dev-dependencies too.
pub(crate) fn metadata() -> &'static Metadata {
    static METADATA: LazyLock<Metadata> = LazyLock::new(|| {
        MetadataCommand::new()
            .manifest_path(root().join("Cargo.toml"))
            .features(CargoOpt::AllFeatures)
            // A test must not write to the tree that it judges.
            .other_options(["--locked".to_owned()])
            .exec()
            .expect("cargo metadata answers; without a network, after one `cargo fetch`")
    });
    &METADATA
}

/// The crates of the workspace.
pub(crate) fn members() -> Vec<&'static Package> {
    metadata().workspace_packages()
}

/// What a cargo command prints on standard output. Fails the test with what it says on standard
/// error.
#[track_caller]
pub(crate) fn cargo(arguments: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output =
        Command::new(cargo).args(arguments).current_dir(root()).output().expect("cargo runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {} failed:\n{said}", arguments.join(" "));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

/// The text of a file named from the root, or `None` where there is no such file.
pub(crate) fn text(path: impl AsRef<Path>) -> Option<String> {
    fs::read_to_string(root().join(path)).ok()
}

/// A TOML file named from the root.
pub(crate) fn table(path: impl AsRef<Path>) -> toml::Table {
    let path = path.as_ref();
    let text = text(path).unwrap_or_else(|| panic!("{} is missing", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every file whose name ends so, named from the root, sorted. Build output and hidden folders are
/// no sources.
pub(crate) fn files_ending(suffix: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the workspace is readable") {
            let path = entry.expect("a folder of the workspace is readable").path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                // Cargo puts this mark into every target folder, whatever the folder's name.
                if !path.join("CACHEDIR.TAG").exists() {
                    folders.push(path);
                }
            } else if name.ends_with(suffix) {
                found.push(
                    path.strip_prefix(root()).expect("it was found below the root").to_owned(),
                );
            }
        }
    }
    found.sort();
    found
}

/// Fails with every complaint at once, so that one run shows all there is to mend.
#[track_caller]
pub(crate) fn assert_none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}\n", complaints.join("\n"));
}

#[test]
fn the_walk_finds_sources_and_skips_build_output() {
    let sources = files_ending(".rs");
    assert!(sources.contains(&PathBuf::from("protocol/src/lib.rs")));
    assert!(sources.contains(&PathBuf::from("integration-tests/tests/tidy/house.rs")));
    assert!(!sources.iter().any(|path| path.starts_with("target")));
}
