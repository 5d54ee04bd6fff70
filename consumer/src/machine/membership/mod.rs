//! A member of a classic group.
//!
//! ```text
//!             subscribe                 joined         assigned
//!   Outside ------------> Joining -------------> Syncing -------> Stable
//!      ^                   ^   ^ \                ^                  |
//!      |          given up |   |  '-> Assigning --' leads            | rebalance
//!      |                   |   '-------------------------------------|  (cooperative)
//!   Leaving <--------- Revoking <------------------------------------'  (eager)
//! ```
//!
//! From every state but Outside and Leaving, a refusal, an overdue poll or an empty subscription
//! leads out; a fenced member, or one that heard nothing for a session, loses what it owned and goes
//! to Joining. From Outside, a poll leads back to Joining, once the application has heard why.

mod codec;
mod config;
mod coordinator;
mod error;
mod joining;
mod leaving;
mod liveness;
mod notice;
mod notices;
mod outcome;
mod revoking;
mod state;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytestring::ByteString;
use ottla_core::error::ErrorCode;
use ottla_core::retry::Backoff;
use ottla_core::types::{ConsumerGroupMetadata, TopicName, TopicPartition};

pub use config::{GroupConfig, OnClose};
pub use coordinator::CoordinatorFinder;
pub use error::GroupError;
pub use notice::{GroupEvent, GroupNotice, LossReason, NoticeId};
pub use outcome::{
    Answer, commit_answer, fetch_answer, heartbeat_answer, join_answer, sync_answer,
};
pub use state::{CallId, IllegalEvent, MembershipCall, MembershipRequest, Phase};

use self::notices::Notices;
use self::state::{Call, Outside, State, Watched};
use super::assignor::{ClusterTopics, RebalanceProtocol};

/// Keeps one member in its group: joins, assigns where it leads, syncs, beats, leaves.
///
/// It is told the time and what came, and says what to send ([`poll_call`](Self::poll_call)) and
/// what the application has to act on ([`current_notice`](Self::current_notice)). Who drives it
/// sends each call to the coordinator and brings its outcome back once, or drops it: what comes back
/// late is an [`IllegalEvent`] and changes nothing.
///
/// # Kafka
///
/// Java's `ConsumerCoordinator` and `AbstractCoordinator`; KIP-62, 345, 394, 429, 559, 800, 814.
#[derive(Debug)]
pub struct ClassicMembership {
    config: GroupConfig,
    topics: BTreeSet<TopicName>,
    state: State,
    /// What the coordinator calls this member; empty before it has said so.
    member_id: ByteString,
    /// The generation that the member has been told; `None` outside of any.
    generation: Option<i32>,
    /// What the member owns; partitions that are being given up included.
    owned: BTreeSet<TopicPartition>,
    /// The last assignment and its generation, for assignors that remember.
    previous: (Vec<TopicPartition>, Option<i32>),
    notices: Notices,
    /// Until when the coordinator keeps the member, as far as is known.
    alive_until: Instant,
    heartbeat: Call,
    /// The next wait between heartbeats, while another rebalance is likely.
    settling: Option<Duration>,
    polled_at: Instant,
    /// Why to rejoin as soon as that is possible.
    rejoin: Option<ByteString>,
    backoff: Backoff,
    random: u64,
    next_call: u64,
    coordinator_lost: bool,
}

impl ClassicMembership {
    /// A member of no group yet. `random` is any number; it moves retries.
    #[must_use]
    pub fn new(config: GroupConfig, now: Instant, random: u64) -> Self {
        Self {
            config,
            topics: BTreeSet::new(),
            state: State::Outside(Outside::Unsubscribed),
            member_id: ByteString::new(),
            generation: None,
            owned: BTreeSet::new(),
            previous: (Vec::new(), None),
            notices: Notices::default(),
            alive_until: now,
            heartbeat: Call::Due(now),
            settling: None,
            polled_at: now,
            rejoin: None,
            backoff: Backoff::new(RETRY, RETRY_MAX),
            random,
            next_call: 0,
            coordinator_lost: false,
        }
    }

    /// Subscribes to `topics` in place of those before. None of them leaves the group, once what is
    /// owned has been given up.
    pub fn subscribe(&mut self, topics: BTreeSet<TopicName>, now: Instant) {
        if topics == self.topics && !matches!(self.state, State::Outside(_)) {
            return;
        }
        self.topics = topics;
        if self.topics.is_empty() {
            self.give_up_and_leave("the consumer unsubscribed from all topics", now);
            return;
        }
        match self.state {
            State::Outside(Outside::Fenced) => {}
            State::Outside(_) => {
                self.polled_at = now;
                self.join("", now);
            }
            // It is read when the leaving is done.
            State::Leaving { .. } => {}
            State::Revoking { .. }
            | State::Joining { .. }
            | State::Assigning { .. }
            | State::Syncing { .. }
            | State::Stable { .. } => self.request_rejoin("the subscription has changed", now),
        }
    }

    /// Takes note of the application's last poll. The same one may be told again.
    pub fn handle_poll(&mut self, polled_at: Instant, now: Instant) {
        if polled_at <= self.polled_at {
            return;
        }
        self.polled_at = polled_at;
        match &mut self.state {
            State::Outside(Outside::AwaitingPoll) => self.join("the application polls again", now),
            // It rejoins when the leaving is done.
            State::Leaving { then: then @ Outside::AwaitingPoll, .. } => {
                *then = Outside::Unsubscribed;
            }
            State::Outside(_)
            | State::Revoking { .. }
            | State::Joining { .. }
            | State::Assigning { .. }
            | State::Syncing { .. }
            | State::Stable { .. }
            | State::Leaving { .. } => {}
        }
    }

    /// Leaves for good, without waiting for what is owned to be given up. Whether there is a call to
    /// wait for.
    pub fn close(&mut self, on_close: OnClose, now: Instant) {
        self.topics.clear();
        self.notices.clear();
        self.owned.clear();
        if on_close.leaves(self.config.group_instance_id.is_some()) {
            self.leave("the consumer is being closed", Outside::Unsubscribed, now);
        } else {
            self.step_out(Outside::Unsubscribed);
        }
    }

    /// Whether nothing is to be sent any more.
    #[must_use]
    pub fn is_outside(&self) -> bool {
        matches!(self.state, State::Outside(_))
    }

    /// Whether the member was put out for polling too rarely, so that the next poll matters.
    #[must_use]
    pub fn awaits_poll(&self) -> bool {
        matches!(
            self.state,
            State::Outside(Outside::AwaitingPoll)
                | State::Leaving { then: Outside::AwaitingPoll, .. }
        )
    }

    /// What the application has to act on now.
    #[must_use]
    pub fn current_notice(&self) -> Option<&Arc<GroupNotice>> {
        self.notices.current()
    }

    /// Says who the member is, for those who commit.
    #[must_use]
    pub fn metadata(&self) -> ConsumerGroupMetadata {
        ConsumerGroupMetadata {
            group_id: self.config.group_id.clone(),
            generation_id: self.generation.unwrap_or(-1),
            member_id: self.member_id.clone(),
            group_instance_id: self.config.group_instance_id.clone(),
        }
    }

    /// What commits may be sent now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        match self.state {
            State::Outside(Outside::Unsubscribed) => Phase::Standalone,
            State::Outside(_) | State::Leaving { .. } => Phase::Outside,
            State::Joining { .. } if self.generation.is_some() => Phase::Joining,
            State::Joining { .. } | State::Assigning { .. } | State::Syncing { .. } => {
                Phase::Between
            }
            State::Revoking { .. } | State::Stable { .. } => Phase::Member,
        }
    }

    /// What the member owns; partitions that are being given up included.
    #[must_use]
    pub fn owned(&self) -> &BTreeSet<TopicPartition> {
        &self.owned
    }

    /// What may be committed: what is owned, unless it was lost and the application has not been told
    /// yet, or has not been told that it came again. What it has in hand is of the former
    /// assignment, behind which somebody else may have committed since.
    #[must_use]
    pub fn committable(&self) -> Cow<'_, BTreeSet<TopicPartition>> {
        let mut committable = Cow::Borrowed(&self.owned);
        for partition in self.notices.unheard() {
            if committable.contains(partition) {
                committable.to_mut().remove(partition);
            }
        }
        committable
    }

    /// Whether the coordinator did not answer as one: it has to be looked up anew. True once for
    /// each time.
    #[must_use]
    pub fn take_coordinator_lost(&mut self) -> bool {
        std::mem::take(&mut self.coordinator_lost)
    }

    /// The topics whose partitions have to be known: those of the whole group while this member
    /// leads it. The second is whether [`handle_topics`](Self::handle_topics) is waited for.
    #[must_use]
    pub fn wanted_topics(&self) -> Option<(&BTreeSet<TopicName>, bool)> {
        match &self.state {
            State::Assigning { topics, .. } => Some((topics, true)),
            State::Stable { watched: Some(watched), .. }
            | State::Syncing { watched: Some(watched), .. } => Some((&watched.topics, false)),
            State::Outside(_)
            | State::Revoking { .. }
            | State::Joining { .. }
            | State::Syncing { .. }
            | State::Stable { .. }
            | State::Leaving { .. } => None,
        }
    }

    /// Takes note of the partitions of the [wanted](Self::wanted_topics) topics. A leader assigns
    /// them, or has the group rebalance when they have changed since.
    pub fn handle_topics(&mut self, cluster: ClusterTopics, now: Instant) {
        let watched = match &mut self.state {
            State::Assigning { .. } => return self.assign(cluster, now),
            // What changes while it syncs is not told again when it has.
            State::Syncing { watched, .. } | State::Stable { watched, .. } => watched.as_mut(),
            State::Outside(_)
            | State::Revoking { .. }
            | State::Joining { .. }
            | State::Leaving { .. } => None,
        };
        let Some(Watched { cluster: seen, .. }) = watched else { return };
        match seen {
            None => *seen = Some(cluster),
            Some(seen) if are_alike(&self.config, seen, &cluster) => {}
            Some(_) => {
                self.request_rejoin("the partitions of the group's topics have changed", now);
            }
        }
    }

    /// The next call to the coordinator that is due. To be asked until `None`.
    pub fn poll_call(&mut self, now: Instant) -> Option<MembershipCall> {
        self.poll_join_side(now).or_else(|| self.poll_heartbeat(now))
    }

    /// Takes note that the member may not do what it tried: a commit in `generation` was answered
    /// with `code`. An answer that an earlier generation was given says nothing about this one.
    pub fn handle_commit_refused(&mut self, code: ErrorCode, generation: i32, now: Instant) {
        if self.generation != Some(generation) || self.phase() != Phase::Member {
            return;
        }
        match commit_answer(code) {
            Answer::Rejoin if matches!(self.state, State::Stable { .. }) => {
                self.request_rejoin("the group is rebalancing", now);
            }
            answer @ (Answer::RejoinFenced | Answer::RejoinAnew | Answer::FencedInstance) => {
                self.handle_fenced(answer, code, now);
            }
            Answer::Done
            | Answer::Retry
            | Answer::Rediscover
            | Answer::Rejoin
            | Answer::UnknownTopic
            | Answer::AdoptMemberId
            | Answer::Refused => {}
        }
    }

    /// Takes note that the coordinator has moved: what it was asked is asked anew.
    pub fn handle_coordinator_moved(&mut self, now: Instant) {
        self.heartbeat = Call::Due(now);
        if let Some(call) = self.state.call_mut() {
            *call = Call::Due(now);
        }
    }

    /// When [`poll_call`](Self::poll_call) has something to send, where there is a coordinator.
    #[must_use]
    pub fn next_call(&self) -> Option<Instant> {
        let call = self.state.call().and_then(Call::due);
        let beat = self.beats().then(|| self.heartbeat.due()).flatten();
        [call, beat].into_iter().flatten().min()
    }

    fn protocol(&self) -> RebalanceProtocol {
        let mut assignors = self.config.assignors.iter();
        // Only what all of them can do: the group may choose any.
        if assignors.all(|assignor| assignor.protocol() == RebalanceProtocol::Cooperative) {
            RebalanceProtocol::Cooperative
        } else {
            RebalanceProtocol::Eager
        }
    }

    fn fresh_call(&mut self) -> CallId {
        self.next_call += 1;
        CallId(self.next_call)
    }

    fn retry_delay(&mut self) -> Duration {
        // SplitMix's increment: enough to part members that failed together.
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.backoff.fail(self.random >> 32)
    }
}

/// Whether an assignment for one would be good for the other. Where a replica is matters to those alone
/// who heed racks: a broker that dies takes its rack with it.
fn are_alike(config: &GroupConfig, seen: &ClusterTopics, now: &ClusterTopics) -> bool {
    if config.client_rack.is_some() {
        return seen == now;
    }
    let counts = |cluster: &ClusterTopics| -> Vec<(TopicName, usize)> {
        cluster.iter().map(|(name, partitions)| (name.clone(), partitions.len())).collect()
    };
    counts(seen) == counts(now)
}

/// The wait before a call is made again: what it waits for is decided within tens of milliseconds.
pub(in crate::machine) const RETRY: Duration = Duration::from_millis(20);

/// The longest wait before a call is made again.
pub(in crate::machine) const RETRY_MAX: Duration = Duration::from_secs(1);
