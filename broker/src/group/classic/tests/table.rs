//! Every request in every state.

use super::*;

/// `a` leads and `b` follows. Before that the group is empty, though it had a generation; while it
/// prepares a rebalance, `c` waits for them.
fn in_state(state: &str) -> Fixture {
    let mut fixture = match state {
        "Empty" => {
            let mut fixture = Fixture::stable(&["a"]);
            fixture.leave("a").unwrap();
            fixture
        }
        "PreparingRebalance" => {
            let mut fixture = Fixture::stable(&["a", "b"]);
            fixture.join(attempt("c"));
            fixture
        }
        "CompletingRebalance" => Fixture::completing(&["a", "b"]),
        _ => Fixture::stable(&["a", "b"]),
    };
    if state == "Dead" {
        fixture.group.unload();
    }
    fixture.answers();
    assert_eq!(fixture.group.state_name(), state);
    fixture
}

const STATES: [&str; 5] = ["Empty", "PreparingRebalance", "CompletingRebalance", "Stable", "Dead"];

/// `event` answers at once, or says which wait was parked.
#[track_caller]
fn check(event: impl Fn(&mut Fixture) -> Outcome, expected: [&str; 5]) {
    for (state, expected) in STATES.into_iter().zip(expected) {
        let mut fixture = in_state(state);
        let outcome = match event(&mut fixture) {
            Outcome::Now(Ok(())) => "ok".to_owned(),
            Outcome::Now(Err(error)) => error.name().to_owned(),
            Outcome::Of(wait) => {
                let answers = fixture.answers();
                let own: Vec<_> = answers.into_iter().filter(|(to, _)| *to == wait).collect();
                match shown(&own).first() {
                    None => "parked".to_owned(),
                    Some(shown) if shown.contains("joined") || shown.contains("synced") => {
                        "ok".to_owned()
                    }
                    Some(error) => error.split(' ').next_back().unwrap().to_owned(),
                }
            }
        };
        assert_eq!(outcome, expected, "in {state}");
    }
}

enum Outcome {
    Now(Result<(), ErrorCode>),
    Of(WaitId),
}

const NOT_HERE: &str = "COORDINATOR_NOT_AVAILABLE";
const UNKNOWN: &str = "UNKNOWN_MEMBER_ID";
const REBALANCE_IN_PROGRESS: &str = "REBALANCE_IN_PROGRESS";
const ILLEGAL: &str = "ILLEGAL_GENERATION";
const INCONSISTENT: &str = "INCONSISTENT_GROUP_PROTOCOL";

#[test]
fn a_newcomer_waits_for_the_others() {
    let expected = ["parked", "parked", "parked", "parked", NOT_HERE];
    check(|f| Outcome::Of(f.join(attempt("n"))), expected);
}

#[test]
fn a_newcomer_of_version_4_is_given_an_id_first() {
    let newcomer = JoinAttempt { requires_member_id: true, ..attempt("n") };
    let required = "MEMBER_ID_REQUIRED";
    let expected = [required, required, required, required, NOT_HERE];
    check(|f| Outcome::Of(f.join(newcomer.clone())), expected);
}

#[test]
fn a_newcomer_of_another_kind_is_refused_while_there_are_members() {
    let newcomer = JoinAttempt { protocol_type: "connect".into(), ..attempt("n") };
    let expected = ["parked", INCONSISTENT, INCONSISTENT, INCONSISTENT, NOT_HERE];
    check(|f| Outcome::Of(f.join(newcomer.clone())), expected);
}

#[test]
fn a_newcomer_without_a_common_protocol_is_refused() {
    let newcomer = JoinAttempt { protocols: protocols(&["sticky"]), ..attempt("n") };
    let expected = ["parked", INCONSISTENT, INCONSISTENT, INCONSISTENT, NOT_HERE];
    check(|f| Outcome::Of(f.join(newcomer.clone())), expected);
}

#[test]
fn a_newcomer_without_any_protocol_is_refused() {
    let newcomer = JoinAttempt { protocols: Vec::new(), ..attempt("n") };
    let expected = [INCONSISTENT, INCONSISTENT, INCONSISTENT, INCONSISTENT, NOT_HERE];
    check(|f| Outcome::Of(f.join(newcomer.clone())), expected);
}

#[test]
fn a_follower_that_has_nothing_new_hears_again_what_it_was_told() {
    check(|f| Outcome::Of(f.join(again("b"))), [UNKNOWN, "parked", "ok", "ok", NOT_HERE]);
}

#[test]
fn a_leader_that_joins_a_stable_group_wants_to_assign_anew() {
    check(|f| Outcome::Of(f.join(again("a"))), [UNKNOWN, "parked", "ok", "parked", NOT_HERE]);
}

#[test]
fn a_member_with_new_metadata_makes_everyone_rejoin() {
    let changed = JoinAttempt { protocols: vec![protocol("range", &["u"])], ..again("b") };
    let expected = [UNKNOWN, "parked", "parked", "parked", NOT_HERE];
    check(|f| Outcome::Of(f.join(changed.clone())), expected);
}

#[test]
fn a_join_under_an_id_that_was_never_given_is_refused() {
    check(|f| Outcome::Of(f.join(again("x"))), [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, NOT_HERE]);
}

#[test]
fn a_follower_syncs_when_the_leader_has() {
    let expected = [UNKNOWN, REBALANCE_IN_PROGRESS, "parked", "ok", NOT_HERE];
    check(|f| Outcome::Of(f.sync("b", &[])), expected);
}

#[test]
fn a_leader_syncs_at_once() {
    let expected = [UNKNOWN, REBALANCE_IN_PROGRESS, "ok", "ok", NOT_HERE];
    check(|f| Outcome::Of(f.sync("a", &[])), expected);
}

#[test]
fn a_sync_of_another_generation_is_refused() {
    let old = Claim { generation: 0, ..claim("b") };
    let expected = [UNKNOWN, ILLEGAL, ILLEGAL, ILLEGAL, NOT_HERE];
    check(|f| Outcome::Of(f.sync_as(old.clone(), &[])), expected);
}

#[test]
fn a_heartbeat_tells_who_has_to_rejoin() {
    let expected = [UNKNOWN, REBALANCE_IN_PROGRESS, "ok", "ok", NOT_HERE];
    check(|f| Outcome::Now(f.heartbeat("b")), expected);
}

#[test]
fn a_heartbeat_of_another_generation_is_refused() {
    let old = Claim { generation: 7, ..claim("b") };
    let expected = [UNKNOWN, ILLEGAL, ILLEGAL, ILLEGAL, NOT_HERE];
    check(|f| Outcome::Now(f.group.handle_heartbeat(&old, f.now)), expected);
}

#[test]
fn a_heartbeat_of_a_stranger_is_refused() {
    check(|f| Outcome::Now(f.heartbeat("x")), [UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, NOT_HERE]);
}

#[test]
fn a_member_may_leave_at_any_time() {
    check(|f| Outcome::Now(f.leave("b")), [UNKNOWN, "ok", "ok", "ok", NOT_HERE]);
}

#[test]
fn a_member_commits_except_between_its_join_and_its_sync() {
    let expected = [UNKNOWN, "ok", REBALANCE_IN_PROGRESS, "ok", NOT_HERE];
    check(|f| Outcome::Now(commit(f, "b", 1, CommitKind::Plain)), expected);
}

#[test]
fn a_commit_of_another_generation_is_refused() {
    let expected = [UNKNOWN, ILLEGAL, ILLEGAL, ILLEGAL, NOT_HERE];
    check(|f| Outcome::Now(commit(f, "b", 0, CommitKind::Plain)), expected);
}

#[test]
fn who_is_no_member_commits_only_while_the_group_is_empty() {
    let expected = ["ok", UNKNOWN, UNKNOWN, UNKNOWN, NOT_HERE];
    check(|f| Outcome::Now(commit(f, "", -1, CommitKind::Plain)), expected);
}

#[test]
fn a_transaction_of_a_member_commits_in_every_state_that_has_members() {
    let expected = [UNKNOWN, "ok", "ok", "ok", NOT_HERE];
    check(|f| Outcome::Now(commit(f, "b", 1, CommitKind::Transactional)), expected);
}

#[test]
fn a_transaction_of_nobody_commits_always() {
    let expected = ["ok", "ok", "ok", "ok", NOT_HERE];
    check(|f| Outcome::Now(commit(f, "", -1, CommitKind::Transactional)), expected);
}

fn commit(
    fixture: &mut Fixture,
    id: &str,
    generation: i32,
    kind: CommitKind,
) -> Result<(), ErrorCode> {
    let claim = Claim { generation, ..claim(id) };
    fixture.group.handle_commit(&claim, kind, fixture.now)
}
