//! What a Rust client costs those who build it: time, and crates to trust.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::Failure;
use crate::install::{Workshop, cargo, run};

/// What building one client took.
#[derive(Debug, Clone, PartialEq)]
pub struct Footprint {
    pub client: &'static str,
    /// Crates that were compiled, the client's own among them.
    pub crates: usize,
    /// By the clock, on all cores, with nothing built before.
    pub took: Duration,
}

/// Builds each client alone, with its default features, as a release.
pub fn measure_all(workshop: &Workshop) -> Vec<Footprint> {
    let mut measured = Vec::new();
    for (client, dependency) in clients(workshop.benchmarks()) {
        eprintln!("-- building {client} from nothing");
        match measure(workshop, client, &dependency) {
            Ok(footprint) => measured.push(footprint),
            Err(why) => eprintln!("-- SKIPPED: {client} could not be built alone: {why}"),
        }
    }
    measured
}

/// As in the drivers' manifests.
fn clients(benchmarks: &Path) -> [(&'static str, String); 4] {
    let ours = benchmarks.with_file_name("ottla");
    [
        ("ottla", format!("{{ path = {ours:?} }}")),
        ("rdkafka", "\"=0.39.0\"".to_owned()),
        ("krafka", "\"=0.28.1\"".to_owned()),
        ("rskafka", "\"=0.6.0\"".to_owned()),
    ]
}

fn measure(
    workshop: &Workshop,
    client: &'static str,
    dependency: &str,
) -> Result<Footprint, Failure> {
    let folder = workshop.tools().join("footprint").join(client);
    let target = folder.join("target");
    if target.exists() {
        fs::remove_dir_all(&target)?;
    }
    fs::create_dir_all(folder.join("src"))?;
    fs::write(folder.join("src/lib.rs"), "")?;
    fs::write(folder.join("Cargo.toml"), manifest(client, dependency))?;
    // The versions that are measured; what is not needed here, cargo takes out.
    fs::copy(workshop.benchmarks().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let here = |command: &str| {
        let mut cargo = cargo();
        cargo.arg(command).current_dir(&folder).env("CARGO_TARGET_DIR", &target);
        cargo
    };
    run(&mut here("fetch"))?;
    let crates = count(here("tree").args(["--edges", "normal,build", "--prefix", "none"]))?;
    let began = Instant::now();
    run(here("build").args(["--release", "--quiet"]))?;
    let took = began.elapsed();
    fs::remove_dir_all(&target)?;
    Ok(Footprint { client, crates, took })
}

fn manifest(client: &str, dependency: &str) -> String {
    format!(
        "[package]\nname = \"footprint\"\nedition = \"2024\"\n\n[workspace]\n\n\
         [dependencies]\n{client} = {dependency}\n"
    )
}

/// The crates that `cargo tree` lists, but for the one that only depends on the client.
fn count(tree: &mut Command) -> Result<usize, Failure> {
    let output = tree.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    Ok(distinct(&String::from_utf8_lossy(&output.stdout)) - 1)
}

/// A crate that was listed before is listed again with a mark behind it.
fn distinct(tree: &str) -> usize {
    let lines = tree.lines().map(|line| line.trim_end_matches(" (*)"));
    lines.filter(|line| !line.is_empty()).collect::<BTreeSet<_>>().len()
}

/// The section about it; empty where nothing was built.
pub fn section(footprints: &[Footprint]) -> String {
    if footprints.is_empty() {
        return String::new();
    }
    let mut out = "### Building a Rust client\n\n\
                   Alone, with default features, in release, from nothing, on all cores of the machine.\n\n\
                   | client | crates | seconds |\n|---|---|---|\n"
        .to_owned();
    for Footprint { client, crates, took } in footprints {
        let _ = writeln!(out, "| {client} | {crates} | {:.0} |", took.as_secs_f64());
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_counts_once_however_often_it_is_listed() {
        let tree = "footprint v0.0.0 (/x)\nottla v0.1.0\nbytes v1.0.0\n\nbytes v1.0.0 (*)\n";
        assert_eq!(distinct(tree), 3);
    }

    #[test]
    fn a_line_for_each_client_or_no_section() {
        let took = Duration::from_secs(9);
        let footprint = Footprint { client: "ottla", crates: 60, took };
        assert!(section(&[footprint]).contains("| ottla | 60 | 9 |\n"));
        assert_eq!(section(&[]), "");
    }
}
