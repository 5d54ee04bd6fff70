//! The administrative calls.

use ottla_admin::Admin;
use ottla_admin::configs::ConfigResource;
use ottla_admin::offsets::OffsetSpec;
use ottla_core::error::ErrorCode;
use ottla_core::types::TopicPartition;
use ottla_integration_tests::TestCluster;

use crate::clients::{connect, producer};
use crate::produce::enqueue_all;

pub(crate) async fn a_topic_is_created_grown_and_deleted(cluster: &TestCluster) {
    let admin = Admin::new(connect(cluster).await);
    let name = cluster.unique("managed");
    admin.create_topic(&*name).partitions(2).await.expect("it is new");
    let again = admin.create_topic(&*name).await.expect_err("it exists");
    assert_eq!(again.code(), Some(ErrorCode::TopicAlreadyExists));
    cluster.until_in_sync(&name).await;
    admin.create_partitions([(&*name, 5)]).await.into_result().expect("five are more than two");
    cluster.until_in_sync(&name).await;
    let described = admin.describe_topic(&*name).await.expect("it exists");
    assert_eq!(described.partitions.len(), 5);
    admin.delete_topic(&*name).await.expect("it exists");
    admin.delete_topic(&*name).await.expect_err("it is gone");
}

pub(crate) async fn a_setting_is_changed_and_seen(cluster: &TestCluster) {
    let topic = cluster.create_topic("configured", 1).await;
    let admin = Admin::new(connect(cluster).await);
    let resource = ConfigResource::topic(&*topic);
    let altered = admin.alter_config(resource.clone()).set("retention.ms", "12345").await;
    altered.expect("the setting exists");
    // A broker learns it from the controllers, a moment later.
    loop {
        let described = admin.describe_configs([resource.clone()]).await;
        let described = described.into_result().expect("the topic exists");
        let entry = &described[&resource]["retention.ms"];
        if entry.value.as_deref() == Some("12345") {
            break;
        }
    }
}

pub(crate) async fn offsets_are_listed_and_records_deleted(cluster: &TestCluster) {
    let topic = cluster.create_topic("offsets", 1).await;
    let client = connect(cluster).await;
    enqueue_all(&producer(&client, |builder| builder).await, &topic, 0..10).await;
    let admin = Admin::new(client);
    let partition = TopicPartition::new(&*topic, 0);
    let list = async |spec| {
        let listed = admin.list_offsets([(partition.clone(), spec)]).await;
        listed.into_result().expect("it exists")[&partition].offset
    };
    assert_eq!(list(OffsetSpec::Latest).await, Some(10));
    let deleted = admin.delete_records([(partition.clone(), 4)]).await;
    assert_eq!(deleted.into_result().expect("they exist")[&partition], 4);
    assert_eq!(list(OffsetSpec::Earliest).await, Some(4));
}

pub(crate) async fn the_offsets_of_a_group_are_altered_and_its_lag_told(cluster: &TestCluster) {
    let topic = cluster.create_topic("lagging", 1).await;
    let client = connect(cluster).await;
    enqueue_all(&producer(&client, |builder| builder).await, &topic, 0..10).await;
    let admin = Admin::new(client);
    let (group, partition) = (cluster.unique("lagging"), TopicPartition::new(&*topic, 0));
    let altered = admin.alter_group_offsets(&*group, [(partition.clone(), 3)]).await;
    altered.into_result().expect("nobody is in the group");
    assert_eq!(admin.lag(&*group).await.expect("the group exists").total(), Some(7));
    admin.delete_group(&*group).await.expect("nobody is in it");
    admin.delete_group(&*group).await.expect_err("it is gone");
}
