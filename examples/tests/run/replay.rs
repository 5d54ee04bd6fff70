//! `replay`.

use ottla::{Record, TransactionalProducer};

use crate::cluster;
use crate::program::succeed;

#[tokio::test]
async fn a_replay_begins_in_the_middle() {
    let shown = succeed("replay", &[]).await;
    assert!(shown.contains("minute 5") && shown.contains("minute 9"), "{shown}");
    assert!(!shown.contains("minute 4"), "{shown}");
}

#[tokio::test]
async fn a_replay_ends_where_the_last_offset_has_no_record() {
    let (_cluster, servers) = cluster::with_topics(["lines"]).await;
    let mut producer = writer(&servers).await;
    write(&mut producer).await;
    check(&servers, &["--since", "0"], "lines-0@0 1 a\n").await;
    // The record has time 1; the marker behind it, the broker's.
    check(&servers, &["--since", "2"], "").await;
}

#[tokio::test]
async fn a_replay_does_not_wait_for_a_transaction_that_is_open() {
    let (_cluster, servers) = cluster::with_topics(["lines"]).await;
    let mut producer = writer(&servers).await;
    write(&mut producer).await;
    let open = producer.begin().await.unwrap();
    open.send(Record::to("lines").value("open")).await.unwrap();
    let committed = ["--since", "0", "-X", "isolation.level=read_committed"];
    check(&servers, &committed, "lines-0@0 1 a\n").await;
}

async fn writer(servers: &str) -> TransactionalProducer {
    let producer = cluster::connect(servers).await.producer();
    producer.transactional("writer").build().await.unwrap()
}

/// Writes a transaction with one record.
async fn write(producer: &mut TransactionalProducer) {
    let transaction = producer.begin().await.unwrap();
    transaction.send(Record::to("lines").timestamp(1).value("a")).await.unwrap();
    transaction.commit().await.unwrap();
}

async fn check(servers: &str, arguments: &[&str], expected: &str) {
    let arguments = [&["--bootstrap", servers, "--topic", "lines"], arguments].concat();
    assert_eq!(succeed("replay", &arguments).await, expected);
}
