//! Sessions, and what becomes of a group when its coordinator changes.

use super::*;

#[test]
fn a_silent_member_is_out_after_its_session() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    fixture.pass(SESSION - 1);
    fixture.heartbeat("a").unwrap();
    assert_eq!(fixture.members(), "a b");
    fixture.pass(1);
    assert_eq!(fixture.members(), "a");
    assert_eq!(fixture.heartbeat("a"), Err(ErrorCode::RebalanceInProgress));
}

#[test]
fn heartbeats_commits_and_nothing_else_keep_a_member() {
    let mut fixture = Fixture::stable(&["a"]);
    let now = fixture.now;
    let deadline = fixture.group.next_timeout();
    assert_eq!(deadline, Some(now + seconds(SESSION)));
    fixture.pass(4);
    fixture.join(again("x"));
    fixture.sync("a", &[]);
    assert_eq!(fixture.group.next_timeout(), deadline);
    fixture.group.handle_commit(&claim("a"), CommitKind::Plain, fixture.now).unwrap();
    assert_eq!(fixture.group.next_timeout(), Some(now + seconds(4 + SESSION)));
    fixture.pass(4);
    fixture.heartbeat("a").unwrap();
    assert_eq!(fixture.group.next_timeout(), Some(now + seconds(8 + SESSION)));
}

#[test]
fn a_member_that_waits_for_others_does_not_expire() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    fixture.join(again("a"));
    for _ in 0..SESSION {
        let _ = fixture.heartbeat("b");
        fixture.pass(5);
    }
    assert_eq!(fixture.members(), "a b");
    fixture.join(again("b"));
    fixture.answers();
    fixture.pass(SESSION - 1);
    assert_eq!(fixture.members(), "a b");
    fixture.pass(1);
    assert_eq!(fixture.members(), "");
}

#[test]
fn a_new_member_that_waits_is_given_up_after_five_minutes() {
    let mut fixture = Fixture::stable(&["a"]);
    let timeouts = Timeouts { session: seconds(SESSION), rebalance: seconds(3600) };
    fixture.join(JoinAttempt { timeouts, ..attempt("b") });
    for _ in 0..299 {
        let _ = fixture.heartbeat("a");
        fixture.pass(1);
    }
    assert_eq!((fixture.members().as_str(), fixture.answers()), ("a b", Vec::new()));
    let _ = fixture.heartbeat("a");
    fixture.pass(1);
    assert_answers(&mut fixture, &["3 UNKNOWN_MEMBER_ID"]);
    assert_eq!(fixture.members(), "a");
}

#[test]
fn an_id_that_nobody_came_back_with_is_forgotten() {
    let mut fixture = Fixture::stable(&["a"]);
    fixture.join(JoinAttempt { requires_member_id: true, ..attempt("b") });
    fixture.answers();
    fixture.join(again("a"));
    fixture.pass(SESSION);
    assert_answers(&mut fixture, &["4 joined 2"]);
    let wait = fixture.join(again("b"));
    assert_eq!(fixture.refused(wait), (ErrorCode::UnknownMemberId, "b".into()));
}

#[test]
fn a_group_without_members_has_no_deadline() {
    let mut fixture = Fixture::stable(&["a"]);
    fixture.pass(SESSION);
    assert_eq!((fixture.group.state_name(), fixture.group.next_timeout()), ("Empty", None));
}

#[test]
fn a_rebalance_timeout_of_nothing_ends() {
    let mut fixture = Fixture::new();
    let timeouts = Timeouts { session: seconds(1), rebalance: Duration::ZERO };
    fixture.join(JoinAttempt { timeouts, ..instance("i", "a") });
    fixture.pass(0);
    fixture.sync("a", &[]);
    fixture.join(attempt("b"));
    fixture.pass(2);
    assert_eq!(fixture.members(), "b");
}

#[test]
fn a_new_coordinator_knows_the_last_assignment_and_nothing_since() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    fixture.join(attempt("c"));
    fixture.join(again("b"));
    fixture.join(JoinAttempt { requires_member_id: true, ..attempt("d") });
    fixture.answers();
    fixture.group.handle_coordinator_change(fixture.now);
    assert_answers(&mut fixture, &["6 NOT_COORDINATOR", "5 NOT_COORDINATOR"]);
    assert_eq!((fixture.members().as_str(), fixture.group.state_name()), ("a b", "Stable"));
    assert_eq!(fixture.heartbeat("a"), Ok(()));
    let wait = fixture.join(again("d"));
    assert_eq!(fixture.refused(wait).0, ErrorCode::UnknownMemberId);
}

#[test]
fn a_new_coordinator_starts_every_session_anew() {
    let mut fixture = Fixture::stable(&["a"]);
    fixture.pass(SESSION - 1);
    fixture.group.handle_coordinator_change(fixture.now);
    fixture.pass(SESSION - 1);
    assert_eq!(fixture.members(), "a");
    fixture.pass(1);
    assert_eq!(fixture.members(), "");
}

#[test]
fn a_generation_that_was_never_assigned_is_lost_with_its_coordinator() {
    let mut fixture = Fixture::completing(&["a", "b"]);
    fixture.sync("b", &[]);
    fixture.group.handle_coordinator_change(fixture.now);
    assert_answers(&mut fixture, &["3 NOT_COORDINATOR"]);
    assert_eq!((fixture.group.state_name(), fixture.group.generation), ("Empty", 0));
}

#[test]
fn a_new_coordinator_with_a_smaller_maximum_makes_everyone_rejoin() {
    let mut fixture = Fixture::stable(&["a", "b"]);
    fixture.group.config.max_size = 1;
    fixture.group.handle_coordinator_change(fixture.now);
    assert_eq!(fixture.group.state_name(), "PreparingRebalance");
}

#[test]
fn offsets_are_of_no_use_once_the_group_is_empty() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.group.offset_expiry(), OffsetExpiry::SinceCommit);
    fixture.join(attempt("a"));
    assert_eq!(fixture.group.offset_expiry(), OffsetExpiry::Never);
    fixture.pass(0);
    fixture.sync("a", &[]);
    assert_eq!(fixture.group.offset_expiry(), OffsetExpiry::SinceCommit);
    fixture.pass(SESSION);
    assert_eq!(fixture.group.offset_expiry(), OffsetExpiry::Since(seconds(SESSION)));
}
