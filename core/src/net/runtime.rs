//! The one place that reads clocks, draws random numbers and spawns tasks.
//!
//! Time is tokio's, so a test or a simulation with a paused clock moves every timeout together.
#![expect(clippy::disallowed_methods, reason = "the seam that the rule leaves open")]

use std::fmt;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use super::dial::{BoxStream, Dialer, Stream, tcp};
use crate::types::HostPort;

/// Clocks, randomness, tasks and sockets, as a client sees them. Cheap to clone.
#[derive(Clone)]
pub struct Runtime(Arc<Inner>);

struct Inner {
    dialer: Option<Dialer>,
    wall_clock: WallClock,
    /// What computing takes at most of a virtual clock's time.
    computing: Duration,
    random: AtomicU64,
    /// Where tasks are spawned, so that a call from a thread outside of tokio can start one.
    handle: OnceLock<Handle>,
}

enum WallClock {
    System,
    /// Tokio's time since an origin, so that it stands still when tokio's does.
    Virtual {
        origin: tokio::time::Instant,
        epoch_ms: i64,
    },
}

impl Runtime {
    /// The real thing: TCP, the system's clock, a random seed.
    #[must_use]
    pub fn tokio() -> Self {
        Self::builder().build()
    }

    /// A runtime with some parts replaced, for tests and simulations.
    #[must_use]
    pub fn builder() -> RuntimeBuilder {
        RuntimeBuilder { dialer: None, epoch_ms: None, computing: Duration::ZERO, seed: None }
    }

    /// The time to measure with.
    #[must_use]
    pub fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }

    /// Milliseconds since 1970, to stamp records with; exact to a few milliseconds, because the
    /// exact clock costs six times as much.
    #[must_use]
    pub fn wall_clock_ms(&self) -> i64 {
        match self.0.wall_clock {
            WallClock::System => coarse_ms(),
            WallClock::Virtual { origin, epoch_ms } => {
                let passed = i64::try_from(origin.elapsed().as_millis()).unwrap_or(i64::MAX);
                epoch_ms.saturating_add(passed)
            }
        }
    }

    /// A random number: jitter, sticky partitions. Not for secrets.
    #[must_use]
    pub fn random(&self) -> u64 {
        // SplitMix64: any state is a good one, so an atomic counter is all it takes.
        let mut mixed = self.0.random.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Waits until `at`; for ever without one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    pub async fn sleep_until(&self, at: Option<Instant>) {
        match at {
            Some(at) => tokio::time::sleep_until(at.into()).await,
            None => std::future::pending().await,
        }
    }

    /// Waits for `delay`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    pub async fn sleep(&self, delay: Duration) {
        tokio::time::sleep(delay).await;
    }

    /// Runs `future` beside its caller. `name` says what it is in logs.
    pub fn spawn<F>(&self, name: &'static str, future: F) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        tracing::trace!(task = name, "spawn");
        let handle = match self.0.handle.get() {
            Some(handle) => handle.spawn(future),
            None => tokio::spawn(future),
        };
        Task { name, handle }
    }

    /// Does what `next` gives, one piece after the other until it gives none, on a thread where that
    /// may take its time: milliseconds of computing, such as slow codecs take.
    ///
    /// With a virtual clock a simulation must not depend on how threads are scheduled: each piece is
    /// done at once, or by a task, after the time that [`RuntimeBuilder::computing_takes`] allows it.
    pub fn compute<W>(&self, mut next: impl FnMut() -> Option<W> + Send + 'static)
    where
        W: FnOnce() + Send + 'static,
    {
        let is_virtual = matches!(self.0.wall_clock, WallClock::Virtual { .. });
        if is_virtual && !self.0.computing.is_zero() {
            let runtime = self.clone();
            self.spawn("compute", async move {
                while let Some(work) = next() {
                    runtime.sleep(runtime.part_of(runtime.0.computing)).await;
                    work();
                }
            });
            return;
        }
        let all = move || std::iter::from_fn(next).for_each(|work| work());
        if is_virtual {
            return all();
        }
        drop(match self.0.handle.get() {
            Some(handle) => handle.spawn_blocking(all),
            None => tokio::task::spawn_blocking(all),
        });
    }

    /// A random part of a time, in milliseconds.
    fn part_of(&self, most: Duration) -> Duration {
        let millis = u64::try_from(most.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.random() % millis.saturating_add(1))
    }

    /// Remembers the tokio runtime of the caller: tasks are spawned there from now on.
    pub(super) fn settle(&self) {
        if let Ok(handle) = Handle::try_current() {
            // Whoever came first decides; they are the same unless somebody has two runtimes.
            drop(self.0.handle.set(handle));
        }
    }

    pub(super) fn dialer(&self) -> Dialer {
        self.0.dialer.clone().unwrap_or_else(|| tcp(super::dial::SocketOptions::default()))
    }

    pub(super) fn has_own_dialer(&self) -> bool {
        self.0.dialer.is_some()
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}

/// A [`Runtime`] in the making.
pub struct RuntimeBuilder {
    dialer: Option<Dialer>,
    epoch_ms: Option<i64>,
    computing: Duration,
    seed: Option<u64>,
}

impl RuntimeBuilder {
    /// Makes connections by `dialer` instead of TCP.
    #[must_use]
    pub fn dialer(mut self, dialer: Dialer) -> Self {
        self.dialer = Some(dialer);
        self
    }

    /// Makes connections by `dial` instead of TCP; as [`dialer`](Self::dialer), without the boxes.
    #[must_use]
    pub fn dial_with<F, S>(self, dial: impl Fn(HostPort) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = io::Result<S>> + Send + 'static,
        S: Stream + 'static,
    {
        self.dialer(Arc::new(move |address| {
            let connection = dial(address);
            Box::pin(async move { Ok(Box::new(connection.await?) as BoxStream) })
        }))
    }

    /// Lets the wall clock begin at `epoch_ms` milliseconds since 1970, and move with tokio's time.
    #[must_use]
    pub fn wall_clock(mut self, epoch_ms: i64) -> Self {
        self.epoch_ms = Some(epoch_ms);
        self
    }

    /// Lets each piece of what [`Runtime::compute`] does take up to `most` of the virtual clock's time,
    /// as the seed draws it. Several go on at a time, and the later may end before the earlier.
    #[must_use]
    pub fn computing_takes(mut self, most: Duration) -> Self {
        self.computing = most;
        self
    }

    /// Draws the same random numbers each time.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The runtime.
    #[must_use]
    pub fn build(self) -> Runtime {
        let Self { dialer, epoch_ms, computing, seed } = self;
        let origin = tokio::time::Instant::now();
        let wall_clock =
            epoch_ms.map_or(WallClock::System, |epoch_ms| WallClock::Virtual { origin, epoch_ms });
        let seed = seed.unwrap_or_else(|| RandomState::new().build_hasher().finish());
        let random = AtomicU64::new(seed);
        let handle = OnceLock::new();
        Runtime(Arc::new(Inner { dialer, wall_clock, computing, random, handle }))
    }
}

impl fmt::Debug for RuntimeBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RuntimeBuilder")
    }
}

/// A task that runs beside its owner. Dropping it changes nothing: the task goes on.
#[derive(Debug)]
pub struct Task {
    name: &'static str,
    handle: JoinHandle<()>,
}

impl Task {
    /// Ends the task where it waits.
    pub fn stop(&self) {
        self.handle.abort();
    }

    /// Waits for the task to end.
    ///
    /// # Cancel safety
    ///
    /// Not cancel safe, as it takes the task: it goes on unobserved.
    pub async fn join(self) {
        if let Err(error) = self.handle.await
            && error.is_panic()
        {
            tracing::error!(task = self.name, "a task of the client panicked; please report this");
        }
    }
}

#[cfg(target_os = "linux")]
fn coarse_ms() -> i64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000)
}

#[cfg(not(target_os = "linux"))]
fn coarse_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_virtual_wall_clock_moves_with_tokio() {
        let runtime = Runtime::builder().wall_clock(1_000).build();
        assert_eq!(runtime.wall_clock_ms(), 1_000);
        runtime.sleep(Duration::from_millis(70)).await;
        assert_eq!(runtime.wall_clock_ms(), 1_070);
    }

    #[tokio::test]
    async fn a_seed_draws_the_same_numbers() {
        let draw = |seed| {
            let runtime = Runtime::builder().seed(seed).build();
            [runtime.random(), runtime.random(), runtime.random()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[tokio::test]
    async fn the_coarse_clock_is_that_of_the_system() {
        let exact = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let coarse = Runtime::tokio().wall_clock_ms();
        assert!((i64::try_from(exact.as_millis()).unwrap() - coarse).abs() < 1_000);
    }
}
