//! The first connection.

use std::time::Duration;

use ottla_core::net::{Client, Runtime, Target};
use ottla_core::types::NodeId;
use ottla_integration_tests::TestCluster;
use ottla_protocol::messages::DescribeClusterRequest;

use crate::clients::{config, connect, connect_to, nobody, soon, within};

pub(crate) async fn any_bootstrap_server_names_every_broker(cluster: &TestCluster) {
    let expected = cluster.metadata(None).await.brokers.len();
    for server in cluster.bootstrap_servers() {
        let client = connect_to(&[server]).await;
        assert_eq!(client.snapshot().brokers.len(), expected);
        client.close().await;
    }
}

pub(crate) async fn a_dead_bootstrap_server_is_passed_over(cluster: &TestCluster) {
    let mut servers = vec![nobody()];
    servers.extend(cluster.bootstrap_servers());
    let client = connect_to(&servers).await;
    assert!(!client.snapshot().brokers.is_empty());
    client.close().await;
}

pub(crate) async fn with_nobody_listening_the_error_names_who_was_asked(_: &TestCluster) {
    let servers = [nobody()];
    let failed = Client::connect(config(&servers), Runtime::tokio()).await;
    let error = failed.expect_err("nobody listens there");
    assert!(error.to_string().contains(&servers[0]), "{error}");
}

pub(crate) async fn a_broker_that_does_not_exist_is_an_error_before_the_deadline(
    cluster: &TestCluster,
) {
    let client = connect(cluster).await;
    let target = Target::Node(NodeId::from_wire(4711).expect("it is not negative"));
    let budget = Duration::from_secs(2);
    let request = DescribeClusterRequest::default();
    let asked = client.call(&target, &request, within(budget));
    let answer = tokio::time::timeout(budget * 2, asked).await.expect("the deadline is kept");
    answer.expect_err("there is no such broker");
    client.close().await;
}

pub(crate) async fn the_cluster_is_the_same_by_every_way(cluster: &TestCluster) {
    let client = connect(cluster).await;
    let request = DescribeClusterRequest::default();
    let asked = client.call(&Target::AnyBroker, &request, soon()).await;
    let described = asked.expect("a broker answers");
    assert_eq!(client.snapshot().cluster_id.as_deref(), Some(&*described.cluster_id));
    assert_eq!(client.snapshot().brokers.len(), described.brokers.len());
    client.close().await;
}
