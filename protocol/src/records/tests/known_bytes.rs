//! Bytes worked out by hand from the format.

use super::*;

/// One record: timestamp 1,000, key `k`, value `vv`, header `h` with a null value.
const RECORD: &[u8] = &[
    24, // length 12
    0,  // attributes
    0,  // timestamp delta
    0,  // offset delta
    2, b'k', 4, b'v', b'v', // key, value
    2, 2, b'h', 1, // one header: key `h`, value −1
];

const HEADER: &[u8] = &[
    0, 0, 0, 0, 0, 0, 0, 7, // base offset
    0, 0, 0, 62, // length: 49 of the header, 13 of the record
    0, 0, 0, 5, // partition leader epoch
    2, // magic
];

const HASHED: &[u8] = &[
    0, 0b1_0000, // transactional
    0, 0, 0, 0, // last offset delta
    0, 0, 0, 0, 0, 0, 0x03, 0xe8, // base timestamp
    0, 0, 0, 0, 0, 0, 0x03, 0xe8, // max timestamp
    0, 0, 0, 0, 0, 0, 0, 9, // producer id
    0, 3, // producer epoch
    0, 0, 0, 4, // base sequence
    0, 0, 0, 1, // record count
];

fn by_hand() -> Vec<u8> {
    let hashed = [HASHED, RECORD].concat();
    let crc = bitwise_crc32c(&hashed).to_be_bytes();
    [HEADER, &crc, &hashed].concat()
}

/// The definition of CRC32C, one bit at a time.
fn bitwise_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
        }
    }
    !crc
}

#[test]
fn a_batch_is_written_byte_for_byte_as_the_format_says() {
    let mut builder = BatchBuilder::new();
    let record = NewRecord {
        timestamp: 1_000,
        key: Some(b"k"),
        value: Some(b"vv"),
        headers: [Header { key: b"h", value: None }],
    };
    assert_eq!(builder.size_of_next(record), Ok(RECORD.len()));
    builder.append(record).unwrap();
    let batch = builder.seal(&SealOptions {
        base_offset: 7,
        partition_leader_epoch: 5,
        producer: ProducerStamp { producer_id: 9, producer_epoch: 3, base_sequence: 4 },
        transactional: true,
        ..SealOptions::default()
    });
    assert_eq!(batch.as_bytes(), by_hand());
}

#[test]
fn a_batch_is_read_as_the_format_says() {
    let batch = RecordBatch::parse(Bytes::from(by_hand())).unwrap();
    batch.verify_crc().unwrap();
    let header = batch.header();
    assert_eq!((header.base_offset, header.last_offset(), header.next_offset()), (7, 7, 8));
    assert_eq!(header.partition_leader_epoch, 5);
    assert!(header.attributes.is_transactional() && !header.attributes.is_control());
    assert_eq!(header.producer.base_sequence, 4);
    let records = read(&batch).unwrap();
    let record = records[0].as_record();
    assert_eq!((record.offset, record.timestamp), (7, 1_000));
    assert_eq!((record.key, record.value), (Some(&b"k"[..]), Some(&b"vv"[..])));
    let headers: Vec<_> = record.headers.iter().collect();
    assert_eq!(headers, [Header { key: b"h", value: None }]);
}

#[test]
fn attributes_are_where_the_format_has_them() {
    let attributes = Attributes::from_bits(0b110_1011);
    assert_eq!(attributes.compression(), Ok(Compression::Lz4));
    assert_eq!(attributes.timestamp_type(), TimestampType::LogAppendTime);
    assert!(!attributes.is_transactional());
    assert!(attributes.is_control());
    assert!(attributes.has_delete_horizon());
}
