//! Records that are due at fixed times, whatever became of those before: what a slow answer delays
//! is counted as late as it is (no coordinated omission).

use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use crate::Failure;

/// When each record is due.
#[derive(Debug, Clone, Copy)]
pub struct Schedule {
    begins: Instant,
    /// Records in a second; 0 for all at once.
    rate: u64,
}

impl Schedule {
    /// Begins in a moment.
    #[must_use]
    pub fn begin(rate: u64) -> Self {
        Self { begins: Instant::now() + Duration::from_millis(1), rate }
    }

    /// When record `index` is due.
    #[must_use]
    pub fn due(&self, index: u64) -> Instant {
        let nanos = (index * 1_000_000_000).checked_div(self.rate).unwrap_or(0);
        self.begins + Duration::from_nanos(nanos)
    }

    /// Holds this thread up until record `index` is due, and returns when that was. The kernel's
    /// timer, which no runtime rounds.
    #[must_use]
    pub fn wait_for(&self, index: u64) -> Instant {
        let due = self.due(index);
        let left = due.saturating_duration_since(Instant::now());
        if !left.is_zero() {
            std::thread::sleep(left);
        }
        due
    }
}

/// Sends records on schedule, and awaits their acknowledgements in another task, in order: what most
/// applications of an asynchronous client do.
///
/// # Errors
///
/// The first of `send` or `acknowledge`.
pub async fn time_in_order<D, F>(
    rate: u64,
    count: u64,
    mut send: impl AsyncFnMut(u64) -> Result<D, Failure>,
    acknowledge: impl Fn(D) -> F + Send + 'static,
) -> Result<Latencies, Failure>
where
    D: Send + 'static,
    F: Future<Output = Result<(), Failure>> + Send,
{
    let (sent, mut unacknowledged) = mpsc::unbounded_channel();
    let waiter = tokio::spawn(async move {
        let mut latencies = Latencies::of(count);
        while let Some((delivery, due)) = unacknowledged.recv().await {
            acknowledge(delivery).await?;
            latencies.add(due);
        }
        Ok::<_, Failure>(latencies)
    });
    let schedule = Schedule::begin(rate);
    for index in 0..count {
        let due = schedule.wait_for(index);
        // Once the waiter has failed, it says why.
        if sent.send((send(index).await?, due)).is_err() {
            break;
        }
    }
    drop(sent);
    waiter.await?
}

/// How late each record was.
#[derive(Debug, Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Of so many records, for which there is room from the start.
    #[must_use]
    pub fn of(count: u64) -> Self {
        Self(Vec::with_capacity(usize::try_from(count).unwrap_or(0)))
    }

    /// A record that was due then is there now.
    pub fn add(&mut self, due: Instant) {
        self.0.push(due.elapsed());
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.0.len() as u64
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What half, 99 of a hundred, and 999 of a thousand stay below, in microseconds.
    #[must_use]
    pub fn figures(mut self) -> [(&'static str, f64); 3] {
        self.0.sort_unstable();
        let below = |share: f64| {
            let at = (self.0.len() as f64 * share) as usize;
            let latency = self.0.get(at.min(self.0.len().saturating_sub(1)));
            latency.map_or(0.0, |latency| latency.as_secs_f64() * 1e6)
        };
        [("p50_us", below(0.5)), ("p99_us", below(0.99)), ("p999_us", below(0.999))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_due_at_equal_distances() {
        let schedule = Schedule::begin(20_000);
        assert_eq!(schedule.due(20_000) - schedule.due(0), Duration::from_secs(1));
        assert_eq!(schedule.due(1) - schedule.due(0), Duration::from_micros(50));
    }

    #[test]
    fn half_of_the_records_are_below_the_median() {
        let latencies = Latencies((1..=100).map(Duration::from_micros).collect());
        let [(_, p50), (_, p99), (_, p999)] = latencies.figures();
        assert_eq!((p50.round(), p99.round(), p999.round()), (51.0, 100.0, 100.0));
    }
}
