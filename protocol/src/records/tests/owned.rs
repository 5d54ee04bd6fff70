//! Records that outlive their batch.

use std::sync::Arc;

use super::*;

#[test]
fn owned_records_are_small_and_may_cross_threads() {
    fn sendable<T: Send + Sync + 'static>() {}
    sendable::<OwnedRecord>();
    assert_eq!(size_of::<OwnedRecord>(), 56);
}

#[test]
fn an_uncompressed_record_shares_the_bytes_of_its_batch() {
    let batch = batch_of(2);
    let records = read(&batch).unwrap();
    let within = batch.bytes().as_ptr_range();
    assert!(within.contains(&records[1].value().unwrap().as_ptr()));
    assert_eq!(records[1].value_bytes().unwrap(), "value 1");
    assert_eq!(records[1].key_bytes(), None);
}

#[test]
fn a_compressed_record_outlives_its_decoder() {
    for compression in enabled() {
        let mut builder = BatchBuilder::new();
        builder.append(NewRecord::new(1, Some(b"k"), Some(b"v"))).unwrap();
        let batch = seal_with(&builder, &SealOptions::default(), compression).freeze();
        let records = read(&batch).unwrap();
        drop(batch);
        assert_eq!(records[0].key_bytes().unwrap(), "k");
    }
}

#[test]
fn the_records_that_are_wanted_are_those_of_the_range_and_then_nothing_follows() {
    let batch = batch_of(5);
    let section = Arc::new(batch.share_encoded_records());
    for (wanted, expected) in [
        (0..5, vec![0, 1, 2, 3, 4]),
        (1..3, vec![1, 2]),
        (3..9, vec![3, 4]),
        (2..2, vec![]),
        (5..9, vec![]),
        (-3..1, vec![0]),
    ] {
        let mut records = OwnedRecords::over(batch.header(), Arc::clone(&section)).unwrap();
        let mut given = Vec::new();
        while let Some(record) = records.next_in(wanted.clone()) {
            given.push(record.unwrap().offset());
        }
        assert_eq!(given, expected, "{wanted:?}");
        assert!(records.next().is_none(), "{wanted:?}");
    }
}

#[test]
fn what_is_wrong_behind_the_wanted_records_is_not_met() {
    let batch = batch_of(3);
    let mut bytes = batch.encoded_records().to_vec();
    // The last record claims to be longer than it is.
    let last = bytes.len() - bytes.len() / 3;
    bytes[last] += 2;
    let section = Arc::new(Bytes::from(bytes));
    let mut records = OwnedRecords::over(batch.header(), Arc::clone(&section)).unwrap();
    assert_eq!(records.next_in(0..1).unwrap().unwrap().offset(), 0);
    assert!(records.next_in(0..1).is_none());
    assert!(records.next_in(0..9).is_none());

    let mut records = OwnedRecords::over(batch.header(), section).unwrap();
    assert!(records.next_in(2..9).unwrap().is_err());
    assert!(records.next_in(2..9).is_none());
}
