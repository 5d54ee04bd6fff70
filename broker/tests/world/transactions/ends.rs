//! `EndTxn`: what a transaction comes to, told once or twice (KIP-98, KIP-890).

use super::*;

#[test]
fn a_commit_shows_all_and_an_abort_nothing() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        for (value, committed) in [("1", true), ("2", false), ("3", true)] {
            producer.write(&mut test, "t", value).unwrap();
            producer.write(&mut test, "u", value).unwrap();
            assert!(!test.visible("t").contains(value), "{protocol:?}");
            producer.end(&mut test, committed).unwrap();
        }
        for topic in ["t", "u"] {
            assert_eq!(test.visible(topic), "13", "{protocol:?}");
            assert_eq!(test.written(topic), "123", "{protocol:?}");
        }
    }
}

#[test]
fn only_protocol_2_brings_a_new_epoch() {
    for (protocol, bumps) in [(Protocol::One, 0), (Protocol::Two, 1)] {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        for _ in 0..3 {
            producer.write(&mut test, "t", "x").unwrap();
            let next = producer.ask_end(&mut test, true);
            assert_eq!(next, Ok((producer.id, producer.epoch + bumps)));
            producer.become_producer(next.unwrap());
        }
    }
}

#[test]
fn a_repeated_end_is_answered_as_before() {
    for protocol in BOTH {
        for committed in [true, false] {
            let mut test = Test::with_topics();
            let mut producer = Producer::new(&mut test, "a", protocol);
            producer.write(&mut test, "t", "x").unwrap();
            let first = producer.ask_end(&mut test, committed);
            let end = test.partition("t").leader_log().unwrap().end();
            assert_eq!(producer.ask_end(&mut test, committed), first, "{protocol:?}");
            assert_eq!(test.partition("t").leader_log().unwrap().end(), end);
        }
    }
}

#[test]
fn opposite_outcome_is_48_once_it_has_ended() {
    for protocol in BOTH {
        for committed in [true, false] {
            let mut test = Test::with_topics();
            let mut producer = Producer::new(&mut test, "a", protocol);
            producer.write(&mut test, "t", "x").unwrap();
            test.world.hold_markers("a");
            producer.ask_end(&mut test, committed).unwrap();
            let opposite = producer.ask_end(&mut test, !committed);
            assert_eq!(opposite, Err(ErrorCode::ConcurrentTransactions), "{protocol:?} prepared");
            test.world.release_markers("a", test.now);
            let opposite = producer.ask_end(&mut test, !committed);
            assert_eq!(opposite, Err(ErrorCode::InvalidTxnState), "{protocol:?} complete");
        }
    }
}

#[test]
fn while_an_end_is_being_done_nothing_else_is() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        producer.write(&mut test, "t", "x").unwrap();
        test.world.hold_markers("a");
        assert_eq!(test.visible("t"), "");
        let before = producer.clone();
        producer.commit(&mut test).unwrap();
        assert_eq!(test.state("a"), "PrepareCommit");
        let concurrent = ErrorCode::ConcurrentTransactions;
        assert_eq!(before.ask_end(&mut test, true), Err(concurrent));
        assert_eq!(producer.add(&mut test, &["u"]), [concurrent]);
        assert_eq!(producer.add_offsets(&mut test), concurrent);
        assert_eq!(producer.commit_offset_in(&mut test, 5, 1), concurrent);
        assert_eq!(test.init("a", None), Err(concurrent));
        assert_eq!(producer.produce(&mut test, 12, "u", "y"), Err(concurrent));
        // The older one is sent again by clients that do not know better.
        let old = producer.produce(&mut test, 11, "u", "y");
        assert_eq!(old, Err(ErrorCode::NotEnoughReplicas));
        test.world.release_markers("a", test.now);
        assert_eq!((test.state("a"), &*test.visible("t")), ("CompleteCommit", "x"));
        producer.write(&mut test, "u", "y").unwrap();
    }
}

#[test]
fn in_protocol_1_nothing_is_not_ended() {
    let mut test = Test::with_topics();
    let producer = Producer::new(&mut test, "a", Protocol::One);
    for committed in [true, false] {
        let ended = producer.ask_end(&mut test, committed);
        assert_eq!(ended, Err(ErrorCode::InvalidTxnState));
    }
}

#[test]
fn empty_abort_bumps() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    assert_eq!(producer.ask_end(&mut test, true), Err(ErrorCode::InvalidTxnState));
    assert_eq!(producer.abort(&mut test), Ok(()));
    assert_eq!((producer.epoch, test.state("a")), (1, "CompleteAbort"));
    // The same epoch again asks to abort the next one, which is as empty.
    assert_eq!(producer.abort(&mut test), Ok(()));
    assert_eq!(producer.epoch, 2);
    producer.write(&mut test, "t", "x").unwrap();
    producer.commit(&mut test).unwrap();
    assert_eq!(producer.ask_end(&mut test, true), Err(ErrorCode::InvalidTxnState));
    assert_eq!(producer.abort(&mut test), Ok(()));
    assert_eq!((producer.epoch, &*test.visible("t")), (4, "x"));
}

#[test]
fn end_txn_v5_retry_with_old_epoch() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    let first = producer.clone();
    producer.write(&mut test, "t", "x").unwrap();
    producer.commit(&mut test).unwrap();
    assert_eq!(first.ask_end(&mut test, true), Ok((producer.id, producer.epoch)));
    producer.write(&mut test, "t", "y").unwrap();
    // Too late: it would end the next transaction (KAFKA-17754).
    assert_eq!(first.ask_end(&mut test, true), Err(ErrorCode::ProducerFenced));
    assert_eq!((test.state("a"), &*test.visible("t")), ("Ongoing", "x"));
}

#[test]
fn both_protocols_take_turns_on_one_id() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::One);
    for (at, value) in ["1", "2", "3", "4"].into_iter().enumerate() {
        producer.write(&mut test, "t", value).unwrap();
        producer.commit(&mut test).unwrap();
        producer.protocol = BOTH[(at + 1) % 2];
    }
    assert_eq!(test.visible("t"), "1234");
}

#[test]
fn who_is_unknown_has_nothing_to_end() {
    let mut test = Test::with_topics();
    let mut nobody = Producer::new(&mut test, "a", Protocol::One);
    nobody.id += 1;
    let unknown = ErrorCode::InvalidProducerIdMapping;
    assert_eq!(nobody.abort(&mut test), Err(unknown));
    assert_eq!(nobody.add(&mut test, &["t"]), [unknown]);
    assert_eq!(nobody.produce(&mut test, 12, "t", "x"), Err(unknown));
    nobody.name = "never seen";
    assert_eq!(nobody.abort(&mut test), Err(unknown));
    assert_eq!(nobody.add_offsets(&mut test), unknown);
    assert_eq!(nobody.commit_offset_in(&mut test, 5, 1), unknown);
    nobody.name = "";
    assert_eq!(nobody.abort(&mut test), Err(ErrorCode::InvalidRequest));
    assert_eq!(nobody.add(&mut test, &["t"]), [ErrorCode::InvalidRequest]);
}
