use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_broker::world::{Flow, Why};
use ottla_protocol::{ApiKey, ErrorCode};

use super::*;

#[test]
fn an_injected_code_hits_its_partition_as_often_as_it_should() {
    let mut test = Test::new();
    let act = Act::Respond(ErrorCode::NotLeaderOrFollower);
    let rule = Rule::new(ApiKey::Produce, act).partition("t", 0).skip(1).once();
    let rule = test.world.add_rule(rule);
    let codes: Vec<i16> = (0..3).map(|_| test.produce(-1, batch(&["a"])).error_code).collect();
    assert_eq!(codes, [0, 6, 0]);
    assert_eq!(test.world.hits(rule), 1);
    assert_eq!(test.fetch(0).high_watermark, 2, "the refused one was not written");
}

#[test]
fn a_rule_for_another_node_or_partition_does_nothing() {
    let mut test = Test::new();
    let act = Act::Respond(ErrorCode::NotLeaderOrFollower);
    let elsewhere = Rule::new(ApiKey::Produce, act.clone()).node(NodeId(2));
    let other = Rule::new(ApiKey::Produce, act).partition("t", 1);
    let rules = [test.world.add_rule(elsewhere), test.world.add_rule(other)];
    assert_eq!(test.produce(-1, batch(&["a"])).error_code, 0);
    assert_eq!(rules.map(|rule| test.world.hits(rule)), [0, 0]);
}

#[test]
fn injected_errors_fire_in_the_order_given() {
    let mut test = Test::new();
    for code in [ErrorCode::RequestTimedOut, ErrorCode::KafkaStorageError] {
        test.world.add_rule(Rule::new(ApiKey::Fetch, Act::Respond(code)).once());
    }
    let codes: Vec<i16> = (0..3).map(|_| test.fetch(0).error_code).collect();
    assert_eq!(codes, [7, 56, 0]);
}

#[test]
fn what_is_dropped_before_is_not_done_and_after_it_is() {
    for (act, done) in [(Act::DropBefore, 0), (Act::ApplyThenDrop, 1)] {
        let mut test = Test::new();
        test.world.add_rule(Rule::new(ApiKey::Produce, act.clone()).once());
        let flow = test.send(1, 9, produce_request("t", -1, batch(&["a"])));
        assert!(matches!(flow, Flow::Close), "{act:?}");
        assert_eq!(test.fetch(0).high_watermark, done, "{act:?}");
    }
}

#[test]
fn a_delay_comes_before_the_deed_or_after_it() {
    let by = Duration::from_millis(300);
    for (act, done) in [(Act::Delay(by), 0), (Act::ApplyThenDelay(by), 1)] {
        let mut test = Test::new();
        test.world.add_rule(Rule::new(ApiKey::Produce, act).once());
        let waiting = parked(test.send(1, 9, produce_request("t", -1, batch(&["a"]))));
        assert_eq!(waiting.until, Some(by));
        assert_eq!(test.fetch(0).high_watermark, done);
        test.pass(by);
        assert_eq!(produced(test.resume(1, 9, waiting, Why::Expired)).error_code, 0);
        assert_eq!(test.fetch(0).high_watermark, 1);
    }
}

#[test]
fn a_gate_holds_a_request_until_it_is_opened() {
    let mut test = Test::new();
    let rule = test.world.add_rule(Rule::new(ApiKey::Produce, Act::Hold).once());
    let waiting = parked(test.send(1, 9, produce_request("t", -1, batch(&["a"]))));
    assert_eq!((waiting.until, test.world.hits(rule)), (None, 1));
    assert_eq!(test.fetch(0).high_watermark, 0);
    test.world.open_gate(rule);
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    assert_eq!(produced(test.resume(1, 9, waiting, Why::Woken)).base_offset, 0);
}

#[test]
fn a_request_that_hangs_is_never_answered() {
    let mut test = Test::new();
    test.world.add_rule(Rule::new(ApiKey::Produce, Act::ApplyThenHang).once());
    let waiting = parked(test.send(1, 9, produce_request("t", -1, batch(&["a"]))));
    assert_eq!(waiting.until, None);
    assert_eq!(test.fetch(0).high_watermark, 1);
    assert!(matches!(test.resume(1, 9, waiting, Why::Woken), Flow::Park(_)));
}

#[test]
fn a_parked_fetch_keeps_what_is_to_be_done_to_its_answer() {
    let mut test = Test::new();
    test.world.add_rule(Rule::new(ApiKey::Fetch, Act::ApplyThenDrop).once());
    let waiting = parked(test.send(1, 12, long_fetch(0)));
    test.produce(-1, batch(&["a"]));
    assert!(matches!(test.resume(1, 12, waiting, Why::Woken), Flow::Close));
}

#[test]
fn corrupt_records_fail_their_checksum() {
    let mut test = Test::new();
    test.produce(-1, batch(&["a"]));
    test.world.add_rule(Rule::new(ApiKey::Fetch, Act::CorruptRecords).once());
    let records = test.fetch(0).records.unwrap().into_bytes();
    let batch = ottla_protocol::records::RecordBatch::parse(records).unwrap();
    assert!(batch.verify_crc().is_err());
    assert_eq!(bases(&test.fetch(0)), [0], "the log is as it was");
}

#[test]
fn a_throttled_answer_says_so_and_mutes_its_connection() {
    let mut test = Test::new();
    let by = Duration::from_millis(200);
    test.world.add_rule(Rule::new(ApiKey::Fetch, Act::Throttle(by)).once());
    match test.send(1, 12, fetch_request(0)) {
        Flow::Reply(reply) => {
            assert_eq!(reply.mute, by);
            let Some(response) = FetchResponse::try_from_any(reply.response) else { panic!() };
            assert_eq!(response.throttle_time_ms, 200);
        }
        other => panic!("{other:?}"),
    }
}
