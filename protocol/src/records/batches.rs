//! Walks the batches of a fetched partition.

use bytes::Bytes;

use super::{BatchFault, BatchHeader, LegacyMessage, RecordBatch, RecordsError, legacy};

/// One entry of a partition's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Batch {
    /// A batch of magic 2.
    V2(RecordBatch),
    /// A message of magic 0 or 1: a record, or a compressed wrapper of several.
    Legacy(LegacyMessage),
}

impl Batch {
    /// Offset of its last record.
    #[must_use]
    pub fn last_offset(&self) -> i64 {
        match self {
            Self::V2(batch) => batch.header().last_offset(),
            Self::Legacy(message) => message.offset(),
        }
    }

    /// Where to go on after it.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Compares it with its CRC.
    ///
    /// # Errors
    ///
    /// [`RecordsError::CrcMismatch`].
    pub fn verify_crc(&self) -> Result<(), RecordsError> {
        match self {
            Self::V2(batch) => batch.verify_crc(),
            Self::Legacy(message) => message.verify_crc(),
        }
    }
}

/// Iterates over the batches in the records field of a fetched partition, reading headers only.
///
/// A broker cuts its answer off at a byte limit, so a truncated last batch is the normal end;
/// [`Self::truncated_len`] tells whether there was one. The first error is the last item.
#[derive(Debug, Clone)]
pub struct Batches {
    bytes: Bytes,
    at: usize,
    failed: bool,
}

impl Batches {
    /// Bytes up to and including the magic, which is in the same place in every version.
    const MAGIC_END: usize = 17;

    /// The batches in `bytes`.
    #[must_use]
    pub const fn new(bytes: Bytes) -> Self {
        Self { bytes, at: 0, failed: false }
    }

    /// Bytes that are not yet iterated. Once the iterator has ended without an error: those of the
    /// truncated last batch, 0 if it was whole. An answer that holds nothing else needs a larger
    /// fetch size.
    #[must_use]
    pub fn truncated_len(&self) -> usize {
        self.bytes.len().saturating_sub(self.at)
    }

    /// The next batch; `None` when it is truncated.
    fn parse_next(&self) -> Result<Option<(Batch, usize)>, BatchFault> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let Some(front) = rest.first_chunk::<{ Self::MAGIC_END }>() else { return Ok(None) };
        let &[.., a, b, c, d, _, _, _, _, magic] = front;
        let (length, magic) = (i32::from_be_bytes([a, b, c, d]), magic.cast_signed());
        let len = batch_len(length, magic)?;
        if len > rest.len() {
            return Ok(None);
        }
        let bytes = self.bytes.slice(self.at..self.at + len);
        let batch = match magic {
            BatchHeader::MAGIC => Batch::V2(RecordBatch::parse(bytes)?),
            _ => Batch::Legacy(LegacyMessage::parse(bytes)?),
        };
        Ok(Some((batch, len)))
    }
}

/// Bytes of a batch with these fields, if it can be one at all.
fn batch_len(length: i32, magic: i8) -> Result<usize, BatchFault> {
    let header_len = match magic {
        0 | 1 => legacy::min_len(magic),
        BatchHeader::MAGIC => BatchHeader::LEN,
        _ => return Err(BatchFault::Magic { magic }),
    };
    let len = usize::try_from(length).ok().and_then(|len| len.checked_add(BatchHeader::LENGTH_END));
    len.filter(|len| *len >= header_len).ok_or(BatchFault::Length { length })
}

impl Iterator for Batches {
    type Item = Result<Batch, RecordsError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.failed {
            return None;
        }
        match self.parse_next() {
            Ok(Some((batch, len))) => {
                self.at += len;
                Some(Ok(batch))
            }
            Ok(None) => None,
            Err(fault) => {
                self.failed = true;
                Some(Err(RecordsError::Batch { at: self.at, fault }))
            }
        }
    }
}

impl std::iter::FusedIterator for Batches {}
