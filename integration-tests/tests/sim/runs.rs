//! Seeds, and how each is run.

use std::future::Future;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::history::History;

/// Runs every seed of the suite, whatever becomes of those before, and ends the test where some
/// fell.
#[track_caller]
pub(crate) fn each_holds<R: Future>(run: impl Fn(u64) -> R) {
    let falls = |seed: &u64| catch_unwind(AssertUnwindSafe(|| simulate(run(*seed)))).is_err();
    let fell: Vec<u64> = seeds().filter(falls).collect();
    assert!(fell.is_empty(), "{} seeds fell: {fell:?}", fell.len());
}

/// Runs a tenth of the suite's seeds twice, three of them at least: each has the same history again,
/// byte for byte.
#[track_caller]
pub(crate) fn each_replays<R: Future<Output = History>>(run: impl Fn(u64) -> R) {
    let Range { start, end } = seeds();
    for seed in start..end.min(start + ((end - start) / 10).max(3)) {
        let (one, other) = (simulate(run(seed)), simulate(run(seed)));
        assert_eq!(one.first_difference(&other), None, "seed {seed}");
    }
}

/// Runs one seed on a runtime of its own, whose time is paused.
pub(crate) fn simulate<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(run)
}

/// Plays a run, which must come to its end (L1): on paused time, a future that is never resolved
/// would otherwise let timers tick for ever.
pub(crate) fn in_time<T>(seed: u64, run: impl Future<Output = T>) -> impl Future<Output = T> {
    // Boxed, because it is large.
    let done = tokio::time::timeout(Duration::from_secs(1_800), Box::pin(run));
    async move { done.await.unwrap_or_else(|_| panic!("seed {seed} broke L1: the run has no end")) }
}

/// The seeds of a suite: `SIM_SEED` alone; or `SIM_SEEDS`, which is how many from 0, or a range such
/// as `500..1000`; or 20.
fn seeds() -> Range<u64> {
    let number = |text: &str| text.parse::<u64>().unwrap_or_else(|_| panic!("`{text}`: no seed"));
    if let Ok(seed) = std::env::var("SIM_SEED") {
        let seed = number(&seed);
        return seed..seed + 1;
    }
    let seeds = std::env::var("SIM_SEEDS").unwrap_or_else(|_| "20".to_owned());
    match seeds.split_once("..") {
        Some((start, end)) => number(start)..number(end),
        None => 0..number(&seeds),
    }
}
