//! The task that owns a membership and its commits.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use ottla_core::net::{Client, TopicUse};
use ottla_core::retry::{Deadline, Warned};
use ottla_core::types::{ConsumerGroupMetadata, NodeId, TopicName, TopicPartition};
use tokio::sync::{mpsc, oneshot, watch};

use super::calls::{Links, Outcome};
use super::cells::{Cells, Wishes};
use super::closing::{Closing, UNATTENDED};
use super::slots::{Slot, Slots};
use crate::machine::commit::{
    CommitError, CommitId, Commits, LookedUpOffsets, LookupId, Lookups, Offsets, TopicIds, Wait,
};
use crate::machine::membership::{
    ClassicMembership, CoordinatorFinder, GroupConfig, GroupEvent, GroupNotice, IllegalEvent,
    NoticeId, OnClose, Phase,
};

/// What callers ask of the task.
#[derive(Debug)]
pub(super) enum Command {
    Commit {
        offsets: Offsets,
        deadline: Deadline,
        done: oneshot::Sender<Result<(), CommitError>>,
    },
    LookUp {
        partitions: BTreeSet<TopicPartition>,
        wait: Wait,
        deadline: Deadline,
        done: oneshot::Sender<Result<LookedUpOffsets, CommitError>>,
    },
    Leave {
        on_close: OnClose,
        deadline: Deadline,
        done: oneshot::Sender<Result<(), CommitError>>,
    },
}

/// What the task tells.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) notice: Option<Arc<GroupNotice>>,
    pub(super) metadata: ConsumerGroupMetadata,
    /// What became of the last commit, once the group is left.
    pub(super) left: Result<(), CommitError>,
}

pub(super) struct GroupTask {
    pub(super) client: Client,
    pub(super) config: GroupConfig,
    pub(super) cells: Arc<Cells>,
    pub(super) publisher: watch::Sender<Published>,
    pub(super) membership: ClassicMembership,
    pub(super) commits: Commits,
    pub(super) lookups: Lookups,
    pub(super) finder: CoordinatorFinder,
    pub(super) links: Option<Links>,
    pub(super) slots: Slots,
    /// What topics were when their offsets were first sent: one that is deleted and made again in
    /// between does not get them.
    pub(super) committing_ids: TopicIds,
    pub(super) committing: BTreeMap<CommitId, oneshot::Sender<Result<(), CommitError>>>,
    pub(super) looking_up:
        BTreeMap<LookupId, oneshot::Sender<Result<LookedUpOffsets, CommitError>>>,
    /// When stored offsets are committed next; `None` where commits are not automatic.
    pub(super) auto_commit_at: Option<Instant>,
    /// The automatic commit that is under way.
    pub(super) auto_commit: Option<CommitId>,
    /// A revocation that waits for its last commit.
    pub(super) revocation: Option<(NoticeId, CommitId)>,
    /// Calls that the coordinator has not answered, and when it is doubted for that.
    pub(super) unanswered: BTreeMap<Slot, Instant>,
    /// The coordinator that was doubted, while another broker is asked.
    pub(super) doubted: Option<NodeId>,
    pub(super) used: Option<(BTreeSet<TopicName>, TopicUse)>,
    pub(super) seen_snapshot: u64,
    pub(super) closing: Option<Closing>,
    pub(super) warned: Warned,
    /// Whether there is nobody left to ask.
    pub(super) client_is_closed: bool,
}

impl GroupTask {
    pub(super) fn new(
        client: Client,
        config: GroupConfig,
        cells: Arc<Cells>,
        publisher: watch::Sender<Published>,
    ) -> Self {
        let runtime = client.runtime();
        let (now, seen_snapshot) = (runtime.now(), client.snapshot().version);
        Self {
            membership: ClassicMembership::new(config.clone(), now, runtime.random()),
            commits: Commits::new(runtime.random()),
            lookups: Lookups::new(runtime.random()),
            finder: CoordinatorFinder::new(now),
            links: None,
            slots: Slots::default(),
            committing_ids: TopicIds::new(),
            committing: BTreeMap::new(),
            looking_up: BTreeMap::new(),
            auto_commit_at: config
                .auto_commit_interval
                .map(|interval| Deadline::after(now, interval).instant()),
            auto_commit: None,
            revocation: None,
            unanswered: BTreeMap::new(),
            doubted: None,
            used: None,
            seen_snapshot,
            closing: None,
            warned: Warned::default(),
            client_is_closed: false,
            client,
            config,
            cells,
            publisher,
        }
    }

    /// Runs until the group is left, or nobody has a handle any more.
    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let runtime = self.client.runtime().clone();
        loop {
            let now = runtime.now();
            self.step(now);
            if self.is_over(now) {
                break;
            }
            let timeout = self.next_timeout(now);
            let cells = Arc::clone(&self.cells);
            tokio::select! {
                biased;
                outcome = self.slots.next() => self.handle_outcome(outcome, runtime.now()),
                command = commands.recv(), if self.closing.is_none() => {
                    self.handle_command(command, runtime.now());
                }
                () = cells.woken() => {}
                () = runtime.sleep_until(timeout) => {}
            }
        }
        self.end();
    }

    /// Everything that can be done without waiting.
    fn step(&mut self, now: Instant) {
        let Wishes { topics, rebalance } = self.cells.take_wishes();
        if let Some(topics) = topics.filter(|_| self.closing.is_none()) {
            self.membership.subscribe(topics, now);
        }
        if let Some(reason) = rebalance {
            self.membership.enforce_rebalance(&reason, now);
        }
        self.membership.handle_poll(self.cells.polled_at(now), now);
        self.membership.handle_timeout(now);
        self.commits.handle_timeout(now);
        self.lookups.handle_timeout(now);
        self.drop_unawaited_lookups();
        self.finish_notice(now);
        self.tell_seat();
        self.commit_stored_if_due(now);
        // What is settled may be what the next call waited for.
        loop {
            self.make_calls(now);
            if !self.settle_done(now) {
                break;
            }
        }
        self.publish(now);
    }

    pub(super) fn finish_notice(&mut self, now: Instant) {
        let Some(notice) = self.membership.current_notice().map(Arc::clone) else { return };
        if notice.id.number() > self.cells.finished() {
            return;
        }
        match &notice.event {
            GroupEvent::Revoking { partitions } => self.finish_revocation(&notice, partitions, now),
            GroupEvent::Lost { partitions, .. } => {
                self.forget(partitions);
                self.membership.finish_notice(notice.id, now);
            }
            GroupEvent::Assigned { .. } | GroupEvent::Failed(_) => {
                self.membership.finish_notice(notice.id, now);
            }
        }
    }

    fn handle_command(&mut self, command: Option<Command>, now: Instant) {
        match command {
            Some(Command::Commit { offsets, deadline, done }) => {
                let id = self.commits.commit(offsets, now, deadline);
                self.committing.insert(id, done);
            }
            Some(Command::LookUp { partitions, wait, deadline, done }) => {
                let id = self.lookups.look_up(partitions, wait, now, deadline);
                self.looking_up.insert(id, done);
            }
            Some(Command::Leave { on_close, deadline, done }) => {
                self.close(on_close, deadline, Some(done), now);
            }
            None => self.close(OnClose::Default, Deadline::after(now, UNATTENDED), None, now),
        }
    }

    /// Tells of a call that is made again, now and then.
    pub(super) fn warn_retried(&mut self, what: &str, trouble: &dyn Display, now: Instant) {
        if let Some(count) = self.warned.count(now) {
            let group = &self.config.group_id;
            tracing::warn!(%group, %trouble, count, "could not {what}, trying again");
        }
    }

    fn handle_outcome(&mut self, outcome: Outcome, now: Instant) {
        if let Some((what, error)) = outcome.failure() {
            let error = error.clone();
            self.warn_retried(what, &error, now);
        }
        let taken = match outcome {
            Outcome::Found(found) => {
                self.handle_found(found, now);
                Ok(())
            }
            Outcome::Joined(id, outcome) => {
                self.note_answered(Slot::Join);
                self.membership.handle_join(id, outcome.as_ref(), now)
            }
            Outcome::Synced(id, outcome) => {
                self.note_answered(Slot::Join);
                self.membership.handle_sync(id, outcome.as_ref(), now)
            }
            Outcome::Beaten(id, outcome) => {
                self.note_answered(Slot::Heartbeat);
                self.membership.handle_heartbeat(id, outcome.as_ref(), now)
            }
            Outcome::Left(id, outcome) => {
                self.note_answered(Slot::Leave);
                if outcome.is_ok() {
                    tracing::info!(group = %self.config.group_id, "left");
                }
                self.membership.handle_left(id, outcome.as_ref(), now)
            }
            Outcome::Committed { id, sent_at, codes, ids } => {
                self.note_answered(Slot::Commit);
                self.handle_committed(id, sent_at, codes, ids, now);
                Ok(())
            }
            Outcome::LookedUp(id, answer) => {
                self.note_answered(Slot::LookUp);
                self.handle_looked_up(id, answer, now);
                Ok(())
            }
            Outcome::TopicsKnown => {
                self.look_at_topics(now);
                Ok(())
            }
            Outcome::SnapshotChanged => {
                self.seen_snapshot = self.client.snapshot().version;
                if self.membership.wanted_topics().is_some_and(|(_, waits)| !waits) {
                    self.look_at_topics(now);
                }
                Ok(())
            }
        };
        if let Err(IllegalEvent) = taken {
            tracing::trace!(group = %self.config.group_id, "an outcome came too late");
        }
    }

    fn publish(&mut self, now: Instant) {
        let notice = self.membership.current_notice();
        self.cells.publish_event(notice.map(|notice| notice.id));
        if self.membership.awaits_poll() {
            self.cells.await_poll(now);
        }
        let mut metadata = self.membership.metadata();
        if metadata.generation_id < 0 && self.membership.phase() != Phase::Standalone {
            metadata.generation_id = super::NO_GENERATION;
        }
        self.publisher.send_if_modified(|published| {
            let before = published.notice.as_ref().map(|notice| notice.id);
            let generation = metadata.generation_id;
            if generation >= 0 && generation != published.metadata.generation_id {
                let (group, member) = (&metadata.group_id, &metadata.member_id);
                tracing::info!(%group, %member, generation, "joined");
            }
            if let Some(notice) = notice.filter(|notice| Some(notice.id) != before) {
                tracing::info!(group = %metadata.group_id, event = %notice.event, "membership");
            }
            let same = before == notice.map(|notice| notice.id) && published.metadata == metadata;
            if !same {
                (published.notice, published.metadata) = (notice.cloned(), metadata);
            }
            !same
        });
    }

    fn next_timeout(&self, now: Instant) -> Option<Instant> {
        let calls = [
            self.membership.next_call(),
            self.commits.next_call(),
            self.lookups.next_call(),
            self.finder.next_timeout(),
        ];
        // What is due and was not sent waits for something that wakes by itself.
        let calls = calls.into_iter().flatten().filter(|at| *at > now);
        let closing = self.closing.as_ref().map(|closing| closing.deadline.instant());
        let deadlines = [
            self.membership.next_timeout(),
            self.commits.next_timeout(),
            self.lookups.next_timeout(),
            self.auto_commit_at.filter(|_| self.closing.is_none() && self.auto_commit.is_none()),
            self.doubt_at().filter(|_| self.slots.is_free(Slot::Find)),
            closing,
        ];
        calls.chain(deadlines.into_iter().flatten()).min()
    }
}
