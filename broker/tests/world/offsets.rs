use std::time::Duration;

use ottla_broker::world::{Flow, Parked, Why};
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};
use ottla_protocol::messages::list_offsets::{
    ListOffsetsPartition, ListOffsetsPartitionResponse, ListOffsetsTopic,
};
use ottla_protocol::messages::offset_for_leader_epoch::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use ottla_protocol::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse,
    OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
};
use ottla_protocol::records::TimestampType;

use super::*;

fn list(test: &mut Test, version: i16, timestamp: i64) -> ListOffsetsPartitionResponse {
    let partition =
        ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
    let topic =
        ListOffsetsTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
    let leader = test.leader("t").0;
    let mut response: ListOffsetsResponse = reply(test.send(leader, version, request));
    response.topics.remove(0).partitions.remove(0)
}

fn delete(test: &mut Test, offset: i64) -> (i16, i64) {
    let partition = DeleteRecordsPartition { offset, ..Default::default() };
    let topic =
        DeleteRecordsTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    let request = DeleteRecordsRequest { topics: vec![topic], ..Default::default() };
    let mut response: DeleteRecordsResponse = test.ask(2, request);
    let row = response.topics.remove(0).partitions.remove(0);
    (row.error_code, row.low_watermark)
}

fn epoch_end(test: &mut Test, leader_epoch: i32) -> (i32, i64) {
    let partition =
        OffsetForLeaderPartition { leader_epoch, current_leader_epoch: -1, ..Default::default() };
    let topic = OffsetForLeaderTopic {
        topic: "t".into(),
        partitions: vec![partition],
        ..Default::default()
    };
    let request = OffsetForLeaderEpochRequest { topics: vec![topic], ..Default::default() };
    let leader = test.leader("t").0;
    let mut response: OffsetForLeaderEpochResponse = reply(test.send(leader, 4, request));
    let row = response.topics.remove(0).partitions.remove(0);
    assert_eq!(row.error_code, 0);
    (row.leader_epoch, row.end_offset)
}

/// Offsets 0 to 4, of which 2 is the latest in time: times go back and forth.
fn with_times() -> Test {
    let mut test = Test::new();
    test.produce(-1, timed(&[(START, "0"), (START + 10, "1")]));
    test.produce(-1, timed(&[(START + 50, "2"), (START + 5, "3")]));
    test.produce(-1, timed(&[(START + 20, "4")]));
    test
}

#[test]
fn time_lookup_is_first_at_or_after() {
    let mut test = with_times();
    for (time, offset, found) in
        [(0, 0, 0), (0, 0, 0), (1, 1, 10), (10, 1, 10), (11, 2, 50), (50, 2, 50)]
    {
        let row = list(&mut test, 7, START + time);
        assert_eq!((row.offset, row.timestamp), (offset, START + found), "time {time}");
    }
    let row = list(&mut test, 7, START + 51);
    assert_eq!((row.error_code, row.offset, row.timestamp), (0, -1, -1));
}

#[test]
fn a_partition_that_is_asked_for_twice_is_told_nothing() {
    let mut test = with_times();
    let at = |partition_index| ListOffsetsPartition {
        partition_index,
        timestamp: -1,
        current_leader_epoch: -1,
        ..Default::default()
    };
    let partitions = vec![at(0), at(9), at(0)];
    let topics = vec![ListOffsetsTopic { name: "t".into(), partitions, ..Default::default() }];
    let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
    let response: ListOffsetsResponse = test.ask(7, request);
    let codes = response.topics[0].partitions.iter().map(|row| row.error_code);
    assert_eq!(codes.collect::<Vec<_>>(), [42, 3, 42]);
}

#[test]
fn a_header_that_lies_about_its_times_is_passed_over() {
    let mut test = with_times();
    let mut lying = seal(&[(START, "5")], &SealOptions::default());
    lying.set_max_timestamp(TimestampType::CreateTime, START + 90);
    test.produce(-1, chunks(lying));
    test.produce(-1, timed(&[(START + 80, "6")]));
    assert_eq!(list(&mut test, 7, START + 60).offset, 6);
}

#[test]
fn max_timestamp_is_the_record_and_survives_trim() {
    let mut test = with_times();
    let row = list(&mut test, 7, -3);
    assert_eq!((row.offset, row.timestamp), (2, START + 50));
    assert_eq!(delete(&mut test, 4), (0, 4));
    let row = list(&mut test, 7, -3);
    assert_eq!((row.offset, row.timestamp), (4, START + 20));
    assert_eq!(list(&mut Test::new(), 7, -3).offset, -1);
}

#[test]
fn the_ends_of_a_log_have_no_time() {
    let mut test = with_times();
    for (timestamp, version, offset) in
        [(-1, 7, 5), (-2, 7, 0), (-4, 8, 0), (-5, 9, -1), (-6, 11, -1)]
    {
        let row = list(&mut test, version, timestamp);
        assert_eq!((row.error_code, row.offset, row.timestamp), (0, offset, -1), "{timestamp}");
    }
}

#[test]
fn a_timestamp_that_the_version_does_not_know_is_unsupported() {
    let mut test = with_times();
    for (timestamp, version) in [(-3, 6), (-4, 7), (-5, 8), (-6, 10), (-7, 11)] {
        let row = list(&mut test, version, timestamp);
        assert_eq!(row.error_code, ErrorCode::UnsupportedVersion.code(), "{timestamp}");
    }
}

#[test]
fn earliest_answers_the_epoch_of_its_record() {
    let mut test = with_times();
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    assert_eq!(list(&mut test, 7, -2).leader_epoch, 0);
    assert_eq!(list(&mut test, 7, -1).leader_epoch, 1);
}

#[test]
fn a_new_leader_knows_the_end_only_once_enough_followers_have_come() {
    let mut test = Test::without_topics(3, &[]);
    test.topic("t", &[("min.insync.replicas", "2")]);
    for node in [2, 3] {
        test.world.set_alive(NodeId(node), false, test.now);
    }
    assert_eq!(test.produce(1, batch(&["a"])).error_code, 0);
    test.world.move_leader("t", 0, NodeId(1), test.now).unwrap();
    assert_eq!(list(&mut test, 4, -1).error_code, ErrorCode::LeaderNotAvailable.code());
    assert_eq!(list(&mut test, 5, -1).error_code, ErrorCode::OffsetNotAvailable.code());
    assert_eq!(list(&mut test, 5, -2).offset, 0, "the beginning is known");
    test.world.set_alive(NodeId(2), true, test.now);
    assert_eq!(list(&mut test, 5, -1).offset, 1);
}

#[test]
fn newest_epoch_ends_at_log_end() {
    let mut test = with_times();
    assert_eq!(epoch_end(&mut test, 0), (0, 5));
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    test.produce(-1, batch(&["x"]));
    assert_eq!(epoch_end(&mut test, 0), (0, 5));
    assert_eq!(epoch_end(&mut test, 1), (1, 6));
    assert_eq!(epoch_end(&mut test, 2), (-1, -1));
}

#[test]
fn a_log_can_begin_in_the_middle_of_a_batch() {
    let mut test = Test::new();
    test.produce(-1, batch(&["a", "b", "c"]));
    assert_eq!(delete(&mut test, 1), (0, 1));
    assert_eq!(bases(&test.fetch(1)), [0]);
    assert_eq!(test.fetch(0).error_code, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(list(&mut test, 7, -2).offset, 1);
    assert_eq!(list(&mut test, 7, 0).offset, 1);
}

#[test]
fn records_are_deleted_up_to_the_high_watermark_and_no_further() {
    let mut test = with_times();
    assert_eq!(delete(&mut test, 6), (1, -1));
    assert_eq!(delete(&mut test, -2), (1, -1));
    assert_eq!(delete(&mut test, 3), (0, 3));
    assert_eq!(delete(&mut test, 2), (0, 3), "below the start there is nothing to do");
    assert_eq!(delete(&mut test, -1), (0, 5));
    assert_eq!(list(&mut test, 7, -2).offset, 5);
}

#[test]
fn a_topic_that_only_compacts_deletes_nothing() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("cleanup.policy", "compact")]);
    assert_eq!(delete(&mut test, 0), (ErrorCode::PolicyViolation.code(), -1));
}

fn deletion(offset: i64) -> DeleteRecordsRequest {
    let partition = DeleteRecordsPartition { offset, ..Default::default() };
    let topic =
        DeleteRecordsTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
    DeleteRecordsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() }
}

/// A deletion that waits for followers that do not pull.
fn waiting_deletion(test: &mut Test) -> Parked {
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    let waiting = parked(test.send(1, 2, deletion(3)));
    assert_eq!(waiting.until, Some(Duration::from_secs(1)));
    test.world.take_woken();
    waiting
}

fn deleted(flow: Flow) -> (i16, i64) {
    let mut response: DeleteRecordsResponse = reply(flow);
    let row = response.topics.remove(0).partitions.remove(0);
    (row.error_code, row.low_watermark)
}

#[test]
fn a_deletion_is_answered_once_the_followers_have_it() {
    let mut test = with_times();
    let waiting = waiting_deletion(&mut test);
    let waiting = parked(test.resume(1, 2, waiting, Why::Woken));
    test.world.pause_replication("t", 0, false, test.now).unwrap();
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    assert_eq!(deleted(test.resume(1, 2, waiting, Why::Woken)), (0, 3));
}

#[test]
fn a_deletion_that_followers_are_slow_with_is_told_to_be() {
    let mut test = with_times();
    let waiting = waiting_deletion(&mut test);
    test.pass(Duration::from_secs(1));
    let timed_out = ErrorCode::RequestTimedOut.code();
    assert_eq!(deleted(test.resume(1, 2, waiting, Why::Expired)), (timed_out, 0));
}

#[test]
fn a_deletion_waits_only_for_who_is_up_and_for_nobody_once_the_leader_is_another() {
    let mut test = with_times();
    let waiting = waiting_deletion(&mut test);
    for node in [2, 3] {
        test.world.set_alive(NodeId(node), false, test.now);
    }
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    assert_eq!(deleted(test.resume(1, 2, waiting, Why::Woken)), (0, 3));

    let mut test = with_times();
    let waiting = waiting_deletion(&mut test);
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    let moved = ErrorCode::NotLeaderOrFollower.code();
    assert_eq!(deleted(test.resume(1, 2, waiting, Why::Woken)), (moved, -1));
}

#[test]
fn what_is_not_committed_has_no_time_yet() {
    let mut test = with_times();
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    test.produce(1, timed(&[(START + 99, "5")]));
    for timestamp in [-3, START + 60] {
        let row = list(&mut test, 7, timestamp);
        assert_eq!((row.error_code, row.offset, row.timestamp), (0, -1, -1), "{timestamp}");
    }
    test.world.pause_replication("t", 0, false, test.now).unwrap();
    assert_eq!(list(&mut test, 7, -3).offset, 5);
}

#[test]
fn a_new_leader_finds_by_time_what_it_knows_to_be_committed() {
    let mut test = Test::without_topics(3, &[]);
    test.topic("t", &[("min.insync.replicas", "2")]);
    assert_eq!(test.produce(-1, timed(&[(START, "0")])).error_code, 0);
    for node in [2, 3] {
        test.world.set_alive(NodeId(node), false, test.now);
    }
    assert_eq!(test.produce(1, timed(&[(START + 10, "1")])).error_code, 0);
    test.world.move_leader("t", 0, NodeId(1), test.now).unwrap();
    assert_eq!(list(&mut test, 5, START).offset, 0);
    let unknown = ErrorCode::OffsetNotAvailable.code();
    for timestamp in [START + 5, START + 20, -3, -1] {
        assert_eq!(list(&mut test, 7, timestamp).error_code, unknown, "{timestamp}");
    }
}
