//! One connection, from its first byte to its last.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use ottla_protocol::frames::{self, ResponseFrame};
use ottla_protocol::wire::Frame;
use ottla_protocol::{ApiKey, Request};

use super::handshake::{Expected, Handshake, Step};
use super::{Answer, BrokerVersions, BufferPool, FrameReader, Outbox, RequestSource, Token};
use crate::error::{Certainty, CloseReason, Peer, RequestError};
use crate::retry::Deadline;

/// One connection to one broker: handshake, correlation, deadlines, throttling. Touches neither
/// socket nor clock.
///
/// ```text
/// Handshaking --ApiVersions--> Ready --any trouble--> closed by its owner
/// ```
///
/// The owner writes what [`transmit_slices`](Self::transmit_slices) gives, hands over what it reads, and
/// calls [`fail`](Self::fail) when one of the methods returns a [`CloseReason`], or when the socket
/// does. A connection is never used again after that: half a request may be on it.
#[derive(Debug)]
pub struct Connection {
    peer: Arc<Peer>,
    options: ConnectionOptions,
    state: State,
    next_correlation: i32,
    /// Requests that will be answered, oldest first, whether or not their bytes have left.
    in_flight: VecDeque<InFlight>,
    outgoing: VecDeque<Outgoing>,
    reader: FrameReader,
    /// Until when the broker asks to be left alone (KIP-219).
    muted_until: Option<Instant>,
    last_active: Instant,
}

/// What a connection is told by settings.
#[derive(Debug, Clone)]
pub struct ConnectionOptions {
    /// What this client calls itself.
    pub client_id: Arc<str>,
    /// Requests that may be under way; what the handshake needs does not count.
    pub max_in_flight: usize,
    /// The largest answer, in bytes.
    pub max_response: usize,
    /// How long the handshake may take, from the connection's begin.
    pub setup_timeout: Duration,
    /// How long the connection may stay unused.
    pub max_idle: Duration,
}

#[derive(Debug)]
enum State {
    Handshaking { handshake: Handshake, until: Instant },
    Ready(BrokerVersions),
}

#[derive(Debug)]
struct InFlight {
    correlation_id: i32,
    /// `None` for the handshake's own.
    token: Option<Token>,
    version: i16,
    wait: Wait,
}

#[derive(Debug)]
struct Outgoing {
    frame: Frame,
    /// Bytes of the whole frame: while all of them are left, the broker cannot know the request.
    whole: usize,
    /// Whom to tell when the last byte has left, and how long that may take.
    unanswered: Option<(Token, Wait)>,
}

/// How long a request may take: to be answered or, where it is not, to be written.
#[derive(Debug, Clone, Copy)]
struct Wait {
    api: ApiKey,
    since: Instant,
    timeout: Duration,
}

impl Wait {
    fn until(&self) -> Instant {
        after(self.since, self.timeout)
    }
}

/// How a request is sent.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sent {
    Answered { token: Token, timeout: Duration },
    Unanswered { token: Token, timeout: Duration },
}

impl Connection {
    /// A connection whose socket is connected, before its first byte.
    #[must_use]
    pub fn new(
        peer: Arc<Peer>,
        expected: Expected,
        options: ConnectionOptions,
        pool: BufferPool,
        now: Instant,
    ) -> Self {
        let until = after(now, options.setup_timeout);
        let mut connection = Self {
            peer,
            state: State::Handshaking { handshake: Handshake::new(expected), until },
            next_correlation: 0,
            in_flight: VecDeque::new(),
            outgoing: VecDeque::new(),
            reader: FrameReader::new(options.max_response, pool),
            muted_until: None,
            last_active: now,
            options,
        };
        connection.ask_versions(now);
        connection
    }

    /// Whether the handshake is done.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// The broker at the other end.
    #[must_use]
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Since when the oldest request waits for its answer or, where it gets none, to be written.
    #[must_use]
    pub fn oldest_unanswered(&self) -> Option<Instant> {
        self.oldest().map(|wait| wait.since).min()
    }

    /// The oldest request that waits for its answer, and the oldest that waits to be written and gets
    /// none.
    fn oldest(&self) -> impl Iterator<Item = Wait> {
        let answered = self.in_flight.front().map(|oldest| oldest.wait);
        let unanswered = self.outgoing.iter().find_map(|outgoing| outgoing.unanswered);
        answered.into_iter().chain(unanswered.map(|(_, wait)| wait))
    }

    /// Lets `source` send, where the connection is up and the broker does not ask to be left alone.
    pub fn poll_source(&mut self, source: &dyn RequestSource, now: Instant) {
        if self.is_ready() && self.muted_until.is_none_or(|until| until <= now) {
            self.muted_until = None;
            source.poll_requests(now, &mut Outbox::new(self, now));
        }
    }

    /// Fills `slices` with what to write next, and says how many it filled.
    pub fn transmit_slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut filled = 0;
        for outgoing in &self.outgoing {
            let Some(free) = slices.get_mut(filled..).filter(|free| !free.is_empty()) else {
                break;
            };
            filled += outgoing.frame.chunks_vectored(free);
        }
        filled
    }

    /// Frames waiting to be written, the one that is being written included.
    #[must_use]
    pub fn transmit_len(&self) -> usize {
        self.outgoing.len()
    }

    /// Takes note that `count` bytes were written.
    pub fn handle_written(&mut self, mut count: usize, source: &dyn RequestSource, now: Instant) {
        self.last_active = now;
        while let Some(outgoing) = self.outgoing.front_mut() {
            let whole = outgoing.frame.len();
            outgoing.frame.advance(count.min(whole));
            count = count.saturating_sub(whole);
            if !outgoing.frame.is_empty() {
                return;
            }
            let through = self.outgoing.pop_front();
            if let Some((token, _)) = through.and_then(|through| through.unanswered) {
                source.handle_written(now, token);
            }
        }
    }

    /// Where to read to.
    pub fn reader(&mut self) -> &mut FrameReader {
        &mut self.reader
    }

    /// Takes note that `count` bytes were read to where the reader said; 0 is the end of the stream.
    /// Answers go to `source`.
    ///
    /// # Errors
    ///
    /// [`CloseReason`], when the connection cannot go on.
    pub fn handle_read(
        &mut self,
        count: usize,
        source: &dyn RequestSource,
        now: Instant,
    ) -> Result<(), CloseReason> {
        if count == 0 {
            return Err(self.end_of_stream());
        }
        self.last_active = now;
        self.reader.handle_read(count);
        while let Some(frame) = self.next_frame()? {
            self.handle_frame(&frame, source, now)?;
        }
        Ok(())
    }

    /// When [`handle_timeout`](Self::handle_timeout) must be called, if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let setup = match &self.state {
            State::Handshaking { until, .. } => Some(*until),
            State::Ready(_) => None,
        };
        let oldest = self.oldest().map(|wait| wait.until()).min();
        [setup, oldest, self.idle_at(), self.muted_until].into_iter().flatten().min()
    }

    /// When it has been unused for too long; `None` while it is used.
    fn idle_at(&self) -> Option<Instant> {
        let is_unused = self.in_flight.is_empty() && self.outgoing.is_empty();
        is_unused.then(|| after(self.last_active, self.options.max_idle))
    }

    /// Ends the connection when somebody waited too long.
    ///
    /// # Errors
    ///
    /// [`CloseReason`], when the connection cannot go on.
    pub fn handle_timeout(&mut self, now: Instant) -> Result<(), CloseReason> {
        if let State::Handshaking { until, .. } = &self.state
            && *until <= now
        {
            return Err(CloseReason::SetupTimeout(self.options.setup_timeout));
        }
        let late = self.oldest().find(|wait| wait.until() <= now);
        if let Some(Wait { api, timeout, .. }) = late {
            return Err(CloseReason::RequestTimeout { api, after: timeout });
        }
        match self.idle_at() {
            Some(at) if at <= now => Err(CloseReason::Idle),
            Some(_) | None => Ok(()),
        }
    }

    /// Fails all that is under way, in the order it was sent. A request of which no byte was written
    /// is certainly not known to the broker; any other may be.
    pub fn fail(mut self, reason: &CloseReason, source: &dyn RequestSource, now: Instant) {
        let untouched = |out: &Outgoing| out.frame.len() == out.whole;
        let waiting = self.outgoing.iter().filter(|out| untouched(out));
        let unsent = waiting.filter(|out| out.unanswered.is_none()).count();
        let sent = self.in_flight.len().saturating_sub(unsent);
        for (index, request) in std::mem::take(&mut self.in_flight).into_iter().enumerate() {
            if let Some(token) = request.token {
                source.handle_failure(now, token, &self.failure(reason, index < sent));
            }
        }
        for out in std::mem::take(&mut self.outgoing) {
            if let Some((token, _)) = out.unanswered {
                source.handle_failure(now, token, &self.failure(reason, !untouched(&out)));
            }
        }
    }

    pub(super) fn room(&self) -> usize {
        self.options.max_in_flight.saturating_sub(self.in_flight.len())
    }

    /// What the broker speaks; nothing before the handshake is done.
    #[must_use]
    pub fn versions(&self) -> &BrokerVersions {
        static NONE: std::sync::LazyLock<BrokerVersions> =
            std::sync::LazyLock::new(BrokerVersions::default);
        match &self.state {
            State::Handshaking { .. } => &NONE,
            State::Ready(versions) => versions,
        }
    }

    pub(super) fn shared_peer(&self) -> Arc<Peer> {
        Arc::clone(&self.peer)
    }

    pub(super) fn send<R: Request>(
        &mut self,
        request: &R,
        version: i16,
        sent: Sent,
        now: Instant,
    ) -> Result<(), RequestError> {
        let correlation_id = self.next_correlation;
        let client_id = Some(&*self.options.client_id);
        let frame = frames::encode_request(request, version, correlation_id, client_id)
            .map_err(|source| RequestError::Encode { peer: self.shared_peer(), source })?;
        self.next_correlation = correlation_id.wrapping_add(1) & i32::MAX;
        let wait = |timeout| Wait { api: R::API, since: now, timeout };
        let unanswered = match sent {
            Sent::Answered { token, timeout } => {
                let (token, wait) = (Some(token), wait(timeout));
                self.in_flight.push_back(InFlight { correlation_id, token, version, wait });
                None
            }
            Sent::Unanswered { token, timeout } => Some((token, wait(timeout))),
        };
        self.outgoing.push_back(Outgoing { whole: frame.len(), frame, unanswered });
        Ok(())
    }

    fn ask_versions(&mut self, now: Instant) {
        let State::Handshaking { handshake, .. } = &self.state else { return };
        let (request, version) = (handshake.request(), handshake.version());
        let correlation_id = self.next_correlation;
        let client_id = Some(&*self.options.client_id);
        // Its fields are short and every version can leave them out: it can always be written.
        if let Ok(frame) = frames::encode_request(&request, version, correlation_id, client_id) {
            self.next_correlation += 1;
            self.outgoing.push_back(Outgoing { whole: frame.len(), frame, unanswered: None });
            let (api, timeout) = (ApiKey::ApiVersions, self.options.setup_timeout);
            let wait = Wait { api, since: now, timeout };
            self.in_flight.push_back(InFlight { correlation_id, token: None, version, wait });
        }
    }

    fn next_frame(&mut self) -> Result<Option<Bytes>, CloseReason> {
        match self.reader.next_frame() {
            Ok(frame) => Ok(frame),
            Err(_) if !self.is_ready() => Err(what_speaks_there(self.reader.peek())),
            Err(error) => Err(CloseReason::Frame(error)),
        }
    }

    fn handle_frame(
        &mut self,
        frame: &Bytes,
        source: &dyn RequestSource,
        now: Instant,
    ) -> Result<(), CloseReason> {
        let Some(oldest) = self.in_flight.front() else {
            return Err(CloseReason::NotKafka("it answers what nobody asked".into()));
        };
        let (api, version, expected) = (oldest.wait.api, oldest.version, oldest.correlation_id);
        let ResponseFrame { correlation_id: got, body, .. } =
            ResponseFrame::decode(frame, api, version).map_err(unreadable)?;
        if got != expected {
            return Err(CloseReason::WrongCorrelation { expected, got });
        }
        match oldest.token {
            None => self.handle_versions(&body, source, now),
            Some(token) => {
                // It stays in flight until the source has read it: what cannot be read fails with
                // the others.
                let answer = Answer { api, version, body };
                let throttle = source
                    .handle_answer(now, token, &answer)
                    .map_err(|fault| CloseReason::Decode(fault.0))?;
                self.in_flight.pop_front();
                self.mute(throttle, now);
                Ok(())
            }
        }
    }

    fn handle_versions(
        &mut self,
        body: &Bytes,
        source: &dyn RequestSource,
        now: Instant,
    ) -> Result<(), CloseReason> {
        self.in_flight.pop_front();
        let State::Handshaking { handshake, .. } = &mut self.state else { return Ok(()) };
        match handshake.handle_answer(body)? {
            Step::Again => self.ask_versions(now),
            Step::Ready(versions) => {
                self.state = State::Ready(versions);
                source.handle_connected(now);
            }
        }
        Ok(())
    }

    fn mute(&mut self, throttle: Duration, now: Instant) {
        if !throttle.is_zero() {
            self.muted_until = self.muted_until.max(Some(after(now, throttle)));
        }
    }

    fn end_of_stream(&self) -> CloseReason {
        if self.is_ready() { CloseReason::Closed } else { CloseReason::ClosedBeforeFirstAnswer }
    }

    fn failure(&self, reason: &CloseReason, sent: bool) -> RequestError {
        let certainty = if sent { Certainty::PossiblyWritten } else { Certainty::NotWritten };
        RequestError::Connection { peer: self.shared_peer(), reason: reason.clone(), certainty }
    }
}

/// `from` and `wait`, which may be without end.
fn after(from: Instant, wait: Duration) -> Instant {
    Deadline::after(from, wait).instant()
}

/// What sent `first`, which is no frame.
fn what_speaks_there(first: &[u8]) -> CloseReason {
    match first {
        [0x15, 0x03, ..] => CloseReason::SpeaksTls,
        [b'H', b'T', b'T', b'P', ..] => CloseReason::NotKafka("an HTTP server answers".into()),
        _ => CloseReason::NotKafka("its first bytes are no frame".into()),
    }
}

fn unreadable(error: ottla_protocol::DecodeError) -> CloseReason {
    CloseReason::Decode(Arc::new(error))
}

#[cfg(test)]
mod tests;
