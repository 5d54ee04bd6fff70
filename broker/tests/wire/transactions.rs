//! The handles of transactions and coordinators, on running clusters.

use ottla_protocol::messages::{
    EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, InitProducerIdResponse,
    ProduceRequest,
};
use ottla_protocol::records::{BatchBuilder, NewRecord, ProducerStamp, SealOptions};
use ottla_protocol::wire::RecordChunks;

use super::*;

async fn coordinator(cluster: &Cluster) -> Wire {
    let node = cluster.transaction("a").coordinator().unwrap();
    Wire::new(cluster.connect(node).await.unwrap())
}

async fn init(cluster: &Cluster) -> InitProducerIdResponse {
    let request = InitProducerIdRequest {
        transactional_id: Some("a".into()),
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    coordinator(cluster).await.call(&request, 5).await
}

/// Writes a record in a transaction of protocol 2; returns the error.
async fn write(cluster: &Cluster, producer: &InitProducerIdResponse, value: &str) -> i16 {
    let producer = ProducerStamp {
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        base_sequence: 0,
    };
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord::new(START, None, Some(value.as_bytes()))).unwrap();
    let options = SealOptions { producer, transactional: true, ..SealOptions::default() };
    let records = RecordChunks::from(builder.seal(&options).freeze().bytes().clone());
    let transactional_id = Some("a".into());
    let request = ProduceRequest { transactional_id, ..produce(-1, records) };
    let response = leader(cluster).await.call(&request, 12).await;
    response.responses[0].partition_responses[0].error_code
}

/// Ends the transaction in protocol 2; returns the error.
async fn end(cluster: &Cluster, producer: &InitProducerIdResponse, committed: bool) -> i16 {
    let request = EndTxnRequest {
        transactional_id: "a".into(),
        producer_id: producer.producer_id,
        producer_epoch: producer.producer_epoch,
        committed,
        ..Default::default()
    };
    coordinator(cluster).await.call(&request, 5).await.error_code
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_aborted_when_its_virtual_time_is_over() {
    let cluster = in_memory().start().await.unwrap();
    let producer = init(&cluster).await;
    assert_eq!(write(&cluster, &producer, "x").await, 0);
    let transaction = cluster.transaction("a");
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(transaction.state(), Some("Ongoing"));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(transaction.state(), Some("CompleteAbort"));
    let partition = cluster.partition("t", 0);
    assert_eq!((partition.records().len(), partition.read_committed().len()), (1, 0));
    assert_eq!(partition.last_stable(), partition.high_watermark());
}

#[tokio::test]
async fn markers_are_held_and_released() {
    let cluster = in_memory().start().await.unwrap();
    let transaction = cluster.transaction("a");
    assert_eq!(transaction.state(), None);
    let producer = init(&cluster).await;
    write(&cluster, &producer, "x").await;
    transaction.hold_markers();
    assert_eq!(end(&cluster, &producer, true).await, 0);
    assert_eq!(transaction.state(), Some("PrepareCommit"));
    assert_eq!(cluster.partition("t", 0).last_stable(), Some(0));
    transaction.release_markers();
    assert_eq!(transaction.state(), Some("CompleteCommit"));
    assert_eq!(cluster.partition("t", 0).last_stable(), Some(2));
    assert_eq!(cluster.partition("t", 0).read_committed().len(), 1);
}

#[tokio::test]
async fn coordinators_go_where_they_are_moved() {
    let cluster = in_memory().start().await.unwrap();
    let producer = init(&cluster).await;
    write(&cluster, &producer, "x").await;
    for to in 1..=3 {
        cluster.transaction("a").move_coordinator(to).unwrap();
        cluster.group("a").move_coordinator(4 - to).unwrap();
        for (key_type, node) in [(0, 4 - to), (1, to)] {
            let request =
                FindCoordinatorRequest { key: "a".into(), key_type, ..Default::default() };
            let found = leader(&cluster).await.call(&request, 3).await;
            assert_eq!(found.node_id, node);
        }
        assert_eq!(cluster.group("a").coordinator(), Some(4 - to));
    }
    assert_eq!(end(&cluster, &producer, true).await, 0);
    assert_eq!(cluster.partition("t", 0).read_committed().len(), 1);
    assert!(cluster.group("a").move_coordinator(9).is_err());
}

#[tokio::test]
async fn a_transaction_can_be_expired_and_its_epoch_exhausted() {
    let cluster = in_memory().start().await.unwrap();
    let producer = init(&cluster).await;
    write(&cluster, &producer, "x").await;
    cluster.transaction("a").expire();
    let described = cluster.transaction("a").describe().unwrap();
    assert_eq!((described.state, described.producer_epoch), ("CompleteAbort", 1));
    assert_ne!(write(&cluster, &producer, "y").await, 0);
    cluster.transaction("a").exhaust_epoch();
    assert_eq!(init(&cluster).await.producer_epoch, i16::MAX - 1);
    let next = init(&cluster).await;
    assert_eq!((next.producer_id, next.producer_epoch), (producer.producer_id + 1, 0));
}

#[tokio::test]
async fn a_cluster_can_be_told_to_keep_protocol_1() {
    for level in 0..=2 {
        let cluster = in_memory().transaction_version(level).start().await.unwrap();
        let request = ApiVersionsRequest {
            client_software_name: "test".into(),
            client_software_version: "1".into(),
            ..Default::default()
        };
        let response = leader(&cluster).await.call(&request, 4).await;
        let told: Vec<i16> =
            response.finalized_features.iter().map(|f| f.max_version_level).collect();
        assert_eq!(told, [level][usize::from(level == 0)..]);
    }
}
