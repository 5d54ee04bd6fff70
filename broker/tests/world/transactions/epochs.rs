//! `InitProducerId`: who a producer is, and who it fences (KIP-98, KIP-360).

use super::*;

#[test]
fn each_init_brings_the_next_epoch() {
    let mut test = Test::with_topics();
    let (id, _) = test.init("a", None).unwrap();
    assert_eq!(test.init("a", None), Ok((id, 1)));
    assert_eq!(test.init("a", None), Ok((id, 2)));
    let other = test.init("b", None).unwrap();
    assert_eq!(other, (id + 1, 0));
}

#[test]
fn an_elder_producer_is_fenced_everywhere() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut elder = Producer::new(&mut test, "a", protocol);
        Producer::new(&mut test, "a", protocol);
        assert_eq!(elder.add(&mut test, &["t"]), [ErrorCode::ProducerFenced]);
        assert_eq!(elder.add_offsets(&mut test), ErrorCode::ProducerFenced);
        assert_eq!(elder.abort(&mut test), Err(ErrorCode::ProducerFenced));
        assert_eq!(elder.produce(&mut test, 12, "t", "x"), Err(ErrorCode::InvalidProducerEpoch));
        assert_eq!(elder.commit_offset_in(&mut test, 5, 1), ErrorCode::InvalidProducerEpoch);
        assert_eq!(test.init("a", Some((elder.id, elder.epoch))), Err(ErrorCode::ProducerFenced));
        assert_eq!(test.written("t"), "");
    }
}

#[test]
fn fenced_is_translated_for_old_versions() {
    let mut test = Test::with_topics();
    let elder = Producer::new(&mut test, "a", Protocol::One);
    Producer::new(&mut test, "a", Protocol::One);
    let (old, new) = (ErrorCode::InvalidProducerEpoch, ErrorCode::ProducerFenced);
    for (version, told) in [(0, old), (1, old), (2, new), (3, new)] {
        assert_eq!(elder.add_in(&mut test, version, &["t"]), [told]);
        assert_eq!(elder.ask_end_in(&mut test, version, false), Err(told));
    }
    let expected = Some((elder.id, elder.epoch));
    assert_eq!(test.init_in(3, "a", expected), Err(old));
    assert_eq!(test.init_in(4, "a", expected), Err(new));
}

#[test]
fn a_producer_that_goes_on_after_an_error_gets_the_next_epoch() {
    let mut test = Test::with_topics();
    let (id, epoch) = test.init("a", None).unwrap();
    assert_eq!(test.init("a", Some((id, epoch))), Ok((id, epoch + 1)));
    assert_eq!(test.init("a", Some((id, epoch))), Ok((id, epoch + 1)), "the answer was lost");
    assert_eq!(test.init("a", Some((id, epoch + 1))), Ok((id, epoch + 2)));
    assert_eq!(test.init("a", Some((id, epoch))), Err(ErrorCode::ProducerFenced));
    assert_eq!(test.init("a", Some((id + 9, 0))), Err(ErrorCode::ProducerFenced));
}

#[test]
fn who_is_known_to_nobody_gets_a_new_id_whatever_it_expects() {
    let mut test = Test::with_topics();
    assert_eq!(test.init("a", Some((99, 7))), Ok((0, 0)));
}

#[test]
fn half_an_identity_is_none() {
    let mut test = Test::with_topics();
    for half in [(5, -1), (-1, 5)] {
        assert_eq!(test.init("a", Some(half)), Err(ErrorCode::InvalidRequest));
    }
    assert_eq!(test.init("", None), Err(ErrorCode::InvalidRequest));
}

#[test]
fn init_on_ongoing_aborts_then_51() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut elder = Producer::new(&mut test, "a", protocol);
        elder.write(&mut test, "t", "x").unwrap();
        assert_eq!(test.init("a", None), Err(ErrorCode::ConcurrentTransactions));
        assert_eq!(test.state("a"), "CompleteAbort");
        assert_eq!(test.init("a", None), Ok((elder.id, elder.epoch + 2)));
        assert_eq!(elder.commit(&mut test), Err(ErrorCode::ProducerFenced));
        assert_eq!(elder.produce(&mut test, 12, "t", "y"), Err(ErrorCode::InvalidProducerEpoch));
        assert_eq!((&*test.written("t"), &*test.visible("t")), ("x", ""));
    }
}

#[test]
fn stale_init_is_recovery_not_a_loop() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    test.world.expire_transaction("a", test.now);
    // The epoch of the abort is the producer's next one, and nobody has been told of it.
    let expected = Some((producer.id, producer.epoch));
    let recovered = test.init("a", expected);
    assert_eq!(recovered, Ok((producer.id, producer.epoch + 1)));
    producer.become_producer(recovered.unwrap());
    producer.write(&mut test, "t", "y").unwrap();
    producer.commit(&mut test).unwrap();
    assert_eq!(test.visible("t"), "y");
}

#[test]
fn in_protocol_1_a_producer_that_was_timed_out_is_fenced() {
    let mut test = Test::with_topics();
    test.world.set_transaction_version(1);
    let mut producer = Producer::new(&mut test, "a", Protocol::One);
    producer.write(&mut test, "t", "x").unwrap();
    test.world.expire_transaction("a", test.now);
    let expected = Some((producer.id, producer.epoch));
    assert_eq!(test.init("a", expected), Err(ErrorCode::ProducerFenced));
    assert_eq!(test.init("a", None), Ok((producer.id, producer.epoch + 2)));
}

#[test]
fn after_the_last_epoch_comes_a_new_id() {
    let mut test = Test::with_topics();
    let (id, _) = test.init("a", None).unwrap();
    test.world.exhaust_producer_epoch("a");
    assert_eq!(test.init("a", None), Ok((id, i16::MAX - 1)));
    let (next, epoch) = test.init("a", Some((id, i16::MAX - 1))).unwrap();
    assert_eq!((next, epoch), (id + 1, 0));
    let repeated = test.init("a", Some((id, i16::MAX - 1)));
    assert_eq!(repeated, Ok((next, epoch)), "the answer was lost");
    assert_eq!(test.init("a", Some((id, i16::MAX - 2))), Err(ErrorCode::ProducerFenced));
}

#[test]
fn a_transaction_that_ends_with_the_last_epoch_brings_a_new_id() {
    for committed in [true, false] {
        let mut test = Test::with_topics();
        test.init("a", None).unwrap();
        test.world.exhaust_producer_epoch("a");
        let mut producer = Producer::new(&mut test, "a", Protocol::Two);
        assert_eq!(producer.epoch, i16::MAX - 1);
        producer.write(&mut test, "t", "x").unwrap();
        test.world.hold_markers("a");
        let next = producer.ask_end(&mut test, committed).unwrap();
        assert_eq!(next, (producer.id + 1, 0));
        let again = producer.ask_end(&mut test, committed);
        assert_eq!(again, Err(ErrorCode::ConcurrentTransactions));
        let mut after = producer.clone();
        after.become_producer(next);
        let too_early = after.write(&mut test, "t", "y");
        assert_eq!(too_early, Err(ErrorCode::ConcurrentTransactions));
        test.world.release_markers("a", test.now);
        assert_eq!(producer.ask_end(&mut test, committed), Ok(next), "the answer was lost");
        after.write(&mut test, "t", "y").unwrap();
        after.commit(&mut test).unwrap();
        assert_eq!(test.visible("t"), if committed { "xy" } else { "y" });
    }
}

#[test]
fn a_producer_whose_last_epoch_is_timed_out_can_be_replaced() {
    for (level, protocol) in [(1, Protocol::One), (2, Protocol::One), (2, Protocol::Two)] {
        let mut test = Test::with_topics();
        test.world.set_transaction_version(level);
        test.init("a", None).unwrap();
        test.world.exhaust_producer_epoch("a");
        let mut last = Producer::new(&mut test, "a", protocol);
        last.write(&mut test, "t", "x").unwrap();
        test.world.expire_transaction("a", test.now);
        let mut next = Producer::new(&mut test, "a", protocol);
        assert!(next.id > last.id && next.epoch <= 1, "{next:?}");
        assert!(last.commit(&mut test).is_err());
        next.write(&mut test, "t", "y").unwrap();
        next.commit(&mut test).unwrap();
        assert_eq!(test.visible("t"), "y");
    }
}

#[test]
fn a_timeout_must_be_possible() {
    let mut test = Test::with_topics();
    for (timeout, code) in [(0, 50), (-1, 50), (900_001, 50), (900_000, 0), (1, 0)] {
        let request = InitProducerIdRequest {
            transactional_id: Some("a".into()),
            transaction_timeout_ms: timeout,
            ..Default::default()
        };
        let response: InitProducerIdResponse = test.ask_coordinator("a", 5, request);
        assert_eq!(response.error_code, code, "{timeout}");
    }
}

#[test]
fn two_phase_commit_is_refused_and_not_misread() {
    for (enable2_pc, keep_prepared_txn, code) in [(true, false, 53), (false, true, 35)] {
        let request = InitProducerIdRequest {
            transactional_id: Some("a".into()),
            transaction_timeout_ms: 1000,
            enable2_pc,
            keep_prepared_txn,
            ..Default::default()
        };
        let response: InitProducerIdResponse = Test::with_topics().ask_coordinator("a", 6, request);
        assert_eq!(response.error_code, code);
    }
}
