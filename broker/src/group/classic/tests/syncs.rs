//! The sync phase.

use super::*;

/// Version 0, no topics, null user data.
const NOTHING: &[u8] = &[0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff];

#[test]
fn everyone_gets_their_own_assignment_once_the_leader_has_synced() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("b", &[]);
    assert_eq!(fixture.answers(), []);
    fixture.sync("a", &[("a", "mine"), ("b", "yours"), ("x", "nobody's")]);
    assert_answers(&mut fixture, &["4 synced mine", "3 synced yours"]);
    assert_eq!(fixture.group.state_name(), "Stable");
}

#[test]
fn a_follower_that_syncs_late_gets_its_assignment_at_once() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("a", &[("b", "yours")]);
    fixture.answers();
    fixture.sync("b", &[]);
    assert_answers(&mut fixture, &["4 synced yours"]);
}

#[test]
fn a_followers_assignments_are_ignored() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("b", &[("b", "everything")]);
    assert_eq!(fixture.group.state_name(), "CompletingRebalance");
    fixture.sync("a", &[("b", "yours")]);
    let answers = shown(&fixture.answers());
    assert!(answers.contains(&"3 synced yours".to_owned()), "{answers:?}");
}

#[test]
fn sync_gives_every_member_valid_bytes() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    let wait = fixture.sync("b", &[]);
    fixture.sync("a", &[("a", "all")]);
    let answers = fixture.answers();
    let answer = answers.iter().find(|(to, _)| *to == wait);
    let Some((_, Answer::Sync(Ok(synced)))) = answer else { panic!("{answers:?}") };
    assert_eq!(synced.assignment, NOTHING);
    assert_eq!(synced.protocol_type.as_deref(), Some("consumer"));
    assert_eq!(synced.protocol_name.as_deref(), Some("range"));
}

#[test]
fn a_sync_that_takes_the_group_for_another_kind_is_refused() {
    check_protocol(Some("consumer"), Some("range"), None);
    check_protocol(None, None, None);
    check_protocol(Some("connect"), Some("range"), Some("INCONSISTENT_GROUP_PROTOCOL"));
    check_protocol(Some("consumer"), Some("sticky"), Some("INCONSISTENT_GROUP_PROTOCOL"));
}

#[track_caller]
fn check_protocol(kind: Option<&str>, name: Option<&str>, error: Option<&str>) {
    let mut fixture = Fixture::completing(&["a"]);
    let attempt = SyncAttempt {
        claim: claim("a"),
        protocol_type: kind.map(ByteString::from),
        protocol_name: name.map(ByteString::from),
        assignments: BTreeMap::new(),
    };
    fixture.group.handle_sync(attempt, WaitId(9), fixture.now);
    let (_, Answer::Sync(outcome)) = fixture.answer() else { panic!("no sync") };
    assert_eq!(outcome.err().map(ErrorCode::name), error);
}

#[test]
fn whoever_waits_for_an_assignment_rejoins_when_somebody_comes() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("b", &[]);
    fixture.join(attempt("c"));
    assert_answers(&mut fixture, &["3 REBALANCE_IN_PROGRESS"]);
    fixture.join(again("b"));
    fixture.join(again("a"));
    assert_answers(&mut fixture, &["6 joined 2", "5 joined 2", "4 joined 2"]);
}

#[test]
fn a_rejoin_overtakes_the_sync_of_the_same_member() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("b", &[]);
    fixture.join(JoinAttempt { protocols: vec![protocol("range", &["u"])], ..again("b") });
    assert_answers(&mut fixture, &["3 REBALANCE_IN_PROGRESS"]);
}

#[test]
fn a_sync_overtakes_the_one_that_the_same_member_sent_before() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("b", &[]);
    fixture.sync("b", &[]);
    assert_answers(&mut fixture, &["3 REBALANCE_IN_PROGRESS"]);
    fixture.sync("a", &[("a", "mine"), ("b", "yours")]);
    assert_answers(&mut fixture, &["5 synced mine", "4 synced yours"]);
}

#[test]
fn pending_sync_times_out() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("b", &[]);
    for _ in 0..REBALANCE / 5 {
        let _ = fixture.heartbeat("a");
        fixture.pass(5);
    }
    assert_eq!(fixture.members(), "b");
    assert_answers(&mut fixture, &["3 REBALANCE_IN_PROGRESS"]);
    fixture.join(again("b"));
    assert_answers(&mut fixture, &["4 joined 2"]);
}

#[test]
fn a_follower_that_never_syncs_leaves_a_stable_group() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("a", &[]);
    for _ in 0..REBALANCE / 5 {
        fixture.heartbeat("a").unwrap();
        fixture.heartbeat("b").unwrap();
        fixture.pass(5);
    }
    assert_eq!(
        (fixture.members().as_str(), fixture.group.state_name()),
        ("a", "PreparingRebalance")
    );
}

#[test]
fn a_group_in_which_everybody_synced_has_no_sync_deadline() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    for _ in 0..3 * REBALANCE / 5 {
        fixture.heartbeat("a").unwrap();
        fixture.heartbeat("b").unwrap();
        fixture.pass(5);
    }
    assert_eq!(fixture.members(), "a b");
}

#[test]
fn a_member_may_vanish_in_join_or_sync() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.pass(SESSION);
    assert_eq!((fixture.members().as_str(), fixture.group.state_name()), ("", "Empty"));
    let wait = fixture.join(attempt("c"));
    fixture.pass(INITIAL);
    assert_eq!(fixture.joined(wait).leader, "c");
}

#[test]
fn whoever_is_removed_while_it_syncs_is_told() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("b", &[]);
    fixture.leave("b").unwrap();
    assert_answers(&mut fixture, &["3 UNKNOWN_MEMBER_ID"]);
}
