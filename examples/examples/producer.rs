//! Lines from a file or standard input become records.
#![expect(clippy::print_stderr, reason = "this is a program")]

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clap::Parser;
use ottla::{Producer, Record};
use ottla_examples::{Cluster, Failure, end, stop_signal};
use tokio::sync::mpsc;

#[derive(Parser)]
#[command(about = "Sends lines to a topic, each as a record")]
struct Options {
    #[command(flatten)]
    cluster: Cluster,
    /// The topic to send to.
    #[arg(long)]
    topic: String,
    /// The file to read; standard input without it.
    #[arg(long)]
    file: Option<PathBuf>,
    /// What stands between key and value in a line; without it, lines are values.
    #[arg(long)]
    key_separator: Option<String>,
    /// Who must have a record before it counts as delivered: 0, 1 or all.
    #[arg(long)]
    acks: Option<String>,
    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long)]
    compression: Option<String>,
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    end(run(Options::parse()).await)
}

async fn run(mut options: Options) -> Result<(), Failure> {
    if let Some(acks) = &options.acks {
        options.cluster.set("acks", acks);
        // Without acknowledgements by all, nobody can tell a retry from a duplicate.
        if matches!(acks.as_str(), "0" | "1") {
            options.cluster.set("enable.idempotence", false);
        }
    }
    if let Some(compression) = &options.compression {
        options.cluster.set("compression.type", compression);
    }
    let kafka = options.cluster.connect(&[(&options.topic, 1)]).await?;
    let failed = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&failed);
    let builder = kafka.producer().on_failure(move |_record, error| {
        // The first one is told in full: the others have the same cause, mostly.
        if counter.fetch_add(1, Ordering::Relaxed) == 0 {
            eprintln!("error: {error}");
        }
    });
    let producer = builder.build().await?;
    let lines = lines(&options)?;
    let sent = tokio::select! {
        biased;
        () = stop_signal() => Ok(()),
        sent = send(&producer, &options, lines) => sent,
    };
    let report = producer.close(CLOSE).await?;
    let failed = producer.failed();
    eprintln!("{} delivered, {failed} failed", report.delivered);
    sent?;
    if failed > 0 { Err(Failure::new("not everything was delivered")) } else { Ok(()) }
}

/// A line, or why there are no more.
type Line = Result<String, Failure>;

/// The lines to send.
fn lines(options: &Options) -> Result<mpsc::Receiver<Line>, Failure> {
    let Some(file) = &options.file else {
        return Ok(read(io::stdin(), "standard input".into()));
    };
    let name = file.display().to_string();
    match File::open(file) {
        Ok(file) => Ok(read(file, name)),
        Err(error) => Err(Failure::new(format!("{name}: {error}"))),
    }
}

/// Reads lines on a thread of its own. A read of a terminal cannot be taken back, and tokio waits at
/// the end of a program for those that it began.
fn read(input: impl Read + Send + 'static, name: String) -> mpsc::Receiver<Line> {
    let (lines, receiver) = mpsc::channel(AHEAD);
    std::thread::spawn(move || {
        for line in BufReader::new(input).lines() {
            let line = line.map_err(|error| Failure::new(format!("{name}: {error}")));
            let is_last = line.is_err();
            if lines.blocking_send(line).is_err() || is_last {
                return;
            }
        }
    });
    receiver
}

/// Hands every line over; waits only when the producer's memory is full.
async fn send(
    producer: &Producer,
    options: &Options,
    mut lines: mpsc::Receiver<Line>,
) -> Result<(), Failure> {
    let (progress, mut count) = (io::stderr().is_terminal(), 0_u64);
    while let Some(line) = lines.recv().await {
        let record = record(&options.topic, line?, options.key_separator.as_deref());
        // What becomes of it is counted, and told by the hook.
        drop(producer.enqueue(record).await?);
        count += 1;
        if progress && count.is_multiple_of(10_000) {
            eprint!("\r{count} read");
        }
    }
    Ok(())
}

fn record(topic: &str, line: String, separator: Option<&str>) -> Record {
    match separator.and_then(|separator| line.split_once(separator)) {
        Some((key, value)) => Record::to(topic).key(key.to_owned()).value(value.to_owned()),
        None => Record::to(topic).value(line),
    }
}

/// How many lines are read ahead of the producer.
const AHEAD: usize = 1_000;

const CLOSE: Duration = Duration::from_secs(30);
