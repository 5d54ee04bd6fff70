//! Topics, settings and groups.

use std::io::{Write, stdout};

use clap::{Parser, Subcommand};
use ottla::{Admin, AdminError};
use ottla_examples::{Cluster, Failure, end};

#[derive(Parser)]
#[command(about = "Manages topics and groups")]
struct Options {
    #[command(flatten)]
    cluster: Cluster,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Lists topics with their partitions.
    Topics,
    /// Creates a topic.
    Create {
        /// Its name.
        topic: String,
        /// How many partitions it has; without it, num.partitions of the brokers.
        #[arg(long)]
        partitions: Option<i32>,
        /// How many brokers have a copy; without it, default.replication.factor of the brokers.
        #[arg(long)]
        replication: Option<i16>,
    },
    /// Deletes a topic with all its records.
    Delete {
        /// Its name.
        topic: String,
    },
    /// Lists groups.
    Groups,
    /// Shows how far a group is behind.
    Lag {
        /// The group.
        group: String,
    },
}

#[tokio::main]
async fn main() -> std::process::ExitCode {
    end(run(Options::parse()).await)
}

async fn run(options: Options) -> Result<(), Failure> {
    let kafka = options.cluster.connect(&[]).await?;
    let admin = kafka.admin();
    match options.command {
        Some(command) => execute(&admin, command).await,
        None => tour(&admin).await,
    }
}

async fn execute(admin: &Admin, command: Command) -> Result<(), Failure> {
    let mut out = stdout();
    match command {
        Command::Topics => {
            for topic in admin.list_topics().await? {
                writeln!(out, "{}: {} partitions", topic.name, topic.partitions.len())?;
            }
        }
        Command::Create { topic, partitions, replication } => {
            let create = admin.create_topic(topic.as_str());
            let create = match partitions {
                Some(partitions) => create.partitions(partitions),
                None => create,
            };
            match replication {
                Some(replicas) => create.replication(replicas).await?,
                None => create.await?,
            };
            writeln!(out, "created {topic}")?;
        }
        Command::Delete { topic } => {
            admin.delete_topic(topic.as_str()).await?;
            writeln!(out, "deleted {topic}")?;
        }
        Command::Groups => {
            let listing = admin.list_groups().await;
            for group in listing.groups() {
                writeln!(out, "{}", group.id)?;
            }
            told(listing.errors())?;
        }
        Command::Lag { group } => {
            let lag = admin.lag(group.as_str()).await?;
            for (partition, behind) in lag.iter() {
                writeln!(out, "{partition}: {behind}")?;
            }
            told(lag.errors())?;
        }
    }
    Ok(())
}

/// Fails with what is missing from an answer, of which the rest was shown.
fn told<'a, K>(errors: impl Iterator<Item = (K, &'a AdminError)>) -> Result<(), Failure> {
    let missing: Vec<String> = errors.map(|(_, error)| error.to_string()).collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(Failure::new(format!("this is not all: {}", missing.join("; "))))
}

/// What there is to see without a command.
async fn tour(admin: &Admin) -> Result<(), Failure> {
    let topic = || "admin-example".into();
    let create = Command::Create { topic: topic(), partitions: Some(3), replication: None };
    execute(admin, create).await?;
    execute(admin, Command::Topics).await?;
    execute(admin, Command::Groups).await?;
    execute(admin, Command::Delete { topic: topic() }).await
}
