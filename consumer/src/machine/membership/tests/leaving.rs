//! The ways out of a group, wanted or not.

use super::*;

#[test]
fn an_overdue_poll_leaves_and_the_next_one_rejoins() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.keep_alive_for(300);
    bed.tells("lost t-0 to PollOverdue { max_poll_interval: 300s }");
    bed.sends("leave 'm1'");
    bed.leaves();
    bed.later(100);
    bed.member.handle_poll(bed.begun, bed.now);
    bed.sends("");
    bed.member.handle_poll(bed.now, bed.now);
    bed.sends("join ''");
}

#[test]
fn a_poll_that_came_before_the_leaving_was_done_is_not_forgotten() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.keep_alive_for(300);
    bed.sends("leave 'm1'");
    bed.member.handle_poll(bed.now, bed.now);
    bed.leaves();
    bed.sends("join ''");
}

#[test]
fn a_static_member_does_not_leave_when_its_poll_is_overdue() {
    let mut bed = Bed::eager();
    bed.member.config.group_instance_id = Some("i".into());
    bed.is_stable("t-0");
    bed.keep_alive_for(300);
    bed.tells("lost t-0 to PollOverdue { max_poll_interval: 300s }");
    bed.sends("");
    bed.member.handle_poll(bed.now, bed.now);
    bed.sends("join 'm1'");
}

#[test]
fn an_empty_subscription_gives_up_and_leaves() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.subscribe("");
    bed.tells("revoking t-0");
    bed.finish();
    bed.sends("leave 'm1'");
    bed.leaves();
    assert!(bed.member.is_outside());
    assert_eq!(bed.member.phase(), Phase::Standalone);
}

#[test]
fn a_static_member_that_unsubscribes_gives_up_and_does_not_leave() {
    let mut bed = Bed::eager();
    bed.member.config.group_instance_id = Some("i".into());
    bed.is_stable("t-0");
    bed.subscribe("");
    bed.tells("revoking t-0");
    bed.finish();
    bed.sends("");
    assert!(bed.member.is_outside());
    assert_eq!(bed.member.phase(), Phase::Standalone);
    bed.subscribe("t");
    bed.sends("join 'm1'");
}

#[test]
fn a_static_member_that_subscribes_again_while_it_gives_up_rejoins() {
    let mut bed = Bed::eager();
    bed.member.config.group_instance_id = Some("i".into());
    bed.is_stable("t-0");
    bed.subscribe("");
    bed.tells("revoking t-0");
    bed.subscribe("t");
    bed.finish();
    bed.sends("join 'm1'");
}

#[test]
fn a_member_that_was_refused_joins_again_once_the_application_has_heard_why() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.heartbeat(ErrorCode::RebalanceInProgress);
    bed.finish();
    for _ in 0..3 {
        bed.sends("join 'm1'");
        bed.join_fails(ErrorCode::GroupAuthorizationFailed);
        bed.was_refused();
        bed.later(1);
        bed.timeout();
        bed.sends("");
        bed.finish();
        bed.sends("");
        bed.later(1);
    }
    bed.sends("join 'm1'");
    bed.joins_as_follower(2);
    bed.sends("sync 2 [], beat 2");
    bed.syncs("t-0");
    bed.tells("assigned t-0 of t-0");
}

#[test]
fn a_member_that_failed_and_unsubscribed_leaves_what_may_still_know_it() {
    let mut bed = Bed::eager();
    bed.subscribe("t");
    bed.sends("join ''");
    bed.join_fails(ErrorCode::MemberIdRequired);
    bed.sends("join 'm1'");
    bed.join_fails(ErrorCode::GroupMaxSizeReached);
    bed.subscribe("");
    bed.sends("leave 'm1'");
    bed.leaves();
    bed.finish();
    bed.later(1);
    bed.sends("");
}

#[test]
fn a_heartbeat_that_is_refused_is_told_and_sent_again() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.heartbeat(ErrorCode::GroupAuthorizationFailed);
    bed.was_refused();
    assert_eq!((bed.member.phase(), bed.committable()), (Phase::Member, "t-0".to_owned()));
    bed.finish();
    bed.later(1);
    bed.sends("beat 1");
    bed.heartbeat_answers(ErrorCode::None);
    bed.tells("");
}

#[test]
fn a_coordinator_that_nobody_names_costs_nothing_before_the_session_is_over() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    let denied = RequestError::Unroutable { code: ErrorCode::GroupAuthorizationFailed };
    for _ in 0..3 {
        bed.member.handle_no_coordinator(&denied);
    }
    bed.was_refused();
    bed.finish();
    bed.tells("");
    assert_eq!(bed.member.phase(), Phase::Member);
    bed.later(45);
    bed.timeout();
    bed.tells("lost t-0 to SessionExpired { session_timeout: 45s }");
    bed.finish();
    bed.member.handle_no_coordinator(&denied);
    bed.was_refused();
    bed.sends("");
    bed.finish();
    bed.later(1);
    bed.sends("join 'm1'");
}

#[test]
fn closing_leaves_unless_it_is_a_static_member() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.member.close(OnClose::Default, bed.now);
    bed.sends("leave 'm1'");
    let mut bed = Bed::eager();
    bed.member.config.group_instance_id = Some("i".into());
    bed.is_stable("t-0");
    bed.member.close(OnClose::Default, bed.now);
    bed.sends("");
    assert!(bed.member.is_outside());
}

#[test]
fn who_closes_a_member_says_whether_it_leaves() {
    for (on_close, instance, sent) in [
        (OnClose::Leave, Some("i"), "leave 'm1'"),
        (OnClose::Leave, None, "leave 'm1'"),
        (OnClose::Remain, Some("i"), ""),
        (OnClose::Remain, None, ""),
    ] {
        let mut bed = Bed::eager();
        bed.member.config.group_instance_id = instance.map(Into::into);
        bed.is_stable("t-0");
        bed.member.close(on_close, bed.now);
        bed.sends(sent);
    }
}

#[test]
fn leaving_is_tried_again_and_not_for_ever() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.member.close(OnClose::Default, bed.now);
    let begun = bed.now;
    while !bed.member.is_outside() {
        bed.sends("leave 'm1'");
        let closed = RequestError::Closed { certainty: Certainty::PossiblyWritten };
        bed.member.handle_left(bed.call(), Err(&closed), bed.now).unwrap();
        bed.now = bed.member.next_call().unwrap_or(bed.now);
    }
    let took = bed.now - begun;
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(3), "{took:?}");
}
