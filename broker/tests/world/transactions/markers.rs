//! Markers in the logs, and what consumers see because of them.

use ottla_broker::log::Log;
use ottla_protocol::messages::delete_topics::DeleteTopicState;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse};
use ottla_protocol::records::{ControlRecordKey, ControlRecordType, EndTransactionMarker};

use super::*;

/// A fetch from topic `t` with `read_committed`, answered at once.
fn fetch_committed(test: &mut Test, offset: i64) -> PartitionData {
    let request = FetchRequest { isolation_level: 1, ..fetch_request(offset) };
    fetched(test.send(1, 12, request))
}

/// Each batch of the leader's log in short: data, commit or abort, with the producer's epoch.
fn shape(test: &Test, topic: &str) -> String {
    let log = test.partition(topic).leader_log().unwrap();
    let mut decoder = BatchDecoder::new(1 << 20);
    let mut shape = |batch: &ottla_broker::log::batch::Batch| {
        let header = *batch.header();
        let whole = batch.to_record_batch().unwrap();
        let record = decoder.records(&whole).unwrap().next().unwrap().unwrap();
        let kind = if header.attributes.is_control() {
            assert!(header.attributes.is_transactional());
            assert_eq!(header.producer.base_sequence, -1);
            assert!(EndTransactionMarker::parse(&record).is_ok());
            match ControlRecordKey::parse(&record).unwrap().record_type {
                ControlRecordType::Commit => "commit",
                ControlRecordType::Abort => "abort",
                other => panic!("{other:?}"),
            }
        } else {
            std::str::from_utf8(record.value.unwrap()).unwrap()
        };
        format!("{kind}/{}", header.producer.producer_epoch)
    };
    log.batches().map(&mut shape).collect::<Vec<_>>().join(" ")
}

#[test]
fn markers_carry_the_epoch_that_fences_late_writes() {
    for (protocol, expected) in
        [(Protocol::One, "x/0 commit/0 y/0 abort/0"), (Protocol::Two, "x/0 commit/1 y/1 abort/2")]
    {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        for (value, committed) in [("x", true), ("y", false)] {
            producer.write(&mut test, "t", value).unwrap();
            producer.end(&mut test, committed).unwrap();
        }
        assert_eq!(shape(&test, "t"), expected);
        let followers = [NodeId(2), NodeId(3)].map(|n| test.partition("t").log(n).unwrap().end());
        assert_eq!(followers, [4, 4], "markers are replicated as data is");
    }
}

#[test]
fn a_partition_without_data_gets_its_marker_too() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::One);
    producer.add(&mut test, &["t"]);
    producer.abort(&mut test).unwrap();
    assert_eq!(shape(&test, "t"), "abort/0");
    let row = fetch_committed(&mut test, 0);
    assert_eq!((row.last_stable_offset, row.aborted_transactions.unwrap().len()), (1, 0));
}

#[test]
fn read_committed_stops_at_lso_not_hw() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        test.produce(-1, batch(&["before"]));
        let mut producer = Producer::new(&mut test, "a", protocol);
        producer.write(&mut test, "t", "x").unwrap();
        test.produce(-1, batch(&["behind"]));
        let row = fetch_committed(&mut test, 0);
        assert_eq!((row.high_watermark, row.last_stable_offset), (3, 1));
        assert_eq!(bases(&row), [0]);
        assert_eq!(bases(&test.fetch(0)), [0, 1, 2]);
        producer.commit(&mut test).unwrap();
        let row = fetch_committed(&mut test, 0);
        assert_eq!((row.high_watermark, row.last_stable_offset), (4, 4));
        assert_eq!((bases(&row), row.aborted_transactions), (vec![0, 1, 2, 3], Some(Vec::new())));
    }
}

#[test]
fn aborted_transactions_are_told_to_who_reads_committed() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    producer.write(&mut test, "t", "y").unwrap();
    producer.abort(&mut test).unwrap();
    for offset in 0..=2 {
        let aborted = fetch_committed(&mut test, offset).aborted_transactions.unwrap();
        let told: Vec<_> = aborted.iter().map(|a| (a.producer_id, a.first_offset)).collect();
        assert_eq!(told, [(producer.id, 0)], "from {offset}");
    }
    assert_eq!(fetch_committed(&mut test, 3).aborted_transactions, Some(Vec::new()));
    assert_eq!(test.fetch(0).aborted_transactions, None);
    assert_eq!(fetch_committed(&mut test, 9).aborted_transactions, None, "out of range");
}

#[test]
fn a_commit_wakes_read_committed_waiters_with_all_its_bytes() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    let request = FetchRequest { isolation_level: 1, ..long_fetch(0) };
    let mut waiting = parked(test.send(1, 12, request));
    for value in ["x", "y", "z"] {
        producer.write(&mut test, "t", value).unwrap();
        if !test.world.take_woken().is_empty() {
            waiting = parked(test.resume(1, 12, waiting, Why::Woken));
        }
    }
    producer.commit(&mut test).unwrap();
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    let row = fetched(test.resume(1, 12, waiting, Why::Woken));
    assert_eq!(bases(&row), [0, 1, 2, 3]);
}

#[test]
fn the_first_open_transaction_hides_those_behind_it() {
    let mut test = Test::with_topics();
    let mut first = Producer::new(&mut test, "a", Protocol::Two);
    let mut second = Producer::new(&mut test, "b", Protocol::One);
    first.write(&mut test, "t", "1").unwrap();
    second.write(&mut test, "t", "2").unwrap();
    second.commit(&mut test).unwrap();
    assert_eq!(test.visible("t"), "");
    first.abort(&mut test).unwrap();
    assert_eq!(test.visible("t"), "2");
}

#[test]
fn a_leaderless_partition_gets_its_marker_when_it_is_led_again() {
    for protocol in BOTH {
        let mut test = Test::without_topics(3, &[]);
        test.world.create_topic("t", 1, 1, &[]).unwrap();
        test.world.create_topic("u", 1, 1, &[]).unwrap();
        let mut producer = Producer::new(&mut test, "a", protocol);
        producer.write(&mut test, "t", "x").unwrap();
        producer.write(&mut test, "u", "x").unwrap();
        let node = test.leader("t");
        test.world.set_alive(node, false, test.now);
        producer.commit(&mut test).unwrap();
        assert_eq!((test.state("a"), &*test.visible("u")), ("PrepareCommit", "x"));
        let partitions = test.world.transaction("a").unwrap().partitions;
        assert_eq!(partitions, [("t".into(), 0)], "{protocol:?}");
        test.world.set_alive(node, true, test.now);
        assert_eq!((test.state("a"), &*test.visible("t")), ("CompleteCommit", "x"));
    }
}

#[test]
fn a_marker_that_was_not_replicated_is_written_again() {
    for committed in [true, false] {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", Protocol::Two);
        producer.write(&mut test, "t", "x").unwrap();
        test.world.pause_replication("t", 0, true, test.now).unwrap();
        producer.end(&mut test, committed).unwrap();
        let prepared = if committed { "PrepareCommit" } else { "PrepareAbort" };
        assert_eq!((test.state("a"), &*test.visible("t")), (prepared, ""));
        // The marker dies with the leader that alone has it.
        test.world.set_alive(NodeId(1), false, test.now);
        test.world.pause_replication("t", 0, false, test.now).unwrap();
        let complete = if committed { "CompleteCommit" } else { "CompleteAbort" };
        assert_eq!(test.state("a"), complete);
        assert_eq!(test.visible("t"), if committed { "x" } else { "" });
        test.world.set_alive(NodeId(1), true, test.now);
        let ends: Vec<i64> =
            (1..=3).map(|n| test.partition("t").log(NodeId(n)).map(Log::end).unwrap()).collect();
        assert_eq!(ends, [ends[0]; 3]);
        producer.write(&mut test, "t", "y").unwrap();
        producer.commit(&mut test).unwrap();
    }
}

#[test]
fn markers_wait_for_enough_replicas() {
    let mut test = Test::without_topics(3, &[]);
    test.topic("t", &[("min.insync.replicas", "2")]);
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    test.world.set_alive(NodeId(2), false, test.now);
    test.world.set_alive(NodeId(3), false, test.now);
    producer.commit(&mut test).unwrap();
    assert_eq!((test.state("a"), &*test.visible("t")), ("PrepareCommit", ""));
    test.world.set_alive(NodeId(3), true, test.now);
    assert_eq!((test.state("a"), &*test.visible("t")), ("CompleteCommit", "x"));
}

#[test]
fn a_marker_is_tried_again_by_time_alone() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    producer.commit(&mut test).unwrap();
    assert_eq!(test.state("a"), "PrepareCommit");
    // The followers lag for so long that they are in sync no more.
    test.pass(Duration::from_secs(60));
    assert_eq!((test.state("a"), &*test.visible("t")), ("CompleteCommit", "x"));
}

#[test]
fn markers_go_to_the_current_log() {
    for recreated in [false, true] {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", Protocol::Two);
        producer.write(&mut test, "t", "x").unwrap();
        producer.write(&mut test, "u", "x").unwrap();
        let topics = vec![DeleteTopicState { name: Some("t".into()), ..Default::default() }];
        let request = DeleteTopicsRequest { topics, ..Default::default() };
        let deleted: DeleteTopicsResponse = test.ask(6, request);
        assert_eq!(deleted.responses[0].error_code, 0);
        if recreated {
            test.topic("t", &[]);
        }
        producer.commit(&mut test).unwrap();
        assert_eq!((test.state("a"), &*test.visible("u")), ("CompleteCommit", "x"));
        if recreated {
            assert_eq!(shape(&test, "t"), "commit/1");
        }
    }
}

#[test]
fn deleted_records_do_not_hold_the_stable_offset_back() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    producer.write(&mut test, "t", "y").unwrap();
    test.world.act("t", 0, test.now, |partition, around| partition.raise_start(1, around)).unwrap();
    let row = fetch_committed(&mut test, 1);
    assert_eq!((row.log_start_offset, row.last_stable_offset), (1, 1));
}
