//! `transform`.

use ottla::Record;
use ottla_broker::cluster::TopicSpec;
use rustix::process::Signal;
use tokio::process::Child;

use crate::cluster;
use crate::program::{end, fail, signal, start, with_input};

#[tokio::test]
async fn a_transformation_is_exactly_once_whatever_is_killed() {
    let (cluster, servers) = cluster::with_topics(["lower", "upper"]).await;
    let produce = ["--bootstrap", &servers, "--topic", "lower"];
    assert!(with_input("producer", &produce, &"a\nb\nc\n".repeat(200)).await.status.success());
    for kill_at in [1, 200, 400] {
        let mut child = transform(&servers);
        cluster::read(&servers, "upper", kill_at).await;
        child.kill().await.unwrap();
    }
    let child = transform(&servers);
    cluster::read(&servers, "upper", 600).await;
    terminate(child).await;
    let values = cluster.partition("upper", 0).read_committed();
    let expected: [&[u8]; 3] = [b"A", b"B", b"C"];
    assert_eq!(values.len(), 600, "each once");
    for (record, expected) in values.iter().zip(expected.into_iter().cycle()) {
        assert_eq!(record.value(), Some(expected));
    }
}

#[tokio::test]
async fn a_copy_keeps_all_but_the_value() {
    let (_cluster, servers) = cluster::with_topics(["lower", "upper"]).await;
    let record = Record::to("lower").key("k").value("a").timestamp(7);
    let record = record.header("h", "1").null_header("h").header("g", "");
    let producer = cluster::connect(&servers).await.producer().build().await.unwrap();
    producer.send(record).await.unwrap();
    let child = transform(&servers);
    let copies = cluster::read(&servers, "upper", 1).await;
    terminate(child).await;
    let copy = copies.first().unwrap();
    assert_eq!((copy.key(), copy.value()), (Some(&b"k"[..]), Some(&b"A"[..])));
    assert_eq!(copy.timestamp(), 7);
    let headers: Vec<_> = copy.headers().into_iter().map(|it| (it.key, it.value)).collect();
    let expected: [(&[u8], Option<&[u8]>); 3] =
        [(b"h", Some(b"1")), (b"h", None), (b"g", Some(b""))];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn what_will_never_be_written_ends_the_program() {
    let small = TopicSpec::new("upper").partitions(1).config("max.message.bytes", "200");
    let lower = TopicSpec::new("lower").partitions(1);
    let cluster = cluster::builder(1).topic(lower).topic(small).start().await.unwrap();
    let servers = cluster.bootstrap().join(",");
    let produce = ["--bootstrap", &servers, "--topic", "lower"];
    assert!(with_input("producer", &produce, &"a".repeat(500)).await.status.success());
    let told = fail("transform", &arguments(&servers)).await;
    assert!(told.contains("more than the topic's max.message.bytes"), "{told}");
}

async fn terminate(child: Child) {
    signal(&child, Signal::TERM);
    let output = end(child).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn transform(servers: &str) -> Child {
    start("transform", &arguments(servers))
}

fn arguments(servers: &str) -> Vec<&str> {
    let topics = ["--from", "lower", "--to", "upper", "--group", "up", "--batch", "20"];
    let id = ["--transactional-id", "up-1", "--bootstrap", servers, "-X", "max.poll.records=5"];
    [&topics[..], &id].concat()
}
