//! Message sets of magic 0 and 1, made by hand.

use super::*;
use crate::compression::CompressionError;

struct Given<'a> {
    offset: i64,
    attributes: u8,
    timestamp: Option<i64>,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
}

fn nullable(bytes: Option<&[u8]>) -> Vec<u8> {
    let len = bytes.map_or(-1, |bytes| i32::try_from(bytes.len()).unwrap());
    [&len.to_be_bytes(), bytes.unwrap_or_default()].concat()
}

/// Magic 1 with a timestamp, magic 0 without.
fn message(given: &Given<'_>) -> Vec<u8> {
    let mut hashed = vec![u8::from(given.timestamp.is_some()), given.attributes];
    hashed.extend(given.timestamp.into_iter().flat_map(i64::to_be_bytes));
    hashed.extend(nullable(given.key));
    hashed.extend(nullable(given.value));
    let size = i32::try_from(4 + hashed.len()).unwrap();
    let crc = crc_fast::crc32_iso_hdlc(&hashed);
    [&given.offset.to_be_bytes()[..], &size.to_be_bytes(), &crc.to_be_bytes(), &hashed].concat()
}

fn plain(offset: i64, timestamp: Option<i64>, value: &[u8]) -> Vec<u8> {
    message(&Given { offset, attributes: 0, timestamp, key: None, value: Some(value) })
}

fn wrapper(offset: i64, attributes: u8, timestamp: Option<i64>, inner: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let compression = Compression::from_id(attributes & 7).unwrap();
    Compressor::new().compress(compression.into(), inner, &mut packed).unwrap();
    message(&Given { offset, attributes, timestamp, key: None, value: Some(&packed) })
}

fn only(bytes: Vec<u8>) -> LegacyMessage {
    match Batches::new(Bytes::from(bytes)).next() {
        Some(Ok(Batch::Legacy(message))) => message,
        other => panic!("{other:?}"),
    }
}

fn read(message: &LegacyMessage) -> Result<Vec<(i64, i64, Vec<u8>)>, RecordsError> {
    let mut decoder = BatchDecoder::new(LIMIT);
    let owned = decoder.owned_legacy_records(message)?.collect::<Result<Vec<_>, _>>()?;
    let lent = decoder.legacy_records(message)?.collect::<Result<Vec<_>, _>>()?;
    assert!(owned.iter().map(OwnedRecord::as_record).eq(lent.iter().copied()));
    let show = |record: &Record<'_>| {
        (record.offset, record.timestamp, record.value.unwrap_or_default().to_vec())
    };
    Ok(lent.iter().map(show).collect())
}

fn fault(message: &LegacyMessage) -> RecordFault {
    match read(message) {
        Err(RecordsError::Record { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

/// The codecs that these formats know.
fn codecs() -> impl Iterator<Item = u8> {
    enabled().map(Compression::id).filter(|id| (1..4).contains(id))
}

#[test]
fn plain_messages_of_both_magics_are_records() {
    let set = [plain(5, None, b"zero"), plain(6, Some(99), b"one")].concat();
    let batches: Vec<_> = Batches::new(Bytes::from(set)).map(Result::unwrap).collect();
    let [Batch::Legacy(zero), Batch::Legacy(one)] = &batches[..] else { panic!("{batches:?}") };
    assert_eq!((zero.magic(), one.magic()), (0, 1));
    assert_eq!(read(zero).unwrap(), [(5, -1, b"zero".to_vec())]);
    assert_eq!(read(one).unwrap(), [(6, 99, b"one".to_vec())]);
    assert_eq!(batches[1].next_offset(), 7);
    batches.iter().for_each(|batch| batch.verify_crc().unwrap());
}

#[test]
fn null_and_empty_are_different() {
    let given = Given { offset: 0, attributes: 0, timestamp: None, key: Some(b""), value: None };
    let message = only(message(&given));
    let mut decoder = BatchDecoder::new(LIMIT);
    let record = decoder.legacy_records(&message).unwrap().next().unwrap().unwrap();
    assert_eq!((record.key, record.value), (Some(&b""[..]), None));
}

#[test]
fn inner_offsets_of_magic_0_are_absolute() {
    for codec in codecs() {
        let inner = [plain(10, None, b"a"), plain(12, None, b"b")].concat();
        let message = only(wrapper(12, codec, None, &inner));
        message.verify_crc().unwrap();
        let expected = [(10, -1, b"a".to_vec()), (12, -1, b"b".to_vec())];
        assert_eq!(read(&message).unwrap(), expected, "{codec}");
    }
}

#[test]
fn inner_offsets_of_magic_1_end_at_the_wrappers() {
    for codec in codecs() {
        let inner = [plain(0, Some(7), b"a"), plain(3, Some(8), b"b")].concat();
        let message = only(wrapper(103, codec, Some(8), &inner));
        let expected = [(100, 7, b"a".to_vec()), (103, 8, b"b".to_vec())];
        assert_eq!(read(&message).unwrap(), expected, "{codec}");
    }
}

#[test]
fn log_append_time_on_the_wrapper_applies_to_all() {
    for codec in codecs() {
        let inner = [plain(0, Some(7), b"a"), plain(1, Some(8), b"b")].concat();
        let message = only(wrapper(1, codec | 1 << 3, Some(5_000), &inner));
        assert_eq!(message.timestamp_type(), TimestampType::LogAppendTime);
        let timestamps: Vec<_> = read(&message).unwrap().iter().map(|record| record.1).collect();
        assert_eq!(timestamps, [5_000, 5_000]);
    }
}

#[cfg(feature = "lz4")]
#[test]
fn the_broken_lz4_header_checksum_of_magic_0_is_forgiven_and_of_magic_1_is_not() {
    for (timestamp, forgiven) in [(None, true), (Some(1), false)] {
        let inner = plain(0, timestamp, b"a");
        let mut packed = Vec::new();
        Compressor::new().compress(Compression::Lz4.into(), &inner, &mut packed).unwrap();
        packed[6] ^= 0xff;
        let value = Some(&packed[..]);
        let message =
            only(message(&Given { offset: 0, attributes: 3, timestamp, key: None, value }));
        assert_eq!(read(&message).is_ok(), forgiven);
    }
}

#[test]
fn a_truncated_last_message_is_the_normal_end() {
    let whole = plain(0, Some(1), b"value");
    for cut in 0..whole.len() {
        let set = [&whole[..], &whole[..cut]].concat();
        assert_eq!(Batches::new(Bytes::from(set)).filter(Result::is_ok).count(), 1, "{cut}");
    }
}

#[test]
fn a_wrapper_cut_at_any_byte_is_refused() {
    for codec in codecs() {
        let inner = [plain(0, Some(7), b"a"), plain(1, Some(8), b"b")].concat();
        for len in (0..inner.len()).filter(|len| *len != inner.len() / 2) {
            let message = only(wrapper(1, codec, Some(8), &inner[..len]));
            assert!(read(&message).is_err(), "{len}");
        }
    }
}

#[test]
fn wrappers_do_not_nest_or_mix_magics_or_come_empty() {
    for codec in codecs() {
        let nested = wrapper(0, codec, Some(1), &plain(0, Some(1), b"a"));
        let message = only(wrapper(0, codec, Some(1), &nested));
        assert_eq!(fault(&message), RecordFault::NestedCompression);
        let message = only(wrapper(0, codec, Some(1), &plain(0, None, b"a")));
        assert_eq!(fault(&message), RecordFault::InnerMagic { magic: 0 });
        let message = only(wrapper(0, codec, Some(1), b""));
        assert_eq!(fault(&message), RecordFault::EmptyWrapper);
    }
}

#[test]
fn offsets_that_do_not_ascend_are_refused() {
    for codec in codecs() {
        let inner = [plain(4, None, b"a"), plain(4, None, b"b")].concat();
        assert!(matches!(
            fault(&only(wrapper(4, codec, None, &inner))),
            RecordFault::OffsetOrder { .. }
        ));
        let inner = plain(i64::MIN, Some(1), b"a");
        let beyond = [inner, plain(i64::MAX, Some(1), b"b")].concat();
        assert!(matches!(
            fault(&only(wrapper(4, codec, Some(1), &beyond))),
            RecordFault::OffsetOrder { .. }
        ));
    }
}

#[test]
fn damage_is_noticed() {
    let mut bytes = plain(3, Some(1), b"value");
    *bytes.last_mut().unwrap() ^= 1;
    assert!(matches!(only(bytes).verify_crc(), Err(RecordsError::CrcMismatch { .. })));
}

#[test]
fn fields_that_do_not_fill_the_message_are_refused() {
    let whole = plain(3, None, b"value");
    for (at, byte) in [(25, 4), (25, 6), (18, 0)] {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        assert!(read(&only(bytes)).is_err(), "{at}");
    }
}

#[test]
fn zstd_is_unknown_to_these_formats() {
    let given = Given { offset: 0, attributes: 4, timestamp: Some(1), key: None, value: None };
    let unknown = RecordsError::Compression(CompressionError::UnknownCodec { id: 4 });
    assert_eq!(read(&only(message(&given))), Err(unknown));
}
