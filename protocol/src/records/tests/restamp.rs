//! A stamp must be indistinguishable from sealing anew.

use proptest::prelude::*;

use super::*;

fn builder(values: &[Vec<u8>]) -> BatchBuilder {
    let mut builder = BatchBuilder::new();
    for value in values {
        builder.append(NewRecord::new(1_000, None, Some(value))).unwrap();
    }
    builder
}

proptest! {
    #[test]
    fn a_stamp_equals_a_seal_from_scratch(
        values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..40),
        producer_id in any::<i64>(),
        producer_epoch in any::<i16>(),
        base_sequence in any::<i32>(),
        base_offset in 0..i64::MAX - 100,
        partition_leader_epoch in any::<i32>(),
        append_time in proptest::option::of(any::<i64>()),
    ) {
        let producer = ProducerStamp { producer_id, producer_epoch, base_sequence };
        let options = SealOptions {
            base_offset,
            partition_leader_epoch,
            producer,
            log_append_time: append_time,
            ..SealOptions::default()
        };
        for compression in enabled() {
            let mut stamped = seal_with(&builder(&values), &SealOptions::default(), compression);
            stamped.stamp_producer(ProducerStamp { base_sequence: 1, ..ProducerStamp::NONE });
            stamped.set_base_offset(base_offset);
            stamped.set_partition_leader_epoch(partition_leader_epoch);
            if let Some(time) = append_time {
                stamped.set_max_timestamp(TimestampType::LogAppendTime, time);
            }
            stamped.stamp_producer(producer);
            prop_assert_eq!(&stamped, &seal_with(&builder(&values), &options, compression));
            stamped.freeze().verify_crc().unwrap();
        }
    }
}

#[test]
fn a_stamp_does_not_hide_damage() {
    let mut bytes = batch_of(3).bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    let mut damaged = SealedBatch::from_buffer(bytes).unwrap();
    damaged.stamp_producer(ProducerStamp { producer_id: 5, producer_epoch: 0, base_sequence: 0 });
    assert!(damaged.freeze().verify_crc().is_err());
}

#[test]
fn a_broker_stamps_a_copy_of_what_it_was_sent() {
    let sent = batch_of(2);
    let mut appended = sent.to_sealed();
    appended.set_base_offset(500);
    appended.set_partition_leader_epoch(3);
    appended.set_max_timestamp(TimestampType::LogAppendTime, 8_000);
    let batch = RecordBatch::parse(Bytes::from(appended.into_buffer())).unwrap();
    batch.verify_crc().unwrap();
    let records = read(&batch).unwrap();
    assert_eq!((records[1].offset(), records[1].timestamp()), (501, 8_000));
    assert_eq!(sent.header().base_offset, 0);
}
