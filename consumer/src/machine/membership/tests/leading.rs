//! A member that leads its group: what it assigns, and what it watches.

use super::*;

#[test]
fn a_leader_waits_for_the_topics_and_assigns_them() {
    let mut bed = Bed::eager();
    bed.subscribe("t");
    bed.sends("join ''");
    bed.joins_as_leader(1, &[("m1", "t"), ("m2", "t")]);
    bed.sends("beat 1");
    assert_eq!(bed.wants(), Some(("t".to_owned(), true)));
    bed.knows("t", 3);
    bed.sends("sync 1 [m1: t-0 t-1 | m2: t-2]");
    bed.syncs("t-0 t-1");
    assert_eq!(bed.wants(), Some(("t".to_owned(), false)), "it watches them");
}

#[test]
fn a_leader_that_is_told_to_skip_assigns_nothing_and_watches_all_the_same() {
    let mut bed = Bed::eager();
    bed.subscribe("t");
    bed.sends("join ''");
    bed.joins(JoinGroupResponse { skip_assignment: true, ..bed.leads(3, &[("m1", "t")]) });
    bed.sends("sync 3 [], beat 3");
    bed.syncs("t-0");
    bed.tells("assigned t-0 of t-0");
    bed.finish();
    bed.knows("t", 1);
    bed.sends("");
    bed.knows("t", 2);
    bed.tells("revoking t-0");
}

#[test]
fn a_leader_has_the_group_rebalance_when_partitions_are_added() {
    let mut bed = Bed::cooperative();
    bed.leads_alone("t", 2);
    bed.knows("t", 2);
    bed.sends("");
    bed.knows("t", 3);
    bed.sends("join 'm1' owning t-0 t-1 @1");
}

#[test]
fn a_rebalance_is_not_enforced_while_one_is_under_way() {
    let mut bed = Bed::cooperative();
    bed.subscribe("t");
    bed.sends("join ''");
    bed.enforce_rebalance();
    bed.joins_as_leader(1, &[("m1", "t")]);
    bed.enforce_rebalance();
    bed.knows("t", 2);
    bed.sends("sync 1 [m1: t-0 t-1], beat 1");
    bed.enforce_rebalance();
    bed.heartbeat_answers(ErrorCode::None);
    bed.syncs("t-0 t-1");
    bed.sends("");
    bed.enforce_rebalance();
    bed.sends("join 'm1' owning t-0 t-1 @1");
}

#[test]
fn partitions_that_are_added_while_the_leader_syncs_are_noticed() {
    let mut bed = Bed::cooperative();
    bed.subscribe("t");
    bed.sends("join ''");
    bed.joins_as_leader(1, &[("m1", "t")]);
    bed.knows("t", 2);
    bed.sends("sync 1 [m1: t-0 t-1], beat 1");
    bed.knows("t", 2);
    bed.knows("t", 3);
    bed.heartbeat_answers(ErrorCode::None);
    bed.sends("");
    bed.syncs("t-0 t-1");
    bed.sends("join 'm1' owning t-0 t-1 @1");
}

#[test]
fn what_a_leader_that_skips_sees_while_it_syncs_is_what_it_watches() {
    let mut bed = Bed::cooperative();
    bed.subscribe("t");
    bed.sends("join ''");
    bed.joins(JoinGroupResponse { skip_assignment: true, ..bed.leads(3, &[("m1", "t")]) });
    bed.sends("sync 3 [], beat 3");
    bed.knows("t", 1);
    bed.syncs("t-0");
    bed.heartbeat_answers(ErrorCode::None);
    bed.finish();
    bed.sends("");
    bed.knows("t", 2);
    bed.sends("join 'm1' owning t-0 @3");
}

#[test]
fn a_member_whose_metadata_is_garbage_gets_nothing_and_breaks_nothing() {
    for garbage in [&b""[..], b"\0", b"\xff\xff", b"\0\x03\x7f\xff\xff\xff", b"\0\x01\0\0\0\x01"] {
        let mut bed = Bed::eager();
        bed.subscribe("t");
        bed.sends("join ''");
        let mut response = bed.leads(1, &[("m1", "t")]);
        response.members.push(JoinGroupResponseMember {
            member_id: "bad".into(),
            metadata: Bytes::from_static(garbage),
            ..Default::default()
        });
        bed.joins(response);
        bed.knows("t", 2);
        bed.sends("sync 1 [bad:  | m1: t-0 t-1], beat 1");
    }
}
