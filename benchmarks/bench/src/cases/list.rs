//! Which cases there are.

use super::{Case, Op, Site};

/// All there are but those on Apache Kafka, the gated ones first.
pub fn all() -> Vec<Case> {
    let mut cases = gated();
    cases.extend(codecs());
    cases.extend(widths());
    cases.extend([Op::Produce, Op::Consume].map(keyed));
    cases.push(Case { rate: 20_000, ..GATED_LATENCY });
    cases.extend([end_to_end(1_000), end_to_end(0)]);
    cases.extend([Op::ColdProduce, Op::ColdConsume].map(|op| Case::new(op, 100, "none", 1)));
    cases.push(Case { clients: 1_000, ..Case::new(Op::IdleClients, 100, "none", 1) });
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
        GATED_LATENCY,
        transactions(100),
        transactions(1_000),
        Case::new(Op::IdlePartitions, 100, "none", 10_000),
        Case::new(Op::Stall, 1_024, "none", 16),
        Case::new(Op::Overload, 1_024, "none", 1),
    ]
}

/// Those that no gate is on.
pub fn rest() -> Vec<Case> {
    let gated = gated();
    all().into_iter().filter(|case| !gated.contains(case)).collect()
}

/// Those on Apache Kafka.
pub fn kafka() -> Vec<Case> {
    let cases = [transactions(100), transactions(1_000), end_to_end(1_000), end_to_end(0)];
    cases.map(|case| Case { site: Site::Kafka, ..case }).to_vec()
}

/// Enough to see that everything still works together.
pub fn quick() -> Vec<Case> {
    let mut cases: Vec<Case> = [Op::Produce, Op::Consume]
        .into_iter()
        .flat_map(|op| [Case::new(op, 100, "none", 1), Case::new(op, 100, "lz4", 16)])
        .collect();
    cases.extend([
        keyed(Op::Consume),
        GATED_LATENCY,
        transactions(100),
        end_to_end(1_000),
        Case::new(Op::ColdProduce, 100, "none", 1),
        Case { clients: 10, ..Case::new(Op::IdleClients, 100, "none", 1) },
        Case::new(Op::IdlePartitions, 100, "none", 100),
        Case::new(Op::Stall, 1_024, "none", 16),
        Case::new(Op::Overload, 1_024, "none", 1),
    ]);
    cases
}

fn codecs() -> Vec<Case> {
    let mut cases = Vec::new();
    for op in [Op::Produce, Op::Consume] {
        for size in [100, 1_024] {
            for codec in ["none", "lz4", "zstd", "snappy", "gzip"] {
                cases.extend([1, 16].map(|partitions| Case::new(op, size, codec, partitions)));
            }
        }
    }
    cases
}

/// From one partition to ten thousand.
fn widths() -> Vec<Case> {
    let mut cases = [1, 16, 100, 1_000, 10_000].map(small).to_vec();
    let reading = [100, 1_000, 10_000];
    cases.extend(reading.map(|partitions| Case::new(Op::Consume, 100, "none", partitions)));
    cases
}

fn small(partitions: u32) -> Case {
    Case { batch_bytes: SMALL_BATCH, ..Case::new(Op::Produce, 100, "none", partitions) }
}

fn keyed(op: Op) -> Case {
    Case { keyed: true, ..Case::new(op, 100, "none", 1) }
}

fn transactions(transaction: u64) -> Case {
    Case { transaction, ..Case::new(Op::Transaction, 100, "none", 1) }
}

fn end_to_end(rate: u64) -> Case {
    Case { rate, ..Case::new(Op::EndToEnd, 100, "none", 1) }
}

const GATED_LATENCY: Case = Case { rate: 1_000, ..Case::new(Op::Latency, 100, "none", 1) };

/// Java's default until 4.0.
const SMALL_BATCH: usize = 16 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_cases_have_one_name() {
        let mut names: Vec<String> = all().iter().chain(&kafka()).map(Case::to_string).collect();
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
    fn only_the_cases_of_kafka_are_on_kafka() {
        assert!(all().iter().all(|case| case.site != Site::Kafka));
        assert!(kafka().iter().all(|case| case.site == Site::Kafka));
    }
}
