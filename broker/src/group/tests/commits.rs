//! Committed offsets: `OffsetCommit`, `TxnOffsetCommit`, `OffsetFetch` and `OffsetDelete`.

use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequest, OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequest, OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
    OffsetFetchResponse,
};
use ottla_protocol::messages::txn_offset_commit::{
    TxnOffsetCommitRequest, TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};

use super::*;

const MINUTE: Duration = Duration::from_secs(60);

impl Fixture {
    /// The error of a commit to one partition, by whatever names topics in `version`.
    fn commit(&mut self, version: i16, request: OffsetCommitRequest) -> ErrorCode {
        let request = sent(request, version);
        let response = self.call(version, |groups, caller| groups.offset_commit(caller, request));
        error(response.topics[0].partitions[0].error_code)
    }

    /// Group, topic, partition and offset, as a consumer that is no member commits them.
    fn commit_offset(&mut self, group: &str, topic: &str, partition: i32, offset: i64) {
        assert_eq!(self.commit(9, commit(group, topic, partition, offset)), ErrorCode::None);
    }

    fn fetch(&mut self, version: i16, request: OffsetFetchRequest) -> OffsetFetchResponse {
        self.call(version, |groups, caller| groups.offset_fetch(caller, request))
    }

    /// `offset metadata error` of one partition.
    fn fetched(&mut self, group: &str, topic: &str, partition: i32) -> String {
        self.fetched_by(group, topic, partition, false)
    }

    fn fetched_by(&mut self, group: &str, topic: &str, partition: i32, stable: bool) -> String {
        let request =
            OffsetFetchRequest { require_stable: stable, ..fetch(group, topic, partition) };
        let response = self.fetch(9, request);
        let row = &response.groups[0].topics[0].partitions[0];
        let metadata = row.metadata.as_deref().unwrap_or("null");
        format!("{} {:?} {}", row.committed_offset, metadata, error(row.error_code).name())
    }

    fn txn_commit(&mut self, producer_id: i64, offset: i64) -> ErrorCode {
        let partitions = vec![TxnOffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: offset,
            ..Default::default()
        }];
        let topic =
            TxnOffsetCommitRequestTopic { name: "t".into(), partitions, ..Default::default() };
        let request = TxnOffsetCommitRequest {
            group_id: "g".into(),
            producer_id,
            topics: vec![topic],
            ..Default::default()
        };
        let response = self
            .call(3, |groups, caller| groups.txn_offset_commit(caller, request, &mut |_| Ok(())));
        error(response.topics[0].partitions[0].error_code)
    }

    fn delete(&mut self, group: &str, topic: &str, partition: i32) -> (ErrorCode, ErrorCode) {
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: partition }];
        let topics = vec![OffsetDeleteRequestTopic { name: topic.into(), partitions }];
        let request = OffsetDeleteRequest { group_id: group.into(), topics };
        let response = self.call(0, |groups, caller| groups.offset_delete(caller, request));
        let row = response.topics.first().map_or(0, |topic| topic.partitions[0].error_code);
        (error(response.error_code), error(row))
    }
}

const NOTHING: &str = "-1 \"\" NONE";

fn commit(group: &str, topic: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    let id = match topic {
        "t" => Uuid::from(T),
        "u" => Uuid::from(U),
        _ => Uuid::from(99),
    };
    let partitions = vec![OffsetCommitRequestPartition {
        partition_index: partition,
        committed_offset: offset,
        committed_leader_epoch: 5,
        committed_metadata: Some("mine".into()),
        ..Default::default()
    }];
    let topic = OffsetCommitRequestTopic {
        name: topic.into(),
        topic_id: id,
        partitions,
        ..Default::default()
    };
    OffsetCommitRequest { group_id: group.into(), topics: vec![topic], ..Default::default() }
}

/// In every version's place at once: each sends its own.
fn fetch(group: &str, topic: &str, partition: i32) -> OffsetFetchRequest {
    let id = if topic == "t" { Uuid::from(T) } else { Uuid::from(99) };
    let single = OffsetFetchRequestTopic {
        name: topic.into(),
        partition_indexes: vec![partition].into(),
        ..Default::default()
    };
    let topics = vec![OffsetFetchRequestTopics {
        name: topic.into(),
        topic_id: id,
        partition_indexes: vec![partition].into(),
        ..Default::default()
    }];
    OffsetFetchRequest {
        group_id: group.into(),
        topics: Some(vec![single]),
        groups: vec![OffsetFetchRequestGroup {
            group_id: group.into(),
            topics: Some(topics),
            ..Default::default()
        }],
        ..Default::default()
    }
}

#[test]
fn commit_metadata_round_trips() {
    for version in versions(ApiKey::OffsetCommit) {
        let mut fixture = Fixture::new();
        assert_eq!(fixture.commit(version, commit("g", "t", 1, 42)), ErrorCode::None);
        assert_eq!(fixture.fetched("g", "t", 1), "42 \"mine\" NONE", "version {version}");
    }
}

#[test]
fn an_offset_is_fetched_in_every_version() {
    for version in versions(ApiKey::OffsetFetch) {
        let mut fixture = Fixture::new();
        fixture.commit_offset("g", "t", 1, 42);
        let response = fixture.fetch(version, fetch("g", "t", 1));
        if version < 8 {
            let topic = &response.topics[0];
            let row = &topic.partitions[0];
            assert_eq!((&*topic.name, row.partition_index, row.committed_offset), ("t", 1, 42));
            assert_eq!(row.committed_leader_epoch, if version >= 5 { 5 } else { -1 });
            assert_eq!(row.metadata.as_deref(), Some("mine"));
        } else {
            let group = &response.groups[0];
            let row = &group.topics[0].partitions[0];
            assert_eq!((&*group.group_id, row.partition_index, row.committed_offset), ("g", 1, 42));
            assert_eq!(row.committed_leader_epoch, 5);
            assert_eq!(group.topics[0].topic_id == Uuid::from(T), version >= 10);
        }
    }
}

#[test]
fn fetching_offsets_of_an_unknown_group_is_not_an_error() {
    for version in versions(ApiKey::OffsetFetch) {
        let mut fixture = Fixture::new();
        let response = fixture.fetch(version, fetch("nobody", "t", 0));
        let (offset, epoch, metadata, code) = if version < 8 {
            let row = &response.topics[0].partitions[0];
            (row.committed_offset, row.committed_leader_epoch, &row.metadata, row.error_code)
        } else {
            let row = &response.groups[0].topics[0].partitions[0];
            (row.committed_offset, row.committed_leader_epoch, &row.metadata, row.error_code)
        };
        assert_eq!((offset, epoch, metadata.as_deref(), code), (-1, -1, Some(""), 0));
        assert_eq!(response.error_code, 0);
    }
}

#[test]
fn null_topics_are_all_topics() {
    for version in 2..=10 {
        let mut fixture = Fixture::new();
        fixture.commit_offset("g", "t", 0, 1);
        fixture.commit_offset("g", "t", 1, 2);
        fixture.commit_offset("g", "u", 0, 3);
        let mut request = fetch("g", "t", 0);
        request.topics = None;
        request.groups[0].topics = None;
        let response = fixture.fetch(version, request);
        let counts: Vec<_> = if version < 8 {
            response.topics.iter().map(|topic| topic.partitions.len()).collect()
        } else {
            response.groups[0].topics.iter().map(|topic| topic.partitions.len()).collect()
        };
        assert_eq!(counts, [2, 1], "version {version}");
    }
}

#[test]
fn all_topics_of_an_unknown_group_are_none() {
    let mut request = fetch("nobody", "t", 0);
    request.groups[0].topics = None;
    let response = Fixture::new().fetch(9, request);
    assert_eq!((response.groups[0].error_code, response.groups[0].topics.len()), (0, 0));
}

#[test]
fn several_groups_are_answered_each_for_itself() {
    let mut fixture = Fixture::new();
    fixture.commit_offset("mine", "t", 0, 7);
    fixture.cluster.elsewhere = Some(ErrorCode::NotCoordinator);
    let mut request = fetch("mine", "t", 0);
    request.groups.extend(fetch("other", "t", 0).groups);
    let response = fixture.fetch(8, request);
    assert_eq!(response.groups[0].topics[0].partitions[0].committed_offset, 7);
    assert_eq!(error(response.groups[1].error_code), ErrorCode::NotCoordinator);
    assert!(response.groups[1].topics.is_empty());
}

#[test]
fn an_error_of_the_group_is_told_by_each_partition_in_version_1() {
    let mut fixture = Fixture::new();
    fixture.cluster.elsewhere = Some(ErrorCode::NotCoordinator);
    let code = ErrorCode::NotCoordinator.code();
    let old = fixture.fetch(1, fetch("g", "t", 0));
    assert_eq!(old.topics[0].partitions[0].error_code, code);
    for version in 2..=7 {
        let response = fixture.fetch(version, fetch("g", "t", 0));
        assert_eq!((response.error_code, response.topics.len()), (code, 0));
    }
}

#[test]
fn an_unknown_topic_id_is_an_error_of_its_partitions() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.commit(10, commit("g", "gone", 0, 1)), ErrorCode::UnknownTopicId);
    let response = fixture.fetch(10, fetch("g", "gone", 0));
    let topic = &response.groups[0].topics[0];
    assert_eq!(topic.topic_id, Uuid::from(99));
    assert_eq!(error(topic.partitions[0].error_code), ErrorCode::UnknownTopicId);
    assert_eq!(topic.partitions[0].committed_offset, -1);
}

#[test]
fn an_offset_of_a_topic_is_not_that_of_another_with_its_name() {
    let mut fixture = Fixture::new();
    fixture.commit(10, commit("g", "t", 0, 1));
    fixture.cluster.topics.insert("t", Uuid::from(0x77));
    let mut request = fetch("g", "t", 0);
    request.groups[0].topics.as_mut().unwrap()[0].topic_id = Uuid::from(0x77);
    let response = fixture.fetch(10, request);
    assert_eq!(response.groups[0].topics[0].partitions[0].committed_offset, -1);
}

#[test]
fn an_injected_error_of_a_fetch_is_that_of_a_partition() {
    let row = Fixture::new().fetched("g", "injected", 0);
    assert_eq!(row, "-1 \"\" COORDINATOR_LOAD_IN_PROGRESS");
}

#[test]
fn commit_to_missing_partition_is_3() {
    let mut fixture = Fixture::new();
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(fixture.commit(9, commit("g", "t", 2, 1)), unknown);
    assert_eq!(fixture.commit(9, commit("g", "gone", 0, 1)), unknown);
    assert!(fixture.group_ids().is_empty());
}

#[test]
fn metadata_has_a_limit() {
    let mut fixture = Fixture::new();
    check_metadata(&mut fixture, 4096, ErrorCode::None);
    check_metadata(&mut fixture, 4097, ErrorCode::OffsetMetadataTooLarge);
    assert!(fixture.fetched("g", "t", 0).starts_with("4096"));
}

#[track_caller]
fn check_metadata(fixture: &mut Fixture, length: usize, expected: ErrorCode) {
    let mut request = commit("g", "t", 0, i64::try_from(length).unwrap());
    request.topics[0].partitions[0].committed_metadata = Some("ä".repeat(length).into());
    assert_eq!(fixture.commit(9, request), expected);
}

#[test]
fn null_metadata_is_empty_metadata() {
    let mut fixture = Fixture::new();
    let mut request = commit("g", "t", 0, 1);
    request.topics[0].partitions[0].committed_metadata = None;
    fixture.commit(9, request);
    assert_eq!(fixture.fetched("g", "t", 0), "1 \"\" NONE");
}

#[test]
fn committing_minus_one_is_not_a_delete() {
    let mut fixture = Fixture::new();
    fixture.commit_offset("g", "t", 0, -1);
    assert_eq!(fixture.fetched("g", "t", 0), "-1 \"mine\" NONE");
}

#[test]
fn a_generation_of_an_unknown_group_is_refused_as_the_version_can() {
    for version in versions(ApiKey::OffsetCommit) {
        let request =
            OffsetCommitRequest { generation_id_or_member_epoch: 0, ..commit("g", "t", 0, 1) };
        let expected =
            if version >= 9 { ErrorCode::GroupIdNotFound } else { ErrorCode::IllegalGeneration };
        assert_eq!(Fixture::new().commit(version, request), expected, "version {version}");
    }
}

#[test]
fn a_member_commits_in_its_generation() {
    let (mut fixture, member_id) = Fixture::with_member();
    let request = OffsetCommitRequest { member_id, ..commit("g", "t", 0, 1) };
    for (generation, expected) in [
        (1, ErrorCode::None),
        (0, ErrorCode::IllegalGeneration),
        (-1, ErrorCode::IllegalGeneration),
    ] {
        let request =
            OffsetCommitRequest { generation_id_or_member_epoch: generation, ..request.clone() };
        assert_eq!(fixture.commit(9, request), expected);
    }
    assert_eq!(fixture.commit(9, commit("g", "t", 0, 1)), ErrorCode::UnknownMemberId);
}

#[test]
fn offsets_are_committed_at_the_coordinator() {
    let mut fixture = Fixture::new();
    fixture.cluster.elsewhere = Some(ErrorCode::NotCoordinator);
    assert_eq!(fixture.commit(9, commit("g", "t", 0, 1)), ErrorCode::NotCoordinator);
    assert_eq!(fixture.delete("g", "t", 0).0, ErrorCode::NotCoordinator);
}

#[test]
fn an_offset_in_a_transaction_counts_when_it_is_committed() {
    let mut fixture = Fixture::new();
    fixture.commit_offset("g", "t", 0, 1);
    assert_eq!(fixture.txn_commit(1000, 2), ErrorCode::None);
    assert_eq!(fixture.fetched_by("g", "t", 0, false), "1 \"mine\" NONE");
    assert_eq!(fixture.fetched_by("g", "t", 0, true), "-1 \"\" UNSTABLE_OFFSET_COMMIT");
    fixture.groups.handle_transaction_end("g", 1000, TransactionResult::Commit);
    assert_eq!(fixture.fetched_by("g", "t", 0, true), "2 \"\" NONE");
}

#[test]
fn an_offset_in_an_aborted_transaction_never_was() {
    let mut fixture = Fixture::new();
    fixture.commit_offset("g", "t", 0, 1);
    fixture.txn_commit(1000, 2);
    fixture.groups.handle_transaction_end("g", 1000, TransactionResult::Abort);
    assert_eq!(fixture.fetched_by("g", "t", 0, true), "1 \"mine\" NONE");
}

#[test]
fn a_transaction_that_ends_late_overwrites_nothing_newer() {
    let mut fixture = Fixture::new();
    fixture.txn_commit(1000, 1);
    fixture.txn_commit(2000, 2);
    fixture.commit_offset("g", "t", 0, 3);
    fixture.groups.handle_transaction_end("g", 2000, TransactionResult::Commit);
    fixture.groups.handle_transaction_end("g", 1000, TransactionResult::Commit);
    assert_eq!(fixture.fetched("g", "t", 0), "3 \"mine\" NONE");
}

#[test]
fn offsets_expire_when_the_group_was_empty_for_long() {
    let mut fixture = Fixture::with(|config| {
        config.offsets_retention = 60 * MINUTE;
        config.offsets_retention_check_interval = MINUTE;
    });
    let joined = fixture.join(3, join("g"));
    let member_id = joined.member_id;
    let request = OffsetCommitRequest {
        generation_id_or_member_epoch: 1,
        member_id: member_id.clone(),
        ..commit("g", "t", 0, 5)
    };
    fixture.sync(3, sync("g", &member_id, 1, b""));
    fixture.commit(9, request);
    for _ in 0..20 * 60 {
        fixture.pass(MINUTE / 12);
        fixture.heartbeat(&member_id);
    }
    fixture.leave(&member_id);
    fixture.pass(59 * MINUTE);
    assert_eq!(fixture.fetched("g", "t", 0), "5 \"mine\" NONE");
    fixture.pass(2 * MINUTE);
    assert_eq!(fixture.fetched("g", "t", 0), NOTHING);
    assert!(fixture.group_ids().is_empty());
    assert_eq!(fixture.groups.next_timeout(), None);
}

#[test]
fn offsets_of_a_topic_that_is_no_longer_consumed_expire() {
    let mut fixture = Fixture::with(|config| {
        config.offsets_retention = MINUTE;
        config.offsets_retention_check_interval = MINUTE;
    });
    fixture.commit_offset("g", "t", 0, 1);
    fixture.commit_offset("g", "u", 0, 2);
    let joined = fixture.join(3, join("g"));
    fixture.sync(3, sync("g", &joined.member_id, 1, b""));
    for _ in 0..24 {
        fixture.pass(MINUTE / 12);
        fixture.heartbeat(&joined.member_id);
    }
    assert_eq!(fixture.fetched("g", "t", 0), "1 \"mine\" NONE");
    assert_eq!(fixture.fetched("g", "u", 0), NOTHING);
}

#[test]
fn an_old_commit_says_itself_when_it_expires() {
    for (version, kept) in [(4, false), (5, true)] {
        let mut fixture = Fixture::new();
        let request = OffsetCommitRequest { retention_time_ms: 1000, ..commit("g", "t", 0, 1) };
        fixture.commit(version, request);
        fixture.pass(10 * MINUTE);
        assert_eq!(fixture.fetched("g", "t", 0) != NOTHING, kept, "version {version}");
    }
}

#[test]
fn an_offset_that_a_transaction_may_change_does_not_expire() {
    let mut fixture = Fixture::with(|config| config.offsets_retention = MINUTE);
    fixture.commit_offset("g", "t", 0, 1);
    fixture.txn_commit(1000, 2);
    fixture.pass(20 * MINUTE);
    assert_eq!(fixture.fetched("g", "t", 0), "1 \"mine\" NONE");
    fixture.groups.handle_transaction_end("g", 1000, TransactionResult::Abort);
    fixture.pass(10 * MINUTE);
    assert_eq!(fixture.fetched("g", "t", 0), NOTHING);
}

#[test]
fn offsets_die_with_their_topic() {
    let mut fixture = Fixture::new();
    fixture.commit_offset("g", "t", 0, 1);
    fixture.commit_offset("g", "u", 0, 2);
    fixture.groups.handle_topic_deleted("t");
    assert_eq!(fixture.fetched("g", "t", 0), NOTHING);
    assert_eq!(fixture.fetched("g", "u", 0), "2 \"mine\" NONE");
}

#[test]
fn an_offset_is_deleted() {
    let mut fixture = Fixture::new();
    fixture.commit_offset("g", "t", 0, 1);
    fixture.commit_offset("g", "t", 1, 2);
    assert_eq!(fixture.delete("g", "t", 0), (ErrorCode::None, ErrorCode::None));
    assert_eq!(fixture.fetched("g", "t", 0), NOTHING);
    assert_eq!(fixture.fetched("g", "t", 1), "2 \"mine\" NONE");
    let missing = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(fixture.delete("g", "t", 9), (ErrorCode::None, missing));
}

#[test]
fn an_offset_that_consumers_use_is_not_deleted() {
    let (mut fixture, _) = Fixture::with_member();
    let subscribed = ErrorCode::GroupSubscribedToTopic;
    assert_eq!(fixture.delete("g", "t", 0), (ErrorCode::None, subscribed));
    assert_eq!(fixture.delete("g", "u", 0), (ErrorCode::None, ErrorCode::None));
}

#[test]
fn nobody_knows_what_members_of_another_kind_consume() {
    let mut fixture = Fixture::new();
    fixture.join(3, JoinGroupRequest { protocol_type: "connect".into(), ..join("g") });
    assert_eq!(fixture.delete("g", "t", 0).0, ErrorCode::NonEmptyGroup);
}

#[test]
fn offsets_of_an_unknown_group_cannot_be_deleted() {
    let mut fixture = Fixture::new();
    assert_eq!(fixture.delete("nobody", "t", 0).0, ErrorCode::GroupIdNotFound);
    assert_eq!(fixture.delete("", "t", 0).0, ErrorCode::InvalidGroupId);
}
