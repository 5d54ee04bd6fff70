//! Commits and lookups, one event after the other.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use ottla_core::error::{Certainty, ErrorCode, RequestError};
use ottla_core::retry::Deadline;
use ottla_core::types::{ConsumerGroupMetadata, LeaderEpoch, TopicPartition, Uuid};
use ottla_protocol::Message;
use ottla_protocol::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse,
};

use super::*;
use crate::machine::membership::Phase;

#[test]
fn one_commit_is_under_way_and_the_newest_of_the_others_follows() {
    let mut bed = Bed::member("t-0");
    let first = bed.commit("t-0=1");
    bed.sends("t-0=1 @1");
    let (second, third) = (bed.commit("t-0=2"), bed.commit("t-0=3"));
    bed.sends("");
    bed.answers("t-0", ErrorCode::None);
    bed.done(first, "ok");
    bed.sends("t-0=3 @1");
    bed.answers("t-0", ErrorCode::None);
    bed.done(second, "ok");
    bed.done(third, "ok");
}

#[test]
fn a_retry_never_overwrites_a_newer_commit() {
    let mut bed = Bed::member("t-0 t-1");
    bed.commit("t-0=1 t-1=1");
    bed.sends("t-0=1 t-1=1 @1");
    bed.commit("t-0=2");
    bed.answers("t-0 t-1", ErrorCode::CoordinatorLoadInProgress);
    bed.sends("");
    bed.later(100);
    bed.sends("t-0=2 t-1=1 @1");
}

#[test]
fn a_retry_waits_tens_of_milliseconds_at_first() {
    let mut bed = Bed::member("t-0");
    bed.commit("t-0=1");
    bed.sends("t-0=1 @1");
    bed.answers("t-0", ErrorCode::CoordinatorLoadInProgress);
    let wait = bed.commits.next_call().unwrap() - bed.now;
    assert!(wait <= Duration::from_millis(30), "{wait:?}");
}

#[test]
fn what_others_own_is_not_committed() {
    let mut bed = Bed::member("t-0");
    let one = bed.commit("t-0=1 u-0=1");
    bed.sends("t-0=1 @1");
    bed.answers("t-0", ErrorCode::None);
    bed.done(one, "u-0 no longer belongs to this consumer");
    let none = bed.commit("u-0=1");
    bed.sends("");
    bed.done(none, "u-0 no longer belongs to this consumer");
}

#[test]
fn without_a_subscription_anything_may_be_committed() {
    let mut bed = Bed::member("");
    bed.phase = Phase::Standalone;
    bed.metadata = ConsumerGroupMetadata::standalone("g");
    let one = bed.commit("t-0=1");
    bed.sends("t-0=1 @-1");
    bed.answers("t-0", ErrorCode::UnknownMemberId);
    bed.done(
        one,
        "refused with UNKNOWN_MEMBER_ID (25): the group does not know this member; \
                   the group has members that subscribe, and only they may commit",
    );
}

#[test]
fn a_commit_between_generations_waits_for_the_next() {
    let mut bed = Bed::member("t-0 t-1");
    bed.phase = Phase::Between;
    let one = bed.commit("t-0=1 t-1=1");
    bed.sends("");
    bed.rebalanced(2, "t-1");
    bed.sends("t-1=1 @2");
    bed.answers("t-1", ErrorCode::None);
    bed.done(one, "t-0 no longer belongs to this consumer");
}

#[test]
fn what_was_lost_and_came_again_is_not_committed() {
    let mut bed = Bed::member("t-0 t-1");
    let one = bed.commit("t-0=1 t-1=1");
    bed.sends("t-0=1 t-1=1 @1");
    bed.is_between("t-1");
    bed.commits.handle_coordinator_moved();
    bed.rebalanced(3, "t-0 t-1");
    bed.sends("t-1=1 @3");
    bed.answers("t-1", ErrorCode::None);
    bed.done(one, "t-0 no longer belongs to this consumer");
}

#[test]
fn what_was_on_its_way_when_it_was_given_up_may_still_be_committed() {
    let mut bed = Bed::member("t-0");
    let one = bed.commit("t-0=1");
    bed.sends("t-0=1 @1");
    bed.is_between("");
    bed.rebalanced(2, "t-0");
    bed.answers("t-0", ErrorCode::None);
    bed.done(one, "ok");
}

#[test]
fn a_refusal_during_a_join_says_nothing_yet() {
    for code in [ErrorCode::IllegalGeneration, ErrorCode::UnknownMemberId] {
        let mut bed = Bed::member("t-0");
        let one = bed.commit("t-0=1");
        bed.sends("t-0=1 @1");
        bed.phase = Phase::Joining;
        assert_eq!(bed.answers("t-0", code).refusal, None);
        bed.later(5_000);
        bed.sends("");
        bed.rebalanced(2, "t-0");
        bed.sends("t-0=1 @2");
        bed.answers("t-0", ErrorCode::None);
        bed.done(one, "ok");
    }
}

#[test]
fn a_member_that_was_put_out_is_told() {
    let mut bed = Bed::member("t-0");
    let one = bed.commit("t-0=1");
    bed.sends("t-0=1 @1");
    let outcome = bed.answers("t-0", ErrorCode::IllegalGeneration);
    let refusal = Refusal { code: ErrorCode::IllegalGeneration, generation: 1 };
    assert_eq!(outcome.refusal, Some(refusal));
    assert!(outcome.committed.is_empty());
    bed.done(
        one,
        "this consumer is no longer a member of its group, and others have its \
                   partitions; the next poll rejoins",
    );
}

#[test]
fn a_moved_coordinator_is_asked_the_same() {
    let mut bed = Bed::member("t-0");
    let one = bed.commit("t-0=1");
    bed.sends("t-0=1 @1");
    assert!(bed.answers("t-0", ErrorCode::NotCoordinator).coordinator_lost);
    bed.commits.handle_coordinator_moved();
    bed.sends("t-0=1 @1");
    let lost = RequestError::Closed { certainty: Certainty::PossiblyWritten };
    assert!(bed.commits.handle_failure(bed.call, &lost, bed.now));
    bed.commits.handle_coordinator_moved();
    bed.sends("t-0=1 @1");
    bed.answers("t-0", ErrorCode::None);
    bed.done(one, "ok");
}

#[test]
fn a_partition_that_is_refused_does_not_hold_the_others() {
    let mut bed = Bed::member("t-0 t-1");
    let both = bed.commit("t-0=1 t-1=1");
    let other = bed.commit("t-1=2");
    bed.sends("t-0=1 t-1=2 @1");
    let codes = [
        (partition("t-0"), ErrorCode::TopicAuthorizationFailed),
        (partition("t-1"), ErrorCode::None),
    ];
    let outcome = bed.answers_each(&codes.into());
    assert_eq!(outcome.committed, offsets("t-1=2"));
    bed.done(
        both,
        "t-0: refused with TOPIC_AUTHORIZATION_FAILED (29): the principal may not use \
                    this topic; it needs READ on the topic",
    );
    bed.done(other, "ok");
}

#[test]
fn an_answer_that_leaves_a_partition_out_has_not_committed_it() {
    let mut bed = Bed::member("t-0");
    let one = bed.commit("t-0=1");
    bed.sends("t-0=1 @1");
    bed.answers("t-7", ErrorCode::None);
    let outcome = bed.outcome(one);
    assert!(matches!(outcome, Err(CommitError::Partition { .. })), "{outcome:?}");
}

#[test]
fn a_commit_ends_at_its_deadline_whatever_happens() {
    let mut bed = Bed::member("t-0");
    bed.phase = Phase::Between;
    let waiting = bed.commit("t-0=1");
    bed.later(60_000);
    bed.done(waiting, "not answered for within 60000 ms");
    bed.phase = Phase::Member;
    let refused = bed.commit("t-0=1");
    bed.sends("t-0=1 @1");
    bed.answers("t-0", ErrorCode::RebalanceInProgress);
    bed.later(60_000);
    bed.done(refused, "the group is rebalancing; poll, and commit again");
    assert!(bed.commits.is_idle());
}

#[test]
fn who_left_cannot_commit() {
    let mut bed = Bed::member("t-0");
    bed.phase = Phase::Outside;
    let one = bed.commit("t-0=1");
    bed.sends("");
    assert!(matches!(bed.outcome(one), Err(CommitError::NotMember)));
}

#[test]
fn nothing_to_commit_is_done() {
    let mut bed = Bed::member("");
    let one = bed.commit("");
    bed.done(one, "ok");
}

#[test]
fn the_store_goes_ahead_only() {
    let mut store = OffsetStore::default();
    for offset in [5, 3, 7, 6] {
        store.store(&partition("t-0"), Offset::new(offset));
    }
    assert_eq!(store.uncommitted(None), offsets("t-0=7"));
    store.handle_committed(&offsets("t-0=7"));
    assert_eq!(store.uncommitted(None), offsets(""));
    store.reset(&partition("t-0"));
    store.store(&partition("t-0"), Offset::new(2));
    assert_eq!(store.uncommitted(None), offsets("t-0=2"));
    assert_eq!(store.uncommitted(Some(&BTreeSet::from([partition("t-1")]))), offsets(""));
}

#[test]
fn the_store_follows_the_marks_where_there_are_any() {
    let mut store = OffsetStore::default();
    let marks = store.track_marks(&partition("t-0"));
    let epoch = LeaderEpoch::from_wire(1);
    marks.hand_out((0..4).map(|offset| (offset, epoch)));
    store.store(&partition("t-0"), Offset::new(4));
    assert_eq!(store.uncommitted(None), offsets(""), "returned is not processed");
    marks.acknowledge(1, epoch);
    marks.acknowledge(0, epoch);
    let expected = Offsets::from([(partition("t-0"), Offset::new(2).with_leader_epoch(epoch))]);
    assert_eq!(store.uncommitted(None), expected);
}

#[test]
fn an_unstable_offset_is_waited_for_and_never_none() {
    let mut bed = Bed::member("");
    let id = bed.look_up("t-0 t-1");
    bed.asks("t-0 t-1");
    bed.tells(ErrorCode::None, "t-0=4", "t-1", ErrorCode::UnstableOffsetCommit);
    bed.asks("");
    bed.later(100);
    bed.asks("t-1");
    bed.tells(ErrorCode::None, "t-1=none", "", ErrorCode::None);
    let found = bed.found(id).unwrap();
    assert_eq!(found[&partition("t-0")], Some(Offset::new(4)));
    assert_eq!(found[&partition("t-1")], None);
}

#[test]
fn the_end_of_a_transaction_is_asked_for_every_tenth_of_a_second() {
    let mut bed = Bed::member("");
    bed.look_up("t-0");
    for round in 0..20 {
        bed.asks("t-0");
        bed.tells(ErrorCode::None, "", "t-0", ErrorCode::UnstableOffsetCommit);
        let wait = bed.lookups.next_call().unwrap() - bed.now;
        assert!((15..=125).contains(&wait.as_millis()), "{wait:?} in round {round}");
        bed.later(125);
    }
}

#[test]
fn what_can_be_told_waits_for_no_open_transaction_where_that_is_asked_for() {
    let mut bed = Bed::member("");
    bed.look_up_and("t-0 t-1 t-2", Wait::ForAny);
    bed.asks("t-0 t-1 t-2");
    bed.tells(ErrorCode::None, "", "t-0 t-1 t-2", ErrorCode::UnstableOffsetCommit);
    assert!(bed.lookups.poll_done().is_none(), "nothing can be told");
    bed.later(100);
    bed.asks("t-0 t-1 t-2");
    bed.tells(ErrorCode::None, "t-1=4", "t-0 t-2", ErrorCode::UnstableOffsetCommit);
    let (_, found) = bed.lookups.poll_done().unwrap();
    assert_eq!(found.unwrap(), [(partition("t-1"), Ok(Some(Offset::new(4))))].into());
    bed.later(100);
    bed.asks("");
}

#[test]
fn a_lookup_that_is_given_up_is_not_asked_for() {
    let mut bed = Bed::member("");
    let (first, second) = (bed.look_up("t-0"), bed.look_up("t-1"));
    let third = bed.look_up("t-2");
    bed.asks("t-0");
    assert!(!bed.lookups.give_up(first), "it is being answered");
    assert!(bed.lookups.give_up(second));
    bed.tells(ErrorCode::None, "t-0=4", "", ErrorCode::None);
    assert!(bed.found(first).is_ok());
    bed.asks("t-2");
    bed.tells(ErrorCode::None, "t-2=4", "", ErrorCode::None);
    assert!(bed.found(third).is_ok());
}

#[test]
fn an_error_is_never_taken_for_none() {
    for code in ErrorCode::ALL.iter().copied().filter(|code| code.is_error()) {
        let mut bed = Bed::member("");
        let id = bed.look_up("t-0");
        bed.asks("t-0");
        bed.tells(ErrorCode::None, "", "t-0", code);
        bed.later(60_000);
        assert!(bed.found(id).is_err(), "{code}");
        let id = bed.look_up("t-0");
        bed.asks("t-0");
        bed.tells(code, "t-0=none", "", code);
        bed.later(60_000);
        assert!(bed.found(id).is_err(), "{code}");
    }
    let mut bed = Bed::member("");
    let id = bed.look_up("t-0");
    bed.asks("t-0");
    bed.tells(ErrorCode::None, "t-1=4", "", ErrorCode::None);
    assert!(bed.found(id).is_err(), "it was left out");
}

#[test]
fn a_topic_that_nobody_knows_is_refused_after_a_moment_and_the_others_are_found() {
    let mut bed = Bed::member("");
    bed.look_up("gone-0 t-0");
    bed.asks("gone-0 t-0");
    bed.tells(ErrorCode::None, "t-0=4", "gone-0", ErrorCode::UnknownTopicId);
    for _ in 1..6 {
        bed.later(1_000);
        bed.asks("gone-0");
        bed.tells(ErrorCode::None, "", "gone-0", ErrorCode::UnknownTopicId);
    }
    bed.later(1_000);
    bed.asks("");
    let (_, found) = bed.lookups.poll_done().unwrap();
    let found = found.unwrap();
    assert_eq!(found[&partition("gone-0")], Err(ErrorCode::UnknownTopicId));
    assert_eq!(found[&partition("t-0")], Ok(Some(Offset::new(4))));
}

#[test]
fn a_commit_to_a_topic_that_nobody_knows_is_refused_after_a_moment() {
    let mut bed = Bed::member("t-0 gone-0");
    let (both, other) = (bed.commit("t-0=1 gone-0=1"), bed.commit("t-0=2"));
    bed.sends("gone-0=1 t-0=2 @1");
    let unknown = ErrorCode::UnknownTopicId;
    let codes = [(partition("gone-0"), unknown), (partition("t-0"), ErrorCode::None)];
    assert!(bed.answers_each(&codes.into()).topic_unknown);
    for _ in 1..5 {
        bed.later(1_000);
        bed.sends("gone-0=1 @1");
        assert!(bed.answers("gone-0", unknown).topic_unknown);
    }
    bed.later(1_000);
    bed.sends("gone-0=1 @1");
    bed.done(other, "ok");
    bed.answers("gone-0", ErrorCode::UnknownTopicId);
    bed.later(1_000);
    bed.sends("");
    bed.done(
        both,
        "gone-0: refused with UNKNOWN_TOPIC_ID (100): the broker does not know the topic id; \
                   the topic was deleted, or made again since",
    );
}

#[test]
fn a_partition_without_an_id_is_of_no_topic_unless_the_answer_goes_by_names() {
    let (asked, none) = (offsets("gone-0=1"), TopicIds::new());
    let codes = commit_codes(&OffsetCommitResponse::default(), &asked, &none);
    assert_eq!(codes[&partition("gone-0")], ErrorCode::UnknownTopicId);
    let asked = BTreeSet::from([partition("gone-0")]);
    let found = looked_up(&OffsetFetchResponse::default(), &asked, &none);
    assert!(found.names_unknown_topic());
    assert_eq!(found.partitions[&partition("gone-0")], Err(ErrorCode::UnknownTopicId));
}

#[test]
fn requests_can_be_written_in_every_version() {
    let ids = TopicIds::from([("t".into(), Uuid::from(7_u128))]);
    let metadata = ConsumerGroupMetadata {
        generation_id: 3,
        member_id: "m".into(),
        ..ConsumerGroupMetadata::standalone("g")
    };
    let request = commit_request(&metadata, &offsets("t-0=1 t-1=2"), &ids);
    for version in 2..=10 {
        let bytes = request.encode(version).unwrap().into_bytes();
        let read = OffsetCommitRequest::decode(&bytes, version).unwrap();
        assert_eq!(read.topics[0].partitions.len(), 2);
    }
    let partitions = BTreeSet::from([partition("t-0"), partition("t-1")]);
    for version in 1..=10 {
        let request = lookup_request(&"g".into(), &partitions, &ids, version);
        let bytes = request.encode(version).unwrap().into_bytes();
        OffsetFetchRequest::decode(&bytes, version).unwrap();
    }
}

#[test]
fn answers_are_read_by_name_and_by_id() {
    use ottla_protocol::messages::offset_commit as commit;
    use ottla_protocol::messages::offset_fetch as fetch;
    let (id, ids) = (Uuid::from(7_u128), TopicIds::from([("t".into(), Uuid::from(7_u128))]));
    for (name, topic_id) in [("t", Uuid::ZERO), ("", id)] {
        let row = commit::OffsetCommitResponsePartition { error_code: 22, ..Default::default() };
        let topic = commit::OffsetCommitResponseTopic {
            name: name.into(),
            topic_id,
            partitions: vec![row],
            ..Default::default()
        };
        let response = OffsetCommitResponse { topics: vec![topic], ..Default::default() };
        let codes = commit_codes(&response, &offsets("t-0=1"), &ids);
        assert_eq!(codes[&partition("t-0")], ErrorCode::IllegalGeneration);

        let row =
            fetch::OffsetFetchResponsePartitions { committed_offset: 5, ..Default::default() };
        let topic = fetch::OffsetFetchResponseTopics {
            name: name.into(),
            topic_id,
            partitions: vec![row],
            ..Default::default()
        };
        let group = fetch::OffsetFetchResponseGroup { topics: vec![topic], ..Default::default() };
        let response = OffsetFetchResponse { groups: vec![group], ..Default::default() };
        let found = looked_up(&response, &BTreeSet::from([partition("t-0")]), &ids).partitions;
        assert_eq!(found[&partition("t-0")].as_ref().unwrap().as_ref().unwrap().offset, 5);
    }
}

struct Bed {
    commits: Commits,
    lookups: Lookups,
    metadata: ConsumerGroupMetadata,
    phase: Phase,
    owned: BTreeSet<TopicPartition>,
    now: Instant,
    call: CommitId,
    lookup: LookupId,
    done: Vec<(CommitId, Result<(), CommitError>)>,
}

impl Bed {
    #[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other")]
    fn member(owned: &str) -> Self {
        let now = Instant::now();
        let mut commits = Commits::new(7);
        let mut lookups = Lookups::new(7);
        let deadline = Deadline::after(now, Duration::ZERO);
        let call = commits.commit(Offsets::new(), now, deadline);
        let lookup = lookups.look_up(BTreeSet::new(), Wait::ForAll, now, deadline);
        assert!(commits.poll_done().is_some() && lookups.poll_done().is_some());
        let metadata = ConsumerGroupMetadata {
            generation_id: 1,
            member_id: "m".into(),
            ..ConsumerGroupMetadata::standalone("g")
        };
        let owned = owned.split_whitespace().map(partition).collect();
        let (phase, done) = (Phase::Member, Vec::new());
        Self { commits, lookups, metadata, phase, owned, now, call, lookup, done }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.now, Duration::from_secs(60))
    }

    fn commit(&mut self, text: &str) -> CommitId {
        self.commits.commit(offsets(text), self.now, self.deadline())
    }

    #[track_caller]
    fn sends(&mut self, expected: &str) {
        let seat = Seat { metadata: &self.metadata, phase: self.phase, owned: &self.owned };
        let call = self.commits.poll_call(&seat, self.now);
        let shown = call.map(|call| {
            self.call = call.id;
            let offsets = call.offsets.iter();
            let offsets = offsets.map(|(to, offset)| format!("{to}={} ", offset.offset));
            format!("{}@{}", offsets.collect::<String>(), call.metadata.generation_id)
        });
        assert_eq!(shown.unwrap_or_default(), expected);
    }

    fn answers(&mut self, partitions: &str, code: ErrorCode) -> Outcome {
        let codes = partitions.split_whitespace().map(|to| (partition(to), code)).collect();
        self.answers_each(&codes)
    }

    fn answers_each(&mut self, codes: &PartitionCodes) -> Outcome {
        let seat = Seat { metadata: &self.metadata, phase: self.phase, owned: &self.owned };
        self.commits.handle_answer(self.call, codes, &seat, self.now)
    }

    fn is_between(&mut self, owned: &str) {
        self.phase = Phase::Between;
        self.owned = owned.split_whitespace().map(partition).collect();
        let seat = Seat { metadata: &self.metadata, phase: self.phase, owned: &self.owned };
        self.commits.handle_seat(&seat);
    }

    fn rebalanced(&mut self, generation: i32, owned: &str) {
        self.metadata.generation_id = generation;
        self.phase = Phase::Member;
        self.owned = owned.split_whitespace().map(partition).collect();
    }

    fn later(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.commits.handle_timeout(self.now);
        self.lookups.handle_timeout(self.now);
    }

    #[track_caller]
    fn outcome(&mut self, id: CommitId) -> Result<(), CommitError> {
        while let Some(done) = self.commits.poll_done() {
            self.done.push(done);
        }
        let at = self.done.iter().position(|(done, _)| *done == id).expect("it is settled");
        self.done.remove(at).1
    }

    #[track_caller]
    fn done(&mut self, id: CommitId, expected: &str) {
        let shown = self.outcome(id).map_or_else(|error| error.to_string(), |()| "ok".into());
        assert_eq!(shown, expected);
    }

    fn look_up(&mut self, partitions: &str) -> LookupId {
        self.look_up_and(partitions, Wait::ForAll)
    }

    fn look_up_and(&mut self, partitions: &str, wait: Wait) -> LookupId {
        let partitions = partitions.split_whitespace().map(partition).collect();
        self.lookups.look_up(partitions, wait, self.now, self.deadline())
    }

    #[track_caller]
    fn asks(&mut self, expected: &str) {
        let shown = self.lookups.poll_call(self.now).map(|call| {
            self.lookup = call.id;
            call.partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        });
        assert_eq!(shown.unwrap_or_default(), expected);
    }

    fn tells(&mut self, group_code: ErrorCode, found: &str, refused: &str, code: ErrorCode) {
        let found = found.split_whitespace().map(|row| {
            let (to, offset) = row.split_once('=').unwrap();
            (partition(to), Ok(offset.parse().ok().map(Offset::new)))
        });
        let refused = refused.split_whitespace().map(|to| (partition(to), Err(code)));
        let answer = LookedUp { group_code, partitions: found.chain(refused).collect() };
        self.lookups.handle_answer(self.lookup, &answer, self.now);
    }

    #[track_caller]
    fn found(&mut self, id: LookupId) -> Result<CommittedOffsets, CommitError> {
        let (done, outcome) = self.lookups.poll_done().expect("it is settled");
        assert_eq!(done, id);
        let told = outcome?.into_iter().map(|(partition, offset)| match offset {
            Ok(offset) => Ok((partition, offset)),
            Err(code) => Err(CommitError::Partition { partition, code }),
        });
        told.collect()
    }
}

fn offsets(text: &str) -> Offsets {
    let offsets = text.split_whitespace().map(|row| {
        let (to, offset) = row.split_once('=').unwrap();
        (partition(to), Offset::new(offset.parse().unwrap()))
    });
    offsets.collect()
}

fn partition(text: &str) -> TopicPartition {
    let (topic, number) = text.split_once('-').unwrap();
    TopicPartition::new(topic, number.parse().unwrap())
}
