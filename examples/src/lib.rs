//! What the sample programs share: which cluster to talk to, and how to end.
//!
//! `--bootstrap` wins, then `KAFKA_BOOTSTRAP_SERVERS`. Without either, a broker is started within
//! the program. Nobody's `localhost:9092` is tried unasked: it may be somebody's real cluster.
#![expect(clippy::print_stderr, reason = "these are programs")]

pub mod format;

use std::io::ErrorKind;
use std::ops::Deref;
use std::process::ExitCode;
use std::{fmt, io};

use ottla::Kafka;
use ottla_broker::Cluster as Embedded;
use ottla_broker::cluster::TopicSpec;

/// The options that all programs have.
#[derive(Debug, Clone, clap::Args)]
#[expect(clippy::doc_markdown, reason = "it is shown as help, without markup")]
pub struct Cluster {
    /// Brokers to begin with, as host:port,host:port. Without them, KAFKA_BOOTSTRAP_SERVERS, or a
    /// broker within this program.
    #[arg(long, value_name = "SERVERS")]
    bootstrap: Option<String>,
    /// A client setting, by its Java or librdkafka name; may be repeated.
    #[arg(short = 'X', value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// A file of client settings.
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
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
    pub async fn connect(&self, topics: &[(&str, i32)]) -> Result<Connected, Failure> {
        let given = self.bootstrap.clone().or_else(|| std::env::var(ENVIRONMENT).ok());
        let (servers, embedded) = match given {
            Some(servers) => (servers, None),
            None => {
                let embedded = start(topics).await?;
                let servers = embedded.bootstrap().join(",");
                eprintln!("using embedded broker {servers} (pass --bootstrap to use another)");
                (servers, Some(embedded))
            }
        };
        let mut builder = Kafka::builder();
        if let Some(file) = &self.config {
            builder = builder.properties_file(file)?;
        }
        for setting in &self.set {
            let (key, value) = setting
                .split_once('=')
                .ok_or_else(|| Failure::new(format!("-X {setting}: write it as key=value")))?;
            builder = builder.set(key, value);
        }
        let kafka = builder.set("bootstrap.servers", servers).connect().await?;
        Ok(Connected { kafka, embedded })
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

/// Waits for Ctrl-C or SIGTERM.
///
/// # Cancel safety
///
/// Cancel safe: nothing but the wait is lost.
pub async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                biased;
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
    }
    // Without a handler there is nothing to wait for but the end of the process.
    drop(tokio::signal::ctrl_c().await);
}

const ENVIRONMENT: &str = "KAFKA_BOOTSTRAP_SERVERS";
