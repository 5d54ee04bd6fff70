//! The nodes and topics of the cluster.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use ottla_protocol::{ByteString, ErrorCode, Uuid};

use super::config::{PerNode, Settings, Values};
use super::pauses::Pauses;
use super::{NodeId, Now};
use crate::partition::{Partition, Surroundings};

/// A broker, as its clients are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// Its id.
    pub id: NodeId,
    /// The host that clients connect to.
    pub host: ByteString,
    /// The port that clients connect to.
    pub port: u16,
    /// Where it stands, if that is known.
    pub rack: Option<ByteString>,
}

/// A topic.
#[derive(Debug, Clone)]
pub struct Topic {
    /// Its name.
    pub name: ByteString,
    /// Its id, which a topic re-created under the same name does not share.
    pub id: Uuid,
    /// What was set on it.
    pub overrides: Values,
    /// What follows from that and from the brokers' settings.
    pub settings: PerNode,
    /// Its partitions, by index.
    pub partitions: Vec<Partition>,
}

/// How a request names a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicKey<'a> {
    /// By its name.
    Name(&'a str),
    /// By its id.
    Id(Uuid),
}

/// The nodes and topics of a cluster.
#[derive(Debug, Clone)]
pub struct Catalog {
    cluster_id: ByteString,
    nodes: BTreeMap<NodeId, Node>,
    alive: BTreeSet<NodeId>,
    topics: BTreeMap<ByteString, Topic>,
    names: HashMap<Uuid, ByteString>,
    created: usize,
    /// The coordinators that were moved away from where their key would have them.
    moved: BTreeMap<CoordinatorType, BTreeMap<ByteString, NodeId>>,
    pauses: Pauses,
}

/// What a coordinator coordinates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CoordinatorType {
    /// The members and offsets of a group.
    Group,
    /// The transactions of a transactional id.
    Transaction,
}

impl<'a> TopicKey<'a> {
    /// By id where the version of the request has ids in place of names.
    #[must_use]
    pub fn of(name: &'a str, id: Uuid, by_id: bool) -> Self {
        if by_id { Self::Id(id) } else { Self::Name(name) }
    }
}

impl Topic {
    /// The partition with this index.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION` when there is none.
    pub fn partition(&self, index: i32) -> Result<&Partition, ErrorCode> {
        let at = usize::try_from(index).ok();
        at.and_then(|at| self.partitions.get(at)).ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    /// The partitions with their indices.
    pub fn indexed(&self) -> impl Iterator<Item = (i32, &Partition)> {
        (0..).zip(&self.partitions)
    }

    /// Replicas of each partition.
    #[must_use]
    pub fn replication_factor(&self) -> usize {
        self.partitions.first().map_or(0, |partition| partition.replicas().len())
    }
}

impl Catalog {
    pub(super) fn new(cluster_id: ByteString) -> Self {
        Self {
            cluster_id,
            nodes: BTreeMap::new(),
            alive: BTreeSet::new(),
            topics: BTreeMap::new(),
            names: HashMap::new(),
            created: 0,
            moved: BTreeMap::new(),
            pauses: Pauses::default(),
        }
    }

    /// The id of the cluster.
    #[must_use]
    pub fn cluster_id(&self) -> &ByteString {
        &self.cluster_id
    }

    /// Adds a node, or moves it to another address. It is up from then on.
    pub fn put_node(&mut self, node: Node) {
        self.alive.insert(node.id);
        self.nodes.insert(node.id, node);
    }

    /// A node, up or down.
    #[must_use]
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// Every node, up or down, by id.
    pub fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values()
    }

    /// The nodes that are up, by id.
    pub fn live_nodes(&self) -> impl Iterator<Item = &Node> {
        self.alive.iter().filter_map(|id| self.nodes.get(id))
    }

    /// The ids of the nodes that are up.
    #[must_use]
    pub fn alive(&self) -> &BTreeSet<NodeId> {
        &self.alive
    }

    /// The node that controls the cluster: any that is up will do, as each takes every
    /// administrative request.
    #[must_use]
    pub fn controller(&self) -> Option<NodeId> {
        self.alive.first().copied()
    }

    /// The node that a key's coordinator runs on: where its hash has it, or on the next node that
    /// is up. So it moves when its own node goes or comes back, or when somebody moves it, and not
    /// when another node does.
    #[must_use]
    pub fn coordinator(&self, of: CoordinatorType, key: &str) -> Option<&Node> {
        if let Some(node) = self.moved.get(&of).and_then(|moved| moved.get(key)) {
            return self.nodes.get(node);
        }
        let slot = usize::try_from(java_hash(key)).unwrap_or(0) % self.nodes.len().max(1);
        let from_there = self.nodes.values().skip(slot).chain(self.nodes.values().take(slot));
        from_there.into_iter().find(|node| self.alive.contains(&node.id))
    }

    /// Whether a node may answer for a key as its coordinator.
    ///
    /// # Errors
    ///
    /// `NOT_COORDINATOR` when another node is, `COORDINATOR_NOT_AVAILABLE` when none is,
    /// `COORDINATOR_LOAD_IN_PROGRESS` where it was paused while coordinators moved.
    pub(crate) fn check_coordinator(
        &self,
        of: CoordinatorType,
        key: &str,
        node: NodeId,
        now: Now,
    ) -> Result<(), ErrorCode> {
        match self.coordinator(of, key) {
            Some(coordinator) if coordinator.id != node => Err(ErrorCode::NotCoordinator),
            Some(_) if self.pauses.is_loading(node, now.mono) => {
                Err(ErrorCode::CoordinatorLoadInProgress)
            }
            Some(_) => Ok(()),
            None => Err(ErrorCode::CoordinatorNotAvailable),
        }
    }

    /// Takes note that a node is paused, or goes on.
    pub(super) fn set_paused(&mut self, node: NodeId, paused: bool, now: Now) {
        if !paused {
            self.pauses.unpause(node, now.mono);
        } else if self.alive.contains(&node) {
            self.pauses.pause(node);
        }
    }

    /// Has a key's coordinator run on a node, until that goes down.
    ///
    /// # Errors
    ///
    /// `BROKER_NOT_AVAILABLE` when the node is down.
    pub fn move_coordinator(
        &mut self,
        of: CoordinatorType,
        key: &str,
        to: NodeId,
    ) -> Result<(), ErrorCode> {
        if !self.alive.contains(&to) {
            return Err(ErrorCode::BrokerNotAvailable);
        }
        self.moved.entry(of).or_default().insert(key.into(), to);
        self.pauses.note_moved();
        Ok(())
    }

    /// Takes a node down or up again; returns the partitions that changed.
    pub fn set_alive(&mut self, node: NodeId, up: bool, now: Now) -> Vec<(Uuid, i32)> {
        self.pauses.forget(node);
        self.pauses.note_moved();
        if up {
            self.alive.insert(node);
        } else {
            self.alive.remove(&node);
            for moved in self.moved.values_mut() {
                moved.retain(|_, to| *to != node);
            }
        }
        self.each_partition(now, Partition::nodes_changed)
    }

    /// Calls `act` for every partition; returns those for which it says that something changed.
    fn each_partition(
        &mut self,
        now: Now,
        mut act: impl FnMut(&mut Partition, Surroundings<'_>) -> bool,
    ) -> Vec<(Uuid, i32)> {
        let mut changed = Vec::new();
        for topic in self.topics.values_mut() {
            let around = Surroundings { alive: &self.alive, settings: &topic.settings, now };
            for (index, partition) in (0..).zip(&mut topic.partitions) {
                if act(partition, around) {
                    changed.push((topic.id, index));
                }
            }
        }
        changed
    }

    pub(super) fn retain(&mut self, now: Now, idle_before: i64) -> Vec<(Uuid, i32)> {
        self.each_partition(now, |partition, around| {
            for node in partition.replicas().to_vec() {
                if let Some(log) = partition.log_mut(node) {
                    log.expire_producers(idle_before);
                }
            }
            partition.retain(around)
        })
    }

    /// The partitions whose in-sync replicas changed, and whether any has more laggards.
    pub(super) fn drop_laggards(&mut self, limit: Duration, now: Now) -> (Vec<(Uuid, i32)>, bool) {
        let mut lagging = false;
        let changed = self.each_partition(now, |partition, around| {
            let dropped = partition.drop_laggards(limit, around);
            lagging |= partition.has_laggards();
            dropped
        });
        (changed, lagging)
    }

    /// Every topic, by name.
    pub fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    /// The topic that a request names.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION` or `UNKNOWN_TOPIC_ID`, by how it is named.
    pub fn topic(&self, key: TopicKey<'_>) -> Result<&Topic, ErrorCode> {
        match key {
            TopicKey::Name(name) => self.topics.get(name).ok_or(ErrorCode::UnknownTopicOrPartition),
            TopicKey::Id(id) => {
                let name = self.names.get(&id).ok_or(ErrorCode::UnknownTopicId)?;
                self.topics.get(name).ok_or(ErrorCode::UnknownTopicId)
            }
        }
    }

    /// The leader of a partition, with its epoch.
    #[must_use]
    pub fn leader(&self, key: TopicKey<'_>, index: i32) -> Option<(NodeId, i32)> {
        let partition = self.topic(key).ok()?.partition(index).ok()?;
        Some((partition.leader()?, partition.epoch()))
    }

    /// Calls `act` with a partition and what it needs to know of the cluster.
    ///
    /// # Errors
    ///
    /// As [`topic`](Self::topic) and [`Topic::partition`].
    pub fn with_partition<R>(
        &mut self,
        key: TopicKey<'_>,
        index: i32,
        now: Now,
        act: impl FnOnce(&mut Partition, Surroundings<'_>) -> R,
    ) -> Result<R, ErrorCode> {
        let name = self.topic(key)?.name.clone();
        let topic = self.topics.get_mut(&*name).ok_or(ErrorCode::UnknownTopicOrPartition)?;
        let around = Surroundings { alive: &self.alive, settings: &topic.settings, now };
        let at = usize::try_from(index).map_err(|_| ErrorCode::UnknownTopicOrPartition)?;
        let partition = topic.partitions.get_mut(at);
        partition.map(|p| act(p, around)).ok_or(ErrorCode::UnknownTopicOrPartition)
    }

    /// Adds a topic with its replicas on the given nodes.
    pub fn create(
        &mut self,
        name: &str,
        id: Uuid,
        assignment: Vec<Vec<NodeId>>,
        overrides: Values,
        settings: &Settings,
    ) {
        // Copied, because a name in a request is a slice of the whole request.
        let name = ByteString::from(name);
        let partitions = assignment.into_iter().map(|on| Partition::new(on, &self.alive)).collect();
        let settings = settings.topic(&overrides);
        let topic = Topic { name: name.clone(), id, overrides, settings, partitions };
        self.created += 1;
        self.names.insert(id, name.clone());
        self.topics.insert(name, topic);
    }

    /// Removes a topic with all that hangs on it.
    pub fn delete(&mut self, id: Uuid) -> Option<Topic> {
        let name = self.names.remove(&id)?;
        self.topics.remove(&name)
    }

    /// Adds partitions to a topic.
    pub fn extend(&mut self, id: Uuid, assignment: Vec<Vec<NodeId>>) {
        let Some(topic) = self.names.get(&id).and_then(|name| self.topics.get_mut(name)) else {
            return;
        };
        let more = assignment.into_iter().map(|on| Partition::new(on, &self.alive));
        topic.partitions.extend(more);
    }

    /// Replaces what is set on a topic.
    pub fn configure(&mut self, id: Uuid, overrides: Values, settings: &Settings) {
        let Some(topic) = self.names.get(&id).and_then(|name| self.topics.get_mut(name)) else {
            return;
        };
        topic.settings = settings.topic(&overrides);
        topic.overrides = overrides;
    }

    /// Works out the settings of every topic anew, after those of the brokers changed.
    pub fn reconfigure(&mut self, settings: &Settings) {
        for topic in self.topics.values_mut() {
            topic.settings = settings.topic(&topic.overrides);
        }
    }

    /// Nodes for `count` more partitions of a topic that has `from`: leaders go round the live
    /// nodes, each topic beginning one further on. Those that are down come last, and only where
    /// there are not enough others.
    #[must_use]
    pub fn assign(&self, from: usize, count: usize, replicas: usize) -> Vec<Vec<NodeId>> {
        let is_down = |node: &&NodeId| !self.alive.contains(node);
        let down: Vec<NodeId> = self.nodes.keys().filter(is_down).copied().collect();
        let round = |nodes: &[NodeId], first: usize| {
            let ring = nodes.iter().copied().cycle().skip(first % nodes.len().max(1));
            ring.take(nodes.len()).collect::<Vec<_>>()
        };
        let live: Vec<NodeId> = self.alive.iter().copied().collect();
        let on = |partition: usize| {
            let first = self.created + partition;
            let nodes = round(&live, first).into_iter().chain(round(&down, first));
            nodes.take(replicas).collect()
        };
        (from..from + count).map(on).collect()
    }
}

/// Java's `String.hashCode`, made positive as Kafka's `Utils.abs` does: what Kafka itself spreads
/// coordinators by.
pub(crate) fn java_hash(text: &str) -> i32 {
    let step = |hash: i32, unit: u16| hash.wrapping_mul(31).wrapping_add(i32::from(unit));
    text.encode_utf16().fold(0, step) & i32::MAX
}
