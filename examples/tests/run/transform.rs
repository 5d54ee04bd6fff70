//! `transform`.

use rustix::process::Signal;
use tokio::process::Child;

use crate::cluster;
use crate::program::{end, signal, start, with_input};

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
