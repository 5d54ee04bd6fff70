//! Groups and their offsets.

use bytes::Bytes;
use ottla_protocol::messages::join_group::JoinGroupRequestProtocol;
use ottla_protocol::messages::leave_group::MemberIdentity;
use ottla_protocol::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ottla_protocol::messages::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use ottla_protocol::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use ottla_protocol::messages::sync_group::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, FindCoordinatorResponse,
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest, ListGroupsRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, SyncGroupRequest,
};
use ottla_protocol::{ByteString, Uuid};

use super::every;
use crate::twin::{Side, Twin};

pub(super) async fn play(twin: &mut Twin) {
    find_coordinators(twin).await;
    members(twin).await;
    wrong_members(twin).await;
    commits(twin).await;
    fetches(twin).await;
    listings(twin).await;
    deletions(twin).await;
}

fn coordinator(version: i16, key: &str, key_type: i8) -> FindCoordinatorRequest {
    let batched = version >= 4;
    FindCoordinatorRequest {
        key: if batched { ByteString::new() } else { key.into() },
        key_type,
        coordinator_keys: if batched { vec![key.into()] } else { Vec::new() },
        ..Default::default()
    }
}

async fn find_coordinators(twin: &mut Twin) {
    // Kafka makes the topics of its coordinators with the first question.
    for key_type in [0, 1] {
        let found =
            |_: &mut Side, answer: &FindCoordinatorResponse| answer.coordinators[0].error_code == 0;
        twin.learn(
            &format!("until there is one of kind {key_type}"),
            4,
            |_| coordinator(4, "g", key_type),
            found,
        )
        .await;
    }
    for version in every::<FindCoordinatorRequest>() {
        twin.ask("", version, |_| coordinator(version, "g", 0)).await;
    }
    twin.ask("of a transaction", 4, |_| coordinator(4, "x", 1)).await;
    twin.ask("of an empty key", 4, |_| coordinator(4, "", 0)).await;
    twin.ask("of a kind that is none", 4, |_| coordinator(4, "g", 9)).await;
    twin.ask("of a kind that is none", 3, |_| coordinator(3, "g", 9)).await;
}

fn join(side: &Side, group: &str, is_known: bool) -> JoinGroupRequest {
    let protocol = JoinGroupRequestProtocol {
        name: "range".into(),
        metadata: Bytes::from_static(b"\0\0\0\0\0\x01\0\x04twin\xff\xff\xff\xff"),
        ..Default::default()
    };
    JoinGroupRequest {
        group_id: group.into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        member_id: if is_known { side.member.clone() } else { ByteString::new() },
        protocol_type: "consumer".into(),
        protocols: vec![protocol],
        ..Default::default()
    }
}

fn sync(side: &Side, version: i16, group: &str, generation_id: i32) -> SyncGroupRequest {
    let named = |name: &str| (version >= 5).then(|| name.into());
    SyncGroupRequest {
        group_id: group.into(),
        generation_id,
        member_id: side.member.clone(),
        protocol_type: named("consumer"),
        protocol_name: named("range"),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: side.member.clone(),
            assignment: Bytes::from_static(b"\0\0\0\0\0\0\xff\xff\xff\xff"),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn heartbeat(side: &Side, group: &str, generation_id: i32) -> HeartbeatRequest {
    HeartbeatRequest {
        group_id: group.into(),
        generation_id,
        member_id: side.member.clone(),
        ..Default::default()
    }
}

fn leave(side: &Side, version: i16, group: &str) -> LeaveGroupRequest {
    let member = MemberIdentity { member_id: side.member.clone(), ..Default::default() };
    let batched = version >= 3;
    LeaveGroupRequest {
        group_id: group.into(),
        member_id: if batched { ByteString::new() } else { side.member.clone() },
        members: if batched { vec![member] } else { Vec::new() },
        ..Default::default()
    }
}

fn joined(side: &mut Side, answer: &JoinGroupResponse) -> bool {
    side.member = ByteString::from(&*answer.member_id);
    true
}

/// A life in every version of joining; the other requests in as many as they have.
async fn members(twin: &mut Twin) {
    for version in every::<JoinGroupRequest>() {
        let group = format!("g{version}");
        twin.learn("", version, |side| join(side, &group, false), joined).await;
        if version >= 4 {
            twin.learn("with the id", version, |side| join(side, &group, true), joined).await;
        }
        let synced = version.min(5);
        twin.ask("", synced, |side| sync(side, synced, &group, 1)).await;
        twin.ask("again", synced, |side| sync(side, synced, &group, 1)).await;
        twin.ask("", version.min(4), |side| heartbeat(side, &group, 1)).await;
        twin.ask("of a member that is there", version, |side| join(side, &group, true)).await;
        twin.ask("while all join", version.min(4), |side| heartbeat(side, &group, 1)).await;
        let described = version.min(6);
        twin.ask("of a group that syncs", described, |_| describe(&group)).await;
        twin.ask("of the next generation", synced, |side| sync(side, synced, &group, 2)).await;
        twin.ask("of a stable group", described, |_| describe(&group)).await;
        let left = version.min(5);
        twin.ask("", left, |side| leave(side, left, &group)).await;
        twin.ask("again", left, |side| leave(side, left, &group)).await;
        twin.ask("of an empty group", described, |_| describe(&group)).await;
    }
}

fn describe(group: &str) -> DescribeGroupsRequest {
    DescribeGroupsRequest { groups: vec![group.into()], ..Default::default() }
}

async fn wrong_members(twin: &mut Twin) {
    twin.ask("without a group", 5, |side| join(side, "", false)).await;
    twin.ask("as nobody known", 5, |side| JoinGroupRequest {
        member_id: "nobody".into(),
        ..join(side, "w", false)
    })
    .await;
    twin.ask("for too short", 3, |side| JoinGroupRequest {
        session_timeout_ms: 1,
        ..join(side, "w", false)
    })
    .await;
    twin.ask("for too long", 3, |side| JoinGroupRequest {
        session_timeout_ms: i32::MAX,
        ..join(side, "w", false)
    })
    .await;
    twin.ask("without a protocol", 3, |side| JoinGroupRequest {
        protocols: Vec::new(),
        ..join(side, "w", false)
    })
    .await;
    twin.learn("to be right", 3, |side| join(side, "w", false), joined).await;
    twin.ask("of another protocol type", 3, |side| JoinGroupRequest {
        protocol_type: "connect".into(),
        ..join(side, "w", false)
    })
    .await;
    twin.ask("of a later generation", 3, |side| sync(side, 3, "w", 9)).await;
    twin.ask("of another protocol", 5, |side| SyncGroupRequest {
        protocol_name: Some("sticky".into()),
        ..sync(side, 5, "w", 1)
    })
    .await;
    twin.ask("of an unknown group", 3, |side| sync(side, 3, "nope", 1)).await;
    twin.ask("by nobody known", 3, |side| SyncGroupRequest {
        member_id: "nobody".into(),
        ..sync(side, 3, "w", 1)
    })
    .await;
    twin.ask("to be right", 3, |side| sync(side, 3, "w", 1)).await;
    twin.ask("of a later generation", 4, |side| heartbeat(side, "w", 9)).await;
    twin.ask("of an unknown group", 4, |side| heartbeat(side, "nope", 1)).await;
    twin.ask("by nobody known", 4, |side| HeartbeatRequest {
        member_id: "nobody".into(),
        ..heartbeat(side, "w", 1)
    })
    .await;
    twin.ask("by a stranger", 4, |side| HeartbeatRequest {
        group_instance_id: Some("s".into()),
        ..heartbeat(side, "w", 1)
    })
    .await;
    twin.ask("of an unknown group", 4, |side| leave(side, 4, "nope")).await;
    twin.ask("without a group", 4, |side| leave(side, 4, "")).await;
    let static_member = |side: &Side| JoinGroupRequest {
        group_instance_id: Some("s".into()),
        ..join(side, "st", false)
    };
    twin.learn("as a static member", 5, static_member, joined).await;
    twin.ask("of a static member", 3, |side| SyncGroupRequest {
        group_instance_id: Some("s".into()),
        ..sync(side, 3, "st", 1)
    })
    .await;
    twin.ask("of a static member as another", 3, |side| HeartbeatRequest {
        group_instance_id: Some("s".into()),
        member_id: "other".into(),
        ..heartbeat(side, "st", 1)
    })
    .await;
    twin.learn("as the same static member", 9, static_member, joined).await;
    twin.ask("with a static member", 5, |_| describe("st")).await;
}

fn commit(
    side: &Side,
    version: i16,
    group: &str,
    topic: &str,
    generation: i32,
) -> OffsetCommitRequest {
    let partition = OffsetCommitRequestPartition {
        committed_offset: 3,
        committed_metadata: Some("m".into()),
        ..Default::default()
    };
    let by_id = version >= 10;
    let topic = OffsetCommitRequestTopic {
        name: if by_id { ByteString::new() } else { topic.into() },
        topic_id: if by_id {
            side.topics.get(topic).copied().unwrap_or_else(|| Uuid::from(9_u128))
        } else {
            Uuid::ZERO
        },
        partitions: vec![partition],
        ..Default::default()
    };
    OffsetCommitRequest {
        group_id: group.into(),
        generation_id_or_member_epoch: generation,
        topics: vec![topic],
        ..Default::default()
    }
}

async fn commits(twin: &mut Twin) {
    for version in every::<OffsetCommitRequest>() {
        twin.ask("", version, |side| commit(side, version, "simple", "twin", -1)).await;
    }
    for version in [8, 9, 10] {
        twin.ask("to nothing known", version, |side| commit(side, version, "simple", "nope", -1))
            .await;
        twin.ask("of a generation of no group", version, |side| {
            commit(side, version, "nope", "twin", 3)
        })
        .await;
    }
    twin.ask("by nobody in a group", 8, |side| commit(side, 8, "w", "twin", -1)).await;
    let member = |side: &Side, generation| OffsetCommitRequest {
        member_id: side.member.clone(),
        ..commit(side, 8, "w", "twin", generation)
    };
    twin.ask("by nobody known", 8, |side| OffsetCommitRequest {
        member_id: "nobody".into(),
        ..member(side, 1)
    })
    .await;
    twin.ask("without a group", 8, |side| commit(side, 8, "", "twin", -1)).await;
    let wordy = |side: &Side| {
        let mut request = commit(side, 8, "simple", "twin", -1);
        request.topics[0].partitions[0].committed_metadata = Some("m".repeat(5000).into());
        request
    };
    twin.ask("with too much to say", 8, wordy).await;
}

fn fetch(side: &Side, version: i16, group: &str, topic: Option<&str>) -> OffsetFetchRequest {
    let first = || [0, 1].into_iter().collect();
    if version < 8 {
        let topics = topic.map(|name| {
            vec![OffsetFetchRequestTopic {
                name: name.into(),
                partition_indexes: first(),
                ..Default::default()
            }]
        });
        return OffsetFetchRequest { group_id: group.into(), topics, ..Default::default() };
    }
    let by_id = version >= 10;
    let topics = topic.map(|name| {
        vec![OffsetFetchRequestTopics {
            name: if by_id { ByteString::new() } else { name.into() },
            topic_id: if by_id {
                side.topics.get(name).copied().unwrap_or_else(|| Uuid::from(9_u128))
            } else {
                Uuid::ZERO
            },
            partition_indexes: first(),
            ..Default::default()
        }]
    });
    let group = OffsetFetchRequestGroup { group_id: group.into(), topics, ..Default::default() };
    OffsetFetchRequest { groups: vec![group], ..Default::default() }
}

async fn fetches(twin: &mut Twin) {
    for version in every::<OffsetFetchRequest>() {
        twin.ask("", version, |side| fetch(side, version, "simple", Some("twin"))).await;
        twin.ask("of an unknown group", version, |side| fetch(side, version, "nope", Some("twin")))
            .await;
        if version >= 2 {
            twin.ask("of all topics", version, |side| fetch(side, version, "simple", None)).await;
        }
    }
    for version in [9, 10] {
        twin.ask("of nothing known", version, |side| fetch(side, version, "simple", Some("nope")))
            .await;
    }
    let stable = |side: &Side| OffsetFetchRequest {
        require_stable: true,
        ..fetch(side, 9, "simple", Some("twin"))
    };
    twin.ask("that are stable", 9, stable).await;
    twin.ask("without a group", 9, |side| fetch(side, 9, "", Some("twin"))).await;
}

async fn listings(twin: &mut Twin) {
    for version in every::<ListGroupsRequest>() {
        twin.ask("", version, |_| ListGroupsRequest::default()).await;
    }
    let states =
        |state: &str| ListGroupsRequest { states_filter: vec![state.into()], ..Default::default() };
    for state in ["Empty", "stable", "Nope"] {
        twin.ask(&format!("that are {state}"), 4, |_| states(state)).await;
    }
    for kind in ["classic", "Consumer", "nope"] {
        let kinds = ListGroupsRequest { types_filter: vec![kind.into()], ..Default::default() };
        twin.ask(&format!("of type {kind}"), 5, |_| kinds.clone()).await;
    }
    for version in every::<DescribeGroupsRequest>() {
        twin.ask("of an unknown group", version, |_| describe("nope")).await;
    }
    let operations =
        DescribeGroupsRequest { include_authorized_operations: true, ..describe("simple") };
    twin.ask("with operations", 5, |_| operations.clone()).await;
    twin.ask("without a group", 5, |_| describe("")).await;
}

async fn deletions(twin: &mut Twin) {
    let forgotten = |group: &str, topic: &str, partition_index| {
        let partition = OffsetDeleteRequestPartition { partition_index };
        let topic = OffsetDeleteRequestTopic { name: topic.into(), partitions: vec![partition] };
        OffsetDeleteRequest { group_id: group.into(), topics: vec![topic] }
    };
    for (case, group, topic, partition) in [
        ("", "simple", "twin", 0),
        ("of a group that reads it", "w", "twin", 0),
        ("of an unknown group", "nope", "twin", 0),
        ("of nothing known", "simple", "nope", 0),
        ("of no partition known", "simple", "twin", 7),
    ] {
        twin.ask(case, 0, |_| forgotten(group, topic, partition)).await;
    }
    let deleted = |group: &str| DeleteGroupsRequest {
        groups_names: vec![group.into()],
        ..Default::default()
    };
    for version in every::<DeleteGroupsRequest>() {
        twin.ask("", version, |_| deleted(&format!("g{version}"))).await;
        twin.ask("that is not empty", version, |_| deleted("w")).await;
        twin.ask("that is unknown", version, |_| deleted("nope")).await;
    }
    twin.ask("without a name", 2, |_| deleted("")).await;
}
