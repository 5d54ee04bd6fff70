//! Batches against `kafka-protocol`, where it is right: unique header keys in UTF-8, CreateTime, no
//! compression.
#![expect(clippy::unwrap_used, reason = "in a test's helpers too, a panic is the report")]

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    protocol::StrBytes,
    records::{
        Compression, NO_PARTITION_LEADER_EPOCH, Record, RecordBatchDecoder, RecordBatchEncoder,
        RecordEncodeOptions, TimestampType,
    },
};
use ottla_protocol::records::{
    BatchBuilder, BatchDecoder, Header, NewRecord, ProducerStamp, RecordBatch, SealOptions,
};
use proptest::{collection::vec, option, prelude::*};

const BASE_OFFSET: i64 = 40;
const PRODUCER: ProducerStamp =
    ProducerStamp { producer_id: 7, producer_epoch: 2, base_sequence: 11 };

#[derive(Debug, Clone)]
struct Given {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<Option<Vec<u8>>>,
}

impl Given {
    fn header_keys(&self) -> impl Iterator<Item = String> {
        (0..self.headers.len()).map(|index| format!("header-{index}"))
    }
}

fn given_record() -> impl Strategy<Value = Given> {
    let bytes = || option::of(vec(any::<u8>(), 0..200));
    (0..1_i64 << 45, bytes(), bytes(), vec(bytes(), 0..4))
        .prop_map(|(timestamp, key, value, headers)| Given { timestamp, key, value, headers })
}

fn ours(given: &[Given]) -> RecordBatch {
    let mut builder = BatchBuilder::new();
    for record in given {
        let keys: Vec<_> = record.header_keys().collect();
        let pairs = keys.iter().zip(&record.headers);
        let headers =
            pairs.map(|(key, value)| Header { key: key.as_bytes(), value: value.as_deref() });
        let Given { timestamp, key, value, .. } = record;
        let (key, value) = (key.as_deref(), value.as_deref());
        builder.append(NewRecord { timestamp: *timestamp, key, value, headers }).unwrap();
    }
    let options = SealOptions {
        base_offset: BASE_OFFSET,
        producer: PRODUCER,
        transactional: true,
        ..SealOptions::default()
    };
    builder.seal(&options).freeze()
}

fn theirs(given: &[Given]) -> Bytes {
    let record = |(index, record): (i32, &Given)| {
        let keys = record.header_keys().map(StrBytes::from_string);
        let values = record.headers.iter().map(|value| value.clone().map(Bytes::from));
        Record {
            transactional: true,
            control: false,
            partition_leader_epoch: NO_PARTITION_LEADER_EPOCH,
            producer_id: PRODUCER.producer_id,
            producer_epoch: PRODUCER.producer_epoch,
            timestamp_type: TimestampType::Creation,
            offset: BASE_OFFSET + i64::from(index),
            sequence: PRODUCER.base_sequence + index,
            timestamp: record.timestamp,
            key: record.key.clone().map(Bytes::from),
            value: record.value.clone().map(Bytes::from),
            headers: keys.zip(values).collect(),
            delete_horizon: false,
        }
    };
    let records: Vec<_> = (0..).zip(given).map(record).collect();
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, &records, &options).unwrap();
    out.freeze()
}

proptest! {
    #[test]
    fn what_we_write_they_read(given in vec(given_record(), 1..20)) {
        let mut bytes = ours(&given).bytes().clone();
        let sets = RecordBatchDecoder::decode_all(&mut bytes).unwrap();
        let read: Vec<_> = sets.iter().flat_map(|set| &set.records).collect();
        prop_assert_eq!(read.len(), given.len());
        for (index, (record, given)) in (0..).zip(read.iter().zip(&given)) {
            prop_assert_eq!(record.offset, BASE_OFFSET + i64::from(index));
            prop_assert_eq!(record.sequence, PRODUCER.base_sequence + index);
            prop_assert!(record.transactional && !record.control);
            prop_assert_eq!(record.timestamp, given.timestamp);
            prop_assert_eq!(record.key.as_deref(), given.key.as_deref());
            prop_assert_eq!(record.value.as_deref(), given.value.as_deref());
            let values = record.headers.values().map(|value| value.as_deref());
            prop_assert!(values.eq(given.headers.iter().map(Option::as_deref)));
        }
    }

    #[test]
    fn what_they_write_we_read(given in vec(given_record(), 1..20)) {
        let batch = RecordBatch::parse(theirs(&given)).unwrap();
        batch.verify_crc().unwrap();
        prop_assert_eq!(batch.header().producer, PRODUCER);
        prop_assert!(batch.header().attributes.is_transactional());
        let mut decoder = BatchDecoder::new(1 << 20);
        let read: Result<Vec<_>, _> = decoder.records(&batch).unwrap().collect();
        let read = read.unwrap();
        prop_assert_eq!(read.len(), given.len());
        for (index, (record, given)) in (0..).zip(read.iter().zip(&given)) {
            prop_assert_eq!(record.offset, BASE_OFFSET + index);
            prop_assert_eq!(record.timestamp, given.timestamp);
            prop_assert_eq!(record.key, given.key.as_deref());
            prop_assert_eq!(record.value, given.value.as_deref());
            let values = record.headers.iter().map(|header| header.value);
            prop_assert!(values.eq(given.headers.iter().map(Option::as_deref)));
        }
    }
}
