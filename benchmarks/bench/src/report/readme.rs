//! The performance section of the repository's README.

use std::fmt::Write;

use super::markdown::Surroundings;
use super::{Results, Row};

/// All that is between the marks: the short version of `RESULTS.md`.
pub fn section(results: &Results, surroundings: &Surroundings) -> String {
    let Surroundings { machine, command, .. } = surroundings;
    let mut out = String::from(INTRODUCTION);
    out.push_str(&summary(results));
    let _ = writeln!(out, "\n![{DRAWN}](benchmarks/charts/{})\n", super::chart::file_name(DRAWN));
    let _ = writeln!(out, "{machine}\n\n```console\n$ {command}\n```\n");
    out.push_str(CLOSING);
    out
}

/// A line for each client, our own first; what each of them was not measured in is left open.
fn summary(results: &Results) -> String {
    let columns: Vec<&Column> =
        COLUMNS.iter().filter(|column| !results.of_case(column.case).is_empty()).collect();
    let heads: Vec<&str> = columns.iter().map(|column| column.head).collect();
    let mut out = format!("| | {} |\n|---|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
    for (name, also) in LINES {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| cell(results, column, &[&[*name], *also].concat()))
            .collect();
        if cells.iter().any(|cell| cell != NOTHING) {
            let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
        }
    }
    out
}

fn cell(results: &Results, column: &Column, names: &[&str]) -> String {
    let figure = |row: &Row| match column.figure {
        None => Some(row.cpu_ns_per_record.median),
        Some(name) => row.figure(name),
    };
    let found = names.iter().find_map(|name| figure(results.find(column.case, name)?));
    found.map_or_else(|| NOTHING.to_owned(), |figure| format!("{figure:.0}"))
}

const NOTHING: &str = "–";

struct Column {
    head: &'static str,
    case: &'static str,
    /// Instead of the cost of a record.
    figure: Option<&'static str>,
}

const fn cost(head: &'static str, case: &'static str) -> Column {
    Column { head, case, figure: None }
}

const COLUMNS: &[Column] = &[
    cost("produce 100 B", DRAWN),
    cost("1 KiB", "produce/1024/none/p1"),
    cost("100 B, lz4", "produce/100/lz4/p1"),
    cost("consume 100 B", "consume/100/none/p1"),
    cost("1 KiB", "consume/1024/none/p1"),
    cost("100 in a transaction", "transaction/100/none/p1/of100"),
    Column {
        head: "acknowledged, µs",
        case: "latency/100/none/p1/rate1000",
        figure: Some("p50_us"),
    },
];

/// The names in the first column, and under which others the same client is known in some cases.
const LINES: &[(&str, &[&str])] = &[
    ("ottla", &["ottla-awaited", "ottla-owned"]),
    ("ottla, lent batches", &["ottla-lent"]),
    ("librdkafka", &[]),
    ("java", &[]),
    ("franz-go", &[]),
    ("krafka", &[]),
    ("rskafka", &[]),
    ("rdkafka", &["rdkafka-future", "rdkafka-stream"]),
];

/// The case whose chart is shown.
const DRAWN: &str = "produce/100/none/p1";

const INTRODUCTION: &str = "\
Processor time of the client's process for each record, user and system, in nanoseconds: the median \
of one run in which all clients took turns. Every record of ours is awaited, or owned; `rdkafka` has \
its futures and its stream. The last column is the median time until a record was acknowledged, at \
1,000 in a second.

";

const CLOSING: &str = "\
One partition, acks=all, idempotence, linger 5 ms (none where latency is measured), batches of 256 KiB, \
five requests in flight, a broker that costs next to nothing; transactions on the reference broker. \
[benchmarks/RESULTS.md](benchmarks/RESULTS.md) has every case with its ranges, all settings, the \
versions, and the gates that were missed.

It does not show real brokers, replication, TLS, groups or other machines, and its wall rates are those \
of two cores that broker and client share.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::measurement;

    #[test]
    fn a_client_has_one_line_whatever_its_modes_are_called() {
        let measured = [
            measurement(DRAWN, "ottla-awaited", 0, 70.0),
            measurement("consume/100/none/p1", "ottla-owned", 0, 30.0),
            measurement("consume/100/none/p1", "java", 0, 300.0),
            measurement("latency/100/none/p1/rate1000", "java", 0, 5_000.0),
        ];
        let summary = summary(&Results::of(&measured));
        let lines: Vec<&str> = summary.lines().collect();
        assert_eq!(lines[0], "| | produce 100 B | consume 100 B | acknowledged, µs |");
        assert_eq!(lines[2..], ["| ottla | 70 | 30 | – |", "| java | – | 300 | 500 |"]);
    }
}
