//! Topics and settings.

use ottla_broker::world::config::BROKER_KEYS;
use ottla_protocol::messages::alter_configs;
use ottla_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use ottla_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic};
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::describe_configs::DescribeConfigsResource;
use ottla_protocol::messages::describe_topic_partitions::{
    DescribeTopicPartitionsRequestCursor as Cursor, TopicRequest,
};
use ottla_protocol::messages::incremental_alter_configs;
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::{
    AlterConfigsRequest, CreatePartitionsRequest, CreateTopicsRequest, DeleteTopicsRequest,
    DescribeConfigsRequest, DescribeTopicPartitionsRequest, IncrementalAlterConfigsRequest,
    MetadataRequest,
};
use ottla_protocol::{Request, Uuid};

use super::{create, every, metadata_of, topic};
use crate::twin::Twin;

pub(super) async fn play(twin: &mut Twin) {
    create(twin, "twin", 2, &[]).await;
    create_topics(twin).await;
    create_partitions(twin).await;
    metadata(twin).await;
    describe_partitions(twin).await;
    describe_configs(twin).await;
    alter_configs(twin).await;
    replace_configs(twin).await;
}

async fn create_topics(twin: &mut Twin) {
    for version in every::<CreateTopicsRequest>() {
        let name = format!("created-{version}");
        let topics = vec![topic(&name, 1, &[("max.message.bytes", "20000")])];
        let request = CreateTopicsRequest { topics, ..Default::default() };
        twin.ask("", version, |_| request.clone()).await;
    }
    let assigned = |index, brokers: &[i32]| CreatableReplicaAssignment {
        partition_index: index,
        broker_ids: brokers.iter().copied().collect(),
        ..Default::default()
    };
    let by_hand = |assignments| CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        assignments,
        ..topic("by-hand", 1, &[])
    };
    let refused = [
        ("that exists", topic("twin", 1, &[])),
        ("that collides", topic("dot.under_score", 1, &[])),
        ("without a name", topic("", 1, &[])),
        ("named ..", topic("..", 1, &[])),
        ("with a space", topic("a b", 1, &[])),
        ("with a long name", topic(&"x".repeat(250), 1, &[])),
        ("of no partition", topic("none", 0, &[])),
        ("of fewer than none", topic("none", -2, &[])),
        ("of too many partitions", topic("none", 10_001, &[])),
        ("of too many replicas", CreatableTopic { replication_factor: 5, ..topic("none", 1, &[]) }),
        (
            "of no partition and no replica",
            CreatableTopic { replication_factor: 0, ..topic("none", 0, &[]) },
        ),
        ("of no replica", CreatableTopic { replication_factor: 0, ..topic("none", 1, &[]) }),
        ("with an unknown setting", topic("none", 1, &[("no.such.setting", "1")])),
        ("with a bad setting", topic("none", 1, &[("max.message.bytes", "many")])),
        ("with a setting too small", topic("none", 1, &[("segment.bytes", "1")])),
        (
            "assigned and counted",
            CreatableTopic { assignments: vec![assigned(0, &[1])], ..topic("none", 1, &[]) },
        ),
        ("assigned with a gap", by_hand(vec![assigned(1, &[1])])),
        ("assigned to nobody known", by_hand(vec![assigned(0, &[9])])),
        ("assigned twice", by_hand(vec![assigned(0, &[1, 1])])),
        ("assigned to nobody", by_hand(vec![assigned(0, &[])])),
        ("assigned to somebody unknown twice", by_hand(vec![assigned(0, &[9, 9])])),
        ("assigned again", by_hand(vec![assigned(0, &[1]), assigned(0, &[1])])),
    ];
    twin.ask("of dots", 7, |_| CreateTopicsRequest {
        topics: vec![topic("dot_under.score", 1, &[])],
        ..Default::default()
    })
    .await;
    for (case, topic) in refused {
        let request = CreateTopicsRequest { topics: vec![topic], ..Default::default() };
        twin.ask(case, 7, |_| request.clone()).await;
    }
    let twice = vec![topic("twice", 1, &[]), topic("twice", 1, &[])];
    twin.ask("named twice", 7, |_| CreateTopicsRequest {
        topics: twice.clone(),
        ..Default::default()
    })
    .await;
    let tried = CreateTopicsRequest {
        topics: vec![topic("tried", 3, &[]), topic("twin", 1, &[])],
        validate_only: true,
        ..Default::default()
    };
    twin.ask("only tried", 7, |_| tried.clone()).await;
    for longest in ["1", "0", "-1"] {
        let tried = CreateTopicsRequest {
            topics: vec![topic("tried", 1, &[("max.decompressed.message.bytes", longest)])],
            validate_only: true,
            ..Default::default()
        };
        twin.ask(&format!("only tried, with records of {longest}"), 7, |_| tried.clone()).await;
    }
    let defaults = CreatableTopic {
        num_partitions: -1,
        replication_factor: -1,
        ..topic("of-defaults", 1, &[])
    };
    twin.ask("of defaults", 7, |_| CreateTopicsRequest {
        topics: vec![defaults.clone()],
        ..Default::default()
    })
    .await;
}

async fn create_partitions(twin: &mut Twin) {
    let grown = |name: &str, count| CreatePartitionsRequest {
        topics: vec![CreatePartitionsTopic {
            name: name.into(),
            count,
            assignments: None,
            ..Default::default()
        }],
        timeout_ms: 5000,
        ..Default::default()
    };
    for (count, version) in (2..).zip(every::<CreatePartitionsRequest>()) {
        let name = format!("created-{}", version + 2);
        twin.ask("", version, |_| grown(&name, count)).await;
    }
    for (case, name, count) in [
        ("to as many", "twin", 2),
        ("to fewer", "twin", 1),
        ("to none", "twin", 0),
        ("of nothing known", "nope", 3),
    ] {
        twin.ask(case, 3, |_| grown(name, count)).await;
    }
    let assigned = |brokers: &[i32]| {
        let on = |broker: &i32| CreatePartitionsAssignment {
            broker_ids: [*broker].into_iter().collect(),
            ..Default::default()
        };
        let mut request = grown("twin", 3);
        request.topics[0].assignments = Some(brokers.iter().map(on).collect());
        request
    };
    for count in [10_000, 10_003] {
        let tried = CreatePartitionsRequest { validate_only: true, ..grown("twin", count) };
        twin.ask(&format!("only tried to {count}"), 3, |_| tried.clone()).await;
    }
    twin.ask("with too many assignments", 3, |_| assigned(&[1, 1])).await;
    twin.ask("with no assignments", 3, |_| assigned(&[])).await;
    twin.ask("on nobody known", 3, |_| assigned(&[9])).await;
    twin.ask("only tried", 3, |_| CreatePartitionsRequest {
        validate_only: true,
        ..assigned(&[1])
    })
    .await;
}

async fn metadata(twin: &mut Twin) {
    for version in every::<MetadataRequest>() {
        twin.ask("", version, |_| MetadataRequest {
            allow_auto_topic_creation: version < 4,
            ..metadata_of("twin")
        })
        .await;
    }
    for version in [4, 12, 13] {
        twin.ask("of nothing known", version, |_| metadata_of("nope")).await;
    }
    twin.ask("of an impossible name", 12, |_| metadata_of("a b")).await;
    twin.ask("of no name", 9, |_| metadata_of("")).await;
    twin.ask("of no topic", 12, |_| MetadataRequest {
        topics: Some(Vec::new()),
        ..Default::default()
    })
    .await;
    // Those of the cluster are DescribeCluster's to tell from 11 on (KIP-700).
    let operations = |version| MetadataRequest {
        include_topic_authorized_operations: true,
        include_cluster_authorized_operations: version < 11,
        ..metadata_of("twin")
    };
    for version in [8, 10, 12] {
        twin.ask("with operations", version, |_| operations(version)).await;
    }
    for version in [8, 12] {
        let all = MetadataRequest { topics: None, ..operations(version) };
        twin.ask("of all with operations", version, |_| all.clone()).await;
    }
    let by_id = |topic_id: Uuid, name: Option<&str>| {
        let topic =
            MetadataRequestTopic { topic_id, name: name.map(Into::into), ..Default::default() };
        MetadataRequest { topics: Some(vec![topic]), ..Default::default() }
    };
    for version in [12, 13] {
        twin.ask("by id", version, |side| by_id(side.topic("twin"), None)).await;
        twin.ask("by an unknown id", version, |_| by_id(Uuid::from(9_u128), None)).await;
        twin.ask("by a null name alone", version, |_| by_id(Uuid::ZERO, None)).await;
        twin.ask("by id and name", version, |side| by_id(side.topic("twin"), Some("twin"))).await;
    }
    twin.ask("by id, too early", 11, |side| by_id(side.topic("twin"), None)).await;
}

async fn describe_partitions(twin: &mut Twin) {
    let of = |names: &[&str], limit| DescribeTopicPartitionsRequest {
        topics: names
            .iter()
            .map(|name| TopicRequest { name: (*name).into(), ..Default::default() })
            .collect(),
        response_partition_limit: limit,
        ..Default::default()
    };
    twin.ask("", 0, |_| of(&["twin"], 2000)).await;
    twin.ask("of nothing known", 0, |_| of(&["nope"], 2000)).await;
    twin.ask("a page", 0, |_| of(&["twin", "created-7"], 1)).await;
    let cursor = Cursor { topic_name: "twin".into(), partition_index: 1, ..Default::default() };
    let next = DescribeTopicPartitionsRequest { cursor: Some(cursor), ..of(&["twin"], 2000) };
    twin.ask("the next page", 0, |_| next.clone()).await;
    twin.ask("of impossible names", 0, |_| of(&["a b", "..", "twin"], 2000)).await;
    twin.ask("of one twice", 0, |_| of(&["twin", "twin"], 2000)).await;
    twin.ask("of no more than none", 0, |_| of(&["twin"], -1)).await;
    for (case, names, topic_name, partition_index) in [
        ("from a topic that is not asked for", &["twin"][..], "created-7", 0),
        ("from a partition before all", &["twin"], "twin", -1),
        ("from a partition after all", &["twin", "created-7"], "twin", 9),
        ("from a topic between all", &[], "cz", 0),
        ("from a topic between all, further on", &[], "cz", 1),
    ] {
        let topic_name = topic_name.into();
        let cursor = Cursor { topic_name, partition_index, ..Default::default() };
        let request = DescribeTopicPartitionsRequest { cursor: Some(cursor), ..of(names, 2000) };
        twin.ask(case, 0, |_| request.clone()).await;
    }
}

fn described(resource_type: i8, name: &str, keys: Option<&[&str]>) -> DescribeConfigsRequest {
    let resource = DescribeConfigsResource {
        resource_type,
        resource_name: name.into(),
        configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
        ..Default::default()
    };
    DescribeConfigsRequest { resources: vec![resource], ..Default::default() }
}

/// Some settings of a topic, with the places that set them.
pub(super) fn described_topic(name: &str, keys: &[&str]) -> DescribeConfigsRequest {
    let request = described(TOPIC, name, Some(keys));
    DescribeConfigsRequest { include_synonyms: true, ..request }
}

async fn describe_configs(twin: &mut Twin) {
    for version in every::<DescribeConfigsRequest>() {
        twin.ask("of a topic", version, |_| described(TOPIC, "twin", None)).await;
    }
    let synonyms = |request| DescribeConfigsRequest { include_synonyms: true, ..request };
    twin.ask("with synonyms", 4, |_| synonyms(described(TOPIC, "created-7", None))).await;
    twin.ask("of some settings", 4, |_| described(TOPIC, "twin", Some(&["retention.ms", "nope"])))
        .await;
    twin.ask("of no setting", 4, |_| described(TOPIC, "twin", Some(&[]))).await;
    twin.ask("of nothing known", 4, |_| described(TOPIC, "nope", None)).await;
    twin.ask("of an impossible name", 4, |_| described(TOPIC, "a b", None)).await;
    twin.ask("of a broker", 4, |_| synonyms(described(BROKER, "1", Some(BROKER_SETTINGS)))).await;
    let all: Vec<&str> = BROKER_KEYS.iter().map(|key| key.name).collect();
    twin.ask("of all of a broker", 4, |_| described(BROKER, "1", Some(&all))).await;
    twin.ask("of all brokers", 4, |_| described(BROKER, "", None)).await;
    twin.ask("of no broker known", 4, |_| described(BROKER, "9", None)).await;
    twin.ask("of a broker that is none", 4, |_| described(BROKER, "x", None)).await;
    twin.ask("of a kind that is none", 4, |_| described(99, "x", None)).await;
}

pub(super) fn altered(
    name: &str,
    config: &str,
    config_operation: i8,
    value: Option<&str>,
) -> IncrementalAlterConfigsRequest {
    let config = incremental_alter_configs::AlterableConfig {
        name: config.into(),
        config_operation,
        value: value.map(Into::into),
        ..Default::default()
    };
    let resource = incremental_alter_configs::AlterConfigsResource {
        resource_type: TOPIC,
        resource_name: name.into(),
        configs: vec![config],
        ..Default::default()
    };
    IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() }
}

async fn alter_configs(twin: &mut Twin) {
    let (set, delete, append, subtract) = (0, 1, 2, 3);
    for version in every::<IncrementalAlterConfigsRequest>() {
        twin.ask("", version, |_| altered("twin", "flush.ms", set, Some("5000"))).await;
    }
    for (case, request) in [
        ("set back", altered("twin", "flush.ms", delete, None)),
        ("appended to", altered("twin", "cleanup.policy", append, Some("compact"))),
        ("subtracted from", altered("twin", "cleanup.policy", subtract, Some("compact"))),
        ("appended to a number", altered("twin", "flush.ms", append, Some("1"))),
        ("to a bad value", altered("twin", "flush.ms", set, Some("soon"))),
        ("to null", altered("twin", "flush.ms", set, None)),
        ("of an unknown setting", altered("twin", "no.such.setting", set, Some("1"))),
        ("of nothing known", altered("nope", "flush.ms", set, Some("1"))),
        ("by no operation", altered("twin", "flush.ms", 9, Some("1"))),
        ("without a name", altered("", "flush.ms", set, Some("1"))),
        ("deleting what is unknown", altered("twin", "no.such.setting", delete, None)),
        ("appending to what is unknown", altered("twin", "no.such.setting", append, Some("1"))),
        ("named twice", {
            let mut request = altered("twin", "flush.ms", set, Some("1"));
            let again = request.resources[0].configs[0].clone();
            request.resources[0].configs.push(again);
            request
        }),
    ] {
        twin.ask(case, 1, |_| request.clone()).await;
    }
    let of_broker = |name: &str, config: &str, value: &str| {
        let mut request = altered(name, config, set, Some(value));
        request.resources[0].resource_type = BROKER;
        request.validate_only = true;
        request
    };
    let appended = |config: &str, value: &str| {
        let mut request = of_broker("1", config, value);
        request.resources[0].configs[0].config_operation = append;
        request
    };
    for (case, request) in [
        ("of a broker that stands", of_broker("1", "group.max.size", "7")),
        ("of all brokers that stands", of_broker("", "num.partitions", "7")),
        ("of a broker to what it never has", of_broker("1", "log.dirs", "/tmp")),
        ("of all brokers to what they never have", of_broker("", "node.id", "7")),
        ("of a broker appending to what stands", appended("log.dirs", "/tmp")),
        ("of a broker appending to a number that stands", appended("node.id", "7")),
        ("of a broker to a bad value", of_broker("1", "log.flush.interval.ms", "soon")),
        ("of a broker", of_broker("1", "log.flush.interval.ms", "9000000")),
        ("of another broker", of_broker("9", "log.flush.interval.ms", "9000000")),
        ("of a broker that is none", of_broker("x", "log.flush.interval.ms", "9000000")),
        ("appended to a number of a broker", appended("log.flush.interval.ms", "1")),
        ("named as two resources", {
            let mut request = altered("twin", "flush.ms", set, Some("1"));
            request.resources.push(request.resources[0].clone());
            request
        }),
    ] {
        twin.ask(case, 1, |_| request.clone()).await;
    }
    described_flush(twin, "after being altered").await;
}

async fn described_flush(twin: &mut Twin, case: &str) {
    let keys: &[&str] = &["flush.ms", "cleanup.policy", "retention.ms"];
    twin.ask(case, 4, |_| described(TOPIC, "twin", Some(keys))).await;
}

async fn replace_configs(twin: &mut Twin) {
    let replaced = |name: &str, configs: &[(&str, Option<&str>)]| {
        let config = |(name, value): &(&str, Option<&str>)| alter_configs::AlterableConfig {
            name: (*name).into(),
            value: value.map(Into::into),
            ..Default::default()
        };
        let resource = alter_configs::AlterConfigsResource {
            resource_type: TOPIC,
            resource_name: name.into(),
            configs: configs.iter().map(config).collect(),
            ..Default::default()
        };
        AlterConfigsRequest { resources: vec![resource], ..Default::default() }
    };
    let kept = ("retention.ms", Some("-1"));
    for version in every::<AlterConfigsRequest>() {
        twin.ask("", version, |_| replaced("twin", &[kept, ("flush.ms", Some("9000"))])).await;
    }
    described_flush(twin, "after being replaced").await;
    twin.ask("to a bad value", 2, |_| replaced("twin", &[("flush.ms", Some("soon"))])).await;
    twin.ask("to null", 2, |_| replaced("twin", &[("flush.ms", None)])).await;
    twin.ask("of an unknown setting", 2, |_| replaced("twin", &[("no.such.setting", Some("1"))]))
        .await;
    twin.ask("of nothing known", 2, |_| replaced("nope", &[kept])).await;
    twin.ask("to the defaults", 2, |_| replaced("twin", &[kept])).await;
    let mut of_broker = replaced("1", &[("log.dirs", Some("/tmp"))]);
    of_broker.resources[0].resource_type = BROKER;
    twin.ask("of a broker to what it never has", 2, |_| of_broker.clone()).await;
}

pub(super) async fn delete(twin: &mut Twin) {
    for version in DeleteTopicsRequest::API.stable_versions().iter() {
        let name = format!("created-{}", version.max(2));
        twin.ask("", version, |_| deleted(version, &name)).await;
    }
    twin.ask("of nothing known", 6, |_| deleted(6, "nope")).await;
    twin.ask("of nothing known", 5, |_| deleted(5, "nope")).await;
    let by_id = |topic_id| DeleteTopicsRequest {
        topics: vec![DeleteTopicState { name: None, topic_id, ..Default::default() }],
        timeout_ms: 5000,
        ..Default::default()
    };
    let also_by_id = |names: &[&str], topic_ids: &[Uuid]| {
        let name =
            |name: &&str| DeleteTopicState { name: Some((*name).into()), ..Default::default() };
        let id = |id: &Uuid| DeleteTopicState { topic_id: *id, name: None, ..Default::default() };
        let topics = names.iter().map(name).chain(topic_ids.iter().map(id)).collect();
        DeleteTopicsRequest { topics, timeout_ms: 5000, ..Default::default() }
    };
    twin.ask("by name twice", 6, |_| also_by_id(&["twin", "twin"], &[])).await;
    twin.ask("by name and id apart", 6, |side| also_by_id(&["twin"], &[side.topic("twin")])).await;
    twin.ask("by id twice", 6, |side| also_by_id(&[], &[side.topic("twin"); 2])).await;
    twin.ask("by name and by id twice", 6, |side| also_by_id(&["twin"], &[side.topic("twin"); 2]))
        .await;
    twin.ask("by neither name nor id", 6, |_| also_by_id(&[], &[Uuid::ZERO])).await;
    twin.ask("by both name and id", 6, |side| {
        let mut request = also_by_id(&["twin"], &[]);
        request.topics[0].topic_id = side.topic("twin");
        request
    })
    .await;
    twin.ask("of one of two by name twice", 5, |_| DeleteTopicsRequest {
        topic_names: vec!["set".into(), "twin".into(), "twin".into()],
        timeout_ms: 5000,
        ..Default::default()
    })
    .await;
    twin.ask("by id", 6, |side| by_id(side.topic("twin"))).await;
    twin.ask("by an unknown id", 6, |_| by_id(Uuid::from(9_u128))).await;
}

fn deleted(version: i16, name: &str) -> DeleteTopicsRequest {
    let topic = DeleteTopicState { name: Some(name.into()), ..Default::default() };
    DeleteTopicsRequest {
        topics: if version < 6 { Vec::new() } else { vec![topic] },
        topic_names: if version < 6 { vec![name.into()] } else { Vec::new() },
        timeout_ms: 5000,
        ..Default::default()
    }
}

/// The numbers of resources on the wire.
const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;

/// Settings of brokers that are alike on both sides.
const BROKER_SETTINGS: &[&str] = &[
    "auto.create.topics.enable",
    "broker.rack",
    "compression.type",
    "fetch.max.bytes",
    "group.max.session.timeout.ms",
    "log.cleanup.policy",
    "log.retention.hours",
    "max.decompressed.message.bytes",
    "message.max.bytes",
    "min.insync.replicas",
    "num.partitions",
    "offsets.retention.minutes",
    "replica.selector.class",
    "request.timeout.ms",
    "transaction.max.timeout.ms",
    "unclean.leader.election.enable",
];
