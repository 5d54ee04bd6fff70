//! Compares what was acknowledged with what is in the logs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ottla_core::error::Certainty;
use ottla_protocol::records::OwnedRecord;
use tokio::time::Instant;

use crate::load::{Outcome, Sent, number};

/// What a run has shown.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    sent: usize,
    acknowledged: usize,
    failed: usize,
    /// Acknowledged, and not in the log, or not at that offset.
    lost: usize,
    /// In the log again.
    duplicated: usize,
    /// In the log behind one that was sent later.
    reordered: usize,
    /// In the log, although the error said that it was not written.
    denied: usize,
    /// By partition that lost its leader: from the new leader being known to acknowledgements.
    recovery: BTreeMap<i32, Option<Duration>>,
    /// From the fault to the first new leader being known.
    election: Option<Duration>,
    /// The longest time in which a partition had no acknowledgement.
    longest_gap: Duration,
}

impl Verdict {
    /// `lost` are the partitions that the hurt broker led, `elected` says when each had another
    /// leader.
    pub(crate) fn new(
        sent: &[Vec<Sent>],
        logs: &[Vec<OwnedRecord>],
        lost: &[i32],
        elected: &BTreeMap<i32, Instant>,
        began: Instant,
    ) -> Self {
        let mut verdict = Self::default();
        for (index, (sent, log)) in (0..).zip(sent.iter().zip(logs)) {
            verdict.compare(sent, log);
            verdict.longest_gap = verdict.longest_gap.max(longest_gap(sent));
            if lost.contains(&index) {
                let new_leader = elected.get(&index);
                let flows = new_leader.and_then(|at| first_after(sent, *at));
                verdict.recovery.insert(index, flows);
            }
        }
        let elections = lost.iter().filter_map(|index| elected.get(index));
        verdict.election = elections.min().map(|at| at.duration_since(began));
        verdict
    }

    /// Whether no promise was broken.
    pub(crate) fn is_clean(&self) -> bool {
        self.lost + self.duplicated + self.reordered + self.denied == 0
    }

    fn compare(&mut self, sent: &[Sent], log: &[OwnedRecord]) {
        let mut places: BTreeMap<usize, i64> = BTreeMap::new();
        let mut newest = 0;
        for record in log {
            let number = number(record.value().expect("every record has a value"));
            if places.insert(number, record.offset()).is_some() {
                self.duplicated += 1;
            } else if number < newest {
                self.reordered += 1;
            }
            newest = newest.max(number);
        }
        self.sent += sent.len();
        for (number, sent) in sent.iter().enumerate() {
            let place = places.get(&number).copied();
            match sent.outcome {
                Outcome::Acknowledged { offset } => {
                    self.acknowledged += 1;
                    let there = place.is_some() && (offset.is_none() || offset == place);
                    self.lost += usize::from(!there);
                }
                Outcome::Failed(certainty) => {
                    self.failed += 1;
                    let denied = certainty == Certainty::NotWritten && place.is_some();
                    self.denied += usize::from(denied);
                }
            }
        }
    }

    /// The middle and the worst of the recoveries; `None` where there was none.
    fn recoveries(&self) -> Option<(Duration, Duration)> {
        let mut all = self.recovery.values().copied().collect::<Option<Vec<Duration>>>()?;
        all.sort_unstable();
        Some((*all.get(all.len() / 2)?, *all.last()?))
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, acknowledged, failed, lost, duplicated, reordered, denied, .. } = self;
        write!(
            f,
            "{sent} sent, {acknowledged} acknowledged, {failed} failed; {lost} lost, \
             {duplicated} duplicated, {reordered} reordered, {denied} wrongly said unwritten; "
        )?;
        match self.election {
            Some(election) => write!(f, "new leader after {:.2} s", election.as_secs_f64())?,
            None => write!(f, "no new leader")?,
        }
        match self.recoveries() {
            Some((middle, worst)) => write!(
                f,
                ", acknowledgements {:.2} s after it (median of {}), {:.2} s at most",
                middle.as_secs_f64(),
                self.recovery.len(),
                worst.as_secs_f64()
            )?,
            None => write!(f, ", no acknowledgements after it")?,
        }
        write!(f, "; longest gap {:.2} s", self.longest_gap.as_secs_f64())
    }
}

fn acknowledgements(sent: &[Sent]) -> impl Iterator<Item = Instant> {
    let acknowledged = |sent: &&Sent| matches!(sent.outcome, Outcome::Acknowledged { .. });
    sent.iter().filter(acknowledged).map(|sent| sent.at)
}

fn first_after(sent: &[Sent], at: Instant) -> Option<Duration> {
    acknowledgements(sent).find(|acknowledged| *acknowledged >= at).map(|found| found - at)
}

fn longest_gap(sent: &[Sent]) -> Duration {
    let all: Vec<Instant> = acknowledgements(sent).collect();
    let gaps = all.windows(2).map(|pair| pair[1].duration_since(pair[0]));
    gaps.max().unwrap_or_default()
}
