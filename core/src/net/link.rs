//! A connection that is there when somebody needs it.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use super::dial::BoxStream;
use super::drive::Drive;
use super::runtime::Task;
use super::shared::Shared;
use super::timer::Timer;
use crate::cluster::Candidate;
use crate::conn::{Connection, ConnectionOptions, Expected, RequestSource};
use crate::error::{Certainty, CloseReason, Peer, RequestError};
use crate::retry::Backoff;
use crate::types::{HostPort, NodeId};

/// What a link is for. Each has its own connection, so that a large produce or a waiting fetch never
/// stands before a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Purpose {
    /// Metadata, lookups, administration: short calls.
    Control,
    /// A producer's batches.
    Produce,
    /// A consumer's fetches.
    Fetch,
    /// Joining a group: an answer may take as long as a rebalance.
    Join,
    /// Heartbeats and commits.
    Heartbeat,
    /// A transaction coordinator's requests.
    Transaction,
}

/// How a link behaves.
#[derive(Debug, Clone, Copy)]
pub struct LinkOptions {
    /// What it is for.
    pub purpose: Purpose,
    /// Requests that may be under way.
    pub max_in_flight: usize,
    /// How long an answer may take before another broker is asked whether this one is still what it
    /// was. A fetch that may wait must be given that time in addition.
    pub stall_after: Duration,
}

impl LinkOptions {
    /// For short calls, and for joins, which a broker that is well may leave unanswered for as long
    /// as a rebalance takes: whoever joins decides itself when to ask.
    #[must_use]
    pub fn calls(purpose: Purpose) -> Self {
        let stall_after = match purpose {
            Purpose::Join => NEVER,
            Purpose::Control
            | Purpose::Produce
            | Purpose::Fetch
            | Purpose::Heartbeat
            | Purpose::Transaction => STALL,
        };
        Self { purpose, max_in_flight: usize::MAX, stall_after }
    }
}

/// How long a broker that is well may take to answer, with much room to spare.
pub(super) const STALL: Duration = Duration::from_secs(1);

/// Longer than any request waits, and short enough to be added to any time.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3_600);

/// A connection to one broker that is made when its source wants one, and made again after it broke.
/// Dropping the link closes it; what is under way fails.
#[derive(Debug)]
#[must_use = "a dropped link closes its connection"]
pub struct Link {
    shared: Arc<LinkShared>,
    task: Option<Task>,
}

/// Whom a link connects to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LinkTarget {
    /// An address that was given.
    Bootstrap(HostPort),
    /// A broker, wherever it is.
    Node(NodeId),
}

impl From<Candidate> for LinkTarget {
    fn from(candidate: Candidate) -> Self {
        match candidate {
            Candidate::Node(node, _) => Self::Node(node),
            Candidate::Bootstrap(address) => Self::Bootstrap(address),
        }
    }
}

/// What a link's handle, its task and its client share.
#[derive(Debug)]
pub(super) struct LinkShared {
    pub(super) target: LinkTarget,
    source: Arc<dyn RequestSource>,
    closed: AtomicBool,
    /// Whether the broker's address is no longer the one that is connected to.
    moved: AtomicBool,
}

impl Link {
    pub(super) fn open(
        client: &Arc<Shared>,
        target: LinkTarget,
        options: LinkOptions,
        source: Arc<dyn RequestSource>,
    ) -> Self {
        let shared = Arc::new(LinkShared {
            target,
            source,
            closed: AtomicBool::new(false),
            moved: AtomicBool::new(false),
        });
        client.remember_link(&shared);
        let driver = Driver { client: Arc::clone(client), link: Arc::clone(&shared), options };
        let task = client.runtime().spawn("link", driver.run());
        Self { shared, task: Some(task) }
    }

    /// Closes the connection, and waits until what was under way has failed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the connection closes all the same.
    pub async fn close(mut self) {
        self.shared.close();
        if let Some(task) = self.task.take() {
            task.join().await;
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl LinkShared {
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.source.wake_cell().wake();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Lets the link connect again, to the broker's new address.
    pub(super) fn handle_moved(&self) {
        self.moved.store(true, Ordering::Release);
        self.source.wake_cell().wake();
    }

    pub(super) fn has_moved(&self) -> bool {
        self.moved.load(Ordering::Acquire)
    }

    pub(super) fn source(&self) -> &dyn RequestSource {
        &*self.source
    }
}

/// The task of a link.
///
/// ```text
/// Unwanted --wanted--> Connecting --up--> Driving
///     ^                    |                 |
///     \-- after backoff ---+-----------------/
/// ```
#[derive(Debug)]
struct Driver {
    client: Arc<Shared>,
    link: Arc<LinkShared>,
    options: LinkOptions,
}

impl Driver {
    async fn run(self) {
        let config = self.client.config();
        let mut backoff = Backoff::new(config.reconnect_backoff, config.reconnect_backoff_max);
        while self.wanted().await.is_some() {
            let ended = self.connection(&mut backoff).await;
            let now = self.client.runtime().now();
            let source = self.link.source();
            source.handle_disconnected(now, &ended);
            let RequestError::Connection { reason, .. } = &ended else { continue };
            if self.link.is_closed() {
                break;
            }
            if matches!(reason, CloseReason::Idle | CloseReason::Moved) {
                continue;
            }
            self.report(&ended, backoff.failures());
            self.client.handle_trouble(&self.link.target);
            let delay = backoff.fail(self.client.runtime().random());
            if self.tended(self.client.runtime().sleep(delay)).await.is_none() {
                break;
            }
        }
        // Whoever waits without a connection must hear of the end, too.
        let peer = self.peer(self.address());
        let ended = failure(peer, CloseReason::Released);
        self.link.source().handle_disconnected(self.client.runtime().now(), &ended);
    }

    /// Waits until the source wants a connection; `None` when the link is closed.
    async fn wanted(&self) -> Option<()> {
        let link = &self.link;
        let wants =
            poll_fn(
                |_| {
                    if link.source().wants_connection() { Poll::Ready(()) } else { Poll::Pending }
                },
            );
        self.tended(wants).await
    }

    /// One connection from its making to its end, and why it ended.
    async fn connection(&self, backoff: &mut Backoff) -> RequestError {
        // Forgotten before looking: a move in between is seen by the next connection.
        self.link.moved.store(false, Ordering::Release);
        let address = self.address();
        let peer = self.peer(address.clone());
        let Some(address) = address else {
            let unknown = std::io::Error::other("no broker with this id is known (any more)");
            return failure(peer, CloseReason::Connect(Arc::new(unknown)));
        };
        let timeout = self.setup_timeout(backoff.failures());
        let begun = self.client.runtime().now();
        let stream = match self.dial(address, timeout).await {
            Ok(stream) => stream,
            Err(reason) => return failure(peer, reason),
        };
        let now = self.client.runtime().now();
        let left = timeout.saturating_sub(now.saturating_duration_since(begun));
        let connection = Connection::new(
            Arc::clone(&peer),
            Expected { cluster_id: self.client.expected_cluster(), node: self.node() },
            self.connection_options(left),
            self.client.pool().clone(),
            now,
        );
        let drive = Drive::new(&self.client, &self.link, self.options, connection, stream);
        let reason = drive.run(|| backoff.reset()).await;
        failure(peer, reason)
    }

    async fn dial(&self, address: HostPort, timeout: Duration) -> Result<BoxStream, CloseReason> {
        let runtime = self.client.runtime();
        let dial = self.client.dialer()(address);
        let late = runtime.sleep(timeout);
        let both = async {
            let (mut dial, mut late) = (pin!(dial), pin!(late));
            poll_fn(|cx| match dial.as_mut().poll(cx) {
                Poll::Ready(result) => {
                    Poll::Ready(result.map_err(|error| CloseReason::Connect(Arc::new(error))))
                }
                Poll::Pending => {
                    late.as_mut().poll(cx).map(|()| Err(CloseReason::SetupTimeout(timeout)))
                }
            })
            .await
        };
        self.tended(both).await.unwrap_or(Err(CloseReason::Released))
    }

    /// Runs `future` while the source gets its timeouts; `None` when the link is closed before.
    async fn tended<F: Future>(&self, future: F) -> Option<F::Output> {
        let mut future = pin!(future);
        let mut tending = Tending { driver: self, timer: Timer::default() };
        poll_fn(|cx| {
            tending.driver.link.source().wake_cell().register(cx.waker());
            if tending.driver.link.is_closed() {
                return Poll::Ready(None);
            }
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Some(output));
            }
            tending.poll_timeouts(cx);
            Poll::Pending
        })
        .await
    }

    fn address(&self) -> Option<HostPort> {
        match &self.link.target {
            LinkTarget::Bootstrap(address) => Some(address.clone()),
            LinkTarget::Node(node) => self.client.address(*node),
        }
    }

    fn node(&self) -> Option<NodeId> {
        match &self.link.target {
            LinkTarget::Bootstrap(_) => None,
            LinkTarget::Node(node) => Some(*node),
        }
    }

    fn peer(&self, address: Option<HostPort>) -> Arc<Peer> {
        let address = address.unwrap_or_else(|| HostPort::new("unknown", 0));
        Arc::new(Peer { node: self.node(), address })
    }

    /// It doubles with each failure, as Java's does (KIP-601).
    fn setup_timeout(&self, failures: u32) -> Duration {
        let config = self.client.config();
        let doubled = 1_u32.checked_shl(failures).unwrap_or(u32::MAX);
        let timeout = config.socket_connection_setup_timeout.saturating_mul(doubled);
        timeout.min(config.socket_connection_setup_timeout_max)
    }

    fn connection_options(&self, setup_timeout: Duration) -> ConnectionOptions {
        let config = self.client.config();
        ConnectionOptions {
            client_id: self.client.client_id(),
            max_in_flight: self.options.max_in_flight,
            max_response: config.max_response,
            setup_timeout,
            max_idle: config.connections_max_idle,
        }
    }

    /// The first failure in a row is news; the ones that follow are not.
    fn report(&self, ended: &RequestError, failures: u32) {
        let purpose = self.options.purpose;
        match failures {
            0 => tracing::info!(?purpose, error = %ended, "connection ended, will connect again"),
            _ => tracing::debug!(?purpose, error = %ended, failures, "connection ended again"),
        }
    }
}

struct Tending<'a> {
    driver: &'a Driver,
    timer: Timer,
}

impl Tending<'_> {
    /// Calls the source's timeout when it is due, and sets the timer for the next one.
    fn poll_timeouts(&mut self, cx: &mut Context<'_>) {
        let source = self.driver.link.source();
        let runtime = self.driver.client.runtime();
        loop {
            let now = runtime.now();
            match source.next_timeout() {
                Some(at) if at <= now => source.handle_timeout(now),
                at => {
                    if self.timer.poll(at, now, cx).is_pending() {
                        return;
                    }
                }
            }
        }
    }
}

fn failure(peer: Arc<Peer>, reason: CloseReason) -> RequestError {
    RequestError::Connection { peer, reason, certainty: Certainty::NotWritten }
}
