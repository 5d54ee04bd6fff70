//! Records that outlive their batch.

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
