//! `consumer`.

use ottla_broker::Cluster;

use crate::cluster;
use crate::program::{fail, succeed, with_input};

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

/// A cluster whose topic has these lines in one batch, and where it listens.
async fn with_lines(lines: &str) -> (Cluster, String) {
    let (cluster, servers) = cluster::with_topics(["lines"]).await;
    let produce = ["--bootstrap", &servers, "--topic", "lines", "--key-separator", "="];
    let produce = [&produce[..], &["-X", "linger.ms=1000"]].concat();
    assert!(with_input("producer", &produce, lines).await.status.success());
    (cluster, servers)
}

fn reading(servers: &str) -> [&str; 4] {
    ["--bootstrap", servers, "--topic", "lines"]
}
