//! What a reader must know to judge the figures.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::pin::Cores;

/// The machine, the day, and who ran where.
pub fn machine(cores: &Cores, rounds: usize) -> String {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let models = cpus.lines().filter_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let models: Vec<&str> = models.map(|(_, model)| model).collect();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    format!(
        "{}, {} × {}, Linux {}; broker on core {}, clients on {}; {rounds} rounds; load average at \
         the end {}.",
        said_by("date", &["-u", "+%F"]),
        models.len(),
        models.first().unwrap_or(&"an unnamed processor"),
        kernel.trim(),
        cores.broker,
        cores.clients,
        load.split(' ').next().unwrap_or("unknown"),
    )
}

/// What to type for the same run.
pub fn command() -> String {
    let mut command = "cargo run --release --manifest-path benchmarks/Cargo.toml".to_owned();
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().is_some() {
        command.push_str(" --");
    }
    for argument in arguments {
        command.push(' ');
        command.push_str(&argument);
    }
    command
}

/// The commit that is measured, and whether something is changed beside it.
pub fn commit(folder: &Path) -> String {
    let folder = folder.to_string_lossy();
    said_by("git", &["-C", &folder, "describe", "--always", "--dirty", "--abbrev=40"])
}

/// What a command prints; `?` where it cannot.
fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let said = output.ok().filter(|output| output.status.success());
    let said = said.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    said.unwrap_or_else(|| "?".to_owned())
}
