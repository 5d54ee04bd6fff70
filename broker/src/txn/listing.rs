//! `DescribeTransactions` and `ListTransactions` (KIP-664).

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_protocol::messages::describe_transactions::{
    DescribeTransactionsRequest, DescribeTransactionsResponse, TopicData,
    TransactionState as Described,
};
use ottla_protocol::messages::list_transactions::{
    ListTransactionsRequest, ListTransactionsResponse, TransactionState as Listed,
};
use ottla_protocol::{ByteString, ErrorCode};

use super::pattern::Pattern;
use super::{Caller, Target, Transaction, Transactions};
use crate::world::Now;
use crate::world::catalog::java_hash;

/// A transactional id and its latest transaction, for tests to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionDescription {
    /// The state, in Kafka's words: `Empty`, `Ongoing`, `PrepareCommit`, `PrepareAbort`,
    /// `CompleteCommit` or `CompleteAbort`.
    pub state: &'static str,
    /// The id of its producer.
    pub producer_id: i64,
    /// The epoch of its producer.
    pub producer_epoch: i16,
    /// How long a transaction may take (`transaction.timeout.ms`).
    pub timeout: Duration,
    /// How many coordinators it has had, less one.
    pub coordinator_epoch: i32,
    /// The partitions that take part and have not ended yet, ascending.
    pub partitions: Vec<(ByteString, i32)>,
    /// The groups whose offsets take part and have not ended yet, ascending.
    pub groups: Vec<ByteString>,
}

impl Transactions {
    /// What is known of a transactional id.
    pub(crate) fn describe(&self, id: &str) -> Option<TransactionDescription> {
        let transaction = self.by_id.get(id)?;
        let producer = transaction.producer();
        let mut described = TransactionDescription {
            state: transaction.state_name(),
            producer_id: producer.id,
            producer_epoch: producer.epoch,
            timeout: transaction.timeout(),
            coordinator_epoch: transaction.coordinator_epoch(),
            partitions: Vec::new(),
            groups: Vec::new(),
        };
        for target in transaction.targets() {
            match target {
                Target::Partition(topic, index) => {
                    described.partitions.push((topic.clone(), *index));
                }
                Target::Offsets(group) => described.groups.push(group.clone()),
            }
        }
        Some(described)
    }

    /// `DescribeTransactions`.
    pub(crate) fn describe_transactions(
        &self,
        caller: &Caller<'_>,
        request: DescribeTransactionsRequest,
    ) -> DescribeTransactionsResponse {
        let states = request.transactional_ids.into_iter().map(|transactional_id| {
            match self.describe_one(caller, &transactional_id) {
                Ok(described) => Described { transactional_id, ..described },
                Err(error) => {
                    Described { transactional_id, error_code: error.code(), ..Default::default() }
                }
            }
        });
        DescribeTransactionsResponse { transaction_states: states.collect(), ..Default::default() }
    }

    fn describe_one(&self, caller: &Caller<'_>, id: &str) -> Result<Described, ErrorCode> {
        caller.cluster.check_request()?;
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        caller.cluster.check_coordinator(id)?;
        let transaction = self.by_id.get(id).ok_or(ErrorCode::TransactionalIdNotFound)?;
        Ok(Described {
            transaction_state: ByteString::from_static(transaction.state_name()),
            transaction_timeout_ms: millis(transaction.timeout()),
            transaction_start_time_ms: transaction.since().map_or(-1, |since| since.wall_ms),
            producer_id: transaction.producer().id,
            producer_epoch: transaction.producer().epoch,
            topics: self.topics(transaction),
            ..Default::default()
        })
    }

    /// What takes part, the offsets of groups as the partitions of the topic that Kafka keeps
    /// them in.
    fn topics(&self, transaction: &Transaction) -> Vec<TopicData> {
        let mut by_topic: BTreeMap<ByteString, Vec<i32>> = BTreeMap::new();
        for target in transaction.targets() {
            let (topic, partition) = match target {
                Target::Partition(topic, index) => (topic.clone(), *index),
                Target::Offsets(group) => {
                    (ByteString::from_static(OFFSETS_TOPIC), self.offsets_partition(group))
                }
            };
            let partitions = by_topic.entry(topic).or_default();
            if !partitions.contains(&partition) {
                partitions.push(partition);
            }
        }
        let row = |(topic, partitions): (ByteString, Vec<i32>)| TopicData {
            topic,
            partitions: partitions.into(),
            ..Default::default()
        };
        by_topic.into_iter().map(row).collect()
    }

    fn offsets_partition(&self, group: &str) -> i32 {
        let count = i32::try_from(self.config.offsets_partitions).unwrap_or(i32::MAX);
        java_hash(group) % count.max(1)
    }

    /// `ListTransactions`: those that the node coordinates; filtered by duration from version 1 on
    /// (KIP-994), by a pattern from version 2 on (KIP-1152).
    pub(crate) fn list_transactions(
        &self,
        caller: &Caller<'_>,
        request: ListTransactionsRequest,
    ) -> ListTransactionsResponse {
        let filter = match caller.cluster.check_request().and_then(|()| Filter::new(&request)) {
            Ok(filter) => filter,
            Err(error) => {
                return ListTransactionsResponse { error_code: error.code(), ..Default::default() };
            }
        };
        let listed = self.by_id.iter().filter(|(id, transaction)| {
            caller.cluster.check_coordinator(id).is_ok()
                && filter.admits(id, transaction, caller.now)
        });
        let row = |(id, transaction): (&ByteString, &Transaction)| Listed {
            transactional_id: id.clone(),
            producer_id: transaction.producer().id,
            transaction_state: ByteString::from_static(transaction.state_name()),
            ..Default::default()
        };
        let transaction_states = listed.map(row).collect();
        let unknown = |state: &ByteString| !STATES.contains(&&**state);
        let unknown_state_filters = request.state_filters.into_iter().filter(unknown).collect();
        ListTransactionsResponse { unknown_state_filters, transaction_states, ..Default::default() }
    }
}

/// Which transactions are asked for.
struct Filter<'a> {
    request: &'a ListTransactionsRequest,
    pattern: Option<Pattern>,
}

impl<'a> Filter<'a> {
    fn new(request: &'a ListTransactionsRequest) -> Result<Self, ErrorCode> {
        let pattern = request.transactional_id_pattern.as_deref().filter(|text| !text.is_empty());
        let pattern = pattern.map(|text| text.parse()).transpose();
        let pattern = pattern.map_err(|_| ErrorCode::InvalidRegularExpression)?;
        Ok(Self { request, pattern })
    }

    fn admits(&self, id: &str, transaction: &Transaction, now: Now) -> bool {
        let ListTransactionsRequest {
            state_filters,
            producer_id_filters,
            duration_filter,
            transactional_id_pattern: _,
            ..
        } = self.request;
        let state = transaction.state_name();
        let of_state = state_filters.is_empty() || state_filters.iter().any(|s| **s == *state);
        let of_producer = producer_id_filters.is_empty()
            || producer_id_filters.contains(&transaction.producer().id);
        // One that has not begun is as old as time is for Kafka: its start is −1.
        let since = transaction.since().map_or(-1, |since| since.wall_ms);
        let is_long = *duration_filter < 0 || now.wall_ms - since > *duration_filter;
        let is_called_so = self.pattern.as_ref().is_none_or(|pattern| pattern.matches(id));
        of_state && of_producer && is_long && is_called_so
    }
}

fn millis(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis()).unwrap_or(i32::MAX)
}

/// Every state that Kafka knows, those included in which nobody ever sees a transaction here.
const STATES: &[&str] = &[
    "Empty",
    "Ongoing",
    "PrepareCommit",
    "PrepareAbort",
    "CompleteCommit",
    "CompleteAbort",
    "Dead",
    "PrepareEpochFence",
];

/// Where Kafka keeps the offsets of groups.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
