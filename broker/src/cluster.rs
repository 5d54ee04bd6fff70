//! A cluster that runs: its builder, and handles to watch it and to be nasty to it.

mod builder;
mod coordinators;
mod handles;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub use builder::{ClusterBuilder, StartError, TopicSpec};
pub use coordinators::{GroupHandle, TransactionHandle};
pub use handles::{FaultHandle, NodeHandle, PartitionHandle};

use crate::clock::spawn;
use crate::fault::Rule;
use crate::net::{BoxStream, Limits, Listener, Memory, Power, Shell, down, serve, watch};
use crate::world::catalog::CoordinatorType;
use crate::world::{NodeId, Now, Seen, World};

/// A cluster of brokers in this process. Dropping it stops all of them and closes every
/// connection.
#[derive(Debug)]
pub struct Cluster {
    shell: Arc<Shell>,
    connector: Connector,
    /// Std, and never held across an await.
    nodes: Mutex<BTreeMap<NodeId, Running>>,
    limits: Limits,
    /// Stops the timers when it is dropped.
    _alive: watch::Sender<()>,
}

/// A node that runs, or could be started again.
#[derive(Debug)]
struct Running {
    host: String,
    port: u16,
    /// Where it listens; `None` in memory.
    bound: Option<SocketAddr>,
    power: watch::Sender<Power>,
    accepting: Option<JoinHandle<()>>,
}

/// Opens streams to the brokers of a cluster, over its transport. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    memory: Option<Memory>,
}

impl Connector {
    /// Connects to a broker. The future borrows nothing, so that a client can be given it as its way
    /// to connect.
    ///
    /// # Errors
    ///
    /// As TCP's; in memory, `ConnectionRefused` when nobody listens there.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection that was made is closed again.
    pub fn connect(
        &self,
        host: &str,
        port: u16,
    ) -> impl Future<Output = io::Result<BoxStream>> + Send + use<> {
        let (memory, host) = (self.memory.clone(), host.to_owned());
        async move {
            let Some(memory) = memory else {
                let stream = TcpStream::connect((host, port)).await?;
                stream.set_nodelay(true)?;
                return Ok(Box::new(stream) as BoxStream);
            };
            memory.connect(&host, port)
        }
    }
}

impl Cluster {
    /// A builder with three brokers in memory.
    #[must_use]
    pub fn builder() -> ClusterBuilder {
        ClusterBuilder::default()
    }

    /// The addresses of all brokers, up or down, as `host:port`, or `[host]:port` of an IPv6 address.
    #[must_use]
    pub fn bootstrap(&self) -> Vec<String> {
        self.with_nodes(|nodes| nodes.values().map(Running::address).collect())
    }

    /// What opens streams to the brokers.
    #[must_use]
    pub fn connector(&self) -> Connector {
        self.connector.clone()
    }

    /// Connects to a broker by its id.
    ///
    /// # Errors
    ///
    /// As [`Connector::connect`]; `NotFound` when there is no such broker.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a connection that was made is closed again.
    pub async fn connect(&self, node: i32) -> io::Result<BoxStream> {
        let address = self.with_nodes(|nodes| {
            nodes.get(&NodeId(node)).map(|node| (node.host.clone(), node.port))
        });
        let (host, port) = address.ok_or(io::ErrorKind::NotFound)?;
        self.connector.connect(&host, port).await
    }

    /// The broker with this id; the first is 1.
    #[must_use]
    pub fn node(&self, id: i32) -> NodeHandle<'_> {
        NodeHandle::new(self, NodeId(id))
    }

    /// A partition of a topic.
    #[must_use]
    pub fn partition<'a>(&'a self, topic: &'a str, index: i32) -> PartitionHandle<'a> {
        PartitionHandle::new(self, topic, index)
    }

    /// A group, whether it exists yet or not.
    #[must_use]
    pub fn group<'a>(&'a self, id: &'a str) -> GroupHandle<'a> {
        GroupHandle::new(self, id)
    }

    /// A transactional id, whether a producer has used it yet or not.
    #[must_use]
    pub fn transaction<'a>(&'a self, id: &'a str) -> TransactionHandle<'a> {
        TransactionHandle::new(self, id)
    }

    fn coordinator(&self, of: CoordinatorType, key: &str) -> Option<i32> {
        self.run(|world, _| world.catalog().coordinator(of, key).map(|node| node.id.0))
    }

    /// Adds a fault rule.
    #[must_use = "the handle tells what the rule did"]
    pub fn fault(&self, rule: Rule) -> FaultHandle<'_> {
        FaultHandle::new(self, self.run(|world, _| world.add_rule(rule)))
    }

    /// The latest requests, oldest first, up to 10,000.
    #[must_use]
    pub fn requests(&self) -> Vec<Seen> {
        self.run(|world, _| world.requests().iter().cloned().collect())
    }

    /// Waits for a request that `wanted` accepts, past or future, and returns the first.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn seen(&self, wanted: impl Fn(&Seen) -> bool + Send + Sync) -> Seen {
        let look = |world: &mut World| world.requests().iter().find(|seen| wanted(seen)).cloned();
        self.shell.until(look).await
    }

    /// Waits until something is true of the world.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn until(&self, fact: impl Fn(&World) -> bool + Send + Sync) {
        self.shell.until(|world| fact(world).then_some(())).await;
    }

    /// Does something to the world, and wakes who waits for what changed.
    pub fn run<R>(&self, act: impl FnOnce(&mut World, Now) -> R) -> R {
        self.shell.run(act)
    }

    fn with_nodes<R>(&self, act: impl FnOnce(&mut BTreeMap<NodeId, Running>) -> R) -> R {
        act(&mut self.nodes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins to accept a node's connections.
    fn accept(
        &self,
        node: NodeId,
        listener: Listener,
        power: &watch::Sender<Power>,
    ) -> JoinHandle<()> {
        let (shell, power) = (Arc::clone(&self.shell), power.subscribe());
        spawn(accept(shell, node, listener, power, self.limits))
    }
}

impl Running {
    fn address(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }
}

async fn accept(
    shell: Arc<Shell>,
    node: NodeId,
    mut listener: Listener,
    mut power: watch::Receiver<Power>,
    limits: Limits,
) {
    let serving = power.clone();
    loop {
        tokio::select! {
            biased;
            () = down(&mut power) => return,
            accepted = listener.accept() => match accepted {
                Ok(from) => {
                    let (shell, power) = (Arc::clone(&shell), serving.clone());
                    spawn(serve(shell, node, from, power, limits));
                }
                // A connection that died before it was accepted, or too many files: others may
                // fare better, and later.
                Err(error) => {
                    tracing::warn!(node = node.0, %error, "a connection could not be accepted");
                    let again = shell.clock().now().mono + ACCEPT_AGAIN;
                    tokio::select! {
                        biased;
                        () = down(&mut power) => return,
                        () = shell.clock().sleep_until(Some(again)) => {}
                    }
                }
            },
        }
    }
}

async fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address).await
}

/// How long nobody is accepted after somebody could not be.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    #[test]
    fn a_listener_that_fails_is_left_alone_for_a_while() {
        let (done, rested) = mpsc::channel();
        // On a thread of its own: paused time goes on only while nothing spins.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread();
            let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let cluster = Cluster::builder().brokers(1).start().await.unwrap();
                let memory = Memory::default();
                let listener = memory.listen("h", 1);
                memory.close("h", 1);
                let power = watch::Sender::new(Power::Up);
                let accepting = cluster.accept(NodeId(1), listener, &power);
                cluster.shell.clock().sleep_until(Some(Duration::from_secs(1))).await;
                assert!(!accepting.is_finished());
                power.change(|_| Some(Power::Down));
                accepting.await.unwrap();
                done.send(()).unwrap();
            });
        });
        assert!(rested.recv_timeout(Duration::from_secs(10)).is_ok(), "it spins");
    }

    #[tokio::test]
    async fn an_ipv6_address_is_told_in_brackets() {
        let builder = Cluster::builder().brokers(1).listen("127.0.0.1:0".parse().unwrap());
        let cluster = builder.advertise("::1", 9092).start().await.unwrap();
        assert_eq!(cluster.bootstrap(), ["[::1]:9092"]);
    }
}
