//! Handles to the parts of a running cluster.

use std::io;

use ottla_protocol::ErrorCode;
use ottla_protocol::records::{BatchDecoder, OwnedRecord};

use super::{Cluster, bind};
use crate::fault::RuleId;
use crate::log::Log;
use crate::log::batch::Batch;
use crate::net::{Listener, Power, watch};
use crate::partition::Partition;
use crate::world::NodeId;
use crate::world::catalog::TopicKey;

/// One broker.
#[derive(Debug, Clone, Copy)]
pub struct NodeHandle<'a> {
    cluster: &'a Cluster,
    id: NodeId,
}

impl<'a> NodeHandle<'a> {
    pub(super) fn new(cluster: &'a Cluster, id: NodeId) -> Self {
        Self { cluster, id }
    }

    /// Crashes the broker: its connections are lost, its partitions fail over, its logs stay as
    /// they are. Nobody can connect any more when this returns.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the broker is gone from the first poll on.
    pub async fn kill(self) {
        let accepting = self.cluster.with_nodes(|nodes| {
            let node = nodes.get_mut(&self.id)?;
            node.power.change(|_| Some(Power::Down));
            // Who has not looked before the broker starts again finds it down all the same.
            node.power = watch::Sender::new(Power::Down);
            if let Some(memory) = &self.cluster.connector.memory {
                memory.close(&node.host, node.port);
            }
            node.accepting.take()
        });
        self.cluster.run(|world, now| world.set_alive(self.id, false, now));
        if let Some(accepting) = accepting {
            // It ends by itself; a panic in it has been reported.
            drop(accepting.await);
        }
    }

    /// Starts a killed broker again, at the same address and with its logs. Nothing happens to one that
    /// is up, or paused.
    ///
    /// # Errors
    ///
    /// When its address is taken by now; `NotFound` when there is no such broker.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the broker is up or it is not.
    pub async fn start(self) -> io::Result<()> {
        let known = |node: &super::Running| {
            (node.accepting.is_some(), node.host.clone(), node.port, node.bound)
        };
        let found = self.cluster.with_nodes(|nodes| nodes.get(&self.id).map(known));
        let (is_up, host, port, bound) = found.ok_or(io::ErrorKind::NotFound)?;
        if is_up {
            return Ok(());
        }
        let listener = match (bound, &self.cluster.connector.memory) {
            (Some(address), _) => Listener::Tcp(bind(address).await?),
            (None, Some(memory)) => memory.listen(&host, port),
            (None, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        self.cluster.run(|world, now| world.set_alive(self.id, true, now));
        self.cluster.with_nodes(|nodes| {
            if let Some(node) = nodes.get_mut(&self.id) {
                node.power.change(|_| Some(Power::Up));
                node.accepting = Some(self.cluster.accept(self.id, listener, &node.power));
            }
        });
        Ok(())
    }

    /// Freezes the broker: it keeps its connections and its leaderships, and answers nothing.
    pub fn pause(self) {
        self.cluster.run(|world, now| world.set_paused(self.id, true, now));
        self.set_power(Power::Paused);
    }

    /// Lets a paused broker go on. Where coordinators moved meanwhile, it loads what it coordinates
    /// for some milliseconds, and refuses so long what waited for it.
    pub fn unpause(self) {
        self.cluster.run(|world, now| world.set_paused(self.id, false, now));
        self.set_power(Power::Up);
    }

    /// Has the broker describe the cluster as it is now, whatever becomes of it.
    pub fn freeze_metadata(self) {
        self.cluster.run(|world, _| world.freeze_metadata(self.id, true));
    }

    /// Lets the broker describe the cluster as it is again.
    pub fn unfreeze_metadata(self) {
        self.cluster.run(|world, _| world.freeze_metadata(self.id, false));
    }

    fn set_power(self, to: Power) {
        self.cluster.with_nodes(|nodes| {
            if let Some(node) = nodes.get(&self.id) {
                node.power.change(|now| (now != Power::Down && now != to).then_some(to));
            }
        });
    }
}

/// One partition.
#[derive(Debug, Clone, Copy)]
pub struct PartitionHandle<'a> {
    cluster: &'a Cluster,
    topic: &'a str,
    index: i32,
}

impl<'a> PartitionHandle<'a> {
    pub(super) fn new(cluster: &'a Cluster, topic: &'a str, index: i32) -> Self {
        Self { cluster, topic, index }
    }

    /// Its leader; `None` without one.
    #[must_use]
    pub fn leader(self) -> Option<i32> {
        self.look(|partition| partition.leader().map(|node| node.0))
    }

    /// Its leader epoch.
    #[must_use]
    pub fn epoch(self) -> Option<i32> {
        self.look(|partition| Some(partition.epoch()))
    }

    /// Its in-sync replicas, by id.
    #[must_use]
    pub fn in_sync(self) -> Vec<i32> {
        let ids = |partition: &Partition| partition.in_sync().iter().map(|node| node.0).collect();
        self.look(|partition| Some(ids(partition))).unwrap_or_default()
    }

    /// Its high watermark, as the leader knows it.
    #[must_use]
    pub fn high_watermark(self) -> Option<i64> {
        self.look(|partition| partition.leader_log().map(Log::high_watermark))
    }

    /// The log end offset of one replica.
    #[must_use]
    pub fn log_end(self, node: i32) -> Option<i64> {
        self.look(|partition| partition.log(NodeId(node)).map(Log::end))
    }

    /// Its last stable offset, as the leader knows it.
    #[must_use]
    pub fn last_stable(self) -> Option<i64> {
        self.look(|partition| partition.leader_log().map(Log::stable))
    }

    /// The committed records, read from the leader's log without any client. Those of
    /// transactions are among them, whatever became of these.
    #[must_use]
    pub fn records(self) -> Vec<OwnedRecord> {
        let read = |partition: &Partition| {
            let batches = partition.committed().filter(|b| !b.header().attributes.is_control());
            Some(decode(batches))
        };
        self.look(read).unwrap_or_default()
    }

    /// The records that a consumer with `read_committed` gets, read from the leader's log without
    /// any client: none of a transaction that is open or was aborted.
    #[must_use]
    pub fn read_committed(self) -> Vec<OwnedRecord> {
        self.look(|partition| Some(decode(partition.read_committed()))).unwrap_or_default()
    }

    /// Makes a broker the leader.
    ///
    /// # Errors
    ///
    /// As [`Partition::move_leader`], and `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn move_leader(self, to: i32) -> Result<(), ErrorCode> {
        let Self { topic, index, .. } = self;
        self.cluster.run(|world, now| world.move_leader(topic, index, NodeId(to), now))
    }

    /// Stops the followers from pulling.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn pause_replication(self) -> Result<(), ErrorCode> {
        let Self { topic, index, .. } = self;
        self.cluster.run(|world, now| world.pause_replication(topic, index, true, now))
    }

    /// Lets the followers pull again.
    ///
    /// # Errors
    ///
    /// `UNKNOWN_TOPIC_OR_PARTITION`.
    pub fn resume_replication(self) -> Result<(), ErrorCode> {
        let Self { topic, index, .. } = self;
        self.cluster.run(|world, now| world.pause_replication(topic, index, false, now))
    }

    fn look<R>(self, look: impl FnOnce(&Partition) -> Option<R>) -> Option<R> {
        self.cluster.run(|world, _| {
            let topic = world.catalog().topic(TopicKey::Name(self.topic)).ok()?;
            look(topic.partition(self.index).ok()?)
        })
    }
}

fn decode<'a>(batches: impl Iterator<Item = &'a Batch>) -> Vec<OwnedRecord> {
    let mut decoder = BatchDecoder::new(usize::MAX);
    let whole = batches.filter_map(|batch| batch.to_record_batch().ok());
    let records = whole.filter_map(|batch| decoder.owned_records(&batch).ok());
    records.flatten().filter_map(Result::ok).collect()
}

/// A fault rule that is in force.
#[derive(Debug, Clone, Copy)]
pub struct FaultHandle<'a> {
    cluster: &'a Cluster,
    id: RuleId,
}

impl<'a> FaultHandle<'a> {
    pub(super) fn new(cluster: &'a Cluster, id: RuleId) -> Self {
        Self { cluster, id }
    }

    /// How many requests it has acted on.
    #[must_use]
    pub fn hits(self) -> u32 {
        self.cluster.run(|world, _| world.hits(self.id))
    }

    /// Waits until it has acted on a request.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it only looks.
    pub async fn reached(self) {
        self.cluster.until(|world| world.hits(self.id) > 0).await;
    }

    /// Lets the requests go on that the rule holds, and takes it away.
    pub fn open(self) {
        self.cluster.run(|world, _| world.open_gate(self.id));
    }

    /// Takes the rule away.
    pub fn remove(self) {
        self.cluster.run(|world, _| world.remove_rule(self.id));
    }
}
