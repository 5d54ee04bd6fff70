//! The states of a member, and what it asks of the coordinator.

use std::collections::BTreeSet;
use std::time::Instant;

use bytestring::ByteString;
use ottla_core::types::TopicName;
use ottla_protocol::messages::sync_group::SyncGroupRequestAssignment;
use ottla_protocol::messages::{
    HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest,
};

use super::NoticeId;
use crate::machine::assignor::{ClusterTopics, MemberSubscription};

/// Names one call, between the machine and who sends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct CallId(pub(super) u64);

/// A call to the coordinator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipCall {
    /// Its name, to be given back with its outcome.
    pub id: CallId,
    /// What to send.
    pub request: MembershipRequest,
}

/// What to send to the coordinator. A join, a sync or a leave replaces the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipRequest {
    /// Answered when all members have joined, or the rebalance timeout is over.
    Join(JoinGroupRequest),
    /// Answered when the leader has synced.
    Sync(SyncGroupRequest),
    /// Answered at once.
    Heartbeat(HeartbeatRequest),
    /// Answered at once.
    Leave(LeaveGroupRequest),
}

/// Something that was not waited for in this state. Nothing has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this outcome was not waited for")]
pub struct IllegalEvent;

/// What commits may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The consumer never subscribed: anybody may commit for a group without members.
    Standalone,
    /// The generation is valid.
    Member,
    /// A join is on its way: the generation is valid until it is answered. A refusal says nothing
    /// yet.
    Joining,
    /// There is none that is valid yet: commits wait.
    Between,
    /// The member was put out, or left.
    Outside,
}

/// Where a member is.
#[derive(Debug)]
pub(super) enum State {
    Outside(Outside),
    /// Partitions have to be given up before anything else.
    Revoking {
        notice: NoticeId,
        then: Then,
    },
    Joining {
        call: Call,
        reason: ByteString,
    },
    /// This member leads, and waits to know which partitions there are.
    Assigning {
        protocol: ByteString,
        members: Vec<MemberSubscription>,
        topics: BTreeSet<TopicName>,
    },
    Syncing {
        call: Call,
        protocol: ByteString,
        assignments: Vec<SyncGroupRequestAssignment>,
        watched: Option<Watched>,
    },
    Stable {
        watched: Option<Watched>,
        /// Whether the new generation asks to give partitions up, which has not happened yet.
        revoking: bool,
    },
    Leaving {
        call: Call,
        reason: ByteString,
        then: Outside,
    },
}

/// Why a member is in no group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outside {
    Unsubscribed,
    /// It was put out for polling too rarely.
    AwaitingPoll,
    /// It could not go on, and tries again once the application has heard why.
    Failed,
    /// Another one has its place.
    Fenced,
}

/// What comes after partitions have been given up.
#[derive(Debug, Clone)]
pub(super) enum Then {
    Join { reason: ByteString },
    Leave { reason: ByteString },
}

/// What a leader watches: when it changes, the group has to rebalance.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) topics: BTreeSet<TopicName>,
    /// What was assigned; `None` for a leader that was told to assign nothing (KIP-814).
    pub(super) cluster: Option<ClusterTopics>,
}

/// A call that is made again until it is answered.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call {
    Due(Instant),
    UnderWay { id: CallId, sent_at: Instant },
}

impl Call {
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    pub(super) fn due(&self) -> Option<Instant> {
        match self {
            Self::Due(at) => Some(*at),
            Self::UnderWay { .. } => None,
        }
    }

    /// Ends the call `id`; when it was sent.
    pub(super) fn take(&mut self, id: CallId, now: Instant) -> Result<Instant, IllegalEvent> {
        match *self {
            Self::UnderWay { id: mine, sent_at } if mine == id => {
                *self = Self::Due(now);
                Ok(sent_at)
            }
            Self::UnderWay { .. } | Self::Due(_) => Err(IllegalEvent),
        }
    }
}

impl State {
    /// The call of this state, heartbeats aside.
    pub(super) fn call(&self) -> Option<&Call> {
        match self {
            Self::Joining { call, .. }
            | Self::Syncing { call, .. }
            | Self::Leaving { call, .. } => Some(call),
            Self::Outside(_)
            | Self::Revoking { .. }
            | Self::Assigning { .. }
            | Self::Stable { .. } => None,
        }
    }

    pub(super) fn call_mut(&mut self) -> Option<&mut Call> {
        match self {
            Self::Joining { call, .. }
            | Self::Syncing { call, .. }
            | Self::Leaving { call, .. } => Some(call),
            Self::Outside(_)
            | Self::Revoking { .. }
            | Self::Assigning { .. }
            | Self::Stable { .. } => None,
        }
    }
}
