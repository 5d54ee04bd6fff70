//! Record batches as a log keeps them.

use bytes::{Bytes, BytesMut};
use ottla_protocol::records::{BatchDecoder, BatchFault, BatchHeader, RecordBatch};
use ottla_protocol::wire::RecordChunks;

use super::Found;

/// What the log keeps of one record batch.
///
/// `body` is the bytes as received, from the magic byte on, but for timestamps. Where the batch sits and under which
/// leader are the log's to say: the CRC does not cover them, so nothing is ever patched, and the
/// same bytes serve the leader, its followers and every fetch.
#[derive(Debug, Clone)]
pub struct Batch {
    header: BatchHeader,
    body: Bytes,
}

impl Batch {
    /// A batch as the log of a leader in `epoch` keeps it at `base`.
    pub(super) fn place(batch: &RecordBatch, base: i64, epoch: i32) -> Self {
        let header =
            BatchHeader { base_offset: base, partition_leader_epoch: epoch, ..*batch.header() };
        Self { header, body: batch.bytes().slice(PREFIX_LEN..) }
    }

    /// Its header, with the offset and epoch it has in this log.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        &self.header
    }

    /// Offset of its first record.
    #[must_use]
    pub fn base(&self) -> i64 {
        self.header.base_offset
    }

    /// Offset of its last record.
    #[must_use]
    pub fn last(&self) -> i64 {
        self.header.last_offset()
    }

    /// Offset behind its last record.
    #[must_use]
    pub fn next(&self) -> i64 {
        self.header.next_offset()
    }

    /// The leader epoch it was appended in.
    #[must_use]
    pub fn epoch(&self) -> i32 {
        self.header.partition_leader_epoch
    }

    /// Its size on the wire, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        PREFIX_LEN + self.body.len()
    }

    /// Whether it has no bytes, which no batch is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// The batch in one piece, as a reader takes it. Copies.
    ///
    /// # Errors
    ///
    /// [`BatchFault`], never for a batch that was checked when it came.
    pub fn to_record_batch(&self) -> Result<RecordBatch, BatchFault> {
        let mut whole = BytesMut::with_capacity(self.len());
        whole.extend_from_slice(&self.prefix());
        whole.extend_from_slice(&self.body);
        RecordBatch::parse(whole.freeze())
    }

    /// Calls `visit` with each record until it returns `true`, or the rest cannot be read.
    pub(super) fn for_each_record(&self, mut visit: impl FnMut(Found) -> bool) {
        let Ok(batch) = self.to_record_batch() else { return };
        let mut decoder = BatchDecoder::new(MAX_DECOMPRESSED);
        let Ok(records) = decoder.records(&batch) else { return };
        let epoch = self.epoch();
        let mut found = records.map_while(Result::ok).map(|record| Found {
            offset: record.offset,
            timestamp: record.timestamp,
            epoch,
        });
        let _whole = found.find(|found| visit(*found));
    }

    /// Base offset, length and leader epoch: what precedes the magic byte.
    fn prefix(&self) -> [u8; PREFIX_LEN] {
        let header = self.header.encode();
        header.first_chunk().copied().unwrap_or_default()
    }
}

/// The batches as they go into a fetch response, most of their bytes shared and not copied.
///
/// A body of less than 4 KiB is copied behind its prefix: one slice more for each batch costs a
/// vectored write more than the copy does.
#[must_use]
pub fn to_chunks(batches: &[Batch]) -> RecordChunks {
    let mut chunks = RecordChunks::new();
    let mut run = BytesMut::with_capacity(PREFIX_LEN * batches.len());
    for batch in batches {
        run.extend_from_slice(&batch.prefix());
        if batch.body.len() < COPY_BELOW {
            run.extend_from_slice(&batch.body);
        } else {
            chunks.push(run.split().freeze());
            chunks.push(batch.body.clone());
        }
    }
    chunks.push(run.freeze());
    chunks
}

/// Bytes of a batch in front of its magic byte.
const PREFIX_LEN: usize = 16;

/// Bodies below this size in bytes are copied into a response.
const COPY_BELOW: usize = 4096;

/// What one batch may unpack to, in bytes, where the broker must look into it.
pub(super) const MAX_DECOMPRESSED: usize = 256 << 20;
