//! Our own client under the command line that all drivers share.

mod consume;
mod produce;

use std::process::ExitCode;

use bench_driver::{Failure, Op, Options, Usage, exit};
use clap::Parser;
use ottla::Kafka;

fn main() -> ExitCode {
    exit("ottla", run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match options.op {
            Op::Produce => produce::produce(options).await,
            Op::Consume => consume::consume(options).await,
        }
    })
}

/// The cluster, with what is set for both directions; idempotence and five requests in flight are
/// defaults, and are written down all the same.
async fn connect(options: &Options) -> Result<Kafka, Failure> {
    let kafka = Kafka::builder()
        .bootstrap_servers(&options.bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", true)
        .set("max.in.flight.requests.per.connection", 5)
        .set("linger.ms", options.linger_ms)
        .set("batch.size", options.batch_bytes)
        .set("buffer.memory", 64 << 20)
        .set("compression.type", &options.codec)
        .set("max.partition.fetch.bytes", 1 << 20)
        .set("auto.offset.reset", "earliest")
        .connect()
        .await?;
    Ok(kafka)
}

fn report(from: Usage, options: &Options) -> Result<(), Failure> {
    from.report(&format!("ottla-{}", options.mode), "0.1.0", options)
}
