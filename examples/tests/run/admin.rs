//! `admin`.

use ottla::{ErrorCode, TopicPartition};
use ottla_broker::cluster::TopicSpec;
use ottla_broker::fault::{Act, Rule};
use ottla_broker::world::NodeId;
use ottla_protocol::ApiKey;

use crate::cluster;
use crate::program::{last_line, run, succeed};

#[tokio::test]
async fn the_admin_tour_creates_lists_and_deletes() {
    let shown = succeed("admin", &[]).await;
    assert!(shown.contains("admin-example: 3 partitions"), "{shown}");
    assert!(shown.contains("deleted admin-example"), "{shown}");
}

#[tokio::test]
async fn a_topic_is_as_its_brokers_make_topics_unless_told_otherwise() {
    let settings = cluster::builder(3).config("num.partitions", "4");
    let cluster = settings.config("default.replication.factor", "3").start().await.unwrap();
    let servers = cluster.bootstrap().join(",");
    succeed("admin", &["--bootstrap", &servers, "create", "usual"]).await;
    let own = ["create", "own", "--partitions", "2", "--replication", "1"];
    succeed("admin", &[&["--bootstrap", &servers][..], &own].concat()).await;
    let admin = cluster::connect(&servers).await.admin();
    for (topic, expected) in [("usual", (4, 3)), ("own", (2, 1))] {
        let partitions = admin.describe_topic(topic).await.unwrap().partitions;
        let replicas = partitions.first().unwrap().replicas.len();
        assert_eq!((partitions.len(), replicas), expected, "{topic}");
    }
}

#[tokio::test]
async fn groups_that_a_broker_does_not_tell_are_missed() {
    let cluster = cluster::builder(2).start().await.unwrap();
    let refused = Act::Respond(ErrorCode::ClusterAuthorizationFailed);
    let _rule = cluster.fault(Rule::new(ApiKey::ListGroups, refused).node(NodeId(2)));
    let servers = cluster.bootstrap().join(",");
    let output = run("admin", &["--bootstrap", &servers, "groups"]).await;
    let told = last_line(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("this is not all: list the groups of broker 2"), "{told}");
}

#[tokio::test]
async fn a_lag_that_is_not_known_is_missed_and_hides_no_other() {
    let topic = TopicSpec::new("lines").partitions(2);
    let cluster = cluster::builder(1).topic(topic).start().await.unwrap();
    let servers = cluster.bootstrap().join(",");
    let both = [0, 1].map(|partition| (TopicPartition::new("lines", partition), 0));
    let altered = cluster::connect(&servers).await.admin().alter_group_offsets("slow", both).await;
    altered.into_result().unwrap();
    let refused = Act::Respond(ErrorCode::TopicAuthorizationFailed);
    let _rule = cluster.fault(Rule::new(ApiKey::ListOffsets, refused).partition("lines", 1));
    let output = run("admin", &["--bootstrap", &servers, "lag", "slow"]).await;
    let told = last_line(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "lines-0: 0\n");
    assert!(told.contains("this is not all:") && told.contains("lines-1"), "{told}");
}
