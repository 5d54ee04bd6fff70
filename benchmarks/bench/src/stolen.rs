//! What the host took from this machine while something ran. A virtual machine whose neighbours are busy
//! measures them: so a run from which much was taken is made again, and the least disturbed one
//! counts. That is no choice among results, since what is taken knows nothing of clients.

use std::fs;

use crate::Failure;
use crate::measurement::Measurement;

/// What `run` measured when least was taken from it, in at most `tries`; less than [`LITTLE`] is good
/// enough.
pub fn least(
    tries: usize,
    mut share: impl FnMut() -> Share,
    mut run: impl FnMut() -> Result<Measurement, Failure>,
) -> Result<Measurement, Failure> {
    let mut best: Option<Measurement> = None;
    for _ in 0..tries {
        let before = share();
        let measured = run()?;
        let stolen = share().since(&before);
        if best.as_ref().is_none_or(|best| stolen < best.stolen) {
            best = Some(Measurement { stolen, ..measured });
        }
        if stolen <= LITTLE {
            break;
        }
    }
    best.ok_or_else(|| "there was not one try".into())
}

/// Of a run that is not made again.
const LITTLE: f64 = 0.1;

/// Ticks of all processors since this machine started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Share {
    stolen: u64,
    all: u64,
}

impl Share {
    /// Until now; nothing where the system does not tell.
    pub fn now() -> Self {
        fs::read_to_string("/proc/stat").ok().and_then(|text| Self::read(&text)).unwrap_or_default()
    }

    /// From the line `cpu  USER NICE SYSTEM IDLE IOWAIT IRQ SOFTIRQ STEAL GUEST …`; guests are in USER.
    fn read(text: &str) -> Option<Self> {
        let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
        let ticks: Vec<u64> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        Some(Self { stolen: *ticks.get(7)?, all: ticks.iter().take(8).sum() })
    }

    /// The share that was stolen of what passed since `before`.
    fn since(self, before: &Self) -> f64 {
        let all = self.all.saturating_sub(before.all).max(1);
        self.stolen.saturating_sub(before.stolen) as f64 / all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::measurement;

    #[test]
    fn what_is_stolen_is_the_eighth_number_and_guests_are_not_counted_twice() {
        let text = "cpu  10 1 5 70 2 1 1 10 4 0\ncpu0 5 0 2 35 1 0 0 5 2 0\n";
        assert_eq!(Share::read(text), Some(Share { stolen: 10, all: 100 }));
        assert_eq!(Share::read("intr 5\n"), None);
    }

    #[test]
    fn a_run_from_which_little_was_taken_is_not_made_again() {
        assert_eq!(tried(&[0.05, 0.01]), (1, 0.05));
    }

    #[test]
    fn of_disturbed_runs_the_least_disturbed_counts_however_dear_it_was() {
        assert_eq!(tried(&[0.5, 0.2, 0.4]), (3, 0.2));
        assert_eq!(tried(&[0.5, 0.6, 0.0]), (3, 0.0));
    }

    #[test]
    fn what_fails_is_not_tried_again() {
        let mut times = 0;
        let failing = || -> Result<Measurement, Failure> {
            times += 1;
            Err("no".into())
        };
        assert!(least(3, Share::default, failing).is_err());
        assert_eq!(times, 1);
    }

    /// How often it was tried, and what had been stolen from the one that counts.
    #[track_caller]
    fn tried(stolen: &[f64]) -> (usize, f64) {
        let mut clock = vec![Share::default()];
        for share in stolen {
            let last = clock[clock.len() - 1];
            let taken = (share * 100.0).round() as u64;
            clock.push(Share { stolen: last.stolen + taken, all: last.all + 100 });
        }
        let (mut reads, mut runs) = (0, 0);
        let share = || {
            reads += 1;
            // Each run has one reading before it and one behind it.
            clock[reads / 2]
        };
        let best = least(stolen.len(), share, || {
            runs += 1;
            Ok(measurement("a", "java", 0, f64::from(runs)))
        });
        (runs as usize, best.unwrap().stolen)
    }
}
