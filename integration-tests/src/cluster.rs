//! The handle that tests have on a cluster.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ottla_broker::Cluster;
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::{MetadataRequest, MetadataResponse};
use tokio::time::{Instant, sleep};

use crate::backend::{Act, Brokers};
use crate::{Backend, Probe};

/// A cluster that tests may be nasty to. Dropping it stops what was started for it.
#[derive(Debug)]
pub struct TestCluster {
    backend: Backend,
    brokers: Brokers,
    /// What was done to which broker and is not undone yet.
    hurt: Mutex<BTreeSet<(i32, Hurt)>>,
}

/// In which way a broker is out of order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hurt {
    Killed,
    Paused,
    CutOff,
}

impl TestCluster {
    pub(crate) fn new(backend: Backend, brokers: Brokers) -> Self {
        Self { backend, brokers, hurt: Mutex::default() }
    }

    /// What it is made of.
    #[must_use]
    pub fn backend(&self) -> Backend {
        self.backend
    }

    /// The embedded cluster, for faults that no real one can be asked for.
    ///
    /// # Panics
    ///
    /// When it is another backend's: such a test is listed for the embedded one alone.
    #[must_use]
    pub fn embedded(&self) -> &Cluster {
        match &self.brokers {
            Brokers::Embedded(cluster) => cluster,
            #[cfg(any(feature = "containers", feature = "external"))]
            _ => panic!("only the embedded cluster can do this, not {:?}", self.backend),
        }
    }

    /// The addresses of its brokers, up or down, as `host:port`, in the order of their ids.
    #[must_use]
    pub fn bootstrap_servers(&self) -> Vec<String> {
        self.brokers.addresses()
    }

    /// The ids of its brokers, up or down, ascending from 1. Of an external cluster, one for each
    /// bootstrap server, whatever their true ids.
    #[must_use]
    pub fn broker_ids(&self) -> Vec<i32> {
        (1..).zip(self.brokers.addresses()).map(|(id, _)| id).collect()
    }

    /// Ends a broker's process as `kill -9` does.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it may or may not be dead then.
    pub async fn kill(&self, broker: i32) {
        self.hurt().insert((broker, Hurt::Killed));
        self.brokers.apply(Act::Kill, broker).await;
    }

    /// Lets a broker end in good order: it hands its leaderships over first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it may or may not be down then.
    pub async fn stop(&self, broker: i32) {
        self.hurt().insert((broker, Hurt::Killed));
        self.brokers.apply(Act::Stop, broker).await;
    }

    /// Starts a killed or stopped broker again on the same data and address, and waits until it serves.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it may or may not serve then.
    pub async fn start(&self, broker: i32) {
        self.brokers.apply(Act::Start, broker).await;
        self.hurt().remove(&(broker, Hurt::Killed));
        self.until_all_serve().await;
    }

    /// Freezes a broker's process: its connections stay, and nothing is answered. Kafka's
    /// controllers take its leaderships away after 9 s; the embedded ones never do.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it may or may not be frozen then.
    pub async fn pause(&self, broker: i32) {
        self.hurt().insert((broker, Hurt::Paused));
        self.brokers.apply(Act::Pause, broker).await;
    }

    /// Lets a frozen broker go on.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it may or may not be frozen then.
    pub async fn unpause(&self, broker: i32) {
        self.brokers.apply(Act::Unpause, broker).await;
        self.hurt().remove(&(broker, Hurt::Paused));
        self.until_all_serve().await;
    }

    /// Cuts a broker off from the others and from clients; it runs on.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it may or may not be cut off then.
    pub async fn cut_off(&self, broker: i32) {
        self.hurt().insert((broker, Hurt::CutOff));
        self.brokers.apply(Act::CutOff, broker).await;
    }

    /// Joins a broker that was cut off to the network again.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it may or may not be reached then.
    pub async fn reconnect(&self, broker: i32) {
        self.brokers.apply(Act::Reconnect, broker).await;
        self.hurt().remove(&(broker, Hurt::CutOff));
        self.until_all_serve().await;
    }

    /// Holds a broker to a third of a core, for good; does nothing to an embedded one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe; it may or may not be held then.
    pub async fn starve(&self, broker: i32) {
        self.brokers.apply(Act::Starve, broker).await;
    }

    /// Undoes all that was done to brokers, and waits until each of them serves.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: call it again.
    pub async fn heal(&self) {
        let hurt = self.hurt().clone();
        for (broker, how) in &hurt {
            let act = match how {
                Hurt::Killed => Act::Start,
                Hurt::Paused => Act::Unpause,
                Hurt::CutOff => Act::Reconnect,
            };
            self.brokers.apply(act, *broker).await;
            self.hurt().remove(&(*broker, *how));
        }
        self.until_all_serve().await;
    }

    /// A connection to a broker of that id.
    ///
    /// # Errors
    ///
    /// As [`Probe::connect`]; `NotFound` without such a broker.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn probe(&self, broker: i32) -> io::Result<Probe> {
        let at = usize::try_from(broker - 1).map_err(|_| io::ErrorKind::NotFound)?;
        let addresses = self.brokers.addresses();
        Probe::connect(addresses.get(at).ok_or(io::ErrorKind::NotFound)?).await
    }

    /// What the first broker that answers says of a topic, or of the brokers alone.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn metadata(&self, topic: Option<&str>) -> MetadataResponse {
        eventually("a broker answers", async || {
            for broker in self.unhurt() {
                if let Ok(answer) = self.metadata_of(broker, topic).await {
                    return Some(answer);
                }
            }
            None
        })
        .await
    }

    /// What one broker says of a topic, or of the brokers alone.
    ///
    /// # Errors
    ///
    /// As [`Probe::call`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub async fn metadata_of(
        &self,
        broker: i32,
        topic: Option<&str>,
    ) -> io::Result<MetadataResponse> {
        let named =
            |name: &str| MetadataRequestTopic { name: Some(name.into()), ..Default::default() };
        let request = MetadataRequest {
            topics: Some(topic.map(named).into_iter().collect()),
            allow_auto_topic_creation: false,
            ..Default::default()
        };
        self.probe(broker).await?.call(&request, METADATA, Duration::from_secs(2)).await
    }

    /// The brokers that nothing was done to.
    pub(crate) fn unhurt(&self) -> Vec<i32> {
        let hurt: BTreeSet<i32> = self.hurt().iter().map(|(broker, _)| *broker).collect();
        self.broker_ids().into_iter().filter(|broker| !hurt.contains(broker)).collect()
    }

    /// Waits until each broker that is not hurt says that all of those live.
    async fn until_all_serve(&self) {
        let wanted = self.unhurt();
        for broker in &wanted {
            let serves = async || {
                let answer = self.metadata_of(*broker, None).await.ok()?;
                (answer.brokers.len() >= wanted.len()).then_some(())
            };
            eventually("every broker serves and knows the others", serves).await;
        }
    }

    fn hurt(&self) -> MutexGuard<'_, BTreeSet<(i32, Hurt)>> {
        self.hurt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks until there is an answer; a real cluster tells nobody when it is ready.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain: {what}", PATIENCE.as_secs());
        sleep(INTERVAL).await;
    }
}

/// Three Kafka brokers need 10 s to start where nothing else runs.
const PATIENCE: Duration = Duration::from_secs(90);
const INTERVAL: Duration = Duration::from_millis(50);

/// The version of Metadata in which the harness asks.
const METADATA: i16 = 12;
