//! Coordinators that die or are moved, in each state of a transaction.

use ottla_broker::fault::{Act, Rule};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::*;

/// A transaction over `t`, `u` and the offsets of `g`, in one of the states.
fn arrive(test: &mut Test, protocol: Protocol, state: &str) -> Producer {
    let mut producer = Producer::new(test, "a", protocol);
    if state == "Empty" {
        return producer;
    }
    for topic in ["t", "u"] {
        producer.write(test, topic, "x").unwrap();
    }
    assert_eq!(producer.commit_offset(test, 5), ErrorCode::None);
    if state == "Ongoing" {
        return producer;
    }
    if state.starts_with("Prepare") {
        test.world.hold_markers("a");
    }
    producer.end(test, state.ends_with("Commit")).unwrap();
    producer
}

const STATES: [&str; 6] =
    ["Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort"];

/// What is visible at the end, whatever the coordinator went through.
#[track_caller]
fn check_outcome(test: &mut Test, committed: bool) {
    let expected = if committed { ("x", "x", Ok(5)) } else { ("", "", Ok(-1)) };
    let (t, u) = (test.visible("t"), test.visible("u"));
    assert_eq!((&*t, &*u, test.committed(true)), expected);
}

#[test]
fn a_coordinator_may_die_in_every_state() {
    for protocol in BOTH {
        for state in STATES {
            let mut test = Test::with_topics();
            let mut producer = arrive(&mut test, protocol, state);
            assert_eq!(test.state("a"), state);
            let dead = test.coordinator("a");
            test.world.set_alive(NodeId(dead), false, test.now);
            assert_eq!(test.state("a"), state, "{protocol:?}");
            assert_ne!(test.coordinator("a"), dead);
            test.world.release_markers("a", test.now);
            if state == "Ongoing" {
                producer.commit(&mut test).unwrap();
            }
            check_outcome(&mut test, state.ends_with("Commit") || state == "Ongoing");
            producer.write(&mut test, "t", "y").unwrap();
            producer.commit(&mut test).unwrap();
            assert!(test.visible("t").ends_with('y'), "{protocol:?} after {state}");
            test.world.set_alive(NodeId(dead), true, test.now);
            assert!(test.visible("t").ends_with('y'));
        }
    }
}

#[test]
fn a_coordinator_may_be_moved_in_every_state() {
    for protocol in BOTH {
        for state in STATES {
            let mut test = Test::with_topics();
            let mut producer = arrive(&mut test, protocol, state);
            let before = test.coordinator("a");
            let to = 1 + before % 3;
            test.world.move_transaction_coordinator("a", NodeId(to), test.now).unwrap();
            assert_eq!((test.coordinator("a"), test.state("a")), (to, state));
            assert_eq!(test.world.transaction("a").unwrap().coordinator_epoch, 1);
            test.world.release_markers("a", test.now);
            if state == "Ongoing" {
                producer.abort(&mut test).unwrap();
            }
            check_outcome(&mut test, state.ends_with("Commit"));
            let fresh = test.init("a", None);
            assert!(fresh.is_ok(), "{protocol:?} after {state}: {fresh:?}");
        }
    }
}

#[test]
fn an_end_whose_answer_was_lost_is_repeated_at_the_next_coordinator() {
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let producer = arrive(&mut test, protocol, "Ongoing");
        let first = producer.ask_end(&mut test, true);
        let dead = test.coordinator("a");
        test.world.set_alive(NodeId(dead), false, test.now);
        assert_eq!(producer.ask_end(&mut test, true), first);
        check_outcome(&mut test, true);
    }
}

#[test]
fn a_transaction_times_out_at_its_next_coordinator() {
    let mut test = Test::with_topics();
    arrive(&mut test, Protocol::Two, "Ongoing");
    test.pass(Duration::from_secs(30));
    let dead = test.coordinator("a");
    test.world.set_alive(NodeId(dead), false, test.now);
    test.pass(Duration::from_secs(30));
    assert_eq!(test.state("a"), "CompleteAbort");
    check_outcome(&mut test, false);
}

#[test]
fn while_every_broker_is_down_a_decision_waits() {
    for committed in [true, false] {
        let mut test = Test::with_topics();
        let state = if committed { "PrepareCommit" } else { "PrepareAbort" };
        arrive(&mut test, Protocol::Two, state);
        for node in 1..=3 {
            test.world.set_alive(NodeId(node), false, test.now);
        }
        test.world.release_markers("a", test.now);
        test.pass(Duration::from_secs(10));
        assert_eq!(test.state("a"), state);
        for node in 1..=3 {
            test.world.set_alive(NodeId(node), true, test.now);
        }
        check_outcome(&mut test, committed);
    }
}

#[test]
fn who_asks_is_sent_to_where_the_coordinator_was_moved() {
    let mut test = Test::with_topics();
    for (key_type, name) in [(0, "g"), (1, "a")] {
        for to in 1..=3 {
            let (world, now) = (&mut test.world, test.now);
            if key_type == 0 {
                world.move_group_coordinator(name, NodeId(to), now).unwrap();
            } else {
                world.move_transaction_coordinator(name, NodeId(to), now).unwrap();
            }
            let request =
                FindCoordinatorRequest { key: name.into(), key_type, ..Default::default() };
            let found: FindCoordinatorResponse = test.ask(3, request);
            assert_eq!((found.error_code, found.node_id), (0, to));
        }
    }
    test.world.set_alive(NodeId(3), false, test.now);
    assert_ne!(test.coordinator("a"), 3);
    assert_ne!(test.group_coordinator(), 3);
    let now = test.now;
    let refused = test.world.move_transaction_coordinator("a", NodeId(3), now);
    assert_eq!(refused, Err(ErrorCode::BrokerNotAvailable));
}

#[test]
fn only_the_coordinator_answers() {
    let mut test = Test::with_topics();
    let own = test.coordinator("a");
    for node in 1..=3 {
        let request = InitProducerIdRequest {
            transactional_id: Some("a".into()),
            transaction_timeout_ms: 1000,
            ..Default::default()
        };
        let response: InitProducerIdResponse = reply(test.send(node, 5, request));
        let expected = if node == own { ErrorCode::None } else { ErrorCode::NotCoordinator };
        assert_eq!(error(response.error_code), expected, "node {node}");
        let request = EndTxnRequest { transactional_id: "a".into(), ..Default::default() };
        let response: EndTxnResponse = reply(test.send(node, 5, request));
        assert_eq!(error(response.error_code) == ErrorCode::NotCoordinator, node != own);
    }
}

#[test]
fn an_injected_error_is_told_where_a_real_one_would_be() {
    let loading = ErrorCode::CoordinatorLoadInProgress;
    for protocol in BOTH {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", protocol);
        for api in [
            ApiKey::InitProducerId,
            ApiKey::AddPartitionsToTxn,
            ApiKey::AddOffsetsToTxn,
            ApiKey::TxnOffsetCommit,
            ApiKey::EndTxn,
        ] {
            test.world.add_rule(Rule::new(api, Act::Respond(loading)).once());
        }
        assert_eq!(test.init("a", None), Err(loading));
        assert_eq!(producer.add(&mut test, &["t"]), [loading]);
        assert_eq!(producer.add_offsets(&mut test), loading);
        assert_eq!(producer.commit_offset_in(&mut test, 5, 5), loading);
        let rule = Rule::new(ApiKey::TxnOffsetCommit, Act::Respond(loading));
        test.world.add_rule(rule.once());
        let unknown = ErrorCode::CoordinatorNotAvailable;
        assert_eq!(producer.commit_offset_in(&mut test, 1, 5), unknown, "it knows no better");
        producer.write(&mut test, "t", "x").unwrap();
        assert_eq!(producer.commit_offset(&mut test, 5), ErrorCode::None);
        assert_eq!(producer.commit(&mut test), Err(loading));
        producer.commit(&mut test).unwrap();
        assert_eq!((&*test.visible("t"), test.committed(true)), ("x", Ok(5)));
    }
}

#[test]
fn an_injected_error_for_one_partition_keeps_all_out() {
    let mut test = Test::with_topics();
    let producer = Producer::new(&mut test, "a", Protocol::One);
    let denied = ErrorCode::TopicAuthorizationFailed;
    let rule = Rule::new(ApiKey::AddPartitionsToTxn, Act::Respond(denied)).partition("u", 0);
    test.world.add_rule(rule.once());
    let not = ErrorCode::OperationNotAttempted;
    assert_eq!(producer.add(&mut test, &["t", "u"]), [not, denied]);
    assert_eq!(producer.add(&mut test, &["t", "u"]), [ErrorCode::None; 2]);
}
