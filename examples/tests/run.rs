//! Each sample program is run as its user would, on its embedded broker.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a suite says what failed by panicking"
)]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

#[test]
fn hello_reads_back_what_it_wrote() {
    let shown = succeed("hello", &[]);
    assert!(shown.contains("written to partition 0 at offset 0"), "{shown}");
    assert!(shown.contains("read back: hello, Kafka"), "{shown}");
}

#[test]
fn a_group_reads_every_record() {
    let shown = succeed("group", &["--members", "2", "--records", "50"]);
    assert!(shown.contains("all 50 records were read"), "{shown}");
}

#[test]
fn a_replay_begins_in_the_middle() {
    let shown = succeed("replay", &[]);
    assert!(shown.contains("minute 5") && shown.contains("minute 9"), "{shown}");
    assert!(!shown.contains("minute 4"), "{shown}");
}

#[test]
fn only_acks_all_keeps_what_it_acknowledged() {
    let shown = succeed("acks_lesson", &[]);
    assert!(shown.contains("acks Leader: 10 acknowledged, 0 there"), "{shown}");
    assert!(shown.contains("acks All: 10 acknowledged, 10 there"), "{shown}");
}

#[test]
fn the_admin_tour_creates_lists_and_deletes() {
    let shown = succeed("admin", &[]);
    assert!(shown.contains("admin-example: 3 partitions"), "{shown}");
    assert!(shown.contains("deleted admin-example"), "{shown}");
}

#[test]
fn the_producer_counts_what_it_delivered() {
    let output =
        with_input("producer", &["--topic", "lines", "--key-separator", ":"], "a:1\nb:2\n");
    assert!(output.status.success());
    assert_eq!(last_line(&output.stderr), "2 delivered, 0 failed");
}

#[test]
fn the_producer_fails_with_one_line_when_nobody_listens() {
    // Port 1 of the loopback address: nobody listens there.
    let output = run("producer", &["--topic", "lines", "--bootstrap", "127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(told.lines().count(), 1, "{told}");
    assert!(told.contains("127.0.0.1:1"), "{told}");
}

#[test]
fn a_mistyped_setting_is_told_with_the_right_one() {
    let output = run("consumer", &["--topic", "lines", "-X", "fetch.min.byte=1"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(last_line(&output.stderr).contains("did you mean `fetch.min.bytes`?"));
}

#[test]
fn a_format_that_means_nothing_is_refused() {
    let output = run("consumer", &["--topic", "lines", "--format", "%x"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(last_line(&output.stderr).contains("%x means nothing"));
}

#[tokio::test]
async fn the_consumer_writes_what_the_producer_read() {
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let topic = ottla_broker::cluster::TopicSpec::new("lines").partitions(1);
    let cluster = ottla_broker::Cluster::builder().brokers(1).listen(loopback).topic(topic);
    let cluster = cluster.start().await.unwrap();
    let servers = cluster.bootstrap().join(",");
    let read = tokio::task::spawn_blocking(move || {
        let produce = ["--bootstrap", &servers, "--topic", "lines", "--key-separator", "="];
        assert!(with_input("producer", &produce, "a=1\nb=2\nc=3\n").status.success());
        let consume = [
            "--bootstrap",
            &servers,
            "--topic",
            "lines",
            "--from-beginning",
            "--max-records",
            "3",
            "--format",
            "%p@%o %k -> %v\\n",
        ];
        succeed("consumer", &consume)
    });
    assert_eq!(read.await.unwrap(), "0@0 a -> 1\n0@1 b -> 2\n0@2 c -> 3\n");
}

#[cfg(unix)]
#[tokio::test]
async fn a_transformation_is_exactly_once_whatever_is_killed() {
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let topic = |name| ottla_broker::cluster::TopicSpec::new(name).partitions(1);
    let cluster = ottla_broker::Cluster::builder().brokers(1).listen(loopback);
    let cluster = cluster.topic(topic("lower")).topic(topic("upper")).start().await.unwrap();
    let servers = cluster.bootstrap().join(",");
    let (arguments, lines) = (servers.clone(), "a\nb\nc\n".repeat(200));
    let write = move || {
        let produce = ["--bootstrap", &arguments, "--topic", "lower"];
        assert!(with_input("producer", &produce, &lines).status.success());
    };
    tokio::task::spawn_blocking(write).await.unwrap();
    let upper = cluster.partition("upper", 0);
    let copied = || upper.read_committed().len();
    for kill_at in [1, 200, 400] {
        let mut child = transform(&servers);
        while copied() < kill_at {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        child.kill().unwrap();
        drop(child.wait());
    }
    let mut child = transform(&servers);
    while copied() < 600 {
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    let (id, terminate) = (rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM);
    rustix::process::kill_process(id, terminate).unwrap();
    assert!(child.wait().unwrap().success());
    let values = upper.read_committed();
    let expected: [&[u8]; 3] = [b"A", b"B", b"C"];
    assert_eq!(values.len(), 600, "each once");
    for (record, expected) in values.iter().zip(expected.into_iter().cycle()) {
        assert_eq!(record.value(), Some(expected));
    }
}

#[cfg(unix)]
fn transform(servers: &str) -> std::process::Child {
    let topics = ["--from", "lower", "--to", "upper", "--group", "up", "--batch", "20"];
    let id = ["--transactional-id", "up-1", "--bootstrap", servers];
    let quiet = || Stdio::null();
    let mut command = Command::new(program("transform"));
    let command = command.args(topics).args(id).args(["-X", "max.poll.records=5"]);
    command.stdin(quiet()).stdout(quiet()).stderr(quiet()).spawn().unwrap()
}

/// What a program writes that ends well.
fn succeed(name: &str, arguments: &[&str]) -> String {
    let output = run(name, arguments);
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{name} failed: {told}");
    String::from_utf8(output.stdout).unwrap()
}

fn run(name: &str, arguments: &[&str]) -> Output {
    with_input(name, arguments, "")
}

fn with_input(name: &str, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(program(name))
        .args(arguments)
        .env_remove("KAFKA_BOOTSTRAP_SERVERS")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cargo builds the examples before it runs tests");
    let mut stdin = child.stdin.take().unwrap();
    // A program that ends before it has read everything has closed its input.
    drop(stdin.write_all(input.as_bytes()));
    drop(stdin);
    child.wait_with_output().unwrap()
}

/// Examples lie beside the folder that this test lies in.
fn program(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.join("examples").join(name)
}

fn last_line(told: &[u8]) -> String {
    String::from_utf8_lossy(told).lines().last().unwrap_or_default().to_owned()
}
