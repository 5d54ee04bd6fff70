//! What to ask about the cluster, and whom.

use ottla_protocol::messages::MetadataRequest;
use ottla_protocol::messages::metadata::MetadataRequestTopic;

use crate::types::{HostPort, NodeId, TopicName};

/// A request that ought to be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refresh {
    pub(super) topics: Asked,
    /// A broker that had better not be asked, because it does not answer.
    /// [`Metadata::candidates`](super::Metadata::candidates) has it last.
    pub avoid: Option<NodeId>,
}

impl Refresh {
    /// The request, for a broker that speaks `version`. Whether the broker may make topics that do
    /// not exist is for `may_create` to say where the version leaves a choice, which it does from 4 on.
    #[must_use]
    pub fn request(&self, version: i16, may_create: bool) -> MetadataRequest {
        MetadataRequest {
            topics: self.topics.to_wire(version),
            allow_auto_topic_creation: may_create || version < 4,
            ..MetadataRequest::default()
        }
    }
}

/// The topics that a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Asked {
    /// All there are.
    All,
    /// These; with none, only the brokers.
    Named(Vec<TopicName>),
}

impl Asked {
    fn to_wire(&self, version: i16) -> Option<Vec<MetadataRequestTopic>> {
        let named = |name: &TopicName| MetadataRequestTopic {
            name: Some(name.to_wire()),
            ..MetadataRequestTopic::default()
        };
        match self {
            // Version 0 has no null, and no way to ask for no topic: an empty list is all of them.
            Self::All => (version == 0).then(Vec::new),
            Self::Named(names) => Some(names.iter().map(named).collect()),
        }
    }
}

/// Somebody who can be asked about the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Candidate {
    /// A broker that is known.
    Node(NodeId, HostPort),
    /// An address of `bootstrap.servers`.
    Bootstrap(HostPort),
}

/// `items` in an order that `random` decides.
pub(super) fn shuffled<T>(mut items: Vec<T>, random: u64) -> Vec<T> {
    let mut state = random;
    for last in (1..items.len()).rev() {
        // Knuth's generator: good enough to spread clients over brokers.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let choices = u64::try_from(last).unwrap_or(u64::MAX).saturating_add(1);
        items.swap(last, usize::try_from((state >> 33) % choices).unwrap_or(0));
    }
    items
}
