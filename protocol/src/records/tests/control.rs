//! Control batches.

use super::*;

#[test]
fn an_end_transaction_marker_is_written_as_java_writes_it() {
    let mut marker =
        SealedBatch::end_transaction(ControlRecordType::Commit, 7, 42, 3, 1_234).unwrap();
    marker.set_base_offset(10);
    let batch = marker.freeze();
    batch.verify_crc().unwrap();
    let header = batch.header();
    assert!(header.attributes.is_control() && header.attributes.is_transactional());
    let producer = ProducerStamp { producer_id: 42, producer_epoch: 3, base_sequence: -1 };
    assert_eq!(header.producer, producer);
    assert_eq!((header.base_timestamp, header.max_timestamp), (1_234, 1_234));
    // length 16, attributes, deltas, key (version 0, type 1), value (version 0, epoch 7), headers
    let expected = [32, 0, 0, 0, 8, 0, 0, 0, 1, 12, 0, 0, 0, 0, 0, 7, 0];
    assert_eq!(batch.encoded_records(), expected);
}

#[test]
fn markers_are_read_back() {
    for record_type in [ControlRecordType::Abort, ControlRecordType::Commit] {
        let batch = SealedBatch::end_transaction(record_type, 7, 42, 3, 0).unwrap().freeze();
        let records = read(&batch).unwrap();
        let record = records[0].as_record();
        let key = ControlRecordKey::parse(&record).unwrap();
        assert_eq!(key, ControlRecordKey { version: 0, record_type });
        let marker = EndTransactionMarker { version: 0, coordinator_epoch: 7 };
        assert_eq!(EndTransactionMarker::parse(&record), Ok(marker));
    }
}

#[test]
fn every_type_has_its_id_and_unknown_ones_are_kept() {
    for id in -1..9 {
        let record_type = ControlRecordType::from_id(id);
        assert_eq!(record_type.id(), id);
        assert_eq!(matches!(record_type, ControlRecordType::Unknown(_)), !(0..7).contains(&id));
    }
}

#[test]
fn keys_and_values_that_are_too_short_are_refused() {
    let record =
        |key, value| Record { offset: 0, timestamp: 0, key, value, headers: Headers::default() };
    let refused = ControlRecordKey::parse(&record(Some(&[0, 0, 0][..]), None));
    assert_eq!(refused, Err(RecordFault::ControlRecord { len: 3 }));
    let refused = EndTransactionMarker::parse(&record(None, None));
    assert_eq!(refused, Err(RecordFault::ControlRecord { len: 0 }));
}
