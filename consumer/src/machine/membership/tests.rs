//! A member through its states, one event after the other.

mod leading;
mod leaving;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ottla_core::error::{Certainty, RequestError};
use ottla_protocol::messages::join_group::{JoinGroupResponse, JoinGroupResponseMember};
use ottla_protocol::messages::{HeartbeatResponse, LeaveGroupResponse, SyncGroupResponse};

use super::*;
use crate::machine::assignor::{
    Assignment, CooperativeStickyAssignor, MemberAssignment, RangeAssignor,
};

#[test]
fn a_new_member_joins_twice_because_it_must_have_an_id() {
    let mut bed = Bed::eager();
    bed.subscribe("t");
    bed.sends("join ''");
    bed.join_fails(ErrorCode::MemberIdRequired);
    bed.sends("join 'm1'");
}

#[test]
fn a_follower_syncs_with_nothing_and_is_told_its_partitions() {
    let mut bed = Bed::eager();
    bed.subscribe("t");
    bed.sends("join ''");
    bed.joins_as_follower(1);
    bed.sends("sync 1 [], beat 1");
    bed.syncs("t-0 t-1");
    bed.tells("assigned t-0 t-1 of t-0 t-1");
    assert_eq!(bed.member.phase(), Phase::Member);
}

#[test]
fn an_eager_member_gives_everything_up_before_it_rejoins() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0 t-1");
    bed.heartbeat(ErrorCode::RebalanceInProgress);
    bed.tells("revoking t-0 t-1");
    bed.sends("");
    bed.later(3);
    bed.sends("beat 1");
    bed.heartbeat_answers(ErrorCode::RebalanceInProgress);
    bed.finish();
    bed.sends("join 'm1'");
}

#[test]
fn a_cooperative_member_rejoins_at_once_and_keeps_what_stays() {
    let mut bed = Bed::cooperative();
    bed.is_stable("t-0 t-1");
    bed.heartbeat(ErrorCode::RebalanceInProgress);
    bed.tells("");
    bed.sends("join 'm1' owning t-0 t-1 @1");
    assert_eq!(bed.member.phase(), Phase::Joining);
    bed.joins_as_follower(2);
    assert_eq!(bed.member.phase(), Phase::Between);
    bed.sends("sync 2 [], beat 2");
    bed.syncs("t-0");
    bed.tells("revoking t-1");
    bed.sends("");
    bed.finish();
    bed.tells("assigned  of t-0");
    bed.sends("join 'm1' owning t-0 @2");
}

#[test]
fn a_rebalance_waits_for_a_cooperative_member_that_gives_up() {
    let mut bed = Bed::cooperative();
    bed.is_stable("t-0 t-1");
    bed.heartbeat(ErrorCode::RebalanceInProgress);
    bed.sends("join 'm1' owning t-0 t-1 @1");
    bed.joins_as_follower(2);
    bed.sends("sync 2 [], beat 2");
    bed.syncs("t-0");
    bed.heartbeat_answers(ErrorCode::RebalanceInProgress);
    bed.sends("");
    bed.tells("revoking t-1");
    bed.finish();
    bed.sends("join 'm1' owning t-0 @2");
}

#[test]
fn a_cooperative_member_soon_hears_that_partitions_were_given_up_for_it() {
    let mut bed = Bed::cooperative();
    bed.is_stable("t-0");
    let mut waits = Vec::new();
    for _ in 0..8 {
        let wait = bed.member.next_call().unwrap() - bed.now;
        waits.push(wait.as_millis());
        bed.now += wait;
        bed.sends("beat 1");
        bed.heartbeat_answers(ErrorCode::None);
    }
    assert_eq!(waits, [50, 100, 200, 400, 800, 1_600, 3_000, 3_000]);
}

#[test]
fn cooperative_needs_every_assignor_to_be_so() {
    let mut bed = Bed::with(vec![Arc::new(RangeAssignor), Arc::new(CooperativeStickyAssignor)]);
    bed.is_stable("t-0");
    bed.heartbeat(ErrorCode::RebalanceInProgress);
    bed.tells("revoking t-0");
}

#[test]
fn a_changed_subscription_gives_up_what_is_no_longer_in_it() {
    let mut bed = Bed::cooperative();
    bed.subscribe("t u");
    bed.becomes_stable("t-0 u-0");
    bed.finish();
    bed.subscribe("u v");
    bed.tells("revoking t-0");
    bed.finish();
    bed.sends("join 'm1' owning u-0 @1");
}

#[test]
fn a_subscription_that_changes_during_a_join_is_settled_by_another_one() {
    let mut bed = Bed::eager();
    bed.subscribe("t");
    bed.sends("join ''");
    bed.subscribe("u");
    bed.joins_as_follower(1);
    bed.sends("sync 1 [], beat 1");
    bed.syncs("t-0");
    bed.tells("assigned  of ");
    bed.sends("join 'm1'");
}

#[test]
fn a_fenced_member_loses_what_it_owns_once_and_rejoins_at_once() {
    for (code, again) in
        [(ErrorCode::IllegalGeneration, "join 'm1'"), (ErrorCode::UnknownMemberId, "join ''")]
    {
        for mut bed in [Bed::eager(), Bed::cooperative()] {
            bed.is_stable("t-0");
            bed.heartbeat(code);
            bed.tells("lost t-0 to Fenced");
            bed.sends(again);
        }
    }
}

#[test]
fn a_loss_takes_the_place_of_a_revocation_that_is_under_way() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.heartbeat(ErrorCode::RebalanceInProgress);
    bed.tells("revoking t-0");
    let revocation = bed.member.current_notice().unwrap().id;
    bed.later(3);
    bed.sends("beat 1");
    bed.heartbeat_answers(ErrorCode::UnknownMemberId);
    bed.tells("lost t-0 to Fenced");
    bed.member.finish_notice(revocation, bed.now);
    bed.tells("lost t-0 to Fenced");
}

#[test]
fn what_the_application_never_heard_of_is_not_lost() {
    let mut bed = Bed::cooperative();
    bed.is_stable("t-0 t-1");
    bed.heartbeat(ErrorCode::RebalanceInProgress);
    bed.sends("join 'm1' owning t-0 t-1 @1");
    bed.joins_as_follower(2);
    bed.sends("sync 2 [], beat 2");
    bed.syncs("t-0 t-2");
    bed.tells("revoking t-1");
    bed.heartbeat_answers(ErrorCode::UnknownMemberId);
    bed.tells("lost t-0 t-1 to Fenced");
}

#[test]
fn what_was_lost_and_came_again_is_committable_once_the_application_knows() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0 t-1");
    bed.heartbeat(ErrorCode::UnknownMemberId);
    bed.sends("join ''");
    bed.joins_as_follower(3);
    bed.sends("sync 3 [], beat 3");
    bed.syncs("t-0 t-1");
    bed.tells("lost t-0 t-1 to Fenced");
    assert_eq!(bed.committable(), "");
    bed.finish();
    bed.tells("assigned t-0 t-1 of t-0 t-1");
    assert_eq!(bed.committable(), "");
    bed.finish();
    assert_eq!(bed.committable(), "t-0 t-1");
}

#[test]
fn silence_for_a_session_is_a_loss() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.later(3);
    bed.sends("beat 1");
    bed.later(41);
    bed.timeout();
    bed.tells("");
    bed.later(1);
    bed.timeout();
    bed.tells("lost t-0 to SessionExpired { session_timeout: 45s }");
    assert!(bed.member.take_coordinator_lost());
    bed.sends("join 'm1'");
}

#[test]
fn a_session_counts_from_when_the_heartbeat_was_sent() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.later(10);
    bed.sends("beat 1");
    bed.later(30);
    bed.heartbeat_answers(ErrorCode::None);
    assert_eq!(bed.member.alive_until, bed.begun + Duration::from_secs(55));
}

#[test]
fn another_instance_of_the_same_name_ends_this_one() {
    let mut bed = Bed::eager();
    bed.member.config.group_instance_id = Some("i".into());
    bed.is_stable("t-0");
    bed.heartbeat(ErrorCode::FencedInstanceId);
    bed.tells("lost t-0 to Failed");
    bed.finish();
    bed.tells(
        "failed: group g: fenced by another consumer with group.instance.id=i; give each its own",
    );
    bed.later(500);
    bed.timeout();
    bed.sends("");
    bed.finish();
    bed.subscribe("u");
    bed.sends("");
}

#[test]
fn a_moved_coordinator_is_asked_for_the_same_again() {
    let mut bed = Bed::cooperative();
    bed.is_stable("t-0");
    bed.heartbeat(ErrorCode::NotCoordinator);
    assert!(bed.member.take_coordinator_lost());
    bed.member.handle_coordinator_moved(bed.now);
    bed.sends("beat 1");
    bed.heartbeat_answers(ErrorCode::CoordinatorLoadInProgress);
    assert!(!bed.member.take_coordinator_lost());
    let due = bed.member.next_call().unwrap() - bed.now;
    assert!(due <= Duration::from_millis(100), "{due:?}");
    bed.tells("");
}

#[test]
fn a_lost_connection_repeats_the_join_within_tens_of_milliseconds() {
    let mut bed = Bed::eager();
    bed.subscribe("t");
    bed.sends("join ''");
    let closed = RequestError::Closed { certainty: Certainty::PossiblyWritten };
    bed.member.handle_join(bed.call(), Err(&closed), bed.now).unwrap();
    assert!(bed.member.take_coordinator_lost());
    let due = bed.member.next_call().unwrap() - bed.now;
    assert!(due <= Duration::from_millis(30), "{due:?}");
    bed.now += due;
    bed.sends("join ''");
}

#[test]
fn an_outcome_nobody_waits_for_changes_nothing() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    let stale = CallId(1);
    let (join, sync) = (JoinGroupResponse::default(), SyncGroupResponse::default());
    let (beat, left) = (HeartbeatResponse::default(), LeaveGroupResponse::default());
    assert_eq!(bed.member.handle_join(stale, Ok(&join), bed.now), Err(IllegalEvent));
    assert_eq!(bed.member.handle_sync(stale, Ok(&sync), bed.now), Err(IllegalEvent));
    assert_eq!(bed.member.handle_heartbeat(stale, Ok(&beat), bed.now), Err(IllegalEvent));
    assert_eq!(bed.member.handle_left(stale, Ok(&left), bed.now), Err(IllegalEvent));
    assert_eq!(bed.member.phase(), Phase::Member);
}

#[test]
fn an_assignment_that_cannot_be_read_is_an_error_and_never_a_shorter_one() {
    for bytes in [
        &b"\0"[..],
        b"\0\0\0\0\0\x05",
        b"\0\x03\0\0\0\x01\0\x01t\0\0\0\x01\xff\xff\xff\xff\0\0\0\0",
    ] {
        let mut bed = Bed::eager();
        bed.subscribe("t");
        bed.sends("join ''");
        bed.joins_as_follower(1);
        bed.sends("sync 1 [], beat 1");
        let response =
            SyncGroupResponse { assignment: Bytes::from_static(bytes), ..Default::default() };
        bed.member.handle_sync(bed.call(), Ok(&response), bed.now).unwrap();
        let GroupEvent::Failed(GroupError::MalformedAssignment { .. }) = bed.notice() else {
            panic!("{:?}", bed.notice());
        };
    }
}

#[test]
fn a_commit_that_was_refused_in_an_earlier_generation_says_nothing_about_this_one() {
    let mut bed = Bed::eager();
    bed.is_stable("t-0");
    bed.member.handle_commit_refused(ErrorCode::IllegalGeneration, 0, bed.now);
    bed.tells("");
    bed.member.handle_commit_refused(ErrorCode::IllegalGeneration, 1, bed.now);
    bed.tells("lost t-0 to Fenced");
}

#[test]
fn a_confirmed_coordinator_keeps_a_member_that_waits_for_its_join() {
    let mut bed = Bed::cooperative();
    bed.is_stable("t-0");
    bed.heartbeat(ErrorCode::RebalanceInProgress);
    bed.sends("join 'm1' owning t-0 @1");
    bed.later(40);
    bed.member.handle_coordinator_confirmed(bed.now);
    bed.later(40);
    bed.timeout();
    bed.tells("");
    bed.later(6);
    bed.timeout();
    bed.tells("lost t-0 to SessionExpired { session_timeout: 45s }");
}

#[test]
fn a_heartbeat_of_a_generation_that_a_join_has_ended_is_no_loss() {
    let mut bed = Bed::cooperative();
    bed.is_stable("t-0");
    bed.later(3);
    bed.sends("beat 1");
    bed.enforce_rebalance();
    bed.sends("join 'm1' owning t-0 @1");
    // The join was the last one, and overtook the heartbeat.
    bed.heartbeat_answers(ErrorCode::IllegalGeneration);
    bed.tells("");
    bed.joins_as_follower(2);
    bed.sends("sync 2 [], beat 2");
    bed.syncs("t-0");
    bed.tells("assigned  of t-0");
}

#[test]
fn every_code_has_an_answer_in_every_api() {
    use Answer::*;
    type Table = fn(ErrorCode) -> Answer;
    let apis: [(&str, Table); 5] = [
        ("join", join_answer),
        ("sync", sync_answer),
        ("heartbeat", heartbeat_answer),
        ("commit", commit_answer),
        ("fetch", fetch_answer),
    ];
    let rows = [
        (ErrorCode::None, [Done; 5]),
        (ErrorCode::CoordinatorLoadInProgress, [Retry; 5]),
        (ErrorCode::CoordinatorNotAvailable, [Rediscover; 5]),
        (ErrorCode::NotCoordinator, [Rediscover; 5]),
        (ErrorCode::RebalanceInProgress, [Retry, Rejoin, Rejoin, Rejoin, Rejoin]),
        (ErrorCode::IllegalGeneration, [RejoinFenced; 5]),
        (ErrorCode::UnknownMemberId, [RejoinAnew; 5]),
        (ErrorCode::FencedInstanceId, [FencedInstance; 5]),
        (ErrorCode::MemberIdRequired, [AdoptMemberId, Refused, Refused, Refused, Refused]),
        (ErrorCode::GroupMaxSizeReached, [Refused; 5]),
        (ErrorCode::InconsistentGroupProtocol, [Refused; 5]),
        (ErrorCode::InvalidSessionTimeout, [Refused; 5]),
        (ErrorCode::InvalidGroupId, [Refused; 5]),
        (ErrorCode::GroupAuthorizationFailed, [Refused; 5]),
        (ErrorCode::TopicAuthorizationFailed, [Refused; 5]),
        (ErrorCode::OffsetMetadataTooLarge, [Refused; 5]),
        (ErrorCode::InvalidCommitOffsetSize, [Refused; 5]),
        (
            ErrorCode::UnknownTopicId,
            [Rediscover, Rediscover, Rediscover, UnknownTopic, UnknownTopic],
        ),
        (ErrorCode::UnstableOffsetCommit, [Retry; 5]),
        (ErrorCode::UnknownServerError, [Refused; 5]),
    ];
    for (code, answers) in rows {
        for ((api, answer), expected) in apis.iter().zip(answers) {
            assert_eq!(answer(code), expected, "{api} {code}");
        }
    }
    for code in ErrorCode::ALL.iter().filter(|code| code.is_error()) {
        for (api, answer) in apis {
            assert_ne!(answer(*code), Done, "{api} {code}");
        }
    }
}

/// One member, its clock, and the calls that it waits for.
struct Bed {
    member: ClassicMembership,
    begun: Instant,
    now: Instant,
    calls: BTreeMap<&'static str, CallId>,
}

impl Bed {
    fn eager() -> Self {
        Self::with(vec![Arc::new(RangeAssignor)])
    }

    fn cooperative() -> Self {
        Self::with(vec![Arc::new(CooperativeStickyAssignor)])
    }

    #[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other")]
    fn with(assignors: Vec<Arc<dyn super::super::assignor::Assignor>>) -> Self {
        let now = Instant::now();
        let config = GroupConfig { assignors, ..GroupConfig::new("g") };
        let member = ClassicMembership::new(config, now, 7);
        Self { member, begun: now, now, calls: BTreeMap::new() }
    }

    fn subscribe(&mut self, topics: &str) {
        let topics = topics.split_whitespace().map(TopicName::from).collect();
        self.member.subscribe(topics, self.now);
    }

    fn enforce_rebalance(&mut self) {
        self.member.enforce_rebalance("again", self.now);
    }

    /// Follower of generation 1 with these partitions, its first notice finished.
    fn is_stable(&mut self, assigned: &str) {
        self.subscribe("t");
        self.becomes_stable(assigned);
        self.finish();
    }

    fn becomes_stable(&mut self, assigned: &str) {
        self.sends("join ''");
        self.joins_as_follower(1);
        self.sends("sync 1 [], beat 1");
        self.syncs(assigned);
        self.heartbeat_answers(ErrorCode::None);
    }

    fn leads_alone(&mut self, topic: &str, partitions: usize) {
        self.subscribe(topic);
        self.sends("join ''");
        self.joins_as_leader(1, &[("m1", topic)]);
        self.knows(topic, partitions);
        self.sends("sync 1 [m1: t-0 t-1], beat 1");
        self.syncs("t-0 t-1");
        self.heartbeat_answers(ErrorCode::None);
        self.finish();
    }

    #[track_caller]
    fn call(&self) -> CallId {
        self.calls["join side"]
    }

    fn joins(&mut self, response: JoinGroupResponse) {
        self.member.handle_join(self.call(), Ok(&response), self.now).unwrap();
    }

    fn join_fails(&mut self, code: ErrorCode) {
        let (error_code, member_id) = (code.code(), "m1".into());
        self.joins(JoinGroupResponse { error_code, member_id, ..Default::default() });
    }

    fn joins_as_follower(&mut self, generation_id: i32) {
        let leader = "other".into();
        self.joins(JoinGroupResponse { leader, ..self.leads(generation_id, &[]) });
    }

    fn joins_as_leader(&mut self, generation: i32, members: &[(&str, &str)]) {
        self.joins(self.leads(generation, members));
    }

    fn leads(&self, generation_id: i32, members: &[(&str, &str)]) -> JoinGroupResponse {
        let members = members.iter().map(|(id, topics)| {
            let topics = topics.split_whitespace().map(TopicName::from).collect();
            let joining = codec::Joining {
                config: &self.member.config,
                member_id: &ByteString::new(),
                topics: &topics,
                owned: &BTreeSet::new(),
                generation: None,
                previous: &(Vec::new(), None),
                reason: &ByteString::new(),
            };
            let metadata = joining.request().protocols.remove(0).metadata;
            JoinGroupResponseMember { member_id: (*id).into(), metadata, ..Default::default() }
        });
        JoinGroupResponse {
            generation_id,
            protocol_name: self.member.config.assignors.first().map(|first| first.name().into()),
            leader: "m1".into(),
            member_id: "m1".into(),
            members: members.collect(),
            ..Default::default()
        }
    }

    fn syncs(&mut self, assigned: &str) {
        let partitions = assigned.split_whitespace().map(partition).collect();
        let assigned = MemberAssignment { partitions, user_data: None };
        let assignment = Assignment::from([("m1".into(), assigned)]);
        let assignment = codec::assignments(assignment).remove(0).assignment;
        let response = SyncGroupResponse { assignment, ..Default::default() };
        self.member.handle_sync(self.call(), Ok(&response), self.now).unwrap();
    }

    /// The next heartbeat, when it is due, is answered so.
    fn heartbeat(&mut self, code: ErrorCode) {
        self.later(3);
        self.sends("beat 1");
        self.heartbeat_answers(code);
    }

    fn heartbeat_answers(&mut self, code: ErrorCode) {
        let response = HeartbeatResponse { error_code: code.code(), ..Default::default() };
        self.member.handle_heartbeat(self.calls["beat"], Ok(&response), self.now).unwrap();
    }

    fn keep_alive_for(&mut self, seconds: u64) {
        for _ in 0..seconds / 3 {
            self.later(3);
            self.timeout();
            if self.describe_calls().starts_with("beat") {
                self.heartbeat_answers(ErrorCode::None);
            } else {
                self.member.handle_coordinator_moved(self.now);
            }
        }
    }

    fn leaves(&mut self) {
        let response = LeaveGroupResponse::default();
        self.member.handle_left(self.call(), Ok(&response), self.now).unwrap();
    }

    fn knows(&mut self, topic: &str, partitions: usize) {
        let cluster = ClusterTopics::from_counts([(topic, partitions)]);
        self.member.handle_topics(cluster, self.now);
    }

    fn wants(&self) -> Option<(String, bool)> {
        let (topics, waits) = self.member.wanted_topics()?;
        let topics: Vec<&str> = topics.iter().map(TopicName::as_str).collect();
        Some((topics.join(" "), waits))
    }

    fn later(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn timeout(&mut self) {
        self.member.handle_timeout(self.now);
    }

    fn finish(&mut self) {
        let id = self.member.current_notice().unwrap().id;
        self.member.finish_notice(id, self.now);
    }

    fn committable(&self) -> String {
        show(&self.member.committable().iter().cloned().collect::<Vec<_>>())
    }

    #[track_caller]
    fn notice(&self) -> GroupEvent {
        self.member.current_notice().unwrap().event.clone()
    }

    #[track_caller]
    fn was_refused(&self) {
        let notice = self.notice();
        let refused = matches!(notice, GroupEvent::Failed(GroupError::Refused { .. }));
        assert!(refused, "{notice:?}");
    }

    #[track_caller]
    fn tells(&self, expected: &str) {
        let shown = self.member.current_notice().map(|notice| match &notice.event {
            GroupEvent::Assigned { added, owned } => {
                format!("assigned {} of {}", show(added), show(owned))
            }
            GroupEvent::Revoking { partitions } => format!("revoking {}", show(partitions)),
            GroupEvent::Lost { partitions, reason } => {
                format!("lost {} to {reason:?}", show(partitions))
            }
            GroupEvent::Failed(error) => format!("failed: {error}"),
        });
        assert_eq!(shown.unwrap_or_default(), expected);
    }

    #[track_caller]
    fn sends(&mut self, expected: &str) {
        assert_eq!(self.describe_calls(), expected);
    }

    fn describe_calls(&mut self) -> String {
        let mut shown = Vec::new();
        while let Some(MembershipCall { id, request }) = self.member.poll_call(self.now) {
            let side = if matches!(request, MembershipRequest::Heartbeat(_)) {
                "beat"
            } else {
                "join side"
            };
            self.calls.insert(side, id);
            shown.push(describe(&request));
        }
        shown.join(", ")
    }
}

fn describe(request: &MembershipRequest) -> String {
    match request {
        MembershipRequest::Join(join) => {
            let member_id = &join.member_id;
            let response = JoinGroupResponse {
                members: vec![JoinGroupResponseMember {
                    metadata: join.protocols[0].metadata.clone(),
                    ..Default::default()
                }],
                ..Default::default()
            };
            let said = codec::subscriptions(&response).remove(0);
            match (said.owned.as_slice(), said.generation) {
                ([], _) => format!("join '{member_id}'"),
                (owned, generation) => {
                    format!("join '{member_id}' owning {} @{}", show(owned), generation.unwrap())
                }
            }
        }
        MembershipRequest::Sync(sync) => {
            let assignments = sync.assignments.iter().map(|to| {
                let assigned = codec::assignment(&to.assignment).unwrap();
                let assigned: Vec<TopicPartition> = assigned.into_iter().collect();
                format!("{}: {}", to.member_id, show(&assigned))
            });
            let assignments: Vec<String> = assignments.collect();
            format!("sync {} [{}]", sync.generation_id, assignments.join(" | "))
        }
        MembershipRequest::Heartbeat(beat) => format!("beat {}", beat.generation_id),
        MembershipRequest::Leave(leave) => format!("leave '{}'", leave.members[0].member_id),
    }
}

fn show(partitions: &[TopicPartition]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn partition(text: &str) -> TopicPartition {
    let (topic, partition) = text.split_once('-').unwrap();
    TopicPartition::new(topic, partition.parse().unwrap())
}
