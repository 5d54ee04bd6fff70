//! The task that keeps a consumer in its group, and the handle to it.
//!
//! One task per consumer owns the membership and the commits. It talks to the coordinator over two
//! connections, because `JoinGroup` blocks its own: joins and syncs go over one, heartbeats, commits
//! and leaving over the other.
//!
//! What happens to the assignment comes out as [`GroupNotice`]s, one at a time. The application's
//! own task takes them from the handle in its poll, runs the listener, and says
//! [`finish_event`](GroupHandle::finish_event); until then the notice stays the current one, so that
//! a dropped future loses none.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use ottla_core::net::Client;
use ottla_core::retry::Deadline;
use ottla_core::types::{ConsumerGroupMetadata, TopicName, TopicPartition};

use crate::machine::commit::{CommitError, CommittedOffsets, MarkedPartition, Offset, Offsets};
use crate::machine::membership::{GroupConfig, GroupNotice, NoticeId};

/// A consumer's seat in its group. Cheap to clone; every clone talks to the same task.
///
/// It also commits for a consumer that assigns its partitions itself: one that never
/// [subscribes](Self::subscribe) is no member and joins nothing.
#[derive(Debug, Clone)]
pub struct GroupHandle {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared;

impl GroupHandle {
    /// Starts the task. It does nothing before the first [`subscribe`](Self::subscribe), commit or
    /// look-up.
    #[must_use]
    pub fn start(client: &Client, config: GroupConfig) -> Self;

    /// Subscribes to `topics`, in place of those before; none of them leaves the group. Never waits;
    /// of several calls in a row the last one counts.
    ///
    /// A client-side pattern is matched by the caller, who subscribes anew when its matches change.
    pub fn subscribe(&self, topics: BTreeSet<TopicName>);

    /// Asks for a rebalance, with the reason that brokers log (KIP-568, KIP-800).
    pub fn enforce_rebalance(&self, reason: &str);

    /// Takes note that the application polled: one atomic store, unless the member was put out for
    /// polling too rarely, which ends with this.
    pub fn record_poll(&self, now: Instant);

    /// The notice that is to be acted on now, if there is one: one atomic load when there is none.
    #[must_use]
    pub fn current_event(&self) -> Option<Arc<GroupNotice>>;

    /// Waits for the next notice other than `seen`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the notice stays current until it is finished.
    pub async fn next_event(&self, seen: Option<NoticeId>) -> Arc<GroupNotice>;

    /// Says that the application has acted on a notice. Of a revocation, this gives the partitions
    /// up: nothing of them may be delivered or committed after it. An outdated id is passed over: a
    /// revocation becomes a loss when the member is fenced meanwhile.
    pub fn finish_event(&self, id: NoticeId);

    /// Notes that everything before `offset` was processed, to be committed by the next automatic
    /// commit, [`commit_stored`](Self::commit_stored), revocation or close. Called once a batch, at
    /// the poll after the one that returned it. An offset below the stored one is passed over, unless
    /// [`reset_stored`](Self::reset_stored) came between.
    pub fn store(&self, partition: &TopicPartition, offset: Offset);

    /// Forgets what was stored or marked of a partition: it was sought, assigned anew or revoked.
    pub fn reset_stored(&self, partition: &TopicPartition);

    /// Has the marks of a partition stored from now on: each record that is handed out is noted
    /// there, each that is acknowledged is marked, and what is committed is the end of the
    /// contiguous prefix.
    #[must_use]
    pub fn track_marks(&self, partition: &TopicPartition) -> Arc<MarkedPartition>;

    /// Commits what was stored, of all partitions or of `only`.
    ///
    /// # Errors
    ///
    /// [`CommitError`]: none of it was committed, or the error says of which partition.
    ///
    /// # Cancel safety
    ///
    /// A dropped future takes nothing back: the commit goes on.
    pub fn commit_stored(
        &self,
        only: Option<&BTreeSet<TopicPartition>>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), CommitError>> + Send + use<>;

    /// Commits `offsets`. Commits happen one after the other in the order of the calls, so that a
    /// late retry never overwrites a newer commit.
    ///
    /// # Errors
    ///
    /// As [`commit_stored`](Self::commit_stored).
    ///
    /// # Cancel safety
    ///
    /// As [`commit_stored`](Self::commit_stored). The call itself places the commit in line, even if
    /// the future is never polled.
    pub fn commit(
        &self,
        offsets: Offsets,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), CommitError>> + Send + use<>;

    /// The committed offsets of `partitions`; of those without one, `None`.
    ///
    /// # Errors
    ///
    /// [`CommitError`]; never "none" in place of an error (KIP-447).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn committed(
        &self,
        partitions: BTreeSet<TopicPartition>,
        deadline: Deadline,
    ) -> Result<CommittedOffsets, CommitError>;

    /// Who commits for which group in which generation, for a transactional producer (KIP-447).
    #[must_use]
    pub fn group_metadata(&self) -> ConsumerGroupMetadata;

    /// Commits what was stored, where commits are automatic, leaves the group and ends the task.
    /// Notices that are left are not waited for: run the listener before.
    ///
    /// # Errors
    ///
    /// Why the last commit failed. The group is left all the same.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not keep the task from leaving.
    pub async fn leave(&self, deadline: Deadline) -> Result<(), CommitError>;
}
