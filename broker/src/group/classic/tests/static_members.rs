//! Static members (KIP-345).

use super::*;

/// A stable group of the static members `i` and `j` with the ids `a` and `b`; `a` leads.
fn stable() -> Fixture {
    let mut fixture = Fixture::with(|config| config.initial_rebalance_delay = seconds(1));
    fixture.join(instance("i", "a"));
    fixture.join(instance("j", "b"));
    fixture.pass(INITIAL);
    fixture.sync("b", &[]);
    fixture.sync("a", &[("a", "mine"), ("b", "yours")]);
    fixture.answers();
    fixture
}

#[test]
fn a_static_member_needs_no_id() {
    let mut fixture = Fixture::new();
    let wait = fixture.join(JoinAttempt { requires_member_id: true, ..instance("i", "a") });
    fixture.pass(0);
    assert_eq!(fixture.joined(wait).members[0].group_instance_id.as_deref(), Some("i"));
}

#[test]
fn a_static_member_that_comes_back_disturbs_nobody() {
    let mut fixture = stable();
    let wait = fixture.join(instance("j", "b2"));
    let joined = fixture.joined(wait);
    assert_eq!((joined.generation, &*joined.member_id, &*joined.leader), (1, "b2", "a"));
    assert_eq!((fixture.members().as_str(), fixture.group.state_name()), ("a b2", "Stable"));
    fixture.sync("b2", &[]);
    assert_answers(&mut fixture, &["6 synced yours"]);
}

#[test]
fn a_leader_that_comes_back_is_told_to_assign_nothing() {
    let mut fixture = stable();
    let wait = fixture.join(JoinAttempt { can_skip_assignment: true, ..instance("i", "a2") });
    let joined = fixture.joined(wait);
    assert_eq!((&*joined.leader, joined.skip_assignment, joined.members.len()), ("a2", true, 2));
}

#[test]
fn a_leader_of_an_old_version_is_told_that_its_old_id_leads() {
    let mut fixture = stable();
    let wait = fixture.join(instance("i", "a2"));
    let joined = fixture.joined(wait);
    assert_eq!((&*joined.leader, joined.skip_assignment, joined.members.len()), ("a", false, 0));
    assert!(fixture.group.roster.is_leader("a2"));
}

#[test]
fn a_follower_that_comes_back_is_not_asked_to_skip_anything() {
    let mut fixture = stable();
    let wait = fixture.join(JoinAttempt { can_skip_assignment: true, ..instance("j", "b2") });
    let joined = fixture.joined(wait);
    assert_eq!((&*joined.leader, joined.skip_assignment, joined.members.len()), ("a", false, 0));
}

#[test]
fn a_static_member_that_changes_the_vote_makes_everyone_rejoin() {
    let mut fixture = Fixture::new();
    let both = protocols(&["range", "sticky"]);
    fixture.join(JoinAttempt { protocols: both, ..instance("i", "a") });
    fixture.pass(0);
    fixture.sync("a", &[]);
    fixture.answers();
    let other = protocols(&["sticky"]);
    let wait = fixture.join(JoinAttempt { protocols: other, ..instance("i", "a2") });
    let joined = fixture.joined(wait);
    assert_eq!((joined.generation, joined.protocol_name.as_deref()), (2, Some("sticky")));
}

#[test]
fn the_old_id_is_fenced_everywhere() {
    let mut fixture = stable();
    fixture.join(instance("j", "b2"));
    fixture.answers();
    let old = Claim { instance_id: Some("j".into()), ..claim("b") };
    let now = fixture.now;
    let fenced = Err(ErrorCode::FencedInstanceId);
    assert_eq!(fixture.group.handle_heartbeat(&old, now), fenced);
    assert_eq!(fixture.group.handle_commit(&old, CommitKind::Plain, now), fenced);
    assert_eq!(fixture.group.handle_commit(&old, CommitKind::Transactional, now), fenced);
    let leaving = Leaving { member_id: "b".into(), instance_id: Some("j".into()) };
    assert_eq!(fixture.group.handle_leave(&[leaving], now).unwrap(), [fenced]);
    let wait = fixture.sync_as(old, &[]);
    assert_eq!(fixture.answer(), (wait, Answer::Sync(fenced.map(|()| unreachable!()))));
    let wait = fixture.join(JoinAttempt { member_id: Some("b".into()), ..instance("j", "_") });
    assert_eq!(fixture.refused(wait), (ErrorCode::FencedInstanceId, "b".into()));
}

#[test]
fn an_instance_that_never_joined_is_unknown() {
    let mut fixture = stable();
    let stranger = Claim { instance_id: Some("k".into()), ..claim("a") };
    let now = fixture.now;
    assert_eq!(fixture.group.handle_heartbeat(&stranger, now), Err(ErrorCode::UnknownMemberId));
}

#[test]
fn the_duplicate_that_waits_is_fenced_at_once() {
    let mut fixture = stable();
    fixture.join(JoinAttempt { member_id: Some("a".into()), ..instance("i", "_") });
    fixture.join(instance("i", "a2"));
    assert_answers(&mut fixture, &["5 FENCED_INSTANCE_ID"]);
    fixture.join(JoinAttempt { member_id: Some("b".into()), ..instance("j", "_") });
    assert_answers(&mut fixture, &["6 joined 2", "7 joined 2"]);
}

#[test]
fn the_duplicate_that_syncs_is_fenced_at_once() {
    let mut fixture = Fixture::with(|config| config.initial_rebalance_delay = seconds(1));
    fixture.join(instance("i", "a"));
    fixture.join(instance("j", "b"));
    fixture.pass(INITIAL);
    fixture.answers();
    fixture.sync("b", &[]);
    fixture.join(instance("j", "b2"));
    assert_answers(&mut fixture, &["3 FENCED_INSTANCE_ID"]);
    // The leader may be assigning to the old id.
    assert_eq!(fixture.group.state_name(), "PreparingRebalance");
}

#[test]
fn a_static_member_is_not_a_straggler() {
    let mut fixture = stable();
    fixture.join(attempt("c"));
    fixture.join(JoinAttempt { member_id: Some("b".into()), ..instance("j", "_") });
    for _ in 0..REBALANCE / 5 {
        let _ = fixture.heartbeat("a");
        fixture.pass(5);
    }
    assert_eq!(fixture.members(), "a b c");
    assert_answers(&mut fixture, &["6 joined 2", "5 joined 2"]);
    assert!(!fixture.group.roster.is_leader("a"));
}

#[test]
fn a_static_member_is_gone_after_its_session() {
    let mut fixture = stable();
    fixture.pass(SESSION);
    assert_eq!((fixture.members().as_str(), fixture.group.state_name()), ("", "Empty"));
    assert_eq!(fixture.group.roster.static_member_id("i"), None);
}

#[test]
fn a_join_phase_without_anybody_goes_on() {
    let mut fixture = stable();
    fixture.join(attempt("c"));
    fixture.leave("c").unwrap();
    fixture.answers();
    for _ in 0..2 * REBALANCE / 5 {
        let _ = (fixture.heartbeat("a"), fixture.heartbeat("b"));
        fixture.pass(5);
    }
    assert_eq!((fixture.members().as_str(), fixture.group.generation), ("a b", 1));
    assert_eq!(fixture.group.state_name(), "PreparingRebalance");
}

#[test]
fn an_administrator_removes_a_static_member_by_its_instance() {
    let mut fixture = stable();
    let leaving = ["j", "k"]
        .map(|instance| Leaving { member_id: "".into(), instance_id: Some(instance.into()) });
    let outcomes = fixture.group.handle_leave(&leaving, fixture.now).unwrap();
    assert_eq!(outcomes, [Ok(()), Err(ErrorCode::UnknownMemberId)]);
    assert_eq!(fixture.members(), "a");
}

#[test]
fn a_static_member_that_came_back_outlives_its_coordinator() {
    let mut fixture = stable();
    fixture.join(instance("j", "b2"));
    fixture.group.handle_coordinator_change(fixture.now);
    assert_eq!(fixture.members(), "a b2");
}
