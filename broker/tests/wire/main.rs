//! Raw frames against running clusters, in memory and over TCP.
#![expect(clippy::disallowed_methods, reason = "tests ask the paused clock how long it took")]
#![cfg(feature = "net")]
#![expect(clippy::unwrap_used, reason = "a suite says what failed by panicking")]

mod client;
mod transactions;

use std::io;
use std::time::Duration;

use client::{START, Wire, batch, fetch, produce};
use ottla_broker::cluster::{Cluster, ClusterBuilder, TopicSpec};
use ottla_broker::fault::{Act, Rule};
use ottla_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, FetchRequest, MetadataRequest, ProduceRequest,
};
use ottla_protocol::records::{BatchBuilder, NewRecord, SealOptions};
use ottla_protocol::{ApiKey, ErrorCode};
use tokio::time::{Instant, timeout};

fn in_memory() -> ClusterBuilder {
    Cluster::builder().epoch_ms(START).topic(TopicSpec::new("t").partitions(1).replicas(3))
}

fn over_tcp() -> ClusterBuilder {
    in_memory().listen("127.0.0.1:0".parse().unwrap())
}

/// A connection to the leader of `t`.
async fn leader(cluster: &Cluster) -> Wire {
    let leader = cluster.partition("t", 0).leader().unwrap();
    Wire::new(cluster.connect(leader).await.unwrap())
}

async fn high_watermark(wire: &mut Wire) -> i64 {
    let request = FetchRequest { max_wait_ms: 0, ..fetch(0) };
    wire.call(&request, 12).await.responses[0].partitions[0].high_watermark
}

async fn what_is_produced_can_be_fetched(cluster: Cluster) {
    let mut wire = leader(&cluster).await;
    let produced = wire.call(&produce(-1, batch(&["a", "b"])), 9).await;
    let row = &produced.responses[0].partition_responses[0];
    assert_eq!((row.error_code, row.base_offset), (0, 0));
    let fetched = wire.call(&fetch(0), 12).await;
    let row = &fetched.responses[0].partitions[0];
    assert_eq!((row.error_code, row.high_watermark), (0, 2));
    let (sent, back) = (batch(&["a", "b"]).into_bytes(), row.records.clone().unwrap().into_bytes());
    assert_eq!(back[16..], sent[16..], "what the checksum covers is as it came");
    let values: Vec<_> =
        cluster.partition("t", 0).records().iter().map(|r| r.value().unwrap().to_vec()).collect();
    assert_eq!(values, [b"a", b"b"]);
}

#[tokio::test]
async fn what_is_produced_can_be_fetched_in_memory() {
    what_is_produced_can_be_fetched(in_memory().start().await.unwrap()).await;
}

#[tokio::test]
async fn what_is_produced_can_be_fetched_over_tcp() {
    what_is_produced_can_be_fetched(over_tcp().start().await.unwrap()).await;
}

async fn records_that_must_be_read_are(cluster: Cluster) {
    let mut wire = leader(&cluster).await;
    let mut keyless = BatchBuilder::new();
    keyless.append(NewRecord::new(START, None, Some(b"a"))).unwrap();
    let keyless = keyless.seal(&SealOptions::default()).freeze().bytes().clone();
    for (records, code) in
        [(keyless.into(), ErrorCode::InvalidRecord), (batch(&["a"]), ErrorCode::None)]
    {
        let produced = wire.call(&produce(-1, records), 9).await;
        let row = &produced.responses[0].partition_responses[0];
        assert_eq!(ErrorCode::from_code(row.error_code), code);
    }
    assert_eq!(high_watermark(&mut wire).await, 1);
}

fn compacted() -> TopicSpec {
    TopicSpec::new("t").partitions(1).config("cleanup.policy", "compact")
}

#[tokio::test(start_paused = true)]
async fn records_that_must_be_read_are_in_memory() {
    let cluster = Cluster::builder().epoch_ms(START).topic(compacted()).start();
    records_that_must_be_read_are(cluster.await.unwrap()).await;
}

#[tokio::test]
async fn records_that_must_be_read_are_over_tcp() {
    let cluster = Cluster::builder().epoch_ms(START).topic(compacted());
    let cluster = cluster.listen("127.0.0.1:0".parse().unwrap()).start();
    records_that_must_be_read_are(cluster.await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_parked_fetch_is_answered_at_the_instant_of_the_append() {
    let cluster = in_memory().start().await.unwrap();
    let (mut reader, mut writer) = (leader(&cluster).await, leader(&cluster).await);
    let began = Instant::now();
    reader.send(&fetch(0), 12).await;
    cluster.seen(|seen| seen.api == ApiKey::Fetch).await;
    tokio::time::sleep(Duration::from_millis(400)).await;
    writer.call(&produce(-1, batch(&["a"])), 9).await;
    let fetched = reader.receive::<FetchRequest>(12).await.unwrap();
    assert_eq!(fetched.responses[0].partitions[0].high_watermark, 1);
    assert_eq!(began.elapsed(), Duration::from_millis(400));
}

#[tokio::test(start_paused = true)]
async fn a_fetch_without_data_is_answered_when_its_wait_is_over() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    let began = Instant::now();
    wire.call(&fetch(0), 12).await;
    assert_eq!(began.elapsed(), Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn retention_comes_with_virtual_time() {
    let topic = TopicSpec::new("t").partitions(1).config("retention.ms", "1000");
    let cluster = Cluster::builder().epoch_ms(START).topic(topic).start().await.unwrap();
    let mut wire = leader(&cluster).await;
    wire.call(&produce(-1, batch(&["a"])), 9).await;
    tokio::time::sleep(Duration::from_secs(31)).await;
    let request = FetchRequest { max_wait_ms: 0, ..fetch(1) };
    let row = wire.call(&request, 12).await.responses.remove(0).partitions.remove(0);
    assert_eq!((row.error_code, row.log_start_offset), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_while_it_waits_leaves_nothing_behind() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    wire.send(&fetch(0), 12).await;
    cluster.seen(|seen| seen.api == ApiKey::Fetch).await;
    drop(wire);
    let mut other = leader(&cluster).await;
    assert_eq!(high_watermark(&mut other).await, 0);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_is_delayed_may_come_after_the_one_that_repeats_it() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    let delay = Act::Delay(Duration::from_secs(60));
    let _late = cluster.fault(Rule::new(ApiKey::Produce, delay).once());
    wire.send(&produce(-1, batch(&["a"])), 9).await;
    cluster.seen(|seen| seen.api == ApiKey::Produce).await;
    drop(wire);
    let mut other = leader(&cluster).await;
    other.call(&produce(-1, batch(&["b"])), 9).await;
    assert_eq!(high_watermark(&mut other).await, 1);
    tokio::time::sleep(Duration::from_secs(61)).await;
    let values = cluster.partition("t", 0).records();
    let values: Vec<_> = values.iter().map(|record| record.value().unwrap().to_vec()).collect();
    assert_eq!(values, [b"b", b"a"]);
}

#[tokio::test(start_paused = true)]
async fn a_delay_without_end_has_none() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    for act in [Act::Delay(Duration::MAX), Act::ApplyThenDelay(Duration::MAX)] {
        let _endless = cluster.fault(Rule::new(ApiKey::Produce, act).once());
        let mut waiting = leader(&cluster).await;
        waiting.send(&produce(-1, batch(&["a"])), 9).await;
        let answer = waiting.receive::<ProduceRequest>(9);
        assert!(timeout(Duration::from_secs(300), answer).await.is_err());
    }
    assert_eq!(high_watermark(&mut wire).await, 1, "the second was done");
}

#[tokio::test(start_paused = true)]
async fn no_connection_survives_a_restart_however_quick_it_is() {
    let cluster = in_memory().start().await.unwrap();
    let leader = cluster.partition("t", 0).leader().unwrap();
    let mut wire = Wire::new(cluster.connect(leader).await.unwrap());
    assert_eq!(high_watermark(&mut wire).await, 0);
    // The broker is down from the first poll on, and nobody else runs before it is up again.
    tokio::select! {
        biased;
        () = cluster.node(leader).kill() => {}
        () = std::future::ready(()) => {}
    }
    cluster.node(leader).start().await.unwrap();
    timeout(Duration::from_secs(10), wire.closed()).await.unwrap();
    let mut again = Wire::new(cluster.connect(leader).await.unwrap());
    again.call(&ApiVersionsRequest::default(), 2).await;
}

async fn starting_a_broker_that_is_up_changes_nothing(cluster: Cluster) {
    let mut wire = leader(&cluster).await;
    wire.call(&produce(-1, batch(&["a"])), 9).await;
    let node = cluster.partition("t", 0).leader().unwrap();
    cluster.node(node).start().await.unwrap();
    assert_eq!(high_watermark(&mut wire).await, 1);
    assert_eq!(high_watermark(&mut leader(&cluster).await).await, 1);
}

#[tokio::test]
async fn starting_a_broker_that_is_up_changes_nothing_in_memory() {
    starting_a_broker_that_is_up_changes_nothing(in_memory().start().await.unwrap()).await;
}

#[tokio::test]
async fn starting_a_broker_that_is_up_changes_nothing_over_tcp() {
    starting_a_broker_that_is_up_changes_nothing(over_tcp().start().await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_nobody_uses_is_closed() {
    let cluster = in_memory().config("connections.max.idle.ms", "5000").start().await.unwrap();
    let mut wire = leader(&cluster).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(4)).await;
        high_watermark(&mut wire).await;
    }
    // Part of a frame is a use as well.
    tokio::time::sleep(Duration::from_secs(3)).await;
    wire.write(b"\x00\x00").await;
    assert!((5000..5010).contains(&closed_after_ms(wire).await));
    let unused = leader(&cluster).await;
    assert!((5000..5010).contains(&closed_after_ms(unused).await));
    let mut waits = leader(&cluster).await;
    waits.send(&FetchRequest { max_wait_ms: 8000, ..fetch(0) }, 12).await;
    assert!((5000..5010).contains(&closed_after_ms(waits).await), "though its request was served");
}

async fn closed_after_ms(mut wire: Wire) -> u128 {
    let begun = Instant::now();
    timeout(Duration::from_secs(60), wire.closed()).await.unwrap();
    begun.elapsed().as_millis()
}

#[tokio::test(start_paused = true)]
async fn a_paused_broker_closes_nothing() {
    let cluster = in_memory().config("connections.max.idle.ms", "5000").start().await.unwrap();
    let node = cluster.partition("t", 0).leader().unwrap();
    let mut idle = leader(&cluster).await;
    let mut waits = leader(&cluster).await;
    waits.send(&FetchRequest { max_wait_ms: 60_000, ..fetch(0) }, 12).await;
    cluster.seen(|seen| seen.api == ApiKey::Fetch).await;
    cluster.node(node).pause();
    for wire in [&mut idle, &mut waits] {
        let closed = timeout(Duration::from_secs(20), wire.closed()).await;
        assert!(closed.is_err(), "it is paused");
    }
    cluster.node(node).unpause();
    for wire in [&mut idle, &mut waits] {
        timeout(Duration::from_secs(1), wire.closed()).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_may_stay_unused_for_as_long_as_it_is_told() {
    for (millis, stays) in [("-1", true), ("600000", false)] {
        let cluster = in_memory().config("connections.max.idle.ms", millis).start().await.unwrap();
        let mut wire = leader(&cluster).await;
        let closed = timeout(Duration::from_secs(700), wire.closed()).await;
        assert_eq!(closed.is_err(), stays, "{millis}");
    }
}

async fn bad_bytes_lose_only_their_own_connection(cluster: Cluster) {
    let mut good = leader(&cluster).await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS hello"[..],
        b"\x7f\xff\xff\xff",
        b"\xff\xff\xff\xff",
        b"\x00\x00\x00\x00",
        // API 999, Produce 2, and a Fetch 12 with nothing behind its header.
        b"\x00\x00\x00\x0a\x03\xe7\x00\x00\x00\x00\x00\x01\xff\xff",
        b"\x00\x00\x00\x0a\x00\x00\x00\x02\x00\x00\x00\x01\xff\xff",
        b"\x00\x00\x00\x0b\x00\x01\x00\x0c\x00\x00\x00\x01\xff\xff\x00",
    ] {
        let mut bad = leader(&cluster).await;
        bad.write(bytes).await;
        timeout(Duration::from_secs(10), bad.closed()).await.unwrap();
    }
    let mut half = leader(&cluster).await;
    half.write(b"\x00\x00\x00\xff\x00\x01").await;
    assert_eq!(high_watermark(&mut good).await, 0);
    drop(half);
    assert_eq!(high_watermark(&mut good).await, 0);
}

#[tokio::test]
async fn bad_bytes_lose_only_their_own_connection_in_memory() {
    bad_bytes_lose_only_their_own_connection(in_memory().start().await.unwrap()).await;
}

#[tokio::test]
async fn bad_bytes_lose_only_their_own_connection_over_tcp() {
    bad_bytes_lose_only_their_own_connection(over_tcp().start().await.unwrap()).await;
}

#[tokio::test]
async fn a_client_from_the_future_is_told_what_there_is() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    // ApiVersions 99, correlation 7, no client id, no tags, and a body that nobody can read.
    wire.write(b"\x00\x00\x00\x0e\x00\x12\x00\x63\x00\x00\x00\x07\xff\xff\x00\xde\xad\xbe").await;
    let frame = wire.frame().await.unwrap();
    assert_eq!(frame[..4], 7_i32.to_be_bytes());
    let response =
        <ApiVersionsResponse as ottla_protocol::Message>::decode(&frame.slice(4..), 0).unwrap();
    assert_eq!((response.error_code, response.api_keys.len()), (35, 1));
    let response = wire.call(&ApiVersionsRequest::default(), 0).await;
    assert_eq!(response.error_code, 0, "the connection goes on");
}

#[tokio::test]
async fn an_acks_zero_success_disturbs_nothing_and_an_error_closes() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    wire.send(&produce(0, batch(&["a"])), 9).await;
    assert_eq!(high_watermark(&mut wire).await, 1);
    let mut bad: ProduceRequest = produce(0, batch(&["a"]));
    bad.topic_data[0].partition_data[0].index = 9;
    wire.send(&bad, 9).await;
    wire.closed().await;
}

#[tokio::test]
async fn requests_on_one_connection_are_answered_in_their_order() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    wire.send(&fetch(0), 12).await;
    cluster.seen(|seen| seen.api == ApiKey::Fetch).await;
    wire.send(&MetadataRequest::default(), 12).await;
    let mut writer = leader(&cluster).await;
    writer.call(&produce(-1, batch(&["a"])), 9).await;
    let first = wire.frame().await.unwrap();
    let second = wire.frame().await.unwrap();
    assert_eq!((&first[..4], &second[..4]), (&[0, 0, 0, 1][..], &[0, 0, 0, 2][..]));
}

async fn a_killed_node_refuses_and_comes_back_with_its_log(cluster: Cluster) {
    let first = cluster.partition("t", 0).leader().unwrap();
    let mut wire = leader(&cluster).await;
    wire.call(&produce(-1, batch(&["a"])), 9).await;
    wire.send(&fetch(1), 12).await;
    cluster.seen(|seen| seen.api == ApiKey::Fetch).await;
    cluster.node(first).kill().await;
    wire.closed().await;
    let refused = cluster.connect(first).await.err().map(|error| error.kind());
    assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
    let mut wire = leader(&cluster).await;
    wire.call(&produce(-1, batch(&["b"])), 9).await;
    cluster.node(first).start().await.unwrap();
    assert_eq!(cluster.partition("t", 0).in_sync(), [1, 2, 3]);
    assert_eq!(cluster.partition("t", 0).log_end(first), Some(2));
    cluster.partition("t", 0).move_leader(first).unwrap();
    let mut wire = leader(&cluster).await;
    assert_eq!(high_watermark(&mut wire).await, 2);
}

#[tokio::test]
async fn a_killed_node_refuses_and_comes_back_with_its_log_in_memory() {
    a_killed_node_refuses_and_comes_back_with_its_log(in_memory().start().await.unwrap()).await;
}

#[tokio::test]
async fn a_killed_node_refuses_and_comes_back_with_its_log_over_tcp() {
    a_killed_node_refuses_and_comes_back_with_its_log(over_tcp().start().await.unwrap()).await;
}

#[tokio::test(start_paused = true)]
async fn a_paused_node_answers_only_when_it_goes_on() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    let node = cluster.node(cluster.partition("t", 0).leader().unwrap());
    node.pause();
    wire.send(&produce(-1, batch(&["a"])), 9).await;
    let answer = wire.receive::<ProduceRequest>(9);
    assert!(timeout(Duration::from_secs(60), answer).await.is_err());
    node.unpause();
    wire.receive::<ProduceRequest>(9).await.unwrap();
    assert_eq!(cluster.partition("t", 0).high_watermark(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_gate_tells_when_it_is_reached() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    let gate = cluster.fault(Rule::new(ApiKey::Produce, Act::Hold).once());
    wire.send(&produce(-1, batch(&["a"])), 9).await;
    gate.reached().await;
    assert_eq!(cluster.partition("t", 0).high_watermark(), Some(0));
    gate.open();
    wire.receive::<ProduceRequest>(9).await.unwrap();
    assert_eq!(cluster.partition("t", 0).high_watermark(), Some(1));
}

#[tokio::test(start_paused = true)]
async fn a_throttled_connection_is_not_read_for_that_long() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    let act = Act::Throttle(Duration::from_millis(250));
    let rule = cluster.fault(Rule::new(ApiKey::Produce, act).once());
    let began = Instant::now();
    assert_eq!(wire.call(&produce(-1, batch(&["a"])), 9).await.throttle_time_ms, 250);
    assert_eq!((began.elapsed(), rule.hits()), (Duration::ZERO, 1));
    wire.call(&produce(-1, batch(&["b"])), 9).await;
    assert_eq!(began.elapsed(), Duration::from_millis(250));
}

#[tokio::test]
async fn half_an_answer_can_be_all_there_is() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    let rule = cluster.fault(Rule::new(ApiKey::Produce, Act::CutAfter(7)).once());
    wire.send(&produce(-1, batch(&["a"])), 9).await;
    assert!(wire.frame().await.is_err());
    assert_eq!(rule.hits(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_answer_can_be_garbage_behind_its_correlation_id() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    let _rule = cluster.fault(Rule::new(ApiKey::Metadata, Act::CorruptAnswer).once());
    wire.send(&MetadataRequest::default(), 12).await;
    let garbled = wire.frame().await.unwrap();
    wire.send(&MetadataRequest::default(), 12).await;
    let sound = wire.frame().await.unwrap();
    assert_eq!(
        (garbled.len(), &garbled[..4], &sound[..4]),
        (sound.len(), &[0, 0, 0, 1][..], &[0, 0, 0, 2][..])
    );
    assert!(garbled[4..].iter().zip(&sound[4..]).all(|(garbled, sound)| *garbled == !sound));
}

#[tokio::test]
async fn the_same_seed_gives_the_same_ids() {
    let ids = |cluster: &Cluster| {
        cluster.run(|world, _| {
            let topics: Vec<_> = world.catalog().topics().map(|topic| topic.id).collect();
            (world.catalog().cluster_id().clone(), topics)
        })
    };
    let first = ids(&in_memory().seed(5).start().await.unwrap());
    assert_eq!(first, ids(&in_memory().seed(5).start().await.unwrap()));
    assert_ne!(first, ids(&in_memory().seed(6).start().await.unwrap()));
}

#[tokio::test]
async fn a_dropped_cluster_closes_its_connections() {
    let cluster = in_memory().start().await.unwrap();
    let mut wire = leader(&cluster).await;
    assert_eq!(high_watermark(&mut wire).await, 0);
    drop(cluster);
    wire.closed().await;
}
