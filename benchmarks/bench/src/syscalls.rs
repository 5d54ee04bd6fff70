//! How often a client enters the kernel.

use std::fs;
use std::process::{Command, Stdio};

use crate::Failure;
use crate::measure::{Bench, Trial};
use crate::plan::Job;

/// Whether `strace` is here and may trace.
pub fn can_count() -> bool {
    let mut command = Command::new("strace");
    command.args(["-c", "-o", "/dev/null", "true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// System calls of all of the client's threads for each record batch: the difference between a long
/// run and a short one, so that starting and stopping do not count.
pub fn per_batch(bench: &Bench, job: &Job, command: &[String]) -> Result<f64, Failure> {
    let (short, long) = (count(bench, job, command, 1)?, count(bench, job, command, 3)?);
    let batches = long.batches.saturating_sub(short.batches).max(1);
    Ok(long.calls.saturating_sub(short.calls) as f64 / batches as f64)
}

struct Counted {
    calls: u64,
    batches: u64,
}

fn count(bench: &Bench, job: &Job, command: &[String], times: u64) -> Result<Counted, Failure> {
    let summary = bench.scratch.join("system-calls");
    let path = summary.to_str().ok_or("the target folder is not UTF-8")?;
    let tracer = ["strace", "-f", "-c", "-qq", "-o", path].map(str::to_owned);
    let records = times * job.case.records() / SHARE;
    let trial = Trial { records, warmup: records / 10 };
    let (_, counts) = bench.trial(job, &[&tracer, command].concat(), trial)?;
    let calls = total(&fs::read_to_string(&summary)?).ok_or("strace printed no total")?;
    Ok(Counted { calls, batches: counts.produced.batches + counts.fetched.batches })
}

/// A traced run is this many times shorter than a measured one.
const SHARE: u64 = 20;

/// The calls in the last line of what `strace -c` prints.
fn total(summary: &str) -> Option<u64> {
    let line = summary.lines().rfind(|line| line.ends_with(" total"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_with_and_without_errors() {
        let head = "% time seconds usecs/call calls errors syscall\n";
        let with = format!("{head}100.00    0.001230           3       410        12 total\n");
        let without = format!("{head}100.00    0.001230           3       410           total\n");
        assert_eq!((total(&with), total(&without)), (Some(410), Some(410)));
        assert_eq!(total(head), None);
    }
}
