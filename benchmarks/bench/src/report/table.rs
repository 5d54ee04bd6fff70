//! The table of one case.

use std::collections::BTreeSet;

use super::{Row, reference};
use crate::stats::Spread;

/// A line for each client, the best first.
pub fn table(case: &str, rows: &[&Row]) -> String {
    let Some(reference) = reference(rows) else { return String::new() };
    let mut columns: Vec<Column> = vec![column("client", |row| row.client.clone())];
    let op = case.split_once('/').map_or(case, |(op, _)| op);
    if !(op.starts_with("cold") || op.starts_with("idle") || ["stall", "overload"].contains(&op)) {
        columns.extend(cost(reference.cpu_ns_per_record.median));
    }
    if ["produce", "consume"].contains(&op) {
        columns.extend(batches());
    }
    let names: BTreeSet<&String> = rows.iter().flat_map(|row| row.figures.keys()).collect();
    columns.extend(names.into_iter().map(|name| figure(name)));
    columns.extend(process());
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let heads = line(columns.iter().map(|column| column.head.clone()).collect());
    let rule = format!("|{}\n", "---|".repeat(columns.len()));
    let rows =
        rows.iter().map(|row| line(columns.iter().map(|column| (column.cell)(row)).collect()));
    format!("### {case}\n\n{heads}{rule}{}\n", rows.collect::<String>())
}

struct Column {
    head: String,
    cell: Box<dyn Fn(&Row) -> String>,
}

fn column(head: &str, cell: impl Fn(&Row) -> String + 'static) -> Column {
    Column { head: head.to_owned(), cell: Box::new(cell) }
}

/// What a record costs, and how many there were; the ratio is to `compared`.
fn cost(compared: f64) -> Vec<Column> {
    vec![
        column("CPU ns/record", |row| range(&row.cpu_ns_per_record)),
        column("user", |row| format!("{:.0}", row.user_ns_per_record.median)),
        column("sys", |row| format!("{:.0}", row.sys_ns_per_record.median)),
        column("ratio", move |row| format!("{:.2}", row.cpu_ns_per_record.median / compared)),
        column("records/s", |row| match row.records_per_second.median {
            few if few < 10_000.0 => format!("{few:.0}"),
            many => format!("{:.0} k", many / 1_000.0),
        }),
        column("switches/1000", |row| format!("{:.2}", row.switches_per_thousand_records.median)),
    ]
}

/// How the records were put together.
fn batches() -> Vec<Column> {
    vec![
        column("records/batch", |row| format!("{:.0}", row.records_per_batch.median)),
        column("fetched/delivered", |row| match row.fetched_per_delivered.median {
            0.0 => NOTHING.to_owned(),
            fetched => format!("{fetched:.2}"),
        }),
        column("calls/batch", |row| match row.system_calls_per_batch {
            None => NOTHING.to_owned(),
            Some(calls) => format!("{calls:.1}"),
        }),
    ]
}

/// What the case itself is about.
fn figure(name: &str) -> Column {
    let of = name.to_owned();
    column(name, move |row| match row.figures.get(&of) {
        None => NOTHING.to_owned(),
        Some(figure) if figure.max >= 100.0 => range(figure),
        Some(Spread { median, min, max }) if min == max => format!("{median:.3}"),
        Some(Spread { median, min, max }) => format!("{median:.3} [{min:.3}..{max:.3}]"),
    })
}

/// The process, and what it talked to.
fn process() -> Vec<Column> {
    vec![
        column("RSS MiB", |row| format!("{:.0}", row.rss_kib.median / 1_024.0)),
        column("broker busy", |row| format!("{:.0} %", row.broker_busy.median * 100.0)),
        column("stolen", |row| format!("{:.0} %", row.stolen.max * 100.0)),
    ]
}

const NOTHING: &str = "–";

fn range(Spread { median, min, max }: &Spread) -> String {
    if min == max { format!("{median:.0}") } else { format!("{median:.0} [{min:.0}..{max:.0}]") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Results;
    use crate::report::tests::measurement;

    #[test]
    fn a_table_compares_with_the_cheapest_where_we_are_not() {
        let rounds = [390.0, 400.0, 410.0].into_iter().enumerate();
        let mut measured: Vec<_> =
            rounds.map(|(round, cost)| measurement("produce/a", "java", round, cost)).collect();
        measured.push(measurement("produce/a", "franz-go", 0, 200.0));
        let results = Results::of(&measured);
        let table = table("produce/a", &results.of_case("produce/a"));
        let lines: Vec<&str> = table.lines().skip(4).collect();
        assert!(lines[0].starts_with("| franz-go | 200 | 150 | 50 | 1.00 | 2000 |"), "{table}");
        assert!(lines[1].starts_with("| java | 400 [390..410] | 300 | 100 | 2.00 |"), "{table}");
    }

    #[test]
    fn every_line_of_a_table_has_the_same_columns() {
        for case in ["produce/a", "latency/a", "stall/a"] {
            let results = Results::of(&[measurement(case, "java", 0, 400.0)]);
            let table = table(case, &results.of_case(case));
            let columns = |line: &str| line.matches('|').count();
            let widths: Vec<usize> = table.lines().skip(2).take(3).map(columns).collect();
            assert!(widths.iter().all(|width| *width == widths[0]), "{table}");
            assert!(table.contains("p50_us") && table.contains("40.000"), "{table}");
        }
    }

    #[test]
    fn what_is_not_about_records_has_no_cost_of_one() {
        let results = Results::of(&[measurement("stall/a", "java", 0, 400.0)]);
        assert!(!table("stall/a", &results.of_case("stall/a")).contains("CPU"));
    }
}
