//! Offsets of groups in transactions: `TxnOffsetCommit` and what `OffsetFetch` tells.

use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::{OffsetCommitRequest, OffsetCommitResponse};

use super::*;

#[test]
fn offsets_count_when_their_transaction_is_committed() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        for (offset, committed, after) in [(1, true, 1), (2, false, 1), (3, true, 3)] {
            let before = test.committed(false).unwrap();
            producer.write(&mut test, "u", "x").unwrap();
            assert_eq!(producer.commit_offset(&mut test, offset), ErrorCode::None);
            assert_eq!(test.committed(false), Ok(before), "{protocol:?}");
            assert_eq!(test.committed(true), Err(ErrorCode::UnstableOffsetCommit));
            producer.end(&mut test, committed).unwrap();
            assert_eq!(test.committed(true), Ok(after), "{protocol:?}");
        }
    }
}

#[test]
fn offsets_stay_unstable_until_the_marker_is_there() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.commit_offset(&mut test, 5);
    test.world.hold_markers("a");
    producer.commit(&mut test).unwrap();
    assert_eq!(test.committed(true), Err(ErrorCode::UnstableOffsetCommit));
    test.world.release_markers("a", test.now);
    assert_eq!(test.committed(true), Ok(5));
}

#[test]
fn a_group_that_is_not_in_the_transaction_takes_no_offsets() {
    let mut test = Test::with_topics();
    let producer = Producer::new(&mut test, "a", Protocol::One);
    for (version, code) in [
        (0, ErrorCode::InvalidTxnState),
        (3, ErrorCode::InvalidTxnState),
        (4, ErrorCode::TransactionAbortable),
    ] {
        assert_eq!(producer.commit_offset_in(&mut test, version, 1), code, "{version}");
    }
    assert_eq!(test.committed(true), Ok(-1));
}

#[test]
fn protocol_2_takes_the_group_in_with_its_first_offsets() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    assert_eq!(producer.commit_offset_in(&mut test, 5, 1), ErrorCode::None);
    let described = test.world.transaction("a").unwrap();
    assert_eq!((described.state, described.groups), ("Ongoing", vec!["g".into()]));
    producer.commit(&mut test).unwrap();
    assert_eq!(test.committed(true), Ok(1));
}

#[test]
fn offsets_by_topic_id_are_taken_in_too() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    let topic_id = test.world.catalog().topic(TopicKey::Name("t")).unwrap().id;
    let partitions =
        vec![TxnOffsetCommitRequestPartition { committed_offset: 9, ..Default::default() }];
    let request = TxnOffsetCommitRequest {
        transactional_id: "a".into(),
        group_id: "g".into(),
        producer_id: producer.id,
        topics: vec![TxnOffsetCommitRequestTopic { topic_id, partitions, ..Default::default() }],
        ..Default::default()
    };
    let node = test.group_coordinator();
    let response: TxnOffsetCommitResponse = reply(test.send(node, 6, request));
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    producer.commit(&mut test).unwrap();
    assert_eq!(test.committed(true), Ok(9));
}

#[test]
fn an_elder_producer_commits_no_offsets() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let elder = Producer::new(&mut test, "a", protocol);
        elder.commit_offset(&mut test, 1);
        assert!(test.init("a", None).is_err());
        let mut younger = Producer::new(&mut test, "a", protocol);
        assert_eq!(test.committed(true), Ok(-1), "what it had in a transaction is aborted");
        let refused = elder.commit_offset_in(&mut test, 3, 2);
        assert_eq!(refused, ErrorCode::InvalidProducerEpoch);
        younger.commit_offset(&mut test, 3);
        assert_eq!(elder.commit_offset_in(&mut test, 5, 4), ErrorCode::InvalidProducerEpoch);
        younger.commit(&mut test).unwrap();
        assert_eq!(test.committed(true), Ok(3));
    }
}

#[test]
fn a_commit_to_a_missing_partition_is_3_and_takes_nothing_in() {
    let mut test = Test::with_topics();
    let producer = Producer::new(&mut test, "a", Protocol::Two);
    let partitions =
        vec![TxnOffsetCommitRequestPartition { partition_index: 7, ..Default::default() }];
    let request = TxnOffsetCommitRequest {
        transactional_id: "a".into(),
        group_id: "g".into(),
        producer_id: producer.id,
        topics: vec![TxnOffsetCommitRequestTopic {
            name: "t".into(),
            partitions,
            ..Default::default()
        }],
        ..Default::default()
    };
    let node = test.group_coordinator();
    let response: TxnOffsetCommitResponse = reply(test.send(node, 5, request));
    let code = error(response.topics[0].partitions[0].error_code);
    assert_eq!((code, test.state("a")), (ErrorCode::UnknownTopicOrPartition, "Empty"));
}

#[test]
fn offsets_in_a_transaction_survive_both_coordinators() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        producer.commit_offset(&mut test, 5);
        for node in 1..=3 {
            test.world.move_group_coordinator("g", NodeId(node), test.now).unwrap();
            test.world.move_transaction_coordinator("a", NodeId(node), test.now).unwrap();
            assert_eq!((test.group_coordinator(), test.coordinator("a")), (node, node));
            assert_eq!(test.committed(true), Err(ErrorCode::UnstableOffsetCommit));
        }
        producer.commit(&mut test).unwrap();
        assert_eq!(test.committed(true), Ok(5));
    }
}

#[test]
fn an_offset_committed_without_a_transaction_waits_for_none() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.commit_offset(&mut test, 5);
    let partitions =
        vec![OffsetCommitRequestPartition { committed_offset: 6, ..Default::default() }];
    let topics =
        vec![OffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() }];
    let request = OffsetCommitRequest { group_id: "g".into(), topics, ..Default::default() };
    let node = test.group_coordinator();
    let response: OffsetCommitResponse = reply(test.send(node, 9, request));
    assert_eq!(response.topics[0].partitions[0].error_code, 0);
    assert_eq!(test.committed(false), Ok(6));
    producer.commit(&mut test).unwrap();
    assert_eq!(test.committed(true), Ok(6), "it was committed later than the transaction's");
}
