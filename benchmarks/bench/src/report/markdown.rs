//! The section of `RESULTS.md`.

use std::fmt::Write;

use super::table::table;
use super::{Results, chart};
use crate::footprint::{self, Footprint};
use crate::gates::{GATES, Gate, LIMITS, OWN_LIMITS, Verdict};

/// What the figures were taken on and with.
#[derive(Debug, Clone, Default)]
pub struct Surroundings {
    /// Words such as `2026-11-21, 2 cores of …`.
    pub machine: String,
    /// What was typed.
    pub command: String,
    /// The clients that could not be measured, and why.
    pub missing: Vec<(String, String)>,
    /// Runs that failed, each in a sentence.
    pub failed: Vec<String>,
    /// What building the Rust clients took, where that was asked.
    pub footprints: Vec<Footprint>,
}

/// All that is between the marks.
pub fn section(results: &Results, surroundings: &Surroundings) -> String {
    let mut out = measured("## Clients beside one another", results, surroundings);
    out.push_str(&footprint::section(&surroundings.footprints));
    out.push_str(&gates(results));
    out.push_str(SETTINGS);
    out
}

/// All that is between the marks of the cases that no gate is on; the settings stand with the others.
pub fn rest(results: &Results, surroundings: &Surroundings) -> String {
    let mut out = measured("## The cases that no gate is on", results, surroundings);
    out.push_str(&footprint::section(&surroundings.footprints));
    out.push_str(OF_THE_REST);
    out
}

/// Who was measured with what, and the figures of each case.
fn measured(head: &str, results: &Results, surroundings: &Surroundings) -> String {
    let mut out = format!("{head}\n\n");
    let Surroundings { machine, command, missing, failed, footprints: _ } = surroundings;
    let _ = writeln!(out, "{machine}\n\n```console\n$ {command}\n```\n");
    for (client, why) in missing {
        let _ = writeln!(out, "- **{client} was not measured**: {why}");
    }
    for sentence in failed {
        let _ = writeln!(out, "- **failed**: {sentence}");
    }
    if !(missing.is_empty() && failed.is_empty()) {
        out.push('\n');
    }
    out.push_str(&versions(results));
    for case in results.cases() {
        out.push_str(&table(case, &results.of_case(case)));
        if chart::is_drawn(case) {
            let _ = writeln!(out, "![{case}](charts/{})\n", chart::file_name(case));
        }
    }
    out
}

/// What a section begins and ends with.
pub type Marks = (&'static str, &'static str);

/// Of the section of a whole run, or of the gated cases.
pub const ALL: Marks = ("<!-- written by bench -->", "<!-- until here -->");

/// Of the section of the cases that no gate is on.
pub const REST: Marks = ("<!-- written by bench --rest -->", "<!-- until here, --rest -->");

/// Puts the section between its marks of a page, or at the end where it has none.
pub fn insert(page: &str, (mark, last): Marks, section: &str) -> String {
    let marked = format!("{mark}\n{section}{last}\n");
    let (Some(begin), Some(end)) = (page.find(mark), page.find(last)) else {
        return format!("{}\n\n{marked}", page.trim_end());
    };
    let after = page[end + last.len()..].trim_start_matches('\n');
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{}{marked}{gap}{after}", &page[..begin])
}

fn versions(results: &Results) -> String {
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for row in &results.rows {
        let named = (row.client.as_str(), row.version.as_str());
        if !seen.contains(&named) {
            seen.push(named);
        }
    }
    let listed: Vec<String> =
        seen.iter().map(|(client, version)| format!("{client} {version}")).collect();
    format!("Versions: {}.\n\n", listed.join(", "))
}

fn gates(results: &Results) -> String {
    let judged: Vec<(&Gate, Verdict)> =
        GATES.iter().map(|gate| (gate, gate.judge(results))).collect();
    if judged.iter().all(|(_, verdict)| *verdict == Verdict::Unknown) {
        return String::new();
    }
    let mut out =
        "### Gates\n\n| case | ours | theirs | at least | is |\n|---|---|---|---|---|\n".to_owned();
    for (gate, verdict) in judged {
        let Gate { case, ours, theirs, at_least, by: _ } = gate;
        let _ = writeln!(out, "| {case} | {ours} | {theirs} | {at_least} | {} |", said(verdict));
    }
    for limit in OWN_LIMITS {
        let verdict = said(limit.judge(results));
        let (case, client) = (limit.case, limit.client);
        let _ = writeln!(
            out,
            "| {case} | {client} | itself in {} | at most {} | {verdict} |",
            limit.beside, limit.at_most
        );
    }
    for limit in LIMITS {
        let verdict = said(limit.judge(results));
        let (case, client, figure) = (limit.case, limit.client, limit.figure);
        let _ = writeln!(
            out,
            "| {case} | {client} | {figure} | at most {} | {verdict} |",
            limit.at_most
        );
    }
    out.push('\n');
    out
}

fn said(verdict: Verdict) -> String {
    match verdict {
        Verdict::Passed(ratio) => format!("{ratio:.2}"),
        Verdict::Missed(ratio) => format!("**{ratio:.2}, missed**"),
        Verdict::Unclear(ratio) => format!("**{ratio:.2}, but the ranges touch**"),
        Verdict::Unknown => "not measured".to_owned(),
    }
}

const OF_THE_REST: &str = "\
Settings, and how to read it, are those of the gated cases. A client that the command does not name was \
left out, as were counts of system calls and of allocations; there are half as many records. 10,000 partitions were measured in one round.
";

const SETTINGS: &str = "\
**How to read it.** CPU is user and system time of the client's process for each record, median over \
the rounds with the range; clients took turns in every round. `ratio` is to our dearest row, or to \
the cheapest where we have none. Wall rates are for orientation: broker and client share a small \
machine. `broker busy` near 100 % means that the rate is the broker's. `stolen` is the most that the host \
took of this machine's processor time in a round that counts: a round that lost more than 10 % was \
measured up to three times, and the one that lost least was kept. `calls/batch` are system calls of \
the whole process, counted by strace in runs of their own.

**Settings.** acks=all, idempotence where the client has it (rskafka has not), linger 5 ms, or \
200 ms where a thousand partitions and more fill in turns, batches of 256 KiB unless the case says \
otherwise, 64 MiB of buffer, five requests in flight, explicit \
partitions in turn, no keys unless the case says `keyed`; codecs at each client's default level. \
Consumers are assigned every partition from offset 0, fetch 1 MiB a partition, and look at two bytes \
of every value. librdkafka: `fetch.queue.backoff.ms=1` (its default of one second stalls a fast \
consumer), `check.crcs` off as by default, on in `librdkafka-crc`. krafka: `max_poll_records` above \
what a fetch brings (its default of 500 fetches everything several times). franz-go: 500,000 records \
may be buffered, as in librdkafka. 50,000 handles are outstanding in `krafka` and `rdkafka-future`, \
10,000 futures in `rskafka`; `rskafka-batch` is given whole batches by the application. Values are \
lent to franz-go, Java and krafka, which need not copy them before they encode; librdkafka copies \
them, as its users let it; rskafka's records own theirs, so its application copies. Java: a heap \
of 512 MiB, 3 million records to warm up (300,000 with gzip, 600,000 from 1,000 partitions on); the \
others a tenth of what is measured. rskafka has no figure for very many partitions (it opens a connection \
for each), Java none for 1,000 clients (they do not fit into that heap).

**The other cases.** `latency`: records on a schedule that waits for nobody, without linger, timed \
from when each was due until its acknowledgement was seen (awaited in order; by callback in `callback`, \
librdkafka, Java and franz-go). `transaction`: so many records, then a commit, on our reference broker; \
`requests_per_transaction` are all that the broker saw. `end-to-end`: written and read in one process on \
our reference broker, with `rate` timed from when each was due until it was read. `cold-…`: from the \
start of the process to its first record. `idle-…`: `bytes_each` is live heap for each client or \
partition (Java and Go after a collection), `wakeups_per_s` voluntary context switches of the process, \
`requests_per_s` what the broker saw. `stall`: 16 partitions, a fetch budget of 16 MiB \
(`fetch.buffer.memory`, `queued.max.messages.kbytes`, `fetch.max.bytes`), one batch taken and then none. \
`overload`: 80 MB/s are offered to a broker that takes 20, which after five seconds is frozen; \
`buffer.memory` 32 MiB, what there is no room for is dropped; `left_mib` is what is held over what was \
before. `allocations_per_record` is of clients that use the C library's heap.

**What it does not show.** Real brokers, replication, TLS, groups, other processors, latency on a \
machine with cores to spare; the canned batches repeat after eight.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::tests::measurement;

    #[test]
    fn what_was_written_before_is_replaced_and_the_rest_stays() {
        let (begin, end) = ALL;
        let once = insert("# Results\n\nMine.\n", ALL, "one\n");
        let twice = insert(&format!("{once}\nAfter.\n"), ALL, "two\n");
        assert_eq!(once, format!("# Results\n\nMine.\n\n{begin}\none\n{end}\n"));
        assert_eq!(twice, format!("# Results\n\nMine.\n\n{begin}\ntwo\n{end}\n\nAfter.\n"));
        assert_eq!(insert(&twice, ALL, "two\n"), twice);
    }

    #[test]
    fn a_case_that_is_drawn_shows_its_chart() {
        let case = "produce/100/none/p1";
        let results = Results::of(&[measurement(case, "java", 0, 400.0)]);
        let section = section(&results, &Surroundings::default());
        assert!(section.contains("](charts/produce-100-none-p1.svg)"), "{section}");
    }

    #[test]
    fn who_is_missing_is_said_before_any_figure() {
        let missing = vec![("java".to_owned(), "no javac".to_owned())];
        let surroundings = Surroundings { missing, ..Surroundings::default() };
        let results = Results::of(&[measurement("a", "franz-go", 0, 400.0)]);
        let section = section(&results, &surroundings);
        assert!(
            section.find("java was not measured") < section.find("franz-go | 400"),
            "{section}"
        );
    }
}
