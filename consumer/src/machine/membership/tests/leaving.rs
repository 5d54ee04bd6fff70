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
