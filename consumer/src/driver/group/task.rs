//! The task that owns a membership and its commits.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ottla_core::error::{ErrorCode, RequestError};
use ottla_core::net::{Client, TopicUse};
use ottla_core::retry::Deadline;
use ottla_core::types::{ConsumerGroupMetadata, NodeId, TopicName, TopicPartition};
use tokio::sync::{mpsc, oneshot, watch};

use super::calls::{self, Links, Outcome};
use super::cells::{Cells, Wishes};
use super::slots::{Slot, Slots};
use crate::machine::assignor::ClusterTopics;
use crate::machine::commit::{
    CommitError, CommitId, Commits, CommittedOffsets, LookupId, Lookups, Offsets, PartitionCodes,
    Seat,
};
use crate::machine::membership::{
    ClassicMembership, CoordinatorFinder, GroupConfig, GroupEvent, GroupNotice, IllegalEvent,
    MembershipCall, MembershipRequest, NoticeId, Phase,
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
        deadline: Deadline,
        done: oneshot::Sender<Result<CommittedOffsets, CommitError>>,
    },
    Leave {
        deadline: Deadline,
        done: oneshot::Sender<Result<(), CommitError>>,
    },
}

/// What the task tells.
#[derive(Debug, Clone)]
pub(super) struct Published {
    pub(super) notice: Option<Arc<GroupNotice>>,
    pub(super) metadata: ConsumerGroupMetadata,
}

pub(super) struct GroupTask {
    client: Client,
    config: GroupConfig,
    cells: Arc<Cells>,
    publisher: watch::Sender<Published>,
    membership: ClassicMembership,
    commits: Commits,
    lookups: Lookups,
    finder: CoordinatorFinder,
    links: Option<Links>,
    slots: Slots,
    committing: BTreeMap<CommitId, oneshot::Sender<Result<(), CommitError>>>,
    looking_up: BTreeMap<LookupId, oneshot::Sender<Result<CommittedOffsets, CommitError>>>,
    /// When stored offsets are committed next; `None` where commits are not automatic.
    auto_commit_at: Option<Instant>,
    /// The automatic commit that is under way.
    auto_commit: Option<CommitId>,
    /// A revocation that waits for its last commit.
    revocation: Option<(NoticeId, CommitId)>,
    /// Calls that the coordinator has not answered, and since when.
    unanswered: BTreeMap<Slot, Instant>,
    /// When a silent coordinator is doubted next.
    doubt_at: Option<Instant>,
    /// The coordinator that was doubted, while another broker is asked.
    doubted: Option<NodeId>,
    used: Option<(BTreeSet<TopicName>, TopicUse)>,
    seen_snapshot: u64,
    closing: Option<Closing>,
    /// Whether there is nobody left to ask.
    client_is_closed: bool,
}

/// The way out.
struct Closing {
    deadline: Deadline,
    done: Option<oneshot::Sender<Result<(), CommitError>>>,
    step: Step,
    outcome: Result<(), CommitError>,
}

enum Step {
    /// The last commit.
    Committing(CommitId),
    Leaving,
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
            committing: BTreeMap::new(),
            looking_up: BTreeMap::new(),
            auto_commit_at: config.auto_commit_interval.map(|interval| now + interval),
            auto_commit: None,
            revocation: None,
            unanswered: BTreeMap::new(),
            doubt_at: None,
            doubted: None,
            used: None,
            seen_snapshot,
            closing: None,
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
        self.finish_notice(now);
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

    fn finish_notice(&mut self, now: Instant) {
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

    /// Commits what was processed of revoked partitions before they are given up, where commits are
    /// automatic. One round trip, or a second: a coordinator that does not answer a commit will not
    /// answer a join either, and the others wait for this one.
    fn finish_revocation(
        &mut self,
        notice: &GroupNotice,
        partitions: &[TopicPartition],
        now: Instant,
    ) {
        if self.revocation.is_some_and(|(id, _)| id == notice.id) {
            return;
        }
        let revoked: BTreeSet<TopicPartition> = partitions.iter().cloned().collect();
        let uncommitted = self.cells.store().uncommitted(Some(&revoked));
        if self.config.auto_commit_interval.is_some() && !uncommitted.is_empty() {
            let deadline = Deadline::after(now, LAST_COMMIT);
            let commit = self.commits.commit(uncommitted, now, deadline);
            self.revocation = Some((notice.id, commit));
        } else {
            self.forget(partitions);
            self.membership.finish_notice(notice.id, now);
        }
    }

    fn forget(&self, partitions: &[TopicPartition]) {
        let mut store = self.cells.store();
        for partition in partitions {
            store.reset(partition);
        }
    }

    /// What was processed and may be committed now.
    fn uncommitted(&self) -> Offsets {
        let mut offsets = self.cells.store().uncommitted(None);
        if self.membership.phase() != Phase::Standalone {
            offsets.retain(|partition, _| self.membership.owned().contains(partition));
        }
        offsets
    }

    fn commit_stored_if_due(&mut self, now: Instant) {
        let due = self.auto_commit_at.is_some_and(|at| at <= now) && self.auto_commit.is_none();
        let interval = self.config.auto_commit_interval.filter(|_| due && self.closing.is_none());
        let Some(interval) = interval else { return };
        self.auto_commit_at = Some(now + interval);
        // Never in the middle of a rebalance: what is revoked is committed there.
        let offsets = match self.membership.phase() {
            Phase::Standalone | Phase::Member => self.uncommitted(),
            Phase::Joining | Phase::Between | Phase::Outside => Offsets::new(),
        };
        if !offsets.is_empty() {
            let deadline = Deadline::after(now, self.client.config().default_api_timeout);
            self.auto_commit = Some(self.commits.commit(offsets, now, deadline));
        }
    }

    fn handle_command(&mut self, command: Option<Command>, now: Instant) {
        match command {
            Some(Command::Commit { offsets, deadline, done }) => {
                let id = self.commits.commit(offsets, now, deadline);
                self.committing.insert(id, done);
            }
            Some(Command::LookUp { partitions, deadline, done }) => {
                let id = self.lookups.look_up(partitions, now, deadline);
                self.looking_up.insert(id, done);
            }
            Some(Command::Leave { deadline, done }) => self.close(deadline, Some(done), now),
            None => self.close(Deadline::after(now, UNATTENDED), None, now),
        }
    }

    fn close(
        &mut self,
        deadline: Deadline,
        done: Option<oneshot::Sender<Result<(), CommitError>>>,
        now: Instant,
    ) {
        let offsets = match self.config.auto_commit_interval {
            Some(_) => self.uncommitted(),
            None => Offsets::new(),
        };
        // Half of the time at most, so that there is some left to leave in.
        let last = Deadline::after(now, (deadline.left(now) / 2).min(UNATTENDED));
        let commit = self.commits.commit(offsets, now, last);
        let step = Step::Committing(commit);
        self.closing = Some(Closing { deadline, done, step, outcome: Ok(()) });
    }

    fn is_over(&self, now: Instant) -> bool {
        let Some(closing) = &self.closing else { return self.client_is_closed };
        let left = matches!(closing.step, Step::Leaving) && self.membership.is_outside();
        left || closing.deadline.is_over(now) || self.client_is_closed
    }

    fn end(mut self) {
        self.commits.fail_all(&CommitError::Closed);
        self.lookups.fail_all(&CommitError::Closed);
        let now = self.client.runtime().now();
        self.settle_done(now);
        let Some(Closing { done: Some(done), outcome, .. }) = self.closing else { return };
        // Whoever waited may have stopped; the group is left all the same.
        drop(done.send(outcome));
    }

    /// Makes every call that is due, where the coordinator is known.
    fn make_calls(&mut self, now: Instant) {
        self.find_coordinator(now);
        self.know_topics();
        if self.finder.node().is_none() {
            return;
        }
        while let Some(call) = self.membership.poll_call(now) {
            self.send(call, now);
        }
        self.send_commit(now);
        self.send_lookup(now);
        self.drop_unawaited();
    }

    fn find_coordinator(&mut self, now: Instant) {
        let lost = self.membership.take_coordinator_lost();
        let doubtful = self.doubt_at.is_some_and(|at| at <= now);
        if lost {
            self.doubted = self.finder.node();
            self.finder.handle_lost(now);
        } else if doubtful && self.slots.is_free(Slot::Find) {
            // The calls stay: it may well answer yet.
            self.doubt_at = Some(now + DOUBT);
            let doubted = self.finder.node();
            let find = calls::find(self.client.clone(), self.config.group_id.clone(), doubted);
            self.slots.put(Slot::Find, find);
        }
        let wanted = !self.membership.is_outside()
            || !self.commits.is_idle()
            || self.lookups.next_timeout().is_some();
        if wanted && self.slots.is_free(Slot::Find) && self.finder.poll_lookup(now) {
            let doubted = self.doubted.take();
            let find = calls::find(self.client.clone(), self.config.group_id.clone(), doubted);
            self.slots.put(Slot::Find, find);
        }
    }

    fn send(&mut self, call: MembershipCall, now: Instant) {
        let Some(links) = &mut self.links else { return };
        let MembershipCall { id, request } = call;
        let joins = matches!(request, MembershipRequest::Join(_) | MembershipRequest::Sync(_));
        if joins && !self.slots.is_free(Slot::Join) {
            links.renew_join(&self.client);
        }
        let timeout = self.client.config().request_timeout;
        let slot = match request {
            MembershipRequest::Join(request) => {
                tracing::debug!(group = %self.config.group_id, "joining");
                // Answered when all have joined, which may take as long as the slowest may.
                let timeout = self.config.max_poll_interval + JOIN_MARGIN;
                let answer = links.join(id, request, timeout);
                self.slots.put(Slot::Join, answer);
                Slot::Join
            }
            MembershipRequest::Sync(request) => {
                let timeout = self.config.max_poll_interval + JOIN_MARGIN;
                self.slots.put(Slot::Join, links.sync(id, request, timeout));
                Slot::Join
            }
            MembershipRequest::Heartbeat(request) => {
                let timeout = timeout.min(self.config.session_timeout);
                self.slots.put(Slot::Heartbeat, links.beat(id, request, timeout));
                Slot::Heartbeat
            }
            MembershipRequest::Leave(request) => {
                self.slots.put(Slot::Leave, links.leave(id, request, timeout));
                Slot::Leave
            }
        };
        self.note_unanswered(slot, now);
    }

    fn send_commit(&mut self, now: Instant) {
        let Some(links) = &self.links else { return };
        let metadata = self.membership.metadata();
        let (phase, owned) = (self.membership.phase(), self.membership.owned());
        let seat = Seat { metadata: &metadata, phase, owned };
        let Some(call) = self.commits.poll_call(&seat, now) else { return };
        let timeout = self.client.config().request_timeout;
        self.slots.put(Slot::Commit, links.commit(self.client.clone(), call, timeout));
        self.note_unanswered(Slot::Commit, now);
    }

    fn send_lookup(&mut self, now: Instant) {
        let Some(links) = &self.links else { return };
        let Some(call) = self.lookups.poll_call(now) else { return };
        let timeout = self.client.config().request_timeout;
        let (group, stable) = (self.config.group_id.clone(), self.config.require_stable);
        let answer = links.look_up(self.client.clone(), group, stable, call, timeout);
        self.slots.put(Slot::LookUp, answer);
        self.note_unanswered(Slot::LookUp, now);
    }

    fn note_unanswered(&mut self, slot: Slot, now: Instant) {
        self.unanswered.insert(slot, now);
        self.doubt_at.get_or_insert(now + DOUBT);
    }

    fn note_answered(&mut self, slot: Slot) {
        self.unanswered.remove(&slot);
        self.doubt_at = self.unanswered.values().min().map(|since| *since + DOUBT);
    }

    /// A join that nobody waits for any more still blocks its connection.
    fn drop_unawaited(&mut self) {
        let joins = self.membership.phase();
        let awaited = matches!(joins, Phase::Joining | Phase::Between);
        if !awaited && !self.slots.is_free(Slot::Join) {
            self.slots.clear(Slot::Join);
            self.note_answered(Slot::Join);
            if let Some(links) = &mut self.links {
                links.renew_join(&self.client);
            }
        }
    }

    fn know_topics(&mut self) {
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

    fn handle_outcome(&mut self, outcome: Outcome, now: Instant) {
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
                self.membership.handle_left(id, outcome.as_ref(), now)
            }
            Outcome::Committed { id, sent_at, codes } => {
                self.note_answered(Slot::Commit);
                self.handle_committed(id, sent_at, codes, now);
                Ok(())
            }
            Outcome::LookedUp(id, answer) => {
                self.note_answered(Slot::LookUp);
                let lost = match answer {
                    Ok(answer) => self.lookups.handle_answer(id, &answer, now),
                    Err(error) => self.lookups.handle_failure(id, &error, now),
                };
                self.lose_coordinator_if(lost, now);
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

    fn look_at_topics(&mut self, now: Instant) {
        let Some((topics, waits)) = self.membership.wanted_topics() else { return };
        let snapshot = self.client.snapshot();
        // What cannot be described for a moment has not changed for that.
        let passing = |topic: &TopicName| {
            let error = snapshot.topic(topic).and_then(|topic| topic.error);
            error.is_some_and(|error| error != ErrorCode::UnknownTopicOrPartition)
        };
        if !waits && topics.iter().any(passing) {
            return;
        }
        let cluster = ClusterTopics::from_snapshot(&snapshot, topics);
        self.membership.handle_topics(cluster, now);
    }

    fn handle_found(&mut self, found: Result<NodeId, RequestError>, now: Instant) {
        let node = match found {
            Ok(node) => node,
            Err(RequestError::Closed { .. }) => {
                self.client_is_closed = true;
                return;
            }
            Err(error) => {
                tracing::warn!(group = %self.config.group_id, %error, "no coordinator");
                if self.finder.node().is_none() {
                    self.finder.handle_failed(now, self.client.runtime().random());
                }
                return;
            }
        };
        self.finder.handle_found(node);
        if self.links.as_ref().is_some_and(|links| links.node == node) {
            self.membership.handle_coordinator_confirmed(now);
            return;
        }
        tracing::info!(group = %self.config.group_id, %node, "coordinator");
        for slot in [Slot::Join, Slot::Heartbeat, Slot::Commit, Slot::LookUp, Slot::Leave] {
            self.slots.clear(slot);
        }
        self.unanswered.clear();
        self.doubt_at = None;
        self.links = Some(Links::open(&self.client, node));
        self.membership.handle_coordinator_moved(now);
        self.commits.handle_coordinator_moved();
        self.lookups.handle_coordinator_moved();
    }

    fn lose_coordinator_if(&mut self, lost: bool, now: Instant) {
        if lost {
            self.doubted = self.finder.node();
            self.finder.handle_lost(now);
        }
    }

    fn handle_committed(
        &mut self,
        id: CommitId,
        sent_at: Instant,
        codes: Result<PartitionCodes, RequestError>,
        now: Instant,
    ) {
        let codes = match codes {
            Ok(codes) => codes,
            Err(error) => {
                let lost = self.commits.handle_failure(id, &error, now);
                self.lose_coordinator_if(lost, now);
                return;
            }
        };
        let metadata = self.membership.metadata();
        let (phase, owned) = (self.membership.phase(), self.membership.owned());
        let seat = Seat { metadata: &metadata, phase, owned };
        let outcome = self.commits.handle_answer(id, &codes, &seat, now);
        if !outcome.committed.is_empty() {
            self.cells.store().handle_committed(&outcome.committed);
            self.membership.handle_alive(sent_at);
        }
        self.lose_coordinator_if(outcome.coordinator_lost, now);
        if let Some(refusal) = outcome.refusal {
            self.membership.handle_commit_refused(refusal.code, refusal.generation, now);
        }
    }

    /// Tells those who wait for commits and look-ups. Whether a commit was settled.
    fn settle_done(&mut self, now: Instant) -> bool {
        let mut settled = false;
        while let Some((id, outcome)) = self.commits.poll_done() {
            self.settle_commit(id, outcome, now);
            settled = true;
        }
        while let Some((id, outcome)) = self.lookups.poll_done() {
            if let Some(done) = self.looking_up.remove(&id) {
                // Whoever waited may have stopped; nothing is lost.
                drop(done.send(outcome));
            }
        }
        settled
    }

    fn settle_commit(&mut self, id: CommitId, outcome: Result<(), CommitError>, now: Instant) {
        if let Some((notice, _)) = self.revocation.take_if(|(_, commit)| *commit == id) {
            self.warn_uncommitted("revoked partitions", &outcome);
            let current = self.membership.current_notice().filter(|current| current.id == notice);
            if let Some(GroupEvent::Revoking { partitions }) = current.map(|it| it.event.clone()) {
                self.forget(&partitions);
            }
            self.membership.finish_notice(notice, now);
        } else if self.auto_commit.take_if(|commit| *commit == id).is_some() {
            self.warn_uncommitted("what was processed", &outcome);
        } else if let Some(done) = self.committing.remove(&id) {
            // Whoever waited may have stopped; the commit stands either way.
            drop(done.send(outcome));
        } else if let Some(closing) = &mut self.closing
            && matches!(closing.step, Step::Committing(commit) if commit == id)
        {
            closing.outcome = outcome;
            closing.step = Step::Leaving;
            self.membership.close(now);
        }
    }

    fn warn_uncommitted(&self, what: &str, outcome: &Result<(), CommitError>) {
        if let Err(error) = outcome {
            tracing::warn!(group = %self.config.group_id, %error, "{what} could not be committed");
        }
    }

    fn publish(&mut self, now: Instant) {
        let notice = self.membership.current_notice();
        self.cells.publish_event(notice.map(|notice| notice.id));
        if self.membership.awaits_poll() {
            self.cells.await_poll(now);
        }
        let metadata = self.membership.metadata();
        self.publisher.send_if_modified(|published| {
            let same = published.notice.as_ref().map(|notice| notice.id)
                == notice.map(|notice| notice.id)
                && published.metadata == metadata;
            if !same {
                if let Some(notice) = notice {
                    tracing::info!(group = %metadata.group_id, event = %notice.event, "membership");
                }
                *published = Published { notice: notice.cloned(), metadata };
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
            self.doubt_at.filter(|_| self.slots.is_free(Slot::Find)),
            closing,
        ];
        calls.chain(deadlines.into_iter().flatten()).min()
    }
}

/// How long the last commit of a revocation may take.
const LAST_COMMIT: Duration = Duration::from_secs(1);

/// How long leaving may take where nobody waits for it, and a last commit at most.
const UNATTENDED: Duration = Duration::from_secs(5);

/// What a join may take beyond the rebalance timeout: as in Java.
const JOIN_MARGIN: Duration = Duration::from_secs(5);

/// How long a coordinator may be silent before another broker is asked whether it still is the one,
/// and again after that.
const DOUBT: Duration = Duration::from_millis(1_500);
