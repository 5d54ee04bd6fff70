//! Bytes that lie.

use super::*;

/// Offset delta 0, null key, value `v`, no headers.
const GOOD: [u8; 8] = [14, 0, 0, 0, 1, 2, b'v', 0];

fn two_records(second_delta: u8) -> Vec<u8> {
    let mut second = GOOD;
    second[3] = second_delta;
    [GOOD, second].concat()
}

#[test]
fn a_section_cut_at_any_byte_is_refused() {
    let headers = [Header { key: b"header", value: Some(b"value") }];
    let mut builder = BatchBuilder::new();
    for _ in 0..2 {
        let record = NewRecord { timestamp: 1 << 40, key: Some(b"key"), value: None, headers };
        builder.append(record).unwrap();
    }
    let whole = builder.seal(&SealOptions::default()).freeze();
    for len in 0..whole.encoded_records().len() {
        let cut = with_section(2, 1, &whole.encoded_records()[..len]);
        assert!(matches!(read(&cut), Err(RecordsError::Record { .. })), "{len}");
    }
}

#[test]
fn a_record_longer_than_its_fields_is_refused() {
    let section = [16, 0, 0, 0, 1, 2, b'v', 0, 0];
    assert_eq!(fault(&with_section(1, 0, &section)), (8, RecordFault::LeftoverBytes { bytes: 1 }));
}

#[test]
fn a_record_shorter_than_its_fields_is_refused() {
    let section = [12, 0, 0, 0, 1, 2, b'v', 0];
    assert_eq!(fault(&with_section(1, 0, &section)), (7, RecordFault::Truncated));
}

#[test]
fn bytes_after_the_last_record_are_refused() {
    let section = two_records(2);
    assert_eq!(fault(&with_section(1, 1, &section)), (8, RecordFault::TrailingBytes { bytes: 8 }));
}

#[test]
fn records_that_are_missing_are_counted() {
    let section = two_records(2);
    let batch = with_section(2, 9, &section[..8]);
    assert_eq!(fault(&batch), (0, RecordFault::MissingRecords { missing: 1 }));
    // Enough bytes for two by the smallest record's length, but not two records.
    let long = [26, 0, 0, 0, 1, 14, 1, 2, 3, 4, 5, 6, 7, 0];
    let batch = with_section(2, 9, &long);
    assert_eq!(fault(&batch), (14, RecordFault::MissingRecords { missing: 1 }));
}

#[test]
fn negative_lengths_are_refused() {
    let negative = |length| RecordFault::NegativeLength { length };
    assert_eq!(fault(&with_section(1, 0, &[1, 0, 0, 0, 1, 1, 0])), (0, negative(-1)));
    assert_eq!(fault(&with_section(1, 0, &[12, 0, 0, 0, 1, 1, 1])), (7, negative(-1)));
    // A header's key cannot be null.
    let section = [16, 0, 0, 0, 1, 1, 2, 1, 1];
    assert_eq!(fault(&with_section(1, 0, &section)), (8, negative(-1)));
}

#[test]
fn any_negative_length_of_a_key_or_a_value_is_null() {
    for section in [[12, 0, 0, 0, 3, 1, 0], [12, 0, 0, 0, 1, 0x7f, 0]] {
        let records = read(&with_section(1, 0, &section)).unwrap();
        assert_eq!((records[0].key(), records[0].value()), (None, None));
    }
    let records = read(&with_section(1, 0, &[18, 0, 0, 0, 1, 1, 2, 2, b'h', 3])).unwrap();
    let header = Header { key: b"h", value: None };
    assert!(records[0].headers().iter().eq([header]));
}

#[test]
fn offsets_that_do_not_ascend_or_leave_the_batch_are_read_as_they_stand() {
    // Java's consumer reads them, and brokers keep them: refused, they would end a partition.
    for (second_delta, offset) in [(2, 1), (0, 0), (1, -1), (4, 2), (20, 10)] {
        let records = read(&with_section(2, 1, &two_records(second_delta))).unwrap();
        let offsets: Vec<_> = records.iter().map(OwnedRecord::offset).collect();
        assert_eq!(offsets, [0, offset]);
    }
}

#[test]
fn more_records_than_offsets_are_read() {
    let records = read(&with_section(2, 0, &two_records(2))).unwrap();
    let offsets: Vec<_> = records.iter().map(OwnedRecord::offset).collect();
    assert_eq!(offsets, [0, 1]);
}

#[test]
fn an_offset_beyond_the_largest_wraps_around() {
    let batch = with_header(&with_section(2, 0, &two_records(4)), |header| {
        header.base_offset = i64::MAX - 1;
    });
    let records = read(&batch.unwrap()).unwrap();
    let offsets: Vec<_> = records.iter().map(OwnedRecord::offset).collect();
    assert_eq!(offsets, [i64::MAX - 1, i64::MIN]);
}

#[test]
fn a_varint_of_eleven_bytes_is_refused_and_one_of_ten_is_not() {
    let with_timestamp = |timestamp: &[u8]| {
        let mut section = vec![u8::try_from(2 * (6 + timestamp.len())).unwrap(), 0];
        section.extend(timestamp);
        section.extend([0, 1, 1, 0]);
        with_section(1, 0, &section)
    };
    let mut ten = [0xff; 10];
    ten[9] = 1;
    // The base timestamp of an empty builder is −1; the delta is i64::MIN.
    let batch = with_timestamp(&ten);
    assert_eq!(fault(&batch).1, RecordFault::Truncated, "the length counts one byte too many");
    let mut section = vec![30, 0];
    section.extend(ten);
    section.extend([0, 1, 1, 0]);
    assert_eq!(read(&with_section(1, 0, &section)).unwrap()[0].timestamp(), i64::MAX);
    section[11] = 2;
    assert_eq!(fault(&with_section(1, 0, &section)), (2, RecordFault::VarintOverflow));
    section[11] = 0x81;
    assert_eq!(fault(&with_section(1, 0, &section)), (2, RecordFault::VarintOverflow));
}

#[test]
fn nothing_follows_an_error() {
    let mut section = two_records(2);
    // The second record claims to be longer than it is.
    section[GOOD.len()] += 2;
    let batch = with_section(2, 1, &section);
    let mut decoder = BatchDecoder::new(LIMIT);
    let mut records = decoder.records(&batch).unwrap();
    assert!(records.next().unwrap().is_ok());
    assert!(records.next().unwrap().is_err());
    assert!(records.next().is_none() && records.next().is_none());
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let batch = batch_of(3);
    let refused = |change: fn(&mut BatchHeader)| with_header(&batch, change).unwrap_err();
    assert!(matches!(refused(|header| header.base_offset = -1), BatchFault::Offsets { .. }));
    assert!(matches!(refused(|header| header.last_offset_delta = -1), BatchFault::Offsets { .. }));
    assert!(matches!(refused(|header| header.base_offset = i64::MAX), BatchFault::Offsets { .. }));
    assert!(matches!(
        refused(|header| header.base_offset = i64::MAX - 2),
        BatchFault::Offsets { .. }
    ));
    assert!(matches!(refused(|header| header.record_count = -1), BatchFault::RecordCount { .. }));
    assert!(matches!(refused(|header| header.batch_length = 48), BatchFault::Length { .. }));
    assert!(matches!(refused(|header| header.batch_length = -1), BatchFault::Length { .. }));
    assert!(matches!(refused(|header| header.batch_length += 1), BatchFault::Truncated { .. }));
    assert!(matches!(
        refused(|header| header.batch_length -= 1),
        BatchFault::TrailingBytes { extra: 1 }
    ));
}

#[test]
fn every_flipped_bit_behind_the_crc_is_noticed() {
    let whole = batch_of(2);
    for bit in 17 * 8..whole.bytes().len() * 8 {
        let mut bytes = whole.bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(batch) = RecordBatch::parse(Bytes::from(bytes)) {
            assert!(matches!(batch.verify_crc(), Err(RecordsError::CrcMismatch { .. })), "{bit}");
            drop(read(&batch));
        }
    }
}

#[test]
fn an_unassigned_codec_is_an_error_when_the_records_are_asked_for() {
    let batch = with_header(&batch_of(1), |header| header.attributes = Attributes::from_bits(7));
    let refused = read(&batch.unwrap()).unwrap_err();
    let unknown = crate::compression::CompressionError::UnknownCodec { id: 7 };
    assert_eq!(refused, RecordsError::Compression(unknown));
}

#[test]
fn errors_say_what_and_where() {
    let refused = read(&with_section(1, 0, &[12, 0, 0, 0, 1, 1, 3])).unwrap_err();
    assert_eq!(refused.to_string(), "batch at offset 0, byte 7 of its records: length or count -2");
    assert!(size_of::<RecordsError>() <= 48);
}
