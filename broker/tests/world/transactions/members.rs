//! What takes part in a transaction: `AddPartitionsToTxn` and `AddOffsetsToTxn`.

use ottla_protocol::messages::add_partitions_to_txn::AddPartitionsToTxnTransaction;

use super::*;

#[test]
fn an_unknown_partition_keeps_all_out() {
    let mut test = Test::with_topics();
    let producer = Producer::new(&mut test, "a", Protocol::One);
    let (not, unknown) = (ErrorCode::OperationNotAttempted, ErrorCode::UnknownTopicOrPartition);
    assert_eq!(producer.add(&mut test, &["t", "none", "u"]), [not, unknown, not]);
    assert_eq!(test.state("a"), "Empty");
    assert_eq!(producer.add(&mut test, &["t", "u"]), [ErrorCode::None; 2]);
    assert_eq!(producer.add(&mut test, &["t", "none"]), [not, unknown]);
    let partitions = test.world.transaction("a").unwrap().partitions;
    assert_eq!(partitions, [("t".into(), 0), ("u".into(), 0)], "what was in stays in");
}

#[test]
fn what_is_added_already_may_be_added_again() {
    let mut test = Test::with_topics();
    let producer = Producer::new(&mut test, "a", Protocol::One);
    for _ in 0..2 {
        assert_eq!(producer.add(&mut test, &["t"]), [ErrorCode::None]);
        assert_eq!(producer.add_offsets(&mut test), ErrorCode::None);
    }
    let described = test.world.transaction("a").unwrap();
    assert_eq!((described.state, described.partitions.len()), ("Ongoing", 1));
    assert_eq!(described.groups, ["g"]);
}

#[test]
fn only_the_coordinator_adds() {
    let mut test = Test::with_topics();
    let producer = Producer::new(&mut test, "a", Protocol::One);
    let other = 1 + test.coordinator("a") % 3;
    let request = AddOffsetsToTxnRequest {
        transactional_id: "a".into(),
        producer_id: producer.id,
        group_id: "g".into(),
        ..Default::default()
    };
    let response: AddOffsetsToTxnResponse = reply(test.send(other, 3, request));
    assert_eq!(error(response.error_code), ErrorCode::NotCoordinator);
    let request = AddPartitionsToTxnRequest {
        v3_and_below_transactional_id: "a".into(),
        v3_and_below_topics: vec![topic("t")],
        ..Default::default()
    };
    let response: AddPartitionsToTxnResponse = reply(test.send(other, 3, request));
    let row = &response.results_by_topic_v3_and_below[0].results_by_partition[0];
    assert_eq!(error(row.partition_error_code), ErrorCode::NotCoordinator);
}

#[test]
fn brokers_add_and_verify_for_several_producers_at_once() {
    let mut test = Test::with_topics();
    let a = Producer::new(&mut test, "a", Protocol::Two);
    let mut b = Producer::new(&mut test, "a", Protocol::Two);
    b.name = "a";
    let asked = |producer: &Producer, verify_only, topic: AddPartitionsToTxnTopic| {
        AddPartitionsToTxnTransaction {
            transactional_id: producer.name.into(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            verify_only,
            topics: vec![topic],
            ..Default::default()
        }
    };
    let transactions = vec![
        asked(&a, false, topic("t")),
        asked(&b, true, topic("t")),
        asked(&b, false, topic("t")),
        asked(&b, true, topic("t")),
        asked(&b, true, topic("u")),
    ];
    for version in [4, 5] {
        let request =
            AddPartitionsToTxnRequest { transactions: transactions.clone(), ..Default::default() };
        let response: AddPartitionsToTxnResponse = test.ask_coordinator("a", version, request);
        let rows = response.results_by_transaction.iter();
        let codes: Vec<ErrorCode> = rows
            .map(|r| error(r.topic_results[0].results_by_partition[0].partition_error_code))
            .collect();
        let first = if version == 4 { ErrorCode::TransactionAbortable } else { ErrorCode::None };
        let abortable = ErrorCode::TransactionAbortable;
        let none = ErrorCode::None;
        assert_eq!(codes, [ErrorCode::ProducerFenced, first, none, none, abortable]);
    }
}

fn topic(name: &str) -> AddPartitionsToTxnTopic {
    let (name, partitions) = (name.into(), vec![0].into());
    AddPartitionsToTxnTopic { name, partitions, ..Default::default() }
}
