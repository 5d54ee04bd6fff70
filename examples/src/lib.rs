//! What the sample programs share: which cluster to talk to, and how to end.
//!
//! What is said closest to the program counts: `--bootstrap`, then `-X bootstrap.servers=…`, then the
//! file of `--config`, then `KAFKA_BOOTSTRAP_SERVERS`. Where none of them names a broker, one is
//! started within the program. Nobody's `localhost:9092` is tried unasked: it may be somebody's real
//! cluster.
#![expect(clippy::print_stderr, reason = "these are programs")]

pub mod format;
mod stop;

use std::io::ErrorKind;
use std::ops::Deref;
use std::path::PathBuf;
use std::process::ExitCode;
use std::{env, fmt, fs, io};

use ottla::{Kafka, KafkaBuilder};
use ottla_broker::Cluster as Embedded;
use ottla_broker::cluster::TopicSpec;

pub use stop::stop_signal;

/// The options that all programs have.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::doc_markdown, reason = "it is shown as help, without markup")]
pub struct Cluster {
    /// Brokers to begin with, as host:port,host:port. Without them, those that -X or --config
    /// names, or KAFKA_BOOTSTRAP_SERVERS, or a broker within this program.
    #[arg(long, value_name = "SERVERS")]
    bootstrap: Option<String>,
    /// A client setting, by its Java or librdkafka name; may be repeated.
    #[arg(short = 'X', value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A file of client settings.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// A connection, and the broker behind it if that is ours.
#[derive(Debug)]
pub struct Connected {
    kafka: Kafka,
    embedded: Option<Embedded>,
}

impl Cluster {
    /// Adds a setting, before those of the command line.
    pub fn set(&mut self, name: &str, value: impl fmt::Display) {
        self.set.insert(0, format!("{name}={value}"));
    }

    /// Connects. An embedded broker begins with `topics`: name and partitions.
    ///
    /// # Errors
    ///
    /// [`Failure`], when there is no such cluster or a setting is wrong.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun ends.
    pub async fn connect(&self, topics: &[(&str, i32)]) -> Result<Connected, Failure> {
        let builder = self.settings()?;
        if self.names_brokers() {
            return Ok(Connected { kafka: builder.connect().await?, embedded: None });
        }
        let embedded = start(topics).await?;
        let servers = embedded.bootstrap().join(",");
        eprintln!("using embedded broker {servers} (pass --bootstrap to use another)");
        let kafka = builder.bootstrap_servers(&servers).connect().await?;
        Ok(Connected { kafka, embedded: Some(embedded) })
    }

    /// The settings of all sources. The last one of a name counts, so the closest comes last.
    fn settings(&self) -> Result<KafkaBuilder, Failure> {
        let mut builder = Kafka::builder();
        if let Some(servers) = servers_of_environment() {
            builder = builder.bootstrap_servers(&servers);
        }
        if let Some(file) = &self.config {
            builder = builder.properties_file(file)?;
        }
        for setting in &self.set {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| Failure::new(format!("-X {setting}: write it as key=value")))?;
            builder = builder.set(key, value);
        }
        Ok(match &self.bootstrap {
            Some(servers) => builder.bootstrap_servers(servers),
            None => builder,
        })
    }

    /// Whether any source says where to begin. Whether what it says is right is for the client to
    /// tell: a mistake must not end at another broker.
    fn names_brokers(&self) -> bool {
        // One that cannot be read was refused before.
        let text = self.config.as_ref().and_then(|file| fs::read_to_string(file).ok());
        self.bootstrap.is_some()
            || servers_of_environment().is_some()
            || self.set.iter().any(|setting| is_of_brokers(setting))
            || text.is_some_and(|text| text.lines().any(is_of_brokers))
    }
}

impl Connected {
    /// Whether the broker ends with this program.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }
}

impl Deref for Connected {
    type Target = Kafka;

    fn deref(&self) -> &Kafka {
        &self.kafka
    }
}

/// An empty variable is none, as in a shell.
fn servers_of_environment() -> Option<String> {
    let servers = env::var_os(ENVIRONMENT)?.to_string_lossy().into_owned();
    Some(servers).filter(|servers| !servers.is_empty())
}

/// Whether a line of settings, as Java writes them, says where to begin.
fn is_of_brokers(line: &str) -> bool {
    let ends = |letter: char| matches!(letter, '=' | ':') || letter.is_whitespace();
    line.trim_start().split(ends).next().is_some_and(|name| BROKERS.contains(&name))
}

async fn start(topics: &[(&str, i32)]) -> Result<Embedded, Failure> {
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let mut builder = Embedded::builder().brokers(1).listen(loopback).auto_create(true);
    for (name, partitions) in topics {
        builder = builder.topic(TopicSpec::new(*name).partitions(*partitions).replicas(1));
    }
    Ok(builder.start().await?)
}

/// Why a program ends: one line, without a backtrace.
pub struct Failure(
    /// `None` where nobody is left to tell.
    Option<String>,
);

impl<E: std::error::Error + 'static> From<E> for Failure {
    /// That whoever read the output has gone, as `head` does once it has enough, is no mistake.
    fn from(error: E) -> Self {
        let any: &(dyn std::error::Error + 'static) = &error;
        match any.downcast_ref::<io::Error>() {
            Some(io) if io.kind() == ErrorKind::BrokenPipe => Self(None),
            _ => Self(Some(error.to_string())),
        }
    }
}

impl Failure {
    /// A failure of the program's own.
    pub fn new(why: impl Into<String>) -> Self {
        Self(Some(why.into()))
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_deref().unwrap_or("nobody reads the output any more"))
    }
}

/// Ends a program: its failure as one line, and exit code 1.
#[must_use]
pub fn end(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) | Err(Failure(None)) => ExitCode::SUCCESS,
        Err(Failure(Some(why))) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

const ENVIRONMENT: &str = "KAFKA_BOOTSTRAP_SERVERS";

/// What Java and librdkafka call the brokers to begin with.
const BROKERS: [&str; 2] = ["bootstrap.servers", "metadata.broker.list"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_brokers_however_java_would_write_it() {
        for line in
            ["bootstrap.servers=a:1", " bootstrap.servers : a:1", "metadata.broker.list a:1"]
        {
            assert!(is_of_brokers(line), "{line}");
        }
    }

    #[test]
    fn a_comment_and_another_name_name_no_brokers() {
        for line in ["#bootstrap.servers=a:1", "! bootstrap.servers=a:1", "bootstrap.servers.x=1"] {
            assert!(!is_of_brokers(line), "{line}");
        }
    }
}
