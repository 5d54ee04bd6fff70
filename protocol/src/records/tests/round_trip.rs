//! What goes in comes out.

use proptest::{collection::vec, option, prelude::*};

use super::*;

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

#[derive(Debug, Clone)]
struct Given {
    gap: i32,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

impl Given {
    fn headers(&self) -> impl Iterator<Item = Header<'_>> + Clone {
        self.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() })
    }
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![4 => vec(any::<u8>(), 0..max), 1 => Just(Vec::new()), 1 => vec(any::<u8>(), 8_000)]
}

fn given_record() -> impl Strategy<Value = Given> {
    let timestamp = prop_oneof![any::<i64>(), 0..10_000_i64, Just(i64::MIN), Just(i64::MAX)];
    let header = (vec(any::<u8>(), 0..9), option::of(vec(any::<u8>(), 0..90)));
    (
        prop_oneof![8 => Just(1), 1 => 1..2_000_000],
        timestamp,
        option::of(bytes(40)),
        option::of(bytes(200)),
        vec(header, 0..5),
    )
        .prop_map(|(gap, timestamp, key, value, headers)| Given {
            gap,
            timestamp,
            key,
            value,
            headers,
        })
}

fn check(given: &[Given], options: &SealOptions, compression: Compression) {
    let mut builder = BatchBuilder::new();
    let mut offset_delta = -1;
    let mut offsets = Vec::new();
    for record in given {
        offset_delta += record.gap;
        offsets.push(options.base_offset + i64::from(offset_delta));
        let Given { timestamp, key, value, .. } = record;
        let (key, value) = (key.as_deref(), value.as_deref());
        let new = NewRecord { timestamp: *timestamp, key, value, headers: record.headers() };
        builder.append_at(offset_delta, new).unwrap();
    }
    let sealed = seal_with(&builder, options, compression);
    let mut batches = Batches::new(Bytes::from(sealed.into_buffer()));
    let Some(Ok(Batch::V2(batch))) = batches.next() else { panic!("no batch") };
    assert!(batches.next().is_none());
    batch.verify_crc().unwrap();
    assert_eq!(batch.header().attributes.is_control(), options.control);
    assert_eq!(batch.header().attributes.is_transactional(), options.transactional);
    let latest = given.iter().map(|record| record.timestamp).max().unwrap_or(-1);
    assert_eq!(batch.header().max_timestamp, latest);

    let mut decoder = BatchDecoder::new(LIMIT);
    let owned: Vec<_> = read(&batch).unwrap();
    let lent: Vec<_> = decoder.records(&batch).unwrap().map(Result::unwrap).collect();
    assert_eq!(lent.len(), given.len());
    for (index, (record, given)) in lent.iter().zip(given).enumerate() {
        assert_eq!((record.offset, record.timestamp), (offsets[index], given.timestamp));
        assert_eq!(record.key, given.key.as_deref());
        assert_eq!(record.value, given.value.as_deref());
        assert!(record.headers.iter().eq(given.headers()));
        assert_eq!(record.headers.len(), given.headers.len());
        assert_eq!(owned[index].as_record(), *record);
    }
}

proptest! {
    #[test]
    fn records_survive_every_codec(
        given in vec(given_record(), 0..30),
        base_offset in 0..i64::MAX / 2,
        transactional in any::<bool>(),
        control in any::<bool>(),
    ) {
        let options =
            SealOptions { base_offset, transactional, control, ..SealOptions::default() };
        for compression in enabled() {
            check(&given, &options, compression);
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in vec(any::<u8>(), 0..400)) {
        for batch in Batches::new(Bytes::from(bytes)) {
            let _ = batch.map(|batch| batch.verify_crc());
        }
    }

    #[test]
    fn random_sections_never_panic(count in 0..20, section in vec(any::<u8>(), 0..300)) {
        drop(read(&with_section(count, 100, &section)));
    }
}

#[test]
fn null_and_empty_are_different() {
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord::new(0, None, Some(b""))).unwrap();
    builder.append(NewRecord::new(0, Some(b""), None)).unwrap();
    let records = read(&builder.seal(&SealOptions::default()).freeze()).unwrap();
    assert_eq!((records[0].key(), records[0].value()), (None, Some(&b""[..])));
    assert_eq!((records[1].key(), records[1].value()), (Some(&b""[..]), None));
}

#[test]
fn a_record_of_many_mebibytes_survives() {
    let value: Vec<u8> = (0..5_000_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    let given = Given { gap: 1, timestamp: 3, key: None, value: Some(value), headers: Vec::new() };
    for compression in enabled() {
        check(std::slice::from_ref(&given), &SealOptions::default(), compression);
    }
}

#[test]
fn a_lent_record_can_be_appended_to_another_batch() {
    let batch = batch_of(3);
    let mut decoder = BatchDecoder::new(LIMIT);
    let mut builder = BatchBuilder::new();
    for record in decoder.records(&batch).unwrap() {
        let Record { timestamp, key, value, headers, .. } = record.unwrap();
        builder.append(NewRecord { timestamp, key, value, headers }).unwrap();
    }
    assert_eq!(builder.seal(&SealOptions::default()).freeze(), batch);
}

#[test]
fn numbers_survive_at_every_width() {
    let big = vec![b'x'; (1 << 20) + 1];
    let edges = [6, 13, 18, 19, 20].map(|bits| 1_i64 << bits);
    for delta in edges.into_iter().flat_map(|edge| [edge - 1, edge, -edge, -edge - 1]) {
        let len = usize::try_from(delta.unsigned_abs()).unwrap();
        for (key, value) in [(None, Some(&big[..len])), (Some(&big[..len]), None)] {
            let mut builder = BatchBuilder::new();
            let record = |timestamp| NewRecord::new(timestamp, key, value);
            builder.append(record(0)).unwrap();
            builder.append_at(i32::try_from(len).unwrap(), record(delta)).unwrap();
            let last = &read(&builder.seal(&SealOptions::default()).freeze()).unwrap()[1];
            assert_eq!((last.timestamp(), last.key(), last.value()), (delta, key, value));
            assert_eq!(last.offset(), delta.abs());
        }
    }
}
