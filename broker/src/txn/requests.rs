//! `InitProducerId`, `AddPartitionsToTxn`, `AddOffsetsToTxn` and `EndTxn`.

use std::time::Duration;

use ottla_protocol::messages::add_offsets_to_txn::{
    AddOffsetsToTxnRequest, AddOffsetsToTxnResponse,
};
use ottla_protocol::messages::add_partitions_to_txn::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnRequest, AddPartitionsToTxnResponse,
    AddPartitionsToTxnResult, AddPartitionsToTxnTopic, AddPartitionsToTxnTopicResult,
    AddPartitionsToTxnTransaction,
};
use ottla_protocol::messages::end_txn::{EndTxnRequest, EndTxnResponse};
use ottla_protocol::messages::init_producer_id::{InitProducerIdRequest, InitProducerIdResponse};
use ottla_protocol::{ByteString, ErrorCode};

use super::transaction::Init;
use super::{Caller, Producer, Protocol, Target, Transaction, Transactions};
use crate::group::TransactionResult;

impl Transactions {
    /// `InitProducerId`: without a transactional id a fresh id from any node, always; with one, the
    /// next epoch of its producer.
    pub(crate) fn init_producer_id(
        &mut self,
        caller: &Caller<'_>,
        request: &InitProducerIdRequest,
    ) -> InitProducerIdResponse {
        match self.init(caller, request) {
            Ok(Producer { id, epoch }) => InitProducerIdResponse {
                producer_id: id,
                producer_epoch: epoch,
                ..Default::default()
            },
            Err(error) => InitProducerIdResponse {
                error_code: told(error, caller.version, FIRST_INIT_WITH_FENCED).code(),
                producer_id: -1,
                producer_epoch: -1,
                ..Default::default()
            },
        }
    }

    fn init(
        &mut self,
        caller: &Caller<'_>,
        request: &InitProducerIdRequest,
    ) -> Result<Producer, ErrorCode> {
        caller.cluster.check_request()?;
        let expected = expected_producer(request.producer_id, request.producer_epoch)?;
        let Some(id) = &request.transactional_id else {
            return Ok(Producer { id: self.new_producer_id(), epoch: 0 });
        };
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        self.check_two_phase_commit(request)?;
        let timeout = self.check_timeout(request.transaction_timeout_ms)?;
        caller.cluster.check_coordinator(id)?;
        if !self.by_id.contains_key(id) {
            return Ok(self.create(id, timeout, caller));
        }
        let protocol = self.protocol();
        let given = self.with(id, |transaction, new_id| {
            transaction.init(Init { expected, timeout, protocol, new_id }, caller.now)
        });
        given.unwrap_or(Err(ErrorCode::InvalidProducerIdMapping))
    }

    fn create(&mut self, id: &str, timeout: Duration, caller: &Caller<'_>) -> Producer {
        let transaction = Transaction::new(self.new_producer_id(), timeout, caller.now);
        let producer = transaction.producer();
        // Copied, because an id in a request is a slice of the whole request.
        self.by_id.insert(id.into(), transaction);
        self.with(id, |_, _| ());
        producer
    }

    /// As Kafka 4.4 answers what it reads of KIP-939 and does not do.
    fn check_two_phase_commit(&self, request: &InitProducerIdRequest) -> Result<(), ErrorCode> {
        if request.enable2_pc && !self.config.two_phase_commit {
            return Err(ErrorCode::TransactionalIdAuthorizationFailed);
        }
        if request.keep_prepared_txn { Err(ErrorCode::UnsupportedVersion) } else { Ok(()) }
    }

    fn check_timeout(&self, timeout_ms: i32) -> Result<Duration, ErrorCode> {
        let timeout = u64::try_from(timeout_ms).ok().map(Duration::from_millis);
        let allowed = timeout.filter(|t| !t.is_zero() && *t <= self.config.max_timeout);
        allowed.ok_or(ErrorCode::InvalidTransactionTimeout)
    }

    /// `AddPartitionsToTxn`: of one producer, or from version 4 on of several, as brokers ask each
    /// other (KIP-890).
    pub(crate) fn add_partitions_to_txn(
        &mut self,
        caller: &Caller<'_>,
        request: AddPartitionsToTxnRequest,
    ) -> AddPartitionsToTxnResponse {
        if caller.version < FIRST_SEVERAL_TRANSACTIONS {
            let asked = AddPartitionsToTxnTransaction {
                transactional_id: request.v3_and_below_transactional_id,
                producer_id: request.v3_and_below_producer_id,
                producer_epoch: request.v3_and_below_producer_epoch,
                topics: request.v3_and_below_topics,
                ..Default::default()
            };
            let results_by_topic_v3_and_below = self.add_partitions(caller, &asked);
            return AddPartitionsToTxnResponse {
                results_by_topic_v3_and_below,
                ..Default::default()
            };
        }
        if let Err(error) = caller.cluster.check_request() {
            return AddPartitionsToTxnResponse { error_code: error.code(), ..Default::default() };
        }
        let results = request.transactions.into_iter().map(|asked| AddPartitionsToTxnResult {
            topic_results: self.add_partitions(caller, &asked),
            transactional_id: asked.transactional_id,
            ..Default::default()
        });
        let results_by_transaction = results.collect();
        AddPartitionsToTxnResponse { results_by_transaction, ..Default::default() }
    }

    /// All partitions or none.
    fn add_partitions(
        &mut self,
        caller: &Caller<'_>,
        asked: &AddPartitionsToTxnTransaction,
    ) -> Vec<AddPartitionsToTxnTopicResult> {
        let found: Vec<Vec<_>> = asked.topics.iter().map(|topic| find(caller, topic)).collect();
        if found.iter().flatten().any(Result::is_err) {
            let outcome = |target: &Result<Target, ErrorCode>| match target {
                Ok(_) => ErrorCode::OperationNotAttempted,
                Err(error) => *error,
            };
            return rows(asked, &found, outcome);
        }
        let targets: Vec<Target> = found.iter().flatten().flatten().cloned().collect();
        let checked = self.check_asked(caller, &asked.transactional_id);
        let producer = Producer { id: asked.producer_id, epoch: asked.producer_epoch };
        let code = |outcome: Result<(), ErrorCode>| {
            let error = outcome.err().unwrap_or(ErrorCode::None);
            told(error, caller.version, FIRST_ADD_WITH_FENCED)
        };
        if asked.verify_only {
            let verify = |target: &Target| {
                checked.and_then(|()| self.verify(&asked.transactional_id, producer, target))
            };
            return rows(asked, &found, |target| code(target.as_ref().map_or(Ok(()), verify)));
        }
        let added =
            checked.and_then(|()| self.add(&asked.transactional_id, producer, targets, caller.now));
        rows(asked, &found, |_| code(added))
    }

    /// `AddOffsetsToTxn`. The group need not exist.
    pub(crate) fn add_offsets_to_txn(
        &mut self,
        caller: &Caller<'_>,
        request: AddOffsetsToTxnRequest,
    ) -> AddOffsetsToTxnResponse {
        let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
        let id = request.transactional_id;
        let target = Target::Offsets(ByteString::from(&*request.group_id));
        let checked = caller.cluster.check_request().and_then(|()| self.check_asked(caller, &id));
        let added = checked.and_then(|()| self.add(&id, producer, [target], caller.now));
        let error = added.err().unwrap_or(ErrorCode::None);
        let error_code = told(error, caller.version, FIRST_ADD_WITH_FENCED).code();
        AddOffsetsToTxnResponse { error_code, ..Default::default() }
    }

    /// `EndTxn`: from version 5 on with the producer's next epoch in the answer (KIP-890). What is
    /// decided is decided, though its markers may not be written yet.
    pub(crate) fn end_txn(
        &mut self,
        caller: &Caller<'_>,
        request: &EndTxnRequest,
    ) -> EndTxnResponse {
        match self.end(caller, request) {
            Ok(Producer { id, epoch }) => {
                EndTxnResponse { producer_id: id, producer_epoch: epoch, ..Default::default() }
            }
            Err(error) => {
                let error_code = told(error, caller.version, FIRST_END_WITH_FENCED).code();
                EndTxnResponse { error_code, ..Default::default() }
            }
        }
    }

    fn end(&mut self, caller: &Caller<'_>, request: &EndTxnRequest) -> Result<Producer, ErrorCode> {
        caller.cluster.check_request()?;
        self.check_asked(caller, &request.transactional_id)?;
        let producer = Producer { id: request.producer_id, epoch: request.producer_epoch };
        let result =
            if request.committed { TransactionResult::Commit } else { TransactionResult::Abort };
        let protocol = match caller.version {
            ..FIRST_END_OF_PROTOCOL_2 => Protocol::One,
            _ => Protocol::Two,
        };
        let ended = self.with(&request.transactional_id, |transaction, new_id| {
            transaction.end(producer, result, protocol, new_id, caller.now)
        });
        ended.unwrap_or(Err(ErrorCode::InvalidProducerIdMapping))
    }

    /// Whether the id can be one, and is this node's to coordinate.
    fn check_asked(&self, caller: &Caller<'_>, id: &str) -> Result<(), ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        caller.cluster.check_coordinator(id)
    }
}

/// Who a producer thinks it is: both its id and its epoch, or neither.
fn expected_producer(id: i64, epoch: i16) -> Result<Option<Producer>, ErrorCode> {
    match (id, epoch) {
        (-1, -1) => Ok(None),
        (-1, _) | (_, -1) => Err(ErrorCode::InvalidRequest),
        (id, epoch) => Ok(Some(Producer { id, epoch })),
    }
}

fn find(caller: &Caller<'_>, topic: &AddPartitionsToTxnTopic) -> Vec<Result<Target, ErrorCode>> {
    let find = |index: &i32| {
        let name = caller.cluster.check_partition(&topic.name, *index)?;
        Ok(Target::Partition(name, *index))
    };
    topic.partitions.iter().map(find).collect()
}

fn rows(
    asked: &AddPartitionsToTxnTransaction,
    found: &[Vec<Result<Target, ErrorCode>>],
    outcome: impl Fn(&Result<Target, ErrorCode>) -> ErrorCode,
) -> Vec<AddPartitionsToTxnTopicResult> {
    let topics = asked.topics.iter().zip(found).map(|(topic, found)| {
        let rows = topic.partitions.iter().zip(found).map(|(index, target)| {
            AddPartitionsToTxnPartitionResult {
                partition_index: *index,
                partition_error_code: outcome(target).code(),
                ..Default::default()
            }
        });
        AddPartitionsToTxnTopicResult {
            name: topic.name.clone(),
            results_by_partition: rows.collect(),
            ..Default::default()
        }
    });
    topics.collect()
}

/// Older clients do not know `PRODUCER_FENCED`.
fn told(error: ErrorCode, version: i16, first_with_fenced: i16) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced if version < first_with_fenced => ErrorCode::InvalidProducerEpoch,
        error => error,
    }
}

/// `InitProducerId`'s first version whose clients know `PRODUCER_FENCED`.
const FIRST_INIT_WITH_FENCED: i16 = 4;

/// The same of `AddPartitionsToTxn` and `AddOffsetsToTxn`.
const FIRST_ADD_WITH_FENCED: i16 = 2;

/// The same of `EndTxn`.
const FIRST_END_WITH_FENCED: i16 = 2;

/// `EndTxn`'s first version that gives the producer its next epoch (KIP-890).
const FIRST_END_OF_PROTOCOL_2: i16 = 5;

/// `AddPartitionsToTxn`'s first version with several transactions (KIP-890).
const FIRST_SEVERAL_TRANSACTIONS: i16 = 4;
