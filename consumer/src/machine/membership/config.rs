//! The settings of a member.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;

use crate::machine::assignor::{Assignor, CooperativeStickyAssignor, RangeAssignor};

/// How a consumer is a member of its group. Each field is the Kafka property of its name.
#[derive(Clone)]
pub struct GroupConfig {
    /// `group.id`.
    pub group_id: ByteString,
    /// `group.instance.id`: makes the member a static one (KIP-345).
    pub group_instance_id: Option<ByteString>,
    /// `session.timeout.ms`: how long the coordinator waits for a sign of life.
    pub session_timeout: Duration,
    /// `heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `max.poll.interval.ms`: how long the application may take between polls, and how long the
    /// group waits for it in a rebalance.
    pub max_poll_interval: Duration,
    /// `partition.assignment.strategy`, the preferred first. Not empty.
    pub assignors: Vec<Arc<dyn Assignor>>,
    /// `client.rack`, for assignors that heed racks (KIP-881).
    pub client_rack: Option<ByteString>,
    /// `auto.commit.interval.ms`, or `None` where `enable.auto.commit` is false.
    pub auto_commit_interval: Option<Duration>,
}

impl GroupConfig {
    /// The defaults of Apache Kafka 4, for a dynamic member of `group_id`.
    #[must_use]
    pub fn new(group_id: impl Into<ByteString>) -> Self {
        Self {
            group_id: group_id.into(),
            group_instance_id: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            assignors: vec![Arc::new(RangeAssignor), Arc::new(CooperativeStickyAssignor)],
            client_rack: None,
            auto_commit_interval: Some(Duration::from_secs(5)),
        }
    }
}

impl fmt::Debug for GroupConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let assignors: Vec<&str> = self.assignors.iter().map(|assignor| assignor.name()).collect();
        f.debug_struct("GroupConfig")
            .field("group_id", &self.group_id)
            .field("group_instance_id", &self.group_instance_id)
            .field("session_timeout", &self.session_timeout)
            .field("heartbeat_interval", &self.heartbeat_interval)
            .field("max_poll_interval", &self.max_poll_interval)
            .field("assignors", &assignors)
            .field("auto_commit_interval", &self.auto_commit_interval)
            .finish_non_exhaustive()
    }
}

/// Whether a member leaves its group when it is closed (KIP-1092).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum OnClose {
    /// A dynamic member leaves, a static one stays until its session is over.
    #[default]
    Default,
    /// It leaves.
    Leave,
    /// It stays until its session is over.
    Remain,
}

impl OnClose {
    /// Whether a member leaves, given whether it is a static one.
    #[must_use]
    pub fn leaves(self, is_static: bool) -> bool {
        match self {
            Self::Default => !is_static,
            Self::Leave => true,
            Self::Remain => false,
        }
    }
}
