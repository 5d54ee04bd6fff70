//! The null broker as a program.

use std::error::Error;
use std::io::{self, BufRead, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use nullbroker::{Broker, CannedLog, Config, Payload, Versions, net};
use ottla_protocol::compression::Compression;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

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
    /// Milliseconds by which answers to Produce and Fetch are held back
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Verify the checksum of every produced batch
    #[arg(long)]
    verify: bool,
    /// Serve Kafka's newest versions, with topic ids, instead of those that every client knows
    #[arg(long)]
    newest: bool,
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
        &payload(arguments.payload.as_deref(), arguments.size)?,
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
    })));
    say(&format!("ready {address}"))?;
    let mut lines = arguments.control.then(control_lines);
    let served = net::serve(listener, Arc::clone(&broker));
    tokio::pin!(served);
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            ended = &mut served => ended?,
            line = next(&mut lines) => match line.as_deref() {
                Some("counts") => say_counts(&broker)?,
                Some("reset") => {
                    say_counts(&broker)?;
                    net::lock(&broker).reset();
                }
                Some(other) => eprintln!("nullbroker: `{other}` is neither `counts` nor `reset`"),
                None => break,
            },
            _ = terminate.recv() => break,
            interrupted = tokio::signal::ctrl_c() => break interrupted?,
        }
    }
    Ok(say_counts(&broker)?)
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

/// Standard input, line by line; its end is the channel's.
fn control_lines() -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel(1);
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if sender.blocking_send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// The next line; `None` when there will be none. Without control, there is never an end.
async fn next(lines: &mut Option<mpsc::Receiver<String>>) -> Option<String> {
    match lines {
        Some(lines) => lines.recv().await,
        None => std::future::pending().await,
    }
}

fn say_counts(broker: &net::Shared) -> io::Result<()> {
    let counts = net::lock(broker).counts();
    say(&serde_json::to_string(&counts)?)
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
