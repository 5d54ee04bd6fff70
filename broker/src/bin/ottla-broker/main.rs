//! The reference broker as a program; `--help` says what it takes.

mod args;

use std::io::{self, Write};
use std::process::ExitCode;

use args::{Ask, HELP};
use ottla_broker::cluster::{ClusterBuilder, StartError};

fn main() -> ExitCode {
    let ended = match args::parse(std::env::args().skip(1)) {
        Ok(Ask::Help) => say(HELP),
        Ok(Ask::Version) => say(concat!("ottla-broker ", env!("CARGO_PKG_VERSION"), "\n")),
        Ok(Ask::Run { cluster, print_ready }) => run(*cluster, print_ready),
        Err(error) => return fail(2, &error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let bad_flags = matches!(
                error.downcast_ref(),
                Some(StartError::Config(_) | StartError::Topic { .. } | StartError::Ports { .. })
            );
            fail(if bad_flags { 2 } else { 1 }, &*error)
        }
    }
}

type Failure = Box<dyn std::error::Error>;

fn run(cluster: ClusterBuilder, print_ready: bool) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let cluster = cluster.start().await?;
        if print_ready {
            say(&format!("ready {}\n", cluster.bootstrap().join(",")))?;
        }
        Ok(until_told_to_stop().await?)
    })
}

#[cfg(unix)]
async fn until_told_to_stop() -> io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        biased;
        _ = terminate.recv() => Ok(()),
        interrupted = tokio::signal::ctrl_c() => interrupted,
    }
}

#[cfg(not(unix))]
async fn until_told_to_stop() -> io::Result<()> {
    tokio::signal::ctrl_c().await
}

fn say(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}

/// One line on standard error, the causes behind the error.
fn fail(code: u8, error: &(dyn std::error::Error + 'static)) -> ExitCode {
    let mut line = format!("ottla-broker: {error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    // Nobody is left to tell when this fails.
    drop(writeln!(io::stderr(), "{line}"));
    ExitCode::from(code)
}
