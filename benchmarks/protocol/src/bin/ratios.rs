//! Prints what `cargo bench --bench codec` measured, ours beside theirs, and fails when a ratio is
//! below its gate.

use std::env;
use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

/// Partitions or records in what every group encodes or decodes.
const ELEMENTS: f64 = 1_000.0;

/// Bytes that the group `crc32c` hashes.
const CRC_BYTES: f64 = 262_144.0;

/// Criterion's group, our function in it, and how many times as fast as `kafka-protocol` it must be.
const GATES: [(&str, &str, f64); 8] = [
    ("encode-100", "ottla", 3.0),
    ("encode-1024", "ottla", 1.3),
    ("decode-100", "ottla", 4.5),
    ("decode-1024", "ottla", 1.8),
    ("decode-metadata-1000", "ottla", 2.0),
    ("decode-fetch-1000", "ottla", 2.0),
    // The same answer, lent from the frame: what the consumer does, and that with every count taken.
    ("decode-fetch-1000", "ottla, walked", 2.0),
    ("decode-fetch-1000", "ottla, walked and all records taken", 2.0),
];

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let measured = criterion_dir();
    println!(
        "{:<22}{:>10}{:>16}{:>8}{:>7}",
        "ns/element", "ottla", "kafka-protocol", "ratio", "gate"
    );
    let mut missed = 0;
    for (group, function, gate) in GATES {
        let ours = median(&measured, group, function)? / ELEMENTS;
        let theirs = median(&measured, group, "kafka-protocol")? / ELEMENTS;
        let ratio = theirs / ours;
        let verdict = if ratio < gate { "  missed" } else { "" };
        let how = function.strip_prefix("ottla").unwrap_or_default();
        println!("{group:<22}{ours:>10.1}{theirs:>16.1}{ratio:>8.2}{gate:>7.1}{verdict}{how}");
        missed += u32::from(ratio < gate);
    }
    let crc = CRC_BYTES / median(&measured, "crc32c", "256-KiB")?;
    println!("crc32c: {crc:.1} GB/s");
    Ok(if missed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn criterion_dir() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    target.unwrap_or_else(default).join("criterion")
}

/// Nanoseconds that one iteration took.
fn median(measured: &Path, group: &str, function: &str) -> Result<f64, Box<dyn Error>> {
    let path = measured.join(group).join(function).join("new/estimates.json");
    let file = File::open(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let estimates: Value = serde_json::from_reader(file)?;
    let median = estimates["median"]["point_estimate"].as_f64();
    median.ok_or_else(|| format!("{}: no median", path.display()).into())
}
