//! The way from the world to its transactions, and back.

use std::time::Duration;

use ottla_protocol::{AnyRequest, ByteString, ErrorCode};

use super::{Caller, ClusterView, TransactionConfig, TransactionDescription};
use crate::world::catalog::{Catalog, CoordinatorType, TopicKey};
use crate::world::config::Settings;
use crate::world::{Context, Flow, NodeId, Now, World};

impl TransactionConfig {
    /// As the brokers are set.
    pub(crate) fn of(settings: &Settings) -> Self {
        let number = |name| u64::try_from(settings.number(name)).unwrap_or(0);
        let millis = |name| Duration::from_millis(number(name));
        let count = number("offsets.topic.num.partitions");
        Self {
            max_timeout: millis("transaction.max.timeout.ms"),
            id_expiration: millis("transactional.id.expiration.ms"),
            offsets_partitions: u32::try_from(count).unwrap_or(u32::MAX),
            verifies: settings.flag("transaction.partition.verification.enable"),
            two_phase_commit: settings.flag("transaction.two.phase.commit.enable"),
        }
    }
}

/// Serves a request of a transaction API; gives back any other.
pub(crate) fn serve(
    world: &mut World,
    cx: &Context,
    request: AnyRequest,
) -> Result<Flow, Box<AnyRequest>> {
    let World { transactions, catalog, .. } = world;
    let caller = Caller { version: cx.version, now: cx.now, cluster: &Asked { catalog, cx } };
    let flow = match request {
        AnyRequest::InitProducerId(request) => {
            transactions.init_producer_id(&caller, &request).into()
        }
        AnyRequest::AddPartitionsToTxn(request) => {
            transactions.add_partitions_to_txn(&caller, request).into()
        }
        AnyRequest::AddOffsetsToTxn(request) => {
            transactions.add_offsets_to_txn(&caller, request).into()
        }
        AnyRequest::EndTxn(request) => transactions.end_txn(&caller, &request).into(),
        AnyRequest::DescribeTransactions(request) => {
            transactions.describe_transactions(&caller, request).into()
        }
        AnyRequest::ListTransactions(request) => {
            transactions.list_transactions(&caller, request).into()
        }
        AnyRequest::WriteTxnMarkers(request) => {
            super::markers::write_txn_markers(world, cx, request)
        }
        other => return Err(Box::new(other)),
    };
    // What has been decided is done before the next request comes, where it can be done.
    world.write_markers(cx.now);
    Ok(flow)
}

impl World {
    /// What is known of a transactional id; `None` where no producer has used it.
    #[must_use]
    pub fn transaction(&self, id: &str) -> Option<TransactionDescription> {
        self.transactions.describe(id)
    }

    /// Sets the level of the feature `transaction.version`: 2, as at first, lets producers speak
    /// the protocol of KIP-890; 0 and 1 leave them with the one before. Levels that do not exist
    /// count as the nearest one that does.
    pub fn set_transaction_version(&mut self, level: i16) {
        self.transactions.set_version(level);
    }

    /// Aborts a transaction as if it had taken too long.
    pub fn expire_transaction(&mut self, id: &str, now: Now) {
        self.transactions.expire(id, now);
        self.write_markers(now);
    }

    /// Holds the markers of a transactional id back: its transactions stay `PrepareCommit` or
    /// `PrepareAbort` when they end.
    pub fn hold_markers(&mut self, id: &str) {
        self.transactions.hold_markers(id);
    }

    /// Writes the markers that were held back, and holds none any more.
    pub fn release_markers(&mut self, id: &str, now: Now) {
        self.transactions.release_markers(id);
        self.write_markers(now);
    }

    /// Leaves the producer of a transactional id one epoch, which its next `InitProducerId` is
    /// given.
    pub fn exhaust_producer_epoch(&mut self, id: &str) {
        self.transactions.exhaust_epoch(id);
    }

    /// Makes a node the coordinator of a transactional id.
    ///
    /// # Errors
    ///
    /// `BROKER_NOT_AVAILABLE` when the node is down.
    pub fn move_transaction_coordinator(
        &mut self,
        id: &str,
        to: NodeId,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let before = self.transaction_coordinators();
        self.catalog.move_coordinator(CoordinatorType::Transaction, id, to)?;
        self.transactions_moved_from(&before);
        self.write_markers(now);
        Ok(())
    }

    /// Which node coordinates each transactional id, for
    /// [`transactions_moved_from`](Self::transactions_moved_from) to compare with.
    pub(crate) fn transaction_coordinators(&self) -> Vec<(ByteString, Option<NodeId>)> {
        let ids = self.transactions.ids();
        ids.map(|id| (id.clone(), self.transaction_coordinator(id))).collect()
    }

    /// Moves the transactional ids whose coordinator is another than it was.
    pub(crate) fn transactions_moved_from(&mut self, before: &[(ByteString, Option<NodeId>)]) {
        for (id, node) in before {
            if self.transaction_coordinator(id) != *node {
                self.transactions.handle_coordinator_change(id);
            }
        }
    }

    fn transaction_coordinator(&self, id: &str) -> Option<NodeId> {
        self.catalog.coordinator(CoordinatorType::Transaction, id).map(|node| node.id)
    }
}

/// The cluster as the node knows it that was asked.
struct Asked<'a> {
    catalog: &'a Catalog,
    cx: &'a Context,
}

impl ClusterView for Asked<'_> {
    fn check_request(&self) -> Result<(), ErrorCode> {
        self.cx.whole()
    }

    fn check_coordinator(&self, transactional_id: &str) -> Result<(), ErrorCode> {
        let Context { node, now, .. } = *self.cx;
        let of = CoordinatorType::Transaction;
        self.catalog.check_coordinator(of, transactional_id, node, now)
    }

    fn check_partition(&self, topic: &str, partition: i32) -> Result<ByteString, ErrorCode> {
        self.cx.item(topic, partition)?;
        let topic = self.catalog.topic(TopicKey::Name(topic))?;
        topic.partition(partition)?;
        Ok(topic.name.clone())
    }
}
