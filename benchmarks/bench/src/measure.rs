//! One run: a fresh null broker, one driver, and what both say about it.

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Failure;
use crate::cases::Op;
use crate::pin::Cores;
use crate::plan::Job;

/// What one run of one driver showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub case: String,
    pub client: String,
    pub round: usize,
    pub driver: Report,
    pub broker: Counts,
    /// Records that went through: those measured and those that warmed up.
    pub passed: u64,
    /// Share of one core that the broker used; near 1, the broker is what was measured.
    pub broker_busy: f64,
    /// The client's system calls for each batch, where they were counted: in a run of its own.
    pub system_calls_per_batch: Option<f64>,
}

impl Measurement {
    pub fn cpu_ns_per_record(&self) -> f64 {
        (self.driver.user_ns + self.driver.sys_ns) as f64 / self.driver.records as f64
    }

    pub fn user_ns_per_record(&self) -> f64 {
        self.driver.user_ns as f64 / self.driver.records as f64
    }

    pub fn sys_ns_per_record(&self) -> f64 {
        self.driver.sys_ns as f64 / self.driver.records as f64
    }

    pub fn records_per_second(&self) -> f64 {
        self.driver.records as f64 / self.driver.seconds
    }

    pub fn switches_per_thousand(&self) -> f64 {
        let switches = self.driver.voluntary_switches + self.driver.involuntary_switches;
        switches as f64 * 1_000.0 / self.driver.records as f64
    }

    /// Of whichever direction there was.
    pub fn records_per_batch(&self) -> f64 {
        let Counts { produced, fetched } = &self.broker;
        (produced.records + fetched.records) as f64 / (produced.batches + fetched.batches) as f64
    }

    /// Records fetched for each that the application got, prefetched ones at the end included.
    pub fn fetched_per_delivered(&self) -> f64 {
        self.broker.fetched.records as f64 / self.passed as f64
    }
}

/// The line of JSON that every driver prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub version: String,
    pub records: u64,
    pub seconds: f64,
    pub user_ns: u64,
    pub sys_ns: u64,
    pub rss_kib: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
}

/// What the null broker counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub produced: Flow,
    pub fetched: Flow,
}

/// One direction of [`Counts`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    pub requests: u64,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
}

/// How long a run is.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    pub records: u64,
    pub warmup: u64,
}

impl Trial {
    /// Records that go through: those measured and those that warm up.
    fn passed(self) -> u64 {
        self.records + self.warmup
    }
}

/// Everything that a run needs beside its job.
#[derive(Debug)]
pub struct Bench {
    pub nullbroker: PathBuf,
    /// Payloads lie here, and whatever a run needs to write.
    pub scratch: PathBuf,
    pub cores: Cores,
    /// Records measured in every case, instead of the case's own number.
    pub records: Option<u64>,
    /// Whether the broker verifies the checksums of what is produced.
    pub verify: bool,
}

impl Bench {
    /// Runs `job` with the driver that `command` starts.
    pub fn run(&self, job: &Job, command: &[String]) -> Result<Measurement, Failure> {
        let trial = match self.records {
            Some(records) => Trial { records, warmup: records / 10 },
            None => Trial { records: job.case.records(), warmup: job.client.warmup(&job.case) },
        };
        let broker = self.start_broker(job)?;
        let began = Instant::now();
        let driver = self.drive(job, command, &broker.address, trial)?;
        let broker_busy = broker.cpu()?.as_secs_f64() / began.elapsed().as_secs_f64();
        let broker = broker.stop()?;
        check(job, &broker, trial.passed())?;
        Ok(Measurement {
            case: job.case.to_string(),
            client: job.client.name.to_owned(),
            round: job.round,
            driver,
            broker,
            passed: trial.passed(),
            broker_busy,
            system_calls_per_batch: None,
        })
    }

    /// As [`run`](Self::run), with another number of records.
    pub fn trial(
        &self,
        job: &Job,
        command: &[String],
        trial: Trial,
    ) -> Result<(Report, Counts), Failure> {
        let broker = self.start_broker(job)?;
        let report = self.drive(job, command, &broker.address, trial)?;
        Ok((report, broker.stop()?))
    }

    fn start_broker(&self, job: &Job) -> Result<Broker, Failure> {
        let case = &job.case;
        let mut command = Command::new(&self.nullbroker);
        command
            .arg("--control")
            .args(["--partitions", &case.partitions.to_string()])
            .args(["--size", &case.size.to_string()])
            .args(["--codec", case.codec])
            .args(["--delay-ms", &case.delay_ms.to_string()])
            .arg("--payload")
            .arg(crate::payload::path(&self.scratch, case.size));
        if self.verify {
            command.arg("--verify");
        }
        Broker::start(
            self.cores
                .on_broker(|| command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn())?,
        )
    }

    fn drive(
        &self,
        job: &Job,
        command: &[String],
        address: &str,
        Trial { records, warmup }: Trial,
    ) -> Result<Report, Failure> {
        let case = &job.case;
        // Not only we give it up: when we are killed, a client that tries again for ever must end too.
        let mut driver = Command::new("timeout");
        driver
            .args(["--signal=KILL", &PATIENCE.as_secs().to_string()])
            .args(command)
            .arg(case.op.name())
            .args(["--bootstrap", address])
            .args(["--topic", "bench"])
            .args(["--partitions", &case.partitions.to_string()])
            .args(["--records", &records.to_string()])
            .args(["--warmup", &warmup.to_string()])
            .args(["--size", &case.size.to_string()])
            .args(["--codec", case.codec])
            .args(["--mode", job.client.mode])
            .args(["--batch-bytes", &case.batch_bytes.to_string()])
            .arg("--payload")
            .arg(crate::payload::path(&self.scratch, case.size));
        if case.keyed {
            driver.arg("--keyed");
        }
        driver.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.cores.on_client(|| driver.spawn())?;
        let said = finish(child)?;
        let line = said.lines().last().ok_or("the driver said nothing")?;
        Ok(serde_json::from_str(line).map_err(|error| format!("{error} in `{line}`"))?)
    }
}

/// What was produced must be what the broker counted, and what was delivered must have been fetched.
fn check(job: &Job, counts: &Counts, passed: u64) -> Result<(), Failure> {
    let counted = match job.case.op {
        Op::Produce => counts.produced.records,
        Op::Consume => counts.fetched.records,
    };
    let right = match job.case.op {
        Op::Produce => counted == passed,
        Op::Consume => counted >= passed,
    };
    if right {
        return Ok(());
    }
    Err(format!("{passed} records went through the client, but {counted} through the broker")
        .into())
}

/// Waits for a driver, and returns what it printed.
fn finish(mut child: Child) -> Result<String, Failure> {
    // Both pipes are read while it runs: a full one would stop it.
    let stderr = child.stderr.take().map(read_all);
    let stdout = child.stdout.take().map(read_all);
    let text = |reader: Option<JoinHandle<String>>| {
        reader.and_then(|reader| reader.join().ok()).unwrap_or_default()
    };
    let (stdout, stderr) = (text(stdout), text(stderr));
    let status = child.wait()?;
    if status.success() {
        return Ok(stdout);
    }
    if status.signal() == Some(KILLED) || status.code() == Some(128 + KILLED) {
        return Err(format!("it had not finished after {} s", PATIENCE.as_secs()).into());
    }
    let last = stderr.lines().last().unwrap_or("and said nothing");
    Err(format!("it ended with {status}: {last}").into())
}

/// `SIGKILL`.
const KILLED: i32 = 9;

fn read_all(mut pipe: impl std::io::Read + Send + 'static) -> JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        // What came before a broken pipe is still worth showing.
        let _ = pipe.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// A null broker that runs, and ends when this is dropped.
struct Broker {
    child: Child,
    control: Option<ChildStdin>,
    out: BufReader<ChildStdout>,
    address: String,
}

impl Broker {
    fn start(mut child: Child) -> Result<Self, Failure> {
        let control = child.stdin.take();
        let mut out = BufReader::new(child.stdout.take().ok_or("the broker has no output")?);
        let mut line = String::new();
        out.read_line(&mut line)?;
        let address = line.strip_prefix("ready ").ok_or("the null broker did not start")?;
        let address = address.trim().to_owned();
        Ok(Self { child, control, out, address })
    }

    /// Processor time so far, user and system, in hundredths of a second.
    fn cpu(&self) -> Result<Duration, Failure> {
        let path = Path::new("/proc").join(self.child.id().to_string()).join("stat");
        let stat = std::fs::read_to_string(path)?;
        let ticks = cpu_ticks(&stat).ok_or("/proc/PID/stat is not as expected")?;
        Ok(Duration::from_millis(10 * ticks))
    }

    fn stop(mut self) -> Result<Counts, Failure> {
        let mut control = self.control.take().ok_or("the broker has no input")?;
        control.write_all(b"counts\n")?;
        let mut line = String::new();
        self.out.read_line(&mut line)?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It ends by itself when its input does; this is for one that cannot.
        drop(self.control.take());
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// User and system time in `/proc/PID/stat`, where the name before them may hold anything.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let (user, system) = (fields.next()?.parse::<u64>().ok()?, fields.next()?.parse::<u64>().ok()?);
    Some(user + system)
}

/// How long one run may take before it is given up.
const PATIENCE: Duration = Duration::from_secs(300);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_found_behind_any_name() {
        let stat = "7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 30 12 0 0 20";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn a_driver_that_fails_is_quoted() {
        let failed = finish(shell("echo half a line; echo no broker >&2; exit 3"));
        let failed = failed.unwrap_err().to_string();
        assert!(failed.contains('3') && failed.ends_with("no broker"), "{failed}");
    }

    #[test]
    fn a_driver_that_was_killed_had_its_time() {
        for script in ["kill -KILL $$", "exit 137"] {
            let killed = finish(shell(script)).unwrap_err().to_string();
            assert!(killed.contains("had not finished"), "{killed}");
        }
    }

    #[test]
    fn a_driver_that_talks_much_is_heard_to_its_end() {
        let said = finish(shell("seq 100000; seq 100000 >&2")).unwrap();
        assert_eq!(said.lines().last(), Some("100000"));
    }

    fn shell(script: &str) -> Child {
        let mut command = Command::new("sh");
        command.args(["-c", script]).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}
