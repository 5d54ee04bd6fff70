//! What is measured.

mod list;
mod op;

use std::fmt;

pub use list::{all, gated, kafka, quick, rest};
pub use op::{Op, Site};

/// One line of the results, of which every client has a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Case {
    pub op: Op,
    /// Bytes of each record value.
    pub size: usize,
    pub codec: &'static str,
    pub partitions: u32,
    pub batch_bytes: usize,
    /// Milliseconds by which the broker holds its answers back.
    pub delay_ms: u64,
    /// Whether every record has a key of 16 bytes and two headers.
    pub keyed: bool,
    /// Records in a second, by a schedule that waits for nobody; 0 for as many as there can be.
    pub rate: u64,
    /// Records of each transaction; 0 where there are none.
    pub transaction: u64,
    /// Clients in one process.
    pub clients: u64,
    pub site: Site,
}

impl Case {
    pub(super) const fn new(op: Op, size: usize, codec: &'static str, partitions: u32) -> Self {
        Self {
            op,
            size,
            codec,
            partitions,
            batch_bytes: BATCH_BYTES,
            delay_ms: 0,
            keyed: false,
            rate: 0,
            transaction: 0,
            clients: 1,
            site: op.site(),
        }
    }

    /// Records that every client is measured over: one to some seconds of work.
    pub fn records(&self) -> u64 {
        // Reading costs less than writing, and what is fetched ahead at either end must not matter.
        let at_100_bytes = match (self.op, self.codec) {
            // A schedule runs for five seconds.
            (Op::Latency | Op::EndToEnd, _) if self.rate != 0 => return 5 * self.rate,
            (Op::EndToEnd, _) => return 500_000,
            (Op::Transaction, _) => return 1_000 * self.transaction.min(500),
            (Op::ColdProduce | Op::ColdConsume, _) => return 1,
            // What is measured there is time, not records.
            (Op::IdleClients | Op::IdlePartitions | Op::Overload | Op::Stall, _) => return 1,
            (Op::Produce | Op::Latency, "none") => 5_000_000,
            (Op::Produce | Op::Latency, "lz4" | "snappy") => 3_000_000,
            (Op::Produce | Op::Latency, "zstd") => 2_000_000,
            (Op::Produce | Op::Latency, _) => 500_000,
            (Op::Consume, "none") => 10_000_000,
            (Op::Consume, "lz4" | "snappy") => 8_000_000,
            (Op::Consume, "zstd") => 5_000_000,
            (Op::Consume, _) => 4_000_000,
        };
        let by_size = if self.size > 512 { at_100_bytes / 5 } else { at_100_bytes };
        // Small batches cost more each, and a delayed answer costs time.
        if self.partitions >= 1_000 { by_size / 5 } else { by_size }
    }

    /// Rounds in which it is worth measuring: what is watched for minutes, and is not a time, once; and
    /// so what some clients need minutes for.
    pub fn most_rounds(&self) -> usize {
        if self.op.is_watched() || self.partitions >= 10_000 { 1 } else { usize::MAX }
    }

    /// Records before those, which are not counted. A JVM compiles what it has seen often.
    pub fn warmup(&self, jvm: bool) -> u64 {
        match (jvm, self.op, self.codec) {
            (_, op, _) if op.records_are_fixed() => 0,
            (_, Op::Transaction, _) => self.records() / if jvm { 2 } else { 10 },
            (true, Op::Latency | Op::EndToEnd, _) => self.records(),
            (false, ..) => self.records() / 10,
            (true, _, "gzip") => 300_000,
            // Otherwise the warming up would take many minutes.
            (true, ..) if self.partitions >= 1_000 => 600_000,
            (true, ..) => 3_000_000,
        }
    }

    /// Seconds of what is measured by the clock.
    pub fn seconds(&self, quick: bool) -> u64 {
        match quick {
            true => 2,
            false => IDLE_SECONDS,
        }
    }

    /// What `--linger-ms` is: latency is not asked of who waits, and a thousand batches that are
    /// filled in turns take longer to be full than one.
    pub fn linger_ms(&self) -> u64 {
        let latency = matches!(self.op, Op::Latency | Op::ColdProduce)
            || (self.op == Op::EndToEnd && self.rate != 0);
        match (latency, self.partitions) {
            (true, _) => 0,
            (false, ..1_000) => 5,
            (false, _) => 200,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            op,
            size,
            codec,
            partitions,
            batch_bytes,
            delay_ms,
            keyed,
            rate,
            transaction,
            clients,
            site,
        } = self;
        write!(f, "{}", op.name())?;
        match op {
            Op::IdleClients => return write!(f, "/{clients}"),
            Op::IdlePartitions => return write!(f, "/{partitions}"),
            _ => write!(f, "/{size}/{codec}/p{partitions}")?,
        }
        if *batch_bytes != BATCH_BYTES {
            write!(f, "/batch{}k", batch_bytes >> 10)?;
        }
        if *delay_ms != 0 {
            write!(f, "/delay{delay_ms}")?;
        }
        if *keyed {
            write!(f, "/keyed")?;
        }
        if *rate != 0 {
            write!(f, "/rate{rate}")?;
        }
        if *transaction != 0 {
            write!(f, "/of{transaction}")?;
        }
        if *site == Site::Kafka {
            write!(f, "/kafka")?;
        }
        Ok(())
    }
}

/// What `batch.size` is set to unless the case is about batches: large enough not to matter.
pub const BATCH_BYTES: usize = 256 << 10;

/// How long somebody is watched who does nothing.
const IDLE_SECONDS: u64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_named_by_what_differs() {
        let case = Case::new(Op::Produce, 100, "none", 1);
        assert_eq!(case.to_string(), "produce/100/none/p1");
        let case = Case { batch_bytes: 16 << 10, delay_ms: 5, keyed: true, ..case };
        assert_eq!(case.to_string(), "produce/100/none/p1/batch16k/delay5/keyed");
        let case = Case { rate: 1_000, ..Case::new(Op::Latency, 100, "none", 1) };
        assert_eq!(case.to_string(), "latency/100/none/p1/rate1000");
        let case = Case { transaction: 100, ..Case::new(Op::Transaction, 100, "none", 1) };
        let case = Case { site: Site::Kafka, ..case };
        assert_eq!(case.to_string(), "transaction/100/none/p1/of100/kafka");
    }

    #[test]
    fn a_jvm_is_warm_after_three_million_records() {
        let case = Case::new(Op::Produce, 100, "none", 1);
        assert_eq!((case.warmup(true), case.warmup(false)), (3_000_000, 500_000));
    }

    #[test]
    fn who_starts_cold_is_not_warmed_up() {
        let case = Case::new(Op::ColdProduce, 100, "none", 1);
        assert_eq!((case.records(), case.warmup(true), case.warmup(false)), (1, 0, 0));
    }
}
