//! What is measured.

use std::fmt;

/// Whether records are written or read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    Produce,
    Consume,
}

impl Op {
    pub fn name(self) -> &'static str {
        match self {
            Self::Produce => "produce",
            Self::Consume => "consume",
        }
    }
}

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
}

impl Case {
    const fn new(op: Op, size: usize, codec: &'static str, partitions: u32) -> Self {
        Self { op, size, codec, partitions, batch_bytes: BATCH_BYTES, delay_ms: 0, keyed: false }
    }

    /// Records that every client is measured over: one to some seconds of work.
    pub fn records(&self) -> u64 {
        // Reading costs less than writing, and what is fetched ahead at either end must not matter.
        let at_100_bytes = match (self.op, self.codec) {
            (Op::Produce, "none") => 5_000_000,
            (Op::Produce, "lz4" | "snappy") => 3_000_000,
            (Op::Produce, "zstd") => 2_000_000,
            (Op::Produce, _) => 500_000,
            (Op::Consume, "none") => 10_000_000,
            (Op::Consume, "lz4" | "snappy") => 8_000_000,
            (Op::Consume, "zstd") => 5_000_000,
            (Op::Consume, _) => 4_000_000,
        };
        let by_size = if self.size > 512 { at_100_bytes / 5 } else { at_100_bytes };
        // Small batches cost more each, and a delayed answer costs time.
        if self.partitions >= 1_000 { by_size / 5 } else { by_size }
    }

    /// Records before those, which are not counted. A JVM compiles what it has seen often.
    pub fn warmup(&self, jvm: bool) -> u64 {
        match (jvm, self.codec) {
            (false, _) => self.records() / 10,
            (true, "gzip") => 300_000,
            // Otherwise the warming up would take many minutes.
            (true, _) if self.partitions >= 1_000 => 600_000,
            (true, _) => 3_000_000,
        }
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { op, size, codec, partitions, batch_bytes, delay_ms, keyed } = self;
        write!(f, "{}/{size}/{codec}/p{partitions}", op.name())?;
        if *batch_bytes != BATCH_BYTES {
            write!(f, "/batch{}k", batch_bytes >> 10)?;
        }
        if *delay_ms != 0 {
            write!(f, "/delay{delay_ms}")?;
        }
        if *keyed {
            write!(f, "/keyed")?;
        }
        Ok(())
    }
}

/// All there are, the gated ones first.
pub fn all() -> Vec<Case> {
    let mut cases = gated();
    for op in [Op::Produce, Op::Consume] {
        for size in [100, 1_024] {
            for codec in ["none", "lz4", "zstd", "snappy", "gzip"] {
                cases.extend([1, 16].map(|partitions| Case::new(op, size, codec, partitions)));
            }
        }
    }
    for partitions in [100, 10_000] {
        cases.push(Case {
            batch_bytes: SMALL_BATCH,
            ..Case::new(Op::Produce, 100, "none", partitions)
        });
    }
    cases.push(Case { keyed: true, ..Case::new(Op::Produce, 100, "none", 1) });
    let mut unique: Vec<Case> = Vec::new();
    for case in cases {
        if !unique.contains(&case) {
            unique.push(case);
        }
    }
    unique
}

/// Those that a gate is on.
pub fn gated() -> Vec<Case> {
    let produce = |size, codec| Case::new(Op::Produce, size, codec, 1);
    let small = |partitions| Case {
        batch_bytes: SMALL_BATCH,
        ..Case::new(Op::Produce, 100, "none", partitions)
    };
    vec![
        produce(100, "none"),
        produce(1_024, "none"),
        produce(100, "lz4"),
        produce(1_024, "lz4"),
        Case::new(Op::Consume, 100, "none", 1),
        Case::new(Op::Consume, 1_024, "none", 1),
        small(1),
        small(1_000),
        Case { delay_ms: 5, ..produce(100, "none") },
    ]
}

/// Enough to see that everything still works together.
pub fn quick() -> Vec<Case> {
    [Op::Produce, Op::Consume]
        .into_iter()
        .flat_map(|op| [Case::new(op, 100, "none", 1), Case::new(op, 100, "lz4", 16)])
        .collect()
}

/// What `batch.size` is set to unless the case is about batches: large enough not to matter.
pub const BATCH_BYTES: usize = 256 << 10;

/// Java's default until 4.0.
const SMALL_BATCH: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_is_named_by_what_differs() {
        let case = Case::new(Op::Produce, 100, "none", 1);
        assert_eq!(case.to_string(), "produce/100/none/p1");
        let case = Case { batch_bytes: SMALL_BATCH, delay_ms: 5, keyed: true, ..case };
        assert_eq!(case.to_string(), "produce/100/none/p1/batch16k/delay5/keyed");
    }

    #[test]
    fn no_two_cases_have_one_name() {
        let mut names: Vec<String> = all().iter().map(Case::to_string).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn every_size_codec_and_width_is_there_both_ways() {
        for name in ["produce/1024/zstd/p16", "consume/100/gzip/p1", "consume/1024/lz4/p16"] {
            assert!(all().iter().any(|case| case.to_string() == name), "{name}");
        }
    }

    #[test]
    fn a_jvm_is_warm_after_three_million_records() {
        let case = Case::new(Op::Produce, 100, "none", 1);
        assert_eq!((case.warmup(true), case.warmup(false)), (3_000_000, 500_000));
    }
}
