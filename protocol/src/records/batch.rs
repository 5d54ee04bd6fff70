//! One batch of magic 2, as read.

use bytes::Bytes;

use super::{BatchFault, BatchHeader, RecordsError, SealedBatch};

/// Exactly one batch of magic 2: its header, parsed, over its bytes, shared and not copied.
///
/// Neither its CRC nor its records have been looked at. A clone costs one refcount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    header: BatchHeader,
    bytes: Bytes,
}

impl RecordBatch {
    /// Takes bytes that hold exactly one batch.
    ///
    /// # Errors
    ///
    /// [`BatchFault`], when the header is wrong, or there are more or fewer bytes than it says.
    pub fn parse(bytes: Bytes) -> Result<Self, BatchFault> {
        Ok(Self { header: parse_exactly_one(&bytes)?, bytes })
    }

    pub(super) const fn from_parts(header: BatchHeader, bytes: Bytes) -> Self {
        Self { header, bytes }
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// The whole batch, as on the wire.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The records as on the wire: still compressed, if the batch is.
    #[must_use]
    pub fn encoded_records(&self) -> &[u8] {
        self.bytes.get(BatchHeader::LEN..).unwrap_or_default()
    }

    /// As [`Self::encoded_records`], sharing the batch's bytes.
    pub(super) fn share_encoded_records(&self) -> Bytes {
        self.bytes.slice_ref(self.encoded_records())
    }

    /// Hashes the batch and compares it with its CRC.
    ///
    /// # Errors
    ///
    /// [`RecordsError::CrcMismatch`].
    pub fn verify_crc(&self) -> Result<(), RecordsError> {
        self.header.verify_crc(&self.bytes)
    }

    /// A copy of the batch that can be stamped, as a broker does with what it was sent.
    #[must_use]
    pub fn to_sealed(&self) -> SealedBatch {
        SealedBatch::from_parts(self.header, self.bytes.to_vec())
    }
}

/// The header of a batch that takes all of `bytes`.
pub(super) fn parse_exactly_one(bytes: &[u8]) -> Result<BatchHeader, BatchFault> {
    let header = BatchHeader::parse(bytes)?;
    let needed = header.batch_len().unwrap_or(usize::MAX);
    if bytes.len() < needed {
        return Err(BatchFault::Truncated { needed, present: bytes.len() });
    }
    match bytes.len() - needed {
        0 => Ok(header),
        extra => Err(BatchFault::TrailingBytes { extra }),
    }
}
