//! What is counted rather than timed, in runs of its own: how often a client enters the kernel, and
//! how often it asks for memory. The difference between a long run and a short one, so that starting
//! and stopping do not count. Once is enough: unlike time, such counts hardly vary.

use std::fs;
use std::process::{Command, Stdio};

use crate::Failure;
use crate::cases::Site;
use crate::measure::{Bench, Trial};
use crate::measurement::{Counts, Measurement};
use crate::plan::Job;

/// Adds to `measured` what can be counted here.
pub fn add(measured: &mut Measurement, bench: &Bench, job: &Job, command: &[String], traces: bool) {
    if !job.case.op.is_throughput() || job.case.site != Site::Null {
        return;
    }
    let complain = |what: &str, why: Failure| {
        eprintln!("-- {what} of {} in {}: {why}", job.client.name, job.case);
    };
    if traces {
        match calls_per_batch(bench, job, command) {
            Ok(calls) => measured.system_calls_per_batch = Some(calls),
            Err(why) => complain("system calls", why),
        }
    }
    if bench.heap.is_some() && job.client.driver.is_native() {
        match allocations_per_record(bench, job, command) {
            Ok(count) => drop(measured.driver.figures.insert(ALLOCATIONS.to_owned(), count)),
            Err(why) => complain("allocations", why),
        }
    }
}

/// The name of the figure.
pub const ALLOCATIONS: &str = "allocations_per_record";

/// Whether `strace` is here and may trace.
pub fn can_trace() -> bool {
    let mut command = Command::new("strace");
    command.args(["-c", "-o", "/dev/null", "true"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// System calls of all of the client's threads for each record batch.
fn calls_per_batch(bench: &Bench, job: &Job, command: &[String]) -> Result<f64, Failure> {
    let summary = bench.scratch.join("system-calls");
    let path = summary.to_str().ok_or("the target folder is not UTF-8")?;
    let tracer = ["strace", "-f", "-c", "-qq", "-o", path].map(str::to_owned);
    let command = [&tracer, command].concat();
    let count = |trial| {
        let Counts { produced, fetched, .. } = bench.trial(job, &command, trial, None)?;
        let calls = total(&fs::read_to_string(&summary)?).ok_or("strace printed no total")?;
        Ok((calls, produced.batches + fetched.batches))
    };
    difference(job, count)
}

/// Allocations of all of the client's threads for each record.
fn allocations_per_record(bench: &Bench, job: &Job, command: &[String]) -> Result<f64, Failure> {
    difference(job, |trial| {
        bench.trial(job, command, trial, bench.heap.as_deref())?;
        let counts = fs::read(bench.heap_file())?;
        let count = counts.first_chunk().ok_or("nothing was counted")?;
        Ok((u64::from_le_bytes(*count), trial.passed()))
    })
}

/// The first number for each of the second, in the part of a long run that a short one has not.
fn difference(
    job: &Job,
    mut count: impl FnMut(Trial) -> Result<(u64, u64), Failure>,
) -> Result<f64, Failure> {
    let mut run = |times| {
        let records = times * job.case.records() / SHARE;
        count(Trial { records, warmup: records / 10 })
    };
    let (short, long) = (run(1)?, run(3)?);
    let each = long.1.saturating_sub(short.1).max(1);
    Ok(long.0.saturating_sub(short.0) as f64 / each as f64)
}

/// A run that is counted is this many times shorter than a measured one.
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
