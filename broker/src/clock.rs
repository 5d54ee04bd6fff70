//! The one place that reads a clock and spawns tasks.
//!
//! Time is tokio's, so a test with a paused clock moves sessions, retention and long polls together.
#![expect(clippy::disallowed_methods, reason = "the seam that the rule leaves open")]

use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::Semaphore;
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

/// Runs what keeps a processor busy on a thread of its own, so that other tasks go on meanwhile,
/// once one of `turns` is free; `None` when it panicked or the runtime ends.
///
/// Not where time may be simulated: when a thread is done is nobody's to say.
///
/// # Cancel safety
///
/// Not cancel safe: work that has begun goes on, and its result is lost.
pub(crate) async fn aside<R>(
    turns: Arc<Semaphore>,
    work: impl FnOnce() -> R + Send + 'static,
) -> Option<R>
where
    R: Send + 'static,
{
    let turn = turns.acquire_owned().await.ok()?;
    let work = move || {
        let done = work();
        drop(turn);
        done
    };
    tokio::task::spawn_blocking(work).await.ok()
}

/// As many turns as there are processors.
pub(crate) fn turns() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(available_parallelism().map_or(1, NonZero::get)))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn work_that_is_done_aside_does_not_hold_up_its_thread() {
        let here = thread::current().id();
        assert_ne!(aside(turns(), || thread::current().id()).await, Some(here));
    }

    #[tokio::test]
    async fn work_waits_for_its_turn() {
        let (turns, is_done) = (Arc::new(Semaphore::new(1)), Arc::new(AtomicBool::new(false)));
        let (go, gone) = mpsc::channel::<()>();
        let first = {
            let is_done = Arc::clone(&is_done);
            aside(Arc::clone(&turns), move || {
                gone.recv().unwrap();
                is_done.store(true, Ordering::SeqCst);
            })
        };
        let second = aside(turns, move || is_done.load(Ordering::SeqCst));
        // Both are polled before the first may end.
        let (_, was_done, ()) = tokio::join!(biased; first, second, async { go.send(()).unwrap() });
        assert_eq!(was_done, Some(true));
    }

    #[tokio::test]
    async fn a_panic_gives_its_turn_back() {
        let turns = Arc::new(Semaphore::new(1));
        let failed: Option<()> = aside(Arc::clone(&turns), || panic!("as it may")).await;
        assert_eq!((failed, turns.available_permits()), (None, 1));
    }
}
