//! One run: a fresh broker, one driver, and what both say about it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use crate::Failure;
use crate::cases::{Case, Op, Site};
use crate::install::run;
use crate::measurement::{Counts, Measurement, Report};
use crate::pin::Cores;
use crate::plan::Job;
use crate::process::{Broker, finish};

/// How long a run is.
#[derive(Debug, Clone, Copy)]
pub struct Trial {
    pub records: u64,
    pub warmup: u64,
}

impl Trial {
    /// Records that go through: those measured and those that warm up.
    pub fn passed(self) -> u64 {
        self.records + self.warmup
    }
}

/// Everything that a run needs beside its job.
#[derive(Debug)]
pub struct Bench {
    pub nullbroker: PathBuf,
    pub refbroker: PathBuf,
    /// What counts a client's heap, where there is a C compiler.
    pub heap: Option<PathBuf>,
    /// For the cases that take it.
    pub kafka: Option<Kafka>,
    /// Payloads lie here, and whatever a run needs to write.
    pub scratch: PathBuf,
    pub cores: Cores,
    /// Records measured in every case, instead of the case's own number.
    pub records: Option<u64>,
    /// Whether half of a case's records are enough at full speed: there are many such cases.
    pub halved: bool,
    /// Whether to be short, and the broker to verify the checksums of what is produced.
    pub quick: bool,
    /// For how long the cluster is dead in the case that is about that.
    pub dead: Duration,
}

/// Apache Kafka.
#[derive(Debug)]
pub struct Kafka {
    pub address: String,
    /// Makes a topic on it.
    pub make_topic: PathBuf,
}

impl Kafka {
    /// Makes a topic that no earlier run has used, and names it.
    fn fresh_topic(&self, partitions: u32) -> Result<String, Failure> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let topic = format!("bench-{}", since.as_micros());
        let mut command = Command::new(&self.make_topic);
        command.args([&topic, "--bootstrap", &self.address]);
        run(command.args(["--partitions", &partitions.to_string()]))?;
        Ok(topic)
    }
}

impl Bench {
    /// Runs `job` with the driver that `command` starts.
    pub fn run(&self, job: &Job, command: &[String]) -> Result<Measurement, Failure> {
        let case = &job.case;
        let trial = match self.records {
            Some(records) if !case.op.records_are_fixed() => {
                // A second of a schedule is enough to try it.
                let records = if case.rate == 0 { records } else { records.min(case.rate) };
                Trial { records, warmup: records / 10 }
            }
            _ => Trial { records: self.records_of(case), warmup: job.client.warmup(case) },
        };
        let mut broker = self.start_broker(job)?;
        let heap = self.heap.as_deref().filter(|_| case.op.is_watched());
        let began = Instant::now();
        let (mut driver, said_at) = self.drive(job, command, &mut broker, trial, heap)?;
        let whole = began.elapsed().as_secs_f64();
        let broker_busy = broker.cpu()?.map_or(0.0, |cpu| cpu.as_secs_f64() / whole);
        let counts = broker.stop()?;
        check(job, &counts, trial.passed())?;
        driver.figures.extend(figures(case, &driver, &counts, said_at - began));
        Ok(Measurement {
            case: case.to_string(),
            client: job.client.name.to_owned(),
            round: job.round,
            driver,
            broker: counts.unwrap_or_default(),
            passed: trial.passed(),
            broker_busy,
            stolen: 0.0,
            system_calls_per_batch: None,
        })
    }

    fn records_of(&self, case: &Case) -> u64 {
        match self.halved && case.op.is_throughput() {
            true => case.records() / 2,
            false => case.records(),
        }
    }

    /// As [`run`](Self::run), with another number of records, and with its heap counted by `heap`.
    pub fn trial(
        &self,
        job: &Job,
        command: &[String],
        trial: Trial,
        heap: Option<&Path>,
    ) -> Result<Counts, Failure> {
        let mut broker = self.start_broker(job)?;
        self.drive(job, command, &mut broker, trial, heap)?;
        Ok(broker.stop()?.unwrap_or_default())
    }

    fn start_broker(&self, job: &Job) -> Result<Target, Failure> {
        let case = &job.case;
        let mut command = match case.site {
            Site::Null => self.null(case),
            Site::Reference => Command::new(&self.refbroker),
            Site::Kafka => return Ok(Target::Elsewhere(self.kafka()?.address.clone())),
        };
        command.arg("--control").args(["--partitions", &case.partitions.to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Target::Ours(Broker::start(self.cores.on_broker(|| command.spawn())?)?))
    }

    fn kafka(&self) -> Result<&Kafka, Failure> {
        Ok(self.kafka.as_ref().ok_or("the address of Apache Kafka is not known")?)
    }

    fn null(&self, case: &Case) -> Command {
        let mut command = Command::new(&self.nullbroker);
        command
            .args(["--size", &case.size.to_string()])
            .args(["--codec", case.codec])
            .args(["--delay-ms", &case.delay_ms.to_string()])
            .arg("--payload")
            .arg(crate::payload::path(&self.scratch, case.size));
        if case.keyed {
            command.arg("--keyed");
        }
        // Where cores are short, it would take its client's.
        command.arg(if self.quick { "--verify" } else { "--awake" });
        if case.op == Op::Overload {
            command
                .args(["--bytes-per-second", &CLUSTER_SPEED.to_string()])
                .args(["--dead-after", &BEFORE_DEATH.as_secs().to_string()])
                .args(["--dead-for", &self.dead.as_secs().to_string()]);
        }
        command
    }

    /// What the driver reports, and when it did.
    fn drive(
        &self,
        job: &Job,
        command: &[String],
        broker: &mut Target,
        trial: Trial,
        heap: Option<&Path>,
    ) -> Result<(Report, Instant), Failure> {
        let patience = PATIENCE + self.dead;
        // Not only we give it up: when we are killed, a client that tries again for ever must end too.
        let mut driver = Command::new("timeout");
        driver
            .args(["--signal=KILL", &patience.as_secs().to_string()])
            .args(command)
            .args(self.arguments(job, trial)?)
            .args(["--bootstrap", broker.address()])
            .arg("--payload")
            .arg(crate::payload::path(&self.scratch, job.case.size));
        if let Some(heap) = heap {
            driver.env("LD_PRELOAD", heap).env("BENCH_HEAP", self.heap_file());
        }
        driver.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.cores.on_client(|| driver.spawn())?;
        let said = finish(child, patience, || broker.reset())?;
        let line = said.report;
        let report = serde_json::from_str(&line).map_err(|error| format!("{error} in `{line}`"))?;
        Ok((report, said.at))
    }

    /// Where the heap of a client is counted.
    pub fn heap_file(&self) -> PathBuf {
        self.scratch.join("heap-counts")
    }

    fn arguments(
        &self,
        job: &Job,
        Trial { records, warmup }: Trial,
    ) -> Result<Vec<String>, Failure> {
        let case = &job.case;
        let topic = match case.site {
            Site::Null | Site::Reference => "bench".to_owned(),
            Site::Kafka => self.kafka()?.fresh_topic(case.partitions)?,
        };
        let mut arguments = vec![case.op.driver_op().to_owned()];
        let mut add = |name: &str, value: String| arguments.extend([name.to_owned(), value]);
        add("--topic", topic);
        add("--partitions", case.partitions.to_string());
        add("--records", records.to_string());
        add("--warmup", warmup.to_string());
        add("--size", case.size.to_string());
        add("--codec", case.codec.to_owned());
        add("--mode", job.client.mode.to_owned());
        add("--batch-bytes", case.batch_bytes.to_string());
        add("--linger-ms", case.linger_ms().to_string());
        let rate = match case.op {
            Op::Overload => 4 * CLUSTER_SPEED / case.size as u64,
            _ => case.rate,
        };
        if rate != 0 {
            add("--rate", rate.to_string());
        }
        if case.transaction != 0 {
            add("--transaction", case.transaction.to_string());
        }
        if case.op == Op::IdleClients {
            add("--clients", case.clients.to_string());
        }
        if case.op.is_watched() {
            let seconds = match case.op {
                Op::Overload => (2 * BEFORE_DEATH + self.dead).as_secs(),
                _ => case.seconds(self.quick),
            };
            add("--seconds", seconds.to_string());
        }
        if case.keyed {
            arguments.push("--keyed".to_owned());
        }
        Ok(arguments)
    }
}

/// What a driver talks to.
#[derive(Debug)]
enum Target {
    Ours(Broker),
    /// Nothing of it can be counted.
    Elsewhere(String),
}

impl Target {
    fn address(&self) -> &str {
        match self {
            Self::Ours(broker) => &broker.address,
            Self::Elsewhere(address) => address,
        }
    }

    fn reset(&mut self) -> Result<(), Failure> {
        match self {
            Self::Ours(broker) => broker.reset().map(drop),
            Self::Elsewhere(_) => Ok(()),
        }
    }

    fn cpu(&self) -> Result<Option<Duration>, Failure> {
        match self {
            Self::Ours(broker) => broker.cpu().map(Some),
            Self::Elsewhere(_) => Ok(None),
        }
    }

    fn stop(self) -> Result<Option<Counts>, Failure> {
        match self {
            Self::Ours(broker) => broker.stop().map(Some),
            Self::Elsewhere(_) => Ok(None),
        }
    }
}

/// What the broker and the runner add to a driver's figures.
fn figures(
    case: &Case,
    driver: &Report,
    counts: &Option<Counts>,
    until_report: Duration,
) -> Vec<(String, f64)> {
    let requests = counts.as_ref().map(|counts| counts.requests as f64);
    let named = |name: &str, figure: Option<f64>| figure.map(|figure| (name.to_owned(), figure));
    let figure = match case.op {
        Op::Transaction => {
            let transactions = driver.records as f64 / case.transaction as f64;
            named("requests_per_transaction", requests.map(|requests| requests / transactions))
        }
        Op::IdleClients | Op::IdlePartitions => {
            named("requests_per_s", requests.map(|requests| requests / driver.seconds))
        }
        Op::ColdProduce | Op::ColdConsume => {
            named("first_record_ms", Some(until_report.as_secs_f64() * 1_000.0))
        }
        Op::Produce | Op::Consume | Op::Latency | Op::EndToEnd | Op::Overload | Op::Stall => None,
    };
    figure.into_iter().collect()
}

/// What was produced must be what the broker counted, and what was delivered must have been fetched.
fn check(job: &Job, counts: &Option<Counts>, passed: u64) -> Result<(), Failure> {
    let Some(counts) = counts else { return Ok(()) };
    let (counted, right) = match job.case.op {
        Op::Produce | Op::Latency | Op::ColdProduce => {
            (counts.produced.records, counts.produced.records == passed)
        }
        Op::Consume | Op::ColdConsume => (counts.fetched.records, counts.fetched.records >= passed),
        // Those drivers look at every record themselves; or there are none to count.
        Op::Transaction
        | Op::EndToEnd
        | Op::IdleClients
        | Op::IdlePartitions
        | Op::Overload
        | Op::Stall => return Ok(()),
    };
    if right {
        return Ok(());
    }
    Err(format!("{passed} records went through the client, but {counted} through the broker")
        .into())
}

/// How long one run may take before it is given up, beside the time that the cluster is dead.
const PATIENCE: Duration = Duration::from_secs(300);

/// Bytes in a second that the overloaded cluster takes.
const CLUSTER_SPEED: u64 = 20_000_000;

/// How long it lives before it is dead, and at least after.
const BEFORE_DEATH: Duration = Duration::from_secs(5);
