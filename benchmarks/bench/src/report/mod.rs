//! From measurements to what is read.

pub mod chart;
pub mod markdown;
pub mod readme;
pub mod table;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::measurement::Measurement;
use crate::stats::Spread;

/// A client in a case, over all rounds. A list of these is what `--json` writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Row {
    pub case: String,
    pub client: String,
    /// The version that the client says it has.
    pub version: String,
    pub rounds: usize,
    pub cpu_ns_per_record: Spread,
    pub user_ns_per_record: Spread,
    pub sys_ns_per_record: Spread,
    pub records_per_second: Spread,
    pub rss_kib: Spread,
    pub switches_per_thousand_records: Spread,
    pub records_per_batch: Spread,
    /// Records fetched for each that was delivered; 0 where nothing was fetched.
    pub fetched_per_delivered: Spread,
    /// Share of its core that the broker used.
    pub broker_busy: Spread,
    /// Share of the machine's processor time that its host took away.
    pub stolen: Spread,
    /// What else the case is about, by name; the unit is the name's end.
    pub figures: BTreeMap<String, Spread>,
    /// The client's system calls for each batch; none where they were not counted.
    pub system_calls_per_batch: Option<f64>,
}

impl Row {
    /// The median of what has this name.
    pub fn figure(&self, name: &str) -> Option<f64> {
        match name {
            "system_calls_per_batch" => self.system_calls_per_batch,
            "fetched_per_delivered" => Some(self.fetched_per_delivered.median),
            _ => self.figures.get(name).map(|figure| figure.median),
        }
    }

    /// What the rows of a case are ordered by: its own figure, or the cost of a record.
    fn order(&self) -> f64 {
        let leading = LEADING.iter().find_map(|name| self.figure(name));
        leading.unwrap_or(self.cpu_ns_per_record.median)
    }
}

/// The figures that a case is about, where it is not about cost.
const LEADING: &[&str] = &["p50_us", "first_record_ms", "bytes_each", "held_mib", "most_mib"];

/// The rows of a run: cases in the order they were measured, and in each the clients likewise.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Results {
    pub rows: Vec<Row>,
}

impl Results {
    /// Of all measurements of a run.
    pub fn of(measurements: &[Measurement]) -> Self {
        let mut rows: Vec<Row> = Vec::new();
        for first in measurements {
            if rows.iter().any(|row| row.case == first.case && row.client == first.client) {
                continue;
            }
            let same =
                |other: &&Measurement| other.case == first.case && other.client == first.client;
            let rounds: Vec<&Measurement> = measurements.iter().filter(same).collect();
            rows.extend(row(first, &rounds));
        }
        Self { rows }
    }

    pub fn find(&self, case: &str, client: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.case == case && row.client == client)
    }

    /// The cases, each once.
    pub fn cases(&self) -> Vec<&str> {
        let mut cases: Vec<&str> = Vec::new();
        for row in &self.rows {
            if !cases.contains(&row.case.as_str()) {
                cases.push(&row.case);
            }
        }
        cases
    }

    /// The rows of a case, the best first.
    pub fn of_case(&self, case: &str) -> Vec<&Row> {
        let mut rows: Vec<&Row> = self.rows.iter().filter(|row| row.case == case).collect();
        rows.sort_by(|a, b| a.order().total_cmp(&b.order()));
        rows
    }
}

/// What the others are compared with: our dearest row, or the cheapest of all where we have none.
pub fn reference<'a>(rows: &[&'a Row]) -> Option<&'a Row> {
    let ours = rows.iter().rev().find(|row| row.client.starts_with("ottla"));
    ours.or(rows.first()).copied()
}

fn row(first: &Measurement, rounds: &[&Measurement]) -> Option<Row> {
    let spread =
        |figure: fn(&Measurement) -> f64| Spread::of(rounds.iter().map(|round| figure(round)));
    Some(Row {
        case: first.case.clone(),
        client: first.client.clone(),
        version: first.driver.version.clone(),
        rounds: rounds.len(),
        cpu_ns_per_record: spread(Measurement::cpu_ns_per_record)?,
        user_ns_per_record: spread(Measurement::user_ns_per_record)?,
        sys_ns_per_record: spread(Measurement::sys_ns_per_record)?,
        records_per_second: spread(Measurement::records_per_second)?,
        rss_kib: spread(|round| round.driver.rss_kib as f64)?,
        switches_per_thousand_records: spread(Measurement::switches_per_thousand)?,
        records_per_batch: spread(Measurement::records_per_batch)?,
        fetched_per_delivered: spread(Measurement::fetched_per_delivered)?,
        broker_busy: spread(|round| round.broker_busy)?,
        stolen: spread(|round| round.stolen)?,
        figures: figures(rounds),
        system_calls_per_batch: rounds.iter().find_map(|round| round.system_calls_per_batch),
    })
}

fn figures(rounds: &[&Measurement]) -> BTreeMap<String, Spread> {
    let names: BTreeSet<&String> =
        rounds.iter().flat_map(|round| round.driver.figures.keys()).collect();
    let spread = |name: &String| {
        Spread::of(rounds.iter().filter_map(|round| round.driver.figures.get(name).copied()))
    };
    names.into_iter().filter_map(|name| Some((name.clone(), spread(name)?))).collect()
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use crate::measurement::{Counts, Flow, Report};

    /// One that cost this many nanoseconds a record.
    pub fn measurement(case: &str, client: &str, round: usize, cost: f64) -> Measurement {
        let flow = |records| Flow { requests: 1, batches: 2, records, bytes: 100 * records };
        Measurement {
            case: case.to_owned(),
            client: client.to_owned(),
            round,
            driver: Report {
                version: "1.0".to_owned(),
                records: 1_000,
                seconds: 0.5,
                user_ns: (cost * 750.0) as u64,
                sys_ns: (cost * 250.0) as u64,
                rss_kib: 4_096,
                voluntary_switches: 3,
                involuntary_switches: 2,
                figures: BTreeMap::from([("p50_us".to_owned(), cost / 10.0)]),
            },
            broker: Counts { requests: 9, produced: flow(0), fetched: flow(1_111) },
            passed: 1_100,
            broker_busy: 0.25,
            stolen: 0.125,
            system_calls_per_batch: (round == 0).then_some(3.5),
        }
    }

    #[test]
    fn a_row_is_the_median_of_its_rounds() {
        let rounds = [9.0, 5.0, 6.0].iter().enumerate();
        let measured: Vec<Measurement> =
            rounds.map(|(round, cost)| measurement("a", "java", round, *cost * 100.0)).collect();
        let results = Results::of(&measured);
        let row = results.find("a", "java").unwrap();
        assert_eq!((row.rounds, results.rows.len()), (3, 1));
        let Spread { median, min, max } = row.cpu_ns_per_record;
        assert_eq!((median, min, max), (600.0, 500.0, 900.0));
        assert_eq!(row.user_ns_per_record.median, 450.0);
        assert_eq!(row.records_per_second.median, 2_000.0);
        assert_eq!(row.switches_per_thousand_records.median, 5.0);
        assert_eq!(row.system_calls_per_batch, Some(3.5));
    }

    #[test]
    fn what_was_fetched_is_divided_by_all_that_was_delivered() {
        assert!((measurement("a", "java", 0, 1.0).fetched_per_delivered() - 1.01).abs() < 1e-9);
    }

    #[test]
    fn others_are_compared_with_our_dearest_row() {
        let measured = [
            measurement("a", "ottla-lent", 0, 1_000.0),
            measurement("a", "ottla-owned", 0, 2_000.0),
            measurement("a", "java", 0, 3_000.0),
        ];
        let results = Results::of(&measured);
        assert_eq!(reference(&results.of_case("a")).unwrap().client, "ottla-owned");
        let without = Results::of(&measured[2..]);
        assert_eq!(reference(&without.of_case("a")).unwrap().client, "java");
    }

    #[test]
    fn the_json_names_case_client_and_cost() {
        let results = Results::of(&[measurement("a", "java", 0, 1_000.0)]);
        let json = serde_json::to_value(&results.rows).unwrap();
        assert_eq!((&json[0]["case"], &json[0]["client"]), (&"a".into(), &"java".into()));
        assert_eq!(json[0]["cpu_ns_per_record"]["median"], 1_000.0);
    }
}
