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

mod calls;
mod cells;
mod closing;
mod committing;
mod coordinator;
mod leading;
mod sending;
mod slots;
mod task;

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use ottla_core::net::{Client, Runtime};
use ottla_core::retry::Deadline;
use ottla_core::types::{ConsumerGroupMetadata, TopicName, TopicPartition};
use tokio::sync::{mpsc, oneshot, watch};

use self::cells::Cells;
use self::task::{Command, GroupTask, Published};
use crate::machine::commit::{
    CommitError, Cursor, LookedUpOffsets, MarkedPartition, Offset, Offsets, Wait,
};
use crate::machine::membership::{GroupConfig, GroupNotice, NoticeId, OnClose};

/// A consumer's seat in its group. Cheap to clone; every clone talks to the same task.
///
/// It also commits for a consumer that assigns its partitions itself: one that never
/// [subscribes](Self::subscribe) is no member and joins nothing.
///
/// When the last clone is dropped, the task commits and leaves by itself, as far as it can within a
/// few seconds; nobody waits for that. [`leave`](Self::leave) does it in the open.
#[derive(Debug, Clone)]
pub struct GroupHandle {
    cells: Arc<Cells>,
    /// The task ends when the last sender is gone.
    commands: mpsc::Sender<Command>,
    published: watch::Receiver<Published>,
    runtime: Runtime,
}

impl GroupHandle {
    /// Starts the task. It does nothing before the first [`subscribe`](Self::subscribe), commit or
    /// look-up.
    #[must_use]
    pub fn start(client: &Client, config: GroupConfig) -> Self {
        let runtime = client.runtime().clone();
        let cells = Arc::new(Cells::new(runtime.now()));
        let (commands, receiver) = mpsc::channel(COMMANDS);
        let standalone = ConsumerGroupMetadata {
            group_instance_id: config.group_instance_id.clone(),
            ..ConsumerGroupMetadata::standalone(config.group_id.clone())
        };
        let (publisher, published) =
            watch::channel(Published { notice: None, metadata: standalone, left: Ok(()) });
        let task = GroupTask::new(client.clone(), config, Arc::clone(&cells), publisher);
        runtime.spawn("group", task.run(receiver));
        Self { cells, commands, published, runtime }
    }

    /// Subscribes to `topics`, in place of those before; none of them leaves the group. Never waits;
    /// of several calls in a row the last one counts.
    ///
    /// A client-side pattern is matched by the caller, who subscribes anew when its matches change.
    pub fn subscribe(&self, topics: BTreeSet<TopicName>) {
        self.cells.subscribe(topics);
    }

    /// Asks for a rebalance, with the reason that brokers log (KIP-568, KIP-800).
    pub fn enforce_rebalance(&self, reason: &str) {
        self.cells.enforce_rebalance(reason);
    }

    /// Takes note that the application polled: one atomic store, unless the member was put out for
    /// polling too rarely, which ends with this.
    pub fn record_poll(&self, now: Instant) {
        self.cells.record_poll(now);
    }

    /// Takes note that the application is within a poll for as long as the guard lives: it may wait
    /// for records longer than `max.poll.interval.ms`. Counts as a poll when it ends, too.
    #[must_use = "the poll ends when the guard is dropped"]
    pub fn enter_poll(&self, now: Instant) -> PollGuard {
        self.cells.enter_poll(now);
        PollGuard { cells: Arc::clone(&self.cells), runtime: self.runtime.clone() }
    }

    /// The notice that is to be acted on now, if there is one: one atomic load when there is none.
    #[must_use]
    pub fn current_event(&self) -> Option<Arc<GroupNotice>> {
        if !self.cells.has_event() {
            return None;
        }
        let notice = self.published.borrow().notice.clone();
        notice.filter(|notice| self.cells.is_unfinished(notice.id))
    }

    /// Waits for the next notice other than `seen`. Pends for ever once the group was left.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the notice stays current until it is finished.
    pub async fn next_event(&self, seen: Option<NoticeId>) -> Arc<GroupNotice> {
        let mut published = self.published.clone();
        let is_new = |notice: &Arc<GroupNotice>| {
            Some(notice.id) != seen && self.cells.is_unfinished(notice.id)
        };
        loop {
            let notice = published.borrow_and_update().notice.clone();
            if let Some(notice) = notice.filter(is_new) {
                return notice;
            }
            if published.changed().await.is_err() {
                return std::future::pending().await;
            }
        }
    }

    /// Says that the application has acted on a notice. Of a revocation, this gives the partitions
    /// up: nothing of them may be delivered after it. Where commits are automatic, what was
    /// [stored](Self::store) of them is committed first, which delays the rejoin by one round trip,
    /// and by a second if there is no answer.
    ///
    /// An outdated id is passed over: a revocation becomes a loss when the member is fenced
    /// meanwhile.
    pub fn finish_event(&self, id: NoticeId) {
        self.cells.finish_event(id);
    }

    /// Notes that everything before `offset` was processed, to be committed by the next automatic
    /// commit, [`commit_stored`](Self::commit_stored), revocation or close. Called once a batch, at
    /// the poll after the one that returned it. An offset below the stored one is passed over, unless
    /// [`reset_stored`](Self::reset_stored) came between.
    pub fn store(&self, partition: &TopicPartition, offset: Offset) {
        self.cells.store().store(partition, offset);
    }

    /// Whether anything was processed and is not committed.
    pub fn has_uncommitted(&self) -> bool {
        !self.cells.store().uncommitted(None).is_empty()
    }

    /// Has what `cursor` says of a partition count as stored, until another takes its place. Called
    /// once a batch, before its records are given one by one.
    pub fn follow(&self, partition: &TopicPartition, cursor: Arc<Cursor>) {
        self.cells.store().follow(partition, cursor);
    }

    /// Forgets what was stored or marked of a partition: it was sought, assigned anew or revoked.
    pub fn reset_stored(&self, partition: &TopicPartition) {
        self.cells.store().reset(partition);
    }

    /// Has the marks of a partition stored from now on: each record that is handed out is noted
    /// there, each that is acknowledged is marked, and what is committed is the end of the
    /// contiguous prefix.
    #[must_use]
    pub fn track_marks(&self, partition: &TopicPartition) -> Arc<MarkedPartition> {
        self.cells.store().track_marks(partition)
    }

    /// Commits what was stored, of all partitions or of `only`.
    ///
    /// # Errors
    ///
    /// [`CommitError`]: none of it was committed, or the error says of which partition.
    ///
    /// # Cancel safety
    ///
    /// As [`commit`](Self::commit).
    pub fn commit_stored(
        &self,
        only: Option<&BTreeSet<TopicPartition>>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), CommitError>> + Send + use<> {
        let offsets = self.cells.store().uncommitted(only);
        self.commit(offsets, deadline)
    }

    /// Commits `offsets`. Commits happen one after the other in the order of the calls, so that a
    /// late retry never overwrites a newer commit.
    ///
    /// # Errors
    ///
    /// As [`commit_stored`](Self::commit_stored).
    ///
    /// # Cancel safety
    ///
    /// A dropped future takes nothing back: the call itself places the commit in line, and it goes
    /// on. Only where very many calls wait already is it placed when the future is first polled.
    pub fn commit(
        &self,
        offsets: Offsets,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), CommitError>> + Send + use<> {
        let (done, outcome) = oneshot::channel();
        self.place(Command::Commit { offsets, deadline, done }, outcome)
    }

    /// The committed offsets of `partitions`: of those without one, `None`, and of those that the
    /// coordinator refuses, its code; never "none" in place of an error (KIP-447).
    ///
    /// # Errors
    ///
    /// [`CommitError`], where it says nothing of any.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn committed(
        &self,
        partitions: BTreeSet<TopicPartition>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<LookedUpOffsets, CommitError>> + Send + use<> {
        self.look_up(partitions, Wait::ForAll, deadline)
    }

    /// As [`committed`](Self::committed), but of those alone that can be told first, which is at least
    /// one where any was asked for. The others, such as one that an open transaction may still change,
    /// can be asked for again.
    ///
    /// # Errors
    ///
    /// As [`committed`](Self::committed).
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub fn committed_so_far(
        &self,
        partitions: BTreeSet<TopicPartition>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<LookedUpOffsets, CommitError>> + Send + use<> {
        self.look_up(partitions, Wait::ForAny, deadline)
    }

    fn look_up(
        &self,
        partitions: BTreeSet<TopicPartition>,
        wait: Wait,
        deadline: Deadline,
    ) -> impl Future<Output = Result<LookedUpOffsets, CommitError>> + Send + use<> {
        let (done, outcome) = oneshot::channel();
        self.place(Command::LookUp { partitions, wait, deadline, done }, outcome)
    }

    /// Places a command in line, and waits for its outcome. While that is waited for, nothing keeps
    /// the task alive.
    fn place<T: Send>(
        &self,
        command: Command,
        outcome: oneshot::Receiver<Result<T, CommitError>>,
    ) -> impl Future<Output = Result<T, CommitError>> + Send + use<T> {
        let placed = self.commands.try_send(command);
        let commands = self.commands.clone();
        async move {
            if let Err(mpsc::error::TrySendError::Full(command)) = placed {
                commands.send(command).await.map_err(|_| CommitError::Closed)?;
            }
            drop(commands);
            outcome.await.unwrap_or(Err(CommitError::Closed))
        }
    }

    /// Who commits for which group in which generation, for a transactional producer (KIP-447).
    #[must_use]
    pub fn group_metadata(&self) -> ConsumerGroupMetadata {
        self.published.borrow().metadata.clone()
    }

    /// Who reads what is taken from now on, as [`group_metadata`](Self::group_metadata), for somebody
    /// who commits it with a transaction later. To be asked before the records are taken: then a
    /// member that loses its place commits nothing of what it had (KIP-447).
    #[must_use]
    pub fn reader(&self) -> ConsumerGroupMetadata {
        let published = self.published.borrow();
        let is_pending = |notice: &Arc<GroupNotice>| self.cells.is_unfinished(notice.id);
        let metadata = published.metadata.clone();
        // The generation may be one in which what is taken now belongs to somebody else already.
        if published.notice.as_ref().is_some_and(is_pending) {
            return ConsumerGroupMetadata { generation_id: NO_GENERATION, ..metadata };
        }
        metadata
    }

    /// Commits what was stored, where commits are automatic, leaves the group or not, and ends the task.
    /// Notices that are left are not waited for: run the listener before.
    ///
    /// # Errors
    ///
    /// Why the last commit failed. The group is left all the same.
    ///
    /// # Cancel safety
    ///
    /// A dropped future does not keep the task from leaving, once it was polled. Leaving again waits
    /// for that, and says what became of it.
    pub async fn leave(&self, on_close: OnClose, deadline: Deadline) -> Result<(), CommitError> {
        let (done, outcome) = oneshot::channel();
        // A task that leaves already, or has left, drops it.
        drop(self.commands.send(Command::Leave { on_close, deadline, done }).await);
        match outcome.await {
            Ok(left) => left,
            Err(_) => self.published.borrow().left.clone(),
        }
    }
}

/// The application is within a poll while this lives.
#[derive(Debug)]
pub struct PollGuard {
    cells: Arc<Cells>,
    runtime: Runtime,
}

impl Drop for PollGuard {
    fn drop(&mut self) {
        self.cells.leave_poll(self.runtime.now());
    }
}

/// A generation that no group has: coordinators refuse it. They do not check −1, which is for those
/// who are no members.
const NO_GENERATION: i32 = 0;

/// Commits and look-ups that may wait for the task to take them.
const COMMANDS: usize = 256;
