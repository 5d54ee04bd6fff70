//! How much of a request is unpacked at once.

use ottla_broker::log::incoming::{Carried, Unpacker};
use ottla_protocol::compression::Compression;

use super::malformed::cases::{Batch, SOUND, TWO, compress};
use super::*;

const CODECS: [Compression; 2] = [Compression::Gzip, Compression::Zstd];

/// Whether the records of a batch were looked at, sound or not.
#[track_caller]
fn is_read(unpacker: &mut Unpacker, batch: Vec<u8>) -> bool {
    let records = Some(RecordChunks::from(Bytes::from(batch)));
    let mut batch = Carried::new(records, 9, 0).batch.unwrap();
    batch.verify(unpacker).is_err() || batch.found().is_some()
}

#[test]
fn what_bombs_and_garbage_cost_is_counted() {
    for codec in CODECS {
        for costly in [bomb(codec), garbage(codec)] {
            let mut unpacker = Unpacker::at_once();
            assert!(is_read(&mut unpacker, sound(codec)));
            is_read(&mut unpacker, costly);
            assert!(!is_read(&mut unpacker, sound(codec)), "{codec}");
        }
    }
}

#[test]
fn nothing_is_unpacked_once_nothing_is_left() {
    for codec in CODECS {
        let mut unpacker = Unpacker::at_once();
        assert!(is_read(&mut unpacker, packed(codec, &record(AT_ONCE))), "just as much as may be");
        assert!(!is_read(&mut unpacker, garbage(codec)), "{codec}");
    }
}

#[test]
fn batches_that_are_not_unpacked_at_once_are_answered_each_for_itself() {
    let mut test = Test::without_topics(1, &[]);
    test.world.create_topic("many", 48, 1, &[]).unwrap();
    for codec in CODECS {
        let of = |index: i32| match index % 3 {
            0 => (bomb(codec), 0),
            1 => (garbage(codec), -1),
            _ => (sound(codec), 0),
        };
        let row = |index| PartitionProduceData {
            index,
            records: Some(Bytes::from(of(index).0).into()),
            ..Default::default()
        };
        let mut request = produce_request("many", 1, RecordChunks::new());
        request.topic_data[0].partition_data = (0..48).map(row).collect();
        let mut waiting = parked(test.begin(1, 9, request));
        assert!(waiting.read_records());
        let response: ProduceResponse = reply(test.resume(1, 9, waiting, Why::Expired));
        for row in &response.responses[0].partition_responses {
            assert_eq!(row.error_code, of(row.index).1, "{codec} {}", row.index);
        }
    }
}

fn sound(codec: Compression) -> Vec<u8> {
    Batch { codec: codec.id(), ..SOUND }.of(&compress(codec, TWO))
}

fn garbage(codec: Compression) -> Vec<u8> {
    Batch { codec: codec.id(), ..SOUND }.of(TWO)
}

/// A few hundred bytes that unpack to more than is unpacked at once.
fn bomb(codec: Compression) -> Vec<u8> {
    packed(codec, &record(AT_ONCE + 1))
}

fn packed(codec: Compression, records: &[u8]) -> Vec<u8> {
    Batch { codec: codec.id(), count: 1, ..SOUND }.of(&compress(codec, records))
}

/// A record of as many bytes in all, most of them its value.
fn record(len: usize) -> Vec<u8> {
    // Attributes, the deltas, no key, the value's length, no headers; its own length before that.
    let value = len - 3 - 4 - 3 - 1;
    let mut record = varint(len - 3);
    record.extend([0, 0, 0, 1]);
    record.extend(varint(value));
    record.resize(len, 0);
    record
}

/// A length that takes three bytes.
fn varint(len: usize) -> Vec<u8> {
    let zigzag = len << 1;
    let byte = |shift: u32| u8::try_from(zigzag >> shift & 0x7f).unwrap();
    vec![byte(0) | 0x80, byte(7) | 0x80, byte(14)]
}

/// Bytes of a request that are unpacked at once.
const AT_ONCE: usize = 512 << 10;
