//! What the leader of a group has to know of its topics.

use std::time::Instant;

use ottla_core::error::ErrorCode;
use ottla_core::types::TopicName;

use super::calls;
use super::slots::Slot;
use super::task::GroupTask;
use crate::machine::assignor::ClusterTopics;

impl GroupTask {
    pub(super) fn know_topics(&mut self) {
        let Some((topics, waits)) = self.membership.wanted_topics() else {
            self.slots.clear(Slot::Topics);
            self.slots.clear(Slot::Snapshot);
            self.used = None;
            return;
        };
        if self.used.as_ref().is_none_or(|(used, _)| used != topics) {
            let in_use = self.client.use_topics(topics.iter().cloned());
            self.used = Some((topics.clone(), in_use));
        }
        if waits && self.slots.is_free(Slot::Topics) {
            self.slots.put(Slot::Topics, calls::know(self.client.clone(), topics.clone()));
        }
        if self.slots.is_free(Slot::Snapshot) {
            self.slots.put(Slot::Snapshot, calls::change(self.client.clone(), self.seen_snapshot));
        }
    }

    pub(super) fn look_at_topics(&mut self, now: Instant) {
        let Some((topics, waits)) = self.membership.wanted_topics() else { return };
        let snapshot = self.client.snapshot();
        // What cannot be described for a moment has not changed for that. What cannot be described at
        // all keeps nobody from seeing the others.
        let passing = |topic: &TopicName| {
            let error = snapshot.topic(topic).and_then(|topic| topic.error);
            error.is_some_and(|error| {
                error.is_retriable() && error != ErrorCode::UnknownTopicOrPartition
            })
        };
        if !waits && topics.iter().any(passing) {
            return;
        }
        let cluster = ClusterTopics::from_snapshot(&snapshot, topics);
        self.membership.handle_topics(cluster, now);
    }
}
