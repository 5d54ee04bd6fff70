use ottla_broker::world::catalog::CoordinatorType;
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeTopicPartitionsRequest,
    DescribeTopicPartitionsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    InitProducerIdRequest, InitProducerIdResponse, MetadataRequest, MetadataResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::*;

fn asking(topics: Option<Vec<MetadataRequestTopic>>) -> MetadataRequest {
    MetadataRequest { topics, allow_auto_topic_creation: true, ..Default::default() }
}

fn named(name: &str) -> MetadataRequestTopic {
    MetadataRequestTopic { name: Some(name.into()), ..Default::default() }
}

#[test]
fn null_is_all_topics_and_empty_is_none_but_in_version_zero() {
    let mut test = Test::new();
    let mut count =
        |version, topics| test.ask::<MetadataResponse>(version, asking(topics)).topics.len();
    assert_eq!(count(1, None), 1);
    assert_eq!(count(1, Some(Vec::new())), 0);
    assert_eq!(count(0, Some(Vec::new())), 1);
}

#[test]
fn dead_brokers_leave_metadata_and_their_replicas_are_offline() {
    let mut test = Test::new();
    test.world.set_alive(NodeId(1), false, test.now);
    let response: MetadataResponse = reply(test.send(2, 12, asking(None)));
    let ids: Vec<i32> = response.brokers.iter().map(|broker| broker.node_id).collect();
    assert_eq!((ids, response.controller_id), (vec![2, 3], 2));
    let partition = &response.topics[0].partitions[0];
    assert_eq!(partition.leader_id, 2);
    assert_eq!(&partition.replica_nodes[..], [1, 2, 3]);
    assert_eq!(&partition.isr_nodes[..], [2, 3]);
    assert_eq!(&partition.offline_replicas[..], [1]);
}

#[test]
fn a_partition_without_leader_is_still_listed() {
    let mut test = Test::without_topics(2, &[]);
    test.world.create_topic("t", 1, 1, &[]).unwrap();
    test.world.set_alive(NodeId(1), false, test.now);
    let response: MetadataResponse = reply(test.send(2, 12, asking(None)));
    let partition = &response.topics[0].partitions[0];
    assert_eq!((partition.leader_id, partition.error_code), (-1, 5));
    assert_eq!(&partition.isr_nodes[..], [1]);
}

#[test]
fn topics_are_made_on_demand_only_where_both_sides_want_it() {
    for (setting, allowed, version, code) in
        [("false", true, 4, 3), ("true", false, 4, 3), ("true", true, 4, 0), ("true", false, 3, 0)]
    {
        let mut test = Test::without_topics(1, &[("auto.create.topics.enable", setting)]);
        let request = MetadataRequest {
            allow_auto_topic_creation: allowed,
            ..asking(Some(vec![named("new"), named("new")]))
        };
        let response: MetadataResponse = test.ask(version, request);
        assert_eq!(response.topics.len(), 1, "asked twice, answered once");
        assert_eq!(response.topics[0].error_code, code, "{setting} {allowed} {version}");
    }
}

#[test]
fn a_name_that_cannot_be_is_never_made() {
    let mut test = Test::without_topics(1, &[("auto.create.topics.enable", "true")]);
    let response: MetadataResponse = test.ask(4, asking(Some(vec![named("a b")])));
    assert_eq!(response.topics[0].error_code, ErrorCode::InvalidTopicException.code());
}

#[test]
fn topics_can_be_asked_for_by_id_from_version_twelve_on() {
    let mut test = Test::new();
    let id = test.world.catalog().topics().next().unwrap().id;
    let by_id = |topic_id| {
        asking(Some(vec![MetadataRequestTopic { topic_id, name: None, ..Default::default() }]))
    };
    let response: MetadataResponse = test.ask(12, by_id(id));
    assert_eq!(response.topics[0].name.as_deref(), Some("t"));
    let response: MetadataResponse = test.ask(12, by_id(Uuid::from(9)));
    let row = &response.topics[0];
    assert_eq!((row.error_code, &row.name, row.topic_id), (100, &None, Uuid::from(9)));
}

#[test]
fn describe_topic_partitions_answers_lists_page_by_page() {
    let mut test = Test::without_topics(1, &[]);
    test.world.create_topic("a", 3, 1, &[]).unwrap();
    test.world.create_topic("b", 1, 1, &[]).unwrap();
    let mut pages = Vec::new();
    let mut cursor = None;
    loop {
        let request = DescribeTopicPartitionsRequest {
            response_partition_limit: 2,
            cursor,
            ..Default::default()
        };
        let response: DescribeTopicPartitionsResponse = test.ask(0, request);
        for topic in &response.topics {
            for partition in &topic.partitions {
                assert!(partition.eligible_leader_replicas.is_some());
                assert!(partition.last_known_elr.is_some());
                pages.push(format!(
                    "{}-{}",
                    topic.name.as_ref().unwrap(),
                    partition.partition_index
                ));
            }
        }
        pages.push("|".to_owned());
        let Some(next) = response.next_cursor else { break };
        cursor = Some(
            ottla_protocol::messages::describe_topic_partitions::DescribeTopicPartitionsRequestCursor {
                topic_name: next.topic_name,
                partition_index: next.partition_index,
                ..Default::default()
            },
        );
    }
    assert_eq!(pages, ["a-0", "a-1", "|", "a-2", "b-0", "|"]);
}

/// As Kafka 4.4.0 answered to each of these over a socket.
#[test]
fn operations_are_told_where_they_are_asked_for() {
    let mut test = Test::new();
    let mut told = |version, cluster, topics: bool, wanted| {
        let request = MetadataRequest {
            include_cluster_authorized_operations: cluster,
            include_topic_authorized_operations: topics,
            ..asking(wanted)
        };
        let response: MetadataResponse = test.ask(version, request);
        let row = &response.topics[0];
        (response.cluster_authorized_operations, row.topic_authorized_operations)
    };
    for wanted in [None, Some(vec![named("t")])] {
        assert_eq!(told(8, true, true, wanted.clone()), (8096, 3576));
        assert_eq!(told(10, true, false, wanted.clone()), (8096, i32::MIN));
        assert_eq!(told(12, true, true, wanted.clone()), (i32::MIN, 3576));
        assert_eq!(told(9, false, false, wanted), (i32::MIN, i32::MIN));
    }
}

fn partitions_of(names: &[&str], cursor: Option<(&str, i32)>) -> DescribeTopicPartitionsRequest {
    use ottla_protocol::messages::describe_topic_partitions as wire;
    let topic = |name: &&str| wire::TopicRequest { name: (*name).into(), ..Default::default() };
    let cursor = cursor.map(|(name, partition_index)| wire::DescribeTopicPartitionsRequestCursor {
        topic_name: name.into(),
        partition_index,
        ..Default::default()
    });
    let topics = names.iter().map(topic).collect();
    DescribeTopicPartitionsRequest {
        topics,
        cursor,
        response_partition_limit: 9,
        ..Default::default()
    }
}

/// As Kafka 4.4.0 answered to each of these over a socket.
#[test]
fn describe_topic_partitions_refuses_impossible_names_and_cursors() {
    let mut test = Test::new();
    let mut codes = |names: &[&str], cursor| {
        let response: DescribeTopicPartitionsResponse = test.ask(0, partitions_of(names, cursor));
        response.topics.iter().map(|topic| topic.error_code).collect::<Vec<_>>()
    };
    assert_eq!(codes(&["a b", "nope", "t"], None), [17, 3, 0]);
    assert_eq!(codes(&["t"], Some(("t", 0))), [0]);
    assert_eq!(codes(&["t"], Some(("s", 0))), [42], "it is not asked for");
    assert_eq!(codes(&["t"], Some(("t", -1))), [42]);
    assert_eq!(codes(&[], Some(("s", 0))), [0], "of all");
    assert_eq!(codes(&[], Some(("t", -1))), []);
}

#[test]
fn who_wants_to_hear_of_brokers_that_are_down_does() {
    let mut test = Test::new();
    test.world.set_alive(NodeId(3), false, test.now);
    let mut brokers = |version, include_fenced_brokers| {
        let request = DescribeClusterRequest {
            include_fenced_brokers,
            endpoint_type: 1,
            ..Default::default()
        };
        let response: DescribeClusterResponse = test.ask(version, request);
        let brokers = response.brokers.iter().map(|broker| (broker.broker_id, broker.is_fenced));
        brokers.collect::<Vec<_>>()
    };
    assert_eq!(brokers(2, true), [(1, false), (2, false), (3, true)]);
    assert_eq!(brokers(2, false), [(1, false), (2, false)]);
    assert_eq!(brokers(1, true), [(1, false), (2, false)]);
}

#[test]
fn every_node_names_the_same_coordinator() {
    let mut test = Test::new();
    let request = |key: &str| FindCoordinatorRequest {
        coordinator_keys: vec![key.into(), "".into()],
        ..Default::default()
    };
    let mut on = |node, key| {
        let response: FindCoordinatorResponse = reply(test.send(node, 4, request(key)));
        assert!(response.coordinators.iter().all(|row| row.error_code == 0));
        response.coordinators[0].node_id
    };
    for key in ["g1", "g2", "g3"] {
        assert_eq!([1, 2, 3].map(|node| on(node, key)), [on(1, key); 3]);
    }
}

#[test]
fn a_node_that_goes_or_comes_moves_no_coordinators_but_its_own() {
    let mut test = Test::without_topics(5, &[]);
    let coordinators = |test: &Test| {
        let of = |key: i32| {
            let node = test.world.catalog().coordinator(CoordinatorType::Group, &format!("g{key}"));
            node.unwrap().id.0
        };
        (0..50).map(of).collect::<Vec<_>>()
    };
    let before = coordinators(&test);
    test.world.set_alive(NodeId(2), false, test.now);
    for (before, after) in before.iter().zip(coordinators(&test)) {
        assert_eq!(after, if *before == 2 { 3 } else { *before });
    }
    test.world.set_alive(NodeId(2), true, test.now);
    assert_eq!(coordinators(&test), before);
}

#[test]
fn a_producer_id_is_given_once() {
    let mut test = Test::new();
    let mut id = |node| {
        let response: InitProducerIdResponse = reply(test.send(
            node,
            4,
            InitProducerIdRequest { transactional_id: None, ..Default::default() },
        ));
        (response.error_code, response.producer_id, response.producer_epoch)
    };
    assert_eq!([id(1), id(2), id(1)], [(0, 0, 0), (0, 1, 0), (0, 2, 0)]);
}
