//! Topics, settings and groups.
#![expect(clippy::print_stdout, reason = "this is a program")]

use clap::{Parser, Subcommand};
use ottla::Admin;
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
        /// How many partitions it has.
        #[arg(long, default_value_t = 1)]
        partitions: i32,
        /// How many brokers have a copy.
        #[arg(long, default_value_t = 1)]
        replication: i16,
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
    match command {
        Command::Topics => {
            for topic in admin.list_topics().await? {
                println!("{}: {} partitions", topic.name, topic.partitions.len());
            }
        }
        Command::Create { topic, partitions, replication } => {
            admin
                .create_topic(topic.as_str())
                .partitions(partitions)
                .replication(replication)
                .await?;
            println!("created {topic}");
        }
        Command::Delete { topic } => {
            admin.delete_topic(topic.as_str()).await?;
            println!("deleted {topic}");
        }
        Command::Groups => {
            for group in admin.list_groups().await.groups() {
                println!("{}", group.id);
            }
        }
        Command::Lag { group } => {
            for (partition, behind) in admin.lag(group.as_str()).await?.iter() {
                println!("{partition}: {behind:?}");
            }
        }
    }
    Ok(())
}

/// What there is to see without a command.
async fn tour(admin: &Admin) -> Result<(), Failure> {
    let create =
        |topic: &str| Command::Create { topic: topic.into(), partitions: 3, replication: 1 };
    execute(admin, create("admin-example")).await?;
    execute(admin, Command::Topics).await?;
    execute(admin, Command::Groups).await?;
    execute(admin, Command::Delete { topic: "admin-example".into() }).await
}
