use std::sync::Arc;
use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_broker::world::{Flow, Why};
use ottla_protocol::messages::metadata::MetadataRequestTopic;
use ottla_protocol::messages::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest,
    DescribeConfigsResponse, HeartbeatRequest, HeartbeatResponse, MetadataRequest,
    MetadataResponse,
};
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
fn an_injected_code_hits_records_that_must_be_read_first() {
    let code = ErrorCode::NotLeaderOrFollower;
    for (act, written) in [(Act::Respond(code), 0), (Act::ApplyThenRespond(code), 1)] {
        let mut test = Test::without_topics(1, &[]);
        test.topic("t", &[("cleanup.policy", "compact")]);
        let rule = test.world.add_rule(Rule::new(ApiKey::Produce, act).once());
        assert_eq!(test.produce(-1, batch(&["a"])).error_code, code.code());
        assert_eq!((test.world.hits(rule), test.fetch(0).high_watermark), (1, written));
        assert_eq!(test.produce(-1, batch(&["b"])).base_offset, written);
    }
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

#[test]
fn what_is_done_can_be_said_to_have_failed() {
    let mut test = Test::new();
    let act = Act::ApplyThenRespond(ErrorCode::RequestTimedOut);
    let rule = Rule::new(ApiKey::Produce, act).partition("t", 0).skip(1).once();
    let rule = test.world.add_rule(rule);
    let codes: Vec<i16> = (0..3).map(|_| test.produce(-1, batch(&["a"])).error_code).collect();
    assert_eq!((codes, test.world.hits(rule)), (vec![0, 7, 0], 1));
    assert_eq!(bases(&test.fetch(0)), [0, 1, 2], "each was written once");
}

#[test]
fn what_fails_after_the_deed_leaves_its_neighbours_as_they_are() {
    let mut test = Test::new();
    test.world.create_topic("u", 1, 3, &[]).unwrap();
    test.world.move_leader("u", 0, NodeId(1), test.now).unwrap();
    let act = Act::ApplyThenRespond(ErrorCode::RequestTimedOut);
    test.world.add_rule(Rule::new(ApiKey::Produce, act).partition("u", 0).once());
    let mut request = produce_request("t", -1, batch(&["a"]));
    request.topic_data.extend(produce_request("u", -1, batch(&["a"])).topic_data);
    let response: ProduceResponse = reply(test.send(1, 9, request));
    let code = |at: usize| response.responses[at].partition_responses[0].error_code;
    assert_eq!([code(0), code(1)], [0, 7]);
    for topic in ["t", "u"] {
        let mut request = fetch_request(0);
        request.topics[0].topic = topic.into();
        assert_eq!(bases(&fetched(test.send(1, 12, request))), [0], "{topic}");
    }
}

#[test]
fn an_answer_is_edited_before_it_is_sent() {
    let mut test = Test::new();
    let hide = |answer: &mut AnyResponse| {
        if let AnyResponse::Metadata(metadata) = answer {
            metadata.brokers.retain(|broker| broker.node_id != 2);
        }
    };
    test.world.add_rule(Rule::new(ApiKey::Metadata, Act::edit(hide)).once());
    for expected in [2, 3] {
        let told: MetadataResponse = test.ask(12, MetadataRequest::default());
        assert_eq!(told.brokers.len(), expected);
    }
}

#[test]
fn of_a_rule_that_is_gone_only_the_count_is_kept() {
    let mut test = Test::new();
    let held = Arc::new(());
    let rule = || {
        let held = Arc::clone(&held);
        Rule::new(ApiKey::Metadata, Act::edit(move |_| drop(Arc::clone(&held))))
    };
    let used_up = test.world.add_rule(rule().times(2));
    let never = test.world.add_rule(rule().times(0));
    let taken_away = test.world.add_rule(rule());
    for _ in 0..3 {
        test.ask::<MetadataResponse>(12, MetadataRequest::default());
    }
    assert_eq!(Arc::strong_count(&held), 2, "the last one may still act");
    test.world.remove_rule(taken_away);
    test.ask::<MetadataResponse>(12, MetadataRequest::default());
    assert_eq!(Arc::strong_count(&held), 1);
    assert_eq!([used_up, never, taken_away].map(|rule| test.world.hits(rule)), [2, 0, 1]);
}

#[test]
fn records_are_corrupted_where_there_are_any() {
    let mut test = Test::new();
    let elsewhere = Rule::new(ApiKey::Fetch, Act::CorruptRecords).partition("t", 1);
    let elsewhere = test.world.add_rule(elsewhere);
    test.produce(-1, batch(&["a"]));
    assert_eq!(bases(&test.fetch(0)), [0], "this is another partition");
    test.world.remove_rule(elsewhere);
    let rule = Rule::new(ApiKey::Fetch, Act::CorruptRecords).partition("t", 0).once();
    let rule = test.world.add_rule(rule);
    assert!(bases(&test.fetch(1)).is_empty());
    assert_eq!(test.world.hits(rule), 0, "an answer without records does not use the rule up");
    test.fetch(0);
    assert_eq!((test.world.hits(rule), test.world.hits(elsewhere)), (1, 0));
}

#[test]
fn a_rule_can_be_meant_for_one_client() {
    let mut test = Test::new();
    let rule = test.world.add_rule(Rule::any(Act::DropBefore).client("loader"));
    let mut cx = Context::new(test.now, NodeId(1), 12);
    for (client, dropped) in [("other", false), ("loader", true)] {
        cx.client_id = client.into();
        let flow = test.world.handle(&cx, Prepared::new(fetch_request(0).into(), 12, 0));
        assert_eq!(matches!(flow, Flow::Close), dropped, "{client}");
    }
    assert_eq!(test.world.hits(rule), 1);
}

#[test]
fn every_answer_that_can_says_that_it_is_throttled() {
    let by = Duration::from_millis(200);
    let mut test = Test::new();
    test.world.add_rule(Rule::any(Act::Throttle(by)));
    let told: HeartbeatResponse = test.ask(4, HeartbeatRequest::default());
    assert_eq!(told.throttle_time_ms, 200);
    let told: DescribeConfigsResponse = test.ask(4, DescribeConfigsRequest::default());
    assert_eq!(told.throttle_time_ms, 200);
}

/// Where a node says that the leader of `t` is.
fn leader_as_told_by(test: &mut Test, node: i32) -> i32 {
    let told: MetadataResponse = reply(test.send(node, 0, MetadataRequest::default()));
    told.topics[0].partitions[0].leader_id
}

#[test]
fn a_node_with_frozen_metadata_tells_of_yesterday() {
    let mut test = Test::new();
    test.world.freeze_metadata(NodeId(2), true);
    test.world.move_leader("t", 0, NodeId(3), test.now).unwrap();
    test.world.set_alive(NodeId(1), false, test.now);
    let told = [2, 3].map(|node| leader_as_told_by(&mut test, node));
    assert_eq!(told, [1, 3]);
    let named: DescribeClusterResponse = reply(test.send(2, 1, DescribeClusterRequest::default()));
    assert_eq!(named.brokers.len(), 3, "it has not heard of the death");
    assert_eq!(test.produce(-1, batch(&["a"])).error_code, 0, "the rest of it works as ever");
    test.world.freeze_metadata(NodeId(2), false);
    assert_eq!(leader_as_told_by(&mut test, 2), 3);
}

#[test]
fn a_restart_thaws_frozen_metadata() {
    let mut test = Test::new();
    test.world.freeze_metadata(NodeId(2), true);
    test.world.set_alive(NodeId(2), false, test.now);
    test.world.set_alive(NodeId(2), true, test.now);
    test.world.move_leader("t", 0, NodeId(3), test.now).unwrap();
    assert_eq!(leader_as_told_by(&mut test, 2), 3);
}

#[test]
fn a_node_with_frozen_metadata_creates_no_topic_on_demand() {
    let mut test = Test::without_topics(1, &[("auto.create.topics.enable", "true")]);
    test.world.freeze_metadata(NodeId(1), true);
    let topic = MetadataRequestTopic { name: Some("new".into()), ..Default::default() };
    let request = MetadataRequest { topics: Some(vec![topic]), ..Default::default() };
    let told: MetadataResponse = test.ask(1, request);
    assert_eq!(told.topics[0].error_code, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(test.world.catalog().topics().count(), 0);
}
