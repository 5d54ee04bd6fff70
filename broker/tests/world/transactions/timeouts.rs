//! What time does: transactions that take too long, ids that nobody uses.

use super::*;

#[test]
fn a_transaction_that_takes_too_long_is_aborted() {
    for (level, protocol) in [(0, Protocol::One), (2, Protocol::One), (2, Protocol::Two)] {
        let mut test = Test::with_topics();
        test.world.set_transaction_version(level);
        let mut producer = Producer::new(&mut test, "a", protocol);
        producer.write(&mut test, "t", "x").unwrap();
        producer.commit_offset(&mut test, 5);
        test.pass(Duration::from_secs(59));
        producer.write(&mut test, "t", "y").unwrap();
        assert_eq!(test.state("a"), "Ongoing");
        test.pass(Duration::from_secs(1));
        assert_eq!(test.state("a"), "CompleteAbort", "it counts from its first record on");
        assert_eq!((&*test.written("t"), &*test.visible("t")), ("xy", ""));
        assert_eq!(test.committed(true), Ok(-1));
        let ended = producer.ask_end_in(&mut test, 4, true);
        assert_eq!(ended, Err(ErrorCode::ProducerFenced));
        let written = producer.produce(&mut test, 12, "t", "z");
        assert_eq!(written, Err(ErrorCode::InvalidProducerEpoch));
    }
}

#[test]
fn a_commit_after_the_timeout_is_never_a_success() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        producer.write(&mut test, "t", "x").unwrap();
        test.pass(Duration::from_secs(60));
        assert!(producer.ask_end(&mut test, true).is_err(), "{protocol:?}");
        assert_eq!(test.visible("t"), "");
    }
}

#[test]
fn in_protocol_2_an_abort_after_the_timeout_is_the_same_abort() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    test.pass(Duration::from_secs(60));
    assert_eq!(producer.ask_end(&mut test, true), Err(ErrorCode::InvalidTxnState));
    producer.abort(&mut test).unwrap();
    producer.write(&mut test, "t", "y").unwrap();
    producer.commit(&mut test).unwrap();
    assert_eq!(test.visible("t"), "y");
}

#[test]
fn only_open_transactions_time_out() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    test.world.hold_markers("a");
    producer.commit(&mut test).unwrap();
    test.pass(Duration::from_secs(600));
    assert_eq!(test.state("a"), "PrepareCommit", "what is decided stays decided");
    test.world.release_markers("a", test.now);
    test.pass(Duration::from_secs(600));
    assert_eq!((test.state("a"), &*test.visible("t")), ("CompleteCommit", "x"));
}

#[test]
fn a_later_init_sets_the_time_of_later_transactions() {
    let mut test = Test::with_topics();
    let request = InitProducerIdRequest {
        transactional_id: Some("a".into()),
        transaction_timeout_ms: 5000,
        ..Default::default()
    };
    test.init("a", None).unwrap();
    let given: InitProducerIdResponse = test.ask_coordinator("a", 5, request);
    let mut producer = Producer {
        name: "a",
        protocol: Protocol::Two,
        id: given.producer_id,
        epoch: given.producer_epoch,
        sequences: BTreeMap::new(),
    };
    test.pass(Duration::from_secs(30));
    producer.write(&mut test, "t", "x").unwrap();
    assert_eq!(test.world.next_deadline(), Some(test.now.mono + Duration::from_secs(5)));
    test.pass(Duration::from_secs(5));
    assert_eq!(test.state("a"), "CompleteAbort");
}

#[test]
fn an_id_that_nobody_uses_is_forgotten() {
    let expiration = Duration::from_secs(100);
    let setting = [("transactional.id.expiration.ms", "100000")];
    for protocol in BOTH {
        let mut test = Test::without_topics(3, &setting);
        test.topic("t", &[]);
        let mut producer = Producer::new(&mut test, "a", protocol);
        test.pass(expiration / 2);
        producer.write(&mut test, "t", "x").unwrap();
        producer.commit(&mut test).unwrap();
        test.pass(expiration - Duration::from_secs(1));
        assert_eq!(test.state("a"), "CompleteCommit", "{protocol:?}");
        test.pass(Duration::from_secs(1));
        assert_eq!(test.world.transaction("a"), None);
        let unknown = ErrorCode::InvalidProducerIdMapping;
        assert_eq!(producer.abort(&mut test), Err(unknown));
        assert_eq!(producer.add(&mut test, &["t"]), [unknown]);
        let after = Producer::new(&mut test, "a", protocol);
        assert_ne!(after.id, producer.id);
    }
}
