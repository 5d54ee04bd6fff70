use ottla_broker::world::Why;
use ottla_broker::world::config::RACK_AWARE;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::list_offsets::{ListOffsetsPartition, ListOffsetsTopic};
use ottla_protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::*;

/// Nodes 1 to 3 in the racks a, b and b; `t` is led by node 1 and has one record.
fn racked(selector: &str) -> Test {
    let mut test = Test::without_topics(3, &[("replica.selector.class", selector)]);
    for (id, rack) in [(1, "a"), (2, "b"), (3, "b")] {
        let rack = Some(rack.into());
        test.world.add_node(Node { id: NodeId(id), host: "h".into(), port: 9092, rack });
    }
    test.topic("t", &[]);
    assert_eq!(test.produce(-1, batch(&["a"])).error_code, 0);
    test
}

fn from_rack(rack: &str, offset: i64) -> FetchRequest {
    FetchRequest { rack_id: rack.into(), ..fetch_request(offset) }
}

/// The replica that node 1 sends a consumer in this rack to.
#[track_caller]
fn preferred(test: &mut Test, rack: &str) -> i32 {
    fetched(test.send(1, 12, from_rack(rack, 0))).preferred_read_replica
}

#[test]
fn a_consumer_is_sent_to_the_replica_in_its_rack() {
    let mut test = racked(RACK_AWARE);
    let row = fetched(test.send(1, 12, from_rack("b", 0)));
    assert_eq!((row.error_code, row.high_watermark, row.log_start_offset), (0, 1, 0));
    assert_eq!(row.preferred_read_replica, 3, "of two that are as far, the last");
    assert!(bases(&row).is_empty());
    let row = fetched(test.send(3, 12, from_rack("b", 0)));
    assert_eq!((row.preferred_read_replica, bases(&row)), (-1, vec![0]));
}

#[test]
fn being_sent_elsewhere_is_an_answer_not_a_wait() {
    let mut test = racked(RACK_AWARE);
    let waiting = FetchRequest { rack_id: "b".into(), ..long_fetch(1) };
    assert_eq!(fetched(test.send(1, 12, waiting)).preferred_read_replica, 3);
}

#[test]
fn a_consumer_near_the_leader_or_near_nobody_stays() {
    let mut test = racked(RACK_AWARE);
    for rack in ["", "a", "elsewhere"] {
        let row = fetched(test.send(1, 12, from_rack(rack, 0)));
        assert_eq!((row.preferred_read_replica, bases(&row)), (-1, vec![0]), "{rack:?}");
    }
    let mut test = racked("");
    assert_eq!(preferred(&mut test, "b"), -1, "the default selector knows only the leader");
}

#[test]
fn a_replica_that_died_or_lags_is_not_preferred() {
    let mut test = racked(RACK_AWARE);
    test.world.set_alive(NodeId(3), false, test.now);
    assert_eq!(preferred(&mut test, "b"), 2);
    behind(&mut test);
    assert_eq!(preferred(&mut test, "b"), -1);
}

/// Writes a record that no follower pulls, and waits until they are out of the in-sync replicas.
fn behind(test: &mut Test) {
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    assert_eq!(test.produce(1, batch(&["b"])).error_code, 0);
    test.pass(Duration::from_secs(60));
    assert_eq!(test.fetch(0).high_watermark, 2);
}

#[test]
fn a_follower_serves_up_to_its_own_high_watermark() {
    let mut test = racked(RACK_AWARE);
    behind(&mut test);
    let row = fetched(test.send(2, 12, from_rack("b", 0)));
    assert_eq!((row.high_watermark, bases(&row)), (1, vec![0]));
    let codes = [1, 2].map(|offset| fetched(test.send(2, 12, from_rack("b", offset))).error_code);
    assert_eq!(codes, [0, ErrorCode::OffsetOutOfRange.code()]);
}

#[test]
fn a_fetch_that_waits_at_a_follower_is_woken_when_it_has_pulled() {
    let mut test = racked(RACK_AWARE);
    let waiting = parked(test.send(2, 12, long_fetch(1)));
    test.produce(-1, batch(&["b"]));
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    assert_eq!(bases(&fetched(test.resume(2, 12, waiting, Why::Woken))), [1]);
}

#[test]
fn consumers_before_racks_read_from_the_leader_alone() {
    let mut test = racked(RACK_AWARE);
    for (version, code) in [(10, ErrorCode::NotLeaderOrFollower), (11, ErrorCode::None)] {
        let row = fetched(test.send(2, version, fetch_request(0)));
        assert_eq!(row.error_code, code.code(), "version {version}");
    }
}

#[test]
fn a_node_without_a_replica_serves_nothing() {
    let mut test = racked(RACK_AWARE);
    test.world.create_topic("single", 1, 1, &[]).unwrap();
    let leader = test.leader("single").0;
    let mut request = fetch_request(0);
    request.topics[0].topic = "single".into();
    for node in 1..=3 {
        let row = fetched(test.send(node, 12, request.clone()));
        let expected = if node == leader { 0 } else { ErrorCode::NotLeaderOrFollower.code() };
        assert_eq!(row.error_code, expected, "node {node}");
    }
}

#[test]
fn followers_compare_leader_epochs_too() {
    let mut test = racked(RACK_AWARE);
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    for (known, code) in [(-1, 0), (0, 74), (1, 0), (2, 75)] {
        let mut request = fetch_request(0);
        request.topics[0].partitions[0].current_leader_epoch = known;
        assert_eq!(fetched(test.send(3, 12, request)).error_code, code, "epoch {known}");
    }
}

#[test]
fn offsets_are_listed_by_the_leader_alone() {
    let mut test = racked(RACK_AWARE);
    for (node, code) in [(1, 0), (2, ErrorCode::NotLeaderOrFollower.code())] {
        let latest =
            ListOffsetsPartition { timestamp: -1, current_leader_epoch: -1, ..Default::default() };
        let topic =
            ListOffsetsTopic { name: "t".into(), partitions: vec![latest], ..Default::default() };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let response: ListOffsetsResponse = reply(test.send(node, 7, request));
        assert_eq!(response.topics[0].partitions[0].error_code, code, "node {node}");
    }
}

#[test]
fn a_session_tells_of_the_preferred_replica_though_nothing_else_is_new() {
    let mut test = racked(RACK_AWARE);
    let full = FetchRequest { session_epoch: 0, ..from_rack("a", 1) };
    let session_id = fetch_response(test.send(1, 12, full)).session_id;
    let topics = Vec::new();
    let next = FetchRequest { session_id, session_epoch: 1, topics, ..from_rack("b", 1) };
    assert_eq!(fetched(test.send(1, 12, next)).preferred_read_replica, 3);
}
