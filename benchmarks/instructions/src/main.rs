//! Counts the instructions of the hot paths under callgrind, and compares them with what is committed
//! in `baseline.txt`. A busy machine changes times, but not these.

mod callgrind;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use clap::Parser;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Fails when a hot path takes more instructions for each record than it did.
#[derive(Debug, Parser)]
struct Arguments {
    /// Write the baseline anew, instead of comparing with it
    #[arg(long)]
    update: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let program = std::env::current_exe()?.with_file_name("replay");
    if !program.exists() {
        return Err(format!("{} is not built: build this package first", program.display()).into());
    }
    let mut counted = BTreeMap::new();
    for path in PATHS {
        counted.insert((*path).to_owned(), per_record(&program, path)?);
    }
    let compiler = compiler();
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("baseline.txt");
    if arguments.update {
        fs::write(&page, write(&counted, &compiler))?;
        print!("{}", write(&counted, &compiler));
        return Ok(ExitCode::SUCCESS);
    }
    let before =
        fs::read_to_string(&page).map_err(|error| format!("{}: {error}", page.display()))?;
    let (lines, holds) = compare(&counted, &before);
    print!("{lines}");
    if holds {
        return Ok(ExitCode::SUCCESS);
    }
    let then = before.lines().next().unwrap_or_default();
    eprintln!("-- the baseline is of `{then}`; this is `# {compiler}`");
    eprintln!("-- if the change is meant, or the compiler is another: {UPDATE}");
    Ok(ExitCode::FAILURE)
}

const PATHS: &[&str] = &[
    "encode-100",
    "encode-1024",
    "decode-100",
    "decode-1024",
    "produce-100",
    "produce-awaited-100",
    "consume-100",
];

const UPDATE: &str = "cargo run --release --manifest-path benchmarks/Cargo.toml \
                      -p bench-instructions -- --update, and commit benchmarks/instructions/baseline.txt";

/// By how much a count may differ.
const TOLERANCE: f64 = 0.03;

/// The difference between a long run and a short one, so that starting and stopping do not count.
fn per_record(program: &Path, path: &str) -> Result<f64, Failure> {
    let (short, long) = (20, 120);
    let more = count(program, path, long)?.saturating_sub(count(program, path, short)?);
    Ok(more as f64 / ((long - short) * 1_000) as f64)
}

fn count(program: &Path, path: &str, times: u64) -> Result<u64, Failure> {
    let out = PathBuf::from(format!("{}-{path}-{times}.callgrind", program.display()));
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--quiet", "--compress-strings=no"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(program)
        .args([path, &times.to_string()])
        .stdin(Stdio::null());
    let status = command.status().map_err(|error| format!("valgrind: {error}"))?;
    if !status.success() {
        return Err(format!("`{path}` under valgrind ended with {status}").into());
    }
    let profile = fs::read_to_string(&out)?;
    fs::remove_file(&out)?;
    Ok(callgrind::total(&profile, &program.display().to_string()))
}

fn compiler() -> String {
    let version = Command::new("rustc").arg("--version").output();
    version.map_or_else(
        |_| "?".to_owned(),
        |said| {
            format!(
                "{} on {}",
                String::from_utf8_lossy(&said.stdout).trim(),
                std::env::consts::ARCH
            )
        },
    )
}

/// The text of a baseline.
fn write(counted: &BTreeMap<String, f64>, compiler: &str) -> String {
    let mut out = format!("# {compiler}\n");
    for (path, count) in counted {
        let _ = writeln!(out, "{path} {count:.1}");
    }
    out
}

/// A line for each path, and whether none takes more than it may. One that takes less is told of, so
/// that the baseline follows.
fn compare(counted: &BTreeMap<String, f64>, before: &str) -> (String, bool) {
    let (mut out, mut holds) = (String::new(), true);
    for (path, is) in counted {
        let line = before.lines().find_map(|line| line.strip_prefix(path)?.strip_prefix(' '));
        let Some(was) = line.and_then(|count| count.parse::<f64>().ok()) else {
            holds = false;
            let _ = writeln!(out, "-- {path}: {is:.1} instructions a record, and no baseline");
            continue;
        };
        let change = is / was - 1.0;
        let verdict = match change {
            more if more > TOLERANCE => "TOO MANY",
            less if less < -TOLERANCE => "ok, and fewer: update the baseline",
            _ => "ok",
        };
        holds &= change <= TOLERANCE;
        let percent = 100.0 * change;
        let _ = writeln!(
            out,
            "-- {path}: {is:.1} instructions a record, {was:.1} before ({percent:+.1} %): {verdict}"
        );
    }
    (out, holds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_what_is_compared_with() {
        check(&[("decode-100", 50.0)], &[("decode-100", 50.04)], true);
    }

    #[test]
    fn more_than_three_in_a_hundred_are_too_many() {
        check(&[("a", 102.9), ("b", 10.0)], &[("a", 100.0), ("b", 10.0)], true);
        check(&[("a", 103.1), ("b", 10.0)], &[("a", 100.0), ("b", 10.0)], false);
    }

    #[test]
    fn fewer_are_welcome() {
        check(&[("a", 50.0)], &[("a", 100.0)], true);
    }

    #[test]
    fn a_path_without_a_baseline_fails_and_no_other_is_taken_for_its() {
        check(&[("encode-10", 50.0)], &[("encode-1024", 50.0)], false);
    }

    #[track_caller]
    fn check(counted: &[(&str, f64)], before: &[(&str, f64)], expected: bool) {
        let map = |counts: &[(&str, f64)]| {
            counts.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect()
        };
        let (lines, holds) = compare(&map(counted), &write(&map(before), "rustc 1"));
        assert_eq!(holds, expected, "{lines}");
    }
}
