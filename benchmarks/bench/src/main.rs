//! Measures Kafka clients beside one another, in one interleaved run.

mod cases;
mod clients;
mod counted;
mod footprint;
mod gates;
mod install;
mod journal;
mod measure;
mod measurement;
mod payload;
mod pin;
mod plan;
mod process;
mod progress;
mod report;
mod stats;
mod stolen;
mod surroundings;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use cases::Case;
use clap::Parser;
use clients::{Client, Driver};
use gates::{GATES, LIMITS, OWN_LIMITS, Verdict};
use install::{Profile, Workshop};
use journal::{Identity, Journal};
use measure::{Bench, Kafka};
use pin::{CoreList, Cores};
use plan::Job;
use progress::{Pace, clock};
use report::Results;
use report::markdown::{self, Surroundings};
use report::{readme, table};
use stolen::Share;

/// What went wrong, for a person to read.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Measures Kafka clients beside one another, in one interleaved run.
///
/// Builds what it needs. A client that cannot be built is named and left out. A run that was
/// interrupted goes on where it was when it is started again in the same way. A whole run, or one
/// with --gate, writes RESULTS.md and charts/; one with --rest writes what these two do not share.
#[derive(Debug, Parser)]
#[command(name = "bench")]
struct Arguments {
    /// One round of few records, built without optimization and with checksums verified: whether
    /// everything works, not how fast
    #[arg(long, conflicts_with = "gate")]
    quick: bool,
    /// Only the cases that gates are on, and in those only us and whom we are to be ahead of; fail
    /// unless all of them are passed
    #[arg(long)]
    gate: bool,
    /// Only the cases that no gate is on, half as long, and with nothing counted beside the time
    #[arg(long, conflicts_with_all = ["gate", "quick"])]
    rest: bool,
    /// Only these cases; a prefix such as `consume/100` names several
    #[arg(long, num_args = 1.., value_name = "NAME")]
    case: Vec<String>,
    /// Only these clients; the name of a driver means all its ways, unless some of them are named
    #[arg(long, num_args = 1.., value_name = "NAME")]
    client: Vec<String>,
    /// Write the results as a list of objects
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Rounds; the median is taken over them
    #[arg(long)]
    rounds: Option<usize>,
    /// Records in every case, instead of the case's own number: to try something out
    #[arg(long, value_name = "N")]
    records: Option<u64>,
    /// Cores of the null broker; the last one by default
    #[arg(long, value_name = "LIST")]
    broker_cores: Option<CoreList>,
    /// Cores of the clients; all but the last one by default
    #[arg(long, value_name = "LIST")]
    client_cores: Option<CoreList>,
    /// Where Apache Kafka is, for the cases on it, which are left out without
    #[arg(long, value_name = "HOST:PORT", env = "KAFKA_BOOTSTRAP_SERVERS")]
    kafka: Option<String>,
    /// For how long the cluster is dead in the case that is about that; 300 by default
    #[arg(long, value_name = "SECONDS")]
    dead: Option<u64>,
    /// Also time how long each Rust client takes to build from nothing; a whole run always does
    #[arg(long)]
    builds: bool,
    /// Begin anew, even if the same run was interrupted
    #[arg(long)]
    fresh: bool,
    /// Name the cases and clients, and measure nothing
    #[arg(long)]
    list: bool,
}

impl Arguments {
    /// Whether every client was asked to do everything in full length; what has no gate is also of use
    /// with some of the clients.
    fn is_for_publication(&self) -> bool {
        let in_full = !self.quick && self.records.is_none() && self.dead.is_none();
        in_full && self.case.is_empty() && (self.client.is_empty() || self.rest)
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, Failure> {
    let cases = chosen_cases(arguments)?;
    if arguments.list {
        list(&cases, arguments);
        return Ok(ExitCode::SUCCESS);
    }
    let profile = if arguments.quick { Profile::Dev } else { Profile::Release };
    let workshop = Workshop::new(profile)?;
    let cores = Cores::divide(arguments.broker_cores.clone(), arguments.client_cores.clone())?;
    let dead = arguments.dead.unwrap_or(if arguments.quick { 2 } else { DEAD_SECONDS });
    let tools = workshop.tools();
    payload::write(&tools, cases.iter().map(|case| case.size))?;
    let bench = Bench {
        nullbroker: workshop.nullbroker()?,
        refbroker: workshop.refbroker()?,
        heap: workshop.heap().inspect_err(|why| eprintln!("-- heaps are not counted: {why}")).ok(),
        kafka: kafka(&workshop, arguments)?,
        scratch: tools.clone(),
        cores,
        records: arguments.records.or(arguments.quick.then_some(QUICK_RECORDS)),
        halved: arguments.rest,
        quick: arguments.quick,
        dead: Duration::from_secs(dead),
    };
    let (commands, missing) = install(&workshop, &cases, arguments)?;
    let rounds = arguments.rounds.unwrap_or(if arguments.quick { 1 } else { ROUNDS });
    let jobs = plan::jobs(rounds, &cases, |case| {
        let wanted = wanted_clients(case, arguments);
        wanted.into_iter().filter(|client| commands.contains_key(&client.driver)).collect()
    });
    let identity = identity(&cases, &jobs, rounds, &bench, &workshop);
    let path = tools.join("run.jsonl");
    if arguments.fresh || arguments.quick {
        fs::remove_file(&path).or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })?;
    }
    let mut journal = Journal::open(&path, &identity)?;
    let counts = bench.records.is_none() && !arguments.rest;
    let failed = measure_all(&jobs, &commands, &bench, counts, &mut journal)?;
    // Finished: what comes next is another run.
    fs::rename(&path, path.with_file_name("last-run.jsonl"))?;
    let everything = arguments.is_for_publication() && !arguments.gate && !arguments.rest;
    let footprints =
        if arguments.builds || everything { footprint::measure_all(&workshop) } else { Vec::new() };
    let surroundings = Surroundings {
        machine: surroundings::machine(&bench.cores, rounds),
        command: surroundings::command(),
        missing,
        failed,
        footprints,
    };
    conclude(arguments, &workshop, &Results::of(&journal.done), &surroundings)
}

fn kafka(workshop: &Workshop, arguments: &Arguments) -> Result<Option<Kafka>, Failure> {
    let Some(address) = arguments.kafka.clone() else { return Ok(None) };
    Ok(Some(Kafka { address, make_topic: workshop.make_topic()? }))
}

/// Rounds of a run that counts.
const ROUNDS: usize = 5;

/// How often a run is made from which the host takes much.
const TRIES: usize = 3;

/// How long the cluster is dead.
const DEAD_SECONDS: u64 = 300;

/// Records of a run that only shows that everything works.
const QUICK_RECORDS: u64 = 20_000;

fn chosen_cases(arguments: &Arguments) -> Result<Vec<Case>, Failure> {
    let all = match (arguments.quick, arguments.gate, arguments.case.is_empty()) {
        (true, _, true) => cases::quick(),
        (_, true, true) => cases::gated(),
        _ if arguments.rest => cases::rest(),
        _ => cases::all(),
    };
    let is_part = arguments.quick || arguments.gate || arguments.rest;
    let on_kafka = if arguments.kafka.is_some() && !is_part { cases::kafka() } else { Vec::new() };
    let all = [all, on_kafka].concat();
    let is_wanted = |case: &Case| {
        let name = case.to_string();
        let within = |wanted: &String| {
            name.strip_prefix(wanted.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        arguments.case.is_empty() || arguments.case.iter().any(within)
    };
    // A full name means that case alone, though others begin with it.
    let exact: Vec<Case> =
        all.iter().filter(|case| arguments.case.contains(&case.to_string())).copied().collect();
    let chosen: Vec<Case> = match exact.len() == arguments.case.len() && !exact.is_empty() {
        true => exact,
        false => all.into_iter().filter(is_wanted).collect(),
    };
    if chosen.is_empty() {
        return Err("no case has such a name; --list shows all".into());
    }
    Ok(chosen)
}

/// A driver's name means all its ways, unless some of them are named.
fn wanted_clients(case: &Case, arguments: &Arguments) -> Vec<Client> {
    let all = clients::of(case.op);
    let is_named = |client: &Client| arguments.client.iter().any(|name| name == client.name);
    let wanted = |client: &&Client| {
        let driver = client.driver;
        let one_is_named = all.iter().any(|other| other.driver == driver && is_named(other));
        let by_driver = !one_is_named && arguments.client.iter().any(|name| name == driver.name());
        let asked_for = arguments.client.is_empty() || is_named(client) || by_driver;
        let gated = !arguments.gate || gates::measures(&case.to_string(), client.name);
        asked_for && gated && client.takes_part_in(case)
    };
    all.iter().filter(wanted).copied().collect()
}

fn list(cases: &[Case], arguments: &Arguments) {
    for case in cases {
        let clients = wanted_clients(case, arguments);
        let names: Vec<&str> = clients.iter().map(|client| client.name).collect();
        println!("{case}: {}", names.join(", "));
    }
}

/// How each driver is started, and why those that are missing are.
type Fleet = (BTreeMap<Driver, Vec<String>>, Vec<(String, String)>);

fn install(workshop: &Workshop, cases: &[Case], arguments: &Arguments) -> Result<Fleet, Failure> {
    let (mut commands, mut missing) = (BTreeMap::new(), Vec::new());
    for driver in Driver::ALL {
        let is_wanted = |case: &Case| {
            wanted_clients(case, arguments).iter().any(|client| client.driver == driver)
        };
        if !cases.iter().any(is_wanted) {
            continue;
        }
        eprintln!("-- building {}", driver.name());
        match workshop.driver(driver) {
            Ok(command) => {
                commands.insert(driver, command);
            }
            Err(why) => {
                eprintln!("-- SKIPPED: {} cannot be measured: {why}", driver.name());
                missing.push((driver.name().to_owned(), why.to_string()));
            }
        }
    }
    if commands.is_empty() {
        return Err("there is no client to measure".into());
    }
    Ok((commands, missing))
}

fn identity(
    cases: &[Case],
    jobs: &[Job],
    rounds: usize,
    bench: &Bench,
    workshop: &Workshop,
) -> Identity {
    let mut clients: Vec<String> = jobs.iter().map(|job| job.client.name.to_owned()).collect();
    clients.sort();
    clients.dedup();
    Identity {
        commit: surroundings::commit(workshop.benchmarks()),
        cases: cases.iter().map(Case::to_string).collect(),
        clients,
        rounds,
        records: bench.records,
        dead: bench.dead.as_secs(),
        broker_cores: bench.cores.broker.to_string(),
        client_cores: bench.cores.clients.to_string(),
    }
}

/// Runs what the journal does not have yet, and `counts` in the first round. Returns what failed, each
/// in a sentence.
fn measure_all(
    jobs: &[Job],
    commands: &BTreeMap<Driver, Vec<String>>,
    bench: &Bench,
    counts: bool,
    journal: &mut Journal,
) -> Result<Vec<String>, Failure> {
    let names: Vec<String> = jobs.iter().map(|job| job.case.to_string()).collect();
    let mut failed: Vec<(String, &str, String)> = Vec::new();
    let mut pace = Pace::default();
    let traces = counts && counted::can_trace();
    if !journal.done.is_empty() {
        eprintln!("-- going on after {} runs", journal.done.len());
    }
    for (at, (job, case)) in jobs.iter().zip(&names).enumerate() {
        let client = job.client.name;
        let gave_up = failed.iter().any(|(other, name, _)| other == case && *name == client);
        if gave_up || journal.has(case, client, job.round) {
            continue;
        }
        let Some(command) = commands.get(&job.client.driver) else { continue };
        let began = Instant::now();
        let tries = if bench.quick || job.case.op.is_watched() { 1 } else { TRIES };
        let mut outcome = stolen::least(tries, Share::now, || bench.run(job, command));
        if let Ok(measured) = &mut outcome
            && counts
            && job.round == 0
        {
            counted::add(measured, bench, job, command, traces);
        }
        pace.handle_done(case, client, began.elapsed());
        let later = jobs[at + 1..].iter().zip(&names[at + 1..]);
        let later: Vec<(&str, &'static str)> = later
            .filter(|(job, case)| !journal.has(case, job.client.name, job.round))
            .map(|(job, case)| (case.as_str(), job.client.name))
            .collect();
        let left = pace.left(later).map(clock).unwrap_or_default();
        let said = match &outcome {
            Ok(measured) => format!("{:>7.0} ns/record", measured.cpu_ns_per_record()),
            Err(why) => format!("FAILED: {why}"),
        };
        let (number, total, round) = (at + 1, jobs.len(), job.round + 1);
        eprintln!(
            "[{number:>4}/{total}] round {round}  {left:>7} left  {case:<28} {client:<17} {said}"
        );
        match outcome {
            Ok(measured) => journal.add(measured)?,
            Err(why) => failed.push((case.clone(), client, why.to_string())),
        }
    }
    Ok(failed.into_iter().map(|(case, client, why)| format!("{client} in {case}: {why}")).collect())
}

fn conclude(
    arguments: &Arguments,
    workshop: &Workshop,
    results: &Results,
    surroundings: &Surroundings,
) -> Result<ExitCode, Failure> {
    for case in results.cases() {
        println!("{}", table::table(case, &results.of_case(case)));
    }
    print!("{}", footprint::section(&surroundings.footprints));
    for (client, why) in &surroundings.missing {
        eprintln!("-- SKIPPED: {client}: {why}");
    }
    for sentence in &surroundings.failed {
        eprintln!("-- FAILED: {sentence}");
    }
    if let Some(path) = &arguments.json {
        fs::write(path, serde_json::to_string_pretty(&results.rows)? + "\n")?;
    }
    if arguments.is_for_publication() {
        publish(workshop.benchmarks(), arguments.rest, results, surroundings)?;
    }
    let gates_hold = !arguments.gate || all_gates_pass(results, arguments.is_for_publication());
    // A client that was asked for by name must not be missing; of all there are, some may be.
    let named = !arguments.client.is_empty();
    let all_there = !named || surroundings.missing.is_empty();
    let everything_ran = surroundings.failed.is_empty() && all_there;
    Ok(if gates_hold && everything_ran { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Writes the section of `RESULTS.md` in `folder` that these results are of, its charts, and, unless
/// they are the `rest`, the section of the README above it.
fn publish(
    folder: &Path,
    rest: bool,
    results: &Results,
    surroundings: &Surroundings,
) -> Result<(), Failure> {
    let insert = |page: PathBuf, marks, section: String| {
        let before = fs::read_to_string(&page)?;
        fs::write(&page, markdown::insert(&before, marks, &section))
    };
    let page = folder.join("RESULTS.md");
    if rest {
        insert(page, markdown::REST, markdown::rest(results, surroundings))?;
    } else {
        insert(page, markdown::ALL, markdown::section(results, surroundings))?;
        let section = readme::section(results, surroundings);
        insert(folder.with_file_name("README.md"), markdown::ALL, section)?;
    }
    let charts = folder.join("charts");
    fs::create_dir_all(&charts)?;
    for case in results.cases().into_iter().filter(|case| report::chart::is_drawn(case)) {
        let chart = report::chart::bars(case, &results.of_case(case));
        fs::write(charts.join(report::chart::file_name(case)), chart)?;
    }
    Ok(())
}

/// A gate whose case or client was not measured holds only in a run that was not for all of them.
fn all_gates_pass(results: &Results, all_measured: bool) -> bool {
    let mut verdicts: Vec<(String, Verdict)> = GATES
        .iter()
        .map(|gate| (format!("{} {} / {}", gate.case, gate.theirs, gate.ours), gate.judge(results)))
        .collect();
    verdicts.extend(LIMITS.iter().map(|limit| {
        (format!("{} {} {}", limit.case, limit.client, limit.figure), limit.judge(results))
    }));
    verdicts.extend(OWN_LIMITS.iter().map(|limit| (limit.case.to_owned(), limit.judge(results))));
    verdicts.retain(|(_, verdict)| match verdict {
        Verdict::Passed(_) => false,
        Verdict::Missed(_) | Verdict::Unclear(_) => true,
        Verdict::Unknown => all_measured,
    });
    for (gate, verdict) in &verdicts {
        eprintln!("-- GATE: {gate}: {verdict:?}");
    }
    verdicts.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_holds_together() {
        use clap::CommandFactory;
        Arguments::command().debug_assert();
    }

    #[test]
    fn the_page_keeps_what_others_wrote_and_its_charts_lie_beside_it() {
        let above = std::env::temp_dir().join(format!("bench-publish-{}", std::process::id()));
        let folder = above.join("benchmarks");
        fs::create_dir_all(&folder).unwrap();
        fs::write(above.join("README.md"), "# ottla\n").unwrap();
        fs::write(folder.join("RESULTS.md"), "# Results\n").unwrap();
        let measured = report::tests::measurement("consume/100/none/p1", "java", 0, 400.0);
        publish(&folder, false, &Results::of(&[measured]), &Surroundings::default()).unwrap();
        let page = fs::read_to_string(folder.join("RESULTS.md")).unwrap();
        let chart = "charts/consume-100-none-p1.svg";
        assert!(page.starts_with("# Results\n") && page.contains(chart), "{page}");
        assert!(fs::read_to_string(folder.join(chart)).unwrap().contains("java"));
        let readme = fs::read_to_string(above.join("README.md")).unwrap();
        assert!(readme.starts_with("# ottla\n") && readme.contains("| java | 400 |"), "{readme}");
        let other = report::tests::measurement("cold-consume/100/none/p1", "java", 0, 9.0);
        publish(&folder, true, &Results::of(&[other]), &Surroundings::default()).unwrap();
        let both = fs::read_to_string(folder.join("RESULTS.md")).unwrap();
        assert!(both.starts_with(&page) && both.contains("### cold-consume/100"), "{both}");
        assert_eq!(fs::read_to_string(above.join("README.md")).unwrap(), readme);
        fs::remove_dir_all(&above).unwrap();
    }

    #[test]
    fn a_prefix_names_several_cases_but_no_half_words() {
        check(&["consume/100"], 14);
        check(&["consume/10"], 0);
        check(&["produce/1024/lz4", "consume/1024/lz4/p16"], 3);
    }

    #[test]
    fn a_full_name_means_that_case_alone() {
        check(&["produce/100/none/p1"], 1);
        check(&["produce/100/none/p1/keyed", "produce/100/none/p1"], 2);
    }

    #[test]
    fn the_rest_is_what_no_gate_is_on_and_may_be_of_some_clients() {
        let parse = |line: &str| Arguments::parse_from(line.split(' '));
        let [all, gated, rest] = ["bench", "bench --gate", "bench --rest"]
            .map(|line| chosen_cases(&parse(line)).unwrap());
        assert_eq!(all, [gated, rest].concat());
        assert!(parse("bench --rest --client java").is_for_publication());
        assert!(!parse("bench --gate --client java").is_for_publication());
        assert!(!parse("bench --rest --records 9").is_for_publication());
    }

    #[test]
    fn a_drivers_name_means_all_its_ways_unless_some_are_named() {
        let case = Case::new(cases::Op::Consume, 100, "none", 1);
        let named = |line: &str| -> Vec<&str> {
            let arguments = Arguments::parse_from(line.split(' '));
            wanted_clients(&case, &arguments).iter().map(|client| client.name).collect()
        };
        assert_eq!(named("bench --client ottla"), ["ottla-lent", "ottla-owned", "ottla-stream"]);
        assert_eq!(named("bench --client ottla ottla-lent java"), ["ottla-lent", "java"]);
        assert_eq!(named("bench --client librdkafka"), ["librdkafka"]);
    }

    #[track_caller]
    fn check(names: &[&str], expected: usize) {
        let arguments = ["bench", "--case"].iter().chain(names);
        let chosen = chosen_cases(&Arguments::parse_from(arguments));
        assert_eq!(chosen.map_or(0, |cases| cases.len()), expected, "{names:?}");
    }
}
