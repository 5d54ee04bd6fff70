//! The calls to the coordinator, as futures that own what they need.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytestring::ByteString;
use ottla_core::cluster::CoordinatorKind;
use ottla_core::error::RequestError;
use ottla_core::net::{CallLink, Client, Purpose};
use ottla_core::retry::Deadline;
use ottla_core::types::{NodeId, TopicName, TopicPartition};
use ottla_protocol::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

use tracing::Instrument;

use crate::machine::commit::{
    CommitCall, CommitId, LookedUp, LookupCall, LookupId, PartitionCodes, TopicIds, commit_codes,
    commit_request, looked_up, lookup_request,
};
use crate::machine::membership::CallId;
use crate::spans;

/// What the task was waiting for.
#[derive(Debug)]
pub(super) enum Outcome {
    Found(Result<NodeId, RequestError>),
    Joined(CallId, Result<JoinGroupResponse, RequestError>),
    Synced(CallId, Result<SyncGroupResponse, RequestError>),
    Beaten(CallId, Result<HeartbeatResponse, RequestError>),
    Left(CallId, Result<LeaveGroupResponse, RequestError>),
    Committed {
        id: CommitId,
        sent_at: Instant,
        codes: Result<PartitionCodes, RequestError>,
        /// The ids that topics went by.
        ids: TopicIds,
    },
    LookedUp(LookupId, Result<LookedUp, RequestError>),
    TopicsKnown,
    SnapshotChanged,
}

impl Outcome {
    /// What was not answered, and why. Looking for the coordinator tells of itself.
    pub(super) fn failure(&self) -> Option<(&'static str, &RequestError)> {
        match self {
            Self::Joined(_, Err(error)) => Some(("join", error)),
            Self::Synced(_, Err(error)) => Some(("learn the assignment", error)),
            Self::Beaten(_, Err(error)) => Some(("send a heartbeat", error)),
            Self::Left(_, Err(error)) => Some(("leave", error)),
            Self::Committed { codes: Err(error), .. } => Some(("commit", error)),
            Self::LookedUp(_, Err(error)) => Some(("look offsets up", error)),
            Self::Found(_)
            | Self::Joined(_, Ok(_))
            | Self::Synced(_, Ok(_))
            | Self::Beaten(_, Ok(_))
            | Self::Left(_, Ok(_))
            | Self::Committed { codes: Ok(_), .. }
            | Self::LookedUp(_, Ok(_))
            | Self::TopicsKnown
            | Self::SnapshotChanged => None,
        }
    }
}

/// The two connections to one coordinator.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) node: NodeId,
    join: Arc<CallLink>,
    other: Arc<CallLink>,
}

impl Links {
    pub(super) fn open(client: &Client, node: NodeId) -> Self {
        let join = Arc::new(client.open_calls(node, Purpose::Join));
        let other = Arc::new(client.open_calls(node, Purpose::Heartbeat));
        Self { node, join, other }
    }

    /// Makes the next join use a new connection: the broker reads nothing behind a join that it has
    /// not answered.
    pub(super) fn renew_join(&mut self, client: &Client) {
        self.join = Arc::new(client.open_calls(self.node, Purpose::Join));
    }

    pub(super) fn join(
        &self,
        id: CallId,
        request: JoinGroupRequest,
        timeout: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let link = Arc::clone(&self.join);
        async move { Outcome::Joined(id, link.call(&request, timeout).await) }
    }

    pub(super) fn sync(
        &self,
        id: CallId,
        request: SyncGroupRequest,
        timeout: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let link = Arc::clone(&self.join);
        async move { Outcome::Synced(id, link.call(&request, timeout).await) }
    }

    pub(super) fn beat(
        &self,
        id: CallId,
        request: HeartbeatRequest,
        timeout: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let link = Arc::clone(&self.other);
        async move { Outcome::Beaten(id, link.call(&request, timeout).await) }
    }

    pub(super) fn leave(
        &self,
        id: CallId,
        request: LeaveGroupRequest,
        timeout: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let link = Arc::clone(&self.other);
        async move { Outcome::Left(id, link.call(&request, timeout).await) }
    }

    pub(super) fn commit(
        &self,
        client: Client,
        call: CommitCall,
        known: TopicIds,
        timeout: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let link = Arc::clone(&self.other);
        let span = spans::commit(&call.metadata.group_id, &call.offsets);
        let commit = async move {
            let CommitCall { id, metadata, offsets } = call;
            let ids = topic_ids(&client, known, offsets.keys()).await;
            let sent_at = client.runtime().now();
            let request = commit_request(&metadata, &offsets, &ids);
            let answer = link.call(&request, timeout).await;
            let codes = answer.map(|response| commit_codes(&response, &offsets, &ids));
            Outcome::Committed { id, sent_at, codes, ids }
        };
        commit.instrument(span)
    }

    pub(super) fn look_up(
        &self,
        client: Client,
        group: ByteString,
        call: LookupCall,
        timeout: Duration,
    ) -> impl Future<Output = Outcome> + Send + 'static {
        let link = Arc::clone(&self.other);
        async move {
            let LookupCall { id, partitions } = call;
            let ids = topic_ids(&client, TopicIds::new(), partitions.iter()).await;
            let asked = (partitions.clone(), ids.clone());
            let build = move |version| lookup_request(&group, &asked.0, &asked.1, version);
            let answer = link.call_versioned(build, timeout).await;
            let answer = answer.map(|answered| looked_up(&answered.response, &partitions, &ids));
            Outcome::LookedUp(id, answer)
        }
    }
}

/// Looks the coordinator up, anew if one is given that is doubted.
pub(super) async fn find(client: Client, group: ByteString, doubted: Option<NodeId>) -> Outcome {
    if let Some(node) = doubted {
        client.forget_coordinator(CoordinatorKind::Group, &group, node);
    }
    let deadline = Deadline::after(client.runtime().now(), LOOKUP);
    Outcome::Found(client.coordinator(CoordinatorKind::Group, &group, deadline).await)
}

/// Waits until `topics` are known, but not for long: a group must not stand still because one of
/// its members subscribes to a topic that nobody can describe.
pub(super) async fn know(client: Client, topics: BTreeSet<TopicName>) -> Outcome {
    let _use = client.use_topics(topics.iter().cloned());
    let deadline = Deadline::after(client.runtime().now(), TOPICS);
    for topic in &topics {
        if let Err(error) = client.topic(topic, deadline).await {
            tracing::warn!(%topic, %error, "assigning without this topic");
        }
    }
    Outcome::TopicsKnown
}

/// Waits for metadata newer than `seen`.
pub(super) async fn change(client: Client, seen: u64) -> Outcome {
    let deadline = Deadline::after(client.runtime().now(), Duration::MAX);
    // Fails when the client is closed; then nothing changes any more.
    if client.changed(seen, deadline).await.is_err() {
        std::future::pending::<()>().await;
    }
    Outcome::SnapshotChanged
}

/// The ids of the topics of `partitions`, beside those that are known. Newer brokers know topics by
/// nothing else; one that is unknown is waited for, and then left to the coordinator to refuse.
async fn topic_ids<'a>(
    client: &Client,
    mut ids: TopicIds,
    partitions: impl Iterator<Item = &'a TopicPartition> + Send,
) -> TopicIds {
    let mut names: Vec<&TopicName> = partitions.map(|partition| &partition.topic).collect();
    names.dedup();
    let deadline = Deadline::after(client.runtime().now(), TOPICS);
    for name in names {
        if ids.contains_key(name) {
            continue;
        }
        let known = client.snapshot().topic(name).and_then(|topic| topic.id);
        let id = match known {
            Some(id) => Some(id),
            None => client.topic(name, deadline).await.ok().and_then(|topic| topic.id),
        };
        ids.extend(id.map(|id| (name.clone(), id)));
    }
    ids
}

/// How long one look-up of the coordinator may take before the state is looked at anew.
const LOOKUP: Duration = Duration::from_secs(5);

/// How long topics may take to become known.
const TOPICS: Duration = Duration::from_secs(2);
