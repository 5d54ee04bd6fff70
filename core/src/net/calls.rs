//! Requests that somebody awaits, one by one.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ottla_protocol::{Request, Response, VersionRange};
use tokio::sync::oneshot;

use super::link::{Link, LinkOptions, LinkTarget};
use super::runtime::Runtime;
use super::shared::Shared;
use crate::conn::{Answer, AnswerFault, Outbox, RequestSource, Token, WakeCell};
use crate::error::{Certainty, CloseReason, RequestError};
use crate::retry::Deadline;

/// A connection for calls: each waits for its own answer.
///
/// Calls are sent in the order they were made and answered in that order; they do not wait for one
/// another to be sent. When no connection can be made, the calls that wait for one fail at once, so
/// that their caller can ask somebody else.
#[derive(Debug)]
pub struct CallLink {
    calls: Arc<Calls>,
    link: Link,
    runtime: Runtime,
}

/// An answer, and the version it came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<R> {
    /// The answer.
    pub response: R,
    /// The version of it and of its request.
    pub version: i16,
}

impl CallLink {
    pub(super) fn open(client: &Arc<Shared>, target: LinkTarget, options: LinkOptions) -> Self {
        let calls = Arc::new(Calls::default());
        let source = Arc::clone(&calls);
        let runtime = client.runtime().clone();
        Self { calls, link: Link::open(client, target, options, source), runtime }
    }

    /// Sends `request` in the newest version that both speak, and waits for the answer.
    ///
    /// # Errors
    ///
    /// [`RequestError`], when there is none within `timeout`, which covers the making of a
    /// connection. Error codes in the answer are the caller's.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, in that the connection stays usable; the request may have been sent.
    pub async fn call<R>(&self, request: &R, timeout: Duration) -> Result<R::Response, RequestError>
    where
        R: Request + Clone + Send + Sync + 'static,
        R::Response: Send + 'static,
    {
        let request = request.clone();
        let answered = self.call_versioned(move |_| request.clone(), timeout).await?;
        Ok(answered.response)
    }

    /// As [`call`](Self::call), for a request that is not the same in each version.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    pub async fn call_versioned<R>(
        &self,
        build: impl Fn(i16) -> R + Send + 'static,
        timeout: Duration,
    ) -> Result<Answered<R::Response>, RequestError>
    where
        R: Request + 'static,
        R::Response: Send + 'static,
    {
        self.call_within(R::API.stable_versions(), build, timeout).await
    }

    /// As [`call_versioned`](Self::call_versioned), in the newest version that the broker speaks
    /// within `ours`.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// # Cancel safety
    ///
    /// As [`call`](Self::call).
    pub async fn call_within<R>(
        &self,
        ours: VersionRange,
        build: impl Fn(i16) -> R + Send + 'static,
        timeout: Duration,
    ) -> Result<Answered<R::Response>, RequestError>
    where
        R: Request + 'static,
        R::Response: Send + 'static,
    {
        let (done, outcome) = oneshot::channel();
        let call = Typed { ours, build, done: Some(done) };
        let until = Deadline::after(self.runtime.now(), timeout).instant();
        self.calls.enqueue(Queued { call: Box::new(call), timeout, until });
        outcome.await.unwrap_or(Err(RequestError::Closed { certainty: Certainty::NotWritten }))
    }

    /// Closes the connection, and waits until what was under way has failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection closes all the same.
    pub async fn close(self) {
        self.link.close().await;
    }
}

/// The calls of one link.
#[derive(Debug, Default)]
struct Calls {
    state: Mutex<State>,
    wake: WakeCell,
}

#[derive(Debug, Default)]
struct State {
    next_token: u64,
    /// Calls that no connection has taken yet.
    queued: VecDeque<Queued>,
    sent: BTreeMap<Token, Queued>,
    /// Why there is no connection, if one was tried.
    last: Option<RequestError>,
    /// Whether the link is gone for good.
    closed: bool,
}

/// A call that waits to be sent, or for its answer.
#[derive(Debug)]
struct Queued {
    call: Box<dyn Call>,
    timeout: Duration,
    until: Instant,
}

impl Queued {
    fn fail_late(&mut self, certainty: Certainty, last: Option<Arc<RequestError>>) {
        let within = self.timeout;
        self.call.fail(RequestError::DeadlineExceeded { within, certainty, last });
    }
}

/// A call of any API.
trait Call: Send + fmt::Debug {
    fn send(
        &self,
        outbox: &mut Outbox<'_>,
        token: Token,
        timeout: Duration,
    ) -> Result<(), RequestError>;
    fn answer(&mut self, answer: &Answer) -> Result<Duration, AnswerFault>;
    fn fail(&mut self, error: RequestError);
    /// Whether nobody waits for it any more.
    fn is_abandoned(&self) -> bool;
}

struct Typed<R: Request, F> {
    ours: VersionRange,
    build: F,
    done: Option<oneshot::Sender<Result<Answered<R::Response>, RequestError>>>,
}

impl<R: Request, F> fmt::Debug for Typed<R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", R::API)
    }
}

impl<R, F> Call for Typed<R, F>
where
    R: Request,
    R::Response: Send,
    F: Fn(i16) -> R + Send,
{
    fn send(
        &self,
        outbox: &mut Outbox<'_>,
        token: Token,
        timeout: Duration,
    ) -> Result<(), RequestError> {
        let version = outbox.version_within::<R>(self.ours)?;
        outbox.send(&(self.build)(version), version, token, timeout)
    }

    fn answer(&mut self, answer: &Answer) -> Result<Duration, AnswerFault> {
        let response: R::Response = answer.decode()?;
        let throttle = u64::try_from(response.throttle_time_ms()).unwrap_or(0);
        self.settle(Ok(Answered { response, version: answer.version }));
        Ok(Duration::from_millis(throttle))
    }

    fn fail(&mut self, error: RequestError) {
        self.settle(Err(error));
    }

    fn is_abandoned(&self) -> bool {
        self.done.as_ref().is_none_or(oneshot::Sender::is_closed)
    }
}

impl<R: Request, F> Typed<R, F> {
    fn settle(&mut self, outcome: Result<Answered<R::Response>, RequestError>) {
        if let Some(done) = self.done.take() {
            // Whoever waited may have stopped; then nobody needs it.
            drop(done.send(outcome));
        }
    }
}

impl Calls {
    fn enqueue(&self, mut queued: Queued) {
        let mut state = self.state();
        if state.closed {
            queued.call.fail(RequestError::Closed { certainty: Certainty::NotWritten });
            return;
        }
        state.queued.push_back(queued);
        drop(state);
        self.wake.wake();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn drop_abandoned(&mut self) {
        self.queued.retain(|queued| !queued.call.is_abandoned());
    }

    /// Calls whose answer cannot come yet, because another's comes first, which may take longer. The
    /// connection sees to the oldest.
    fn held_up(&self) -> impl Iterator<Item = (&Token, &Queued)> {
        self.sent.iter().skip(1)
    }
}

impl RequestSource for Calls {
    fn poll_requests(&self, now: Instant, outbox: &mut Outbox<'_>) {
        let mut state = self.state();
        state.drop_abandoned();
        while outbox.room() > 0
            && let Some(mut queued) = state.queued.pop_front()
        {
            let token = Token(state.next_token);
            state.next_token += 1;
            // What it waited for the connection is gone.
            match queued.call.send(outbox, token, queued.until.saturating_duration_since(now)) {
                Ok(()) => {
                    state.sent.insert(token, queued);
                }
                Err(error) => queued.call.fail(error),
            }
        }
    }

    fn handle_answer(
        &self,
        _: Instant,
        token: Token,
        answer: &Answer,
    ) -> Result<Duration, AnswerFault> {
        let mut state = self.state();
        let Some(sent) = state.sent.get_mut(&token) else { return Ok(Duration::ZERO) };
        let throttle = sent.call.answer(answer)?;
        state.sent.remove(&token);
        Ok(throttle)
    }

    fn handle_failure(&self, _: Instant, token: Token, error: &RequestError) {
        let sent = self.state().sent.remove(&token);
        if let Some(mut sent) = sent {
            sent.call.fail(error.clone());
        }
    }

    fn handle_disconnected(&self, _: Instant, error: &RequestError) {
        let mut state = self.state();
        state.last = Some(error.clone());
        state.closed |=
            matches!(error, RequestError::Connection { reason: CloseReason::Released, .. });
        for Queued { mut call, .. } in std::mem::take(&mut state.queued) {
            call.fail(error.clone());
        }
    }

    fn handle_connected(&self, _: Instant) {
        self.state().last = None;
    }

    fn next_timeout(&self) -> Option<Instant> {
        let state = self.state();
        let held_up = state.held_up().map(|(_, sent)| sent.until);
        state.queued.iter().map(|queued| queued.until).chain(held_up).min()
    }

    fn handle_timeout(&self, now: Instant) {
        let mut state = self.state();
        let last = state.last.clone().map(Arc::new);
        for queued in &mut state.queued {
            if queued.until <= now {
                queued.fail_late(Certainty::NotWritten, last.clone());
            }
        }
        state.drop_abandoned();
        let late = state.held_up().filter(|(_, sent)| sent.until <= now);
        let late: Vec<Token> = late.map(|(token, _)| *token).collect();
        for token in late {
            if let Some(mut sent) = state.sent.remove(&token) {
                sent.fail_late(Certainty::PossiblyWritten, None);
            }
        }
    }

    fn wants_connection(&self) -> bool {
        let mut state = self.state();
        state.drop_abandoned();
        !state.queued.is_empty()
    }

    fn wake_cell(&self) -> &WakeCell {
        &self.wake
    }
}
