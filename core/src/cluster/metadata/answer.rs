//! What an answer is taken for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use ottla_protocol::ErrorCode;
use ottla_protocol::messages::MetadataResponse;
use ottla_protocol::messages::metadata::MetadataResponseBroker;

use super::refresh::Asked;
use super::topic::{self, Epochs, Tracked, Verdict};
use super::{Flight, Metadata, Whom};
use crate::cluster::{BrokerInfo, ClusterSnapshot, TopicInfo};
use crate::config::MetadataRecovery;
use crate::types::{HostPort, NodeId, TopicName};

impl Metadata {
    /// Whether an answer can be used; else whom to ask next.
    pub(super) fn judge(
        &mut self,
        response: &MetadataResponse,
        flight: &Flight,
    ) -> Result<(), Whom> {
        let code = ErrorCode::from_code(response.error_code);
        if code == ErrorCode::RebootstrapRequired {
            return Err(Whom::Bootstrap);
        }
        if code.is_error() || response.brokers.is_empty() {
            return Err(flight.whom);
        }
        let Some(foreign) = self.foreign_id(response) else {
            return Ok(());
        };
        let starts_over = flight.whom == Whom::Bootstrap
            && self.settings.recovery == MetadataRecovery::Rebootstrap;
        if starts_over || !self.settings.is_cluster_checked {
            // The bootstrap servers decide which cluster is meant: they may lead to another now.
            self.forget_cluster();
            return Ok(());
        }
        self.foreign = Some(foreign);
        Err(Whom::Bootstrap)
    }

    /// The id in the answer, if it is another than the one that is known.
    fn foreign_id(&self, response: &MetadataResponse) -> Option<Arc<str>> {
        let (known, new) = (self.snapshot.cluster_id.as_deref()?, response.cluster_id.as_deref()?);
        (known != new).then(|| new.into())
    }

    /// Nothing that was known of the other cluster holds for this one.
    fn forget_cluster(&mut self) {
        let version = self.snapshot.version;
        self.snapshot = Arc::new(ClusterSnapshot { version, ..ClusterSnapshot::default() });
        for tracked in self.topics.values_mut() {
            let (uses, since) = (tracked.uses, tracked.idle_since);
            *tracked = Tracked::new(None, self.settings.backoff.clone(), since);
            tracked.uses = uses;
        }
    }

    /// Takes the answer into `next`, and says whether brokers or topics changed.
    pub(super) fn merge(
        &mut self,
        next: &mut ClusterSnapshot,
        response: &MetadataResponse,
        version: i16,
        flight: &Flight,
        now: Instant,
    ) -> bool {
        if let Some(id) = &response.cluster_id {
            next.cluster_id = Some((**id).into());
        }
        next.controller = NodeId::from_wire(response.controller_id);
        next.brokers = read_brokers(&response.brokers);
        let mut changed = next.brokers != self.snapshot.brokers;
        for info in self.answers(response, version, flight) {
            changed |= self.merge_topic(next, info, now, flight.random);
        }
        let before = next.topics.len();
        next.topics.retain(|name, _| self.topics.contains_key(name));
        changed || next.topics.len() < before
    }

    /// What the answer says of each topic that somebody wants: also of those that it ought to
    /// mention and does not.
    fn answers(
        &self,
        response: &MetadataResponse,
        version: i16,
        flight: &Flight,
    ) -> Vec<TopicInfo> {
        let epochs = if version >= RELIABLE_EPOCHS { Epochs::Reliable } else { Epochs::Unreliable };
        let mut mentioned = BTreeSet::new();
        let mut answers = Vec::new();
        for topic in &response.topics {
            let Some(name) = topic.name.clone().filter(|name| !name.is_empty()) else {
                continue;
            };
            let name = TopicName::from(name);
            let is_wanted = flight.topics == Asked::All || self.topics.contains_key(&name);
            if is_wanted && mentioned.insert(name.clone()) {
                answers.push(topic::read(&name, topic, epochs));
            }
        }
        let asked: Vec<&TopicName> = match &flight.topics {
            Asked::All => self.topics.keys().collect(),
            Asked::Named(names) => {
                names.iter().filter(|it| self.topics.contains_key(*it)).collect()
            }
        };
        let missing = asked.into_iter().filter(|name| !mentioned.contains(*name));
        answers.extend(missing.map(topic::unmentioned));
        answers
    }

    fn merge_topic(
        &mut self,
        next: &mut ClusterSnapshot,
        info: TopicInfo,
        now: Instant,
        random: u64,
    ) -> bool {
        let name = info.name.clone();
        let tracked = self
            .topics
            .entry(name.clone())
            .or_insert_with(|| Tracked::new(None, self.settings.backoff.clone(), now));
        match tracked.handle_answer(info, now, random) {
            Verdict::Keep => false,
            Verdict::Show(info) if next.topics.get(&name).is_some_and(|shown| *shown == info) => {
                false
            }
            Verdict::Show(info) => {
                next.topics.insert(name, info);
                true
            }
            Verdict::Drop => {
                self.topics.remove(&name);
                next.topics.remove(&name).is_some()
            }
        }
    }
}

/// The brokers of an answer. Those without a usable address are passed over.
pub(super) fn read_brokers(brokers: &[MetadataResponseBroker]) -> BTreeMap<NodeId, BrokerInfo> {
    let read = |broker: &MetadataResponseBroker| {
        let id = NodeId::from_wire(broker.node_id)?;
        let port = u16::try_from(broker.port).ok().filter(|port| *port != 0)?;
        let host = Some(&*broker.host).filter(|host| !host.is_empty())?;
        let rack = broker.rack.as_deref().map(Into::into);
        Some((id, BrokerInfo { id, address: HostPort::new(host, port), rack }))
    };
    brokers.iter().filter_map(read).collect()
}

/// From which version on the leader epochs in an answer belong to the leaders beside them
/// (KAFKA-9212).
const RELIABLE_EPOCHS: i16 = 9;
