//! Makes a topic on the cluster that clients are measured on, so that none of them has to: not every
//! client lets a cluster make topics by itself, and the time that it takes is no client's.

use std::process::ExitCode;

use bench_driver::Failure;
use clap::Parser;
use ottla::Kafka;

/// Makes a topic, and waits until it can be written to.
#[derive(Debug, Parser)]
struct Arguments {
    /// Its name
    topic: String,
    /// HOST:PORT of the cluster
    #[arg(long)]
    bootstrap: String,
    /// How many partitions it gets
    #[arg(long, default_value_t = 1)]
    partitions: i32,
}

fn main() -> ExitCode {
    bench_driver::exit("make-topic", run(&Arguments::parse()))
}

fn run(arguments: &Arguments) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let kafka = Kafka::connect(&arguments.bootstrap).await?;
        let topic = arguments.topic.as_str();
        kafka.admin().create_topic(topic).partitions(arguments.partitions).await?;
        // Brokers learn of it a moment later than the one that answered; a producer waits for that.
        kafka.producer().build().await?.topic(topic).await?;
        Ok(())
    })
}
