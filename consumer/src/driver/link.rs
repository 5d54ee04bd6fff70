//! What is sent to one broker, and what becomes of its answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ottla_core::conn::{Answer, AnswerFault, Outbox, RequestSource, Token, WakeCell};
use ottla_core::error::RequestError;
use ottla_core::types::NodeId;
use ottla_protocol::VersionRange;
use ottla_protocol::messages::FetchRequest;

use super::Shared;
use crate::machine::fetch::{ControlReader, FetchAnswer, Lane, Wording};

/// The fetches from one broker in one lane: at most one is under way, and the next leaves before what
/// the last brought is delivered.
#[derive(Debug)]
pub(super) struct FetchLink {
    node: NodeId,
    lane: Lane,
    shared: Arc<Shared>,
    cell: WakeCell,
    /// Only the task of the link uses it.
    control: Mutex<ControlReader>,
}

/// The versions that can name topics.
const BY_NAME: VersionRange = VersionRange::new(4, 12);

/// The versions there are.
const ALL: VersionRange = VersionRange::new(4, 18);

impl FetchLink {
    pub(super) fn new(node: NodeId, lane: Lane, shared: Arc<Shared>) -> Self {
        Self { node, lane, shared, cell: WakeCell::default(), control: Mutex::default() }
    }
}

impl RequestSource for FetchLink {
    fn poll_requests(&self, now: Instant, outbox: &mut Outbox<'_>) {
        if outbox.room() == 0 || !self.shared.is_open() {
            return;
        }
        let names = self.shared.look(|fetcher| fetcher.needs_names(self.node));
        let version = match outbox.version_within::<FetchRequest>(if names { BY_NAME } else { ALL })
        {
            Ok(version) => version,
            Err(error) => return self.shared.refuse(error),
        };
        let wording = Wording::of(version);
        let fetch =
            self.shared.with(|fetcher| fetcher.poll_fetch(self.node, self.lane, wording, now));
        let Some((token, request)) = fetch else { return };
        let timeout = self.shared.client().config().request_timeout;
        if let Err(error) = outbox.send(&request, version, Token(token), timeout) {
            self.shared.with(|fetcher| fetcher.handle_fetch_failure(self.node, token, now));
            self.shared.refuse(error);
        }
    }

    fn handle_answer(
        &self,
        now: Instant,
        token: Token,
        answer: &Answer,
    ) -> Result<Duration, AnswerFault> {
        let level = self.shared.config().isolation_level;
        let mut control = self.control.lock().unwrap_or_else(PoisonError::into_inner);
        // Walked before the lock is taken: readers of other partitions do not wait for it.
        let answer = FetchAnswer::read(&answer.body, answer.version, level, &mut control)?;
        let throttle = answer.throttle;
        self.shared.with(|fetcher| fetcher.handle_fetched(self.node, token.0, answer, now));
        Ok(throttle)
    }

    fn handle_failure(&self, now: Instant, token: Token, _error: &RequestError) {
        self.shared.with(|fetcher| fetcher.handle_fetch_failure(self.node, token.0, now));
    }

    fn handle_disconnected(&self, now: Instant, error: &RequestError) {
        self.shared.with(|fetcher| fetcher.handle_disconnected(self.node, self.lane, now));
        if !error.class().is_retriable() && self.shared.is_open() {
            self.shared.refuse(error.clone());
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.shared.look(|fetcher| fetcher.next_fetch(self.node, self.lane))
    }

    fn handle_timeout(&self, now: Instant) {
        self.shared.with(|fetcher| fetcher.handle_node_timeout(self.node, now));
    }

    fn wants_connection(&self) -> bool {
        self.shared.is_open()
            && self.shared.look(|fetcher| fetcher.wants_connection(self.node, self.lane))
    }

    fn wake_cell(&self) -> &WakeCell {
        &self.cell
    }
}
