//! The attribute bits of a batch.

use crate::compression::{Compression, CompressionError};

/// Who set the timestamps of a batch's records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimestampType {
    /// The producer, record by record.
    #[default]
    CreateTime,
    /// The broker, at append: every record has the batch's maximum timestamp.
    LogAppendTime,
}

/// The attributes of a batch of magic 2. Unknown bits are kept.
///
/// | bits | meaning |
/// |---|---|
/// | 0–2 | compression |
/// | 3 | timestamp type |
/// | 4 | transactional (KIP-98) |
/// | 5 | control (KIP-98) |
/// | 6 | the base timestamp is a delete horizon (KIP-534) |
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(i16);

impl Attributes {
    const COMPRESSION: i16 = 0b111;
    const LOG_APPEND_TIME: i16 = 1 << 3;
    const TRANSACTIONAL: i16 = 1 << 4;
    const CONTROL: i16 = 1 << 5;
    const DELETE_HORIZON: i16 = 1 << 6;

    /// The attributes with these bits.
    #[must_use]
    pub const fn from_bits(bits: i16) -> Self {
        Self(bits)
    }

    /// The bits, as on the wire.
    #[must_use]
    pub const fn bits(self) -> i16 {
        self.0
    }

    /// The codec of the records section.
    ///
    /// # Errors
    ///
    /// [`CompressionError::UnknownCodec`] for the ids that Kafka has not assigned.
    pub const fn compression(self) -> Result<Compression, CompressionError> {
        let [low, _] = self.0.to_le_bytes();
        let [mask, _] = Self::COMPRESSION.to_le_bytes();
        Compression::from_id(low & mask)
    }

    /// Who set the timestamps.
    #[must_use]
    pub const fn timestamp_type(self) -> TimestampType {
        if self.has(Self::LOG_APPEND_TIME) {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        }
    }

    /// Whether the batch belongs to a transaction.
    #[must_use]
    pub const fn is_transactional(self) -> bool {
        self.has(Self::TRANSACTIONAL)
    }

    /// Whether its records are control records, which no application may see.
    #[must_use]
    pub const fn is_control(self) -> bool {
        self.has(Self::CONTROL)
    }

    /// Whether the base timestamp is the time from which tombstones may be deleted.
    #[must_use]
    pub const fn has_delete_horizon(self) -> bool {
        self.has(Self::DELETE_HORIZON)
    }

    pub(super) fn with_compression(self, compression: Compression) -> Self {
        Self((self.0 & !Self::COMPRESSION) | i16::from(compression.id()))
    }

    pub(super) const fn with_timestamp_type(self, timestamp_type: TimestampType) -> Self {
        self.with(Self::LOG_APPEND_TIME, matches!(timestamp_type, TimestampType::LogAppendTime))
    }

    pub(super) const fn with_transactional(self, transactional: bool) -> Self {
        self.with(Self::TRANSACTIONAL, transactional)
    }

    pub(super) const fn with_control(self, control: bool) -> Self {
        self.with(Self::CONTROL, control)
    }

    pub(super) const fn with_delete_horizon(self, delete_horizon: bool) -> Self {
        self.with(Self::DELETE_HORIZON, delete_horizon)
    }

    const fn has(self, bit: i16) -> bool {
        self.0 & bit != 0
    }

    const fn with(self, bit: i16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}
