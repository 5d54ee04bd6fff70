//! How a cluster is made.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use super::{Cluster, Connector, Running, bind};
use crate::api::Refused;
use crate::clock::Clock;
use crate::net::{Limits, Listener, Memory, Power, Shell, watch};
use crate::world::catalog::Node;
use crate::world::config::{ConfigError, RACK_AWARE, Settings};
use crate::world::{MAX_TRANSACTION_VERSION, NodeId, World};

/// What a cluster is to be. By default: three brokers in memory, no topics, nothing created on
/// demand, no waiting for members of a new group, real time.
#[derive(Debug, Clone)]
pub struct ClusterBuilder {
    brokers: u16,
    racks: Vec<String>,
    topics: Vec<TopicSpec>,
    configs: Vec<(String, String)>,
    seed: u64,
    epoch_ms: Option<i64>,
    listen: Option<SocketAddr>,
    advertise: Option<(String, u16)>,
    keep_requests: usize,
    transaction_version: i16,
}

/// A topic that is there from the beginning.
#[derive(Debug, Clone)]
pub struct TopicSpec {
    name: String,
    partitions: i32,
    replicas: i16,
    configs: Vec<(String, String)>,
}

/// Why a cluster could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is refused.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A topic is refused.
    #[error("topic `{name}` cannot be created: {reason}")]
    Topic {
        /// The topic.
        name: String,
        /// What a client would be told.
        reason: Refused,
    },
    /// An address cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// There are more brokers than ports behind the first one.
    #[error("{brokers} brokers need more ports than there are from {port} on")]
    Ports {
        /// How many brokers there are to be.
        brokers: u16,
        /// The first one's port.
        port: u16,
    },
}

impl TopicSpec {
    /// A topic with the brokers' default number of partitions and replicas.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), partitions: -1, replicas: -1, configs: Vec::new() }
    }

    /// With so many partitions.
    #[must_use]
    pub fn partitions(self, partitions: i32) -> Self {
        Self { partitions, ..self }
    }

    /// With so many replicas of each partition.
    #[must_use]
    pub fn replicas(self, replicas: i16) -> Self {
        Self { replicas, ..self }
    }

    /// With a topic setting, by Kafka's name.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }
}

impl Default for ClusterBuilder {
    fn default() -> Self {
        Self {
            brokers: 3,
            racks: Vec::new(),
            topics: Vec::new(),
            configs: Vec::new(),
            seed: 0,
            epoch_ms: None,
            listen: None,
            advertise: None,
            keep_requests: 10_000,
            transaction_version: MAX_TRANSACTION_VERSION,
        }
    }
}

impl ClusterBuilder {
    /// So many brokers, with the ids from 1 on; at least one.
    #[must_use]
    pub fn brokers(self, brokers: u16) -> Self {
        Self { brokers: brokers.max(1), ..self }
    }

    /// The racks of the brokers, in the order of their ids (`broker.rack`).
    #[must_use]
    pub fn racks<R: Into<String>>(self, racks: impl IntoIterator<Item = R>) -> Self {
        Self { racks: racks.into_iter().map(Into::into).collect(), ..self }
    }

    /// A topic that is there from the beginning.
    #[must_use]
    pub fn topic(mut self, topic: TopicSpec) -> Self {
        self.topics.push(topic);
        self
    }

    /// A broker setting, by Kafka's name.
    #[must_use]
    pub fn config(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.configs.push((name.into(), value.into()));
        self
    }

    /// What every id follows from: topics, sessions, the cluster itself.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Another seed with each call, for a cluster whose ids nobody is to foresee.
    #[must_use]
    pub fn random_seed(self) -> Self {
        self.seed(crate::clock::entropy())
    }

    /// Whether topics are made when clients ask for them (`auto.create.topics.enable`).
    #[must_use]
    pub fn auto_create(self, on: bool) -> Self {
        self.config("auto.create.topics.enable", on.to_string())
    }

    /// Whether consumers are sent to a replica in their rack (`replica.selector.class`, KIP-392).
    #[must_use]
    pub fn follower_reads(self, on: bool) -> Self {
        self.config("replica.selector.class", if on { RACK_AWARE } else { "" })
    }

    /// The wall-clock time at which the cluster starts, in milliseconds since 1970.
    #[must_use]
    pub fn epoch_ms(self, epoch_ms: i64) -> Self {
        Self { epoch_ms: Some(epoch_ms), ..self }
    }

    /// Over TCP: the first broker listens here, the others on the ports behind it. Port 0 picks
    /// a free one for each.
    #[must_use]
    pub fn listen(self, address: SocketAddr) -> Self {
        Self { listen: Some(address), ..self }
    }

    /// What clients are told to connect to, where it is not the address listened on: the first
    /// broker's; the others have the ports behind it. Port 0 is the one listened on.
    #[must_use]
    pub fn advertise(self, host: impl Into<String>, port: u16) -> Self {
        Self { advertise: Some((host.into(), port)), ..self }
    }

    /// How many of the latest requests are kept for [`Cluster::requests`].
    #[must_use]
    pub fn keep_requests(self, count: usize) -> Self {
        Self { keep_requests: count, ..self }
    }

    /// The level of the feature `transaction.version`, from 0 to 2. 2 is the default, as in Kafka:
    /// producers that know it speak the protocol of KIP-890, in which each end of a transaction
    /// brings a new epoch. Up to 1 all speak the one before.
    #[must_use]
    pub fn transaction_version(self, level: i16) -> Self {
        Self { transaction_version: level, ..self }
    }

    /// Starts the cluster. Nobody can connect before it is whole.
    ///
    /// # Errors
    ///
    /// [`StartError`].
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was started is stopped again.
    pub async fn start(self) -> Result<Cluster, StartError> {
        let settings = self.settings()?;
        let memory = self.listen.is_none().then(Memory::default);
        let limits = limits(&settings);
        let mut world = World::new(self.seed, settings);
        world.keep_requests(self.keep_requests);
        world.set_transaction_version(self.transaction_version);
        let mut listeners = Vec::new();
        for at in 0..self.brokers {
            let (listener, running) = self.open(at, memory.as_ref()).await?;
            world.add_node(node(at, &running, &world.settings));
            listeners.push((node_id(at), listener, running));
        }
        self.create_topics(&mut world)?;
        let alive = watch::Sender::new(());
        let stop = alive.subscribe();
        let shell = Shell::new(world, Clock::start(self.epoch_ms));
        shell.spawn_timers(stop);
        let cluster = Cluster {
            shell,
            connector: Connector { memory },
            nodes: Mutex::new(BTreeMap::new()),
            limits,
            _alive: alive,
        };
        for (id, listener, mut running) in listeners {
            running.accepting = Some(cluster.accept(id, listener, &running.power));
            cluster.with_nodes(|nodes| nodes.insert(id, running));
        }
        Ok(cluster)
    }

    fn settings(&self) -> Result<Settings, StartError> {
        let mut settings = Settings::default();
        let replicas = self.brokers.min(3).to_string();
        for (name, value) in TEST_DEFAULTS {
            settings.give(name, value)?;
        }
        settings.give("default.replication.factor", &replicas)?;
        for (name, value) in &self.configs {
            settings.give(name, value)?;
        }
        for (at, rack) in (0..self.brokers).zip(&self.racks) {
            settings.give_to(node_id(at), "broker.rack", rack)?;
        }
        Ok(settings)
    }

    async fn open(
        &self,
        at: u16,
        memory: Option<&Memory>,
    ) -> Result<(Listener, Running), StartError> {
        let power = watch::Sender::new(Power::Up);
        let Some(address) = self.listen else {
            let (host, port) = (format!("n{}.mem", at + 1), 9092);
            let memory = memory.cloned().unwrap_or_default();
            let listener = memory.listen(&host, port);
            return Ok((listener, Running { host, port, bound: None, power, accepting: None }));
        };
        let too_far = StartError::Ports { brokers: self.brokers, port: address.port() };
        let port = nth_port(address.port(), at).ok_or(too_far)?;
        let address = SocketAddr::new(address.ip(), port);
        let failed = |error| StartError::Listen { address, error };
        let listener = bind(address).await.map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let (host, port) = self.advertised(at, bound);
        let running = Running { host, port, bound: Some(bound), power, accepting: None };
        Ok((Listener::Tcp(listener), running))
    }

    fn advertised(&self, at: u16, bound: SocketAddr) -> (String, u16) {
        match &self.advertise {
            Some((host, 0)) => (host.clone(), bound.port()),
            Some((host, port)) => {
                (host.clone(), nth_port(*port, at).unwrap_or_else(|| bound.port()))
            }
            None => (bound.ip().to_string(), bound.port()),
        }
    }

    fn create_topics(&self, world: &mut World) -> Result<(), StartError> {
        for topic in &self.topics {
            let configs: Vec<(&str, &str)> =
                topic.configs.iter().map(|(name, value)| (&**name, &**value)).collect();
            let created =
                world.create_topic(&topic.name, topic.partitions, topic.replicas, &configs);
            created.map_err(|reason| StartError::Topic { name: topic.name.clone(), reason })?;
        }
        Ok(())
    }
}

fn limits(settings: &Settings) -> Limits {
    let frame = usize::try_from(settings.number("socket.request.max.bytes"));
    // Below 0 a connection is never idle, in Kafka as well.
    let idle = u64::try_from(settings.number("connections.max.idle.ms"));
    Limits { frame: frame.unwrap_or(usize::MAX), idle: idle.ok().map(Duration::from_millis) }
}

fn node(at: u16, running: &Running, settings: &Settings) -> Node {
    Node {
        id: node_id(at),
        host: running.host.as_str().into(),
        port: running.port,
        rack: settings.rack(node_id(at)).map(Into::into),
    }
}

fn node_id(at: u16) -> NodeId {
    NodeId(i32::from(at) + 1)
}

/// The port of the node behind `at` others; 0 stays 0.
fn nth_port(first: u16, at: u16) -> Option<u16> {
    if first == 0 { Some(0) } else { first.checked_add(at) }
}

/// Where tests want something else than Kafka's default.
const TEST_DEFAULTS: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "false"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "10"),
];
