//! How a program is asked to end.
#![expect(clippy::print_stderr, reason = "these are programs")]

use std::future::{Future, pending};
use std::io;

use tokio::sync::oneshot;

/// Begins to heed Ctrl-C and SIGTERM. What it returns is ready once the first of them came: then the
/// program ends in its own time. The second one ends it at once, whatever it waits for.
///
/// # Cancel safety
///
/// Cancel safe: the signals are heeded until the program has ended.
pub fn stop_signal() -> impl Future<Output = ()> {
    let (tell, told) = oneshot::channel();
    // From here on no signal is lost, whenever the task gets to run.
    if let Ok(signals) = Signals::listen() {
        #[expect(clippy::disallowed_methods, reason = "a program may have a task of its own")]
        drop(tokio::spawn(heed(signals, tell)));
    }
    async {
        // Without a handler, a signal ends the process as it ends any other.
        if told.await.is_err() {
            pending::<()>().await;
        }
    }
}

async fn heed(mut signals: Signals, tell: oneshot::Sender<()>) {
    signals.next().await;
    eprintln!("stopping; a second signal ends it at once");
    // A program that does not wait for it any more is about to end.
    let _closed = tell.send(());
    std::process::exit(signals.next().await);
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self { interrupt, terminate: signal(SignalKind::terminate())? })
    }

    /// Waits for one; gives the exit code of who is ended by it: 128 and its number.
    async fn next(&mut self) -> i32 {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => 130,
            _ = self.terminate.recv() => 143,
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> i32 {
        match tokio::signal::ctrl_c().await {
            Ok(()) => 130,
            Err(_) => pending().await,
        }
    }
}
