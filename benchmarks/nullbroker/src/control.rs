//! How the runner talks with a broker that it started: a line each way.

use std::io::{self, BufRead, Write};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::counts::Counts;

/// What the counts are taken from.
pub trait Counting {
    /// What was done since the start or the last reset.
    fn counts(&self) -> Counts;

    /// Counts from zero again.
    fn reset(&self);
}

/// Says where the broker listens, and then obeys.
///
/// With `control`, lines on standard input are obeyed, `counts` and `reset`, each answered with the
/// counts so far, and their end is the broker's. Without, it ends when it is told to by a signal. The
/// last line is the counts either way.
///
/// # Errors
///
/// When nobody can be told.
pub async fn obey(address: &str, broker: &impl Counting, control: bool) -> io::Result<()> {
    say(&format!("ready {address}"))?;
    let mut lines = control.then(control_lines);
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            biased;
            line = next(&mut lines) => match line.as_deref() {
                Some("counts") => say_counts(broker)?,
                Some("reset") => {
                    say_counts(broker)?;
                    broker.reset();
                }
                Some(other) => eprintln!("`{other}` is neither `counts` nor `reset`"),
                None => break,
            },
            _ = terminate.recv() => break,
            interrupted = tokio::signal::ctrl_c() => break interrupted?,
        }
    }
    say_counts(broker)
}

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

fn say_counts(broker: &impl Counting) -> io::Result<()> {
    say(&serde_json::to_string(&broker.counts())?)
}

fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}
