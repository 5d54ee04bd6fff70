//! What a run showed, in figures.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What one run of one driver showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    pub case: String,
    pub client: String,
    pub round: usize,
    pub driver: Report,
    pub broker: Counts,
    /// Records that went through: those measured and those that warmed up.
    pub passed: u64,
    /// Share of one core that the broker used; near 1, the broker is what was measured. 0 where it
    /// is not ours to watch.
    pub broker_busy: f64,
    /// Share of the machine's processor time that its host took away meanwhile.
    #[serde(default)]
    pub stolen: f64,
    /// The client's system calls for each batch, where they were counted: in a run of its own.
    pub system_calls_per_batch: Option<f64>,
}

impl Measurement {
    pub fn cpu_ns_per_record(&self) -> f64 {
        (self.driver.user_ns + self.driver.sys_ns) as f64 / self.driver.records as f64
    }

    pub fn user_ns_per_record(&self) -> f64 {
        self.driver.user_ns as f64 / self.driver.records as f64
    }

    pub fn sys_ns_per_record(&self) -> f64 {
        self.driver.sys_ns as f64 / self.driver.records as f64
    }

    pub fn records_per_second(&self) -> f64 {
        self.driver.records as f64 / self.driver.seconds
    }

    pub fn switches_per_thousand(&self) -> f64 {
        let switches = self.driver.voluntary_switches + self.driver.involuntary_switches;
        switches as f64 * 1_000.0 / self.driver.records as f64
    }

    /// Of whichever direction there was.
    pub fn records_per_batch(&self) -> f64 {
        let Counts { produced, fetched, .. } = &self.broker;
        match produced.batches + fetched.batches {
            0 => 0.0,
            batches => (produced.records + fetched.records) as f64 / batches as f64,
        }
    }

    /// Records fetched for each that the application got, prefetched ones at the end included.
    pub fn fetched_per_delivered(&self) -> f64 {
        self.broker.fetched.records as f64 / self.passed as f64
    }
}

/// The line of JSON that every driver prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub version: String,
    pub records: u64,
    pub seconds: f64,
    pub user_ns: u64,
    pub sys_ns: u64,
    pub rss_kib: u64,
    pub voluntary_switches: u64,
    pub involuntary_switches: u64,
    /// What else a case asks for, by name; the unit is the name's end.
    #[serde(default)]
    pub figures: BTreeMap<String, f64>,
}

/// What the broker counted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Of any API.
    #[serde(default)]
    pub requests: u64,
    pub produced: Flow,
    pub fetched: Flow,
}

/// One direction of [`Counts`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    pub requests: u64,
    pub batches: u64,
    pub records: u64,
    pub bytes: u64,
}
