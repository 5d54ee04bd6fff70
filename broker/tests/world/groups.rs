use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::join_group::JoinGroupRequestProtocol;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::{
    DeleteTopicsRequest, DeleteTopicsResponse, HeartbeatRequest, HeartbeatResponse,
    JoinGroupRequest, JoinGroupResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetFetchRequest, OffsetFetchResponse,
};

use ottla_broker::world::catalog::CoordinatorType;

use super::*;

const DELAY: Duration = Duration::from_secs(3);

fn join() -> JoinGroupRequest {
    let name = "range".into();
    JoinGroupRequest {
        group_id: "g".into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol { name, ..Default::default() }],
        ..Default::default()
    }
}

/// The node that coordinates the group `g`.
fn coordinator(test: &Test) -> i32 {
    test.world.catalog().coordinator(CoordinatorType::Group, "g").unwrap().id.0
}

/// A parked first join.
fn joining(test: &mut Test) -> Parked {
    let node = coordinator(test);
    parked(test.send(node, 3, join()))
}

fn commit(test: &mut Test) -> ErrorCode {
    let partitions =
        vec![OffsetCommitRequestPartition { committed_offset: 5, ..Default::default() }];
    let topics =
        vec![OffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() }];
    let request = OffsetCommitRequest { group_id: "g".into(), topics, ..Default::default() };
    let node = coordinator(test);
    let response: OffsetCommitResponse = reply(test.send(node, 9, request));
    ErrorCode::from_code(response.topics[0].partitions[0].error_code)
}

fn beat(test: &mut Test) -> ErrorCode {
    let request =
        HeartbeatRequest { group_id: "g".into(), member_id: "m".into(), ..Default::default() };
    let node = coordinator(test);
    let response: HeartbeatResponse = reply(test.send(node, 4, request));
    ErrorCode::from_code(response.error_code)
}

fn committed_topics(test: &mut Test) -> usize {
    let request = OffsetFetchRequest { group_id: "g".into(), topics: None, ..Default::default() };
    let node = coordinator(test);
    reply::<OffsetFetchResponse>(test.send(node, 7, request)).topics.len()
}

#[test]
fn what_waited_at_a_paused_node_is_refused_where_coordinators_moved_meanwhile() {
    let mut test = Test::new();
    let (node, now) = (NodeId(coordinator(&test)), test.now);
    test.world.set_paused(node, true, now);
    test.world.set_paused(node, false, now);
    assert_eq!(commit(&mut test), ErrorCode::None);
    test.world.set_paused(node, true, now);
    for to in [NodeId(node.0 % 3 + 1), node] {
        test.world.move_group_coordinator("g", to, now).unwrap();
    }
    test.world.set_paused(node, false, now);
    assert_eq!(commit(&mut test), ErrorCode::CoordinatorLoadInProgress);
    assert_eq!(beat(&mut test), ErrorCode::None, "it is not told, and need not be");
    test.pass(Duration::from_millis(50));
    assert_eq!(commit(&mut test), ErrorCode::None);
    assert_eq!(beat(&mut test), ErrorCode::UnknownMemberId);
}

#[test]
fn a_join_is_woken_when_its_group_is_ready() {
    let mut test = Test::new();
    let waiting = joining(&mut test);
    assert_eq!(test.world.next_deadline().map(|at| at <= test.now.mono + DELAY), Some(true));
    test.pass(DELAY);
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    let node = coordinator(&test);
    let joined: JoinGroupResponse = reply(test.resume(node, 3, waiting, Why::Woken));
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
}

#[test]
fn a_member_whose_connection_is_gone_stays_until_its_session_ends() {
    let mut test = Test::new();
    let waiting = joining(&mut test);
    test.world.abandon(&waiting);
    test.pass(DELAY);
    assert_eq!(test.world.take_woken(), []);
    assert_eq!(commit(&mut test), ErrorCode::UnknownMemberId);
    test.pass(Duration::from_secs(10));
    assert_eq!(commit(&mut test), ErrorCode::None);
}

#[test]
fn only_the_coordinator_serves_a_group() {
    let mut test = Test::new();
    let own = coordinator(&test);
    for node in 1..=3 {
        let request = HeartbeatRequest { group_id: "g".into(), ..Default::default() };
        let beat: HeartbeatResponse = reply(test.send(node, 4, request));
        let expected =
            if node == own { ErrorCode::UnknownMemberId } else { ErrorCode::NotCoordinator };
        assert_eq!(ErrorCode::from_code(beat.error_code), expected, "node {node}");
    }
}

#[test]
fn whoever_waits_on_a_coordinator_that_dies_looks_for_another() {
    let mut test = Test::new();
    let node = coordinator(&test);
    let waiting = joining(&mut test);
    test.world.set_alive(NodeId(node), false, test.now);
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    let refused: JoinGroupResponse = reply(test.resume(node, 3, waiting, Why::Woken));
    assert_eq!(ErrorCode::from_code(refused.error_code), ErrorCode::NotCoordinator);
    assert_ne!(coordinator(&test), node);
}

#[test]
fn whoever_waits_on_a_coordinator_that_is_moved_looks_for_it() {
    let mut test = Test::new();
    let node = coordinator(&test);
    let waiting = joining(&mut test);
    let to = 1 + node % 3;
    test.world.move_group_coordinator("g", NodeId(to), test.now).unwrap();
    assert_eq!((test.world.take_woken(), coordinator(&test)), (vec![waiting.ticket], to));
    let refused: JoinGroupResponse = reply(test.resume(node, 3, waiting, Why::Woken));
    assert_eq!(ErrorCode::from_code(refused.error_code), ErrorCode::NotCoordinator);
    test.world.set_alive(NodeId(to), false, test.now);
    assert_ne!(coordinator(&test), to, "it does not stay on a node that is down");
    let moved = test.world.move_group_coordinator("g", NodeId(to), test.now);
    assert_eq!(moved, Err(ErrorCode::BrokerNotAvailable));
}

#[test]
fn committed_offsets_outlive_their_coordinator() {
    let mut test = Test::new();
    assert_eq!(commit(&mut test), ErrorCode::None);
    let node = coordinator(&test);
    test.world.set_alive(NodeId(node), false, test.now);
    assert_eq!(committed_topics(&mut test), 1);
}

#[test]
fn committed_offsets_die_with_their_topic() {
    let mut test = Test::new();
    assert_eq!(commit(&mut test), ErrorCode::None);
    let topics = vec![DeleteTopicState { name: Some("t".into()), ..Default::default() }];
    let request = DeleteTopicsRequest { topics, ..Default::default() };
    let deleted: DeleteTopicsResponse = test.ask(6, request);
    assert_eq!(deleted.responses[0].error_code, 0);
    assert_eq!(committed_topics(&mut test), 0);
}
