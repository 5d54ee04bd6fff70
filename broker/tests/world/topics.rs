use std::time::Duration;

use ottla_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use ottla_protocol::messages::create_topics::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig, CreatableTopicResult,
};
use ottla_protocol::messages::describe_configs::{
    DescribeConfigsResource, DescribeConfigsResourceResult,
};
use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::*;

pub(super) fn wanted(name: &str, num_partitions: i32, replication_factor: i16) -> CreatableTopic {
    let name = name.into();
    CreatableTopic { name, num_partitions, replication_factor, ..Default::default() }
}

pub(super) fn create(test: &mut Test, topics: Vec<CreatableTopic>) -> Vec<CreatableTopicResult> {
    let request = CreateTopicsRequest { topics, ..Default::default() };
    test.ask::<CreateTopicsResponse>(7, request).topics
}

#[track_caller]
fn refused(topic: CreatableTopic, code: ErrorCode, message: &str) {
    let row = create(&mut Test::new(), vec![topic]).remove(0);
    assert_eq!(ErrorCode::from_code(row.error_code), code);
    assert_eq!(row.error_message.as_deref(), Some(message));
}

#[test]
fn create_topics_answers_id_counts_and_configs() {
    let mut test = Test::new();
    let row = create(&mut test, vec![wanted("new", 2, 3)]).remove(0);
    assert_eq!((row.error_code, row.num_partitions, row.replication_factor), (0, 2, 3));
    assert_ne!(row.topic_id, Uuid::ZERO);
    let configs = row.configs.unwrap();
    let retention = configs.iter().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!(retention.value.as_deref(), Some("604800000"));
    assert_eq!(retention.config_source, 5);
}

#[test]
fn a_request_makes_ten_thousand_partitions_and_no_more() {
    let mut test = Test::without_topics(1, &[]);
    for (counts, reason) in [
        (&[10_000, 1][..], "Excessively large number of partitions per request."),
        (&[10_000], "Unable to perform excessively large batch operation."),
    ] {
        let topics = counts.iter().map(|count| wanted(&format!("of-{count}"), *count, 1));
        for row in create(&mut test, topics.collect()) {
            assert_eq!(row.error_code, ErrorCode::PolicyViolation.code());
            assert_eq!(row.error_message.as_deref(), Some(reason));
        }
    }
    assert_eq!(create(&mut test, vec![wanted("a", 9_999, 1)])[0].error_code, 0);
    let mut grow = |count| {
        let (name, assignments) = ("a".into(), None);
        let topics = vec![CreatePartitionsTopic { name, count, assignments, ..Default::default() }];
        let request = CreatePartitionsRequest { topics, validate_only: true, ..Default::default() };
        test.ask::<CreatePartitionsResponse>(3, request).results.remove(0).error_code
    };
    assert_eq!([grow(19_999), grow(20_000)], [0, ErrorCode::PolicyViolation.code()]);
}

#[test]
fn minus_one_is_the_brokers_default() {
    let settings = [("num.partitions", "5"), ("default.replication.factor", "2")];
    let mut test = Test::without_topics(3, &settings);
    let row = create(&mut test, vec![wanted("new", -1, -1)]).remove(0);
    assert_eq!((row.num_partitions, row.replication_factor), (5, 2));
}

#[test]
fn invalid_names_are_refused() {
    let long = "x".repeat(250);
    for name in ["", ".", "..", "a b", "ä", &long] {
        let row = create(&mut Test::new(), vec![wanted(name, 1, 1)]).remove(0);
        assert_eq!(row.error_code, ErrorCode::InvalidTopicException.code(), "{name}");
    }
}

#[test]
fn counts_are_validated_in_kafkas_words() {
    refused(
        wanted("n", 0, 1),
        ErrorCode::InvalidPartitions,
        "Number of partitions was set to an invalid non-positive value.",
    );
    refused(
        wanted("n", 1, 0),
        ErrorCode::InvalidReplicationFactor,
        "Replication factor must be larger than 0, or -1 to use the default value.",
    );
    refused(
        wanted("n", 1, 4),
        ErrorCode::InvalidReplicationFactor,
        "Unable to replicate the partition 4 time(s): The target replication factor of 4 cannot \
         be reached because only 3 broker(s) are registered or some brokers have all their log \
         directories cordoned.",
    );
    refused(wanted("t", 1, 1), ErrorCode::TopicAlreadyExists, "Topic 't' already exists.");
}

#[test]
fn names_that_differ_in_dots_and_underscores_collide() {
    let mut test = Test::new();
    create(&mut test, vec![wanted("a.b", 1, 1)]);
    let row = create(&mut test, vec![wanted("a_b", 1, 1)]).remove(0);
    assert_eq!(row.error_message.as_deref(), Some("Topic 'a_b' collides with existing topic: a.b"));
}

#[test]
fn a_name_that_comes_twice_is_refused_once_and_not_made() {
    let mut test = Test::new();
    let rows = create(&mut test, vec![wanted("x", 1, 1), wanted("x", 1, 1), wanted("y", 1, 1)]);
    let codes: Vec<_> = rows.iter().map(|row| (&*row.name, row.error_code)).collect();
    assert_eq!(codes, [("x", 42), ("y", 0)]);
}

#[test]
fn a_manual_assignment_must_make_sense() {
    let assign = |index: i32, brokers: &[i32]| CreatableReplicaAssignment {
        partition_index: index,
        broker_ids: brokers.iter().copied().collect(),
        ..Default::default()
    };
    let with = |assignments, counts: (i32, i16)| CreatableTopic {
        assignments,
        ..wanted("n", counts.0, counts.1)
    };
    for (assignments, counts, code) in [
        (vec![assign(0, &[1])], (1, -1), 42),
        (vec![assign(0, &[1])], (-1, 1), 42),
        (vec![assign(1, &[1])], (-1, -1), 39),
        (vec![assign(0, &[9])], (-1, -1), 39),
        (vec![assign(0, &[1, 1])], (-1, -1), 39),
        (vec![assign(0, &[])], (-1, -1), 39),
        (vec![assign(0, &[1]), assign(1, &[1, 2])], (-1, -1), 39),
        (vec![assign(0, &[3, 1]), assign(1, &[1, 2])], (-1, -1), 0),
    ] {
        let mut test = Test::new();
        let row = create(&mut test, vec![with(assignments.clone(), counts)]).remove(0);
        assert_eq!(row.error_code, code, "{assignments:?}");
        if code == 0 {
            assert_eq!(test.leader("n"), NodeId(3));
        }
    }
}

#[test]
fn invalid_configs_are_refused_in_kafkas_words() {
    for (name, value, message) in [
        ("foo", "1", "Unknown topic config name: foo"),
        (
            "retention.ms",
            "soon",
            "Invalid value soon for configuration retention.ms: Not a number of type LONG",
        ),
        (
            "segment.bytes",
            "100",
            "Invalid value 100 for configuration segment.bytes: Value must be at least 1048576",
        ),
        (
            "cleanup.policy",
            "keep",
            "Invalid value keep for configuration cleanup.policy: String must be one of: compact, \
             delete",
        ),
    ] {
        let config = CreatableTopicConfig {
            name: name.into(),
            value: Some(value.into()),
            ..Default::default()
        };
        let topic = CreatableTopic { configs: vec![config], ..wanted("n", 1, 1) };
        refused(topic, ErrorCode::InvalidConfig, message);
    }
}

#[test]
fn validate_only_makes_nothing() {
    let mut test = Test::new();
    let topics = vec![wanted("n", 1, 1)];
    let request = CreateTopicsRequest { topics, validate_only: true, ..Default::default() };
    let response: CreateTopicsResponse = test.ask(7, request);
    assert_eq!((response.topics[0].error_code, response.topics[0].num_partitions), (0, 1));
    assert_eq!(test.world.catalog().topics().count(), 1);
}

#[test]
fn create_partitions_adds_consecutive_numbers_and_always_answers() {
    let mut test = Test::new();
    let mut grow = |name: &str, count, assignments| {
        let name = name.into();
        let topics = vec![CreatePartitionsTopic { name, count, assignments, ..Default::default() }];
        let request = CreatePartitionsRequest { topics, ..Default::default() };
        let mut response: CreatePartitionsResponse = test.ask(3, request);
        assert_eq!(response.results.len(), 1);
        response.results.remove(0)
    };
    assert_eq!(
        grow("t", 1, None).error_message.as_deref(),
        Some("Topic already has 1 partition(s).")
    );
    assert_eq!(grow("t", 0, None).error_code, ErrorCode::InvalidPartitions.code());
    assert_eq!(grow("nope", 2, None).error_code, ErrorCode::UnknownTopicOrPartition.code());
    let one = CreatePartitionsAssignment {
        broker_ids: [2, 3, 1].into_iter().collect(),
        ..Default::default()
    };
    let wrong = grow("t", 3, Some(vec![one.clone()]));
    assert_eq!(wrong.error_code, ErrorCode::InvalidReplicaAssignment.code());
    assert_eq!(grow("t", 2, Some(vec![one])).error_code, 0);
    assert_eq!(grow("t", 4, None).error_code, 0);
    let topic = test.world.catalog().topics().next().unwrap();
    assert_eq!(topic.partitions.len(), 4);
    assert_eq!(topic.partition(1).unwrap().leader(), Some(NodeId(2)));
}

pub(super) fn alter(test: &mut Test, name: &str, operation: i8, value: Option<&str>) -> i16 {
    alter_resource(test, (2, "t"), name, operation, value)
}

pub(super) fn alter_resource(
    test: &mut Test,
    (resource_type, resource_name): (i8, &str),
    name: &str,
    operation: i8,
    value: Option<&str>,
) -> i16 {
    let config = AlterableConfig {
        name: name.into(),
        config_operation: operation,
        value: value.map(Into::into),
        ..Default::default()
    };
    let resource = AlterConfigsResource {
        resource_type,
        resource_name: resource_name.into(),
        configs: vec![config],
        ..Default::default()
    };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    // A broker changes only its own settings, and any node those of all.
    let node = if resource_type == 4 { resource_name.parse().unwrap_or(1) } else { 1 };
    let response: IncrementalAlterConfigsResponse = reply(test.send(node, 1, request));
    response.responses[0].error_code
}

pub(super) fn described(
    test: &mut Test,
    kind: i8,
    name: &str,
    key: &str,
) -> DescribeConfigsResourceResult {
    described_at(test, 1, (kind, name), key)
}

fn described_at(
    test: &mut Test,
    node: i32,
    (kind, name): (i8, &str),
    key: &str,
) -> DescribeConfigsResourceResult {
    let resource = DescribeConfigsResource {
        resource_type: kind,
        resource_name: name.into(),
        configuration_keys: Some(vec![key.into(), "no.such.key".into()]),
        ..Default::default()
    };
    let request = DescribeConfigsRequest {
        resources: vec![resource],
        include_synonyms: true,
        ..Default::default()
    };
    let mut response: DescribeConfigsResponse = reply(test.send(node, 4, request));
    assert_eq!(response.results[0].configs.len(), 1, "unknown keys are left out");
    response.results.remove(0).configs.remove(0)
}

#[test]
fn lists_grow_and_shrink_and_nothing_else_does() {
    let mut test = Test::new();
    assert_eq!(alter(&mut test, "cleanup.policy", 2, Some("compact")), 0);
    assert_eq!(&*described(&mut test, 2, "t", "cleanup.policy").value.unwrap(), "delete,compact");
    assert_eq!(alter(&mut test, "cleanup.policy", 3, Some("delete")), 0);
    assert_eq!(&*described(&mut test, 2, "t", "cleanup.policy").value.unwrap(), "compact");
    assert_eq!(alter(&mut test, "retention.ms", 2, Some("1")), ErrorCode::InvalidConfig.code());
}

#[test]
fn a_list_grows_from_kafkas_default_and_keeps_its_order() {
    let mut test = Test::new();
    assert_eq!(alter_resource(&mut test, (4, ""), "log.cleanup.policy", 0, Some("compact")), 0);
    assert_eq!(alter(&mut test, "cleanup.policy", 2, Some("delete")), 0);
    assert_eq!(&*described(&mut test, 2, "t", "cleanup.policy").value.unwrap(), "delete");
    for change in ["compact", "delete"] {
        assert_eq!(alter(&mut test, "cleanup.policy", 2, Some(change)), 0);
        let told = described(&mut test, 2, "t", "cleanup.policy").value.unwrap();
        assert_eq!(&*told, "delete,compact");
    }
}

#[test]
fn a_deleted_setting_goes_back_to_the_brokers() {
    let mut test = Test::without_topics(1, &[("log.retention.hours", "2")]);
    test.topic("t", &[("retention.ms", "5")]);
    let own = described(&mut test, 2, "t", "retention.ms");
    assert_eq!((own.value.as_deref(), own.config_source), (Some("5"), 1));
    assert_eq!(places(&own), [(1, "5")], "the hours are not seen for want of milliseconds");
    assert_eq!(alter(&mut test, "retention.ms", 1, None), 0);
    let inherited = described(&mut test, 2, "t", "retention.ms");
    assert_eq!((inherited.value.as_deref(), inherited.config_source), (Some("7200000"), 5));
    assert_eq!(alter_resource(&mut test, (4, "1"), "log.retention.ms", 0, Some("90000")), 0);
    let seen = described(&mut test, 2, "t", "retention.ms");
    assert_eq!(places(&seen), [(2, "90000"), (4, "2"), (5, "168")], "as each was given");
    let row = create(&mut test, vec![wanted("n", 1, 1)]).remove(0);
    let configs = row.configs.unwrap();
    let retention = configs.iter().find(|config| config.name == "retention.ms").unwrap();
    assert_eq!((retention.value.as_deref(), retention.config_source), (Some("90000"), 2));
}

#[test]
fn a_default_that_no_broker_here_can_set_is_told_with_its_place() {
    let mut test = Test::new();
    let told = described(&mut test, 2, "t", "local.retention.bytes");
    assert_eq!(
        (&*told.synonyms[0].name, places(&told)),
        ("log.local.retention.bytes", vec![(5, "-2")])
    );
}

/// The places that set it: their kind, and the value there.
fn places(told: &DescribeConfigsResourceResult) -> Vec<(i8, &str)> {
    let all = told.synonyms.iter();
    all.map(|synonym| (synonym.source, synonym.value.as_deref().unwrap_or("null"))).collect()
}

#[test]
fn what_is_set_on_one_broker_reaches_the_topics_there_and_there_only() {
    let mut test = Test::new();
    let size = batch(&["a"]).len().to_string();
    for (broker, value) in [("", "5000"), ("1", &*size)] {
        assert_eq!(alter_resource(&mut test, (4, broker), "message.max.bytes", 0, Some(value)), 0);
    }
    let at_one = described_at(&mut test, 1, (2, "t"), "max.message.bytes");
    assert_eq!((at_one.value.as_deref(), at_one.config_source), (Some(&*size), 2));
    assert_eq!(places(&at_one), [(2, &*size), (3, "5000"), (5, "1048588")]);
    let at_all = described(&mut test, 4, "", "message.max.bytes");
    assert_eq!(places(&at_all), [(3, "5000")]);
    let at_two = described_at(&mut test, 2, (2, "t"), "max.message.bytes");
    assert_eq!(places(&at_two), [(3, "5000"), (5, "1048588")]);

    assert_eq!(test.produce(-1, batch(&["a"])).error_code, 0);
    let too_large = ErrorCode::MessageTooLarge.code();
    assert_eq!(test.produce(-1, batch(&["ab"])).error_code, too_large);
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    assert_eq!(test.produce(-1, batch(&["ab"])).error_code, 0, "it leads, with its own limit");
    test.world.move_leader("t", 0, NodeId(1), test.now).unwrap();
    assert_eq!(alter_resource(&mut test, (4, "1"), "message.max.bytes", 1, None), 0);
    assert_eq!(test.produce(-1, batch(&["ab"])).error_code, 0);
}

#[test]
fn each_replica_drops_what_is_too_old_for_its_node() {
    let mut test = Test::new();
    assert_eq!(alter_resource(&mut test, (4, "2"), "log.retention.ms", 0, Some("60000")), 0);
    test.produce(-1, batch(&["a"]));
    test.pass(Duration::from_secs(330));
    let topic = test.world.catalog().topics().next().unwrap();
    let starts = [1, 2, 3].map(|node| topic.partitions[0].log(NodeId(node)).unwrap().start());
    assert_eq!(starts, [0, 1, 0]);
}

#[test]
fn a_broker_keeps_settings_that_it_does_not_know_to_itself() {
    let mut test = Test::without_topics(1, &[]);
    for (broker, value) in [("", "all"), ("1", "one")] {
        assert_eq!(alter_resource(&mut test, (4, broker), "my.plugin", 0, Some(value)), 0);
    }
    let told = described(&mut test, 4, "1", "my.plugin");
    assert_eq!((told.value.as_deref(), told.config_source, told.config_type), (None, 2, 0));
    assert!(told.is_sensitive && told.read_only);
    assert_eq!(places(&told), [(2, "null"), (3, "null")]);
    assert_eq!(described(&mut test, 4, "", "my.plugin").config_source, 3);
    let unknown = ErrorCode::InvalidConfig.code();
    assert_eq!(alter_resource(&mut test, (4, "1"), "my.plugin", 2, Some("more")), unknown);
    assert_eq!(alter_resource(&mut test, (4, "1"), "my.plugin", 1, None), 0);
    assert_eq!(places(&described(&mut test, 4, "1", "my.plugin")), [(3, "null")]);
}

#[test]
fn a_broker_tells_its_settings() {
    let mut test = Test::without_topics(1, &[("num.partitions", "5")]);
    let told = described(&mut test, 4, "1", "num.partitions");
    assert_eq!((told.value.as_deref(), told.config_source, told.config_type), (Some("5"), 4, 3));
}

#[test]
fn a_broker_changes_only_what_need_not_stand_while_it_runs() {
    let mut test = Test::without_topics(1, &[]);
    let stands = ErrorCode::InvalidRequest.code();
    for (name, code) in [("group.max.size", stands), ("log.retention.ms", 0)] {
        assert_eq!(alter_resource(&mut test, (4, "1"), name, 0, Some("7")), code, "{name}");
        assert_eq!(described(&mut test, 4, "1", name).read_only, code != 0, "{name}");
    }
}

/// What Kafka 4.4.0 answered to each of these, sent over a socket.
#[test]
fn a_broker_knows_the_names_of_what_it_has_no_use_for_and_may_not_change() {
    let mut test = Test::without_topics(1, &[]);
    let (set, delete, append) = (0, 1, 2);
    let stands = ErrorCode::InvalidRequest.code();
    for (name, operation, code) in [
        ("log.dirs", set, stands),
        ("log.dirs", append, stands),
        ("log.dirs", delete, 0),
        ("node.id", set, stands),
        ("node.id", append, ErrorCode::InvalidConfig.code()),
        ("num.io.threads", set, 0),
    ] {
        for broker in ["1", ""] {
            let answered = alter_resource(&mut test, (4, broker), name, operation, Some("7"));
            assert_eq!(answered, code, "{name} {operation}");
        }
    }
}

#[test]
fn a_setting_without_a_use_is_told_from_one_that_does_not_exist() {
    let refused = |name| Settings::default().give(name, "1").unwrap_err().to_string();
    let unused =
        "Kafka has the broker setting `log.dirs`, but this broker has no use for it: leave it out";
    assert_eq!(refused("log.dirs"), unused);
    let unknown =
        "unknown broker setting `num.partition`; the nearest known one is `num.partitions`";
    assert_eq!(refused("num.partition"), unknown);
}

#[test]
fn what_is_too_old_is_dropped() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("retention.ms", "60000")]);
    test.produce(-1, batch(&["a"]));
    test.pass(Duration::from_secs(30));
    assert_eq!(test.fetch(0).log_start_offset, 0);
    test.pass(Duration::from_secs(300));
    assert_eq!(test.fetch(1).log_start_offset, 1);
}

#[test]
fn what_is_too_much_is_dropped_segment_by_segment() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("retention.bytes", "1000"), ("segment.bytes", "1048576")]);
    let big = "x".repeat(600_000);
    for _ in 0..3 {
        assert_eq!(test.produce(-1, batch(&[&big])).error_code, 0);
    }
    test.pass(Duration::from_secs(30));
    assert_eq!(test.fetch(2).log_start_offset, 2, "the segment that is written to stays");
}
