//! The command line.

use std::net::SocketAddr;

use ottla_broker::cluster::{Cluster, ClusterBuilder, TopicSpec};
use ottla_broker::world::MAX_TRANSACTION_VERSION;

/// What the command line asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// The help text.
    Help,
    /// The version.
    Version,
    /// A cluster.
    Run {
        /// What it is to be.
        cluster: Box<ClusterBuilder>,
        /// Whether to say when it serves.
        print_ready: bool,
    },
}

/// Why a command line is refused, in one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ArgsError {
    #[error("unknown option `{0}`; --help lists them all")]
    Unknown(String),
    #[error("{0} needs a value")]
    NoValue(String),
    #[error("{option} {value}: expected {expected}")]
    Value { option: &'static str, value: String, expected: &'static str },
    #[error("--listen {0}: clients cannot connect to that address; give one with --advertise")]
    NotRoutable(SocketAddr),
}

/// What `--help` prints.
pub(crate) const HELP: &str = "\
A small Kafka broker: a whole cluster in one process, in memory, for tests and examples.

Usage: ottla-broker [OPTIONS]

Options:
  --listen ADDRESS:PORT     Where the first broker listens; the others take the ports behind it.
                            Port 0 picks a free one for each. [127.0.0.1:9092]
  --advertise HOST:PORT     What clients are told to connect to, if it is not where the broker
                            listens: behind a container's port mapping, say. Others as above.
  --brokers N               How many brokers, with the ids 1 to N. [1]
  --racks NAME[,NAME...]    The racks of the brokers, in the order of their ids. Consumers with a
                            client.rack read from the replica in theirs, if they may:
                            --config replica.selector.class=\
                            org.apache.kafka.common.replica.RackAwareReplicaSelector
  --topic NAME:PARTITIONS[:REPLICAS]
                            Creates a topic; may be repeated.
  --auto-create             Creates topics when clients ask for them.
  --config KEY=VALUE        A broker setting by Kafka's name, such as num.partitions=6; may be
                            repeated.
  --feature NAME=LEVEL      The level of a feature: transaction.version, 0 to 2. Up to 1, producers
                            speak the transaction protocol before KIP-890. [2]
  --print-ready             Prints `ready HOST:PORT[,HOST:PORT...]` once clients can connect.
  -h, --help                Prints this.
  -V, --version             Prints the version.

It keeps everything in memory and forgets it when it ends. SIGTERM and Ctrl-C end it.

Example: three brokers on ports that are free, with a replicated topic:
  ottla-broker --brokers 3 --listen 127.0.0.1:0 --topic orders:6:3 --print-ready
";

/// Reads the command line, without the name of the program.
pub(crate) fn parse(args: impl IntoIterator<Item = String>) -> Result<Ask, ArgsError> {
    let mut args = args.into_iter();
    let mut listen = SocketAddr::from(([127, 0, 0, 1], 9092));
    let mut advertised = false;
    let mut cluster =
        DEFAULTS.iter().fold(Cluster::builder().brokers(1), |cluster, (name, value)| {
            cluster.config(*name, *value)
        });
    let mut print_ready = false;
    while let Some(arg) = args.next() {
        // `--option value` and `--option=value`.
        let (option, attached) = match arg.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value.to_owned())),
            _ => (&*arg, None),
        };
        let mut value = || {
            attached
                .clone()
                .or_else(|| args.next())
                .ok_or_else(|| ArgsError::NoValue(option.to_owned()))
        };
        cluster = match option {
            "-h" | "--help" if attached.is_none() => return Ok(Ask::Help),
            "-V" | "--version" if attached.is_none() => return Ok(Ask::Version),
            "--listen" => {
                listen = address(value()?)?;
                cluster
            }
            "--advertise" => {
                advertised = true;
                advertise(cluster, value()?)?
            }
            "--brokers" => brokers(cluster, value()?)?,
            "--racks" => cluster.racks(value()?.split(',')),
            "--topic" => topic(cluster, value()?)?,
            "--config" => config(cluster, value()?)?,
            "--feature" => feature(cluster, value()?)?,
            "--auto-create" => cluster.auto_create(switch("--auto-create", attached)?),
            "--print-ready" => {
                print_ready = switch("--print-ready", attached)?;
                cluster
            }
            _ => return Err(ArgsError::Unknown(arg)),
        };
    }
    if listen.ip().is_unspecified() && !advertised {
        return Err(ArgsError::NotRoutable(listen));
    }
    let cluster = cluster.listen(listen).keep_requests(0).random_seed();
    Ok(Ask::Run { cluster: Box::new(cluster), print_ready })
}

/// Whether an option that stands alone is on; it can be followed by `=false`.
fn switch(option: &'static str, attached: Option<String>) -> Result<bool, ArgsError> {
    match attached.as_deref() {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(_) => {
            let value = attached.unwrap_or_default();
            Err(ArgsError::Value { option, value, expected: "true, false or nothing" })
        }
    }
}

fn address(value: String) -> Result<SocketAddr, ArgsError> {
    let expected = "an address and a port, such as 127.0.0.1:9092";
    value.parse().map_err(|_| ArgsError::Value { option: "--listen", value, expected })
}

fn advertise(cluster: ClusterBuilder, value: String) -> Result<ClusterBuilder, ArgsError> {
    let parsed = value.rsplit_once(':').and_then(|(host, port)| Some((host, port.parse().ok()?)));
    match parsed {
        // Brackets part an IPv6 address from its port; they are no part of it.
        Some((host, port)) if !host.is_empty() => {
            let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
            Ok(cluster.advertise(bare.unwrap_or(host), port))
        }
        _ => {
            let expected = "a host and a port, such as localhost:9092";
            Err(ArgsError::Value { option: "--advertise", value, expected })
        }
    }
}

fn brokers(cluster: ClusterBuilder, value: String) -> Result<ClusterBuilder, ArgsError> {
    let expected = "a number from 1 to 1000";
    match value.parse() {
        Ok(count @ 1..=1000) => Ok(cluster.brokers(count)),
        _ => Err(ArgsError::Value { option: "--brokers", value, expected }),
    }
}

fn topic(cluster: ClusterBuilder, value: String) -> Result<ClusterBuilder, ArgsError> {
    let mut parts = value.split(':');
    let name = parts.next().unwrap_or_default();
    let partitions = parts.next().map_or(Some(-1), |count| count.parse().ok());
    let replicas = parts.next().map_or(Some(-1), |count| count.parse().ok());
    match (partitions, replicas, parts.next()) {
        (Some(partitions), Some(replicas), None) if !name.is_empty() => {
            Ok(cluster.topic(TopicSpec::new(name).partitions(partitions).replicas(replicas)))
        }
        _ => {
            let expected = "NAME:PARTITIONS[:REPLICAS], such as orders:6:3";
            Err(ArgsError::Value { option: "--topic", value, expected })
        }
    }
}

fn config(cluster: ClusterBuilder, value: String) -> Result<ClusterBuilder, ArgsError> {
    match value.split_once('=') {
        Some((name, setting)) => Ok(cluster.config(name.trim(), setting.trim())),
        None => {
            let expected = "KEY=VALUE, such as num.partitions=6";
            Err(ArgsError::Value { option: "--config", value, expected })
        }
    }
}

fn feature(cluster: ClusterBuilder, value: String) -> Result<ClusterBuilder, ArgsError> {
    let parsed = value.split_once('=').and_then(|(name, level)| Some((name, level.parse().ok()?)));
    match parsed {
        Some(("transaction.version", level @ 0..=MAX_TRANSACTION_VERSION)) => {
            Ok(cluster.transaction_version(level))
        }
        _ => {
            let expected = "NAME=LEVEL, such as transaction.version=1";
            Err(ArgsError::Value { option: "--feature", value, expected })
        }
    }
}

/// Where this program differs from Kafka unless told otherwise: a first rebalance without three
/// seconds of nothing, and a dead member that is noticed soon.
const DEFAULTS: &[(&str, &str)] =
    &[("group.initial.rebalance.delay.ms", "100"), ("group.min.session.timeout.ms", "1000")];

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(args: &[&str]) -> String {
        parse(args.iter().map(ToString::to_string)).unwrap_err().to_string()
    }

    #[test]
    fn a_bad_flag_is_refused_in_one_line_that_says_what_to_do() {
        for (args, told) in [
            (&["--speed"][..], "unknown option `--speed`; --help lists them all"),
            (&["--brokers"], "--brokers needs a value"),
            (&["--brokers", "0"], "--brokers 0: expected a number from 1 to 1000"),
            (
                &["--topic=a:b"],
                "--topic a:b: expected NAME:PARTITIONS[:REPLICAS], such as orders:6:3",
            ),
            (
                &["--feature", "transaction.version=3"],
                "--feature transaction.version=3: expected NAME=LEVEL, such as \
                 transaction.version=1",
            ),
            (&["--auto-create=no"], "--auto-create no: expected true, false or nothing"),
            (&["--help=me"], "unknown option `--help=me`; --help lists them all"),
            (&["--config", "x"], "--config x: expected KEY=VALUE, such as num.partitions=6"),
            (
                &["--listen", "0.0.0.0:9092"],
                "--listen 0.0.0.0:9092: clients cannot connect to that address; give one with \
                 --advertise",
            ),
        ] {
            assert_eq!(refused(args), told);
        }
    }

    #[test]
    fn a_switch_can_be_turned_off() {
        let ready = |args: &[&str]| match parse(args.iter().map(ToString::to_string)) {
            Ok(Ask::Run { print_ready, .. }) => print_ready,
            other => panic!("{other:?}"),
        };
        assert!(!ready(&[]));
        assert!(ready(&["--print-ready"]) && ready(&["--print-ready=true"]));
        assert!(
            !ready(&["--print-ready=false"]) && !ready(&["--print-ready", "--print-ready=false"])
        );
    }

    #[test]
    fn topics_are_not_made_on_demand_where_that_is_turned_off() {
        for (switch, made) in [
            ("--auto-create", "true"),
            ("--auto-create=true", "true"),
            ("--auto-create=false", "false"),
        ] {
            let Ok(Ask::Run { cluster, .. }) = parse([switch.to_owned()]) else {
                panic!("{switch}")
            };
            let told = format!("{cluster:?}");
            let setting = format!("(\"auto.create.topics.enable\", \"{made}\")");
            assert!(told.contains(&setting), "{told}");
        }
    }

    #[test]
    fn every_option_that_the_help_names_is_known() {
        for word in HELP.split_whitespace().filter(|word| word.starts_with("--")) {
            let option = word.trim_end_matches(',');
            assert_ne!(refused_or_fine(&[option, "1"]), Err(ArgsError::Unknown(option.to_owned())));
        }
    }

    fn refused_or_fine(args: &[&str]) -> Result<(), ArgsError> {
        parse(args.iter().map(ToString::to_string)).map(drop)
    }
}
