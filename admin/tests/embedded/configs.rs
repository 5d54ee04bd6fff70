//! Settings are told and changed.

use std::time::Duration;

use ottla_admin::configs::{ConfigChanges, ConfigResource, ConfigSource};
use ottla_core::error::ErrorCode;
use ottla_protocol::ApiKey;

use crate::bed::{Bed, node};

#[tokio::test(start_paused = true)]
async fn a_changed_setting_is_told_with_where_it_comes_from() {
    let bed = Bed::start().await;
    let orders = ConfigResource::topic("orders");
    bed.admin.alter_config(orders.clone()).set("retention.ms", "1000").await.unwrap();
    let wanted = ["retention.ms", "cleanup.policy"];
    let described = bed.admin.describe_configs([orders.clone()]).only(wanted).await;
    let entries = described.get(&orders).unwrap().as_ref().unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries["retention.ms"].value.as_deref(), Some("1000"));
    assert_eq!(entries["retention.ms"].source, ConfigSource::Topic);
    assert!(entries["retention.ms"].synonyms.is_empty());
    assert_eq!(entries["cleanup.policy"].source, ConfigSource::Default);
}

#[tokio::test(start_paused = true)]
async fn lists_are_added_to_and_taken_from() {
    let bed = Bed::start().await;
    let orders = ConfigResource::topic("orders");
    let policy = async || {
        let described = bed.admin.describe_configs([orders.clone()]).include_synonyms().await;
        let mut entries = described.into_result().unwrap().remove(&orders).unwrap();
        entries.remove("cleanup.policy").unwrap().value.unwrap()
    };
    bed.admin.alter_config(orders.clone()).append("cleanup.policy", "compact").await.unwrap();
    assert_eq!(policy().await, "delete,compact");
    bed.admin.alter_config(orders.clone()).subtract("cleanup.policy", "delete").await.unwrap();
    assert_eq!(policy().await, "compact");
    bed.admin.alter_config(orders.clone()).delete("cleanup.policy").await.unwrap();
    assert_eq!(policy().await, "delete");
}

#[tokio::test(start_paused = true)]
async fn validating_changes_nothing() {
    let bed = Bed::start().await;
    let orders = ConfigResource::topic("orders");
    let change = || bed.admin.alter_config(orders.clone()).validate_only();
    change().set("retention.ms", "1000").await.unwrap();
    let error = change().set("retention.ms", "soon").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::InvalidConfig));
    let described = bed.admin.describe_configs([orders.clone()]).await.into_result().unwrap();
    assert_eq!(described[&orders]["retention.ms"].source, ConfigSource::Default);
}

#[tokio::test(start_paused = true)]
async fn each_resource_of_several_has_its_own_result() {
    let bed = Bed::start().await;
    let (orders, nowhere) = (ConfigResource::topic("orders"), ConfigResource::topic("nowhere"));
    let changes = || ConfigChanges::new().set("retention.ms", "1000");
    let altered =
        bed.admin.alter_configs([(orders.clone(), changes()), (nowhere.clone(), changes())]).await;
    assert!(altered.get(&orders).unwrap().is_ok());
    let error = altered.get(&nowhere).unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
}

#[tokio::test(start_paused = true)]
async fn the_settings_of_a_broker_are_asked_of_itself() {
    let bed = Bed::start().await;
    for id in 1..=3 {
        let broker = ConfigResource::Broker(node(id));
        bed.admin.describe_configs([broker]).await.into_result().unwrap();
        let asked =
            bed.cluster.requests().into_iter().rfind(|it| it.api == ApiKey::DescribeConfigs);
        assert_eq!(asked.unwrap().node.0, id);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_does_not_exist_is_told_soon() {
    let bed = Bed::start().await;
    let begun = bed.now();
    let (missing, first) = (ConfigResource::Broker(node(9)), ConfigResource::Broker(node(1)));
    let described = bed.admin.describe_configs([missing.clone(), first.clone()]).await;
    let error = described.get(&missing).unwrap().as_ref().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::BrokerNotAvailable));
    assert!(described.get(&first).unwrap().is_ok());
    assert!(bed.now() - begun < Duration::from_secs(1));
}
