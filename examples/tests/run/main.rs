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

use program::{end, fail, start, succeed};

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

#[tokio::test]
async fn the_lesson_crashes_no_brokers_but_its_own() {
    for arguments in [["--bootstrap", "127.0.0.1:1"], ["-X", "acks=1"], ["--config", "none"]] {
        let told = fail("acks_lesson", &arguments).await;
        assert!(told.contains("it has brokers of its own"), "{told}");
    }
}

#[tokio::test]
async fn a_program_ends_quietly_when_nobody_reads_it_any_more() {
    for name in ["acks_lesson", "admin", "group", "hello", "replay"] {
        let mut child = start(name, &[]);
        // As `| head -1` does, once it has its line.
        drop(child.stdout.take());
        let output = end(child).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{name}: {told}");
        assert_eq!(told.lines().count(), 1, "{name} says which brokers it uses, no more: {told}");
    }
}
