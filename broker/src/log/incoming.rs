//! Record batches as a producer sends them.

use ottla_protocol::ErrorCode;
use ottla_protocol::compression::Compression;
use ottla_protocol::records::{
    BatchDecoder, BatchFault, BatchHeader, RecordBatch, RecordsError, SealedBatch, TimestampType,
};
use ottla_protocol::wire::RecordChunks;

use super::batch::{Batch, MAX_DECOMPRESSED};

/// A batch from a producer, framed; [`verify`](Self::verify) tells whether a log may take it.
///
/// Both are done outside the world's lock, because they read every byte.
#[derive(Debug, Clone)]
pub struct Incoming {
    batch: RecordBatch,
}

impl Incoming {
    /// Takes the one batch that a produce request of `version` may carry for a partition, with what
    /// Kafka asks of it before it looks at `acks` and at the log.
    ///
    /// `frame_len` is the size of the request in bytes: a batch that is a small part of it is
    /// copied, so that a log never pins a frame for the sake of a few records.
    ///
    /// # Errors
    ///
    /// [`Refusal`], with what the producer is to be told.
    pub fn take(
        records: Option<RecordChunks>,
        version: i16,
        frame_len: usize,
    ) -> Result<Self, Refusal> {
        let bytes = records.unwrap_or_default().into_bytes();
        if bytes.is_empty() {
            return Err(Refusal::new(
                ErrorCode::InvalidRecord,
                "a produce request must have exactly one record batch per partition",
            ));
        }
        let batch = RecordBatch::parse(bytes).map_err(refuse_fault)?;
        if version < 7 && matches!(batch.header().compression(), Ok(Compression::Zstd)) {
            let reason = "produce requests below version 7 cannot carry zstd";
            return Err(Refusal::new(ErrorCode::UnsupportedCompressionType, reason));
        }
        let pins_too_much = batch.bytes().len().saturating_mul(4) < frame_len;
        Ok(Self { batch: if pins_too_much { batch.to_sealed().freeze() } else { batch } })
    }

    /// Whether a log may take it, as far as its topic has no say in that: CRC and header.
    ///
    /// # Errors
    ///
    /// [`Refusal`], with what the producer is to be told.
    pub fn verify(&self) -> Result<(), Refusal> {
        let corrupt = |error| Refusal::new(ErrorCode::CorruptMessage, error);
        self.batch.verify_crc().map_err(corrupt)?;
        check_header(self.header())
    }

    /// A batch that the broker made itself and that needs no checking.
    #[must_use]
    pub fn trusted(batch: RecordBatch) -> Self {
        Self { batch }
    }

    /// Its header.
    #[must_use]
    pub fn header(&self) -> &BatchHeader {
        self.batch.header()
    }

    /// Its size in bytes, which is what `max.message.bytes` limits.
    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.bytes().len()
    }

    /// Whether it has no bytes; a checked batch always has some.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The same records, stamped with the time of the append (`message.timestamp.type`).
    #[must_use]
    pub fn with_append_time(&self, wall_ms: i64) -> Self {
        let mut sealed: SealedBatch = self.batch.to_sealed();
        sealed.set_max_timestamp(TimestampType::LogAppendTime, wall_ms);
        Self { batch: sealed.freeze() }
    }

    /// Calls `visit` with the index, the timestamp and the presence of a key of every record.
    ///
    /// # Errors
    ///
    /// [`Refusal`], when the records cannot be read.
    pub fn for_each_record(&self, mut visit: impl FnMut(i32, i64, bool)) -> Result<(), Refusal> {
        let refuse = |error: RecordsError| Refusal::new(ErrorCode::InvalidRecord, error);
        let mut decoder = BatchDecoder::new(MAX_DECOMPRESSED);
        for (index, record) in (0..).zip(decoder.records(&self.batch).map_err(refuse)?) {
            let record = record.map_err(refuse)?;
            visit(index, record.timestamp, record.key.is_some());
        }
        Ok(())
    }

    /// The batch as the log of a leader in `epoch` keeps it at `base`.
    #[must_use]
    pub fn place(&self, base: i64, epoch: i32) -> Batch {
        Batch::place(&self.batch, base, epoch)
    }
}

/// Why records are not appended, as the producer is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What the partition's row answers.
    pub code: ErrorCode,
    /// The reason in words.
    pub message: Option<String>,
    /// The records at fault: index within the batch and reason. Empty when the whole batch is.
    pub records: Vec<(i32, String)>,
}

impl Refusal {
    /// A refusal of the whole batch.
    pub fn new(code: ErrorCode, reason: impl ToString) -> Self {
        Self { code, message: Some(reason.to_string()), records: Vec::new() }
    }
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

fn refuse_fault(fault: BatchFault) -> Refusal {
    match fault {
        // Kafka finds no batch in what is cut off, and none it could read behind another magic.
        BatchFault::Length { .. } => Refusal::new(ErrorCode::CorruptMessage, fault),
        BatchFault::Magic { magic } if magic > 2 => {
            let reason = format!("Invalid magic found in record: {magic}");
            Refusal::new(ErrorCode::CorruptMessage, reason)
        }
        _ => Refusal::new(ErrorCode::InvalidRecord, fault),
    }
}

/// What `LogValidator` asks of a client's batch before it looks at the records.
fn check_header(header: &BatchHeader) -> Result<(), Refusal> {
    let invalid = |reason: &str| Err(Refusal::new(ErrorCode::InvalidRecord, reason));
    let attributes = header.attributes;
    if header.base_offset != 0 {
        return invalid("the base offset of a produced batch must be 0");
    }
    if i64::from(header.record_count) != i64::from(header.last_offset_delta) + 1 {
        return invalid("the record count disagrees with the last offset delta");
    }
    if attributes.is_control() {
        return invalid("clients cannot write control records");
    }
    if header.producer.producer_id >= 0 && header.producer.base_sequence < 0 {
        return invalid("a batch with a producer id needs a sequence");
    }
    if attributes.timestamp_type() == TimestampType::LogAppendTime {
        let reason = "the timestamp type of a produced batch must be CreateTime";
        return Err(Refusal::new(ErrorCode::InvalidTimestamp, reason));
    }
    let codec = header.compression();
    codec.map(drop).map_err(|error| Refusal::new(ErrorCode::CorruptMessage, error))
}
