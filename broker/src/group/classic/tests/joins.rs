//! The join phase.

use super::*;

#[test]
fn a_member_that_is_alone_leads() {
    let mut fixture = Fixture::new();
    let wait = fixture.join(attempt("a"));
    fixture.pass(0);
    let joined = fixture.joined(wait);
    let everyone: Vec<_> = joined.members.iter().map(|row| &*row.member_id).collect();
    assert_eq!((joined.generation, &*joined.leader, &*joined.member_id), (1, "a", "a"));
    assert_eq!(everyone, ["a"]);
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(joined.protocol_type.as_deref(), Some("consumer"));
    assert!(!joined.skip_assignment);
}

#[test]
fn only_the_leader_learns_who_is_there() {
    let mut fixture = Fixture::with(|config| config.initial_rebalance_delay = seconds(1));
    fixture.join(attempt("a"));
    fixture.join(attempt("b"));
    fixture.pass(INITIAL);
    let counts = fixture.answers().into_iter().map(|(_, answer)| match answer {
        Answer::Join(Ok(joined)) => joined.members.len(),
        other => panic!("{other:?}"),
    });
    assert_eq!(counts.collect::<Vec<_>>(), [2, 0]);
}

#[test]
fn a_new_group_waits_for_newcomers_as_long_as_they_come() {
    let mut fixture = Fixture::with(|config| config.initial_rebalance_delay = seconds(3));
    fixture.join(attempt("a"));
    fixture.pass(2);
    fixture.join(attempt("b"));
    fixture.pass(3);
    assert_eq!(fixture.group.state_name(), "PreparingRebalance");
    fixture.pass(1);
    assert_answers(&mut fixture, &["1 joined 1", "2 joined 1"]);
}

#[test]
fn a_new_group_waits_no_longer_than_a_rebalance_may_take() {
    let mut fixture = Fixture::with(|config| config.initial_rebalance_delay = seconds(3));
    let timeouts = Timeouts { session: seconds(SESSION), rebalance: seconds(7) };
    for id in ["a", "b", "c"] {
        fixture.join(JoinAttempt { timeouts, ..attempt(id) });
        fixture.pass(2);
    }
    assert_eq!(fixture.group.state_name(), "PreparingRebalance");
    fixture.join(JoinAttempt { timeouts, ..attempt("d") });
    fixture.pass(1);
    assert_answers(&mut fixture, &["1 joined 1", "2 joined 1", "3 joined 1", "4 joined 1"]);
}

#[test]
fn generation_moves_only_with_a_completed_join() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    fixture.join(again("b"));
    fixture.join(again("x"));
    fixture.heartbeat("a").unwrap();
    fixture.sync("a", &[]);
    assert_eq!(fixture.group.generation, 1);
    fixture.join(attempt("c"));
    fixture.join(again("a"));
    assert_eq!(fixture.group.generation, 1);
    fixture.join(again("b"));
    assert_eq!(fixture.group.generation, 2);
}

#[test]
fn the_last_one_to_leave_ends_the_generation() {
    let mut fixture = Fixture::stable(&["a"]);
    fixture.leave("a").unwrap();
    assert_eq!((fixture.group.state_name(), fixture.group.generation), ("Empty", 2));
    assert_eq!(fixture.group.protocol_type().unwrap(), "consumer");
}

#[test]
fn stragglers_leave() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    fixture.join(attempt("c"));
    fixture.join(again("b"));
    for _ in 0..REBALANCE / 5 {
        assert_eq!(fixture.heartbeat("a"), Err(ErrorCode::RebalanceInProgress));
        fixture.pass(5);
    }
    assert_eq!(fixture.members(), "b c");
    assert_answers(&mut fixture, &["6 joined 2", "5 joined 2"]);
    assert_eq!(fixture.heartbeat("a"), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn a_leader_that_does_not_rejoin_is_succeeded() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    let joins = [fixture.join(attempt("c")), fixture.join(again("b"))];
    fixture.leave("a").unwrap();
    let answers = fixture.answers();
    for (_, answer) in answers.iter().filter(|(wait, _)| joins.contains(wait)) {
        let Answer::Join(Ok(joined)) = answer else { panic!("{answer:?}") };
        assert_eq!(joined.leader, "b");
    }
    assert_eq!(answers.len(), 2);
}

#[test]
fn protocol_is_voted() {
    check_vote(&["range sticky", "sticky range", "sticky range"], "sticky");
    check_vote(&["range sticky", "range sticky", "sticky range"], "range");
    check_vote(&["only-mine range", "only-yours range"], "range");
}

#[test]
fn the_leader_breaks_a_tie() {
    check_vote(&["sticky range", "range sticky"], "sticky");
    check_vote(&["range sticky", "sticky range"], "range");
}

#[track_caller]
fn check_vote(preferences: &[&str], expected: &str) {
    let mut fixture = Fixture::with(|config| config.initial_rebalance_delay = seconds(1));
    for (id, names) in ["a", "b", "c"].iter().zip(preferences) {
        let protocols = protocols(&names.split(' ').collect::<Vec<_>>());
        fixture.join(JoinAttempt { protocols, ..attempt(id) });
    }
    fixture.pass(INITIAL);
    assert_eq!(fixture.group.protocol_name.as_deref(), Some(expected));
}

#[test]
fn a_member_comes_back_with_the_id_it_was_given() {
    let mut fixture = Fixture::new();
    let newcomer = JoinAttempt { requires_member_id: true, ..attempt("a") };
    let wait = fixture.join(newcomer.clone());
    assert_eq!(fixture.refused(wait), (ErrorCode::MemberIdRequired, "a".into()));
    assert_eq!(fixture.group.state_name(), "Empty");
    let wait = fixture.join(JoinAttempt { member_id: Some("a".into()), ..newcomer });
    fixture.pass(0);
    assert_eq!(fixture.joined(wait).generation, 1);
}

#[test]
fn an_id_that_was_given_holds_up_the_others() {
    let mut fixture = Fixture::stable(&["a"]);
    let newcomer = JoinAttempt { requires_member_id: true, ..attempt("b") };
    fixture.join(newcomer.clone());
    fixture.answers();
    fixture.join(again("a"));
    assert_eq!(fixture.answers(), []);
    fixture.join(JoinAttempt { member_id: Some("b".into()), ..newcomer });
    assert_answers(&mut fixture, &["4 joined 2", "5 joined 2"]);
}

#[test]
fn an_id_given_to_a_dynamic_member_is_not_for_a_static_one() {
    let mut fixture = Fixture::new();
    fixture.join(JoinAttempt { requires_member_id: true, ..attempt("a") });
    fixture.answers();
    let wait = fixture.join(JoinAttempt { member_id: Some("a".into()), ..instance("i", "a") });
    assert_eq!(fixture.refused(wait), (ErrorCode::UnknownServerError, "a".into()));
}

#[test]
fn a_full_group_takes_nobody_else() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    fixture.group.config.max_size = 2;
    let wait = fixture.join(attempt("c"));
    assert_eq!(fixture.refused(wait), (ErrorCode::GroupMaxSizeReached, "".into()));
    fixture.join(again("a"));
    fixture.join(again("b"));
    assert_eq!(shown(&fixture.answers()).len(), 2);
}

#[test]
fn a_group_that_is_too_large_loses_those_who_rejoin_last() {
    let mut fixture = Fixture::stable(&["a", "b", "c"]);
    fixture.group.config.max_size = 2;
    fixture.join(again("a"));
    fixture.join(again("b"));
    let wait = fixture.join(again("c"));
    assert_eq!(fixture.refused(wait), (ErrorCode::GroupMaxSizeReached, "".into()));
    assert_eq!(fixture.members(), "a b");
}

#[test]
fn whoever_is_removed_while_it_waits_is_told() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    let wait = fixture.join(again("a"));
    fixture.leave("a").unwrap();
    assert_eq!(fixture.refused(wait), (ErrorCode::UnknownMemberId, "".into()));
}

#[test]
fn a_join_overtakes_the_one_that_the_same_member_sent_before() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    let overtaken = fixture.join(again("a"));
    fixture.join(again("a"));
    assert_eq!(fixture.refused(overtaken), (ErrorCode::RebalanceInProgress, "a".into()));
    fixture.join(again("b"));
    assert_answers(&mut fixture, &["6 joined 2", "7 joined 2"]);
}

#[test]
fn every_member_of_a_batch_leaves_with_an_outcome_of_its_own() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    fixture.join(JoinAttempt { requires_member_id: true, ..attempt("p") });
    let leaving = ["a", "x", "p"].map(|id| Leaving { member_id: id.into(), instance_id: None });
    let outcomes = fixture.group.handle_leave(&leaving, fixture.now).unwrap();
    assert_eq!(outcomes, [Ok(()), Err(ErrorCode::UnknownMemberId), Ok(())]);
    assert_eq!(fixture.members(), "b");
    assert_eq!(fixture.group.state_name(), "PreparingRebalance");
}

#[test]
fn nobody_rejoins_because_a_stranger_left() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    assert_eq!(fixture.leave("x"), Err(ErrorCode::UnknownMemberId));
    assert_eq!(fixture.group.state_name(), "Stable");
}

#[test]
fn the_topics_of_all_members_are_subscribed() {
    let mut fixture = Fixture::with(|config| config.initial_rebalance_delay = seconds(1));
    for (id, topic) in [("a", "t"), ("b", "u")] {
        let protocols = vec![protocol("range", &[topic])];
        fixture.join(JoinAttempt { protocols, ..attempt(id) });
    }
    fixture.pass(INITIAL);
    let subscribed = ["t", "u", "v"].map(|topic| fixture.group.is_subscribed_to(topic));
    assert_eq!(subscribed, [true, true, false]);
}

#[test]
fn consumers_that_nobody_can_read_subscribe_to_everything() {
    let mut fixture = Fixture::new();
    let unreadable = Protocol { name: "range".into(), metadata: bytes("?") };
    fixture.join(JoinAttempt { protocols: vec![unreadable], ..attempt("a") });
    fixture.pass(0);
    assert!(fixture.group.is_subscribed_to("t"));
}

#[test]
fn other_groups_subscribe_to_nothing() {
    let mut fixture = Fixture::new();
    fixture.join(JoinAttempt { protocol_type: "connect".into(), ..attempt("a") });
    fixture.pass(0);
    assert!(!fixture.group.is_subscribed_to("t"));
}
