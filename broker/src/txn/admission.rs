//! Whether records and offsets belong to a transaction: what `Produce` and `TxnOffsetCommit` ask
//! before they take them (KIP-890).

use ottla_protocol::{ByteString, ErrorCode};

use super::{Producer, Target, Transactions};
use crate::world::Now;

/// What the transaction coordinator is asked for the offsets of a group.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OffsetsAdmission<'a> {
    pub(crate) transactional_id: &'a str,
    pub(crate) producer: Producer,
    /// The version of `TxnOffsetCommit`.
    pub(crate) version: i16,
    pub(crate) now: Now,
}

impl Transactions {
    /// Whether the log of a partition may take a batch of a transaction that is not open there
    /// yet; in protocol 2 the partition becomes part of it by that.
    ///
    /// # Errors
    ///
    /// What the partition's row answers in this `version` of `Produce`.
    pub(crate) fn admit_records(
        &mut self,
        version: i16,
        transactional_id: &str,
        producer: Producer,
        partition: (ByteString, i32),
        now: Now,
    ) -> Result<(), ErrorCode> {
        let target = Target::Partition(partition.0, partition.1);
        let adds = version >= FIRST_PRODUCE_THAT_ADDS;
        let knows_abortable = version >= FIRST_PRODUCE_WITH_ABORTABLE;
        match self.admit(adds, transactional_id, producer, target, now) {
            // One that clients of this version send again without asking for metadata.
            Err(ErrorCode::ConcurrentTransactions) if !adds => Err(ErrorCode::NotEnoughReplicas),
            outcome => outcome.map_err(|error| told(error, knows_abortable)),
        }
    }

    /// Whether a group may take offsets with a transaction; in protocol 2 the group becomes part
    /// of it by that.
    ///
    /// # Errors
    ///
    /// What the partitions' rows answer.
    pub(crate) fn admit_offsets(
        &mut self,
        asked: OffsetsAdmission<'_>,
        group: &str,
    ) -> Result<(), ErrorCode> {
        let OffsetsAdmission { transactional_id, producer, version, now } = asked;
        let target = Target::Offsets(ByteString::from(group));
        let adds = version >= FIRST_OFFSETS_THAT_ADD;
        let knows_abortable = version >= FIRST_OFFSETS_WITH_ABORTABLE;
        let admitted = self.admit(adds, transactional_id, producer, target, now);
        admitted.map_err(|error| told(error, knows_abortable))
    }

    fn admit(
        &mut self,
        adds: bool,
        transactional_id: &str,
        producer: Producer,
        target: Target,
        now: Now,
    ) -> Result<(), ErrorCode> {
        if transactional_id.is_empty() {
            return Err(ErrorCode::InvalidRequest);
        }
        if adds {
            return self.add(transactional_id, producer, [target], now);
        }
        if !self.config.verifies {
            return Ok(());
        }
        self.verify(transactional_id, producer, &target)
    }

    pub(super) fn add(
        &mut self,
        transactional_id: &str,
        producer: Producer,
        targets: impl IntoIterator<Item = Target>,
        now: Now,
    ) -> Result<(), ErrorCode> {
        let added =
            self.with(transactional_id, |transaction, _| transaction.add(producer, targets, now));
        added.unwrap_or(Err(ErrorCode::InvalidProducerIdMapping))
    }

    pub(super) fn verify(
        &self,
        transactional_id: &str,
        producer: Producer,
        target: &Target,
    ) -> Result<(), ErrorCode> {
        let known = self.by_id.get(transactional_id);
        known.ok_or(ErrorCode::InvalidProducerIdMapping)?.verify(producer, target)
    }
}

/// Producers expect the code of the logs for an epoch that is too low, and older ones do not know
/// that a transaction can only be aborted any more.
fn told(error: ErrorCode, knows_abortable: bool) -> ErrorCode {
    match error {
        ErrorCode::ProducerFenced => ErrorCode::InvalidProducerEpoch,
        ErrorCode::TransactionAbortable if !knows_abortable => ErrorCode::InvalidTxnState,
        error => error,
    }
}

/// `Produce`'s first version whose clients know `TRANSACTION_ABORTABLE`.
const FIRST_PRODUCE_WITH_ABORTABLE: i16 = 11;

/// `Produce`'s first version that takes the partition into the transaction.
pub(crate) const FIRST_PRODUCE_THAT_ADDS: i16 = 12;

/// `TxnOffsetCommit`'s first version whose clients know `TRANSACTION_ABORTABLE`.
const FIRST_OFFSETS_WITH_ABORTABLE: i16 = 4;

/// `TxnOffsetCommit`'s first version that takes the group into the transaction.
const FIRST_OFFSETS_THAT_ADD: i16 = 5;
