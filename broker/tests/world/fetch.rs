use std::time::Duration;

use ottla_broker::world::catalog::TopicKey;
use ottla_broker::world::{Flow, Why};
use ottla_protocol::messages::fetch::ForgottenTopic;
use ottla_protocol::{ErrorCode, Uuid};

use super::*;

fn filled(batches: &[&[&str]]) -> Test {
    let mut test = Test::new();
    for values in batches {
        assert_eq!(test.produce(-1, batch(values)).error_code, 0);
    }
    test
}

#[test]
fn a_mid_batch_offset_returns_its_batch() {
    let mut test = filled(&[&["a", "b", "c"], &["d"]]);
    assert_eq!(bases(&test.fetch(1)), [0, 3]);
    assert_eq!(bases(&test.fetch(3)), [3]);
}

#[test]
fn empty_records_are_not_null() {
    let row = Test::new().fetch(0);
    assert!(row.records.unwrap().is_empty());
    assert_eq!(row.aborted_transactions, None);
}

#[test]
fn offsets_outside_the_log_are_out_of_range() {
    let mut test = filled(&[&["a"]]);
    for (offset, code) in [(-1, 1), (0, 0), (1, 0), (2, 1)] {
        let row = test.fetch(offset);
        assert_eq!(row.error_code, code, "offset {offset}");
        if code != 0 {
            assert_eq!((row.high_watermark, row.last_stable_offset), (-1, -1));
        }
    }
}

#[test]
fn first_batch_ignores_limits_and_only_the_first() {
    let mut test = filled(&[&["a"], &["b"], &["c"]]);
    let size = i32::try_from(batch(&["a"]).len()).unwrap();
    for (max_bytes, expected) in [(1, 1), (2 * size - 1, 1), (2 * size, 2), (4 * size, 3)] {
        let request = FetchRequest { max_bytes, ..fetch_request(0) };
        let row = fetched(test.send(1, 12, request));
        assert_eq!(bases(&row).len(), expected, "{max_bytes} bytes");
    }
}

#[test]
fn a_full_fetch_answers_every_partition_though_the_budget_is_spent() {
    let mut test = filled(&[&["a"]]);
    let mut request = FetchRequest { max_bytes: 1, ..fetch_request(0) };
    let again = request.topics[0].partitions[0].clone();
    request.topics[0].partitions.push(again);
    let rows = fetch_response(test.send(1, 12, request)).responses.remove(0).partitions;
    assert_eq!(rows.iter().map(|row| bases(row).len()).collect::<Vec<_>>(), [1, 0]);
    assert_eq!(rows[1].high_watermark, 1);
}

#[test]
fn epochs_of_clients_are_compared_with_the_real_one() {
    let mut test = filled(&[&["a"]]);
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    for (known, code) in [(-1, 0), (0, 74), (1, 0), (2, 75)] {
        let mut request = fetch_request(0);
        request.topics[0].partitions[0].current_leader_epoch = known;
        assert_eq!(fetched(test.send(2, 12, request)).error_code, code, "epoch {known}");
    }
}

#[test]
fn a_parked_fetch_is_woken_by_an_append_and_answers_it() {
    let mut test = Test::new();
    let waiting = parked(test.send(1, 12, long_fetch(0)));
    assert_eq!(waiting.until, Some(Duration::from_secs(1)));
    test.produce(-1, batch(&["a"]));
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    assert_eq!(bases(&fetched(test.resume(1, 12, waiting, Why::Woken))), [0]);
}

#[test]
fn max_wait_is_honoured_when_there_is_nothing() {
    let mut test = Test::new();
    let waiting = parked(test.send(1, 12, long_fetch(0)));
    let waiting = parked(test.resume(1, 12, waiting, Why::Woken));
    assert_eq!(waiting.until, Some(Duration::from_secs(1)));
    test.pass(Duration::from_secs(1));
    let row = fetched(test.resume(1, 12, waiting, Why::Expired));
    assert_eq!((row.error_code, row.records.unwrap().len()), (0, 0));
}

#[test]
fn a_fetch_waits_for_as_many_bytes_as_it_asks_for() {
    let mut test = filled(&[&["a"]]);
    let min_bytes = i32::try_from(batch(&["a"]).len()).unwrap() + 1;
    let waiting = parked(test.send(1, 12, FetchRequest { min_bytes, ..long_fetch(0) }));
    test.produce(-1, batch(&["b"]));
    assert_eq!(bases(&fetched(test.resume(1, 12, waiting, Why::Woken))), [0, 1]);
}

#[test]
fn what_is_not_committed_is_not_read() {
    let mut test = Test::new();
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    test.produce(1, batch(&["a"]));
    let waiting = parked(test.send(1, 12, long_fetch(0)));
    test.world.pause_replication("t", 0, false, test.now).unwrap();
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    assert_eq!(bases(&fetched(test.resume(1, 12, waiting, Why::Woken))), [0]);
}

#[test]
fn a_waiting_fetch_learns_that_its_leader_is_gone() {
    let mut test = Test::new();
    // By its leader epoch, or because it could not read from a follower.
    for (version, code) in
        [(12, ErrorCode::FencedLeaderEpoch), (10, ErrorCode::NotLeaderOrFollower)]
    {
        let leader = test.leader("t").0;
        let epoch = test.world.catalog().leader(TopicKey::Name("t"), 0).unwrap().1;
        let mut request = long_fetch(0);
        let known = if version < 11 { -1 } else { epoch };
        request.topics[0].partitions[0].current_leader_epoch = known;
        let waiting = parked(test.send(leader, version, request));
        test.world.move_leader("t", 0, NodeId(leader % 3 + 1), test.now).unwrap();
        let row = fetched(test.resume(leader, version, waiting, Why::Woken));
        assert_eq!(row.error_code, code.code());
    }
}

#[test]
fn an_unknown_topic_is_told_by_how_it_was_named() {
    let mut test = Test::new();
    let mut request = fetch_request(0);
    request.topics[0].topic = "nope".into();
    let row = fetched(test.send(1, 12, request.clone()));
    assert_eq!(row.error_code, ErrorCode::UnknownTopicOrPartition.code());
    for id in [Uuid::from(5), Uuid::ZERO] {
        request.topics[0].topic_id = id;
        let row = fetched(test.send(1, 13, request.clone()));
        assert_eq!(row.error_code, ErrorCode::UnknownTopicId.code(), "{id}");
    }
}

/// A full fetch that makes a session; its id.
fn session(test: &mut Test, offset: i64) -> i32 {
    session_in(test, 12, offset)
}

fn session_in(test: &mut Test, version: i16, offset: i64) -> i32 {
    let request = FetchRequest { session_epoch: 0, ..fetch_request(offset) };
    let response = fetch_response(test.send(1, version, request));
    assert_ne!(response.session_id, 0);
    response.session_id
}

fn incremental(session_id: i32, session_epoch: i32) -> FetchRequest {
    FetchRequest { session_id, session_epoch, topics: Vec::new(), ..fetch_request(0) }
}

#[test]
fn an_incremental_fetch_tells_only_news() {
    let mut test = filled(&[&["a"]]);
    let id = session(&mut test, 1);
    let response = fetch_response(test.send(1, 12, incremental(id, 1)));
    assert_eq!((response.session_id, response.responses.len()), (id, 0));
    test.produce(-1, batch(&["b"]));
    let response = fetch_response(test.send(1, 12, incremental(id, 2)));
    assert_eq!(bases(&response.responses[0].partitions[0]), [1]);
}

#[test]
fn session_epoch_advances_on_accept() {
    let mut test = Test::new();
    let id = session(&mut test, 0);
    let waiting = parked(test.send(
        1,
        12,
        FetchRequest { max_wait_ms: 9, min_bytes: 1, ..incremental(id, 1) },
    ));
    test.world.abandon(&waiting);
    let response = fetch_response(test.send(1, 12, incremental(id, 1)));
    assert_eq!(response.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
}

#[test]
fn parked_full_fetch_makes_one_session() {
    let mut test = Test::new();
    let request = FetchRequest { session_epoch: 0, ..long_fetch(0) };
    let waiting = parked(test.send(1, 12, request));
    let waiting = parked(test.resume(1, 12, waiting, Why::Woken));
    let response = fetch_response(test.resume(1, 12, waiting, Why::Expired));
    let other = session(&mut test, 0);
    let taken = [response.session_id, other];
    assert!(taken.iter().all(|id| *id > 0) && taken[0] != taken[1]);
    for id in taken {
        assert_eq!(fetch_response(test.send(1, 12, incremental(id, 1))).error_code, 0);
    }
}

#[test]
fn sessions_of_nobody_are_not_found() {
    let mut test = Test::new();
    let response = fetch_response(test.send(1, 12, incremental(7, 1)));
    assert_eq!(response.error_code, ErrorCode::FetchSessionIdNotFound.code());
}

#[test]
fn sessions_are_keyed_by_names_or_by_ids_not_both() {
    let mut test = Test::new();
    let id = session(&mut test, 0);
    let response = fetch_response(test.send(1, 13, incremental(id, 1)));
    assert_eq!(response.error_code, ErrorCode::FetchSessionTopicIdError.code());
}

#[test]
fn a_session_emptied_of_its_partitions_is_closed() {
    let mut test = Test::new();
    let id = session(&mut test, 0);
    let forgotten = ForgottenTopic {
        topic: "t".into(),
        partitions: [0].into_iter().collect(),
        ..Default::default()
    };
    let request = FetchRequest { forgotten_topics_data: vec![forgotten], ..incremental(id, 1) };
    assert_eq!(fetch_response(test.send(1, 12, request)).session_id, 0);
    let response = fetch_response(test.send(1, 12, incremental(id, 2)));
    assert_eq!(response.error_code, ErrorCode::FetchSessionIdNotFound.code());
}

#[test]
fn a_recovery_is_reported_after_an_error() {
    let mut test = filled(&[&["a"]]);
    let id = session_in(&mut test, 10, 1);
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    let response = fetch_response(test.send(1, 10, incremental(id, 1)));
    assert_eq!(response.responses[0].partitions[0].error_code, 6);
    test.world.move_leader("t", 0, NodeId(1), test.now).unwrap();
    let response = fetch_response(test.send(1, 10, incremental(id, 2)));
    assert_eq!(response.responses[0].partitions[0].high_watermark, 1);
}

#[test]
fn a_full_cache_gives_no_session() {
    let mut test = Test::without_topics(1, &[("max.incremental.fetch.session.cache.slots", "1")]);
    test.topic("t", &[]);
    let id = session(&mut test, 0);
    let request = FetchRequest { session_epoch: 0, ..fetch_request(0) };
    assert_eq!(fetch_response(test.send(1, 12, request.clone())).session_id, 0);
    test.pass(Duration::from_secs(121));
    assert_ne!(fetch_response(test.send(1, 12, request)).session_id, id);
}

#[test]
fn a_fetcher_of_another_history_is_told_where_it_leaves_ours() {
    let mut test = filled(&[&["a"]]);
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    let mut request = fetch_request(3);
    request.topics[0].partitions[0].last_fetched_epoch = 0;
    let row = fetched(test.send(2, 12, request));
    let diverging = row.diverging_epoch.unwrap();
    assert_eq!((row.error_code, diverging.epoch, diverging.end_offset), (0, 0, 1));
}

#[test]
fn a_deleted_topic_answers_who_waits_on_it() {
    let mut test = Test::new();
    let waiting = parked(test.send(1, 12, long_fetch(0)));
    let request = ottla_protocol::messages::DeleteTopicsRequest {
        topic_names: vec!["t".into()],
        ..Default::default()
    };
    assert!(matches!(test.send(1, 3, request), Flow::Reply(_)));
    assert_eq!(test.world.take_woken(), [waiting.ticket]);
    let row = fetched(test.resume(1, 12, waiting, Why::Woken));
    assert_eq!(row.error_code, ErrorCode::UnknownTopicOrPartition.code());
}

/// A full fetch of a topic that nobody knows, and of `t`, that waits.
fn with_an_unknown(offset: i64) -> FetchRequest {
    let mut request = long_fetch(offset);
    let unknown = FetchTopic { topic: "nope".into(), ..request.topics[0].clone() };
    request.topics.insert(0, unknown);
    request
}

fn rows(flow: Flow) -> Vec<(i16, usize)> {
    let topics = fetch_response(flow).responses.into_iter();
    let rows = topics.flat_map(|topic| topic.partitions);
    rows.map(|row| (row.error_code, bases(&row).len())).collect()
}

#[test]
fn an_unknown_topic_does_not_end_the_wait_for_another() {
    let mut test = Test::new();
    let waiting = parked(test.send(1, 12, with_an_unknown(0)));
    let waiting = parked(test.resume(1, 12, waiting, Why::Woken));
    test.topic("nope", &[]);
    test.produce(-1, batch(&["a"]));
    let answer = rows(test.resume(1, 12, waiting, Why::Woken));
    assert_eq!(answer, [(3, 0), (0, 1)], "it is told as it was when the request came");
}

#[test]
fn an_unknown_topic_alone_is_answered_at_once() {
    let mut test = Test::new();
    let mut request = with_an_unknown(0);
    request.topics.truncate(1);
    assert_eq!(rows(test.send(1, 12, request)), [(3, 0)]);
}

#[test]
fn the_brokers_limit_of_an_answer_holds_too_and_nobody_waits_for_more() {
    let mut test = Test::without_topics(1, &[("fetch.max.bytes", "1024")]);
    test.topic("t", &[]);
    let value = "x".repeat(600);
    for _ in 0..3 {
        test.produce(-1, batch(&[&value]));
    }
    assert_eq!(bases(&test.fetch(0)), [0]);
    test.produce(-1, batch(&[&value, &value]));
    let request = FetchRequest { min_bytes: 1 << 20, ..long_fetch(3) };
    assert_eq!(bases(&fetched(test.send(1, 12, request))), [3], "1,024 bytes are there");
}

#[test]
fn no_one_waits_for_more_than_it_may_be_sent() {
    let mut test = filled(&[&["a"]]);
    let request = FetchRequest { min_bytes: 1000, max_bytes: 10, ..long_fetch(0) };
    assert_eq!(bases(&fetched(test.send(1, 12, request))), [0]);
}

#[test]
fn who_is_behind_the_log_start_is_out_of_range_though_it_diverged() {
    use ottla_protocol::messages::delete_records as wire;
    let mut test = filled(&[&["a"], &["b"]]);
    let partition = wire::DeleteRecordsPartition { offset: 1, ..Default::default() };
    let name = "t".into();
    let topic =
        wire::DeleteRecordsTopic { name, partitions: vec![partition], ..Default::default() };
    let request = wire::DeleteRecordsRequest { topics: vec![topic], ..Default::default() };
    assert!(matches!(test.send(1, 2, request), Flow::Reply(_)));
    // Nothing is written in epoch 1, so that it is not in the log of epoch 2.
    for node in [2, 3] {
        test.world.move_leader("t", 0, NodeId(node), test.now).unwrap();
    }
    test.produce(-1, batch(&["c"]));
    for (offset, code, diverges) in [(0, 1, false), (1, 0, true)] {
        let mut request = fetch_request(offset);
        request.topics[0].partitions[0].last_fetched_epoch = 1;
        let row = fetched(test.send(3, 12, request));
        assert_eq!((row.error_code, row.diverging_epoch.is_some()), (code, diverges), "{offset}");
    }
}

#[test]
fn a_session_epoch_that_no_client_has_is_not_a_full_fetch() {
    let mut test = Test::new();
    let id = session(&mut test, 0);
    let code = |flow| fetch_response(flow).error_code;
    let invalid = ErrorCode::InvalidFetchSessionEpoch.code();
    assert_eq!(code(test.send(1, 12, incremental(id, -2))), invalid);
    let not_found = ErrorCode::FetchSessionIdNotFound.code();
    assert_eq!(code(test.send(1, 12, incremental(0, -2))), not_found);
    assert_eq!(code(test.send(1, 12, incremental(id, 1))), 0, "it is still there");
}

#[test]
fn a_full_fetch_of_nothing_makes_a_session_too() {
    let mut test = Test::new();
    let request = FetchRequest { session_epoch: 0, topics: Vec::new(), ..fetch_request(0) };
    let response = fetch_response(test.send(1, 12, request));
    assert_ne!(response.session_id, 0);
    let request =
        FetchRequest { topics: fetch_request(0).topics, ..incremental(response.session_id, 1) };
    assert_eq!(fetched(test.send(1, 12, request)).high_watermark, 0);
}

#[test]
fn a_larger_newcomer_takes_the_place_only_of_who_had_it_for_long() {
    let mut test = Test::without_topics(1, &[("max.incremental.fetch.session.cache.slots", "1")]);
    test.topic("t", &[]);
    test.topic("u", &[]);
    let id = session(&mut test, 0);
    let mut larger = FetchRequest { session_epoch: 0, ..fetch_request(0) };
    let second = FetchTopic { topic: "u".into(), ..larger.topics[0].clone() };
    larger.topics.push(second);
    assert_eq!(fetch_response(test.send(1, 12, larger.clone())).session_id, 0);
    for epoch in 1..=3 {
        test.pass(Duration::from_secs(50));
        assert_eq!(fetch_response(test.send(1, 12, incremental(id, epoch))).error_code, 0);
    }
    assert_ne!(fetch_response(test.send(1, 12, larger)).session_id, 0);
}
