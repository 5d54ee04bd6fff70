//! The reference broker under the null broker's control lines, for what needs a broker that keeps
//! what it was given: transactions, and a record's whole way.

use std::cell::Cell;
use std::error::Error;
use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use nullbroker::control::{self, Counting};
use nullbroker::{Counts, Flow};
use ottla_broker::cluster::{Cluster, TopicSpec};

/// One reference broker, with one topic.
///
/// Prints `ready HOST:PORT`, and one line of JSON with its counts when it ends.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where to listen; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The topic
    #[arg(long, default_value = "bench")]
    topic: String,
    /// Its partitions
    #[arg(long, default_value_t = 1)]
    partitions: i32,
    /// Obey lines on standard input, `counts` and `reset`, each answered with the counts so far; end
    /// with it
    #[arg(long)]
    control: bool,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("refbroker: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One thread: the runner gives it one core.
#[tokio::main(flavor = "current_thread")]
async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let topic = TopicSpec::new(&arguments.topic).partitions(arguments.partitions).replicas(1);
    let cluster = Cluster::builder()
        .brokers(1)
        .listen(arguments.listen)
        .topic(topic)
        // The number of the last one is how many there were.
        .keep_requests(1)
        .start()
        .await?;
    let address = cluster.bootstrap().join(",");
    let counted = Counted {
        cluster,
        topic: arguments.topic,
        partitions: arguments.partitions,
        before: Cell::default(),
    };
    Ok(control::obey(&address, &counted, arguments.control).await?)
}

/// What the runner asks about. Batches and bytes are not counted, and neither is what is fetched.
struct Counted {
    cluster: Cluster,
    topic: String,
    partitions: i32,
    /// Requests and records when it was last reset.
    before: Cell<(u64, u64)>,
}

impl Counted {
    fn totals(&self) -> (u64, u64) {
        let requests = self.cluster.requests().last().map_or(0, |last| last.sequence + 1);
        let end = |index| self.cluster.partition(&self.topic, index).high_watermark();
        // Markers of transactions are records as well.
        let records = (0..self.partitions).filter_map(end).sum::<i64>();
        (requests, records.unsigned_abs())
    }
}

impl Counting for Counted {
    fn counts(&self) -> Counts {
        let ((requests, records), (requests_before, records_before)) =
            (self.totals(), self.before.get());
        let produced = Flow { records: records - records_before, ..Flow::default() };
        Counts { requests: requests - requests_before, produced, ..Counts::default() }
    }

    fn reset(&self) {
        self.before.set(self.totals());
    }
}
