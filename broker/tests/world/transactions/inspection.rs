//! What operators see and do: `DescribeTransactions`, `ListTransactions`, `DescribeProducers`,
//! `WriteTxnMarkers` (KIP-664), and the feature that names the protocol.

use ottla_protocol::messages::describe_producers::{ProducerState, TopicRequest};
use ottla_protocol::messages::describe_transactions::TransactionState;
use ottla_protocol::messages::write_txn_markers::{WritableTxnMarker, WritableTxnMarkerTopic};
use ottla_protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, DescribeProducersRequest, DescribeProducersResponse,
    DescribeTransactionsRequest, DescribeTransactionsResponse, ListTransactionsRequest,
    ListTransactionsResponse, WriteTxnMarkersRequest, WriteTxnMarkersResponse,
};

use super::*;

fn describe(test: &mut Test, name: &str) -> TransactionState {
    let request =
        DescribeTransactionsRequest { transactional_ids: vec![name.into()], ..Default::default() };
    let mut response: DescribeTransactionsResponse = test.ask_coordinator(name, 0, request);
    response.transaction_states.remove(0)
}

#[test]
fn a_transaction_is_described_in_each_state() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    let described = describe(&mut test, "a");
    assert_eq!((&*described.transaction_state, described.transaction_start_time_ms), ("Empty", -1));
    test.pass(Duration::from_secs(1));
    producer.write(&mut test, "u", "x").unwrap();
    producer.write(&mut test, "t", "x").unwrap();
    producer.commit_offset(&mut test, 1);
    let described = describe(&mut test, "a");
    let topics: Vec<_> = described.topics.iter().map(|t| (&*t.topic, t.partitions.len())).collect();
    assert_eq!(topics, [("__consumer_offsets", 1), ("t", 1), ("u", 1)]);
    assert_eq!(&*described.transaction_state, "Ongoing");
    assert_eq!(described.transaction_start_time_ms, START + 1000);
    assert_eq!(described.transaction_timeout_ms, 60_000);
    assert_eq!((described.producer_id, described.producer_epoch), (producer.id, 0));
    test.world.hold_markers("a");
    producer.commit(&mut test).unwrap();
    let described = describe(&mut test, "a");
    assert_eq!((&*described.transaction_state, described.topics.len()), ("PrepareCommit", 3));
    test.world.release_markers("a", test.now);
    let described = describe(&mut test, "a");
    assert_eq!((&*described.transaction_state, described.topics.len()), ("CompleteCommit", 0));
    assert_eq!(described.producer_epoch, 1);
}

#[test]
fn what_is_not_there_is_not_described() {
    let mut test = Test::with_topics();
    Producer::new(&mut test, "a", Protocol::Two);
    for (name, code) in
        [("none", ErrorCode::TransactionalIdNotFound), ("", ErrorCode::InvalidRequest)]
    {
        assert_eq!(error(describe(&mut test, name).error_code), code);
    }
    let other = 1 + test.coordinator("a") % 3;
    let request =
        DescribeTransactionsRequest { transactional_ids: vec!["a".into()], ..Default::default() };
    let response: DescribeTransactionsResponse = reply(test.send(other, 0, request));
    assert_eq!(error(response.transaction_states[0].error_code), ErrorCode::NotCoordinator);
}

fn list(test: &mut Test, version: i16, request: &ListTransactionsRequest) -> Vec<String> {
    let mut listed = Vec::new();
    for node in 1..=3 {
        let response: ListTransactionsResponse = reply(test.send(node, version, request.clone()));
        listed.extend(response.transaction_states.iter().map(|s| s.transactional_id.to_string()));
    }
    listed.sort();
    listed
}

#[test]
fn transactions_are_listed_once_and_filtered() {
    let mut test = Test::with_topics();
    let mut first = Producer::new(&mut test, "app-1", Protocol::Two);
    let mut second = Producer::new(&mut test, "app-2", Protocol::One);
    Producer::new(&mut test, "tool", Protocol::Two);
    first.write(&mut test, "t", "x").unwrap();
    test.pass(Duration::from_secs(10));
    second.write(&mut test, "t", "x").unwrap();
    let all = ListTransactionsRequest::default();
    assert_eq!(list(&mut test, 0, &all), ["app-1", "app-2", "tool"]);
    let open = ListTransactionsRequest {
        state_filters: vec!["Ongoing".into(), "Sleeping".into()],
        ..all.clone()
    };
    assert_eq!(list(&mut test, 0, &open), ["app-1", "app-2"]);
    let response: ListTransactionsResponse = test.ask(0, open.clone());
    assert_eq!(response.unknown_state_filters, ["Sleeping"]);
    let of_producer =
        ListTransactionsRequest { producer_id_filters: vec![second.id], ..all.clone() };
    assert_eq!(list(&mut test, 0, &of_producer), ["app-2"]);
    let long = ListTransactionsRequest { duration_filter: 5000, ..open };
    assert_eq!(list(&mut test, 1, &long), ["app-1"]);
    for (pattern, expected) in [("app-[1-9]", 2), ("app", 0), (".*o.*", 1), ("", 3)] {
        let transactional_id_pattern = Some(pattern.into());
        let matching = ListTransactionsRequest { transactional_id_pattern, ..all.clone() };
        assert_eq!(list(&mut test, 2, &matching).len(), expected, "{pattern}");
    }
    let transactional_id_pattern = Some("(".into());
    let bad = ListTransactionsRequest { transactional_id_pattern, ..all };
    let response: ListTransactionsResponse = test.ask(2, bad);
    assert_eq!(error(response.error_code), ErrorCode::InvalidRegularExpression);
}

fn producers(test: &mut Test, node: i32) -> Result<Vec<ProducerState>, ErrorCode> {
    let topic =
        TopicRequest { name: "t".into(), partition_indexes: vec![0].into(), ..Default::default() };
    let request = DescribeProducersRequest { topics: vec![topic], ..Default::default() };
    let mut response: DescribeProducersResponse = reply(test.send(node, 0, request));
    let row = response.topics.remove(0).partitions.remove(0);
    outcome(row.error_code).map(|()| row.active_producers)
}

#[test]
fn producers_are_described_by_every_replica() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    test.produce(-1, batch(&["nobody"]));
    producer.write(&mut test, "t", "x").unwrap();
    producer.write(&mut test, "t", "y").unwrap();
    let states = producers(&mut test, 1).unwrap();
    let told = |s: &ProducerState| {
        (s.producer_id, s.producer_epoch, s.last_sequence, s.current_txn_start_offset)
    };
    assert_eq!(states.iter().map(told).collect::<Vec<_>>(), [(producer.id, 0, 1, 1)]);
    assert_eq!((states[0].coordinator_epoch, states[0].last_timestamp), (-1, START));
    for follower in [2, 3] {
        assert_eq!(producers(&mut test, follower).as_ref(), Ok(&states));
    }
    producer.commit(&mut test).unwrap();
    let states = producers(&mut test, 1).unwrap();
    assert_eq!(states.iter().map(told).collect::<Vec<_>>(), [(producer.id, 1, -1, -1)]);
    assert_eq!(states[0].coordinator_epoch, 0);
}

fn write_marker(test: &mut Test, version: i16, marker: &WritableTxnMarker) -> ErrorCode {
    let request = WriteTxnMarkersRequest { markers: vec![marker.clone()], ..Default::default() };
    let response: WriteTxnMarkersResponse = test.ask(version, request);
    error(response.markers[0].topics[0].partitions[0].error_code)
}

#[test]
fn an_operator_ends_a_transaction_that_hangs() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    let topic = WritableTxnMarkerTopic {
        name: "t".into(),
        partition_indexes: vec![0].into(),
        ..Default::default()
    };
    let marker = WritableTxnMarker {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        transaction_result: false,
        topics: vec![topic],
        coordinator_epoch: 3,
        ..Default::default()
    };
    let strict = WritableTxnMarker { transaction_version: 2, ..marker.clone() };
    assert_eq!(write_marker(&mut test, 2, &strict), ErrorCode::InvalidProducerEpoch);
    assert_eq!(write_marker(&mut test, 1, &marker), ErrorCode::None);
    test.produce(-1, batch(&["y"]));
    assert_eq!(test.visible("t"), "y");
    let repeated = WritableTxnMarker { transaction_version: 2, ..marker.clone() };
    assert_eq!(write_marker(&mut test, 2, &repeated), ErrorCode::None, "nothing is open");
    let older = WritableTxnMarker { coordinator_epoch: 2, ..marker.clone() };
    assert_eq!(write_marker(&mut test, 1, &older), ErrorCode::TransactionCoordinatorFenced);
    let fenced = WritableTxnMarker { producer_epoch: -1, ..marker.clone() };
    assert_eq!(write_marker(&mut test, 1, &fenced), ErrorCode::InvalidProducerEpoch);
    let topic = WritableTxnMarkerTopic {
        name: "u".into(),
        partition_indexes: vec![0].into(),
        ..Default::default()
    };
    let elsewhere = WritableTxnMarker { topics: vec![topic.clone()], ..marker.clone() };
    assert_eq!(write_marker(&mut test, 1, &elsewhere), ErrorCode::NotLeaderOrFollower);
    test.world.set_alive(NodeId(1), false, test.now);
    test.world.create_topic("single", 1, 1, &[]).unwrap();
    test.world.set_alive(NodeId(1), true, test.now);
    let topic = WritableTxnMarkerTopic { name: "single".into(), ..topic };
    let nowhere = WritableTxnMarker { topics: vec![topic], ..marker };
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(write_marker(&mut test, 1, &nowhere), unknown, "no replica is there");
}

fn abort_marker(producer: &Producer) -> WriteTxnMarkersRequest {
    let topic = WritableTxnMarkerTopic {
        name: "t".into(),
        partition_indexes: vec![0].into(),
        ..Default::default()
    };
    let marker = WritableTxnMarker {
        producer_id: producer.id,
        producer_epoch: producer.epoch,
        topics: vec![topic],
        ..Default::default()
    };
    WriteTxnMarkersRequest { markers: vec![marker], ..Default::default() }
}

fn marker_code(flow: Flow) -> ErrorCode {
    let response: WriteTxnMarkersResponse = reply(flow);
    error(response.markers[0].topics[0].partitions[0].error_code)
}

#[test]
fn an_operators_marker_is_answered_when_the_in_sync_replicas_have_it() {
    for resumed in [true, false] {
        let mut test = Test::with_topics();
        let mut producer = Producer::new(&mut test, "a", Protocol::Two);
        producer.write(&mut test, "t", "x").unwrap();
        test.world.pause_replication("t", 0, true, test.now).unwrap();
        let waiting = parked(test.send(1, 1, abort_marker(&producer)));
        assert_eq!(waiting.until, Some(test.now.mono + Duration::from_secs(30)));
        let (why, expected) = if resumed {
            test.world.pause_replication("t", 0, false, test.now).unwrap();
            assert!(test.world.take_woken().contains(&waiting.ticket));
            (Why::Woken, ErrorCode::None)
        } else {
            (Why::Expired, ErrorCode::RequestTimedOut)
        };
        assert_eq!(marker_code(test.resume(1, 1, waiting, why)), expected);
    }
}

#[test]
fn an_operators_marker_that_lost_its_leader_is_said_to_be_lost() {
    let mut test = Test::with_topics();
    let mut producer = Producer::new(&mut test, "a", Protocol::Two);
    producer.write(&mut test, "t", "x").unwrap();
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    let waiting = parked(test.send(1, 1, abort_marker(&producer)));
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    let code = marker_code(test.resume(1, 1, waiting, Why::Woken));
    assert_eq!(code, ErrorCode::NotLeaderOrFollower);
}

#[test]
fn features_with_minimum_zero_are_hidden_below_v4() {
    for (version, supported) in [(3, 0), (4, 1), (5, 1)] {
        for level in 0..=2 {
            let mut test = Test::new();
            test.world.set_transaction_version(level);
            let request = ApiVersionsRequest {
                client_software_name: "test".into(),
                client_software_version: "1".into(),
                ..Default::default()
            };
            let response: ApiVersionsResponse = test.ask(version, request);
            assert_eq!(response.supported_features.len(), supported);
            assert!(response.supported_features.iter().all(|f| f.max_version == 2));
            assert!(response.finalized_features_epoch >= 0);
            let told: Vec<_> = response
                .finalized_features
                .iter()
                .map(|f| (&*f.name, f.min_version_level, f.max_version_level))
                .collect();
            // Level 0 is not told, as in Kafka.
            let expected = [("transaction.version", level, level)];
            assert_eq!(told, expected[usize::from(level == 0)..]);
        }
    }
}
