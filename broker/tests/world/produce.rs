use std::time::Duration;

use ottla_broker::world::{Flow, Why};
use ottla_protocol::compression::{Codec, Compression, Compressor};
use ottla_protocol::records::{BatchBuilder, NewRecord, ProducerStamp, SealOptions};
use ottla_protocol::wire::RecordChunks;
use ottla_protocol::{ErrorCode, Uuid};

use super::malformed::cases::{Batch, SOUND, TWO};
use super::*;

/// `log_start` is −1 where it is refused before anybody looks at the log.
#[track_caller]
fn refused_at(log_start: i64, records: RecordChunks, code: ErrorCode) {
    let mut test = Test::new();
    let row = test.produce(-1, records);
    assert_eq!(ErrorCode::from_code(row.error_code), code);
    assert_eq!((row.base_offset, row.log_append_time_ms), (-1, -1));
    assert_eq!(row.log_start_offset, log_start);
    assert_eq!(test.fetch(0).high_watermark, 0, "nothing was written");
}

#[track_caller]
fn refused(records: RecordChunks, code: ErrorCode) {
    refused_at(-1, records, code);
}

#[test]
fn offsets_ascend_from_batch_to_batch() {
    let mut test = Test::new();
    for (values, base) in [(&["a", "b"][..], 0), (&["c"], 2), (&["d"], 3)] {
        let row = test.produce(-1, batch(values));
        assert_eq!((row.error_code, row.base_offset, row.log_start_offset), (0, base, 0));
    }
    assert_eq!(bases(&test.fetch(0)), [0, 2, 3]);
}

#[test]
fn acks_other_than_three_are_refused() {
    let row = Test::new().produce(2, batch(&["a"]));
    assert_eq!(row.error_code, ErrorCode::InvalidRequiredAcks.code());
}

/// What Kafka 4.4.0 answered to each of these, sent over a socket.
#[test]
fn acks_are_looked_at_between_the_frame_of_a_batch_and_its_contents() {
    let good = batch(&["a"]).into_bytes();
    let damaged = |at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        RecordChunks::from(Bytes::from(bytes))
    };
    let (magic, last) = (16, good.len() - 1);
    let mut two = batch(&["a"]);
    two.push(good.clone());
    for (records, at_acks_two, at_acks_one, nowhere) in [
        (RecordChunks::from(good.clone()), 21, 0, 3),
        (RecordChunks::new(), 87, 87, 3),
        (two, 87, 87, 3),
        (good.slice(..last).into(), 87, 87, 3),
        (damaged(last), 21, 2, 3),
        (damaged(magic), 2, 2, 2),
    ] {
        assert_eq!(Test::new().produce(2, records.clone()).error_code, at_acks_two);
        assert_eq!(Test::new().produce(1, records.clone()).error_code, at_acks_one);
        for acks in [1, 2] {
            let request = produce_request("nope", acks, records.clone());
            assert_eq!(produced(Test::new().send(1, 9, request)).error_code, nowhere);
        }
    }
}

#[test]
fn a_transactional_batch_of_nobodys_transaction_refuses_the_whole_request() {
    let options = SealOptions {
        transactional: true,
        producer: ProducerStamp { producer_id: 1, producer_epoch: 0, base_sequence: 0 },
        ..SealOptions::default()
    };
    let mut request = produce_request("nope", 2, batch(&["a"]));
    let row = PartitionProduceData {
        records: Some(chunks(seal(&[(START, "v")], &options))),
        ..Default::default()
    };
    request.topic_data[0].partition_data.push(row);
    let refused = ErrorCode::TransactionalIdAuthorizationFailed.code();
    assert_eq!(produced(Test::new().send(1, 9, request.clone())).error_code, refused);
    // Though what it is in is no one batch.
    let row = &mut request.topic_data[0].partition_data[1];
    let twice = [&*row.records.take().unwrap().into_bytes()].repeat(2).concat();
    row.records = Some(Bytes::from(twice).into());
    assert_eq!(produced(Test::new().send(1, 9, request)).error_code, refused);
}

#[test]
fn nothing_and_two_batches_are_not_one() {
    refused(RecordChunks::new(), ErrorCode::InvalidRecord);
    let mut two = batch(&["a"]);
    two.push(batch(&["b"]).into_bytes());
    refused(two, ErrorCode::InvalidRecord);
}

#[test]
fn a_batch_that_is_damaged_is_corrupt_and_half_of_one_is_none() {
    let whole = batch(&["a"]).into_bytes();
    refused(whole.slice(..whole.len() - 1).into(), ErrorCode::InvalidRecord);
    let (last, magic) = (whole.len() - 1, 16);
    for (at, code) in [(last, ErrorCode::CorruptMessage), (magic, ErrorCode::CorruptMessage)] {
        let mut damaged = whole.to_vec();
        damaged[at] ^= 1;
        refused(Bytes::from(damaged).into(), code);
    }
}

#[test]
fn what_only_brokers_write_is_refused_from_clients() {
    let sealed = |options: &SealOptions| chunks(seal(&[(START, "v")], options));
    let none = SealOptions::default();
    refused_at(0, sealed(&SealOptions { base_offset: 1, ..none }), ErrorCode::InvalidRecord);
    refused_at(0, sealed(&SealOptions { control: true, ..none }), ErrorCode::InvalidRecord);
    let producer = ProducerStamp { producer_id: 1, producer_epoch: 0, base_sequence: -1 };
    refused_at(0, sealed(&SealOptions { producer, ..none }), ErrorCode::InvalidRecord);
}

#[test]
fn a_gap_between_the_offsets_of_a_batch_is_refused() {
    let mut builder = BatchBuilder::new();
    let record = |value| NewRecord::new(START, Some(b"k"), Some(value));
    builder.append_at(0, record(b"a")).unwrap();
    builder.append_at(2, record(b"b")).unwrap();
    refused_at(0, chunks(builder.seal(&SealOptions::default())), ErrorCode::InvalidRecord);
}

#[test]
fn zstd_needs_version_seven() {
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord::new(START, Some(b"k"), Some(b"v"))).unwrap();
    let zstd = Codec::new(Compression::Zstd);
    let sealed = builder
        .seal_compressed(&SealOptions::default(), zstd, &mut Compressor::new(), Vec::new())
        .unwrap();
    let records = chunks(sealed);
    let mut test = Test::new();
    let old = test.send(1, 6, produce_request("t", -1, records.clone()));
    assert_eq!(produced(old).error_code, ErrorCode::UnsupportedCompressionType.code());
    let new = test.send(1, 7, produce_request("t", -1, records));
    assert_eq!(produced(new).error_code, 0);
}

#[test]
fn the_whole_batch_counts_for_the_largest_size() {
    let mut test = Test::without_topics(1, &[]);
    let records = batch(&["a"]);
    let size = records.len();
    test.topic("t", &[("max.message.bytes", &size.to_string())]);
    assert_eq!(test.produce(-1, records).error_code, 0);
    let row = test.produce(-1, batch(&["ab"]));
    assert_eq!(row.error_code, ErrorCode::MessageTooLarge.code());
}

#[test]
fn the_largest_size_comes_before_the_checksum_and_what_the_header_says() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("max.message.bytes", "70")]);
    for count in [2, 0, -1] {
        let mut bytes = Batch { count, ..SOUND }.of(TWO);
        for _ in 0..2 {
            let row = test.produce(1, Bytes::copy_from_slice(&bytes).into());
            assert_eq!(row.error_code, ErrorCode::MessageTooLarge.code(), "{count}");
            bytes[17] ^= 1;
        }
    }
}

#[test]
fn times_far_from_now_are_refused_record_by_record() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("message.timestamp.before.max.ms", "1000")]);
    let row =
        test.produce(-1, timed(&[(START, "a"), (START - 1001, "b"), (START + 3_600_001, "c")]));
    assert_eq!(row.error_code, ErrorCode::InvalidTimestamp.code());
    let at_fault: Vec<i32> = row.record_errors.iter().map(|error| error.batch_index).collect();
    assert_eq!(at_fault, [1, 2]);
    assert_eq!(test.produce(-1, timed(&[(START - 1000, "a"), (-1, "b")])).error_code, 0);
}

#[test]
fn keyless_on_compacted_is_rejected_per_record() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("cleanup.policy", "compact")]);
    let mut builder = BatchBuilder::new();
    builder.append(NewRecord::new(START, Some(b"k"), Some(b"v"))).unwrap();
    builder.append(NewRecord::new(START, None, Some(b"v"))).unwrap();
    let row = test.produce(-1, chunks(builder.seal(&SealOptions::default())));
    assert_eq!(row.error_code, ErrorCode::InvalidRecord.code());
    assert_eq!(row.record_errors.len(), 1);
    assert_eq!(row.record_errors[0].batch_index, 1);
    assert_eq!(test.fetch(0).high_watermark, 0, "nothing was written");
}

#[test]
fn records_are_read_between_two_visits_to_the_world() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("cleanup.policy", "compact")]);
    let request = produce_request("t", -1, batch(&["a"]));
    let mut waiting = parked(test.begin(1, 9, request.clone()));
    assert_eq!(waiting.until, Some(Duration::ZERO), "it goes on at once");
    assert_eq!(test.fetch(0).high_watermark, 0);
    assert!(waiting.read_records());
    assert_eq!(produced(test.resume(1, 9, waiting, Why::Expired)).error_code, 0);
    assert_eq!(test.fetch(0).high_watermark, 1);
    let unread = parked(test.begin(1, 9, request));
    assert_eq!(produced(test.resume(1, 9, unread, Why::Expired)).base_offset, 1);
}

#[test]
fn records_that_a_topic_asks_no_more_of_are_appended_at_once() {
    let flow = Test::new().begin(1, 9, produce_request("t", -1, batch(&["a"])));
    assert_eq!(produced(flow).error_code, 0);
}

#[test]
fn a_topic_with_append_time_stamps_its_own() {
    let mut test = Test::without_topics(1, &[]);
    test.topic("t", &[("message.timestamp.type", "LogAppendTime")]);
    let row = test.produce(-1, timed(&[(5, "a")]));
    assert_eq!((row.error_code, row.log_append_time_ms), (0, START));
    let records = test.fetch(0).records.unwrap().into_bytes();
    let batch = ottla_protocol::records::RecordBatch::parse(records).unwrap();
    batch.verify_crc().unwrap();
    assert_eq!(batch.header().max_timestamp, START);
}

#[test]
fn unknown_topics_and_partitions_are_told_apart_from_ids() {
    let mut test = Test::new();
    let row = produced(test.send(1, 9, produce_request("nope", -1, batch(&["a"]))));
    assert_eq!(row.error_code, ErrorCode::UnknownTopicOrPartition.code());
    let mut request = produce_request("t", -1, batch(&["a"]));
    request.topic_data[0].partition_data[0].index = 1;
    let row = produced(test.send(1, 9, request));
    assert_eq!(row.error_code, ErrorCode::UnknownTopicOrPartition.code());
    let mut request = produce_request("", -1, batch(&["a"]));
    request.topic_data[0].topic_id = Uuid::from(1);
    let row = produced(test.send(1, 13, request));
    assert_eq!(row.error_code, ErrorCode::UnknownTopicId.code());
}

#[test]
fn a_node_that_does_not_lead_names_the_one_that_does() {
    let mut test = Test::new();
    let flow = test.send(2, 10, produce_request("t", -1, batch(&["a"])));
    let response: ProduceResponse = match flow {
        Flow::Reply(reply) => match reply.response {
            AnyResponse::Produce(response) => response,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    let row = &response.responses[0].partition_responses[0];
    assert_eq!(row.error_code, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(row.current_leader.as_ref().unwrap().leader_id, 1);
    assert_eq!(response.node_endpoints[0].host, "n1");
}

#[test]
fn an_acks_zero_error_closes_and_an_acks_zero_success_is_silent() {
    let mut test = Test::new();
    let good = test.send(1, 9, produce_request("t", 0, batch(&["a"])));
    assert!(matches!(good, Flow::Silent));
    let bad = test.send(1, 9, produce_request("nope", 0, batch(&["a"])));
    assert!(matches!(bad, Flow::Close));
}

#[test]
fn duplicate_answers_the_original_offset() {
    let mut test = Test::new();
    for sequence in 0..5 {
        assert_eq!(test.produce(-1, stamped(9, 0, sequence)).base_offset, i64::from(sequence));
    }
    for sequence in 0..5 {
        let row = test.produce(-1, stamped(9, 0, sequence));
        assert_eq!((row.error_code, row.base_offset), (0, i64::from(sequence)));
    }
    assert_eq!(test.fetch(0).high_watermark, 5);
}

#[test]
fn only_five_batches_are_remembered() {
    let mut test = Test::new();
    (0..6).for_each(|sequence| assert_eq!(test.produce(-1, stamped(9, 0, sequence)).error_code, 0));
    let row = test.produce(-1, stamped(9, 0, 0));
    assert_eq!(row.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
}

#[test]
fn sequences_wrap_at_two_to_the_31() {
    let mut test = Test::new();
    assert_eq!(test.produce(-1, stamped(9, 0, i32::MAX)).error_code, 0);
    assert_eq!(test.produce(-1, stamped(9, 0, 0)).error_code, 0);
}

#[test]
fn a_gap_in_the_sequence_is_out_of_order() {
    let mut test = Test::new();
    test.produce(-1, stamped(9, 0, 0));
    let row = test.produce(-1, stamped(9, 0, 2));
    assert_eq!(row.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
}

#[test]
fn a_new_epoch_begins_at_sequence_zero_and_fences_the_old() {
    let mut test = Test::new();
    test.produce(-1, stamped(9, 0, 0));
    let row = test.produce(-1, stamped(9, 1, 1));
    assert_eq!(row.error_code, ErrorCode::OutOfOrderSequenceNumber.code());
    assert_eq!(test.produce(-1, stamped(9, 1, 0)).error_code, 0);
    let row = test.produce(-1, stamped(9, 0, 1));
    assert_eq!(row.error_code, ErrorCode::InvalidProducerEpoch.code());
}

#[test]
fn unknown_producer_is_accepted_at_any_sequence() {
    assert_eq!(Test::new().produce(-1, stamped(9, 3, 1000)).error_code, 0);
}

#[test]
fn acks_all_waits_for_the_followers_and_acks_one_does_not() {
    let mut test = Test::new();
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    assert_eq!(test.produce(1, batch(&["a"])).base_offset, 0);
    assert_eq!(test.fetch(0).high_watermark, 0);
    let waiting = parked(test.send(1, 9, produce_request("t", -1, batch(&["b"]))));
    assert_eq!(waiting.until, Some(Duration::from_secs(1)));
    test.world.pause_replication("t", 0, false, test.now).unwrap();
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    let row = produced(test.resume(1, 9, waiting, Why::Woken));
    assert_eq!((row.error_code, row.base_offset), (0, 1));
}

#[test]
fn a_producer_that_waits_too_long_is_told_so_and_its_record_stays() {
    let mut test = Test::new();
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    let waiting = parked(test.send(1, 9, produce_request("t", -1, batch(&["a"]))));
    test.pass(Duration::from_secs(1));
    let row = produced(test.resume(1, 9, waiting, Why::Expired));
    assert_eq!(row.error_code, ErrorCode::RequestTimedOut.code());
    test.world.pause_replication("t", 0, false, test.now).unwrap();
    assert_eq!(test.fetch(0).high_watermark, 1);
}

#[test]
fn a_producer_that_waits_in_vain_is_told_where_its_records_are() {
    let moved = ErrorCode::NotLeaderOrFollower;
    for (moves, code) in [(false, ErrorCode::RequestTimedOut), (true, moved)] {
        let mut test = Test::without_topics(3, &[]);
        test.topic("t", &[("message.timestamp.type", "LogAppendTime")]);
        test.produce(-1, batch(&["a", "b"]));
        test.world.pause_replication("t", 0, true, test.now).unwrap();
        let waiting = parked(test.send(1, 9, produce_request("t", -1, batch(&["c"]))));
        if moves {
            test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
        }
        test.pass(Duration::from_secs(1));
        let row = produced(test.resume(1, 9, waiting, Why::Expired));
        assert_eq!(ErrorCode::from_code(row.error_code), code);
        let told = (row.base_offset, row.log_append_time_ms, row.log_start_offset);
        assert_eq!((told, row.error_message), ((2, START, 0), None));
    }
}

#[test]
fn a_producer_whose_leader_goes_while_it_waits_is_sent_away() {
    let mut test = Test::new();
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    let waiting = parked(test.send(1, 9, produce_request("t", -1, batch(&["a"]))));
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    let row = produced(test.resume(1, 9, waiting, Why::Woken));
    assert_eq!(row.error_code, ErrorCode::NotLeaderOrFollower.code());
}

#[test]
fn too_few_replicas_in_sync_refuse_acks_all_before_anything_is_written() {
    let mut test = Test::without_topics(3, &[]);
    test.topic("t", &[("min.insync.replicas", "2")]);
    for node in [2, 3] {
        test.world.set_alive(NodeId(node), false, test.now);
    }
    let row = test.produce(-1, batch(&["a"]));
    assert_eq!(row.error_code, ErrorCode::NotEnoughReplicas.code());
    assert_eq!(test.produce(1, batch(&["b"])).base_offset, 0);
    for malformed in [SOUND.of(&TWO[..9]), Batch { base_offset: 1, ..SOUND }.of(TWO)] {
        let records = || Bytes::copy_from_slice(&malformed).into();
        let row = test.produce(-1, records());
        let answer = (row.error_code, row.log_start_offset);
        assert_eq!(answer, (ErrorCode::NotEnoughReplicas.code(), 0), "whatever is sent");
        assert_eq!(test.produce(1, records()).error_code, ErrorCode::InvalidRecord.code());
    }
}

#[test]
fn producer_state_dies_with_the_topic() {
    let mut test = Test::new();
    test.produce(-1, stamped(9, 0, 0));
    let request = ottla_protocol::messages::DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        ..Default::default()
    };
    assert!(matches!(test.send(1, 3, request), Flow::Reply(_)));
    test.topic("t", &[]);
    let row = test.produce(-1, stamped(9, 0, 0));
    assert_eq!((row.error_code, row.base_offset), (0, 0));
}
