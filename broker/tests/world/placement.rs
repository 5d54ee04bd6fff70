//! Topics are made, grown and dropped though not every node is up.

use ottla_protocol::messages::create_partitions::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use ottla_protocol::messages::create_topics::{CreatableReplicaAssignment, CreatableTopic};
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};
use ottla_protocol::{ErrorCode, Uuid};

use super::topics::{create, wanted};
use super::*;

/// Three nodes, of which node 2 is down.
fn without_the_second() -> Test {
    let mut test = Test::without_topics(3, &[]);
    test.world.set_alive(NodeId(2), false, test.now);
    test
}

fn assigned(index: i32, brokers: &[i32]) -> CreatableTopic {
    let assignment = CreatableReplicaAssignment {
        partition_index: index,
        broker_ids: brokers.iter().copied().collect(),
        ..Default::default()
    };
    CreatableTopic { assignments: vec![assignment], ..wanted("t", -1, -1) }
}

fn replicas_and_in_sync(test: &Test, index: i32) -> (Vec<NodeId>, Vec<NodeId>) {
    let topic = test.world.catalog().topics().next().unwrap();
    let partition = topic.partition(index).unwrap();
    (partition.replicas().to_vec(), partition.in_sync().iter().copied().collect())
}

#[test]
fn a_topic_is_made_on_nodes_that_are_down_too_and_led_by_one_that_is_up() {
    let mut test = without_the_second();
    let row = create(&mut test, vec![wanted("t", 2, 3)]).remove(0);
    assert_eq!((row.error_code, row.replication_factor), (0, 3), "{:?}", row.error_message);
    for (index, leader) in [(0, 1), (1, 3)] {
        let (replicas, in_sync) = replicas_and_in_sync(&test, index);
        assert_eq!((replicas[0], replicas[2]), (NodeId(leader), NodeId(2)), "{replicas:?}");
        assert_eq!(in_sync, [NodeId(1), NodeId(3)]);
    }
    assert_eq!(test.produce(-1, batch(&["a"])).error_code, 0);
    test.world.set_alive(NodeId(2), true, test.now);
    assert_eq!(replicas_and_in_sync(&test, 0).1, [1, 2, 3].map(NodeId), "it caught up");
}

#[test]
fn nodes_that_are_down_are_used_only_where_there_are_not_enough_others() {
    let mut test = without_the_second();
    assert_eq!(create(&mut test, vec![wanted("t", 6, 2)])[0].error_code, 0);
    for index in 0..6 {
        assert!(!replicas_and_in_sync(&test, index).0.contains(&NodeId(2)));
    }
    let row = create(&mut test, vec![wanted("u", 1, 4)]).remove(0);
    assert_eq!(row.error_code, ErrorCode::InvalidReplicationFactor.code());
    assert!(row.error_message.unwrap().contains("only 3 broker(s) are registered"));
}

#[test]
fn a_topic_grows_while_a_node_is_down() {
    let mut test = Test::new();
    test.world.set_alive(NodeId(2), false, test.now);
    assert_eq!(grow(&mut test, 3, None), (0, None));
    assert_eq!(replicas_and_in_sync(&test, 2).1, [NodeId(1), NodeId(3)]);
}

fn grow(test: &mut Test, count: i32, assigned: Option<&[&[i32]]>) -> (i16, Option<String>) {
    let on = |brokers: &&[i32]| CreatePartitionsAssignment {
        broker_ids: brokers.iter().copied().collect(),
        ..Default::default()
    };
    let topic = CreatePartitionsTopic {
        name: "t".into(),
        count,
        assignments: assigned.map(|all| all.iter().map(on).collect()),
        ..Default::default()
    };
    let request = CreatePartitionsRequest { topics: vec![topic], ..Default::default() };
    let mut response: CreatePartitionsResponse = test.ask(3, request);
    let row = response.results.remove(0);
    (row.error_code, row.error_message.map(|message| message.to_string()))
}

#[test]
fn an_assignment_by_hand_needs_one_node_that_is_up() {
    let refused = ErrorCode::InvalidReplicaAssignment.code();
    let down = "All brokers specified in the manual partition assignment for partition 0 are \
                fenced or in controlled shutdown.";
    for (brokers, code, reason) in [
        (&[2, 1][..], 0, None),
        (&[2], refused, Some(down)),
        (
            &[9],
            refused,
            Some(
                "The manual partition assignment includes broker 9, but no such broker is \
                 registered.",
            ),
        ),
    ] {
        let mut test = without_the_second();
        let row = create(&mut test, vec![assigned(0, brokers)]).remove(0);
        assert_eq!((row.error_code, row.error_message.as_deref()), (code, reason));
        if code == 0 {
            assert_eq!(test.leader("t"), NodeId(1));
        }
    }
    let mut test = without_the_second();
    create(&mut test, vec![assigned(0, &[1])]);
    assert_eq!(grow(&mut test, 2, Some(&[&[2]])).0, refused);
    assert_eq!(grow(&mut test, 2, Some(&[&[3]])).0, 0);
}

#[test]
fn no_assignments_are_not_the_same_as_none() {
    let mut test = Test::new();
    let (code, reason) = grow(&mut test, 2, Some(&[]));
    assert_eq!(code, ErrorCode::InvalidReplicaAssignment.code());
    let expected = "Attempted to add 1 additional partition(s), but only 0 assignment(s) were \
                    specified.";
    assert_eq!(reason.as_deref(), Some(expected));
    let (_, reason) = grow(&mut test, 2, Some(&[&[1]]));
    let expected = "The manual partition assignment includes a partition with 1 replica(s), but \
                    this is not consistent with previous partitions, which have 3 replica(s).";
    assert_eq!(reason.as_deref(), Some(expected));
}

#[test]
fn of_two_counts_that_cannot_be_the_replicas_are_refused() {
    let row = create(&mut Test::new(), vec![wanted("n", 0, 0)]).remove(0);
    assert_eq!(row.error_code, ErrorCode::InvalidReplicationFactor.code());
}

fn by_name(name: &str) -> DeleteTopicState {
    DeleteTopicState { name: Some(name.into()), ..Default::default() }
}

fn by_id(topic_id: Uuid) -> DeleteTopicState {
    DeleteTopicState { topic_id, name: None, ..Default::default() }
}

/// What each row says, and the topics that are left.
#[track_caller]
fn delete(wanted: impl Fn(Uuid) -> Vec<DeleteTopicState>, expected: &[i16], left: &[&str]) {
    let mut test = Test::new();
    test.topic("u", &[]);
    let id = test.world.catalog().topics().next().unwrap().id;
    let request = DeleteTopicsRequest { topics: wanted(id), ..Default::default() };
    let response: DeleteTopicsResponse = test.ask(6, request);
    let codes: Vec<i16> = response.responses.iter().map(|row| row.error_code).collect();
    let topics: Vec<&str> = test.world.catalog().topics().map(|topic| &*topic.name).collect();
    assert_eq!((&codes[..], &topics[..]), (expected, left));
}

#[test]
fn what_is_to_be_deleted_is_named_once_and_in_one_way() {
    let both = |id| DeleteTopicState { topic_id: id, ..by_name("t") };
    delete(|id| vec![by_id(id), by_name("u")], &[0, 0], &[]);
    delete(|_| vec![by_name("t"), by_name("u"), by_name("t")], &[42, 0], &["t"]);
    delete(|id| vec![by_id(id), by_id(id)], &[42], &["t", "u"]);
    delete(|id| vec![by_id(id), by_name("t")], &[42], &["t", "u"]);
    delete(|id| vec![by_id(id), by_name("t"), by_id(id)], &[42, 42], &["t", "u"]);
    delete(|id| vec![both(id)], &[42], &["t", "u"]);
    delete(|_| vec![by_id(Uuid::ZERO)], &[42], &["t", "u"]);
    delete(|_| vec![by_id(Uuid::from(9))], &[ErrorCode::UnknownTopicId.code()], &["t", "u"]);
}

#[test]
fn where_nothing_is_deleted_old_clients_are_told_so_in_a_code_that_they_know() {
    for (version, code) in [(1, ErrorCode::InvalidRequest), (3, ErrorCode::TopicDeletionDisabled)] {
        let mut test = Test::without_topics(1, &[("delete.topic.enable", "false")]);
        test.topic("t", &[]);
        let request = DeleteTopicsRequest { topic_names: vec!["t".into()], ..Default::default() };
        let response: DeleteTopicsResponse = test.ask(version, request);
        assert_eq!(response.responses[0].error_code, code.code(), "{version}");
        assert_eq!(test.world.catalog().topics().count(), 1);
    }
}
