//! Requests against all groups: versions, and what the cluster around them says.

mod commits;
mod listing;
mod membership;

use std::collections::BTreeMap;

use bytes::Bytes;
use ottla_protocol::messages::heartbeat::{HeartbeatRequest, HeartbeatResponse};
use ottla_protocol::messages::join_group::{
    JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse,
};
use ottla_protocol::messages::leave_group::{LeaveGroupRequest, MemberIdentity};
use ottla_protocol::messages::sync_group::{
    SyncGroupRequest, SyncGroupRequestAssignment, SyncGroupResponse,
};
use ottla_protocol::{ApiKey, Message, Response};

use super::*;
use crate::world::config::Settings;

/// Groups, and a node that is asked for all of them unless the test says otherwise.
struct Fixture {
    groups: Groups,
    cluster: Cluster,
    now: Duration,
    uniques: u128,
}

/// The topics `t` and `u` with two partitions each.
struct Cluster {
    topics: BTreeMap<&'static str, Uuid>,
    /// What the coordinator check says to every group but those named `mine…`.
    elsewhere: Option<ErrorCode>,
}

const T: u128 = 0x7;
const U: u128 = 0x8;

impl ClusterView for Cluster {
    fn check_coordinator(&self, group: &str) -> Result<(), ErrorCode> {
        self.elsewhere.filter(|_| !group.starts_with("mine")).map_or(Ok(()), Err)
    }

    fn check_partition(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        let exists = self.topics.contains_key(topic) && (0..2).contains(&partition);
        exists.then_some(()).ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    fn check_fetch(&self, topic: &str, _: i32) -> Result<(), ErrorCode> {
        if topic == "injected" { Err(ErrorCode::CoordinatorLoadInProgress) } else { Ok(()) }
    }

    fn topic_id(&self, name: &str) -> Option<Uuid> {
        self.topics.get(name).copied()
    }

    fn topic_name(&self, id: Uuid) -> Option<ByteString> {
        let known = self.topics.iter().find(|(_, known)| **known == id);
        known.map(|(name, _)| ByteString::from_static(name))
    }
}

impl Fixture {
    /// No initial delay unless the test asks for one.
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(set: impl FnOnce(&mut GroupConfig)) -> Self {
        let defaults = GroupConfig::of(&Settings::default());
        let mut config = GroupConfig { initial_rebalance_delay: Duration::ZERO, ..defaults };
        set(&mut config);
        let topics = BTreeMap::from([("t", Uuid::from(T)), ("u", Uuid::from(U))]);
        let cluster = Cluster { topics, elsewhere: None };
        Self { groups: Groups::new(config), cluster, now: Duration::ZERO, uniques: 0 }
    }

    /// The group `g` is stable, and its only member is the one whose id is returned.
    fn with_member() -> (Self, ByteString) {
        let mut fixture = Self::new();
        let joined = fixture.join(3, join("g"));
        let member_id = joined.member_id;
        let synced = fixture.sync(3, sync("g", &member_id, 1, b"all"));
        assert_eq!(synced.error_code, 0);
        (fixture, member_id)
    }

    fn call<R: Response>(
        &mut self,
        version: i16,
        handle: impl FnOnce(&mut Groups, &Caller<'_>) -> R,
    ) -> R {
        let caller = Caller {
            version,
            now: self.now,
            client_id: "client",
            client_host: "/10.0.0.1",
            cluster: &self.cluster,
        };
        sent(handle(&mut self.groups, &caller), version)
    }

    #[track_caller]
    fn join(&mut self, version: i16, request: JoinGroupRequest) -> JoinGroupResponse {
        match self.try_join(version, request) {
            Reply::Now(response) => response,
            Reply::Later(wait) => panic!("{wait:?}"),
        }
    }

    fn try_join(&mut self, version: i16, request: JoinGroupRequest) -> Reply<JoinGroupResponse> {
        self.uniques += 1;
        let unique = Uuid::from(self.uniques);
        let mut parked = None;
        let response =
            self.call(version, |groups, caller| match groups.join_group(caller, unique, request) {
                Reply::Now(response) => response,
                Reply::Later(wait) => {
                    parked = Some(wait);
                    JoinGroupResponse::default()
                }
            });
        parked.map_or(Reply::Now(response), Reply::Later)
    }

    #[track_caller]
    fn sync(&mut self, version: i16, request: SyncGroupRequest) -> SyncGroupResponse {
        self.call(version, |groups, caller| match groups.sync_group(caller, request) {
            Reply::Now(response) => response,
            Reply::Later(wait) => panic!("{wait:?}"),
        })
    }

    fn heartbeat(&mut self, member_id: &str) -> HeartbeatResponse {
        let request = HeartbeatRequest {
            group_id: "g".into(),
            generation_id: 1,
            member_id: member_id.into(),
            ..Default::default()
        };
        self.call(3, |groups, caller| groups.heartbeat(caller, request))
    }

    fn leave(&mut self, member_id: &str) {
        let members = vec![MemberIdentity { member_id: member_id.into(), ..Default::default() }];
        let request = LeaveGroupRequest { group_id: "g".into(), members, ..Default::default() };
        let response = self.call(3, |groups, caller| groups.leave_group(caller, request));
        assert_eq!(response.members[0].error_code, 0);
    }

    /// Lets time pass, in steps as small as the groups ask for.
    fn pass(&mut self, by: Duration) {
        let until = self.now + by;
        while let Some(at) = self.groups.next_timeout().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.groups.handle_timeout(self.now);
        }
        self.now = until;
    }

    fn group_ids(&self) -> Vec<&str> {
        self.groups.groups.keys().map(|id| &**id).collect()
    }
}

/// The message as it arrives in `version`.
#[track_caller]
fn sent<M: Message>(message: M, version: i16) -> M {
    M::decode(&message.encode(version).unwrap().into_bytes(), version).unwrap()
}

/// A consumer joins for the first time.
fn join(group_id: &str) -> JoinGroupRequest {
    JoinGroupRequest {
        group_id: group_id.into(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".into(),
        protocols: vec![JoinGroupRequestProtocol {
            name: "range".into(),
            // A subscription to `t`.
            metadata: Bytes::from_static(&[0, 0, 0, 0, 0, 1, 0, 1, b't', 255, 255, 255, 255]),
            ..Default::default()
        }],
        ..Default::default()
    }
}

/// A leader syncs, with an assignment for itself.
fn sync(
    group_id: &str,
    member_id: &str,
    generation_id: i32,
    assignment: &'static [u8],
) -> SyncGroupRequest {
    SyncGroupRequest {
        group_id: group_id.into(),
        generation_id,
        member_id: member_id.into(),
        assignments: vec![SyncGroupRequestAssignment {
            member_id: member_id.into(),
            assignment: Bytes::from_static(assignment),
            ..Default::default()
        }],
        ..Default::default()
    }
}

fn error(code: i16) -> ErrorCode {
    ErrorCode::from_code(code)
}

/// Every version of an API in turn.
fn versions(api: ApiKey) -> impl Iterator<Item = i16> {
    api.versions().iter()
}
