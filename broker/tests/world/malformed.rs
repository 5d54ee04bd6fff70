pub(crate) mod cases;

use cases::{Batch, SOUND, TWO, beside, cases, compress};
use ottla_broker::log::incoming::{Carried, Unpacker};
use ottla_broker::world::Why;
use ottla_protocol::ErrorCode;
use ottla_protocol::compression::Compression;
use ottla_protocol::records::TimestampType;

use super::*;

/// What Kafka 4.4.0 answered to each of these, sent over a socket.
#[test]
fn what_is_wrong_with_records_is_answered_as_kafka_answers_it() {
    for case in cases() {
        let mut test = Test::new();
        let row = test.produce(1, Bytes::from(case.bytes).into());
        let answer = (row.error_code, row.log_start_offset);
        assert_eq!(answer, case.answer, "{}: {:?}", case.name, row.error_message);
        assert!(row.record_errors.is_empty() || row.error_code == 32, "{}", case.name);
        let end = test.fetch(0).high_watermark;
        assert_eq!(end == 0, row.error_code != 0, "{}: {end} records", case.name);
    }
}

#[test]
fn a_malformed_batch_loses_no_other_partition_its_append() {
    for (name, bytes, code) in beside() {
        let mut test = Test::without_topics(1, &[]);
        test.topic("t", &[]);
        test.topic("u", &[]);
        let mut request = produce_request("t", 1, Bytes::from(bytes).into());
        request.topic_data.extend(produce_request("u", 1, batch(&["a"])).topic_data);
        let ProduceResponse { responses, .. } = reply(test.send(1, 9, request));
        let codes: Vec<i16> =
            responses.iter().map(|topic| topic.partition_responses[0].error_code).collect();
        // What does not begin with a batch refuses them all.
        let other = if name == "zeros" { code } else { 0 };
        assert_eq!(codes, [code, other], "{name}");
    }
}

#[test]
fn the_latest_timestamp_of_a_batch_is_that_of_its_records() {
    let mut test = Test::new();
    let packed = compress(Compression::Zstd, TWO);
    let zstd = Compression::Zstd.id();
    for (batch, records) in [
        (Batch { max_timestamp: 5, ..SOUND }, TWO),
        (Batch { max_timestamp: START + 9, codec: zstd, ..SOUND }, &packed[..]),
        (Batch { max_timestamp: START + 9, bits: BY_BROKER, ..SOUND }, TWO),
    ] {
        assert_eq!(test.produce(1, Bytes::from(batch.of(records)).into()).error_code, 0);
    }
    let records = test.fetch(0).records.unwrap().into_bytes();
    let batches: Vec<_> = Batches::new(records).map(Result::unwrap).collect();
    let headers = batches.iter().map(|batch| match batch {
        ottla_protocol::records::Batch::V2(batch) => {
            batch.verify_crc().unwrap();
            (batch.header().timestamp_type(), batch.header().max_timestamp)
        }
        ottla_protocol::records::Batch::Legacy(message) => panic!("{message:?}"),
    });
    let by_producer = |latest| (TimestampType::CreateTime, latest);
    // What a broker is said to have stamped is the latest of the records that has that timestamp.
    let told = [by_producer(START), by_producer(START), by_producer(START + 9)];
    assert_eq!(headers.collect::<Vec<_>>(), told);
}

#[test]
fn the_latest_timestamp_is_put_right_before_the_world_is_asked() {
    for (bits, told) in [(0, START), (BY_BROKER, START + 9)] {
        let batch = Batch { max_timestamp: START + 9, bits, ..SOUND }.of(TWO);
        let carried = Carried::new(Some(Bytes::from(batch).into()), 9, 0);
        let mut batch = carried.batch.unwrap();
        batch.verify(&mut Unpacker::at_once()).unwrap();
        // What is said of a broker's time, the topic has to be asked about.
        assert_eq!(batch.header().max_timestamp, told);
    }
}

#[test]
fn a_producer_that_stamps_for_the_broker_is_refused_record_by_record() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("message.timestamp.type", "LogAppendTime")]);
    let row = test.produce(1, Bytes::from(Batch { bits: BY_BROKER, ..SOUND }.of(TWO)).into());
    assert_eq!(row.error_code, ErrorCode::InvalidTimestamp.code());
    assert_eq!(at_fault(&row), [0, 1]);
}

#[test]
fn a_record_is_at_fault_once_and_a_timestamp_decides_the_code() {
    let mut test = Test::without_topics(1, &[]);
    let settings = [("cleanup.policy", "compact"), ("message.timestamp.before.max.ms", "1")];
    test.topic("t", &settings);
    test.pass(Duration::from_secs(1));
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord::new(START, None, Some(b"v"))).unwrap();
    builder.append(NewRecord::new(START, Some(b"k"), Some(b"v"))).unwrap();
    let row = test.produce(1, chunks(builder.seal(&SealOptions::default())));
    assert_eq!(row.error_code, ErrorCode::InvalidTimestamp.code());
    assert_eq!(at_fault(&row), [0, 1]);
    let reason = row.record_errors[0].batch_index_error_message.as_deref().unwrap();
    assert!(reason.starts_with("Compacted topic"), "{reason}");
}

#[test]
fn every_record_at_fault_counts_though_not_all_are_told() {
    let mut test = Test::without_topics(1, &[]);
    let settings = [("cleanup.policy", "compact"), ("message.timestamp.after.max.ms", "1")];
    test.topic("t", &settings);
    // Without a key, and 10,001 of them; then one with a key whose time has not come.
    let keyless = b"\x0e\0\0\0\x01\x02v\0".repeat(10_001);
    let late = [&keyless[..], b"\x12\0\xd0\x0f\x0a\x02k\x02v\0"].concat();
    for (records, count, code) in [(keyless, 10_001, 87), (late, 10_002, 32)] {
        let batch = Batch { count, ..SOUND }.of(&records);
        let row = test.produce(1, Bytes::from(batch).into());
        assert_eq!((row.error_code, row.record_errors.len()), (code, 10_000));
        let said = row.error_message.unwrap();
        assert!(code == 32 || said.contains("10001 record errors in total"), "{said}");
    }
}

#[test]
fn a_timestamp_at_fault_is_told_with_the_offset_that_the_record_has() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("message.timestamp.after.max.ms", "1")]);
    // 1000 ms later, and 5 offsets on.
    let late = b"\x12\0\xd0\x0f\x0a\x02k\x02v\0";
    let row = test.produce(1, Bytes::from(Batch { count: 1, ..SOUND }.of(late)).into());
    assert_eq!(at_fault(&row), [0]);
    let reason = row.record_errors[0].batch_index_error_message.as_deref().unwrap();
    assert!(reason.contains("of message with offset 5 is out of range"), "{reason}");
}

#[test]
fn only_compressed_records_have_a_longest() {
    // Records of 8 bytes, that of their length not counted.
    for (longest, code) in [("7", 87), ("8", 0)] {
        let limit = [("max.decompressed.message.bytes", longest)];
        let mut of_topic = Test::without_topics(1, &[]);
        of_topic.topic("t", &limit);
        let mut of_broker = Test::without_topics(1, &limit);
        of_broker.topic("t", &[]);
        for test in [&mut of_topic, &mut of_broker] {
            for (codec, code) in [(Compression::None, 0), (Compression::Lz4, code)] {
                let batch = Batch { codec: codec.id(), ..SOUND }.of(&compress(codec, TWO));
                let row = test.produce(1, Bytes::from(batch).into());
                assert_eq!(row.error_code, code, "{longest} {codec}");
            }
        }
    }
}

#[test]
fn records_that_take_long_to_unpack_are_unpacked_between_two_visits_to_the_world() {
    let mut test = Test::new();
    for (offset_delta, code) in [(0, 0), (2, -1)] {
        let mut record = b"\x90\x89\x7a\0\0".to_vec();
        record.extend([offset_delta, 1, 0x80, 0x89, 0x7a]);
        record.extend(vec![0; 1_000_000]);
        record.push(0);
        let gzip = Batch { codec: 1, count: 1, ..SOUND };
        let batch = gzip.of(&compress(Compression::Gzip, &record));
        let flow = test.begin(1, 9, produce_request("t", 1, Bytes::from(batch).into()));
        let mut waiting = parked(flow);
        assert!(waiting.read_records());
        let row = produced(test.resume(1, 9, waiting, Why::Expired));
        assert_eq!(row.error_code, code, "{:?}", row.error_message);
    }
}

fn at_fault(row: &PartitionProduceResponse) -> Vec<i32> {
    row.record_errors.iter().map(|error| error.batch_index).collect()
}

/// The attribute that says that the broker sets timestamps.
const BY_BROKER: u8 = 0x08;
