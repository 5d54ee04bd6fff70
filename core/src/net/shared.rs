//! What a client, its links and its tasks share.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::Notify;

use super::calls::CallLink;
use super::client::SnapshotListener;
use super::dial::{Dialer, SocketOptions, tcp};
use super::link::{LinkOptions, LinkShared, LinkTarget, Purpose};
use super::runtime::{Runtime, Task};
use super::watch;
use crate::cluster::{ClusterSnapshot, Coordinators, Features, LeaderHints, Metadata};
use crate::config::ClientConfig;
use crate::conn::{BrokerVersions, BufferPool};
use crate::error::{Certainty, RequestError};
use crate::retry::Deadline;
use crate::types::{HostPort, NodeId};

/// What the client, its links and its tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    config: ClientConfig,
    client_id: Arc<str>,
    runtime: Runtime,
    dialer: DialerBox,
    pool: BufferPool,
    metadata: Mutex<Metadata>,
    coordinators: Mutex<Coordinators>,
    features: Mutex<Features>,
    /// The last snapshot; its receivers are woken by the next.
    pub(super) snapshot: watch::Sender<Arc<ClusterSnapshot>>,
    pub(super) listeners: Mutex<Vec<Weak<dyn SnapshotListener>>>,
    /// Held while a snapshot is published and told: it was made under another lock, and whoever made
    /// the next one may be here first. Std: listeners do not block.
    publishing: Mutex<()>,
    /// Connections for calls, by whom they reach.
    pub(super) control: Mutex<BTreeMap<LinkTarget, Arc<CallLink>>>,
    links: Mutex<Vec<Weak<LinkShared>>>,
    /// The tasks that keep metadata and coordinators, for who closes to wait for.
    pub(super) tasks: Mutex<Vec<Task>>,
    /// Tells the cluster task that the metadata machine wants something.
    stirred: Notify,
    /// Tells the lookup task that somebody waits for a coordinator.
    lookups_stirred: Notify,
    /// Changes when a lookup has settled.
    lookups_settled: watch::Sender<()>,
    closed: AtomicBool,
}

struct DialerBox(Dialer);

impl fmt::Debug for DialerBox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Dialer")
    }
}

impl Shared {
    pub(super) fn new(config: ClientConfig, runtime: Runtime) -> Arc<Self> {
        let options = SocketOptions {
            send_buffer: config.send_buffer,
            receive_buffer: config.receive_buffer,
        };
        let dialer = if runtime.has_own_dialer() { runtime.dialer() } else { tcp(options) };
        let metadata = Metadata::new(&config, runtime.now());
        Arc::new(Self {
            client_id: config.client_id.as_str().into(),
            dialer: DialerBox(dialer),
            pool: BufferPool::default(),
            snapshot: watch::Sender::new(Arc::clone(metadata.snapshot())),
            metadata: Mutex::new(metadata),
            coordinators: Mutex::new(Coordinators::new(&config)),
            features: Mutex::default(),
            listeners: Mutex::default(),
            publishing: Mutex::default(),
            control: Mutex::default(),
            links: Mutex::default(),
            tasks: Mutex::default(),
            stirred: Notify::new(),
            lookups_stirred: Notify::new(),
            lookups_settled: watch::Sender::new(()),
            closed: AtomicBool::new(false),
            config,
            runtime,
        })
    }

    pub(super) fn config(&self) -> &ClientConfig {
        &self.config
    }

    pub(super) fn client_id(&self) -> Arc<str> {
        Arc::clone(&self.client_id)
    }

    pub(super) fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    pub(super) fn dialer(&self) -> &Dialer {
        &self.dialer.0
    }

    pub(super) fn pool(&self) -> &BufferPool {
        &self.pool
    }

    pub(super) fn snapshot(&self) -> Arc<ClusterSnapshot> {
        self.snapshot.current()
    }

    pub(super) fn address(&self, node: NodeId) -> Option<HostPort> {
        self.snapshot.current().address(node).cloned()
    }

    /// The cluster that brokers must belong to, where settings ask for that check (KIP-1242).
    pub(super) fn expected_cluster(&self) -> Option<String> {
        let check = self.config.metadata_cluster_check_enable;
        let known = self.snapshot.current().cluster_id.as_deref().map(str::to_owned);
        known.filter(|_| check)
    }

    pub(super) fn metadata(&self) -> MutexGuard<'_, Metadata> {
        lock(&self.metadata)
    }

    pub(super) fn coordinators(&self) -> MutexGuard<'_, Coordinators> {
        lock(&self.coordinators)
    }

    /// Takes what a broker says of features when a connection to it is made.
    pub(super) fn learn_features(&self, versions: &BrokerVersions) {
        lock(&self.features).learn(versions);
    }

    pub(super) fn feature(&self, name: &str) -> i16 {
        lock(&self.features).level(name)
    }

    /// Changes what the metadata machine wants, and lets the cluster task look.
    pub(super) fn stir(&self, change: impl FnOnce(&mut Metadata)) {
        change(&mut self.metadata());
        self.stirred.notify_one();
    }

    pub(super) async fn stirred(&self) {
        self.stirred.notified().await;
    }

    pub(super) fn stir_lookups(&self) {
        self.lookups_stirred.notify_one();
    }

    pub(super) async fn lookups_stirred(&self) {
        self.lookups_stirred.notified().await;
    }

    pub(super) fn lookups_settled(&self) -> watch::Receiver<()> {
        self.lookups_settled.subscribe()
    }

    pub(super) fn tell_lookups(&self) {
        self.lookups_settled.nudge();
    }

    pub(super) fn request_refresh(&self) {
        let now = self.runtime.now();
        self.stir(|metadata| metadata.request_refresh(now));
    }

    pub(super) fn suspect(&self, node: NodeId) {
        let now = self.runtime.now();
        self.stir(|metadata| metadata.suspect(node, now));
    }

    /// Takes note that a connection was lost, could not be made, or is silent.
    pub(super) fn handle_trouble(&self, target: &LinkTarget) {
        if let LinkTarget::Node(node) = target {
            self.suspect(*node);
        }
    }

    /// Learns what an answer told about leaders and brokers.
    pub(super) fn learn(&self, hints: &LeaderHints) {
        let now = self.runtime.now();
        let snapshot = self.metadata().learn_leaders(hints);
        if let Some(snapshot) = snapshot {
            self.publish(&snapshot, now);
        }
    }

    /// Makes `snapshot` the one that is known, and tells everybody, unless a newer one is known: that
    /// one has all that this one says. Nobody is told of an older one after a newer one.
    pub(super) fn publish(&self, snapshot: &Arc<ClusterSnapshot>, now: Instant) {
        let _publishing = lock(&self.publishing);
        if snapshot.version <= self.snapshot.current().version {
            return;
        }
        let before = self.snapshot.replace(Arc::clone(snapshot));
        self.tell_moved(&before, snapshot);
        for listener in self.listening() {
            listener.handle_snapshot(snapshot, now);
        }
    }

    /// Who wants to be told.
    fn listening(&self) -> Vec<Arc<dyn SnapshotListener>> {
        let mut listeners = lock(&self.listeners);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.iter().filter_map(Weak::upgrade).collect()
    }

    /// Lets links whose broker has another address connect again.
    fn tell_moved(&self, before: &ClusterSnapshot, after: &ClusterSnapshot) {
        if before.brokers == after.brokers {
            return;
        }
        let mut links = lock(&self.links);
        links.retain(|link| link.strong_count() > 0);
        for link in links.iter().filter_map(Weak::upgrade) {
            if let LinkTarget::Node(node) = link.target
                && before.address(node).is_some()
                && before.address(node) != after.address(node)
            {
                link.handle_moved();
            }
        }
    }

    pub(super) fn remember_link(&self, link: &Arc<LinkShared>) {
        let mut links = lock(&self.links);
        links.retain(|link| link.strong_count() > 0);
        links.push(Arc::downgrade(link));
        drop(links);
        // Looked at after it is in the list: whoever closes either finds it there or was here first.
        if self.is_closed() {
            link.close();
        }
    }

    /// The connection for calls to `target`, opened when it is first needed.
    pub(super) fn control(self: &Arc<Self>, target: LinkTarget) -> Arc<CallLink> {
        let mut control = lock(&self.control);
        let open = || {
            let options = LinkOptions::calls(Purpose::Control);
            Arc::new(CallLink::open(self, target.clone(), options))
        };
        Arc::clone(control.entry(target.clone()).or_insert_with(open))
    }

    /// Closes the connections for calls that no longer lead anywhere.
    pub(super) fn forget_control(&self, keep: impl Fn(&LinkTarget) -> bool) {
        lock(&self.control).retain(|target, _| keep(target));
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        // Told before connections end, which says less of the reason.
        self.listening().iter().for_each(|listener| listener.handle_closed());
        lock(&self.control).clear();
        for link in lock(&self.links).drain(..).filter_map(|link| link.upgrade()) {
            link.close();
        }
        self.stirred.notify_one();
        self.lookups_stirred.notify_one();
        self.tell_lookups();
        // Whoever waits for a snapshot looks, and sees that none will come.
        self.snapshot.nudge();
    }

    pub(super) fn too_late(&self, begun: Instant, deadline: Deadline) -> RequestError {
        RequestError::DeadlineExceeded {
            within: deadline.instant().saturating_duration_since(begun),
            certainty: Certainty::NotWritten,
            last: None,
        }
    }
}

pub(super) fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_snapshot_that_comes_after_a_newer_one_changes_nothing() {
        let shared = shared();
        let ear = Arc::new(Ear::default());
        hear(&shared, &ear);
        for version in [6, 5, 7] {
            publish(&shared, version);
        }
        assert_eq!(shared.snapshot().version, 7);
        assert_eq!(*lock(&ear.heard), [6, 7]);
    }

    #[tokio::test]
    async fn a_snapshot_is_told_to_all_before_the_next_one_can_be() {
        let shared = shared();
        let witness = Arc::new(Witness { shared: Arc::clone(&shared), alone: Mutex::default() });
        hear(&shared, &witness);
        publish(&shared, 5);
        publish(&shared, 6);
        assert_eq!(*lock(&witness.alone), [true, true]);
        assert!(shared.publishing.try_lock().is_ok());
    }

    fn shared() -> Arc<Shared> {
        Shared::new(ClientConfig::default(), Runtime::tokio())
    }

    fn hear<L: SnapshotListener + 'static>(shared: &Shared, listener: &Arc<L>) {
        let listener: Weak<L> = Arc::downgrade(listener);
        lock(&shared.listeners).push(listener);
    }

    fn publish(shared: &Shared, version: u64) {
        let snapshot = ClusterSnapshot { version, ..ClusterSnapshot::default() };
        shared.publish(&Arc::new(snapshot), shared.runtime().now());
    }

    /// Writes down which versions it hears of.
    #[derive(Debug, Default)]
    struct Ear {
        heard: Mutex<Vec<u64>>,
    }

    impl SnapshotListener for Ear {
        fn handle_snapshot(&self, snapshot: &Arc<ClusterSnapshot>, _: Instant) {
            lock(&self.heard).push(snapshot.version);
        }
    }

    /// Writes down whether nobody else can publish while it is told.
    #[derive(Debug)]
    struct Witness {
        shared: Arc<Shared>,
        alone: Mutex<Vec<bool>>,
    }

    impl SnapshotListener for Witness {
        fn handle_snapshot(&self, _: &Arc<ClusterSnapshot>, _: Instant) {
            let alone = self.shared.publishing.try_lock().is_err();
            lock(&self.alone).push(alone);
        }
    }
}
