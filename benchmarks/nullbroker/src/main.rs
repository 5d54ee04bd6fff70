//! The null broker as a program.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use nullbroker::control::{self, Counting};
use nullbroker::{Broker, CannedLog, Config, Counts, Payload, Trouble, Versions, net};
use ottla_protocol::compression::Compression;
use tokio::net::TcpListener;

/// A broker that costs next to nothing, to measure clients with.
///
/// Prints `ready HOST:PORT`, and one line of JSON with its counts when it ends.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// Partitions of every topic
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Record values that are served to consumers, all of --size bytes; without it, repeated text
    #[arg(long)]
    payload: Option<PathBuf>,
    /// Bytes of each record value
    #[arg(long, default_value_t = 100)]
    size: usize,
    /// Codec of the batches that are served
    #[arg(long, default_value = "none")]
    codec: String,
    /// Bytes of the batches that are served, before compression
    #[arg(long, default_value_t = 256 << 10)]
    batch_bytes: usize,
    /// Records in each partition; without it, the log has no end
    #[arg(long, default_value_t = i64::MAX / 2)]
    log_records: i64,
    /// Serve records with a key of 16 bytes and two headers
    #[arg(long)]
    keyed: bool,
    /// Milliseconds by which answers to Produce and Fetch are held back
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Bytes of requests that are answered in a second
    #[arg(long)]
    bytes_per_second: Option<u64>,
    /// Seconds that the broker lives before it is dead, from the first request on
    #[arg(long, default_value_t = 0.0)]
    dead_after: f64,
    /// Seconds for which it is dead then
    #[arg(long, default_value_t = 0.0)]
    dead_for: f64,
    /// Verify the checksum of every produced batch
    #[arg(long)]
    verify: bool,
    /// Serve Kafka's newest versions, with topic ids, instead of those that every client knows
    #[arg(long)]
    newest: bool,
    /// Do not sleep between requests: sending to the broker costs a client no wake-up then
    #[arg(long)]
    awake: bool,
    /// Obey lines on standard input, `counts` and `reset`, each answered with the counts so far; end
    /// with it
    #[arg(long)]
    control: bool,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nullbroker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread: the runner gives it one core.
#[tokio::main(flavor = "current_thread")]
async fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(&arguments.listen).await?;
    let address = listener.local_addr()?;
    let log = CannedLog::encode(
        &payload(arguments.payload.as_deref(), arguments.size)?.keyed(arguments.keyed),
        arguments.codec.parse::<Compression>()?,
        arguments.batch_bytes,
        arguments.log_records,
    )?;
    let broker = Arc::new(Mutex::new(Broker::new(Config {
        host: address.ip().to_string().into(),
        port: address.port(),
        partitions: arguments.partitions,
        versions: if arguments.newest { Versions::Newest } else { Versions::Common },
        delay: Duration::from_millis(arguments.delay_ms),
        verify: arguments.verify,
        log,
        trouble: Trouble {
            bytes_per_second: arguments.bytes_per_second,
            dead_after: Duration::from_secs_f64(arguments.dead_after),
            dead_for: Duration::from_secs_f64(arguments.dead_for),
        },
    })));
    if arguments.awake {
        tokio::spawn(net::stay_awake(Arc::clone(&broker)));
    }
    let served = net::serve(listener, Arc::clone(&broker));
    let (address, told) = (address.to_string(), Told(broker));
    tokio::select! {
        biased;
        ended = served => ended?,
        ended = control::obey(&address, &told, arguments.control) => ended?,
    }
    Ok(())
}

/// What the runner asks about.
struct Told(net::Shared);

impl Counting for Told {
    fn counts(&self) -> Counts {
        net::lock(&self.0).counts()
    }

    fn reset(&self) {
        net::lock(&self.0).reset();
    }
}

fn payload(file: Option<&Path>, size: usize) -> Result<Payload, Box<dyn Error>> {
    let bytes = match file {
        Some(file) => {
            std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?
        }
        None => TEXT.iter().copied().cycle().take(size * 4_096).collect(),
    };
    Ok(Payload::new(bytes, size)?)
}

const TEXT: &[u8] = b"{\"user\":\"anna\",\"action\":\"view\",\"item\":4711},";
