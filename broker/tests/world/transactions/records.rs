//! What `Produce` asks of the transaction of a batch (KIP-890).

use ottla_protocol::messages::incremental_alter_configs::{AlterConfigsResource, AlterableConfig};
use ottla_protocol::messages::produce::TopicProduceResponse;
use ottla_protocol::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::super::malformed::cases::{Batch, SOUND, TWO, transactional};
use super::*;

#[test]
fn records_outside_of_a_transaction_are_refused() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::One);
    for (version, code) in [
        (3, ErrorCode::InvalidTxnState),
        (10, ErrorCode::InvalidTxnState),
        (11, ErrorCode::TransactionAbortable),
    ] {
        assert_eq!(producer.produce(&mut test, version, "t", "x"), Err(code), "{version}");
    }
    producer.add(&mut test, &["u"]);
    let other = producer.produce(&mut test, 11, "t", "x");
    assert_eq!(other, Err(ErrorCode::TransactionAbortable), "another partition was added");
    assert_eq!(test.written("t"), "");
}

#[test]
fn the_transaction_comes_before_what_is_wrong_with_the_records() {
    let names: Vec<_> = transactional((0, 0)).into_iter().map(|(name, ..)| name).collect();
    for (at, name) in names.into_iter().enumerate() {
        let mut test = Test::with_topics();
        let producer = Producer::new(&mut test, "a", Protocol::Two);
        let (_, bytes, code) = transactional((producer.id, producer.epoch)).swap_remove(at);
        let mut send = |version, acks| {
            let records = Bytes::copy_from_slice(&bytes).into();
            let transactional_id = Some("a".into());
            let request =
                ProduceRequest { transactional_id, ..produce_request("t", acks, records) };
            let row = produced(test.send(1, version, request));
            (row.error_code, row.log_start_offset)
        };
        let outside = (ErrorCode::InvalidTxnState.code(), -1);
        assert_eq!((send(9, -1), send(9, 2)), (outside, outside), "{name}");
        // A version that takes the partition in.
        assert_eq!(send(12, 2), (ErrorCode::InvalidRequiredAcks.code(), -1), "{name}");
        assert_eq!(send(12, -1), (code, if code == 2 { -1 } else { 0 }), "{name}");
        let described = test.world.transaction("a").unwrap();
        assert_eq!((described.state, described.partitions.len()), ("Ongoing", 1), "{name}");
    }
}

#[test]
fn a_batch_of_a_transaction_without_a_producer_is_of_none() {
    let mut test = Test::with_topics();
    let request = ProduceRequest {
        transactional_id: Some("a".into()),
        ..produce_request("t", -1, Bytes::from(Batch { bits: 0x10, ..SOUND }.of(TWO)).into())
    };
    assert_eq!(produced(test.send(1, 9, request)).error_code, 0);
}

#[test]
fn protocol_2_takes_the_partition_in_with_its_first_records() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    assert_eq!(test.state("a"), "Empty");
    producer.produce(&mut test, 12, "t", "x").unwrap();
    let described = test.world.transaction("a").unwrap();
    assert_eq!((described.state, described.partitions), ("Ongoing", vec![("t".into(), 0)]));
    producer.produce(&mut test, 12, "t", "y").unwrap();
    producer.commit(&mut test).unwrap();
    assert_eq!(test.visible("t"), "xy");
}

#[test]
fn verification_can_be_switched_off() {
    let setting = [("transaction.partition.verification.enable", "false")];
    let mut test = Test::without_topics(1, &setting);
    test.topic("t", &[]);
    let mut producer = Producer::new(&mut test, "a", Protocol::One);
    assert_eq!(producer.produce(&mut test, 11, "t", "x"), Ok(()));
}

#[test]
fn verification_can_be_switched_off_while_the_brokers_run() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[]);
    let mut producer = Producer::new(&mut test, "a", Protocol::One);
    assert_eq!(producer.produce(&mut test, 11, "t", "x"), Err(ErrorCode::TransactionAbortable));
    let config = AlterableConfig {
        name: "transaction.partition.verification.enable".into(),
        value: Some("false".into()),
        ..Default::default()
    };
    let resource =
        AlterConfigsResource { resource_type: 4, configs: vec![config], ..Default::default() };
    let request =
        IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
    let response: IncrementalAlterConfigsResponse = test.ask(1, request);
    assert_eq!(response.responses[0].error_code, 0);
    assert_eq!(producer.produce(&mut test, 11, "t", "x"), Ok(()));
}

#[test]
fn records_of_a_transaction_name_it() {
    let mut test = Test::with_topics();
    let producer = Producer::new(&mut test, "a", Protocol::Two);
    let request = produce_request("t", -1, producer.batch(0, "x"));
    let row = produced(test.send(1, 12, request));
    assert_eq!(error(row.error_code), ErrorCode::TransactionalIdAuthorizationFailed);
}

#[test]
fn records_of_two_transactional_producers_refuse_the_whole_request() {
    let mut test = Test::with_topics();
    test.world.move_leader("u", 0, NodeId(1), test.now).unwrap();
    let producer = Producer::new(&mut test, "a", Protocol::Two);
    let request = |topics: &[&str], other: &Producer| {
        let mut request = produce_request("t", -1, producer.batch(0, "x"));
        let more = |topic: &&str| produce_request(topic, -1, other.batch(0, "y")).topic_data;
        request.topic_data.extend(topics.iter().flat_map(more));
        ProduceRequest { transactional_id: Some("a".into()), ..request }
    };
    let mut send = |request: ProduceRequest| {
        let response: ProduceResponse = reply(test.send(1, 12, request));
        let row = |topic: &TopicProduceResponse| error(topic.partition_responses[0].error_code);
        response.responses.iter().map(row).collect::<Vec<_>>()
    };
    let refused = ErrorCode::InvalidProducerIdMapping;
    let (of_its_own, unknown) = (ErrorCode::None, ErrorCode::UnknownTopicOrPartition);
    let other_id = Producer { id: producer.id + 1, ..producer.clone() };
    let other_epoch = Producer { epoch: producer.epoch + 1, ..producer.clone() };
    for other in [&other_id, &other_epoch] {
        assert_eq!(send(request(&["u", "nope"], other)), [refused; 3]);
        // What is sent to no partition at all is looked at by nobody.
        assert_eq!(send(request(&["nope"], other)), [of_its_own, unknown]);
    }
    assert_eq!(send(request(&["u"], &producer)), [of_its_own; 2]);
    let closed = ProduceRequest { acks: 0, ..request(&["u"], &other_id) };
    assert!(matches!(test.send(1, 12, closed), Flow::Close));
    assert_eq!((&*test.written("t"), &*test.written("u")), ("x", "y"));
}

#[test]
fn a_transaction_cannot_be_mixed_with_other_records() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        producer.write(&mut test, "t", "x").unwrap();
        let row = test.produce(-1, stamped(producer.id, producer.epoch, 1));
        assert_eq!(error(row.error_code), ErrorCode::InvalidTxnState, "{protocol:?}");
        assert_eq!(row.log_start_offset, 0, "by the log itself");
        let row = test.produce(-1, stamped(producer.id, producer.epoch, 3));
        let first = ErrorCode::OutOfOrderSequenceNumber;
        assert_eq!(error(row.error_code), first, "{protocol:?}: the sequence is looked at first");
    }
}

#[test]
fn a_batch_that_overtakes_the_first_one_waits_for_it() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.sequences.insert("t", 1);
    let early = producer.produce(&mut test, 12, "t", "y");
    assert_eq!(early, Err(ErrorCode::OutOfOrderSequenceNumber));
    producer.sequences.clear();
    producer.produce(&mut test, 12, "t", "x").unwrap();
    producer.produce(&mut test, 12, "t", "y").unwrap();
    producer.commit(&mut test).unwrap();
    assert_eq!(test.visible("t"), "xy");
}

#[test]
fn a_late_write_of_an_ended_transaction_stays_out() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    let mut late = producer.clone();
    producer.abort(&mut test).unwrap();
    // The marker has the next epoch: the log itself fences what comes behind it.
    let fenced = Err(ErrorCode::InvalidProducerEpoch);
    assert_eq!(late.produce(&mut test, 12, "t", "late"), fenced);
    producer.write(&mut test, "t", "y").unwrap();
    assert_eq!(late.produce(&mut test, 12, "t", "late"), fenced);
    producer.commit(&mut test).unwrap();
    assert_eq!((&*test.written("t"), &*test.visible("t")), ("xy", "y"));
}

#[test]
fn sequences_go_on_in_protocol_1_and_begin_anew_in_protocol_2() {
    for (protocol, second) in [(Protocol::One, 1), (Protocol::Two, 0)] {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        producer.write(&mut test, "t", "x").unwrap();
        producer.commit(&mut test).unwrap();
        producer.sequences.insert("t", 1 - second);
        let wrong = producer.write(&mut test, "t", "z");
        assert!(wrong.is_err() || test.written("t") == "x", "{protocol:?} {wrong:?}");
        producer.sequences.insert("t", second);
        producer.write(&mut test, "t", "y").unwrap();
        assert_eq!(test.written("t"), "xy", "{protocol:?}");
    }
}

#[test]
fn a_repeated_batch_is_written_once() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        producer.write(&mut test, "t", "x").unwrap();
        producer.sequences.insert("t", 0);
        producer.write(&mut test, "t", "x").unwrap();
        producer.commit(&mut test).unwrap();
        assert_eq!(test.visible("t"), "x");
    }
}

#[test]
fn without_a_transaction_nobody_is_asked() {
    let mut test = Test::with_topics();
    assert_eq!(test.produce(-1, stamped(77, 0, 5)).error_code, 0);
}
