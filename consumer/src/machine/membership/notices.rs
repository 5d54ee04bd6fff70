//! The notices that the application has not acted on yet, in order.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use ottla_core::types::TopicPartition;

use super::{GroupEvent, GroupNotice, NoticeId};

#[derive(Debug, Default)]
pub(super) struct Notices {
    queue: VecDeque<Arc<GroupNotice>>,
    last: u64,
}

impl Notices {
    pub(super) fn push(&mut self, event: GroupEvent) -> NoticeId {
        self.last += 1;
        let id = NoticeId(self.last);
        self.queue.push_back(Arc::new(GroupNotice { id, event }));
        id
    }

    pub(super) fn current(&self) -> Option<&Arc<GroupNotice>> {
        self.queue.front()
    }

    /// Takes the current notice off, if this is its name.
    pub(super) fn finish(&mut self, id: NoticeId) -> Option<Arc<GroupNotice>> {
        let is_it = self.queue.front().is_some_and(|notice| notice.id == id);
        if is_it { self.queue.pop_front() } else { None }
    }

    /// Drops what has become untrue, and says which partitions the application was never told of.
    /// Losses and failures stay: they were true, and must be heard. The current notice may be in
    /// the application's hands already, so what it says counts as told.
    pub(super) fn clear(&mut self) -> BTreeSet<TopicPartition> {
        let mut untold = BTreeSet::new();
        for notice in self.queue.iter().skip(1) {
            if let GroupEvent::Assigned { added, .. } = &notice.event {
                untold.extend(added.iter().cloned());
            }
        }
        self.queue.retain(|notice| match notice.event {
            GroupEvent::Assigned { .. } | GroupEvent::Revoking { .. } => false,
            GroupEvent::Lost { .. } | GroupEvent::Failed(_) => true,
        });
        untold
    }

    /// Whether a failure is told that the application has not heard of yet.
    pub(super) fn tells_of_failure(&self) -> bool {
        self.queue.iter().any(|notice| matches!(notice.event, GroupEvent::Failed(_)))
    }

    /// What was lost or came, and the application has not acted on that yet.
    pub(super) fn unheard(&self) -> impl Iterator<Item = &TopicPartition> {
        self.queue.iter().flat_map(|notice| match &notice.event {
            GroupEvent::Lost { partitions, .. }
            | GroupEvent::Assigned { added: partitions, .. } => partitions.as_slice(),
            GroupEvent::Revoking { .. } | GroupEvent::Failed(_) => &[],
        })
    }

    /// Drops revocations: everything is to be given up.
    pub(super) fn clear_revocations(&mut self) {
        self.queue.retain(|notice| !matches!(notice.event, GroupEvent::Revoking { .. }));
    }
}
