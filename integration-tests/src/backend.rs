//! What a cluster can be made of.

use ottla_broker::Cluster;
use ottla_broker::world::NodeId;

use crate::TestCluster;
#[cfg(feature = "containers")]
use crate::containers::{Containers, Engine};

/// What a test runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// Three reference brokers in this process, over TCP; a fresh cluster for every test.
    Embedded,
    /// So many Apache Kafka brokers in containers, shared by the tests of a process.
    #[cfg(feature = "containers")]
    Containers(u16),
    /// The cluster that `KAFKA_BOOTSTRAP_SERVERS` names.
    #[cfg(feature = "external")]
    External,
}

/// The brokers behind a [`TestCluster`].
#[derive(Debug)]
pub(crate) enum Brokers {
    Embedded(Cluster),
    #[cfg(feature = "containers")]
    Containers(Containers),
    #[cfg(feature = "external")]
    External(Vec<String>),
}

/// The rack of a broker: each has its own, on every backend but the external one.
#[must_use]
pub fn rack_of(broker: i32) -> String {
    format!("rack-{broker}")
}

impl Backend {
    /// Starts such a cluster, and waits until every broker of it serves. `None`, after a loud word
    /// on standard error, where no container engine answers and `CI` is not `true`.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was started is stopped again.
    pub async fn start(self) -> Option<TestCluster> {
        let brokers = match self {
            Self::Embedded => Brokers::Embedded(embedded().await),
            #[cfg(feature = "containers")]
            Self::Containers(brokers) => {
                let engine = Engine::find().or_else(|| skip("no container engine answers"))?;
                Brokers::Containers(Containers::start(engine, brokers).await)
            }
            #[cfg(feature = "external")]
            Self::External => Brokers::External(external()),
        };
        let cluster = TestCluster::new(self, brokers);
        cluster.heal().await;
        Some(cluster)
    }
}

async fn embedded() -> Cluster {
    let any_port = "127.0.0.1:0".parse().expect("it is an address");
    let builder = Cluster::builder().random_seed().listen(any_port);
    let builder = builder.racks((1..=3).map(rack_of)).follower_reads(true);
    builder.start().await.expect("a cluster on free ports starts")
}

#[cfg(feature = "external")]
fn external() -> Vec<String> {
    let servers = std::env::var("KAFKA_BOOTSTRAP_SERVERS")
        .expect("the feature `external` needs KAFKA_BOOTSTRAP_SERVERS=host:port,...");
    servers.split(',').map(|server| server.trim().to_owned()).collect()
}

/// Says that a test was skipped, past the test runner, which shows only what failed.
#[cfg(feature = "containers")]
fn skip<T>(why: &str) -> Option<T> {
    use std::io::Write as _;

    let must_run = std::env::var("CI").is_ok_and(|ci| ci == "true");
    assert!(
        !must_run,
        "{why}: with CI=true the container tests are not skipped (.ci/kafka/engine)"
    );
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let said = writeln!(std::io::stderr(), "SKIPPED {test}: {why} (.ci/kafka/engine starts one)");
    said.expect("standard error is open");
    None
}

impl Brokers {
    /// Where each broker is reached; the position is the id less one.
    pub(crate) fn addresses(&self) -> Vec<String> {
        match self {
            Self::Embedded(cluster) => cluster.bootstrap(),
            #[cfg(feature = "containers")]
            Self::Containers(containers) => containers.addresses(),
            #[cfg(feature = "external")]
            Self::External(servers) => servers.clone(),
        }
    }

    pub(crate) async fn apply(&self, act: Act, broker: i32) {
        match self {
            Self::Embedded(cluster) => apply_embedded(cluster, act, broker).await,
            #[cfg(feature = "containers")]
            Self::Containers(containers) => containers.apply(act, broker).await,
            #[cfg(feature = "external")]
            Self::External(_) => panic!("{act:?}: the brokers of another's cluster are left alone"),
        }
    }
}

/// What can be done to a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Kill,
    Stop,
    Start,
    Pause,
    Unpause,
    CutOff,
    Reconnect,
    /// Gives it a third of a core.
    Starve,
}

async fn apply_embedded(cluster: &Cluster, act: Act, broker: i32) {
    let node = cluster.node(broker);
    let set_alive = |up| cluster.run(|world, now| world.set_alive(NodeId(broker), up, now));
    match act {
        // The embedded ones elect new leaders at once, so that there is nothing to hand over.
        Act::Kill | Act::Stop => node.kill().await,
        Act::Start => node.start().await.expect("its port is still free"),
        Act::Pause => node.pause(),
        Act::Unpause => node.unpause(),
        // Nothing comes through to it any more, and the others elect new leaders.
        Act::CutOff => {
            node.pause();
            set_alive(false);
        }
        Act::Reconnect => {
            set_alive(true);
            node.unpause();
        }
        // There is no process of its own to hold.
        Act::Starve => {}
    }
}
