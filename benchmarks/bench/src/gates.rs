//! What we must reach.

use crate::report::Results;

/// Another client's cost, or rate, over ours: at least this much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Gate {
    pub case: &'static str,
    pub ours: &'static str,
    pub theirs: &'static str,
    pub at_least: f64,
    pub by: By,
}

/// What is divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// Theirs over ours, processor time for each record.
    Cpu,
    /// Ours over theirs, records in a second.
    Rate,
    /// Theirs over ours, the median latency.
    Latency,
}

/// What became of a gate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// The ratio of medians is high enough, and the ranges are apart.
    Passed(f64),
    Missed(f64),
    /// High enough, but noise could have done it.
    Unclear(f64),
    /// One of the two was not measured.
    Unknown,
}

impl Gate {
    pub fn judge(&self, results: &Results) -> Verdict {
        let (Some(ours), Some(theirs)) =
            (results.find(self.case, self.ours), results.find(self.case, self.theirs))
        else {
            return Verdict::Unknown;
        };
        let (over, under) = match self.by {
            By::Cpu => (&theirs.cpu_ns_per_record, &ours.cpu_ns_per_record),
            By::Rate => (&ours.records_per_second, &theirs.records_per_second),
            By::Latency => match (theirs.figures.get("p50_us"), ours.figures.get("p50_us")) {
                (Some(theirs), Some(ours)) => (theirs, ours),
                _ => return Verdict::Unknown,
            },
        };
        let ratio = over.median / under.median;
        match (ratio >= self.at_least, over.is_apart_from(under)) {
            (false, _) => Verdict::Missed(ratio),
            // With a target below 1 the ranges are expected to touch.
            (true, false) if self.at_least > 1.0 => Verdict::Unclear(ratio),
            (true, _) => Verdict::Passed(ratio),
        }
    }
}

const fn cpu(case: &'static str, ours: &'static str, theirs: &'static str, at_least: f64) -> Gate {
    Gate { case, ours, theirs, at_least, by: By::Cpu }
}

const fn p50(theirs: &'static str) -> Gate {
    Gate { case: LATENCY, ours: AWAITED, theirs, at_least: 1.0, by: By::Latency }
}

const LATENCY: &str = "latency/100/none/p1/rate1000";
const OF_100: &str = "transaction/100/none/p1/of100";
const OF_1000: &str = "transaction/100/none/p1/of1000";
const IDLE_PARTITIONS: &str = "idle-partitions/10000";
const STALL: &str = "stall/1024/none/p16";
const OVERLOAD: &str = "overload/1024/none/p1";
const PRODUCE_100: &str = "produce/100/none/p1";
const PRODUCE_1024: &str = "produce/1024/none/p1";
const PRODUCE_LZ4_100: &str = "produce/100/lz4/p1";
const PRODUCE_LZ4_1024: &str = "produce/1024/lz4/p1";
const CONSUME_100: &str = "consume/100/none/p1";
const CONSUME_1024: &str = "consume/1024/none/p1";
const AWAITED: &str = "ottla-awaited";
const LENT: &str = "ottla-lent";
const OWNED: &str = "ottla-owned";

pub const GATES: &[Gate] = &[
    cpu(PRODUCE_100, AWAITED, "librdkafka", 3.0),
    cpu(PRODUCE_100, AWAITED, "java", 4.0),
    cpu(PRODUCE_100, AWAITED, "franz-go", 3.5),
    cpu(PRODUCE_100, AWAITED, "krafka", 8.0),
    cpu(PRODUCE_100, AWAITED, "rskafka-batch", 1.5),
    cpu(PRODUCE_1024, AWAITED, "librdkafka", 3.0),
    cpu(PRODUCE_1024, AWAITED, "java", 3.5),
    cpu(PRODUCE_1024, AWAITED, "franz-go", 1.9),
    cpu(PRODUCE_1024, AWAITED, "krafka", 3.5),
    cpu(PRODUCE_LZ4_100, AWAITED, "librdkafka", 2.4),
    cpu(PRODUCE_LZ4_100, AWAITED, "java", 2.4),
    cpu(PRODUCE_LZ4_100, AWAITED, "franz-go", 2.4),
    cpu(PRODUCE_LZ4_100, AWAITED, "krafka", 2.4),
    cpu(PRODUCE_LZ4_1024, AWAITED, "librdkafka", 1.5),
    cpu(PRODUCE_LZ4_1024, AWAITED, "java", 1.5),
    cpu(PRODUCE_LZ4_1024, AWAITED, "franz-go", 1.5),
    cpu(PRODUCE_LZ4_1024, AWAITED, "krafka", 1.5),
    Gate {
        case: "produce/100/none/p1/delay5",
        ours: AWAITED,
        theirs: "franz-go",
        at_least: 1.25,
        by: By::Rate,
    },
    cpu(CONSUME_100, LENT, "librdkafka", 6.0),
    cpu(CONSUME_100, LENT, "java", 8.0),
    cpu(CONSUME_100, LENT, "krafka", 8.0),
    cpu(CONSUME_100, OWNED, "librdkafka", 4.5),
    cpu(CONSUME_100, OWNED, "java", 6.0),
    cpu(CONSUME_100, OWNED, "krafka", 6.0),
    cpu(CONSUME_100, OWNED, "franz-go", 3.7),
    cpu(CONSUME_100, OWNED, "rskafka", 3.0),
    cpu(CONSUME_1024, OWNED, "librdkafka", 1.4),
    cpu(CONSUME_1024, OWNED, "librdkafka-crc", 2.0),
    cpu(CONSUME_1024, OWNED, "java", 5.0),
    cpu(CONSUME_1024, OWNED, "franz-go", 5.0),
    cpu(CONSUME_1024, OWNED, "krafka", 1.6),
    p50("librdkafka"),
    p50("java"),
    p50("franz-go"),
    p50("krafka"),
    p50("rskafka"),
    p50("rdkafka-future"),
    cpu(OF_100, "ottla", "librdkafka", 1.0),
    cpu(OF_100, "ottla", "java", 1.0),
    cpu(OF_100, "ottla", "franz-go", 1.0),
    cpu(OF_100, "ottla", "rdkafka", 1.0),
    cpu(OF_1000, "ottla", "librdkafka", 1.0),
    cpu(OF_1000, "ottla", "java", 1.0),
    cpu(OF_1000, "ottla", "franz-go", 1.0),
    cpu(OF_1000, "ottla", "rdkafka", 1.0),
];

/// What a figure of ours may be.
pub const LIMITS: &[Limit] = &[
    limit(PRODUCE_100, "ottla-dropped", "allocations_per_record", 0.01),
    limit(PRODUCE_100, AWAITED, "system_calls_per_batch", 4.0),
    limit(CONSUME_100, LENT, "fetched_per_delivered", 1.01),
    limit(OF_100, "ottla", "requests_per_transaction", PROTOCOLS_LEAST),
    limit(OF_1000, "ottla", "requests_per_transaction", PROTOCOLS_LEAST),
    limit(IDLE_PARTITIONS, "ottla", "bytes_each", 1_024.0),
    limit(IDLE_PARTITIONS, "ottla", "wakeups_per_s", 5.0),
    limit(IDLE_PARTITIONS, "ottla", "requests_per_s", 2.05),
    // Twice the fetch budget of 16 MiB, and 16 MiB.
    limit(STALL, "ottla", "held_mib", 48.0),
    limit(OVERLOAD, "ottla", "most_mib", 56.0),
    limit(OVERLOAD, "ottla", "left_mib", 2.0),
];

/// Produce and `EndTxn` (KIP-890); what is over is a refresh of metadata now and then.
const PROTOCOLS_LEAST: f64 = 2.02;

const fn limit(
    case: &'static str,
    client: &'static str,
    figure: &'static str,
    at_most: f64,
) -> Limit {
    Limit { case, client, figure, at_most }
}

/// See [`LIMITS`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    pub case: &'static str,
    pub client: &'static str,
    pub figure: &'static str,
    pub at_most: f64,
}

impl Limit {
    /// The figure stands where a gate has its ratio.
    pub fn judge(&self, results: &Results) -> Verdict {
        let row = results.find(self.case, self.client);
        match row.and_then(|row| row.figure(self.figure)) {
            None => Verdict::Unknown,
            Some(is) if is <= self.at_most => Verdict::Passed(is),
            Some(is) => Verdict::Missed(is),
        }
    }
}

/// Limits on ourselves: what our cost in one case may be, as a multiple of our cost in another.
pub const OWN_LIMITS: &[OwnLimit] = &[OwnLimit {
    case: "produce/100/none/p1000/batch16k",
    beside: "produce/100/none/p1/batch16k",
    client: AWAITED,
    at_most: 1.7,
}];

/// See [`OWN_LIMITS`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OwnLimit {
    pub case: &'static str,
    pub beside: &'static str,
    pub client: &'static str,
    pub at_most: f64,
}

impl OwnLimit {
    pub fn judge(&self, results: &Results) -> Verdict {
        let cost = |case| results.find(case, self.client).map(|row| row.cpu_ns_per_record.median);
        match (cost(self.case), cost(self.beside)) {
            (Some(cost), Some(beside)) if cost <= beside * self.at_most => {
                Verdict::Passed(cost / beside)
            }
            (Some(cost), Some(beside)) => Verdict::Missed(cost / beside),
            _ => Verdict::Unknown,
        }
    }
}

/// Whether a run for the gates measures this client in this case: where we are compared with others,
/// those and each of our own ways, and only ourselves where the limit is on us.
pub fn measures(case: &str, client: &str) -> bool {
    let compared = |gate: &Gate| gate.theirs == client || client.starts_with("ottla");
    GATES.iter().any(|gate| gate.case == case && compared(gate))
        || LIMITS.iter().any(|limit| limit.case == case && limit.client == client)
        || OWN_LIMITS
            .iter()
            .any(|limit| [limit.case, limit.beside].contains(&case) && limit.client == client)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::measurement;
    use crate::{cases, clients};

    #[test]
    fn a_gate_passes_when_the_ratio_is_high_enough_and_the_ranges_are_apart() {
        check(&[10.0, 11.0, 12.0], &[30.0, 33.0, 36.0], Verdict::Passed(3.0));
    }

    #[test]
    fn a_ratio_below_the_gate_is_missed() {
        check(&[10.0, 11.0, 12.0], &[20.0, 22.0, 24.0], Verdict::Missed(2.0));
    }

    #[test]
    fn a_ratio_that_noise_could_have_made_is_unclear() {
        check(&[10.0, 11.0, 32.0], &[30.0, 33.0, 36.0], Verdict::Unclear(3.0));
    }

    #[test]
    fn what_was_not_measured_is_unknown() {
        check(&[], &[30.0], Verdict::Unknown);
    }

    #[test]
    fn every_gate_is_on_a_gated_case_and_on_clients_of_its_direction() {
        for gate in GATES {
            let gated = cases::gated();
            let case = gated.iter().find(|case| case.to_string() == gate.case).unwrap();
            for name in [gate.ours, gate.theirs] {
                assert!(clients::of(case.op).iter().any(|client| client.name == name), "{name}");
            }
        }
        for limit in LIMITS {
            let case = cases::gated().into_iter().find(|case| case.to_string() == limit.case);
            let clients = clients::of(case.unwrap().op);
            assert!(clients.iter().any(|client| client.name == limit.client), "{limit:?}");
        }
        for limit in OWN_LIMITS {
            for name in [limit.case, limit.beside] {
                assert!(cases::gated().iter().any(|case| case.to_string() == name), "{name}");
            }
        }
    }

    #[test]
    fn a_run_for_the_gates_measures_everybody_only_where_they_are_compared() {
        assert!(measures(PRODUCE_100, "java") && measures(PRODUCE_100, "ottla-callback"));
        assert!(!measures(PRODUCE_100, "rdkafka-future"));
        assert!(measures(OVERLOAD, "ottla") && !measures(OVERLOAD, "librdkafka"));
        assert!(!measures("produce/100/none/p1/batch16k", "java"));
        for case in cases::gated() {
            let name = case.to_string();
            let ours = clients::of(case.op);
            assert!(ours.iter().any(|client| measures(&name, client.name)), "{name}");
        }
    }

    #[test]
    fn a_latency_is_compared_by_its_median() {
        let case = LATENCY;
        let measured = [measurement(case, AWAITED, 0, 100.0), measurement(case, "java", 0, 300.0)];
        assert_eq!(p50("java").judge(&Results::of(&measured)), Verdict::Passed(3.0));
    }

    #[test]
    fn a_limit_is_on_a_figure_by_its_name() {
        let results = Results::of(&[measurement("a", "ottla", 0, 100.0)]);
        let judge = |figure, at_most| limit("a", "ottla", figure, at_most).judge(&results);
        assert_eq!(judge("p50_us", 10.0), Verdict::Passed(10.0));
        assert_eq!(judge("p50_us", 9.0), Verdict::Missed(10.0));
        assert_eq!(judge("system_calls_per_batch", 4.0), Verdict::Passed(3.5));
        assert_eq!(judge("bytes_each", 9.0), Verdict::Unknown);
    }

    #[track_caller]
    fn check(ours: &[f64], theirs: &[f64], expected: Verdict) {
        let rounds = |client: &'static str, costs: &[f64]| {
            let each = costs.iter().enumerate();
            each.map(|(round, cost)| measurement("a", client, round, *cost)).collect::<Vec<_>>()
        };
        let measured = [rounds("ours", ours), rounds("theirs", theirs)].concat();
        let gate = cpu("a", "ours", "theirs", 3.0);
        assert_eq!(gate.judge(&Results::of(&measured)), expected);
    }
}
