//! Who sends over a connection.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ottla_protocol::{ApiKey, DecodeError, Message, Response};

use super::{Outbox, WakeCell};
use crate::error::RequestError;

/// Names one request between a source and its connection. The source chooses it; the connection
/// gives it back with the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// Somebody who has requests for one broker: a producer's batches, a consumer's fetches, calls.
///
/// The task of a link polls it instead of receiving from a channel, so that what is sent is decided
/// when there is room for it, and data goes from the source to the socket without a queue between.
/// All methods are called by that one task, one at a time; none may block, and a lock that they take
/// must be held for microseconds only.
///
/// Every token that was sent comes back exactly once: through
/// [`handle_answer`](Self::handle_answer) with `Ok`, or
/// [`handle_failure`](Self::handle_failure). A request that is not answered
/// ([`Outbox::send_unanswered`]) comes back through [`handle_written`](Self::handle_written) or
/// `handle_failure`.
pub trait RequestSource: Send + Sync + fmt::Debug {
    /// Sends what can be sent now. Called when the connection is up and something has moved: room
    /// for another request, a wake-up, a timeout.
    fn poll_requests(&self, now: Instant, outbox: &mut Outbox<'_>);

    /// Takes the answer to one request, and says for how long the broker asks to be left alone
    /// (`throttle_time_ms`; KIP-219).
    ///
    /// # Errors
    ///
    /// [`AnswerFault`], when it cannot be read. The connection is closed then, and this request
    /// fails like all others that are under way.
    fn handle_answer(
        &self,
        now: Instant,
        token: Token,
        answer: &Answer,
    ) -> Result<Duration, AnswerFault>;

    /// Takes note that the last byte of a request which is not answered is with the system.
    fn handle_written(&self, now: Instant, token: Token) {
        let _ = (now, token);
    }

    /// Takes note that one request gets no answer. The error knows whether it was on its way.
    /// Requests of one connection fail in the order they were sent.
    fn handle_failure(&self, now: Instant, token: Token, error: &RequestError);

    /// Takes note that the connection is up: `outbox` answers what the broker speaks.
    fn handle_connected(&self, now: Instant) {
        let _ = now;
    }

    /// Takes note that no connection could be made, or that it ended. The link tries again after
    /// its backoff, if [`wants_connection`](Self::wants_connection). Requests under way have failed
    /// before this.
    fn handle_disconnected(&self, now: Instant, error: &RequestError);

    /// When [`handle_timeout`](Self::handle_timeout) must be called next, connected or not; `None`
    /// for never. Asked after each of the other methods.
    fn next_timeout(&self) -> Option<Instant>;

    /// Does what is due at `now`.
    fn handle_timeout(&self, now: Instant);

    /// Whether a connection should be there: something is to be sent or awaited.
    fn wants_connection(&self) -> bool;

    /// How this source wakes its link.
    fn wake_cell(&self) -> &WakeCell;
}

/// The answer to a request, its header taken off.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The API that was asked.
    pub api: ApiKey,
    /// The version that it was asked in.
    pub version: i16,
    /// What the broker said, in memory that returns to its pool when the last slice is dropped.
    pub body: Bytes,
}

impl Answer {
    /// The answer as a message.
    ///
    /// # Errors
    ///
    /// [`AnswerFault`], when it is not such a message.
    pub fn decode<R: Response>(&self) -> Result<R, AnswerFault> {
        <R as Message>::decode(&self.body, self.version).map_err(AnswerFault::from)
    }
}

/// An answer that cannot be read, which ends its connection.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct AnswerFault(pub Arc<DecodeError>);

impl From<DecodeError> for AnswerFault {
    fn from(error: DecodeError) -> Self {
        Self(Arc::new(error))
    }
}
