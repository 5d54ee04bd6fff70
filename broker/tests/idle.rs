//! What connections cost that do nothing.
#![cfg(all(feature = "net", target_os = "linux"))]
#![expect(clippy::unwrap_used, reason = "a suite says what failed by panicking")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};

use ottla_protocol::frames::encode_request;
use ottla_protocol::messages::ApiVersionsRequest;

#[test]
fn a_thousand_idle_connections_cost_at_most_64_mib() {
    let (broker, address) = start();
    let before = resident_kib(&broker.0);
    let connections: Vec<TcpStream> = (0..1000).map(|_| connect(&address)).collect();
    let grown = resident_kib(&broker.0) - before;
    assert_eq!(connections.len(), 1000);
    assert!(grown <= 64 * 1024, "{grown} KiB");
}

/// A broker in a process of its own, which ends with the test.
struct Broker(Child);

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended by itself, which is for the test to notice.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn start() -> (Broker, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ottla-broker"));
    let command = command.args(["--listen", "127.0.0.1:0", "--print-ready"]);
    let mut broker = Broker(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    BufReader::new(broker.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("ready ").unwrap().to_owned();
    (broker, address)
}

/// A connection that has said who it is, and been answered.
fn connect(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = encode_request(&ApiVersionsRequest::default(), 2, 1, Some("idle")).unwrap();
    stream.write_all(&request.into_bytes()).unwrap();
    let mut len = [0; 4];
    stream.read_exact(&mut len).unwrap();
    let mut answer = vec![0; usize::try_from(i32::from_be_bytes(len)).unwrap()];
    stream.read_exact(&mut answer).unwrap();
    stream
}

/// The memory that a process has in use, in KiB.
fn resident_kib(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
