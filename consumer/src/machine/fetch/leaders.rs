//! Who leads the partitions.

use std::time::Instant;

use ottla_core::cluster::{ClusterSnapshot, PartitionInfo, TopicInfo};
use ottla_core::types::TopicName;
use ottla_protocol::{ErrorClass, Uuid};

use super::partition::{Check, Life};
use super::{Fetcher, ResetCause, Slot};
use crate::error::FetchError;

impl Fetcher {
    /// Takes note of what is known of the cluster. A snapshot that is older than one before is passed
    /// over: partitions that were added since must be shown one that is not.
    pub fn handle_snapshot(&mut self, snapshot: &ClusterSnapshot, now: Instant) {
        if snapshot.version < self.seen_version {
            return;
        }
        self.seen_version = snapshot.version;
        let names: Vec<TopicName> = self.topics.keys().cloned().collect();
        for info in names.iter().filter_map(|name| snapshot.topic(name)) {
            self.handle_topic(info, now);
        }
    }

    fn handle_topic(&mut self, info: &TopicInfo, now: Instant) {
        let Some(topic) = self.topics.get_mut(&info.name) else { return };
        let slots: Vec<(i32, Slot)> = topic.slots.iter().map(|(n, slot)| (*n, *slot)).collect();
        let known = topic.id;
        if info.id.is_some() {
            topic.id = info.id;
        }
        let news = topic.error != info.error;
        topic.error = info.error;
        if info.id.is_some() && info.id != known {
            self.handle_topic_id(info, known, &slots, now);
        }
        for (number, slot) in slots {
            match info.error.filter(|code| is_final(code.class())) {
                Some(code) if news => {
                    let Some(partition) = self.get(slot) else { continue };
                    let partition = partition.name.clone();
                    self.report(FetchError::Refused { partition, code });
                }
                Some(_) => {}
                None => self.handle_partition_info(slot, info.partition(number), now),
            }
        }
    }

    /// Another id under a known name is another topic: no offset of the old one means anything in it.
    fn handle_topic_id(
        &mut self,
        info: &TopicInfo,
        known: Option<Uuid>,
        slots: &[(i32, Slot)],
        now: Instant,
    ) {
        let Some(id) = info.id else { return };
        known.and_then(|known| self.names.remove(&known));
        self.names.insert(id, info.name.clone());
        for (_, slot) in slots {
            let generation = self.next_generation();
            let Some(partition) = self.get_mut(*slot) else { continue };
            partition.topic_id = Some(id);
            if known.is_some() {
                partition.since = generation;
                partition.leader_epoch = None;
                let name = partition.name.clone();
                if partition.position().is_some() || partition.life == Life::Halted(None) {
                    self.reset(*slot, ResetCause::TopicRecreated, now);
                }
                self.recreated.push(name);
            }
            self.settle(*slot, now);
        }
    }

    fn handle_partition_info(&mut self, slot: Slot, info: Option<&PartitionInfo>, now: Instant) {
        let Some(partition) = self.get(slot) else { return };
        let (leader, epoch) = info.map_or((None, None), |info| (info.leader, info.leader_epoch));
        if (leader, epoch) == (partition.leader, partition.leader_epoch) {
            return;
        }
        let generation = self.next_generation();
        let Some(partition) = self.get_mut(slot) else { return };
        partition.leader = leader;
        // Older ones, too: that the metadata believes them, as after a restored backup, means that
        // brokers know no other.
        partition.leader_epoch = epoch;
        partition.preferred = None;
        partition.reopen();
        // What the old leader still answers is stale, and what the new one is asked need not wait for
        // the backoff of the old.
        partition.generation = generation;
        partition.retry_at = None;
        partition.backoff.reset();
        match &mut partition.life {
            Life::Seeking(seeking) => seeking.asked = false,
            Life::Placed(place) => {
                let fetched = place.fetched;
                let check = partition.check_of(fetched);
                partition.mark(check);
            }
            Life::Unplaced { .. } | Life::Halted(_) => {}
        }
        self.settle(slot, now);
    }

    /// Takes note that brokers cannot validate positions: they are too old for it (KIP-320).
    pub(super) fn trust(&mut self, slot: Slot, now: Instant) {
        if let Some(partition) = self.get_mut(slot) {
            partition.mark(Check::Sound);
            self.settle(slot, now);
        }
    }
}

/// Whether waiting does not help.
fn is_final(class: Option<ErrorClass>) -> bool {
    class.is_some_and(|class| !class.is_retriable())
}
