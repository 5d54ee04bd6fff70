//! Records out of a batch that was sealed: to split it, or to give them back.

use bytes::Bytes;
use bytestring::ByteString;
use ottla_core::types::TopicName;
use ottla_protocol::compression::{Codec, Compressor};
use ottla_protocol::records::{
    BatchBuilder, BatchDecoder, NewRecord, OwnedRecord, RecordBatch, SealError, SealOptions,
    SealedBatch,
};

use crate::record::Record;

/// The records of `batch` in two batches of about half as many each, with the index of the first of
/// each; `None` where it has but one, or cannot be read.
pub(crate) fn halves(
    batch: &Bytes,
    options: &SealOptions,
    codec: Codec,
    compressor: &mut Compressor,
) -> Option<[(u32, SealedBatch); 2]> {
    let records = read(batch)?;
    let middle = records.len() / 2;
    let (low, high) = records.split_at_checked(middle).filter(|_| middle > 0)?;
    let first = u32::try_from(middle).ok()?;
    let low = seal(pack(low)?, options, codec, compressor).ok()?;
    let high = seal(pack(high)?, options, codec, compressor).ok()?;
    Some([(0, low), (first, high)])
}

/// Seals `builder` with `codec`.
pub(crate) fn seal(
    builder: BatchBuilder,
    options: &SealOptions,
    codec: Codec,
    compressor: &mut Compressor,
) -> Result<SealedBatch, SealError> {
    if codec == Codec::NONE {
        return Ok(builder.seal(options));
    }
    builder.seal_compressed(options, codec, compressor, Vec::new())
}

/// One record of `batch`, as it was handed in.
pub(crate) fn record_at(
    batch: &Bytes,
    index: u32,
    topic: &TopicName,
    partition: i32,
) -> Option<Record> {
    let records = read(batch)?;
    give_back(records.get(usize::try_from(index).ok()?)?, topic, partition)
}

/// All records of `batch`, as they were handed in.
pub(crate) fn records(batch: &Bytes, topic: &TopicName, partition: i32) -> Vec<Record> {
    let records = read(batch).unwrap_or_default();
    records.iter().filter_map(|record| give_back(record, topic, partition)).collect()
}

fn give_back(record: &OwnedRecord, topic: &TopicName, partition: i32) -> Option<Record> {
    let mut back = Record::to(topic).partition(partition).timestamp(record.timestamp());
    if let Some(key) = record.key() {
        back = back.key(Bytes::copy_from_slice(key));
    }
    if let Some(value) = record.value() {
        back = back.value(Bytes::copy_from_slice(value));
    }
    for header in record.headers() {
        let key = ByteString::from(header.key_str().ok()?);
        back = match header.value {
            Some(value) => back.header(key, Bytes::copy_from_slice(value)),
            None => back.null_header(key),
        };
    }
    Some(back)
}

fn read(batch: &Bytes) -> Option<Vec<OwnedRecord>> {
    let batch = RecordBatch::parse(batch.clone()).ok()?;
    // Our own bytes: they decompress to what was put in.
    let mut decoder = BatchDecoder::new(MAX_LEN);
    decoder.owned_records(&batch).ok()?.collect::<Result<_, _>>().ok()
}

fn pack(records: &[OwnedRecord]) -> Option<BatchBuilder> {
    let mut builder = BatchBuilder::new();
    for record in records {
        let headers = record.headers();
        let (key, value) = (record.key(), record.value());
        builder.append(NewRecord { timestamp: record.timestamp(), key, value, headers }).ok()?;
    }
    Some(builder)
}

/// No batch is longer, compressed or not.
const MAX_LEN: usize = i32::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::compression::Compression;
    use ottla_protocol::records::Header;

    fn batch(count: u8, codec: Codec) -> Bytes {
        let mut builder = BatchBuilder::new();
        for index in 0..count {
            let headers =
                [Header { key: b"h", value: None }, Header { key: b"h", value: Some(b"") }];
            let (key, value) = (Some(&[index][..]), Some(&[7; 100][..]));
            let timestamp = 1_000 + i64::from(index);
            builder.append(NewRecord { timestamp, key, value, headers }).unwrap();
        }
        seal(builder, &SealOptions::default(), codec, &mut Compressor::new())
            .unwrap()
            .into_buffer()
            .into()
    }

    #[test]
    fn halves_have_all_records_in_order_whatever_the_codec() {
        for codec in [Codec::NONE, Codec::new(Compression::Lz4)] {
            let whole = batch(7, codec);
            let parts =
                halves(&whole, &SealOptions::default(), codec, &mut Compressor::new()).unwrap();
            assert_eq!(parts.each_ref().map(|(first, _)| *first), [0, 3]);
            let of_parts =
                parts.into_iter().flat_map(|(_, part)| read(&part.into_buffer().into()).unwrap());
            let view = |record: OwnedRecord| {
                (record.timestamp(), record.key_bytes(), record.headers().len())
            };
            let of_whole: Vec<_> = read(&whole).unwrap().into_iter().map(view).collect();
            assert_eq!(of_parts.map(view).collect::<Vec<_>>(), of_whole);
        }
    }

    #[test]
    fn a_single_record_cannot_be_halved() {
        assert!(
            halves(
                &batch(1, Codec::NONE),
                &SealOptions::default(),
                Codec::NONE,
                &mut Compressor::new()
            )
            .is_none()
        );
    }

    #[test]
    fn a_record_comes_back_as_it_was() {
        let record = record_at(&batch(3, Codec::NONE), 2, &"t".into(), 5).unwrap();
        let expected = Record::to("t").partition(5).timestamp(1_002).key(vec![2]);
        assert_eq!(record, expected.value(vec![7; 100]).null_header("h").header("h", ""));
    }
}
