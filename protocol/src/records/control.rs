//! Control records: what brokers write among the records for each other and for consumers.

use super::{
    AppendError, BatchBuilder, NewRecord, ProducerStamp, Record, RecordFault, SealOptions,
    SealedBatch, fields::take,
};

/// What a control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ControlRecordType {
    /// A transaction was aborted (KIP-98); type 0.
    Abort,
    /// A transaction was committed (KIP-98); type 1.
    Commit,
    /// A KRaft leader was elected (KIP-595); type 2.
    LeaderChange,
    /// A KRaft snapshot begins (KIP-630); type 3.
    SnapshotHeader,
    /// A KRaft snapshot ends (KIP-630); type 4.
    SnapshotFooter,
    /// The version of KRaft in use (KIP-853); type 5.
    KraftVersion,
    /// The voters of a KRaft quorum (KIP-853); type 6.
    KraftVoters,
    /// A type that is not known here: to be skipped, as Kafka's clients do.
    Unknown(i16),
}

impl ControlRecordType {
    /// The type with this id.
    #[must_use]
    pub const fn from_id(id: i16) -> Self {
        match id {
            0 => Self::Abort,
            1 => Self::Commit,
            2 => Self::LeaderChange,
            3 => Self::SnapshotHeader,
            4 => Self::SnapshotFooter,
            5 => Self::KraftVersion,
            6 => Self::KraftVoters,
            _ => Self::Unknown(id),
        }
    }

    /// Its id on the wire.
    #[must_use]
    pub const fn id(self) -> i16 {
        match self {
            Self::Abort => 0,
            Self::Commit => 1,
            Self::LeaderChange => 2,
            Self::SnapshotHeader => 3,
            Self::SnapshotFooter => 4,
            Self::KraftVersion => 5,
            Self::KraftVoters => 6,
            Self::Unknown(id) => id,
        }
    }
}

/// The key of a control record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ControlRecordKey {
    /// Version of the key's schema: 0 so far.
    pub version: i16,
    /// What the record says.
    pub record_type: ControlRecordType,
}

impl ControlRecordKey {
    /// Reads the key of a record in a control batch. Later versions may be longer.
    ///
    /// # Errors
    ///
    /// [`RecordFault::ControlRecord`], when the key is null or too short.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordFault> {
        let key = record.key.unwrap_or_default();
        let read = |mut bytes: &[u8]| {
            Some(Self {
                version: i16::from_be_bytes(take(&mut bytes)?),
                record_type: ControlRecordType::from_id(i16::from_be_bytes(take(&mut bytes)?)),
            })
        };
        read(key).ok_or(RecordFault::ControlRecord { len: key.len() })
    }

    fn encode(self) -> [u8; 4] {
        let ([a, b], [c, d]) = (self.version.to_be_bytes(), self.record_type.id().to_be_bytes());
        [a, b, c, d]
    }
}

/// The value of an [`Abort`](ControlRecordType::Abort) or [`Commit`](ControlRecordType::Commit)
/// record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndTransactionMarker {
    /// Version of the value's schema: 0 so far.
    pub version: i16,
    /// Epoch of the transaction coordinator that ended the transaction.
    pub coordinator_epoch: i32,
}

impl EndTransactionMarker {
    /// Reads the value of an abort or commit record. Later versions may be longer.
    ///
    /// # Errors
    ///
    /// [`RecordFault::ControlRecord`], when the value is null or too short.
    pub fn parse(record: &Record<'_>) -> Result<Self, RecordFault> {
        let value = record.value.unwrap_or_default();
        let read = |mut bytes: &[u8]| {
            Some(Self {
                version: i16::from_be_bytes(take(&mut bytes)?),
                coordinator_epoch: i32::from_be_bytes(take(&mut bytes)?),
            })
        };
        read(value).ok_or(RecordFault::ControlRecord { len: value.len() })
    }

    fn encode(self) -> [u8; 6] {
        let [a, b] = self.version.to_be_bytes();
        let [c, d, e, f] = self.coordinator_epoch.to_be_bytes();
        [a, b, c, d, e, f]
    }
}

impl SealedBatch {
    /// The control batch that ends a producer's transaction, as a broker appends it: one record,
    /// no sequence.
    ///
    /// `record_type` is [`Abort`](ControlRecordType::Abort) or
    /// [`Commit`](ControlRecordType::Commit); `timestamp` is in milliseconds since 1970. The base
    /// offset and leader epoch are stamped at append.
    ///
    /// # Errors
    ///
    /// None in practice: the record is always small enough.
    pub fn end_transaction(
        record_type: ControlRecordType,
        coordinator_epoch: i32,
        producer_id: i64,
        producer_epoch: i16,
        timestamp: i64,
    ) -> Result<Self, AppendError> {
        let key = ControlRecordKey { version: 0, record_type }.encode();
        let value = EndTransactionMarker { version: 0, coordinator_epoch }.encode();
        let mut builder = BatchBuilder::new();
        builder.append(NewRecord::new(timestamp, Some(&key), Some(&value)))?;
        let producer = ProducerStamp { producer_id, producer_epoch, base_sequence: -1 };
        let options =
            SealOptions { producer, transactional: true, control: true, ..SealOptions::default() };
        Ok(builder.seal(&options))
    }
}
