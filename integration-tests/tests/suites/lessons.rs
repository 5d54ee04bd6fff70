//! What the delivery settings mean, shown on a broker that fails on command.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_integration_tests::TestCluster;
use ottla_producer::ProducerBuilder;
use ottla_producer::config::{Acks, ProducerConfig};
use ottla_protocol::{ApiKey, ErrorCode};

use crate::clients::{connect, producer};
use crate::produce::{enqueue_all, values};

pub(crate) async fn a_lost_answer_writes_twice_without_idempotence(cluster: &TestCluster) {
    let found = after_a_lost_answer(cluster, |b| b.idempotence(false)).await;
    assert_eq!(found, [0, 0], "the retry could not know that the first attempt was written");
}

pub(crate) async fn a_lost_answer_writes_once_with_idempotence(cluster: &TestCluster) {
    assert_eq!(after_a_lost_answer(cluster, |builder| builder).await, [0]);
}

pub(crate) async fn a_retry_is_overtaken_with_several_in_flight_and_no_idempotence(
    cluster: &TestCluster,
) {
    let found = after_a_failed_batch(cluster, false, 5).await;
    assert!(!found.is_sorted(), "{found:?}");
    check_complete(found);
}

pub(crate) async fn a_retry_is_not_overtaken_with_one_in_flight(cluster: &TestCluster) {
    let found = after_a_failed_batch(cluster, false, 1).await;
    assert!(found.is_sorted(), "{found:?}");
    check_complete(found);
}

pub(crate) async fn a_retry_is_not_overtaken_with_idempotence(cluster: &TestCluster) {
    let found = after_a_failed_batch(cluster, true, 5).await;
    assert!(found.is_sorted(), "{found:?}");
    check_complete(found);
}

/// What is in the log after one record whose first acknowledgement was lost on its way.
async fn after_a_lost_answer(
    cluster: &TestCluster,
    settings: impl FnOnce(ProducerBuilder) -> ProducerBuilder,
) -> Vec<u32> {
    let topic = cluster.create_topic("lost-answer", 1).await;
    let client = connect(cluster).await;
    let producer = producer(&client, settings).await;
    let fault = cluster.embedded().fault(Rule::new(ApiKey::Produce, Act::ApplyThenDrop).once());
    enqueue_all(&producer, &topic, 0..1).await;
    assert_eq!(fault.hits(), 1);
    client.close().await;
    values(cluster, &topic).await
}

/// What is in the log after a dozen batches, one of which was refused at first.
async fn after_a_failed_batch(
    cluster: &TestCluster,
    idempotence: bool,
    in_flight: usize,
) -> Vec<u32> {
    let topic = cluster.create_topic("failed-batch", 1).await;
    let client = connect(cluster).await;
    let config = ProducerConfig {
        acks: Acks::All,
        enable_idempotence: idempotence,
        max_in_flight_requests_per_connection: in_flight,
        // A record fills a batch, and none waits for company.
        batch_size: 1,
        linger: Duration::ZERO,
        ..ProducerConfig::default()
    };
    let producer = producer(&client, |builder| builder.config(config)).await;
    // The first request takes so long that others are in flight behind it when the second fails.
    let slow = Rule::new(ApiKey::Produce, Act::Delay(Duration::from_secs(1))).once();
    let refused = Act::Respond(ErrorCode::NotEnoughReplicas);
    let _slow = cluster.embedded().fault(slow);
    let refused = cluster.embedded().fault(Rule::new(ApiKey::Produce, refused).once());
    enqueue_all(&producer, &topic, 0..RECORDS).await;
    assert_eq!(refused.hits(), 1);
    client.close().await;
    values(cluster, &topic).await
}

#[track_caller]
fn check_complete(mut found: Vec<u32>) {
    found.sort_unstable();
    assert_eq!(found, (0..RECORDS).collect::<Vec<_>>());
}

const RECORDS: u32 = 12;
