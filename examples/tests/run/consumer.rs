//! `consumer`.

use ottla_broker::Cluster;

use crate::cluster;
use crate::program::{end, fail, start, succeed, with_input};

#[tokio::test]
async fn a_mistyped_setting_is_told_with_the_right_one() {
    let told = fail("consumer", &["--topic", "lines", "-X", "fetch.min.byte=1"]).await;
    assert!(told.contains("did you mean `fetch.min.bytes`?"), "{told}");
}

#[tokio::test]
async fn a_format_that_means_nothing_is_refused() {
    let told = fail("consumer", &["--topic", "lines", "--format", "%x"]).await;
    assert!(told.contains("%x means nothing"), "{told}");
}

#[tokio::test]
async fn what_the_producer_read_is_written() {
    let (_cluster, servers) = with_lines("a=1\nb=2\nc=3\n").await;
    let arguments = ["--from-beginning", "--max-records", "3", "--format", "%p@%o %k -> %v\\n"];
    let shown = succeed("consumer", &[&reading(&servers), &arguments[..]].concat()).await;
    assert_eq!(shown, "0@0 a -> 1\n0@1 b -> 2\n0@2 c -> 3\n");
}

#[tokio::test]
async fn a_setting_says_where_to_begin() {
    let (_cluster, servers) = with_lines("a=1\n").await;
    let arguments = ["--max-records", "1", "-X", "auto.offset.reset=earliest"];
    assert_eq!(succeed("consumer", &[&reading(&servers), &arguments[..]].concat()).await, "1\n");
}

#[tokio::test]
async fn a_group_goes_on_behind_the_last_record_that_was_written() {
    let (_cluster, servers) = with_lines(&lines()).await;
    let shown = succeed("consumer", &in_group(&servers, "3")).await;
    assert_eq!(shown, "0\n1\n2\n");
    let shown = succeed("consumer", &in_group(&servers, "2")).await;
    assert_eq!(shown, "3\n4\n");
}

#[tokio::test]
async fn what_could_not_be_written_is_not_committed() {
    let (_cluster, servers) = with_lines(&lines()).await;
    let mut child = start("consumer", &in_group(&servers, "100"));
    // As `| head -1` does, once it has its line.
    drop(child.stdout.take());
    let output = end(child).await;
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{told}");
    assert_eq!(succeed("consumer", &in_group(&servers, "1")).await, "0\n");
}

/// A cluster whose topic has these lines in one batch, and where it listens.
async fn with_lines(lines: &str) -> (Cluster, String) {
    let (cluster, servers) = cluster::with_topics(["lines"]).await;
    let produce = ["--bootstrap", &servers, "--topic", "lines", "--key-separator", "="];
    let produce = [&produce[..], &["-X", "linger.ms=1000"]].concat();
    assert!(with_input("producer", &produce, lines).await.status.success());
    (cluster, servers)
}

fn lines() -> String {
    (0..100).map(|number| format!("{number}\n")).collect()
}

fn reading(servers: &str) -> [&str; 4] {
    ["--bootstrap", servers, "--topic", "lines"]
}

fn in_group<'a>(servers: &'a str, most: &'a str) -> Vec<&'a str> {
    let group = ["--group", "readers", "--from-beginning", "--max-records", most];
    [&reading(servers)[..], &group].concat()
}
