//! What all roles of one application share: connections and metadata.

use std::fmt;
use std::sync::{Arc, Weak};
use std::time::Instant;

use ottla_protocol::Request;
use tracing::Instrument;

use super::calls::{Answered, CallLink};
use super::link::{Link, LinkOptions, LinkTarget, Purpose};
use super::runtime::Runtime;
use super::shared::{Shared, lock};
use super::{lookup, refresh, route};
use crate::cluster::{ClusterSnapshot, CoordinatorKind, LeaderHints, TopicInfo};
use crate::config::ClientConfig;
use crate::conn::RequestSource;
use crate::error::{Certainty, RequestError};
use crate::retry::Deadline;
use crate::types::{NodeId, TopicName};

/// The way to one cluster. Cheap to clone; every clone shares the connections and the metadata.
///
/// When the last clone is dropped, what it started ends by itself; [`close`](Self::close) waits for
/// that.
#[derive(Debug, Clone)]
pub struct Client(Arc<Owner>);

/// Ends everything when the last [`Client`] is gone: tasks hold [`Shared`], never this.
#[derive(Debug)]
struct Owner(Arc<Shared>);

impl Drop for Owner {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Is told of each new snapshot.
pub trait SnapshotListener: Send + Sync + fmt::Debug {
    /// Takes note of a new snapshot; never of an older one after a newer one. Called by the task that
    /// received it, while no other can be told: must neither block nor
    /// [teach](Client::learn_leaders) the client who leads, which would wait for its own end.
    fn handle_snapshot(&self, snapshot: &Arc<ClusterSnapshot>, now: Instant);

    /// Takes note that the client is closed: no snapshot comes any more, and nothing is answered. May
    /// be called again; must not block.
    fn handle_closed(&self) {}
}

impl Client {
    /// Connects to the first of `bootstrap.servers` that answers, and learns which brokers there
    /// are.
    ///
    /// # Errors
    ///
    /// [`RequestError`], when none of them answers; each was tried once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun ends.
    pub async fn connect(config: ClientConfig, runtime: Runtime) -> Result<Self, RequestError> {
        runtime.settle();
        let client = Self(Arc::new(Owner(Shared::new(config, runtime))));
        let shared = client.shared();
        refresh::bootstrap(shared).await?;
        let cluster = shared.runtime().spawn("cluster", refresh::run(Arc::clone(shared)));
        let lookups = shared.runtime().spawn("coordinators", lookup::run(Arc::clone(shared)));
        lock(&shared.tasks).extend([cluster, lookups]);
        Ok(client)
    }

    /// The settings.
    #[must_use]
    pub fn config(&self) -> &ClientConfig {
        self.shared().config()
    }

    /// Clocks, randomness and tasks.
    #[must_use]
    pub fn runtime(&self) -> &Runtime {
        self.shared().runtime()
    }

    /// What is known of the cluster now.
    #[must_use]
    pub fn snapshot(&self) -> Arc<ClusterSnapshot> {
        self.shared().snapshot()
    }

    /// Waits for the next snapshot after `seen`, and returns it.
    ///
    /// # Errors
    ///
    /// [`RequestError`], when there is none before the deadline, or the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    pub async fn changed(
        &self,
        seen: u64,
        deadline: Deadline,
    ) -> Result<Arc<ClusterSnapshot>, RequestError> {
        self.until(deadline, |snapshot| (snapshot.version > seen).then(|| Arc::clone(snapshot)))
            .await
    }

    /// Asks for metadata, and waits until a broker has answered what was asked from now on; returns
    /// what is known then. What [`snapshot`](Self::snapshot) has may be as old as
    /// `metadata.max.age.ms`. Refreshes that bring nothing new are at least `retry.backoff.ms` apart.
    ///
    /// # Errors
    ///
    /// [`RequestError`], when no broker has answered at the deadline, or the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    pub async fn refreshed(
        &self,
        deadline: Deadline,
    ) -> Result<Arc<ClusterSnapshot>, RequestError> {
        let (now, mut wanted) = (self.runtime().now(), 0);
        self.shared().stir(|metadata| {
            metadata.request_refresh(now);
            wanted = metadata.next_refresh();
        });
        self.until(deadline, |_| {
            // What is published may be a moment older.
            let metadata = self.shared().metadata();
            (metadata.answered_refresh() >= wanted).then(|| Arc::clone(metadata.snapshot()))
        })
        .await
    }

    /// Waits until something is known about the topic: what it is, or why there is nothing to know.
    ///
    /// # Errors
    ///
    /// [`RequestError`], when nothing is known at the deadline, or the client is closed.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing but the wait is lost.
    pub async fn topic(
        &self,
        name: &TopicName,
        deadline: Deadline,
    ) -> Result<Arc<TopicInfo>, RequestError> {
        let _use = self.use_topics([name.clone()]);
        // What was denied before is asked for anew: it may have been made since.
        let is_answered = || !self.shared().metadata().is_waiting(name);
        self.until(deadline, |snapshot| snapshot.topic(name).filter(|_| is_answered()).cloned())
            .await
    }

    /// Keeps topics in the metadata for as long as what is returned lives.
    pub fn use_topics(&self, names: impl IntoIterator<Item = TopicName>) -> TopicUse {
        let names: Vec<TopicName> = names.into_iter().collect();
        let now = self.runtime().now();
        self.shared().stir(|metadata| names.iter().for_each(|name| metadata.use_topic(name, now)));
        TopicUse { shared: Arc::clone(self.shared()), used: Used::Topics(names) }
    }

    /// Keeps all topics of the cluster in the metadata for as long as what is returned lives.
    pub fn use_all_topics(&self) -> TopicUse {
        let now = self.runtime().now();
        self.shared().stir(|metadata| metadata.use_all(now));
        TopicUse { shared: Arc::clone(self.shared()), used: Used::All }
    }

    /// Tells `listener` of each new snapshot, and of the end, until it is dropped.
    pub fn add_listener(&self, listener: Weak<dyn SnapshotListener>) {
        lock(&self.shared().listeners).push(Weak::clone(&listener));
        // Looked at after it is in the list: whoever closes either finds it there or was here first.
        if self.shared().is_closed()
            && let Some(listener) = listener.upgrade()
        {
            listener.handle_closed();
        }
    }

    /// Asks for metadata soon: somebody saw that what is known is stale.
    pub fn request_refresh(&self) {
        self.shared().request_refresh();
    }

    /// Asks another broker for metadata soon, because this one does not answer.
    pub fn suspect(&self, node: NodeId) {
        self.shared().suspect(node);
    }

    /// Learns what an answer told about leaders (KIP-951).
    pub fn learn_leaders(&self, hints: &LeaderHints) {
        self.shared().learn(hints);
    }

    /// Opens a connection to `node` over which `source` sends.
    pub fn open_link(
        &self,
        node: NodeId,
        options: LinkOptions,
        source: Arc<dyn RequestSource>,
    ) -> Link {
        Link::open(self.shared(), LinkTarget::Node(node), options, source)
    }

    /// Opens a connection to `node` for calls.
    #[must_use]
    pub fn open_calls(&self, node: NodeId, purpose: Purpose) -> CallLink {
        CallLink::open(self.shared(), LinkTarget::Node(node), LinkOptions::calls(purpose))
    }

    /// Asks `target`, wherever it is, until it answers or the deadline passes. What only a retry can
    /// solve, lost connections and coordinators that have moved, is retried; error codes in the
    /// answer are the caller's.
    ///
    /// A request may be sent more than once: see the error's certainty.
    ///
    /// # Errors
    ///
    /// [`RequestError`], when there is no answer.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe, in that the client stays usable; the request may have been sent.
    pub async fn call<R>(
        &self,
        target: &Target,
        request: &R,
        deadline: Deadline,
    ) -> Result<R::Response, RequestError>
    where
        R: Request + Clone + Send + Sync + 'static,
        R::Response: Send + 'static,
    {
        let request = request.clone();
        let build = move |_: i16| request.clone();
        Ok(self.call_versioned(target, build, deadline).await?.response)
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
        target: &Target,
        build: impl Fn(i16) -> R + Clone + Send + Sync + 'static,
        deadline: Deadline,
    ) -> Result<Answered<R::Response>, RequestError>
    where
        R: Request + 'static,
        R::Response: Send + 'static,
    {
        let span = tracing::debug_span!("call", messaging.system = "kafka", api = ?R::API);
        route::call(self.shared(), target, &build, deadline).instrument(span).await
    }

    /// The coordinator of a group or a transactional id, looked up if it is not known.
    ///
    /// # Errors
    ///
    /// [`RequestError`], when no broker names one before the deadline.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn coordinator(
        &self,
        kind: CoordinatorKind,
        key: &str,
        deadline: Deadline,
    ) -> Result<NodeId, RequestError> {
        lookup::coordinator(self.shared(), kind, key, deadline).await
    }

    /// Forgets that `node` is the coordinator; nothing happens if another is known by now.
    pub fn forget_coordinator(&self, kind: CoordinatorKind, key: &str, node: NodeId) {
        self.shared().coordinators().forget(kind, key, node);
    }

    /// The level of a feature that the cluster has finalized, such as `transaction.version`, as far
    /// as the connections made so far tell; 0 if there is none.
    ///
    /// # Kafka
    ///
    /// KIP-584.
    #[must_use]
    pub fn feature(&self, name: &str) -> i16 {
        self.shared().feature(name)
    }

    /// Ends all connections. Calls that are under way fail.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: everything ends all the same.
    pub async fn close(self) {
        let calls = std::mem::take(&mut *lock(&self.shared().control));
        self.shared().close();
        for link in calls.into_values().filter_map(Arc::into_inner) {
            link.close().await;
        }
        let tasks = std::mem::take(&mut *lock(&self.shared().tasks));
        for task in tasks {
            task.join().await;
        }
    }

    async fn until<T: Send>(
        &self,
        deadline: Deadline,
        known: impl Fn(&Arc<ClusterSnapshot>) -> Option<T> + Send + Sync,
    ) -> Result<T, RequestError> {
        let begun = self.runtime().now();
        let mut snapshots = self.shared().snapshot.subscribe();
        let late = self.runtime().sleep_until(Some(deadline.instant()));
        let found = async {
            loop {
                let found = known(&snapshots.current());
                if let Some(found) = found {
                    return Some(found);
                }
                if self.shared().is_closed() {
                    return None;
                }
                snapshots.changed().await;
            }
        };
        tokio::select! {
            biased;
            found = found => found.ok_or(RequestError::Closed { certainty: Certainty::NotWritten }),
            () = late => Err(self.shared().too_late(begun, deadline)),
        }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.0.0
    }
}

/// Who answers a call.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// One broker.
    Node(NodeId),
    /// Any broker that answers: the next is asked as well once one has been silent for a second, so
    /// this is for requests that may be answered twice.
    AnyBroker,
    /// The controller, or the broker that stands for it. It alone is asked: what it does may not be
    /// done twice.
    Controller,
    /// The coordinator of a group or a transactional id.
    Coordinator(CoordinatorKind, Arc<str>),
}

/// Keeps topics in the metadata while it lives.
#[derive(Debug)]
#[must_use = "topics that nobody uses are forgotten"]
pub struct TopicUse {
    shared: Arc<Shared>,
    used: Used,
}

#[derive(Debug)]
enum Used {
    Topics(Vec<TopicName>),
    All,
}

impl Drop for TopicUse {
    fn drop(&mut self) {
        let now = self.shared.runtime().now();
        let used = &self.used;
        self.shared.stir(|metadata| match used {
            Used::Topics(names) => names.iter().for_each(|name| metadata.release_topic(name, now)),
            Used::All => metadata.release_all(now),
        });
    }
}
