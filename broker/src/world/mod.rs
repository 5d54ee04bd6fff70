//! The state of a whole cluster, and what a request does to it.
//!
//! ```text
//! request ──handle──> Reply · Silent · Close · Park{ticket, until, resume}
//!                                                    │ woken, or too late
//!                                                    └──resume──> Reply · … · Park
//! ```
//!
//! Nothing here reads a clock, a socket or a source of randomness: time comes with each call, ids
//! from a seed. A test can own it all.

mod acknowledging;
mod acts;
pub mod catalog;
pub mod config;
mod pauses;
mod random;
mod requests;
mod waiting;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use ottla_protocol::{AnyRequest, AnyResponse, ApiKey, ByteString, ErrorCode, Uuid};

use crate::api::deletions::DeleteWait;
use crate::api::fetch::{FetchWait, Sessions};
use crate::api::offsets::Lookup;
use crate::api::produce::{AckWait, Checked};
use crate::fault::{Damage, Faults, Injection, Then};
use crate::group::{self, GroupConfig, Groups, WaitId};
pub use crate::txn::{MAX_TRANSACTION_VERSION, TransactionDescription};
use crate::txn::{MarkerWait, TransactionConfig, Transactions};
pub(crate) use acknowledging::{Acknowledgements, Unacknowledged};
use catalog::Catalog;
use config::Settings;
use random::Random;
pub use requests::{Requests, Seen};
pub use waiting::{Ticket, Timer, WaitKey};
use waiting::{Timers, Waiters};

/// The id of a broker. From 1 on, so that a zero that slipped in names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i32);

/// The time, as the shell knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Now {
    /// Since the cluster was started; what every timeout is measured with.
    pub mono: Duration,
    /// Milliseconds since 1970; what is written into logs.
    pub wall_ms: i64,
}

/// Who asks, where, when and how.
#[derive(Debug, Clone)]
pub struct Context {
    /// When the request came, or was taken up again.
    pub now: Now,
    /// The broker that was asked.
    pub node: NodeId,
    /// The connection, by a number that no other in the cluster has.
    pub connection: u64,
    /// The version of the request.
    pub version: i16,
    /// What the client calls itself; empty for null.
    pub client_id: ByteString,
    /// Where the client is, if it is on a network.
    pub client_address: Option<IpAddr>,
    /// An error that a rule puts in the place of a real one.
    pub(crate) injection: Option<Injection>,
}

impl Context {
    /// A request of `version` to `node`, from nobody in particular.
    #[must_use]
    pub fn new(now: Now, node: NodeId, version: i16) -> Self {
        let client_id = ByteString::new();
        let (client_address, injection) = (None, None);
        Self { now, node, connection: 0, version, client_id, client_address, injection }
    }

    /// What every handler asks before it serves an item: an injected error takes the path of a
    /// real one, with the same neighbours.
    ///
    /// # Errors
    ///
    /// The injected error, if a rule is meant for this topic and partition.
    pub(crate) fn item(&self, topic: &str, partition: i32) -> Result<(), ErrorCode> {
        self.injection.as_ref().map_or(Ok(()), |injection| injection.item(topic, partition))
    }

    /// As [`item`](Self::item), for APIs with one error for the whole request.
    ///
    /// # Errors
    ///
    /// The injected error, if there is one.
    pub(crate) fn whole(&self) -> Result<(), ErrorCode> {
        self.injection.as_ref().map_or(Ok(()), Injection::whole)
    }

    pub(crate) fn deadline(&self, wait_ms: i32) -> Duration {
        let wait = u64::try_from(wait_ms).unwrap_or(0);
        self.now.mono + Duration::from_millis(wait)
    }
}

/// A request that is ready for the world: what must read every byte of it has been done.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "moved twice in its life; a box would cost more")]
pub enum Prepared {
    /// A produce request, its batches checked.
    Produce(Checked),
    /// Any other.
    Other(AnyRequest),
}

impl Prepared {
    /// Prepares a request of `version` that came in a frame of `frame_len` bytes. Not to be called
    /// under a lock: it reads what is produced.
    #[must_use]
    pub fn new(request: AnyRequest, version: i16, frame_len: usize) -> Self {
        match request {
            AnyRequest::Produce(request) => {
                Self::Produce(Checked::new(request, version, frame_len))
            }
            other => Self::Other(other),
        }
    }

    /// The API it belongs to.
    #[must_use]
    pub fn api(&self) -> ApiKey {
        match self {
            Self::Produce(_) => ApiKey::Produce,
            Self::Other(request) => request.api(),
        }
    }
}

/// What becomes of a request.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "almost every one is a reply")]
#[must_use = "somebody waits for the answer"]
pub enum Flow {
    /// It is answered.
    Reply(Reply),
    /// It wants no answer.
    Silent,
    /// Its connection is closed.
    Close,
    /// It waits.
    Park(Box<Parked>),
}

impl<R: Into<AnyResponse>> From<R> for Flow {
    fn from(response: R) -> Self {
        Self::Reply(Reply { response: response.into(), mute: Duration::ZERO, damage: None })
    }
}

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// The message.
    pub response: AnyResponse,
    /// How long the connection is not read after the answer (KIP-219).
    pub mute: Duration,
    /// What is done to its bytes on the way out.
    pub damage: Option<Damage>,
}

/// A request that waits for its ticket to be woken, or for a deadline.
#[derive(Debug)]
pub struct Parked {
    /// What the world names when it is time to look again.
    pub ticket: Ticket,
    /// When to look again in any case; `None` for never.
    pub until: Option<Duration>,
    pub(crate) resume: Resume,
    pub(crate) then: Option<Then>,
}

/// How a parked request goes on.
#[derive(Debug)]
pub(crate) enum Resume {
    /// A produce request with `acks = -1` waits for the in-sync replicas.
    Acks(AckWait),
    /// Markers that an operator wrote wait for the in-sync replicas.
    Markers(MarkerWait),
    /// Deletions wait for the followers.
    Deletions(DeleteWait),
    /// A fetch waits for bytes.
    Fetch(FetchWait),
    /// The records of a produce request are to be looked at.
    Inspect(Checked),
    /// Records are to be found by their times.
    Lookup(Lookup),
    /// A request is held, or delayed, before it is served.
    Held(Prepared),
    /// An answer is delayed; `None` never comes.
    Answer(Option<Reply>),
    /// A member's join or sync waits for its group.
    Member(WaitId),
}

impl Parked {
    /// Whether it is served even where its client is gone by then, as what a broker has taken in is: a
    /// write may come after the one that was meant to repeat it.
    #[must_use]
    pub fn outlives_its_client(&self) -> bool {
        matches!(self.resume, Resume::Held(_))
    }

    /// Whether it waits only for [`read_records`](Self::read_records).
    #[must_use]
    pub fn wants_records_read(&self) -> bool {
        matches!(self.resume, Resume::Inspect(_) | Resume::Lookup(_))
    }

    /// Reads the records that the request is about, if that is what it waits for; returns whether it
    /// is. Unpacking them may take long, so it is not to be done under a lock: that is why it is
    /// apart from [`World::resume`], which does it only where nobody has. A request that a fault
    /// rule answers in part is the exception: [`World::handle`] reads its records.
    pub fn read_records(&mut self) -> bool {
        match &mut self.resume {
            Resume::Inspect(request) => request.inspect(),
            Resume::Lookup(lookup) => lookup.run(),
            _ => return false,
        }
        true
    }
}

/// Why a parked request is taken up again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// What it waits for may have happened.
    Woken,
    /// Its deadline has come.
    Expired,
}

/// All state of a cluster.
#[derive(Debug)]
pub struct World {
    pub(crate) catalog: Catalog,
    pub(crate) settings: Settings,
    pub(crate) sessions: Sessions,
    /// `fetch.max.bytes`, which stands while the brokers run.
    pub(crate) fetch_max_bytes: usize,
    pub(crate) groups: Groups,
    pub(crate) transactions: Transactions,
    pub(crate) faults: Faults,
    pub(crate) requests: Requests,
    pub(crate) random: Random,
    /// What nodes say of the cluster that are frozen in what they knew.
    frozen: BTreeMap<NodeId, Catalog>,
    waiters: Waiters,
    timers: Timers,
}

impl World {
    /// A cluster without nodes and topics. Every id in it follows from `seed`.
    #[must_use]
    pub fn new(seed: u64, settings: Settings) -> Self {
        let mut random = Random::new(seed);
        let cluster_id = random.uuid().to_string();
        let mut timers = Timers::default();
        timers.schedule(FIRST_RETENTION, Timer::Retention);
        Self {
            catalog: Catalog::new(cluster_id.into()),
            groups: Groups::new(GroupConfig::of(&settings)),
            transactions: Transactions::new(TransactionConfig::of(&settings)),
            fetch_max_bytes: usize::try_from(settings.number("fetch.max.bytes")).unwrap_or(0),
            settings,
            sessions: Sessions::default(),
            faults: Faults::default(),
            requests: Requests::default(),
            random,
            frozen: BTreeMap::new(),
            waiters: Waiters::default(),
            timers,
        }
    }

    /// Serves a request, or begins to.
    pub fn handle(&mut self, cx: &Context, request: Prepared) -> Flow {
        self.requests.note(cx, request.api());
        self.admit(cx, request)
    }

    /// Goes on with a request that was parked.
    pub fn resume(&mut self, cx: &Context, parked: Parked, why: Why) -> Flow {
        self.waiters.forget(parked.ticket);
        let flow = match parked.resume {
            Resume::Acks(wait) => crate::api::produce::resume(self, cx, wait, why),
            Resume::Markers(wait) => wait.settle(self, cx, why),
            Resume::Deletions(wait) => wait.resume(self, cx, why),
            Resume::Fetch(wait) => crate::api::fetch::resume(self, cx, wait, why),
            Resume::Inspect(mut request) => {
                request.inspect();
                crate::api::produce::produce(self, cx, request)
            }
            Resume::Lookup(lookup) => lookup.answer(cx.version).into(),
            Resume::Member(wait) => group::resume(self, cx, wait),
            Resume::Held(request) => self.serve(cx, request),
            Resume::Answer(Some(reply)) => Flow::Reply(reply),
            Resume::Answer(None) => self.park(&[], None, Resume::Answer(None)),
        };
        self.finish(cx, flow, parked.then)
    }

    /// Forgets a parked request, whose connection is gone.
    pub fn abandon(&mut self, parked: &Parked) {
        self.forget(parked.ticket);
        if let Resume::Member(wait) = parked.resume {
            self.groups.abandon(wait);
        }
    }

    /// Forgets what a parked request waited for.
    pub(crate) fn forget(&mut self, ticket: Ticket) {
        self.waiters.forget(ticket);
    }

    /// Runs the timers that are due, and says when the next one is.
    pub fn tick(&mut self, now: Now) -> Option<Duration> {
        while let Some(timer) = self.timers.pop_due(now.mono) {
            match timer {
                Timer::Retention => self.run_retention(now),
                Timer::Lag => self.drop_laggards(now),
                // They are written below, with those of the transactions that time out now.
                Timer::Markers => {}
            }
        }
        self.groups.handle_timeout(now.mono);
        self.transactions.handle_timeout(now);
        self.write_markers(now);
        self.next_deadline()
    }

    /// When [`tick`](Self::tick) is to be called next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Duration> {
        let machines = [self.groups.next_timeout(), self.transactions.next_timeout()];
        self.timers.next().into_iter().chain(machines.into_iter().flatten()).min()
    }

    /// The tickets to wake, each once.
    pub fn take_woken(&mut self) -> Vec<Ticket> {
        self.wake_members();
        self.waiters.take_woken()
    }

    /// Parks a request until one of `keys` is woken.
    pub(crate) fn park(
        &mut self,
        keys: &[WaitKey],
        until: Option<Duration>,
        resume: Resume,
    ) -> Flow {
        let ticket = self.waiters.watch(keys);
        Flow::Park(Box::new(Parked { ticket, until, resume, then: None }))
    }

    /// Wakes who waits for `key`.
    pub(crate) fn wake(&mut self, key: &WaitKey) {
        self.waiters.wake(key);
    }

    pub(crate) fn wake_partition(&mut self, topic: Uuid, partition: i32) {
        self.wake(&WaitKey::Partition(topic, partition));
    }

    pub(crate) fn schedule(&mut self, at: Duration, timer: Timer) {
        self.timers.schedule(at, timer);
    }

    fn run_retention(&mut self, now: Now) {
        let every = self.settings.number("log.retention.check.interval.ms");
        let every = Duration::from_millis(u64::try_from(every).unwrap_or(1));
        self.schedule(now.mono + every, Timer::Retention);
        let idle = now.wall_ms - self.settings.number("producer.id.expiration.ms");
        for (id, index) in self.catalog.retain(now, idle) {
            self.wake_partition(id, index);
        }
    }

    fn drop_laggards(&mut self, now: Now) {
        let limit = self.lag_limit();
        let (changed, lagging) = self.catalog.drop_laggards(limit, now);
        changed.into_iter().for_each(|(id, index)| self.wake_partition(id, index));
        if lagging {
            self.schedule(now.mono + limit / 2, Timer::Lag);
        }
    }

    /// Has the in-sync replicas looked at, because a follower may have fallen behind.
    pub(crate) fn watch_lag(&mut self, now: Now) {
        let at = now.mono + self.lag_limit();
        self.schedule(at, Timer::Lag);
    }

    fn lag_limit(&self) -> Duration {
        let limit = self.settings.number("replica.lag.time.max.ms");
        Duration::from_millis(u64::try_from(limit).unwrap_or(0))
    }
}

/// When retention is looked after first (Kafka's `log.initial.task.delay.ms`).
const FIRST_RETENTION: Duration = Duration::from_secs(30);
