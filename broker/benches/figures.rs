//! What the broker can do, in one command: `cargo bench -p ottla-broker`.
//!
//! ```text
//! cargo bench -p ottla-broker -- produce    only what is called so
//! ```
//!
//! Raw frames over loopback, broker and client in one process, so that a figure that falls is the
//! broker's fault. Both run on one thread: between two, most of the time goes into waking the other,
//! which on a virtual machine takes longer than the broker with everything that it does. The bars are
//! for idle cores; on a busy machine compare with the run before.
//! `broker/LEDGER.md` has the last run on idle ones.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures prints, reads the clock and stops where it cannot go on"
)]

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use ottla_broker::Cluster;
use ottla_broker::cluster::TopicSpec;
use ottla_broker::net::BoxStream;
use ottla_protocol::Request;
use ottla_protocol::compression::{Codec, Compression, Compressor};
use ottla_protocol::frames::encode_request;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{FetchRequest, HeartbeatRequest, ProduceRequest};
use ottla_protocol::records::{BatchBuilder, NewRecord, SealOptions, SealedBatch};
use ottla_protocol::wire::RecordChunks;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let figures: [Named; 10] = [
        ("produce 16 KiB batches, 5 in flight", || produced(16 << 10, 512 << 20)),
        ("produce 1 MiB batches, 5 in flight", || produced((1 << 20) - 4096, 1 << 30)),
        ("produce 16 KiB batches in lz4, 5 in flight", produced_lz4),
        ("fetch 1 MiB of 16 KiB batches", || fetched(16 << 10, 2 << 30)),
        ("fetch 1 MiB of 1 KiB batches", || fetched(1 << 10, 1 << 30)),
        ("produce 200 B, one at a time", tiny_produces),
        ("heartbeats, one at a time", heartbeats),
        ("append to parked fetch answered, in memory", || parked_fetches(Pause::None)),
        ("the same after a millisecond of nothing", || parked_fetches(Pause::Millisecond)),
        ("start to ready", starts),
    ];
    for (name, measure) in figures {
        if wanted.is_empty() || wanted.iter().any(|wanted| name.contains(wanted.as_str())) {
            println!("{name:<44} {}", measure());
        }
    }
}

/// A figure to be measured, by its name.
type Named = (&'static str, fn() -> Figure);

/// What was measured, and what is asked for.
struct Figure {
    value: f64,
    unit: &'static str,
    bar: Bar,
    also: String,
}

enum Bar {
    AtLeast(f64),
    AtMost(f64),
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { value, unit, bar, also } = self;
        let (met, sign, bar) = match bar {
            Bar::AtLeast(bar) => (value >= bar, "≥", bar),
            Bar::AtMost(bar) => (value <= bar, "≤", bar),
        };
        let met = if met { "met" } else { "MISSED" };
        write!(f, "{value:>10.0} {unit:<6} (bar {sign} {bar:.0}, {met}){also}")
    }
}

fn per_second(name: &'static str, count: f64, took: Duration, bar: f64) -> Figure {
    let value = count / took.as_secs_f64();
    Figure { value, unit: name, bar: Bar::AtLeast(bar), also: String::new() }
}

/// The median of some times, in microseconds, and the 99th percentile with it.
fn median(mut times: Vec<Duration>, bar: f64) -> Figure {
    times.sort_unstable();
    let at = |share: usize| times[times.len() * share / 100].as_secs_f64() * 1e6;
    let also = format!(", p99 {:.0}", at(99));
    Figure { value: at(50), unit: "µs", bar: Bar::AtMost(bar), also }
}

/// One broker, with one partition of `t`.
struct Bed {
    runtime: Runtime,
    cluster: Cluster,
}

impl Bed {
    fn over_tcp() -> Self {
        Self::new(Some("127.0.0.1:0"))
    }

    fn new(listen: Option<&str>) -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let topic =
            TopicSpec::new("t").partitions(1).replicas(1).config("max.message.bytes", "2000000");
        let mut cluster = Cluster::builder().brokers(1).keep_requests(0).topic(topic);
        if let Some(address) = listen {
            cluster = cluster.listen(address.parse().unwrap());
        }
        let cluster = runtime.block_on(cluster.start()).unwrap();
        Self { runtime, cluster }
    }

    /// Lets a client work.
    fn client<R>(&self, work: impl AsyncFnOnce(&mut Client) -> R) -> R {
        self.runtime.block_on(async {
            let stream = TcpStream::connect(&self.cluster.bootstrap()[0]).await.unwrap();
            stream.set_nodelay(true).unwrap();
            work(&mut Client { stream, received: vec![0; 4 << 20] }).await
        })
    }
}

/// A client that looks at nothing but lengths.
struct Client {
    stream: TcpStream,
    received: Vec<u8>,
}

impl Client {
    async fn send(&mut self, frame: &[u8]) {
        self.stream.write_all(frame).await.unwrap();
    }

    /// Receives an answer; returns its length.
    async fn receive(&mut self) -> usize {
        let len = usize::try_from(self.stream.read_i32().await.unwrap()).unwrap();
        self.stream.read_exact(&mut self.received[..len]).await.unwrap();
        len
    }

    /// So many requests, so many of them in flight.
    async fn repeat(&mut self, frame: &[u8], count: usize, in_flight: usize) -> Duration {
        let began = Instant::now();
        for _ in 0..in_flight.min(count) {
            self.send(frame).await;
        }
        for done in 0..count {
            self.receive().await;
            if done + in_flight < count {
                self.send(frame).await;
            }
        }
        began.elapsed()
    }
}

fn frame<R: Request>(request: &R, version: i16) -> Bytes {
    encode_request(request, version, 1, Some("figures")).unwrap().into_bytes()
}

/// A produce request with one batch of about `size` bytes, in records of a kilobyte.
fn produce_frame(size: usize) -> Bytes {
    produce_frame_of(records(size).seal(&SealOptions::default()))
}

fn records(size: usize) -> BatchBuilder {
    let value = vec![b'v'; size.min(1000)];
    let mut builder = BatchBuilder::new();
    for _ in 0..(size / 1000).max(1) {
        builder.append(NewRecord::new(1_700_000_000_000, None, Some(&value))).unwrap();
    }
    builder
}

fn produce_frame_of(batch: SealedBatch) -> Bytes {
    let records = Bytes::from(batch.into_buffer());
    let records = Some(RecordChunks::from(records));
    let partition = PartitionProduceData { records, ..Default::default() };
    let topic = TopicProduceData {
        name: "t".into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    let request =
        ProduceRequest { acks: 1, timeout_ms: 1000, topic_data: vec![topic], ..Default::default() };
    frame(&request, 9)
}

fn fetch_frame(fetch_offset: i64, max_wait_ms: i32) -> Bytes {
    let partition =
        FetchPartition { fetch_offset, partition_max_bytes: 1 << 20, ..Default::default() };
    let topic = FetchTopic { topic: "t".into(), partitions: vec![partition], ..Default::default() };
    let (min_bytes, max_bytes) = (1, 1 << 20);
    let topics = vec![topic];
    frame(&FetchRequest { max_wait_ms, min_bytes, max_bytes, topics, ..Default::default() }, 12)
}

fn produced(size: usize, total: usize) -> Figure {
    let bed = Bed::over_tcp();
    let frame = produce_frame(size);
    let count = total / size;
    let took = bed.client(async |client| client.repeat(&frame, count, 5).await);
    let bar = if size < 1 << 19 { 700.0 } else { 2500.0 };
    per_second("MB/s", (count * frame.len()) as f64 / 1e6, took, bar)
}

/// Counted as unpacked: of each kilobyte half is digits that repeat nowhere.
fn produced_lz4() -> Figure {
    let mut builder = BatchBuilder::new();
    let mut state = 1_u64;
    for _ in 0..16 {
        let mut value = vec![b'v'; 500];
        for _ in 0..500 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            value.push((state >> 56) as u8);
        }
        builder.append(NewRecord::new(1_700_000_000_000, None, Some(&value))).unwrap();
    }
    let (options, lz4) = (SealOptions::default(), Codec::new(Compression::Lz4));
    let batch = builder.seal_compressed(&options, lz4, &mut Compressor::new(), Vec::new()).unwrap();
    let (bed, frame, count) = (Bed::over_tcp(), produce_frame_of(batch), 20_000);
    let took = bed.client(async |client| client.repeat(&frame, count, 5).await);
    per_second("MB/s", count as f64 * 16e3 / 1e6, took, 400.0)
}

fn fetched(size: usize, total: usize) -> Figure {
    let bed = Bed::over_tcp();
    let fetch = fetch_frame(0, 0);
    let (bytes, took) = bed.client(async |client| {
        client.repeat(&produce_frame(size), (2 << 20) / size, 5).await;
        client.send(&fetch).await;
        let len = client.receive().await;
        let count = total / len;
        (count * len, client.repeat(&fetch, count, 2).await)
    });
    per_second("MB/s", bytes as f64 / 1e6, took, 2000.0)
}

fn tiny_produces() -> Figure {
    let bed = Bed::over_tcp();
    let took = bed.client(async |client| client.repeat(&produce_frame(120), TINY, 1).await);
    per_second("req/s", TINY as f64, took, 50_000.0)
}

fn heartbeats() -> Figure {
    let bed = Bed::over_tcp();
    let request = HeartbeatRequest { group_id: "g".into(), ..Default::default() };
    let request = frame(&request, 4);
    let took = bed.client(async |client| client.repeat(&request, TINY, 1).await);
    per_second("req/s", TINY as f64, took, 50_000.0)
}

/// What happens between a fetch and the append that it waits for.
#[derive(Clone, Copy)]
enum Pause {
    /// Only what it takes until the fetch is parked.
    None,
    /// The processor sleeps, and wakes with less in its caches.
    Millisecond,
}

impl Pause {
    async fn pass(self) {
        match self {
            // Each lets everything run that can.
            Self::None => {
                for _ in 0..20 {
                    tokio::task::yield_now().await;
                }
            }
            Self::Millisecond => tokio::time::sleep(Duration::from_millis(1)).await,
        }
    }
}

fn parked_fetches(pause: Pause) -> Figure {
    let bed = Bed::new(None);
    let times = bed.runtime.block_on(async {
        let mut reader = bed.cluster.connect(1).await.unwrap();
        let mut writer = bed.cluster.connect(1).await.unwrap();
        let produce = produce_frame(200);
        let mut times = Vec::new();
        for offset in 0..2000 {
            reader.write_all(&fetch_frame(offset, 5000)).await.unwrap();
            pause.pass().await;
            let began = Instant::now();
            let append = async {
                writer.write_all(&produce).await.unwrap();
                receive(&mut writer).await;
            };
            let answered = async {
                receive(&mut reader).await;
                began.elapsed()
            };
            times.push(tokio::join!(answered, append).0);
        }
        times
    });
    median(times, 50.0)
}

async fn receive(stream: &mut BoxStream) {
    let len = usize::try_from(stream.read_i32().await.unwrap()).unwrap();
    let mut frame = BytesMut::zeroed(len);
    stream.read_exact(&mut frame).await.unwrap();
}

/// From the start of the process to the line that says that it serves.
fn starts() -> Figure {
    let once = |_| {
        let began = Instant::now();
        let mut broker = Command::new(env!("CARGO_BIN_EXE_ottla-broker"));
        let broker = broker.args(["--listen", "127.0.0.1:0", "--brokers", "3", "--print-ready"]);
        let mut broker = broker.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(broker.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let took = began.elapsed();
        broker.kill().unwrap();
        broker.wait().unwrap();
        assert!(line.starts_with("ready "), "{line}");
        took
    };
    median((0..20).map(once).collect(), 50_000.0)
}

/// Requests of a few bytes each.
const TINY: usize = 100_000;
