//! Appending and sealing.

use super::*;

#[test]
fn the_size_is_known_before_the_append() {
    let big = vec![b'x'; 3 << 20];
    let mut builder = BatchBuilder::new();
    for timestamp in [0, 1, -1, 1 << 19, 1 << 20, -(1 << 20), 1 << 40, i64::MAX, i64::MIN] {
        for value in [None, Some(&b""[..]), Some(&b"v"[..]), Some(&big[..200]), Some(&big)] {
            let headers = [Header { key: b"key", value }, Header { key: b"", value: None }];
            let record = NewRecord { timestamp, key: value, value, headers };
            let (size, before) = (builder.size_of_next(record).unwrap(), builder.len());
            builder.append(record).unwrap();
            assert_eq!(builder.len(), before + size, "{timestamp}");
        }
    }
}

#[test]
fn a_record_beyond_two_gibibytes_is_refused_before_anything_is_written() {
    let big = vec![0; 1 << 20];
    let header = Header { key: b"key", value: Some(&big) };
    let headers = std::iter::repeat_n(header, 2_048);
    let mut builder = BatchBuilder::new();
    let record = NewRecord { timestamp: 0, key: None, value: None, headers };
    assert_eq!(builder.size_of_next(record.clone()), Err(AppendError::RecordTooLarge));
    assert_eq!(builder.append(record), Err(AppendError::RecordTooLarge));
    assert_eq!((builder.len(), builder.is_empty()), (61, true));
}

#[test]
fn offset_deltas_must_ascend() {
    let mut builder = BatchBuilder::new();
    let record = NewRecord::new(0, None, None);
    builder.append_at(5, record).unwrap();
    let before = builder.len();
    for offset_delta in [5, 0, -1] {
        let refused = Err(AppendError::OffsetDelta { offset_delta, previous: 5 });
        assert_eq!(builder.append_at(offset_delta, record), refused);
    }
    assert_eq!((builder.len(), builder.record_count()), (before, 1));
    assert_eq!(builder.append(record), Ok(6));
}

#[test]
fn the_last_offset_delta_has_no_successor() {
    let mut builder = BatchBuilder::new();
    let record = NewRecord::new(0, None, None);
    builder.append_at(i32::MAX, record).unwrap();
    assert!(matches!(builder.append(record), Err(AppendError::OffsetDelta { .. })));
    assert_eq!(read(&builder.seal(&SealOptions::default()).freeze()).unwrap().len(), 1);
}

#[test]
fn a_pooled_buffer_comes_back_with_its_capacity() {
    let mut pooled = Vec::with_capacity(10_000);
    pooled.extend(b"stale");
    let mut builder = BatchBuilder::with_buffer(pooled);
    assert_eq!((builder.len(), builder.is_empty()), (61, true));
    builder.append(NewRecord::new(0, None, Some(b"v"))).unwrap();
    let buffer = builder.seal(&SealOptions::default()).into_buffer();
    assert_eq!(buffer.capacity(), 10_000);
}

#[test]
fn sealing_with_a_codec_leaves_the_builder_as_it_was() {
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord::new(0, None, Some(b"v"))).unwrap();
    let plain = builder.clone().seal(&SealOptions::default());
    for compression in enabled() {
        let sealed = seal_with(&builder, &SealOptions::default(), compression);
        assert_eq!(sealed.header().compression(), Ok(compression));
    }
    assert_eq!(builder.seal(&SealOptions::default()), plain);
}

#[test]
fn the_maximum_timestamp_is_the_largest_even_below_zero() {
    let mut builder = BatchBuilder::new();
    for timestamp in [-500, -300, -400] {
        builder.append(NewRecord::new(timestamp, None, None)).unwrap();
    }
    let batch = builder.seal(&SealOptions::default());
    assert_eq!((batch.header().base_timestamp, batch.header().max_timestamp), (-500, -300));
}

#[test]
fn a_delete_horizon_takes_the_place_of_the_base_timestamp() {
    let mut builder = BatchBuilder::new();
    builder.set_delete_horizon(77_000);
    builder.append(NewRecord::new(1_000, None, None)).unwrap();
    let batch = builder.seal(&SealOptions::default()).freeze();
    assert_eq!(batch.header().delete_horizon(), Some(77_000));
    assert_eq!(batch.header().max_timestamp, 1_000);
    assert_eq!(read(&batch).unwrap()[0].timestamp(), 1_000);
    assert_eq!(batch_of(1).header().delete_horizon(), None);
}

#[test]
fn a_batch_goes_on_in_a_larger_buffer_as_if_nothing_had_happened() {
    let mut moved = BatchBuilder::with_buffer(Vec::with_capacity(100));
    let mut stayed = BatchBuilder::new();
    for builder in [&mut moved, &mut stayed] {
        builder.append(NewRecord::new(5, Some(b"key"), Some(b"value"))).unwrap();
    }
    let old = moved.move_to(Vec::with_capacity(4_096));
    assert_eq!((old.len(), old.capacity()), (0, 100));
    assert_eq!(moved.capacity(), 4_096);
    for builder in [&mut moved, &mut stayed] {
        builder.append(NewRecord::new(9, None, Some(b"more"))).unwrap();
    }
    let options = SealOptions::default();
    assert_eq!(moved.seal(&options), stayed.seal(&options));
}
