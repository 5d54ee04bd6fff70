//! How fast the null broker is: a client that costs even less sends it one request again and again,
//! five at a time.
//!
//! ```console
//! $ cargo run --release -p bench-nullbroker --example flood
//! ```

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nullbroker::{Broker, CannedLog, Config, Payload, Trouble, Versions, net};
use ottla_protocol::compression::Compression;
use ottla_protocol::frames::encode_request;
use ottla_protocol::messages::fetch::{FetchPartition, FetchTopic};
use ottla_protocol::messages::produce::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{FetchRequest, ProduceRequest};
use ottla_protocol::records::{BatchBuilder, NewRecord, SealOptions};
use rustix::time::{ClockId, Timespec, clock_gettime};
use tokio::net::TcpListener;

const VALUE: usize = 100;
const IN_FLIGHT: usize = 5;
const FOR: Duration = Duration::from_secs(2);

fn main() -> Result<(), Box<dyn Error>> {
    let broker = start()?;
    for (what, request) in [("produce", produce()?), ("fetch", fetch()?)] {
        net::lock(&broker.shared).reset();
        let before = cpu_of_others();
        let seconds = flood(broker.address, &request)?;
        let cpu = cpu_of_others() - before;
        let counts = net::lock(&broker.shared).counts();
        let records = (counts.produced.records + counts.fetched.records) as f64;
        println!(
            "{what}: {:.1} M records/s; {:.1} ns of the broker's thread each, so {:.1} M/s on a core of its own",
            records / seconds / 1e6,
            cpu / records,
            records / cpu * 1e3,
        );
    }
    Ok(())
}

/// Nanoseconds that every thread but this one has run: the broker's.
fn cpu_of_others() -> f64 {
    let nanos = |id| {
        let Timespec { tv_sec, tv_nsec } = clock_gettime(id);
        tv_sec as f64 * 1e9 + tv_nsec as f64
    };
    nanos(ClockId::ProcessCPUTime) - nanos(ClockId::ThreadCPUTime)
}

struct Running {
    address: SocketAddr,
    shared: net::Shared,
}

fn start() -> Result<Running, Box<dyn Error>> {
    let payload = Payload::new(vec![b'v'; 4_096 * VALUE], VALUE)?;
    let shared = Arc::new(Mutex::new(Broker::new(Config {
        host: "127.0.0.1".into(),
        port: 0,
        partitions: 1,
        versions: Versions::Common,
        delay: Duration::ZERO,
        verify: false,
        log: CannedLog::encode(&payload, Compression::None, 256 << 10, i64::MAX / 2)?,
        trouble: Trouble::default(),
    })));
    let (sender, receiver) = mpsc::channel();
    let served = Arc::clone(&shared);
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let _ = sender.send(listener.local_addr()?);
            net::serve(listener, served).await
        })
    });
    Ok(Running { address: receiver.recv()?, shared })
}

/// Sends `request` and reads the answers, until the time is up and every answer is there.
fn flood(address: SocketAddr, request: &[u8]) -> Result<f64, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address)?;
    let mut buffer = vec![0; 2 << 20];
    let began = Instant::now();
    let mut unanswered = 0;
    loop {
        let go_on = began.elapsed() < FOR;
        while go_on && unanswered < IN_FLIGHT {
            stream.write_all(request)?;
            unanswered += 1;
        }
        if unanswered == 0 {
            return Ok(began.elapsed().as_secs_f64());
        }
        let mut length = [0; 4];
        stream.read_exact(&mut length)?;
        let length = usize::try_from(u32::from_be_bytes(length))?;
        stream.read_exact(buffer.get_mut(..length).ok_or("a long answer")?)?;
        unanswered -= 1;
    }
}

fn produce() -> Result<Vec<u8>, Box<dyn Error>> {
    let mut batch = BatchBuilder::new();
    while batch.len() < 256 << 10 {
        batch.append(NewRecord::new(0, None, Some(&[b'v'; VALUE])))?;
    }
    let batch = batch.seal(&SealOptions::default()).freeze();
    let partition = PartitionProduceData {
        records: Some(batch.bytes().clone().into()),
        ..PartitionProduceData::default()
    };
    let topic = TopicProduceData {
        name: "flood".into(),
        partition_data: vec![partition],
        ..Default::default()
    };
    let request = ProduceRequest { acks: -1, topic_data: vec![topic], ..Default::default() };
    Ok(encode_request(&request, 9, 0, None)?.into_bytes().to_vec())
}

fn fetch() -> Result<Vec<u8>, Box<dyn Error>> {
    let partition = FetchPartition { partition_max_bytes: 1 << 20, ..FetchPartition::default() };
    let topic =
        FetchTopic { topic: "flood".into(), partitions: vec![partition], ..Default::default() };
    let request = FetchRequest { max_wait_ms: 500, topics: vec![topic], ..Default::default() };
    Ok(encode_request(&request, 12, 0, None)?.into_bytes().to_vec())
}
