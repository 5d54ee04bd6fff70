//! A log without end whose batches were encoded beforehand.

use std::fmt;

use bytes::{Bytes, BytesMut};
use ottla_protocol::compression::{Codec, Compression, Compressor};
use ottla_protocol::records::{
    AppendError, BatchBuilder, Header, NewRecord, SealError, SealOptions,
};
use ottla_protocol::wire::RecordChunks;

use crate::counts::Flow;

/// Record values of one size, one behind the other; the file that all drivers produce from.
#[derive(Debug, Clone)]
pub struct Payload {
    bytes: Bytes,
    size: usize,
    keyed: bool,
}

impl Payload {
    /// Values of `size` bytes each.
    ///
    /// # Errors
    ///
    /// [`PayloadError::Size`], when `bytes` is not a whole number of them, or is empty.
    pub fn new(bytes: impl Into<Bytes>, size: usize) -> Result<Self, PayloadError> {
        let bytes = bytes.into();
        if size == 0 || bytes.is_empty() || !bytes.len().is_multiple_of(size) {
            return Err(PayloadError::Size { bytes: bytes.len(), size });
        }
        Ok(Self { bytes, size, keyed: false })
    }

    /// Gives every record a key of 16 bytes and two headers, as drivers do with `--keyed`.
    #[must_use]
    pub fn keyed(self, keyed: bool) -> Self {
        Self { keyed, ..self }
    }

    /// How many values there are; at least one.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() / self.size
    }

    /// Never.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        false
    }

    /// Bytes that a record takes beside its value: six varints and a byte, and what it is keyed with.
    fn overhead(&self) -> usize {
        if self.keyed { 9 + 55 } else { 9 }
    }

    fn append(&self, builder: &mut BatchBuilder, index: usize) -> Result<(), AppendError> {
        let value = Some(self.value(index));
        if !self.keyed {
            return builder.append(NewRecord::new(TIMESTAMP, None, value)).map(drop);
        }
        let key = format!("key-{:012}", index % 1_000_000);
        let headers =
            HEADERS.map(|(key, value)| Header { key: key.as_bytes(), value: Some(value) });
        let record = NewRecord { timestamp: TIMESTAMP, key: Some(key.as_bytes()), value, headers };
        builder.append(record).map(drop)
    }

    /// The value of record `index`; they repeat.
    fn value(&self, index: usize) -> &[u8] {
        let at = index % self.len() * self.size;
        &self.bytes[at..at + self.size]
    }
}

/// Why there is no canned log.
#[derive(Debug)]
pub enum PayloadError {
    /// The payload is not a whole number of values.
    Size {
        /// Length of the payload.
        bytes: usize,
        /// Length of each value.
        size: usize,
    },
    /// A value cannot be in a record.
    Append(AppendError),
    /// The codec refused.
    Seal(SealError),
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Size { bytes, size } => {
                write!(f, "a payload of {bytes} bytes is not a whole number of {size}-byte values")
            }
            Self::Append(error) => error.fmt(f),
            Self::Seal(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for PayloadError {}

/// What every partition holds: batches of equally many records, which repeat.
#[derive(Debug, Clone)]
pub struct CannedLog {
    /// Each without its base offset, which is not covered by the checksum.
    templates: Vec<Bytes>,
    records_per_batch: i64,
    end: i64,
}

impl CannedLog {
    /// Encodes batches of at most `batch_bytes` before compression, at least one record each. The
    /// log ends at offset `end`, rounded up to a whole batch.
    ///
    /// # Errors
    ///
    /// [`PayloadError`].
    pub fn encode(
        payload: &Payload,
        compression: Compression,
        batch_bytes: usize,
        end: i64,
    ) -> Result<Self, PayloadError> {
        let count = batch_bytes / (payload.size + payload.overhead());
        let count = count.max(1);
        let mut compressor = Compressor::new();
        let templates = (0..TEMPLATES)
            .map(|template| {
                let mut builder = BatchBuilder::new();
                for index in 0..count {
                    let index = template * count + index;
                    payload.append(&mut builder, index).map_err(PayloadError::Append)?;
                }
                let batch = builder
                    .seal_compressed(
                        &SealOptions::default(),
                        Codec::new(compression),
                        &mut compressor,
                        Vec::new(),
                    )
                    .map_err(PayloadError::Seal)?;
                Ok(Bytes::from(batch.into_buffer()).slice(BASE_OFFSET..))
            })
            .collect::<Result<_, PayloadError>>()?;
        let records_per_batch = i64::try_from(count).unwrap_or(i64::MAX);
        let batches = end.div_euclid(records_per_batch) + i64::from(end % records_per_batch != 0);
        let end = batches.saturating_mul(records_per_batch);
        Ok(Self { templates, records_per_batch, end })
    }

    /// The offset behind the last record.
    #[must_use]
    pub fn end(&self) -> i64 {
        self.end
    }

    /// How many records each batch has.
    #[must_use]
    pub fn records_per_batch(&self) -> i64 {
        self.records_per_batch
    }

    /// Whole batches from the one that holds `offset`, as many as `max_bytes` have room for. One
    /// even where it has none, if `at_least_one`: otherwise a small limit would stop a consumer for
    /// good (KIP-74).
    pub(crate) fn read(
        &self,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
        flow: &mut Flow,
    ) -> RecordChunks {
        let mut chunks = RecordChunks::new();
        let mut offsets = BytesMut::new();
        let mut taken = 0;
        let mut batch = offset / self.records_per_batch;
        while batch * self.records_per_batch < self.end {
            let template = &self.templates[usize::try_from(batch).unwrap_or(0) % TEMPLATES];
            let len = BASE_OFFSET + template.len();
            if taken + len > max_bytes && !(taken == 0 && at_least_one) {
                break;
            }
            offsets.extend_from_slice(&(batch * self.records_per_batch).to_be_bytes());
            chunks.push(offsets.split().freeze());
            chunks.push(template.clone());
            flow.add_batch(self.records_per_batch.unsigned_abs(), len as u64);
            taken += len;
            batch += 1;
        }
        chunks
    }
}

/// Bytes of the base offset, the first field of a batch.
const BASE_OFFSET: usize = 8;

/// The headers of a record that has some.
const HEADERS: [(&str, &[u8]); 2] = [("trace", b"0123456789abcdef"), ("source", b"bench")];

/// Different batches before they repeat, so that a decoder's branches are not trained on one.
const TEMPLATES: usize = 8;

/// When every record was made, in milliseconds since 1970.
const TIMESTAMP: i64 = 1_750_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::records::{Batch, BatchDecoder, Batches};

    #[test]
    fn a_read_starts_with_the_batch_that_holds_the_offset() {
        assert_eq!(base_offsets(&log(Compression::None, 1_000), 25, 1 << 20)[..2], [20, 30]);
    }

    #[test]
    fn a_read_takes_whole_batches_only() {
        let log = log(Compression::None, 1_000);
        let one = log.read(0, 0, true, &mut Flow::default()).len();
        assert_eq!(base_offsets(&log, 0, 3 * one - 1), [0, 10]);
    }

    #[test]
    fn a_small_limit_still_yields_one_batch_but_only_to_the_first_partition() {
        let log = log(Compression::None, 1_000);
        assert_eq!(base_offsets(&log, 0, 1), [0]);
        assert!(log.read(0, 1, false, &mut Flow::default()).is_empty());
    }

    #[test]
    fn the_log_ends_with_a_whole_batch() {
        let log = log(Compression::None, 995);
        assert_eq!(log.end(), 1_000);
        assert_eq!(base_offsets(&log, 985, 1 << 20), [980, 990]);
        assert!(log.read(1_000, 1 << 20, true, &mut Flow::default()).is_empty());
    }

    #[test]
    fn every_batch_of_every_codec_holds_the_payload_and_its_checksum() {
        for compression in Compression::ALL {
            let log = log(compression, 200);
            let bytes = log.read(0, 1 << 20, true, &mut Flow::default()).into_bytes();
            let mut seen = 0;
            for batch in Batches::new(bytes) {
                let Batch::V2(batch) = batch.unwrap() else { panic!("an old batch") };
                batch.verify_crc().unwrap();
                for record in BatchDecoder::new(1 << 20).records(&batch).unwrap() {
                    let record = record.unwrap();
                    assert_eq!(record.value.unwrap(), payload().value(seen % 80));
                    seen += 1;
                }
            }
            assert_eq!(seen, 200, "{compression}");
        }
    }

    #[test]
    fn records_that_are_keyed_have_a_key_and_two_headers() {
        let payload = payload().keyed(true);
        let log = CannedLog::encode(&payload, Compression::None, 750, 10).unwrap();
        let bytes = log.read(0, 1 << 20, true, &mut Flow::default()).into_bytes();
        assert!(bytes.len() <= 750 + 61, "{}", bytes.len());
        let Some(Ok(Batch::V2(batch))) = Batches::new(bytes).next() else { panic!("no batch") };
        let mut decoder = BatchDecoder::new(1 << 20);
        let mut records = decoder.records(&batch).unwrap();
        let record = records.nth(3).unwrap().unwrap();
        assert_eq!(record.key, Some(b"key-000000000003".as_slice()));
        assert_eq!(record.headers.into_iter().count(), 2);
    }

    #[test]
    fn what_is_read_is_counted() {
        let log = log(Compression::None, 100);
        let mut flow = Flow::default();
        let len = log.read(0, 1 << 20, true, &mut flow).len();
        assert_eq!((flow.batches, flow.records, flow.bytes), (10, 100, len as u64));
    }

    #[test]
    fn a_payload_of_broken_values_is_refused() {
        let refused = Payload::new(vec![0; 25], 10).unwrap_err();
        assert!(refused.to_string().contains("25 bytes"), "{refused}");
        assert!(Payload::new(Vec::new(), 10).is_err());
    }

    fn payload() -> Payload {
        let values = (0..400_u16).flat_map(|index| {
            let mut value = [b'.'; 10];
            value[..2].copy_from_slice(&index.to_be_bytes());
            value
        });
        Payload::new(values.collect::<Vec<u8>>(), 10).unwrap()
    }

    fn log(compression: Compression, end: i64) -> CannedLog {
        CannedLog::encode(&payload(), compression, 190, end).unwrap()
    }

    fn base_offsets(log: &CannedLog, offset: i64, max_bytes: usize) -> Vec<i64> {
        let chunks = log.read(offset, max_bytes, true, &mut Flow::default());
        let batches = Batches::new(chunks.into_bytes());
        batches
            .map(|batch| match batch.unwrap() {
                Batch::V2(batch) => batch.header().base_offset,
                Batch::Legacy(_) => panic!("an old batch"),
            })
            .collect()
    }
}
