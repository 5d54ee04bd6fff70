//! What of a group outlives its coordinator.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_protocol::{ByteString, ErrorCode};

use super::{Answer, ClassicGroup, JoinRefused, State, SyncPhase};
use crate::group::member::{Roster, Waiting};

/// A group as Kafka writes it to `__consumer_offsets`: when a generation gets its assignment, when
/// the last member is gone, and when a static member changes its id.
///
/// Nothing else survives: a new coordinator knows neither of a join phase nor of ids that were
/// handed out.
#[derive(Debug, Default)]
pub(super) struct Saved {
    since: Duration,
    generation: i32,
    protocol_type: Option<ByteString>,
    protocol_name: Option<ByteString>,
    roster: Roster,
}

impl ClassicGroup {
    /// The coordinator is another node from now on: everyone who waits is sent there, and the
    /// group is again what was saved of it.
    pub(crate) fn handle_coordinator_change(&mut self, now: Duration) {
        self.unload();
        self.load(now);
    }

    /// The group is no longer here: everyone who waits is sent to look for it.
    pub(super) fn unload(&mut self) {
        let error = ErrorCode::NotCoordinator;
        for (id, member) in self.roster.iter_mut() {
            let member_id = id.clone();
            if let Some(wait) = member.take_join() {
                let refused = JoinRefused { error, member_id };
                self.answers.push_back((wait, Answer::Join(Err(refused))));
            } else if let Some(wait) = member.take_sync() {
                self.answers.push_back((wait, Answer::Sync(Err(error))));
            }
        }
        self.pending.clear();
        self.state = State::Dead;
    }

    fn load(&mut self, now: Duration) {
        self.since = self.saved.since;
        self.generation = self.saved.generation;
        self.protocol_type = self.saved.protocol_type.clone();
        self.protocol_name = self.saved.protocol_name.clone();
        self.roster = self.saved.roster.clone();
        self.subscribed = self.subscribed_topics();
        for (_, member) in self.roster.iter_mut() {
            member.extend_session(now);
        }
        let nobody_missing = SyncPhase { deadline: now, missing: BTreeSet::new() };
        let members = self.roster.len();
        self.state = if members == 0 { State::Empty } else { State::Stable(nobody_missing) };
        if members > self.config.max_size {
            self.prepare_rebalance(now);
        }
    }

    pub(super) fn save(&mut self) {
        let mut roster = self.roster.clone();
        for (_, member) in roster.iter_mut() {
            member.waiting = Waiting::Nothing;
        }
        self.saved = Saved {
            since: self.since,
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol_name.clone(),
            roster,
        };
    }
}
