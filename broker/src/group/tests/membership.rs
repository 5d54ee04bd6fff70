//! `JoinGroup`, `SyncGroup`, Heartbeat and `LeaveGroup`.

use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use super::*;

#[test]
fn a_group_of_one_goes_round_in_every_version() {
    for version in versions(ApiKey::JoinGroup) {
        let mut fixture = Fixture::new();
        let mut first = fixture.join(version, join("g"));
        if version >= 4 {
            assert_eq!(error(first.error_code), ErrorCode::MemberIdRequired);
            let member_id = first.member_id;
            first = fixture.join(version, JoinGroupRequest { member_id, ..join("g") });
        }
        assert_eq!((first.error_code, first.generation_id), (0, 1), "version {version}");
        assert_eq!(first.leader, first.member_id);
        assert_eq!(first.protocol_name.as_deref(), Some("range"));
        assert_eq!(first.protocol_type.is_some(), version >= 7);
        assert_eq!(first.members.len(), 1);
    }
}

#[test]
fn a_member_id_is_the_client_id_and_a_uuid_as_java_prints_it() {
    let mut fixture = Fixture::new();
    fixture.uniques = 0x0123_4567_89ab_cdef_0123_4567_89ab_cdee;
    let joined = fixture.join(3, join("g"));
    assert_eq!(joined.member_id, "client-01234567-89ab-cdef-0123-456789abcdef");
}

#[test]
fn the_id_of_a_static_member_begins_with_its_instance() {
    let mut fixture = Fixture::new();
    let request = JoinGroupRequest { group_instance_id: Some("i".into()), ..join("g") };
    let joined = fixture.join(5, request);
    assert_eq!(joined.member_id, "i-00000000-0000-0000-0000-000000000001");
}

#[test]
fn the_protocol_name_of_a_refusal_is_null_where_it_can_be() {
    for version in versions(ApiKey::JoinGroup) {
        let request = JoinGroupRequest { session_timeout_ms: 1, ..join("g") };
        let refused = Fixture::new().join(version, request);
        let name = (version < 7).then_some("");
        assert_eq!(refused.protocol_name.as_deref(), name, "version {version}");
        assert_eq!((refused.generation_id, &*refused.leader), (-1, ""));
    }
}

#[test]
fn a_session_timeout_outside_of_what_is_allowed_is_refused() {
    check_session_timeout(5_999, ErrorCode::InvalidSessionTimeout);
    check_session_timeout(6_000, ErrorCode::None);
    check_session_timeout(1_800_000, ErrorCode::None);
    check_session_timeout(1_800_001, ErrorCode::InvalidSessionTimeout);
    check_session_timeout(-1, ErrorCode::InvalidSessionTimeout);
}

#[track_caller]
fn check_session_timeout(session_timeout_ms: i32, expected: ErrorCode) {
    let refused = Fixture::new().join(3, JoinGroupRequest { session_timeout_ms, ..join("g") });
    assert_eq!(error(refused.error_code), expected);
}

#[test]
fn version_0_rebalances_for_as_long_as_a_session() {
    let mut fixture = Fixture::new();
    let joined = fixture.join(0, JoinGroupRequest { rebalance_timeout_ms: 1, ..join("g") });
    fixture.sync(0, sync("g", &joined.member_id, 1, b""));
    let Reply::Later(wait) = fixture.try_join(0, join("g")) else { panic!("not parked") };
    fixture.pass(Duration::from_secs(9));
    assert_eq!(fixture.groups.poll_woken(), None);
    fixture.pass(Duration::from_secs(1));
    assert_eq!(fixture.groups.poll_woken(), Some(wait));
}

#[test]
fn a_group_needs_a_name() {
    let mut fixture = Fixture::new();
    let invalid = ErrorCode::InvalidGroupId.code();
    assert_eq!(fixture.join(9, join("")).error_code, invalid);
    assert_eq!(fixture.sync(3, sync("", "m", 1, b"")).error_code, invalid);
    let beat = fixture.call(4, |g, caller| g.heartbeat(caller, HeartbeatRequest::default()));
    assert_eq!(beat.error_code, invalid);
    let leave = fixture.call(5, |g, caller| g.leave_group(caller, LeaveGroupRequest::default()));
    assert_eq!(leave.error_code, invalid);
}

#[test]
fn members_are_sent_to_the_coordinator() {
    let mut fixture = Fixture::new();
    fixture.cluster.elsewhere = Some(ErrorCode::NotCoordinator);
    let elsewhere = ErrorCode::NotCoordinator.code();
    assert_eq!(fixture.join(9, join("g")).error_code, elsewhere);
    assert_eq!(fixture.sync(3, sync("g", "m", 1, b"")).error_code, elsewhere);
    assert_eq!(fixture.heartbeat("m").error_code, elsewhere);
    assert_eq!(leave_of(&mut fixture, 5, "m").error_code, elsewhere);
    assert!(fixture.group_ids().is_empty());
}

#[test]
fn a_group_that_nobody_knows_has_no_members() {
    let mut fixture = Fixture::new();
    let unknown = ErrorCode::UnknownMemberId.code();
    let known = JoinGroupRequest { member_id: "m".into(), ..join("g") };
    let refused = fixture.join(9, known);
    assert_eq!((refused.error_code, &*refused.member_id), (unknown, "m"));
    assert_eq!(fixture.sync(3, sync("g", "m", 1, b"")).error_code, unknown);
    assert_eq!(fixture.heartbeat("m").error_code, unknown);
    let left = leave_of(&mut fixture, 5, "m");
    assert_eq!((left.error_code, left.members[0].error_code), (0, unknown));
    assert!(fixture.group_ids().is_empty());
}

#[test]
fn a_parked_join_is_answered_in_the_version_it_came_in() {
    let (mut fixture, member_id) = Fixture::with_member();
    let Reply::Later(wait) = fixture.try_join(2, join("g")) else { panic!("not parked") };
    assert_eq!(fixture.groups.resume(wait, 2), None);
    fixture.leave(&member_id);
    assert_eq!(fixture.groups.poll_woken(), Some(wait));
    assert_eq!(fixture.groups.poll_woken(), None);
    let Some(AnyResponse::JoinGroup(joined)) = fixture.groups.resume(wait, 2) else {
        panic!("no answer")
    };
    assert_eq!(sent(joined, 2).generation_id, 2);
    assert_eq!(fixture.groups.resume(wait, 2), None);
}

#[test]
fn a_parked_sync_is_answered() {
    let (mut fixture, leader) = Fixture::with_member();
    let Reply::Later(parked) = fixture.try_join(3, join("g")) else { panic!("not parked") };
    fixture.join(3, JoinGroupRequest { member_id: leader.clone(), ..join("g") });
    let Some(AnyResponse::JoinGroup(follower)) = fixture.groups.resume(parked, 3) else {
        panic!("no answer")
    };
    let mut parked = None;
    fixture.call(3, |groups, caller| {
        let request =
            SyncGroupRequest { assignments: Vec::new(), ..sync("g", &follower.member_id, 2, b"") };
        if let Reply::Later(wait) = groups.sync_group(caller, request) {
            parked = Some(wait);
        }
        SyncGroupResponse::default()
    });
    fixture.sync(3, sync("g", &leader, 2, b"all"));
    let Some(AnyResponse::SyncGroup(synced)) = fixture.groups.resume(parked.unwrap(), 3) else {
        panic!("no answer")
    };
    assert_eq!((synced.error_code, synced.assignment.len()), (0, 10));
}

#[test]
fn nobody_is_woken_for_a_connection_that_is_gone() {
    let (mut fixture, member_id) = Fixture::with_member();
    let Reply::Later(wait) = fixture.try_join(3, join("g")) else { panic!("not parked") };
    fixture.groups.abandon(wait);
    fixture.leave(&member_id);
    assert_eq!(fixture.groups.poll_woken(), None);
    assert!(fixture.groups.waits.answers.is_empty());
    fixture.pass(Duration::from_secs(10));
    assert!(fixture.groups.waits.parked.is_empty());
}

#[test]
fn nothing_is_kept_of_a_join_that_was_answered_at_once() {
    let (mut fixture, _) = Fixture::with_member();
    assert_eq!(fixture.groups.poll_woken(), None);
    assert!(fixture.groups.waits.parked.is_empty());
    assert!(fixture.groups.waits.answers.is_empty());
}

#[test]
fn a_sync_says_what_it_takes_the_protocol_for_from_version_5_on() {
    for version in versions(ApiKey::SyncGroup) {
        let (mut fixture, member_id) = Fixture::with_member();
        let synced = fixture.sync(version, sync("g", &member_id, 1, b""));
        if version < 5 {
            assert_eq!((synced.error_code, &*synced.assignment), (0, &b"all"[..]));
            continue;
        }
        assert_eq!(error(synced.error_code), ErrorCode::InconsistentGroupProtocol);
        let request = SyncGroupRequest {
            protocol_type: Some("consumer".into()),
            protocol_name: Some("range".into()),
            ..sync("g", &member_id, 1, b"")
        };
        let synced = fixture.sync(version, request);
        assert_eq!((synced.error_code, synced.protocol_name.as_deref()), (0, Some("range")));
        assert_eq!(synced.protocol_type.as_deref(), Some("consumer"));
    }
}

#[test]
fn a_heartbeat_is_answered_in_every_version() {
    for version in versions(ApiKey::Heartbeat) {
        let (mut fixture, member_id) = Fixture::with_member();
        let request = HeartbeatRequest {
            group_id: "g".into(),
            generation_id: 2,
            member_id,
            ..Default::default()
        };
        let beat = fixture.call(version, |groups, caller| groups.heartbeat(caller, request));
        assert_eq!(error(beat.error_code), ErrorCode::IllegalGeneration);
    }
}

#[test]
fn a_leave_names_each_member_from_version_3_on() {
    for version in versions(ApiKey::LeaveGroup) {
        let (mut fixture, member_id) = Fixture::with_member();
        let unknown = ErrorCode::UnknownMemberId.code();
        let stranger = leave_of(&mut fixture, version, "x");
        let member = leave_of(&mut fixture, version, &member_id);
        if version < 3 {
            assert_eq!((stranger.error_code, member.error_code), (unknown, 0));
            assert!(stranger.members.is_empty());
        } else {
            assert_eq!((stranger.error_code, stranger.members[0].error_code), (0, unknown));
            assert_eq!((&*stranger.members[0].member_id, member.members[0].error_code), ("x", 0));
        }
    }
}

fn leave_of(
    fixture: &mut Fixture,
    version: i16,
    member_id: &str,
) -> ottla_protocol::messages::leave_group::LeaveGroupResponse {
    let request = LeaveGroupRequest {
        group_id: "g".into(),
        member_id: member_id.into(),
        members: vec![MemberIdentity { member_id: member_id.into(), ..Default::default() }],
        ..Default::default()
    };
    fixture.call(version, |groups, caller| groups.leave_group(caller, request))
}

#[test]
fn a_coordinator_that_moves_sends_those_who_wait_after_it() {
    let (mut fixture, member_id) = Fixture::with_member();
    let Reply::Later(wait) = fixture.try_join(3, join("g")) else { panic!("not parked") };
    fixture.groups.handle_coordinator_change(&"other".into(), fixture.now);
    assert_eq!(fixture.groups.poll_woken(), None);
    fixture.groups.handle_coordinator_change(&"g".into(), fixture.now);
    assert_eq!(fixture.groups.poll_woken(), Some(wait));
    let Some(AnyResponse::JoinGroup(refused)) = fixture.groups.resume(wait, 3) else {
        panic!("no answer")
    };
    assert_eq!(error(refused.error_code), ErrorCode::NotCoordinator);
    assert_eq!(fixture.heartbeat(&member_id).error_code, 0);
}

#[test]
fn sessions_of_different_groups_end_in_their_turn() {
    let mut fixture = Fixture::new();
    for (group, session_timeout_ms) in [("g", 20_000), ("h", 10_000)] {
        let joined = fixture.join(3, JoinGroupRequest { session_timeout_ms, ..join(group) });
        fixture.sync(3, sync(group, &joined.member_id, 1, b""));
    }
    assert_eq!(fixture.groups.next_timeout(), Some(Duration::from_secs(10)));
    fixture.pass(Duration::from_secs(10));
    assert!(fixture.groups.groups["h"].classic.is_empty());
    assert!(!fixture.groups.groups["g"].classic.is_empty());
    assert_eq!(fixture.groups.next_timeout(), Some(Duration::from_secs(20)));
}

/// A message as slices of the bytes that it came in, and these.
fn received<M: Message>(message: &M, version: i16) -> (M, Bytes) {
    let frame = Bytes::from(message.encode(version).unwrap().into_bytes().to_vec());
    (M::decode(&frame, version).unwrap(), frame)
}

#[test]
fn what_is_left_of_a_group_holds_no_request_in_memory() {
    let mut fixture = Fixture::new();
    let (request, first) = received(&join("g"), 3);
    let member_id = fixture.join(3, request).member_id;
    fixture.sync(3, sync("g", &member_id, 1, b"all"));
    fixture.leave(&member_id);
    let partitions = vec![OffsetCommitRequestPartition {
        committed_metadata: Some("mine".into()),
        ..Default::default()
    }];
    let topics =
        vec![OffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() }];
    let mut commit = |group_id: &str| {
        let group_id = group_id.into();
        let topics = topics.clone();
        let request = OffsetCommitRequest { group_id, topics, ..Default::default() };
        let (request, frame) = received(&request, 8);
        let told = fixture.call(8, |groups, caller| groups.offset_commit(caller, request));
        assert_eq!(told.topics[0].partitions[0].error_code, 0);
        frame
    };
    let frames = [first, commit("g"), commit("simple")];
    assert!(frames.iter().all(Bytes::is_unique), "a frame of many may be pinned by a name");
    assert_eq!(fixture.group_ids(), ["g", "simple"]);
}
