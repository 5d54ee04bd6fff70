//! What went through.

use serde::{Deserialize, Serialize};

/// What a broker has done since it started, or since its counts were last reset.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Connections accepted.
    pub connections: u64,
    /// Requests of any API.
    pub requests: u64,
    /// What clients wrote.
    pub produced: Flow,
    /// What clients read.
    pub fetched: Flow,
}

/// Records in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Produce or Fetch requests.
    pub requests: u64,
    /// Record batches.
    pub batches: u64,
    /// Records, as the headers of their batches count them.
    pub records: u64,
    /// Bytes of record batches, headers included, compressed where they are.
    pub bytes: u64,
}

impl Flow {
    pub(crate) fn add_batch(&mut self, records: u64, bytes: u64) {
        self.batches += 1;
        self.records += records;
        self.bytes += bytes;
    }
}
