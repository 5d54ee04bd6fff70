//! Which broker coordinates which group and which transactional id.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytestring::ByteString;
use ottla_protocol::ErrorCode;
use ottla_protocol::messages::find_coordinator::Coordinator as Answered;
use ottla_protocol::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

use super::BrokerInfo;
use crate::config::ClientConfig;
use crate::retry::{Backoff, Deadline};
use crate::types::{HostPort, NodeId};

#[cfg(test)]
mod tests;

/// What a coordinator is looked up for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CoordinatorKind {
    /// A group, by its id.
    Group,
    /// A transactional id.
    Transaction,
    /// A partition of a share group, by `group:topic id:partition` (KIP-932).
    Share,
}

impl CoordinatorKind {
    /// `KeyType` on the wire.
    #[must_use]
    pub fn to_wire(self) -> i8 {
        match self {
            Self::Group => 0,
            Self::Transaction => 1,
            Self::Share => 2,
        }
    }
}

/// Remembers coordinators and looks them up.
///
/// ```text
///   unknown --find--> searching --found--> known --forget, or not used--> unknown
///                      |     ^
///                      |     '-- not available yet: again after tens of milliseconds
///                      '--refused--> refused, for those who were waiting
/// ```
///
/// Whoever waits calls [`find`](Self::find) again after each answer: a search that nobody has asked
/// about for `request.timeout.ms` is given up.
///
/// # Kafka
///
/// `FindCoordinator`, in batches from version 4 on (KIP-699).
#[derive(Debug)]
pub struct Coordinators {
    entries: BTreeMap<Key, Entry>,
    failure: Backoff,
    searched_for: Duration,
    kept_for: Duration,
}

type Key = (CoordinatorKind, ByteString);

#[derive(Debug)]
struct Entry {
    state: State,
    asked_at: Instant,
}

#[derive(Debug)]
enum State {
    /// It must be asked for at `due`.
    Searching {
        due: Instant,
        backoff: Backoff,
    },
    /// A request is under way.
    Asked {
        backoff: Backoff,
    },
    Known(NodeId),
    Refused {
        code: ErrorCode,
        at: Instant,
    },
}

/// What is known of a coordinator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinator {
    /// It is this broker.
    Known(NodeId),
    /// It is being looked up.
    Searching,
    /// The broker will not say, and asking again will not help: a missing permission, mostly.
    Refused(ErrorCode),
}

/// A request that ought to be made now, of any broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lookup {
    /// What the keys are.
    pub kind: CoordinatorKind,
    /// The keys: at least one, each once. Versions before 4 ask for the first one only.
    pub keys: Vec<ByteString>,
}

impl Lookup {
    /// The request, for a broker that speaks `version`.
    #[must_use]
    pub fn request(&self, version: i16) -> FindCoordinatorRequest {
        let is_batched = version >= FIRST_BATCHED;
        FindCoordinatorRequest {
            key: self.keys.first().filter(|_| !is_batched).cloned().unwrap_or_default(),
            key_type: self.kind.to_wire(),
            coordinator_keys: if is_batched { self.keys.clone() } else { Vec::new() },
            ..FindCoordinatorRequest::default()
        }
    }
}

impl Coordinators {
    /// None is known.
    #[must_use]
    pub fn new(config: &ClientConfig) -> Self {
        Self {
            entries: BTreeMap::new(),
            failure: Backoff::new(config.retry_backoff, config.retry_backoff_max),
            searched_for: config.request_timeout,
            kept_for: config.metadata_max_idle,
        }
    }

    /// The coordinator of `key`; a search begins if it is unknown. `since` is when the caller began
    /// to wait: a refusal that is older than that is not its own, and is asked again.
    pub fn find(
        &mut self,
        kind: CoordinatorKind,
        key: &str,
        since: Instant,
        now: Instant,
    ) -> Coordinator {
        let fresh = || State::Searching { due: now, backoff: patience() };
        let entry = self
            .entries
            .entry((kind, key.into()))
            .or_insert_with(|| Entry { state: fresh(), asked_at: now });
        entry.asked_at = now;
        match entry.state {
            State::Known(node) => Coordinator::Known(node),
            State::Searching { .. } | State::Asked { .. } => Coordinator::Searching,
            State::Refused { code, at } if at >= since => Coordinator::Refused(code),
            State::Refused { .. } => {
                entry.state = fresh();
                Coordinator::Searching
            }
        }
    }

    /// Forgets a coordinator that turned out to be none, unless another one has become known since.
    pub fn forget(&mut self, kind: CoordinatorKind, key: &str, node: NodeId) {
        let key = (kind, ByteString::from(key));
        if self.entries.get(&key).is_some_and(|entry| entry.names(node)) {
            self.entries.remove(&key);
        }
    }

    /// Forgets everything that a broker coordinates, because it is gone.
    pub fn forget_node(&mut self, node: NodeId) {
        self.entries.retain(|_, entry| !entry.names(node));
    }

    /// A request that ought to be made now: for all keys of one kind that are due. Several may be
    /// under way, but never two for one key.
    pub fn poll_request(&mut self, now: Instant) -> Option<Lookup> {
        self.forget_idle(now);
        let (kind, _) = self.entries.iter().find(|(_, entry)| entry.is_due(now))?.0;
        let kind = *kind;
        let mut keys = Vec::new();
        let due = self.entries.iter_mut().filter(|(key, entry)| key.0 == kind && entry.is_due(now));
        for ((_, key), entry) in due.take(MAX_BATCH) {
            if let State::Searching { backoff, .. } = &entry.state {
                entry.state = State::Asked { backoff: backoff.clone() };
                keys.push(key.clone());
            }
        }
        Some(Lookup { kind, keys })
    }

    /// Takes the answer to `lookup`, written in `version`, and returns where the coordinators are
    /// that it names: brokers that the metadata may not know yet. `random` moves the next attempts.
    ///
    /// Those who wait should call [`find`](Self::find) again.
    pub fn handle_answer(
        &mut self,
        lookup: &Lookup,
        response: &FindCoordinatorResponse,
        version: i16,
        now: Instant,
        random: u64,
    ) -> Vec<BrokerInfo> {
        self.failure.reset();
        let single = (version < FIRST_BATCHED).then(|| first_of(lookup, response));
        let answered = single.as_slice().iter().chain(&response.coordinators);
        let mut brokers = Vec::new();
        for coordinator in answered {
            brokers.extend(self.settle(lookup.kind, coordinator, now, random));
        }
        // Keys beyond the first of an old version, and those that the broker passed over.
        let is_new = version >= FIRST_BATCHED;
        self.search_again(
            lookup,
            now,
            |backoff| {
                if is_new { backoff.fail(random) } else { Duration::ZERO }
            },
        );
        brokers
    }

    /// Takes note that no broker answered `lookup`. Its keys are due again after
    /// `retry.backoff.ms`.
    pub fn handle_failure(&mut self, lookup: &Lookup, now: Instant, random: u64) {
        let delay = self.failure.fail(random);
        self.search_again(lookup, now, |_| delay);
    }

    /// When [`poll_request`](Self::poll_request) must be called next, if nothing happens before.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Instant> {
        let due = |entry: &Entry| match entry.state {
            State::Searching { due, .. } => Some(due),
            State::Asked { .. } | State::Known(_) | State::Refused { .. } => None,
        };
        self.entries.values().filter_map(due).min()
    }

    fn settle(
        &mut self,
        kind: CoordinatorKind,
        answered: &Answered,
        now: Instant,
        random: u64,
    ) -> Option<BrokerInfo> {
        let entry = self.entries.get_mut(&(kind, answered.key.clone()))?;
        let State::Asked { backoff } = &mut entry.state else {
            return None;
        };
        match read(answered) {
            Ok(broker) => {
                entry.state = State::Known(broker.id);
                Some(broker)
            }
            Err(code) if code.is_retriable() => {
                let due = Deadline::after(now, backoff.fail(random)).instant();
                entry.state = State::Searching { due, backoff: backoff.clone() };
                None
            }
            Err(code) => {
                entry.state = State::Refused { code, at: now };
                None
            }
        }
    }

    /// What `lookup` asked for and got no answer to is searched again after `delay`.
    fn search_again(
        &mut self,
        lookup: &Lookup,
        now: Instant,
        delay: impl Fn(&mut Backoff) -> Duration,
    ) {
        for key in &lookup.keys {
            let Some(entry) = self.entries.get_mut(&(lookup.kind, key.clone())) else {
                continue;
            };
            if let State::Asked { backoff } = &mut entry.state {
                let due = Deadline::after(now, delay(backoff)).instant();
                entry.state = State::Searching { due, backoff: backoff.clone() };
            }
        }
    }

    fn forget_idle(&mut self, now: Instant) {
        let (searched_for, kept_for) = (self.searched_for, self.kept_for);
        self.entries.retain(|_, entry| {
            let idle = now.saturating_duration_since(entry.asked_at);
            match entry.state {
                State::Asked { .. } => true,
                State::Searching { .. } | State::Refused { .. } => idle < searched_for,
                State::Known(_) => idle < kept_for,
            }
        });
    }
}

impl Entry {
    fn names(&self, node: NodeId) -> bool {
        matches!(self.state, State::Known(known) if known == node)
    }

    fn is_due(&self, now: Instant) -> bool {
        matches!(self.state, State::Searching { due, .. } if due <= now)
    }
}

/// The answer of a version that has room for one only.
fn first_of(lookup: &Lookup, response: &FindCoordinatorResponse) -> Answered {
    Answered {
        key: lookup.keys.first().cloned().unwrap_or_default(),
        node_id: response.node_id,
        host: response.host.clone(),
        port: response.port,
        error_code: response.error_code,
        ..Answered::default()
    }
}

/// The broker that an answer names. One that cannot be reached as it is described is none yet.
fn read(answered: &Answered) -> Result<BrokerInfo, ErrorCode> {
    let code = ErrorCode::from_code(answered.error_code);
    if code.is_error() {
        return Err(code);
    }
    let id = NodeId::from_wire(answered.node_id);
    let port = u16::try_from(answered.port).ok().filter(|port| *port != 0);
    let host = Some(&*answered.host).filter(|host| !host.is_empty());
    let (Some(id), Some(port), Some(host)) = (id, port, host) else {
        return Err(ErrorCode::CoordinatorNotAvailable);
    };
    Ok(BrokerInfo { id, address: HostPort::new(host, port), rack: None })
}

/// The waits for a coordinator that is not available yet. It is being elected, or its log is being
/// made: a matter of milliseconds, for which `retry.backoff.ms` is too long.
fn patience() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_millis(250))
}

/// The first version that asks for several keys (KIP-699).
const FIRST_BATCHED: i16 = 4;

/// The most keys of one request, so that ten thousand groups do not become one answer of megabytes.
const MAX_BATCH: usize = 1_000;
