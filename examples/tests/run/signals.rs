//! What a signal does to a program.

use ottla_broker::fault::{Act, Rule};
use ottla_protocol::ApiKey;
use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin};

use crate::cluster;
use crate::program::{end, last_line, signal, start};

#[tokio::test]
async fn an_interrupted_producer_does_not_wait_for_its_input() {
    let (_cluster, servers) = cluster::with_topics(["lines"]).await;
    let (child, _input) = sending(&servers).await;
    cluster::read(&servers, "lines", 1).await;
    signal(&child, Signal::INT);
    let output = end(child).await;
    assert!(output.status.success());
    assert_eq!(last_line(&output.stderr), "1 delivered, 0 failed");
}

#[tokio::test]
async fn a_second_signal_ends_what_the_first_waits_for() {
    let (cluster, servers) = cluster::with_topics(["lines"]).await;
    let unanswered = cluster.fault(Rule::new(ApiKey::Produce, Act::Hang));
    let (mut child, _input) = sending(&servers).await;
    unanswered.reached().await;
    signal(&child, Signal::INT);
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
    let stopping = told.next_line().await.unwrap().unwrap();
    assert!(stopping.contains("a second signal"), "{stopping}");
    signal(&child, Signal::INT);
    assert_eq!(end(child).await.status.code(), Some(130));
}

/// A producer that has one line to send, and its input, which stays open.
async fn sending(servers: &str) -> (Child, ChildStdin) {
    let mut child = start("producer", &["--bootstrap", servers, "--topic", "lines"]);
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"a\n").await.unwrap();
    (child, input)
}
