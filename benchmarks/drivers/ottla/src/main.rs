//! Our own client under the command line that all drivers share.

mod consume;
mod produce;
mod timed;
mod transact;
mod watched;

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
            Op::Latency => timed::acknowledge(options).await,
            Op::EndToEnd => timed::end_to_end(options).await,
            Op::Transaction => transact::transact(options).await,
            Op::IdleClients => watched::idle_clients(options).await,
            Op::IdlePartitions => watched::idle_partitions(options).await,
            Op::Stall => watched::stall(options).await,
            Op::Overload => watched::overload(options).await,
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
        .set("buffer.memory", if options.op == Op::Overload { 32 << 20 } else { 64 << 20 })
        .set("fetch.buffer.memory", if options.op == Op::Stall { 16 << 20 } else { 64 << 20 })
        .set("allow.auto.create.topics", true)
        .set("compression.type", &options.codec)
        .set("max.partition.fetch.bytes", 1 << 20)
        .set("auto.offset.reset", "earliest")
        .connect()
        .await?;
    Ok(kafka)
}

fn report(from: Usage, options: &Options) -> Result<(), Failure> {
    report_with(from, options, &[])
}

fn report_with(from: Usage, options: &Options, figures: &[(&str, f64)]) -> Result<(), Failure> {
    from.report_with(&format!("ottla-{}", options.mode), "0.1.0", options, figures)
}
