//! Answers are lost, brokers die and fall silent, roles move; the deadline is kept.

use std::time::Duration;

use ottla_admin::AdminError;
use ottla_admin::configs::ConfigResource;
use ottla_admin::offsets::OffsetSpec;
use ottla_broker::fault::{Act, Rule};
use ottla_broker::world::NodeId;
use ottla_core::error::{Certainty, ErrorCode, ErrorKind, RequestError};
use ottla_protocol::ApiKey;

use crate::bed::{Bed, START_MS, node, tp};

#[tokio::test(start_paused = true)]
async fn f037_a_controller_that_moves_is_followed() {
    let bed = Bed::start().await;
    let rule = Rule::new(ApiKey::CreateTopics, Act::Respond(ErrorCode::NotController)).times(2);
    let rule = bed.cluster.fault(rule);
    let begun = bed.now();
    bed.admin.create_topic("payments").await.unwrap();
    assert_eq!(rule.hits(), 2);
    assert!(bed.now() - begun < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn f037_a_controller_that_dies_during_a_call_is_followed() {
    let bed = Bed::start().await;
    let hold = bed.cluster.fault(Rule::new(ApiKey::CreateTopics, Act::Hold).once());
    let creating = bed.admin.create_topic("payments").replication(2).into_future();
    let begun = bed.now();
    let kill = async {
        hold.reached().await;
        let controller = bed.cluster.requests().pop().unwrap().node.0;
        bed.cluster.node(controller).kill().await;
    };
    let (created, ()) = tokio::join!(creating, kill);
    assert!(!created.unwrap().existed);
    assert!(bed.now() - begun < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn f168_a_topic_whose_creation_was_not_answered_exists_perhaps_by_this_call() {
    let bed = Bed::start().await;
    let lost = Rule::new(ApiKey::CreateTopics, Act::ApplyThenDrop).once();
    let _rule = bed.cluster.fault(lost.clone());
    let error = bed.admin.create_topic("payments").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TopicAlreadyExists));
    assert_eq!(error.certainty(), Certainty::PossiblyWritten);
    let _rule = bed.cluster.fault(lost);
    let created = bed.admin.create_topic("refunds").if_not_exists().await.unwrap();
    assert!(created.existed);
}

#[tokio::test(start_paused = true)]
async fn f168_a_topic_whose_deletion_was_not_answered_is_gone_perhaps_by_this_call() {
    let bed = Bed::start().await;
    let _rule = bed.cluster.fault(Rule::new(ApiKey::DeleteTopics, Act::ApplyThenDrop).once());
    let error = bed.admin.delete_topic("orders").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UnknownTopicOrPartition));
    assert_eq!(error.certainty(), Certainty::PossiblyWritten);
}

#[tokio::test(start_paused = true)]
async fn f170_a_broker_that_dies_while_groups_are_listed_hides_none_of_them() {
    let bed = Bed::start().await;
    let names = bed.groups().await;
    let hold = Rule::new(ApiKey::ListGroups, Act::Hold).node(NodeId(2));
    let hold = bed.cluster.fault(hold);
    let begun = bed.now();
    let kill = async {
        hold.reached().await;
        bed.cluster.node(2).kill().await;
    };
    let (listing, ()) = tokio::join!(bed.admin.list_groups().into_future(), kill);
    let listed = listing.into_result().unwrap();
    assert_eq!(listed.iter().map(|group| &*group.id).collect::<Vec<_>>(), names);
    assert!(bed.now() - begun < Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_the_client_has_not_heard_of_is_asked_for_its_groups() {
    let bed = Bed::start().await;
    let names = bed.groups().await;
    bed.restart_unseen(2).await;
    bed.cluster.group(&names[0]).move_coordinator(2).unwrap();
    let listed = bed.admin.list_groups().await.into_result().unwrap();
    assert_eq!(listed.iter().map(|group| &*group.id).collect::<Vec<_>>(), names);
}

#[tokio::test(start_paused = true)]
async fn a_listing_that_finds_no_broker_says_so() {
    let bed = Bed::start().await;
    bed.groups().await;
    for id in 1..=3 {
        bed.cluster.node(id).kill().await;
    }
    let listing = bed.admin.list_groups().timeout(Duration::from_secs(3)).await;
    assert_eq!(listing.groups().count(), 0);
    assert!(listing.errors().count() > 0);
    let error = listing.into_result().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
}

#[tokio::test(start_paused = true)]
async fn f169_a_silent_broker_hides_only_its_own_groups() {
    let bed = Bed::start().await;
    let names = bed.groups().await;
    let mut others = Vec::new();
    for name in names {
        if bed.coordinator(&name).await != 2 {
            others.push(name);
        }
    }
    bed.cluster.node(2).pause();
    let begun = bed.now();
    let listing = bed.admin.list_groups().timeout(Duration::from_secs(3)).await;
    assert_eq!(bed.now() - begun, Duration::from_secs(3));
    assert_eq!(listing.groups().map(|group| &*group.id).collect::<Vec<_>>(), others);
    assert_eq!(listing.errors().map(|(node, _)| node.number()).collect::<Vec<_>>(), [2]);
    let error = listing.into_result().unwrap_err();
    assert_eq!(error.subject(), "list the groups of broker 2");
    assert_eq!(error.certainty(), Certainty::PossiblyWritten);
}

#[tokio::test(start_paused = true)]
async fn f169_a_silent_leader_hides_only_its_own_partitions() {
    let bed = Bed::start().await;
    let silent = bed.cluster.partition("orders", 0).leader().unwrap();
    bed.cluster.node(silent).pause();
    let wanted = (0..3).map(|index| (tp(index), OffsetSpec::Latest));
    let listed = bed.admin.list_offsets(wanted).timeout(Duration::from_secs(3)).await;
    assert!(listed.get(&tp(0)).unwrap().is_err());
    assert_eq!(listed.successes().count(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_falls_silent_is_left_when_another_leads() {
    let bed = Bed::start().await;
    bed.write("orders", 0, &[START_MS]).await;
    let silent = bed.cluster.partition("orders", 0).leader().unwrap();
    bed.admin.list_offsets([(tp(0), OffsetSpec::Latest)]).await.into_result().unwrap();
    let hang = Rule::new(ApiKey::ListOffsets, Act::Hang).node(NodeId(silent));
    let hang = bed.cluster.fault(hang);
    let begun = bed.now();
    let listing = bed.admin.list_offsets([(tp(0), OffsetSpec::Latest)]).into_future();
    let lead = async {
        hang.reached().await;
        bed.cluster.partition("orders", 0).move_leader(silent % 3 + 1).unwrap();
    };
    let (listed, ()) = tokio::join!(listing, lead);
    let listed = listed.into_result().unwrap();
    assert_eq!(listed[&tp(0)].offset, Some(1));
    let took = bed.now() - begun;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_moved_is_followed() {
    let bed = Bed::start().await;
    let wanted = || (0..3).map(|index| (tp(index), OffsetSpec::Latest));
    bed.admin.list_offsets(wanted()).await.into_result().unwrap();
    for index in 0..3 {
        let leader = bed.cluster.partition("orders", index).leader().unwrap();
        bed.cluster.partition("orders", index).move_leader(leader % 3 + 1).unwrap();
    }
    let begun = bed.now();
    bed.admin.list_offsets(wanted()).await.into_result().unwrap();
    assert!(bed.now() - begun < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_dies_is_followed() {
    let bed = Bed::start().await;
    let names = bed.groups().await;
    bed.cluster.node(2).kill().await;
    let begun = bed.now();
    let described = bed.admin.describe_groups(names).await.into_result().unwrap();
    assert_eq!(described.len(), 6);
    assert!(described.values().all(|group| group.coordinator.map(|it| it.number()) != Some(2)));
    let took = bed.now() - begun;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn metadata_that_comes_late_denies_no_partition_that_is_new() {
    let bed = Bed::start().await;
    bed.admin.list_offsets([(tp(0), OffsetSpec::Latest)]).await.into_result().unwrap();
    bed.admin.create_partitions([("orders", 4)]).await.into_result().unwrap();
    let late = Act::Delay(Duration::from_millis(900));
    let _late = bed.cluster.fault(Rule::new(ApiKey::Metadata, late));
    bed.admin.list_offsets([(tp(3), OffsetSpec::Latest)]).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn metadata_that_comes_late_denies_no_broker_that_has_come_back() {
    let bed = Bed::start().await;
    bed.restart_unseen(2).await;
    let late = Act::Delay(Duration::from_millis(900));
    let _late = bed.cluster.fault(Rule::new(ApiKey::Metadata, late));
    let second = ConfigResource::Broker(node(2));
    bed.admin.describe_configs([second]).await.into_result().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_refused_for_now_ends_at_its_deadline() {
    let bed = Bed::start().await;
    let rule = Rule::new(ApiKey::CreateTopics, Act::Respond(ErrorCode::NotController));
    let _rule = bed.cluster.fault(rule);
    let begun = bed.now();
    let timeout = Duration::from_secs(4);
    let error = bed.admin.create_topic("payments").timeout(timeout).await.unwrap_err();
    assert_eq!(bed.now() - begun, timeout);
    assert!(matches!(&error, AdminError::DeadlineExceeded { within, .. } if *within == timeout));
    assert_eq!(error.code(), Some(ErrorCode::NotController));
    assert_eq!(error.certainty(), Certainty::NotWritten);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_nobody_answers_ends_at_its_deadline_and_says_why() {
    let bed = Bed::start().await;
    for id in 1..=3 {
        bed.cluster.node(id).kill().await;
    }
    let begun = bed.now();
    let timeout = Duration::from_secs(4);
    let error = bed.admin.create_topic("payments").timeout(timeout).await.unwrap_err();
    let took = bed.now() - begun;
    assert!(took >= timeout && took < timeout + Duration::from_millis(10), "{took:?}");
    assert!(error.to_string().starts_with("create topic payments: "), "{error}");
    assert!(error.to_string().contains("4 s"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn without_a_timeout_of_its_own_a_call_has_that_of_the_settings() {
    let bed = Bed::start().await;
    let _rule = bed.cluster.fault(Rule::new(ApiKey::DescribeCluster, Act::Hang));
    let begun = bed.now();
    bed.admin.describe_cluster().await.unwrap_err();
    let limit = bed.admin.client().config().default_api_timeout;
    assert_eq!((bed.now() - begun).as_secs(), limit.as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_call_through_a_closed_client_ends_at_once() {
    let bed = Bed::start().await;
    let begun = bed.now();
    bed.admin.client().clone().close().await;
    let error = bed.admin.describe_topic("orders").await.unwrap_err();
    assert!(
        matches!(&error, AdminError::Request { error: RequestError::Closed { .. }, .. }),
        "{error}"
    );
    assert!(bed.now() - begun < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_leaves_the_client_usable() {
    let bed = Bed::start().await;
    let hang = bed.cluster.fault(Rule::new(ApiKey::Metadata, Act::Delay(Duration::from_secs(1))));
    let dropped = tokio::time::timeout(
        Duration::from_millis(100),
        bed.admin.describe_topic("orders").into_future(),
    );
    assert!(dropped.await.is_err());
    hang.remove();
    bed.admin.create_topic("payments").await.unwrap();
    bed.describe("payments").await;
}
