//! What a client knows of topics.

use ottla_core::types::TopicName;
use ottla_integration_tests::TestCluster;
use ottla_protocol::ErrorCode;

use crate::clients::{connect, soon};

pub(crate) async fn a_topic_is_known_with_its_leaders(cluster: &TestCluster) {
    let name = cluster.create_topic("known", 4).await;
    let client = connect(cluster).await;
    let topic = client.topic(&name.as_str().into(), soon()).await.expect("it exists");
    assert_eq!(topic.error, None);
    assert!(topic.id.is_some(), "brokers of today give topics ids");
    let leaders = topic.partitions.iter().map(|p| p.leader.map(|node| node.number()));
    let expected = cluster.leaders(&name).await;
    assert_eq!(
        leaders.collect::<Vec<_>>(),
        expected.values().map(|&id| Some(id)).collect::<Vec<_>>()
    );
    client.close().await;
}

pub(crate) async fn an_unknown_topic_is_said_to_be_unknown(cluster: &TestCluster) {
    check_error(cluster, &cluster.unique("unknown"), ErrorCode::UnknownTopicOrPartition).await;
}

pub(crate) async fn an_impossible_topic_name_is_said_to_be_one(cluster: &TestCluster) {
    check_error(cluster, "no spaces, please", ErrorCode::InvalidTopicException).await;
}

pub(crate) async fn a_topic_that_is_created_later_is_found(cluster: &TestCluster) {
    let client = connect(cluster).await;
    let _unknown = client.topic(&cluster.unique("later").into(), soon()).await;
    let name = TopicName::from(cluster.create_topic("later", 1).await);
    let topic = client.topic(&name, soon()).await.expect("it exists now");
    assert_eq!((topic.error, topic.partitions.len()), (None, 1));
    client.close().await;
}

async fn check_error(cluster: &TestCluster, name: &str, expected: ErrorCode) {
    let client = connect(cluster).await;
    let topic = client.topic(&name.into(), soon()).await.expect("a broker says what is wrong");
    assert_eq!(topic.error, Some(expected));
    client.close().await;
}
