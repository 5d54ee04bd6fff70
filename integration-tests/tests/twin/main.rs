//! The same raw requests to the reference broker and to Apache Kafka: every API in every version
//! that the reference broker serves, and what is wrong in all the ways that matter. The answers are
//! compared field by field, once ids, addresses and times have been blanked.
//!
//! ```text
//! cargo test -p ottla-integration-tests --test twin                         whether all is asked
//! … --features containers                                                    the comparison
//! ```
//!
//! What differs, and is meant to, is in `differences.rs`, each line with its reason; a line that
//! nothing needs any more fails the test as well.
#![expect(clippy::expect_used, reason = "a suite says what failed by panicking")]
#![cfg_attr(
    feature = "containers",
    expect(clippy::panic, reason = "a suite says what failed by panicking")
)]

#[cfg(feature = "containers")]
mod differences;
mod fields;
mod script;
mod twin;

use ottla_broker::Cluster;
use ottla_broker::api::{SERVED, versions};
use twin::Twin;

/// One broker with what the harness sets on Apache Kafka's.
async fn reference_broker() -> Cluster {
    let any_port = "127.0.0.1:0".parse().expect("it is an address");
    let builder = Cluster::builder().brokers(1).racks([ottla_integration_tests::rack_of(1)]);
    let builder = builder.listen(any_port).random_seed().follower_reads(true);
    let settings = [
        ("group.min.session.timeout.ms", "100"),
        ("offsets.topic.num.partitions", "5"),
        ("offsets.topic.replication.factor", "1"),
        ("transaction.state.log.num.partitions", "5"),
        ("transaction.state.log.replication.factor", "1"),
    ];
    let builder = settings.into_iter().fold(builder, |b, (name, value)| b.config(name, value));
    builder.start().await.expect("a cluster on free ports starts")
}

#[tokio::test]
async fn every_served_version_is_asked_and_answered() {
    let cluster = reference_broker().await;
    let mut twin = Twin::new(cluster.bootstrap()).await;
    script::play(&mut twin).await;
    for api in SERVED {
        for version in versions(*api).expect("it is served").iter() {
            assert!(twin.was_answered(*api, version), "{api} {version}");
        }
    }
    let asked = twin.exchanges().len();
    assert!(asked >= 440, "{asked} requests");
    let closed =
        twin.exchanges().iter().filter(|exchange| exchange.said.iter().any(Result::is_err));
    let closed: Vec<&str> = closed.map(|exchange| &*exchange.what).collect();
    assert!(closed.iter().all(|what| what.starts_with("bytes ")), "{closed:?}");
}

#[cfg(feature = "containers")]
#[test]
fn the_reference_broker_answers_as_apache_kafka_does() {
    use ottla_integration_tests::{Access, Backend, TestCluster, run};

    let compare = async |kafka: &TestCluster| {
        let cluster = reference_broker().await;
        let servers = [cluster.bootstrap(), kafka.bootstrap_servers()].concat();
        let mut twin = Twin::new(servers).await;
        script::play(&mut twin).await;
        let unexpected = differences::unexpected(twin.exchanges());
        assert!(unexpected.is_empty(), "{}", unexpected.join("\n"));
    };
    run(Backend::Containers(1), Access::Shared, compare);
}
