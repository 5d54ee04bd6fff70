//! What the consumer does when its group gives it partitions or takes them.

use std::sync::Arc;

use ottla_core::retry::Deadline;
use ottla_core::types::TopicPartition;

use tracing::Instrument;

use super::{Consumer, listening};
use crate::driver::group::GroupHandle;
use crate::error::ConsumerError;
use crate::listener::{Assigned, BoxFuture, Committer, ListenerError, Lost, Revoking};
use crate::machine::commit::CommitError;
use crate::machine::membership::{GroupEvent, GroupNotice};
use crate::spans;

impl Consumer {
    /// Has the group assign its partitions anew: for an assignor of the application's own whose mind
    /// has changed, say. Never waits; the next polls bring what comes of it. `reason` is for the log of
    /// the broker. Nothing happens where the consumer is no member, or joins already.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::NoGroup`].
    ///
    /// # Kafka
    ///
    /// Java's `enforceRebalance` (KIP-568, KIP-800).
    pub fn enforce_rebalance(&self, reason: &str) -> Result<(), ConsumerError> {
        self.group()?.enforce_rebalance(reason);
        Ok(())
    }

    /// Does what the group asks for, in the application's own task. A notice stays until all of it is
    /// done: a dropped future does it again.
    pub(super) async fn heed_group(&mut self) -> Result<(), ConsumerError> {
        while let Some(notice) = self.group.as_ref().and_then(GroupHandle::current_event) {
            let span = spans::rebalance(self.group_id());
            let outcome = self.heed(&notice).instrument(span).await?;
            if let Some(group) = &self.group {
                group.finish_event(notice.id);
            }
            outcome.map_err(listening::failed)?;
        }
        Ok(())
    }

    /// Tells of partitions that others have already, before the rest is given up.
    pub(super) async fn heed_loss(
        &mut self,
        group: &GroupHandle,
    ) -> Result<Result<(), ListenerError>, ConsumerError> {
        let is_loss = |it: &Arc<GroupNotice>| matches!(it.event, GroupEvent::Lost { .. });
        let Some(notice) = group.current_event().filter(is_loss) else { return Ok(Ok(())) };
        let said = self.heed(&notice).await;
        group.finish_event(notice.id);
        said
    }

    /// Does what one notice asks for. The outer error leaves the notice as it is; the inner one is
    /// what the listener said, which changes nothing.
    async fn heed(
        &mut self,
        notice: &GroupNotice,
    ) -> Result<Result<(), ListenerError>, ConsumerError> {
        match &notice.event {
            GroupEvent::Assigned { added, owned } => {
                self.begin(added.clone());
                let Some(listener) = &self.listener else { return Ok(Ok(())) };
                let assigned = Assigned { added, owned };
                Ok(listening::run(|| listener.assigned(&assigned)).await)
            }
            GroupEvent::Revoking { partitions } => {
                self.hold(partitions);
                let said = self.tell_revoking(partitions).await;
                partitions.iter().for_each(|partition| self.remove(partition));
                Ok(said)
            }
            GroupEvent::Lost { partitions, reason } => {
                partitions.iter().for_each(|partition| self.remove(partition));
                let Some(listener) = &self.listener else { return Ok(Ok(())) };
                let lost = Lost { partitions, reason: *reason };
                Ok(listening::run(|| listener.lost(&lost)).await)
            }
            GroupEvent::Failed(error) => {
                // The poll after the one that says so has the member try again.
                let is_told = self.failed.replace(notice.id) == Some(notice.id);
                if is_told && !error.is_fatal() { Ok(Ok(())) } else { Err(error.clone().into()) }
            }
        }
    }

    /// Adds partitions, which are read from where the group has come to as soon as that is known.
    pub(super) fn begin(&mut self, partitions: Vec<TopicPartition>) {
        let added = self.add(partitions);
        added.iter().for_each(|added| self.prepare_commits(&added.partition));
        self.shared.unplaced().extend(added);
        self.shared.place();
    }

    /// Returns nothing more of partitions that are being given up.
    pub(super) fn hold(&mut self, partitions: &[TopicPartition]) {
        let now = self.shared.now();
        for partition in partitions {
            let Ok(slot) = self.slot(partition) else { continue };
            if self.is_within(slot) {
                self.rewind_current();
            }
            self.shared.with(|fetcher| fetcher.hold(slot, now));
        }
    }

    pub(super) async fn tell_revoking(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<(), ListenerError> {
        let (Some(listener), Some(group)) = (&self.listener, &self.group) else { return Ok(()) };
        let committer = GroupCommitter { group: group.clone(), deadline: self.deadline() };
        let revoking = Revoking::new(partitions, &committer);
        listening::run(|| listener.revoking(&revoking)).await
    }

    /// When a call that begins now must have ended.
    pub(super) fn deadline(&self) -> Deadline {
        let budget = self.shared.client().config().default_api_timeout;
        Deadline::after(self.shared.now(), budget)
    }
}

/// Commits for a listener.
struct GroupCommitter {
    group: GroupHandle,
    deadline: Deadline,
}

impl Committer for GroupCommitter {
    fn commit<'a>(
        &'a self,
        partitions: &'a [TopicPartition],
    ) -> BoxFuture<'a, Result<(), CommitError>> {
        let only = partitions.iter().cloned().collect();
        Box::pin(self.group.commit_stored(Some(&only), self.deadline))
    }
}
