//! Each sample program is run as its user would, on its embedded broker or on one of the test's.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite says what failed by panicking"
)]

mod admin;
mod brokers;
mod cluster;
mod consumer;
mod group;
mod producer;
mod program;
mod replay;
#[cfg(unix)]
mod signals;
#[cfg(unix)]
mod transform;

use program::succeed;

#[tokio::test]
async fn hello_reads_back_what_it_wrote() {
    let shown = succeed("hello", &[]).await;
    assert!(shown.contains("written to partition 0 at offset 0"), "{shown}");
    assert!(shown.contains("read back: hello, Kafka"), "{shown}");
}

#[tokio::test]
async fn only_acks_all_keeps_what_it_acknowledged() {
    let shown = succeed("acks_lesson", &[]).await;
    assert!(shown.contains("acks Leader: 10 acknowledged, 0 there"), "{shown}");
    assert!(shown.contains("acks All: 10 acknowledged, 10 there"), "{shown}");
}
