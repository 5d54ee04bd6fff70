//! What the drivers of Rust clients share: the command line, the payload, what the process has used,
//! and the report.

mod held;
mod schedule;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use nix::sys::resource::{Usage as Rusage, UsageWho, getrusage};
use nix::sys::time::TimeVal;
use serde_json::json;

pub use held::{Held, held_bytes, mebibytes};
pub use schedule::{Latencies, Schedule, time_in_order};

/// What went wrong, for a person to read.
pub type Failure = Box<dyn Error + Send + Sync>;

/// The command line of every driver.
#[derive(Debug, Clone, Parser)]
pub struct Options {
    /// What to measure
    pub op: Op,
    /// HOST:PORT of the broker
    #[arg(long)]
    pub bootstrap: String,
    /// Topic to produce to or to consume
    #[arg(long, default_value = "bench")]
    pub topic: String,
    /// Partitions of the topic; record i goes to partition i modulo this
    #[arg(long, default_value_t = 1)]
    pub partitions: i32,
    /// Records that are measured
    #[arg(long)]
    pub records: u64,
    /// Records before them that are not
    #[arg(long, default_value_t = 0)]
    pub warmup: u64,
    /// Bytes of each record value
    #[arg(long, default_value_t = 100)]
    pub size: usize,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, default_value = "none")]
    pub codec: String,
    /// Which of the client's ways to do it
    #[arg(long)]
    pub mode: String,
    /// Record values, one behind the other
    #[arg(long)]
    pub payload: Option<PathBuf>,
    /// How long a batch waits for more records
    #[arg(long, default_value_t = 5)]
    pub linger_ms: u64,
    /// Bytes of a full batch
    #[arg(long, default_value_t = 256 << 10)]
    pub batch_bytes: usize,
    /// Records in a second, by a schedule that waits for nobody; 0 for as many as there can be
    #[arg(long, default_value_t = 0)]
    pub rate: u64,
    /// Records of each transaction
    #[arg(long, default_value_t = 1)]
    pub transaction: u64,
    /// Clients in this process
    #[arg(long, default_value_t = 1)]
    pub clients: u64,
    /// How long something is watched
    #[arg(long, default_value_t = 10)]
    pub seconds: u64,
    /// Give every record a key of 16 bytes and two headers
    #[arg(long)]
    pub keyed: bool,
}

/// What to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Op {
    /// Until every record is acknowledged
    Produce,
    /// Until every record has been looked at
    Consume,
    /// On schedule, timing each record until it is acknowledged
    Latency,
    /// In transactions
    Transaction,
    /// And read it all again, timing each record until it is read
    EndToEnd,
    /// Many clients that do nothing
    IdleClients,
    /// Many partitions that nobody writes to
    IdlePartitions,
    /// More than the cluster takes
    Overload,
    /// Assigned, and never taken
    Stall,
}

impl Options {
    /// How long a batch waits for more records.
    #[must_use]
    pub fn linger(&self) -> Duration {
        Duration::from_millis(self.linger_ms)
    }

    /// How long something is watched.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }

    /// The partition of record `index`.
    #[must_use]
    pub fn partition(&self, index: u64) -> i32 {
        // A division shows where a record takes some dozens of nanoseconds.
        if self.partitions == 1 {
            return 0;
        }
        let partitions = u64::try_from(self.partitions).unwrap_or(1).max(1);
        i32::try_from(index % partitions).unwrap_or(0)
    }

    /// The refusal of a mode that the client does not have.
    #[must_use]
    pub fn no_such_mode(&self, known: &str) -> Failure {
        format!("--mode {} is unknown: {known}", self.mode).into()
    }

    /// The refusal of a codec that the client does not have.
    #[must_use]
    pub fn no_such_codec(&self) -> Failure {
        format!("--codec {} is unknown", self.codec).into()
    }

    /// Reads the payload. It is never freed: values are lent for as long as the process lives.
    ///
    /// # Errors
    ///
    /// When there is no such file, or it is not a whole number of values.
    pub fn read_payload(&self) -> Result<Payload, Failure> {
        let path = self.payload.as_deref().ok_or("--payload is needed to produce")?;
        let bytes = std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if self.size == 0 || bytes.is_empty() || !bytes.len().is_multiple_of(self.size) {
            return Err(format!("{} is not a whole number of values", path.display()).into());
        }
        let count = (bytes.len() / self.size) as u64;
        Ok(Payload { bytes: bytes.leak(), size: self.size, count })
    }

    /// Looks at a consumed value, as an application would.
    ///
    /// # Errors
    ///
    /// When it has not the size that the broker serves.
    pub fn look_at(&self, value: Option<&[u8]>) -> Result<(), Failure> {
        match value {
            Some([first, .., last]) if value.map(<[u8]>::len) == Some(self.size) => {
                std::hint::black_box((*first, *last));
                Ok(())
            }
            other => Err(format!("a value of {:?} bytes", other.map(<[u8]>::len)).into()),
        }
    }
}

/// The key of record `index` where records have one: 16 bytes.
#[must_use]
pub fn key(index: u64) -> String {
    format!("key-{:012}", index % 1_000_000)
}

/// The headers of a record that has some.
pub const HEADERS: [(&str, &str); 2] = [("trace", "0123456789abcdef"), ("source", "bench")];

/// Record values of one size.
#[derive(Debug, Clone, Copy)]
pub struct Payload {
    bytes: &'static [u8],
    size: usize,
    /// Values that there are.
    count: u64,
}

impl Payload {
    /// The value of record `index`; they repeat.
    #[must_use]
    pub fn value(&self, index: u64) -> &'static [u8] {
        let at = usize::try_from(index % self.count).unwrap_or(0) * self.size;
        &self.bytes[at..at + self.size]
    }
}

/// What the process had used at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    at: Instant,
    used: Rusage,
}

impl Usage {
    /// Now.
    ///
    /// # Errors
    ///
    /// When the kernel does not say.
    pub fn now() -> Result<Self, Failure> {
        Ok(Self { at: Instant::now(), used: getrusage(UsageWho::RUSAGE_SELF)? })
    }

    /// How often the process has given up its core by itself since `self`.
    ///
    /// # Errors
    ///
    /// As [`now`](Self::now).
    pub fn wakeups(&self) -> Result<f64, Failure> {
        let to = Self::now()?.used.voluntary_context_switches();
        Ok((to - self.used.voluntary_context_switches()) as f64)
    }

    /// Prints the line that every driver ends with: what was used since `self`.
    ///
    /// # Errors
    ///
    /// As [`now`](Self::now).
    pub fn report(&self, client: &str, version: &str, options: &Options) -> Result<(), Failure> {
        self.report_with(client, version, options, &[])
    }

    /// As [`report`](Self::report), with more figures, each by its name.
    ///
    /// # Errors
    ///
    /// As [`now`](Self::now).
    pub fn report_with(
        &self,
        client: &str,
        version: &str,
        options: &Options,
        figures: &[(&str, f64)],
    ) -> Result<(), Failure> {
        let to = Self::now()?;
        let figures: BTreeMap<&str, f64> = figures.iter().copied().collect();
        let line = json!({
            "client": client,
            "version": version,
            "records": options.records,
            "seconds": (to.at - self.at).as_secs_f64(),
            "user_ns": nanos(to.used.user_time()) - nanos(self.used.user_time()),
            "sys_ns": nanos(to.used.system_time()) - nanos(self.used.system_time()),
            "rss_kib": to.used.max_rss(),
            "voluntary_switches":
                to.used.voluntary_context_switches() - self.used.voluntary_context_switches(),
            "involuntary_switches":
                to.used.involuntary_context_switches() - self.used.involuntary_context_switches(),
            "figures": figures,
        });
        println!("{line}");
        Ok(())
    }
}

/// Says that all is set up: what the broker counts from here on is what is measured.
pub fn settled() {
    println!("settled");
}

fn nanos(time: TimeVal) -> i64 {
    time.tv_sec() * 1_000_000_000 + time.tv_usec() * 1_000
}

/// What a driver's `main` returns.
pub fn exit(client: &str, ended: Result<(), Failure>) -> ExitCode {
    let Err(error) = ended else { return ExitCode::SUCCESS };
    eprintln!("{client} driver: {error}");
    ExitCode::FAILURE
}
