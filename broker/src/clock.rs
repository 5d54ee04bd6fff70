//! The one place that reads a clock and spawns tasks.
//!
//! Time is tokio's, so a test with a paused clock moves sessions, retention and long polls together.
#![expect(clippy::disallowed_methods, reason = "the seam that the rule leaves open")]

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::world::Now;

/// Time since a cluster was started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    origin: Instant,
    /// Milliseconds since 1970 at the origin.
    epoch_ms: i64,
}

impl Clock {
    /// A clock that begins now; `epoch_ms` is the wall-clock time to begin at, if not the real one.
    pub(crate) fn start(epoch_ms: Option<i64>) -> Self {
        Self { origin: Instant::now(), epoch_ms: epoch_ms.unwrap_or_else(wall_ms) }
    }

    pub(crate) fn now(self) -> Now {
        let mono = self.origin.elapsed();
        let passed = i64::try_from(mono.as_millis()).unwrap_or(i64::MAX);
        Now { mono, wall_ms: self.epoch_ms.saturating_add(passed) }
    }

    /// Waits until a time since the start; for ever without one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    pub(crate) async fn sleep_until(self, at: Option<Duration>) {
        match at.and_then(|at| self.origin.checked_add(at)) {
            Some(at) => tokio::time::sleep_until(at).await,
            None => std::future::pending().await,
        }
    }
}

fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// A number that differs from run to run.
pub(crate) fn entropy() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// Runs a task beside its caller.
pub(crate) fn spawn<F>(task: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    tokio::spawn(task)
}

/// Runs what keeps a processor busy on a thread of its own, so that other tasks go on meanwhile;
/// `None` when it panicked or the runtime ends.
///
/// Not where time may be simulated: when a thread is done is nobody's to say.
///
/// # Cancel safety
///
/// Not cancel safe: the work goes on, and its result is lost.
pub(crate) async fn aside<R>(work: impl FnOnce() -> R + Send + 'static) -> Option<R>
where
    R: Send + 'static,
{
    tokio::task::spawn_blocking(work).await.ok()
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::aside;

    #[tokio::test]
    async fn work_that_is_done_aside_does_not_hold_up_its_thread() {
        let here = thread::current().id();
        assert_ne!(aside(|| thread::current().id()).await, Some(here));
    }
}
