//! What another crate was seen to do wrong, one test each.

use super::*;

#[test]
fn duplicate_header_keys_are_kept_in_order() {
    let headers = [("a", Some("1")), ("b", None), ("a", Some("2")), ("", Some(""))]
        .map(|(key, value)| Header { key: key.as_bytes(), value: value.map(str::as_bytes) });
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord { timestamp: 0, key: None, value: None, headers }).unwrap();
    let records = read(&builder.seal(&SealOptions::default()).freeze()).unwrap();
    assert!(records[0].headers().iter().eq(headers));
    assert_eq!(records[0].headers().last(b"a").unwrap().value, Some(&b"2"[..]));
}

#[test]
fn header_keys_need_not_be_utf_8() {
    let headers = [Header { key: b"\xff\xfe", value: None }, Header { key: b"ok", value: None }];
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord { timestamp: 0, key: None, value: None, headers }).unwrap();
    let records = read(&builder.seal(&SealOptions::default()).freeze()).unwrap();
    let keys: Vec<_> = records[0].headers().iter().map(|header| header.key_str().ok()).collect();
    assert_eq!(keys, [None, Some("ok")]);
}

#[test]
fn log_append_time_is_the_time_of_every_record() {
    let mut builder = BatchBuilder::new();
    for timestamp in [1_000, 2_000] {
        builder.append(NewRecord::new(timestamp, None, None)).unwrap();
    }
    let options = SealOptions { log_append_time: Some(9_999), ..SealOptions::default() };
    let batch = builder.seal(&options).freeze();
    assert_eq!(batch.header().max_timestamp, 9_999);
    let timestamps: Vec<_> = read(&batch).unwrap().iter().map(OwnedRecord::timestamp).collect();
    assert_eq!(timestamps, [9_999, 9_999]);
}

#[test]
fn an_empty_compacted_batch_still_says_where_to_go_on() {
    let mut builder = BatchBuilder::new();
    builder.retain_last_offset_delta(41);
    let options = SealOptions { base_offset: 100, ..SealOptions::default() };
    let batch = builder.seal(&options).freeze();
    assert_eq!(batch.header().record_count, 0);
    assert_eq!(batch.header().max_timestamp, -1);
    assert_eq!(batch.header().next_offset(), 142);
    assert_eq!(read(&batch).unwrap(), []);
}

#[test]
fn compaction_leaves_gaps_and_keeps_the_last_offset() {
    let mut builder = BatchBuilder::new();
    builder.append_at(3, NewRecord::new(5, None, Some(b"x"))).unwrap();
    builder.append_at(90, NewRecord::new(6, None, Some(b"y"))).unwrap();
    builder.retain_last_offset_delta(200);
    let options = SealOptions { base_offset: 1_000, ..SealOptions::default() };
    let batch = builder.seal(&options).freeze();
    let offsets: Vec<_> = read(&batch).unwrap().iter().map(OwnedRecord::offset).collect();
    assert_eq!(offsets, [1_003, 1_090]);
    assert_eq!(batch.header().last_offset(), 1_200);
}

#[test]
fn a_truncated_last_batch_is_the_normal_end() {
    let whole = batch_of(3).bytes().clone();
    for cut in 0..whole.len() {
        let bytes = Bytes::from([&whole[..], &whole[..cut]].concat());
        let mut batches = Batches::new(bytes);
        assert!(matches!(batches.next(), Some(Ok(Batch::V2(_)))));
        assert!(batches.next().is_none(), "{cut}");
        assert_eq!(batches.truncated_len(), cut);
    }
}

#[test]
fn counts_beyond_the_bytes_are_refused_before_anything_is_reserved() {
    let lie = with_header(&batch_of(3), |header| {
        header.last_offset_delta = i32::MAX - 1;
        header.record_count = i32::MAX;
    });
    let batch = lie.unwrap();
    let refused = BatchDecoder::new(LIMIT).records(&batch).unwrap_err();
    assert!(matches!(
        refused,
        RecordsError::Record { at: 0, fault: RecordFault::MissingRecords { .. }, .. }
    ));
    // A header count of i32::MAX in a record of eight bytes.
    let section = [24, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f, 2, b'h'];
    assert_eq!(fault(&with_section(1, 0, &section)), (13, RecordFault::Truncated));
}

#[test]
fn two_bytes_are_too_few_but_no_panic() {
    assert!(Batches::new(Bytes::from_static(&[0, 0])).next().is_none());
    assert!(matches!(
        RecordBatch::parse(Bytes::from_static(&[0, 0])),
        Err(BatchFault::Truncated { needed: 61, present: 2 })
    ));
}

#[test]
fn decompression_stops_at_the_limit() {
    for compression in enabled().filter(|compression| *compression != Compression::None) {
        let mut builder = BatchBuilder::new();
        builder.append(NewRecord::new(0, None, Some(&vec![0; 4 << 20]))).unwrap();
        let bomb = seal_with(&builder, &SealOptions::default(), compression).freeze();
        let refused = BatchDecoder::new(1 << 20).owned_records(&bomb).unwrap_err();
        let limit = 1 << 20;
        assert_eq!(
            refused,
            RecordsError::Compression(crate::compression::CompressionError::OutputTooLarge {
                limit
            })
        );
    }
}

#[test]
fn a_sequence_does_not_depend_on_the_offsets() {
    let mut builder = BatchBuilder::new();
    builder.append_at(4, NewRecord::new(0, None, None)).unwrap();
    builder.append_at(9, NewRecord::new(0, None, None)).unwrap();
    let producer = ProducerStamp { producer_id: 1, producer_epoch: 0, base_sequence: i32::MAX };
    let batch = builder.seal(&SealOptions { producer, ..SealOptions::default() });
    assert_eq!(batch.header().producer, producer);
    assert_eq!(batch.header().record_count, 2);
}
