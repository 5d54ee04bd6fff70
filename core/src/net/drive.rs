//! A connection on its socket.

use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt;

use super::dial::BoxStream;
use super::link::{LinkOptions, LinkShared};
use super::shared::Shared;
use super::timer::Timer;
use crate::conn::{Connection, ReadTarget};
use crate::error::CloseReason;
use crate::retry::Deadline;

/// Moves bytes between a [`Connection`] and its socket, and lets the source send, until one of them
/// ends it. One task does it all: nothing is handed from task to task on the way of a record.
#[derive(Debug)]
pub(super) struct Drive<'a> {
    client: &'a Arc<Shared>,
    link: &'a LinkShared,
    options: LinkOptions,
    connection: Connection,
    stream: StreamBox,
    timer: Timer,
    /// When this broker was last held suspect.
    suspected: Option<Instant>,
}

struct StreamBox(BoxStream);

impl std::fmt::Debug for StreamBox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Stream")
    }
}

impl<'a> Drive<'a> {
    pub(super) fn new(
        client: &'a Arc<Shared>,
        link: &'a LinkShared,
        options: LinkOptions,
        connection: Connection,
        stream: BoxStream,
    ) -> Self {
        let stream = StreamBox(stream);
        let timer = Timer::default();
        Self { client, link, options, connection, stream, timer, suspected: None }
    }

    /// Drives the connection to its end, and says why it came. `on_ready` is called when the
    /// handshake is done.
    pub(super) async fn run(mut self, on_ready: impl FnOnce()) -> CloseReason {
        let mut on_ready = Some(on_ready);
        let reason = poll_fn(|cx| {
            let polled = self.poll(cx);
            if self.connection.is_ready()
                && let Some(on_ready) = on_ready.take()
            {
                self.client.learn_features(self.connection.versions());
                on_ready();
            }
            polled
        })
        .await;
        let now = self.client.runtime().now();
        self.connection.fail(&reason, self.link.source(), now);
        reason
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        for _ in 0..ROUNDS {
            // Registered before looking, so that nothing is missed in between.
            self.link.source().wake_cell().register(cx.waker());
            let now = self.client.runtime().now();
            match self.round(now, cx) {
                Err(reason) => return Poll::Ready(reason),
                Ok(true) => {}
                Ok(false) => {
                    let at = self.next_timeout();
                    if self.timer.poll(at, now, cx).is_pending() {
                        return Poll::Pending;
                    }
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does all that can be done now; whether anything was.
    fn round(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        if self.link.is_closed() {
            return Err(CloseReason::Released);
        }
        if self.link.has_moved() {
            return Err(CloseReason::Moved);
        }
        let source = self.link.source();
        if source.next_timeout().is_some_and(|at| at <= now) {
            source.handle_timeout(now);
        }
        if self.connection.oldest_unanswered().is_none() {
            // Before anything is sent: the broker may have closed what was unused for so long.
            self.handle_timeouts(now)?;
        }
        self.connection.poll_source(source, now);
        let wrote = self.write(now, cx)?;
        let read = self.read(now, cx)?;
        if !read {
            // Not before: a process that was held up finds the answers that came meanwhile here.
            self.handle_timeouts(now)?;
        }
        Ok(wrote || read)
    }

    fn handle_timeouts(&mut self, now: Instant) -> Result<(), CloseReason> {
        self.connection.handle_timeout(now)?;
        if self.stalled_at().is_some_and(|at| at <= now) {
            self.suspected = Some(now);
            self.client.handle_trouble(&self.link.target);
        }
        Ok(())
    }

    fn next_timeout(&self) -> Option<Instant> {
        let source = self.link.source().next_timeout();
        [source, self.connection.next_timeout(), self.stalled_at()].into_iter().flatten().min()
    }

    /// When the broker becomes suspect, if it does not answer until then.
    fn stalled_at(&self) -> Option<Instant> {
        let since = self.connection.oldest_unanswered()?;
        let stalled = Deadline::after(since, self.options.stall_after).instant();
        let again = self.suspected.map(|at| at + SUSPECT_AGAIN);
        Some(again.map_or(stalled, |again| again.max(stalled)))
    }

    /// Writes until the socket takes no more; whether it took anything.
    fn write(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        let mut wrote = false;
        while self.connection.transmit_len() > 0 {
            match self.poll_write(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(lost(error)),
                Poll::Ready(Ok(0)) => return Err(lost(io::ErrorKind::WriteZero.into())),
                Poll::Ready(Ok(count)) => {
                    self.connection.handle_written(count, self.link.source(), now);
                    wrote = true;
                }
            }
        }
        Ok(wrote)
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let filled = self.connection.transmit_slices(&mut slices);
        let slices = slices.get(..filled).unwrap_or(&slices);
        Pin::new(&mut *self.stream.0).poll_write_vectored(cx, slices)
    }

    /// Reads until there is nothing left; whether there was anything.
    fn read(&mut self, now: Instant, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        let mut read = false;
        // Bounded, so that a broker that never stops sending cannot keep us from writing.
        for _ in 0..READS {
            match self.poll_read(cx) {
                Poll::Pending => break,
                Poll::Ready(Err(error)) => return Err(lost(error)),
                Poll::Ready(Ok(count)) => {
                    self.connection.handle_read(count, self.link.source(), now)?;
                    read = true;
                }
            }
        }
        Ok(read)
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = &mut *self.stream.0;
        let count = match self.connection.reader().target() {
            ReadTarget::Received(received) => ready!(pin!(stream.read_buf(received)).poll(cx)),
            ReadTarget::Large(mut frame) => ready!(pin!(stream.read_buf(&mut frame)).poll(cx)),
        };
        Poll::Ready(count)
    }
}

/// Rounds before other tasks get their turn.
const ROUNDS: usize = 32;

/// Reads before we look again at what is to be written.
const READS: usize = 8;

/// Slices given to one `writev`: what fits on the stack without trouble, far below the system's
/// 1,024.
const SLICES: usize = 64;

/// A broker that stays silent is suspect again after this.
const SUSPECT_AGAIN: Duration = Duration::from_secs(1);

fn lost(error: io::Error) -> CloseReason {
    CloseReason::Lost(Arc::new(error))
}
