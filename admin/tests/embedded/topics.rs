//! Topics come, grow and go.

use ottla_admin::topics::{NewPartitions, NewTopic};
use ottla_broker::fault::{Act, Rule};
use ottla_core::error::{Certainty, ErrorClass, ErrorCode, ErrorKind};
use ottla_protocol::{AnyResponse, ApiKey};

use crate::bed::{Bed, node};

#[tokio::test(start_paused = true)]
async fn a_topic_is_created_as_it_was_asked_for() {
    let bed = Bed::start().await;
    let created = bed
        .admin
        .create_topic("payments")
        .partitions(6)
        .replication(2)
        .config("retention.ms", "86400000")
        .await
        .unwrap();
    assert_eq!(
        (created.existed, created.partitions, created.replication),
        (false, Some(6), Some(2))
    );
    let described = bed.describe("payments").await;
    assert_eq!(described.id, created.id);
    assert_eq!(described.partitions.len(), 6);
    assert!(described.partitions.iter().all(|partition| partition.replicas.len() == 2));
}

#[tokio::test(start_paused = true)]
async fn replicas_are_where_they_were_asked_for() {
    let bed = Bed::start().await;
    let replicas = [vec![node(3), node(1)], vec![node(2), node(3)]];
    bed.admin.create_topic("placed").assignment(replicas.clone()).await.unwrap();
    let described = bed.describe("placed").await;
    let placed: Vec<_> = described.partitions.into_iter().map(|it| it.replicas).collect();
    assert_eq!(placed, replicas);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_exists_is_an_error_or_fine() {
    let bed = Bed::start().await;
    let error = bed.admin.create_topic("orders").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TopicAlreadyExists));
    assert_eq!(error.certainty(), Certainty::NotWritten);
    assert!(!error.class().is_retriable());
    assert_eq!(
        error.to_string(),
        "create topic orders: TOPIC_ALREADY_EXISTS (36): Topic 'orders' already exists. \
         if_not_exists() accepts that."
    );
    let existing = bed.admin.create_topic("orders").if_not_exists().await.unwrap();
    assert!(existing.existed);
}

#[tokio::test(start_paused = true)]
async fn validating_creates_nothing() {
    let bed = Bed::start().await;
    let valid = bed.admin.create_topic("payments").partitions(4).validate_only().await.unwrap();
    assert_eq!((valid.id, valid.partitions), (None, Some(4)));
    let error =
        bed.admin.create_topic("payments").replication(4).validate_only().await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InvalidReplicationFactor));
    let error = bed.admin.describe_topic("payments").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test(start_paused = true)]
async fn f169_each_topic_of_several_has_its_own_result() {
    let bed = Bed::start().await;
    let topics =
        [NewTopic::new("new").partitions(1), "orders".into(), "not a name".into(), "newer".into()];
    let created = bed.admin.create_topics(topics).await;
    let succeeded: Vec<_> = created.successes().map(|(name, _)| name.as_str()).collect();
    assert_eq!(succeeded, ["new", "newer"]);
    let code = |name| created.get(name).unwrap().as_ref().unwrap_err().code();
    assert_eq!(code("orders"), Some(ErrorCode::TopicAlreadyExists));
    assert_eq!(code("not a name"), Some(ErrorCode::InvalidTopicException));
    let first = created.into_result().unwrap_err();
    assert_eq!(first.subject(), "create topic not a name");
    assert_eq!(first.class(), ErrorClass::InvalidConfiguration);
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_is_gone() {
    let bed = Bed::start().await;
    bed.admin.delete_topic("orders").await.unwrap();
    let error = bed.admin.delete_topic("orders").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
    bed.admin.delete_topic("orders").if_exists().await.unwrap();
    assert!(bed.admin.list_topics().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn several_topics_are_deleted_at_once() {
    let bed = Bed::start().await;
    bed.admin.create_topic("payments").await.unwrap();
    let deleted = bed.admin.delete_topics(["orders", "nowhere", "payments"]).await;
    let failed: Vec<_> = deleted.failures().map(|(name, _)| name.as_str()).collect();
    assert_eq!(failed, ["nowhere"]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_grows_and_never_shrinks() {
    let bed = Bed::start().await;
    let grown = bed.admin.create_partitions([("orders", 5), ("nowhere", 2)]).await;
    assert!(grown.get("orders").unwrap().is_ok());
    let error = grown.get("nowhere").unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(bed.describe("orders").await.partitions.len(), 5);
    let shrunk = bed.admin.create_partitions([("orders", 4)]).await.into_result().unwrap_err();
    assert_eq!(shrunk.code(), Some(ErrorCode::InvalidPartitions));
    assert!(shrunk.broker_message().is_some());
}

#[tokio::test(start_paused = true)]
async fn validating_grows_nothing() {
    let bed = Bed::start().await;
    let placed = NewPartitions::to("orders", 4).assignment([vec![node(1), node(2), node(3)]]);
    let valid = bed.admin.create_partitions([placed]).validate_only().await;
    valid.into_result().unwrap();
    assert_eq!(bed.describe("orders").await.partitions.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn describing_a_topic_that_does_not_exist_neither_waits_nor_creates_it() {
    let bed = Bed::start().await;
    let begun = bed.now();
    let described = bed.admin.describe_topics(["orders", "nowhere"]).await;
    assert_eq!(described.get("orders").unwrap().as_ref().unwrap().partitions.len(), 3);
    let error = described.get("nowhere").unwrap().as_ref().unwrap_err();
    assert!(error.to_string().ends_with(". Create it, or correct its name."), "{error}");
    assert_eq!(bed.now(), begun);
    assert_eq!(bed.admin.list_topics().include_internal().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn the_cluster_is_described() {
    let bed = Bed::start().await;
    let cluster = bed.admin.describe_cluster().include_fenced().await.unwrap();
    let ids: Vec<_> = cluster.brokers.iter().map(|broker| broker.id).collect();
    assert_eq!(ids, [node(1), node(2), node(3)]);
    assert!(cluster.brokers.iter().any(|broker| Some(broker.id) == cluster.controller));
    assert_eq!(Some(&cluster.cluster_id), bed.admin.client().snapshot().cluster_id.as_ref());
}

#[tokio::test(start_paused = true)]
async fn a_cluster_before_kafka_2_8_is_described_by_its_metadata() {
    let bed = Bed::start().await;
    let without_describe_cluster = Act::edit(|answer| {
        let AnyResponse::ApiVersions(answer) = answer else { panic!("{answer:?}") };
        answer.api_keys.retain(|row| row.api_key != ApiKey::DescribeCluster.code());
    });
    let _rule = bed.cluster.fault(Rule::new(ApiKey::ApiVersions, without_describe_cluster));
    let cluster = bed.admin.describe_cluster().await.unwrap();
    let ids: Vec<_> = cluster.brokers.iter().map(|broker| broker.id).collect();
    assert_eq!(ids, [node(1), node(2), node(3)]);
    assert!(cluster.brokers.iter().any(|broker| Some(broker.id) == cluster.controller));
    assert_eq!(Some(&cluster.cluster_id), bed.admin.client().snapshot().cluster_id.as_ref());
    let error = bed.admin.describe_cluster().include_fenced().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
}
