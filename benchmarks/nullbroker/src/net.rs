//! The shell: a listener, and a task for each connection.

use std::collections::VecDeque;
use std::future::pending;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use ottla_protocol::wire::{Frame, take_frame};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, sleep_until};

use crate::broker::Broker;

/// The broker as its connections share it. They are all on one thread, so nobody ever waits here.
pub type Shared = Arc<Mutex<Broker>>;

/// Serves every client that comes, for ever.
///
/// # Errors
///
/// When the listener is broken.
pub async fn serve(listener: TcpListener, broker: Shared) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(attend(stream, Arc::clone(&broker)));
    }
}

/// Keeps this thread from sleeping for as long as somebody asks something every now and then.
///
/// To wake a thread that sleeps is work for whoever sends to it, and on a virtual machine it is most
/// of what sending costs: with every 64 KiB of a request, if the broker drains its socket faster than
/// a client fills it. That is the broker's, not the client's, where a client is to be measured.
pub async fn stay_awake(broker: Shared) {
    let requests = || lock(&broker).counts().requests;
    let (mut before, mut since) = (requests(), Instant::now());
    loop {
        let now = requests();
        if now != before {
            (before, since) = (now, Instant::now());
        }
        match since.elapsed() < AWAKE {
            true => yield_now().await,
            false => sleep(NAP).await,
        }
    }
}

/// Serves one client until it goes away.
pub async fn attend(stream: impl AsyncRead + AsyncWrite + Unpin, broker: Shared) {
    lock(&broker).handle_connection();
    if let Err(error) = Connection::new(stream, broker).run().await
        && !went_away(&error)
    {
        eprintln!("nullbroker: a connection is closed: {error}");
    }
}

/// Does something to the broker between two requests.
pub fn lock(broker: &Shared) -> std::sync::MutexGuard<'_, Broker> {
    broker.lock().unwrap_or_else(PoisonError::into_inner)
}

fn went_away(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

struct Connection<S> {
    stream: S,
    broker: Shared,
    received: BytesMut,
    /// Answers in the order of their requests, each with the time before which it is held back.
    held: VecDeque<(Instant, Frame)>,
    /// Small answers that go out together.
    gathered: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    fn new(stream: S, broker: Shared) -> Self {
        let (received, gathered) = (BytesMut::with_capacity(READ), BytesMut::new());
        Self { stream, broker, received, held: VecDeque::new(), gathered }
    }

    async fn run(mut self) -> io::Result<()> {
        loop {
            let due = self.held.front().map(|(due, _)| *due);
            tokio::select! {
                read = self.stream.read_buf(&mut self.received) => match read? {
                    0 => return Ok(()),
                    _ => self.answer_what_came()?,
                },
                () = until(due) => {}
            }
            self.send_what_is_due().await?;
            self.make_room();
        }
    }

    fn answer_what_came(&mut self) -> io::Result<()> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let mut now = None;
        while let Some(frame) = take_frame(&mut self.received, LIMIT).map_err(io::Error::other)? {
            let mut broker = lock(&self.broker);
            if let Some(answer) = broker.handle_request(&frame).map_err(invalid)? {
                let now = *now.get_or_insert_with(Instant::now);
                let due = broker.due(&answer, frame.len(), now);
                self.held.push_back((due, answer.frame));
            }
        }
        Ok(())
    }

    async fn send_what_is_due(&mut self) -> io::Result<()> {
        if self.held.is_empty() {
            return Ok(());
        }
        let now = Instant::now();
        while self.held.front().is_some_and(|(due, _)| *due <= now) {
            let Some((_, mut frame)) = self.held.pop_front() else { break };
            if frame.len() <= SMALL {
                while frame.has_remaining() {
                    let chunk = frame.chunk();
                    let len = chunk.len();
                    self.gathered.extend_from_slice(chunk);
                    frame.advance(len);
                }
                continue;
            }
            self.stream.write_all_buf(&mut self.gathered).await?;
            self.stream.write_all_buf(&mut frame).await?;
        }
        self.stream.write_all_buf(&mut self.gathered).await
    }

    /// Room for the rest of the frame that has begun, so that it is received where it will stay.
    fn make_room(&mut self) {
        let begun = self.received.first_chunk::<4>().map_or(0, |len| i32::from_be_bytes(*len));
        let whole = usize::try_from(begun).unwrap_or(0).min(LIMIT) + 4;
        self.received.reserve(whole.saturating_sub(self.received.len()).max(READ));
    }
}

async fn until(due: Option<Instant>) {
    match due {
        // A timer of tokio's is a millisecond late: that is added to every held answer alike.
        Some(due) if due > Instant::now() + Duration::from_micros(50) => sleep_until(due).await,
        Some(_) => {}
        None => pending().await,
    }
}

/// How long nobody must have asked anything before the thread may sleep.
const AWAKE: Duration = Duration::from_millis(5);

/// How long it may be until it is noticed that somebody asks again.
const NAP: Duration = Duration::from_millis(1);

/// Bytes of room for every read.
const READ: usize = 256 << 10;

/// Kafka's `socket.request.max.bytes`.
const LIMIT: usize = 100 << 20;

/// Answers up to this many bytes are copied together; larger ones go out from where they lie.
const SMALL: usize = 4 << 10;
