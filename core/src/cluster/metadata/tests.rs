use super::*;
use crate::cluster::LeaderHint;
use crate::types::{LeaderEpoch, TopicPartition};
use ottla_protocol::messages::metadata::{MetadataResponsePartition, MetadataResponseTopic};
use ottla_protocol::{Message, Uuid};
use proptest::prelude::*;

#[test]
fn the_first_refresh_is_due_at_once() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.poll(), Some("".into()));
    assert_eq!(cluster.answer(""), Some("".into()));
    assert_eq!(cluster.poll(), None);
}

#[test]
fn nobody_known_means_asking_the_bootstrap_servers() {
    let cluster = Cluster::new();
    let candidates = cluster.machine.candidates(0);
    assert_eq!(candidates, [Candidate::Bootstrap(HostPort::new("boot", 9092))]);
}

#[test]
fn a_new_topic_is_asked_for_at_once_and_alone() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.use_topic("b");
    assert!(cluster.machine.is_waiting("b"));
    assert_eq!(cluster.machine.next_timeout(), Some(cluster.now));
    assert_eq!(cluster.poll(), Some("b".into()));
    assert_eq!(cluster.answer("b 2@3"), Some("a 1@1, b 2@3".into()));
    assert!(!cluster.machine.is_waiting("b"));
}

#[test]
fn a_topic_that_is_known_is_not_asked_for_again() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.use_topic("a");
    assert_eq!(cluster.poll(), None);
}

#[test]
fn one_request_is_under_way_at_a_time() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.use_topic("b");
    assert_eq!(cluster.poll(), Some("b".into()));
    cluster.use_topic("c");
    cluster.machine.request_refresh(cluster.now);
    assert_eq!(cluster.poll(), None);
    cluster.answer("b 1@1");
    assert_eq!(cluster.poll(), Some("a b c".into()));
}

#[test]
fn ten_thousand_requests_are_one_refresh() {
    let mut cluster = Cluster::with("a 1@1");
    for _ in 0..10_000 {
        cluster.machine.request_refresh(cluster.now);
    }
    assert_eq!(cluster.poll(), Some("a".into()));
    cluster.answer("a 2@2");
    assert_eq!(cluster.poll(), None);
}

#[test]
fn the_first_requested_refresh_does_not_wait_and_useless_ones_slow_down() {
    let mut cluster = Cluster::with("a 1@1");
    let mut waits = Vec::new();
    for _ in 0..4 {
        cluster.machine.request_refresh(cluster.now);
        waits.push(cluster.wait());
        assert_eq!(cluster.poll(), Some("a".into()));
        assert_eq!(cluster.answer("a 1@1"), None);
    }
    assert_eq!(waits, [0, 100, 200, 400]);
    cluster.machine.request_refresh(cluster.now);
    cluster.wait();
    cluster.poll();
    cluster.answer("a 2@2");
    cluster.machine.request_refresh(cluster.now);
    assert_eq!(cluster.wait(), 100, "news start over");
}

#[test]
fn a_quiet_time_makes_the_next_requested_refresh_the_first_again() {
    let mut cluster = Cluster::with("a 1@1");
    for _ in 0..5 {
        cluster.machine.request_refresh(cluster.now);
        cluster.wait();
        cluster.poll();
        cluster.answer("a 1@1");
    }
    cluster.pass(10_000);
    for wait in [0, 100] {
        cluster.machine.request_refresh(cluster.now);
        assert_eq!(cluster.wait(), wait);
        cluster.poll();
        cluster.answer("a 1@1");
    }
}

#[test]
fn what_is_known_is_asked_for_again_when_it_is_old() {
    let mut cluster = Cluster::with("a 1@1");
    assert_eq!(cluster.wait(), 300_000);
    assert_eq!(cluster.poll(), Some("a".into()));
}

#[test]
fn a_partial_refresh_does_not_make_the_rest_younger() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.pass(200_000);
    cluster.use_topic("b");
    cluster.poll();
    cluster.answer("b 1@1");
    assert_eq!(cluster.wait(), 100_000);
}

#[test]
fn failures_are_spaced_and_hold_back_new_topics_too() {
    let mut cluster = Cluster::with("a 1@1");
    let mut waits = Vec::new();
    cluster.machine.request_refresh(cluster.now);
    for _ in 0..6 {
        waits.push(cluster.wait());
        assert!(cluster.poll().is_some());
        cluster.machine.handle_failure(cluster.now, EVEN);
        cluster.use_topic("b");
    }
    assert_eq!(waits, [0, 100, 200, 400, 800, 1000]);
}

#[test]
fn a_failed_refresh_is_asked_again_as_it_was() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.use_topic("b");
    cluster.poll();
    cluster.fail();
    cluster.pass(100);
    assert_eq!(cluster.poll(), Some("b".into()), "a partial one");
    cluster.answer("b 1@1");
    cluster.machine.request_refresh(cluster.now);
    cluster.poll();
    cluster.fail();
    cluster.pass(100);
    assert_eq!(cluster.poll(), Some("a b".into()), "a full one");
}

#[test]
fn an_older_leader_epoch_is_not_believed() {
    check("a 1@5 1@5", "a 2@4 3@6", "a 1@5 3@6");
}

#[test]
fn an_older_leader_epoch_is_asked_again_soon() {
    let mut cluster = Cluster::with("a 1@5");
    cluster.refresh("a 2@4");
    assert_eq!(cluster.wait(), 100);
    assert_eq!(cluster.poll(), Some("a".into()));
    cluster.answer("a 1@5");
    assert!(cluster.wait() > 10_000);
}

#[test]
fn an_older_leader_epoch_is_believed_when_the_same_answer_keeps_coming() {
    let mut cluster = Cluster::with("a 1@5");
    for _ in 0..4 {
        assert_eq!(cluster.refresh("a 2@4"), "a 1@5");
    }
    assert_eq!(cluster.refresh("a 2@4"), "a 2@4");
}

#[test]
fn different_old_answers_do_not_add_up() {
    let mut cluster = Cluster::with("a 1@5");
    for _ in 0..4 {
        assert_eq!(cluster.refresh("a 2@4"), "a 1@5");
    }
    assert_eq!(cluster.refresh("a 3@3"), "a 1@5");
    assert_eq!(cluster.refresh("a 2@4"), "a 1@5");
}

#[test]
fn an_epoch_is_not_compared_where_the_version_does_not_vouch_for_it() {
    let mut cluster = Cluster::with("a 1@5");
    cluster.version = 8;
    assert_eq!(cluster.refresh("a 2@4"), "a 2@?");
}

#[test]
fn a_topic_made_again_replaces_the_other_whatever_its_epochs() {
    check("a#1 1@5 1@5", "a#2 2@0", "a#2 2@0");
}

#[test]
fn the_id_before_does_not_come_back_with_one_answer() {
    let mut cluster = Cluster::with("a#1 1@5");
    assert_eq!(cluster.refresh("a#2 2@0"), "a#2 2@0");
    for _ in 0..4 {
        assert_eq!(cluster.refresh("a#1 1@5"), "a#2 2@0");
    }
    assert_eq!(cluster.refresh("a#1 1@5"), "a#1 1@5");
}

#[test]
fn an_answer_without_an_id_keeps_the_id() {
    check("a#1 1@5", "a 2@6", "a#1 2@6");
}

#[test]
fn a_topic_keeps_partitions_that_a_broker_does_not_know_of() {
    check("a 1@1 2@1 3@1", "a 1@2", "a 1@2 2@1 3@1");
}

#[test]
fn more_partitions_are_adopted() {
    check("a 1@1", "a 1@1 2@0", "a 1@1 2@0");
}

#[test]
fn a_topic_without_partitions_is_not_resolved() {
    let mut cluster = Cluster::with("");
    cluster.use_topic("a");
    assert_eq!(cluster.refresh("a"), "");
    assert!(cluster.machine.is_waiting("a"));
    assert_eq!(cluster.wait(), 100);
    assert_eq!(cluster.refresh("a 1@0"), "a 1@0");
}

#[test]
fn a_topic_that_has_partitions_does_not_lose_them_to_an_empty_answer() {
    check("a 1@1", "a", "a 1@1");
}

#[test]
fn a_partition_without_a_leader_is_asked_for_again_soon() {
    let mut cluster = Cluster::with("a 1@1 2@1");
    assert_eq!(cluster.refresh("a 1@1 -@2"), "a 1@1 -@2");
    assert!(!cluster.machine.is_waiting("a"));
    assert_eq!(cluster.wait(), 100);
    assert_eq!(cluster.refresh("a 1@1 -@2"), "a 1@1 -@2");
    assert_eq!(cluster.wait(), 200);
}

#[test]
fn a_topic_nobody_knows_is_an_error_after_a_while() {
    let mut cluster = Cluster::with("");
    cluster.use_topic("a");
    for _ in 0..4 {
        assert_eq!(cluster.refresh("a !3"), "");
        assert!(cluster.machine.is_waiting("a"));
        cluster.wait();
    }
    assert_eq!(cluster.refresh("a !3"), "a !3");
    assert!(!cluster.machine.is_waiting("a"));
    assert_eq!(cluster.wait(), 1_000, "it may be made at any time");
}

#[test]
fn who_uses_a_topic_with_an_error_gets_an_answer_of_its_own() {
    let mut cluster = Cluster::with("");
    cluster.use_topic("a");
    for _ in 0..5 {
        cluster.refresh("a !3");
    }
    cluster.use_topic("a");
    assert!(cluster.machine.is_waiting("a"));
    assert_eq!(cluster.poll(), Some("a".into()));
    assert_eq!(cluster.answer("a 1@0"), Some("a 1@0".into()));
}

#[test]
fn a_known_topic_keeps_its_partitions_while_brokers_deny_it_for_a_moment() {
    let mut cluster = Cluster::with("a 1@1");
    assert_eq!(cluster.refresh("a !3"), "a 1@1");
    cluster.pass(29_999);
    assert_eq!(cluster.refresh("a !3"), "a 1@1");
    cluster.pass(1);
    assert_eq!(cluster.refresh("a !3"), "a !3");
    assert_eq!(cluster.refresh("a 1@0"), "a 1@1", "its epochs are remembered");
}

#[test]
fn being_described_in_between_starts_the_moment_anew() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.refresh("a !3");
    cluster.pass(29_999);
    cluster.refresh("a 1@1");
    cluster.pass(1);
    assert_eq!(cluster.refresh("a !3"), "a 1@1");
}

#[test]
fn a_topic_that_an_answer_passes_over_is_denied() {
    let mut cluster = Cluster::with("");
    cluster.use_topic("a");
    for _ in 0..4 {
        assert_eq!(cluster.refresh(""), "");
    }
    assert_eq!(cluster.refresh(""), "a !3");
}

#[test]
fn errors_that_pass_are_waited_for_and_the_others_are_final() {
    // LEADER_NOT_AVAILABLE, LISTENER_NOT_FOUND, and INVALID_REPLICATION_FACTOR of brokers starting.
    for code in [5, 72, 38] {
        let mut cluster = Cluster::with("");
        cluster.use_topic("a");
        assert_eq!(cluster.refresh(&format!("a !{code}")), "", "{code}");
        assert_eq!(cluster.wait(), 100, "{code}");
    }
    // TOPIC_AUTHORIZATION_FAILED, INVALID_TOPIC, and a code of the future.
    for code in [29, 17, 9_999] {
        let mut cluster = Cluster::with("");
        cluster.use_topic("a");
        assert_eq!(cluster.refresh(&format!("a !{code}")), format!("a !{code}"));
        assert!(!cluster.machine.is_waiting("a"));
        assert!(cluster.wait() > 10_000, "{code}");
    }
}

#[test]
fn idle_topics_age_out_and_used_ones_do_not() {
    let mut cluster = Cluster::with("a 1@1, b 1@1");
    cluster.machine.release_topic(&"a".into(), cluster.now);
    cluster.pass(299_999);
    cluster.poll();
    assert_eq!(cluster.show(), "a 1@1, b 1@1");
    cluster.pass(1);
    assert_eq!(cluster.poll(), Some("b".into()));
    assert_eq!(cluster.answer("b 1@1"), Some("b 1@1".into()));
}

#[test]
fn uses_are_counted() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.use_topic("a");
    cluster.machine.release_topic(&"a".into(), cluster.now);
    cluster.pass(300_000);
    assert_eq!(cluster.poll(), Some("a".into()));
}

#[test]
fn a_topic_nobody_uses_is_not_asked_for_by_itself() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.refresh("a -@2");
    cluster.machine.release_topic(&"a".into(), cluster.now);
    assert!(cluster.wait() > 10_000);
}

#[test]
fn all_topics_are_asked_for_while_somebody_wants_them() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.machine.use_all(cluster.now);
    assert_eq!(cluster.poll(), Some("*".into()));
    assert_eq!(cluster.answer("a 1@1, b 1@1"), Some("a 1@1, b 1@1".into()));
    cluster.machine.release_all(cluster.now);
    cluster.pass(300_000);
    cluster.poll();
    assert_eq!(cluster.answer("a 1@1"), Some("a 1@1".into()));
}

#[test]
fn a_topic_nobody_named_leaves_with_all_of_it_once_it_is_gone() {
    let mut cluster = Cluster::with("");
    cluster.machine.use_all(cluster.now);
    assert_eq!(cluster.refresh("a 1@1, b 1@1"), "a 1@1, b 1@1");
    assert_eq!(cluster.refresh("a 1@1"), "a 1@1, b 1@1");
    cluster.pass(30_000);
    assert_eq!(cluster.refresh("a 1@1"), "a 1@1");
}

#[test]
fn topics_that_nobody_asked_for_are_passed_over() {
    check("a 1@1", "a 1@2, b 1@1", "a 1@2");
}

#[test]
fn hints_are_followed_when_they_are_newer() {
    let mut cluster = Cluster::with("a#1 1@5 1@5");
    assert_eq!(cluster.hint("a", 0, 2, 5, None), None, "no newer");
    assert_eq!(cluster.hint("a", 0, 9, 6, None), None, "nobody knows broker 9");
    assert_eq!(cluster.hint("a", 2, 2, 6, None), None, "no such partition");
    assert_eq!(cluster.hint("b", 0, 2, 6, None), None, "no such topic");
    assert_eq!(cluster.hint("a", 0, 2, 6, Some(2)), None, "another topic");
    assert_eq!(cluster.hint("a", 0, 2, 6, Some(1)), Some("a#1 2@6 1@5".into()));
    assert_eq!(cluster.refresh("a#1 1@5 1@5"), "a#1 2@6 1@5", "metadata lags behind the hint");
}

#[test]
fn a_hint_brings_the_address_of_a_new_leader() {
    let mut cluster = Cluster::with("a 1@5");
    let leader = LeaderHint {
        partition: TopicPartition::new("a", 0),
        topic_id: None,
        leader: node(9),
        epoch: LeaderEpoch::from_wire(6).unwrap(),
    };
    let endpoint = BrokerInfo { id: node(9), address: HostPort::new("new", 1), rack: None };
    let hints = LeaderHints { leaders: vec![leader], endpoints: vec![endpoint] };
    let snapshot = cluster.machine.learn_leaders(&hints).unwrap();
    assert_eq!(snapshot.address(node(9)), Some(&HostPort::new("new", 1)));
    assert_eq!(show(&snapshot), "a 9@6");
    assert!(cluster.machine.learn_leaders(&hints).is_none());
}

#[test]
fn brokers_move_join_and_leave() {
    let mut cluster = Cluster::with("");
    cluster.machine.request_refresh(cluster.now);
    cluster.wait();
    cluster.poll();
    let mut response = response("");
    response.brokers = vec![broker(1, "elsewhere", 9092), broker(7, "h7", 9092)];
    let snapshot = cluster.machine.handle_answer(&response, 13, cluster.now).unwrap();
    let addresses = snapshot.brokers.values().map(|it| it.address.to_string());
    assert_eq!(addresses.collect::<Vec<_>>(), ["elsewhere:9092", "h7:9092"]);
}

#[test]
fn brokers_without_a_usable_address_are_passed_over() {
    let brokers = [(-1, "h", 1), (1, "", 1), (2, "h", 0), (3, "h", 65_536), (4, "h", -1)];
    let brokers: Vec<_> = brokers.iter().map(|&(id, host, port)| broker(id, host, port)).collect();
    assert_eq!(read_brokers(&brokers), BTreeMap::new());
}

#[test]
fn partitions_with_impossible_numbers_are_passed_over() {
    let mut cluster = Cluster::with("a 1@1 2@1");
    cluster.machine.request_refresh(cluster.now);
    cluster.poll();
    let mut response = response("a 1@2 2@2");
    response.topics[0].partitions[1].partition_index = i32::MAX;
    let snapshot = cluster.machine.handle_answer(&response, 13, cluster.now).unwrap();
    assert_eq!(show(&snapshot), "a 1@2 2@1");
}

#[test]
fn a_suspect_is_asked_last_and_refreshed_around() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.machine.suspect(node(1), cluster.now);
    for random in 0..100 {
        assert!(matches!(
            cluster.machine.candidates(random).last(),
            Some(Candidate::Node(last, _)) if *last == node(1)
        ));
    }
    let refresh = cluster.machine.poll_request(cluster.now, EVEN).unwrap();
    assert_eq!(refresh.avoid, Some(node(1)));
}

#[test]
fn suspicion_passes() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.machine.suspect(node(1), cluster.now);
    cluster.pass(5_000);
    let refresh = cluster.machine.poll_request(cluster.now, EVEN).unwrap();
    assert_eq!(refresh.avoid, None);
}

#[test]
fn clients_spread_over_the_brokers() {
    let cluster = Cluster::with("a 1@1");
    let first = |random: u64| format!("{:?}", cluster.machine.candidates(random << 33)[0]);
    let firsts: BTreeSet<String> = (0..100).map(first).collect();
    assert_eq!(firsts.len(), 3);
}

#[test]
fn an_answer_without_brokers_is_a_failure() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.machine.request_refresh(cluster.now);
    cluster.poll();
    let response = MetadataResponse { brokers: Vec::new(), ..response("a 2@2") };
    assert!(cluster.machine.handle_answer(&response, 13, cluster.now).is_none());
    assert_eq!(cluster.show(), "a 1@1");
    assert_eq!(cluster.wait(), 100);
}

#[test]
fn failures_alternate_between_known_brokers_and_bootstrap_servers() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.machine.request_refresh(cluster.now);
    let mut asked = Vec::new();
    for _ in 0..4 {
        cluster.wait();
        cluster.poll();
        asked.push(cluster.asks_bootstrap());
        cluster.fail();
    }
    assert_eq!(asked, [false, true, false, true]);
    assert_eq!(cluster.show(), "a 1@1", "nothing is forgotten");
}

#[test]
fn an_answer_ends_the_start_over() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.machine.request_refresh(cluster.now);
    cluster.poll();
    cluster.fail();
    cluster.wait();
    cluster.poll();
    cluster.answer("a 1@1");
    assert!(!cluster.asks_bootstrap());
}

#[test]
fn without_recovery_only_known_brokers_are_asked() {
    let mut cluster = Cluster::configured(|config| {
        config.metadata_recovery_strategy = MetadataRecovery::None;
    });
    cluster.poll();
    cluster.answer("");
    cluster.machine.request_refresh(cluster.now);
    for _ in 0..4 {
        cluster.wait();
        cluster.poll();
        assert!(!cluster.asks_bootstrap());
        cluster.fail();
    }
}

#[test]
fn a_request_without_an_answer_is_replaced_when_the_trigger_is_over() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.machine.request_refresh(cluster.now);
    assert_eq!(cluster.poll(), Some("a".into()));
    assert_eq!(cluster.wait(), 300_000);
    assert_eq!(cluster.poll(), Some("a".into()));
    assert!(cluster.asks_bootstrap());
}

#[test]
fn a_broker_can_demand_to_start_over() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.machine.request_refresh(cluster.now);
    cluster.poll();
    let demand = MetadataResponse { error_code: 129, ..MetadataResponse::default() };
    assert!(cluster.machine.handle_answer(&demand, 13, cluster.now).is_none());
    assert!(cluster.asks_bootstrap());
    assert_eq!(cluster.wait(), 100, "not in a tight loop");
}

#[test]
fn another_cluster_is_not_believed_until_the_bootstrap_servers_lead_there() {
    let mut cluster = Cluster::with("a#1 1@5");
    cluster.cluster_id = "other";
    assert_eq!(cluster.refresh("a#2 1@1"), "a#1 1@5");
    assert_eq!(cluster.machine.foreign_cluster(), Some("other"));
    assert!(cluster.asks_bootstrap());
    cluster.wait();
    assert_eq!(cluster.refresh("a 1@1"), "a 1@1");
    assert_eq!(cluster.machine.snapshot().cluster_id.as_deref(), Some("other"));
    assert_eq!(cluster.machine.foreign_cluster(), None);
}

#[test]
fn another_cluster_is_never_believed_without_recovery() {
    let mut cluster = Cluster::configured(|config| {
        config.metadata_recovery_strategy = MetadataRecovery::None;
    });
    cluster.refresh("");
    cluster.cluster_id = "other";
    for _ in 0..10 {
        cluster.refresh("");
        cluster.wait();
    }
    assert_eq!(cluster.machine.snapshot().cluster_id.as_deref(), Some("ours"));
    assert_eq!(cluster.machine.foreign_cluster(), Some("other"));
}

#[test]
fn a_request_can_be_written_in_every_version() {
    for topics in [Asked::All, Asked::Named(vec!["a".into()]), Asked::Named(Vec::new())] {
        let refresh = Refresh { topics, avoid: None };
        for version in 0..=13 {
            let request = refresh.request(version);
            assert!(request.encode(version).is_ok(), "{version}");
            assert_eq!(request.allow_auto_topic_creation, version < 4);
        }
    }
}

#[test]
fn an_answer_that_changes_nothing_makes_no_snapshot() {
    let mut cluster = Cluster::with("a 1@5 -@3, b !29");
    cluster.machine.request_refresh(cluster.now);
    cluster.poll();
    assert_eq!(cluster.answer("a 1@5 -@3, b !29"), None);
}

#[test]
fn topics_that_stay_as_they_were_are_shared_between_snapshots() {
    let mut cluster = Cluster::with("a 1@1, b 1@1");
    let before = cluster.machine.snapshot().clone();
    cluster.refresh("a 1@1, b 2@2");
    let after = cluster.machine.snapshot();
    assert!(Arc::ptr_eq(&before.topics["a"], &after.topics["a"]));
    assert_eq!(after.version, before.version + 1);
}

#[test]
fn an_answer_that_nobody_awaits_is_passed_over() {
    let mut cluster = Cluster::with("a 1@1");
    assert_eq!(cluster.answer("a 2@2"), None);
    assert_eq!(cluster.show(), "a 1@1");
}

/// A topic with a leader or none, and an epoch, for each partition. Few of each, so that they clash.
fn described() -> impl Strategy<Value = String> {
    let partition = ("[-123]", 0..6_i32).prop_map(|(leader, epoch)| format!(" {leader}@{epoch}"));
    proptest::collection::vec(partition, 1..4).prop_map(|it| format!("a#1{}", it.concat()))
}

/// One answer of any kind.
fn any_topic() -> impl Strategy<Value = String> {
    let other = ["a#1", "a#1 !3", "a#1 !5"].map(ToOwned::to_owned);
    prop_oneof![4 => described(), 1 => proptest::sample::select(other.to_vec())]
}

proptest! {
    #[test]
    fn epochs_never_go_back_and_partitions_never_go(
        // Fewer in a row than it takes to be believed.
        answers in proptest::collection::vec(any_topic(), 1..20)
    ) {
        let mut cluster = Cluster::with("a#1 1@3 1@3");
        let mut floor = vec![3, 3];
        let mut last = (String::new(), 0);
        for answer in answers {
            last = if last.0 == answer { (answer.clone(), last.1 + 1) } else { (answer.clone(), 1) };
            if last.1 >= 5 {
                continue;
            }
            cluster.refresh(&answer);
            let snapshot = cluster.machine.snapshot();
            let partitions = &snapshot.topics["a"].partitions;
            prop_assert!(partitions.len() >= floor.len());
            floor.resize(partitions.len(), -1);
            for (floor, partition) in floor.iter_mut().zip(partitions) {
                let epoch = LeaderEpoch::to_wire(partition.leader_epoch);
                prop_assert!(epoch >= *floor);
                *floor = epoch;
            }
        }
    }

    #[test]
    fn taking_the_same_answer_twice_is_taking_it_once(
        first in any_topic(), second in any_topic()
    ) {
        let mut cluster = Cluster::with(&first);
        let once = cluster.refresh(&second);
        let version = cluster.machine.snapshot().version;
        prop_assert_eq!(cluster.refresh(&second), once);
        prop_assert_eq!(cluster.machine.snapshot().version, version);
    }

    #[test]
    fn the_order_of_two_answers_does_not_matter(first in described(), second in described()) {
        let merged = |one: &str, other: &str| {
            let mut cluster = Cluster::with(one);
            cluster.refresh(other);
            let epochs: Vec<_> = cluster.machine.snapshot().topics["a"]
                .partitions.iter().map(|it| it.leader_epoch).collect();
            epochs
        };
        prop_assert_eq!(merged(&first, &second), merged(&second, &first));
    }

    #[test]
    fn whatever_happens_the_machine_either_waits_or_acts(
        events in proptest::collection::vec(0..8_u8, 0..60)
    ) {
        let mut cluster = Cluster::with("a 1@1");
        let mut under_way = false;
        for event in events {
            let now = cluster.now;
            match event {
                0 => cluster.machine.request_refresh(now),
                1 => cluster.machine.suspect(node(1), now),
                2 => cluster.use_topic("b"),
                3 => cluster.machine.release_topic(&"b".into(), now),
                4 => { cluster.answer("a 2@2, b -@1"); under_way = false; }
                5 => { cluster.fail(); under_way = false; }
                6 => cluster.machine.use_all(now),
                // A request under way is replaced when it takes too long, which has its own test.
                _ if under_way => (),
                _ => { cluster.wait(); }
            }
            if cluster.poll().is_some() {
                prop_assert!(!under_way, "two at a time");
                under_way = true;
            }
            let next = cluster.machine.next_timeout();
            prop_assert!(under_way || next.is_some_and(|next| next > cluster.now));
        }
    }
}

/// The draw that moves no delay.
const EVEN: u64 = 20;

/// A machine, and the cluster that answers it. Topics are written as `name#id leader@epoch …`, where
/// `-` is no leader and `?` no epoch, or as `name !code`.
struct Cluster {
    machine: Metadata,
    now: Instant,
    version: i16,
    cluster_id: &'static str,
}

impl Cluster {
    fn new() -> Self {
        Self::configured(|_| ())
    }

    fn configured(change: impl FnOnce(&mut ClientConfig)) -> Self {
        let bootstrap_servers = vec![HostPort::new("boot", 9092)];
        let mut config = ClientConfig { bootstrap_servers, ..ClientConfig::default() };
        change(&mut config);
        let now = crate::retry::test_now();
        let machine = Metadata::new(&config, now);
        Self { machine, now, version: 13, cluster_id: "ours" }
    }

    /// A machine that uses the topics of `answer` and has taken it.
    fn with(answer: &str) -> Self {
        let mut cluster = Self::new();
        for topic in response(answer).topics {
            cluster.machine.use_topic(&topic.name.unwrap().into(), cluster.now);
        }
        cluster.poll();
        cluster.answer(answer);
        cluster
    }

    fn use_topic(&mut self, name: &str) {
        self.machine.use_topic(&name.into(), self.now);
    }

    fn pass(&mut self, millis: u64) {
        self.now += Duration::from_millis(millis);
    }

    /// Waits for what is due next, and says for how many milliseconds.
    fn wait(&mut self) -> u128 {
        let Some(next) = self.machine.next_timeout() else {
            return u128::MAX;
        };
        let waited = next.saturating_duration_since(self.now);
        self.now = self.now.max(next);
        waited.as_millis()
    }

    /// The topics that are asked for now, `*` for all.
    fn poll(&mut self) -> Option<String> {
        let refresh = self.machine.poll_request(self.now, EVEN)?;
        let Some(topics) = refresh.request(self.version).topics else {
            return Some("*".into());
        };
        let names: Vec<String> =
            topics.into_iter().map(|it| it.name.unwrap().to_string()).collect();
        Some(names.join(" "))
    }

    fn answer(&mut self, text: &str) -> Option<String> {
        let mut response = response(text);
        response.cluster_id = Some(self.cluster_id.into());
        let snapshot = self.machine.handle_answer(&response, self.version, self.now)?;
        Some(show(&snapshot))
    }

    fn fail(&mut self) {
        self.machine.handle_failure(self.now, EVEN);
    }

    /// Refreshes everything without regard to pace, and says what is known then.
    fn refresh(&mut self, text: &str) -> String {
        self.machine.full_due = self.now;
        self.machine.failed_until = self.now;
        assert!(self.poll().is_some());
        self.answer(text);
        self.show()
    }

    fn hint(
        &mut self,
        topic: &str,
        partition: i32,
        leader: i32,
        epoch: i32,
        id: Option<u8>,
    ) -> Option<String> {
        let hint = LeaderHint {
            partition: TopicPartition::new(topic, partition),
            topic_id: id.map(topic_id),
            leader: node(leader),
            epoch: LeaderEpoch::from_wire(epoch).unwrap(),
        };
        let hints = LeaderHints { leaders: vec![hint], endpoints: Vec::new() };
        self.machine.learn_leaders(&hints).map(|snapshot| show(&snapshot))
    }

    fn asks_bootstrap(&self) -> bool {
        matches!(self.machine.candidates(0)[0], Candidate::Bootstrap(_))
    }

    fn show(&self) -> String {
        show(self.machine.snapshot())
    }
}

/// What is known after `first` and then `second` were answered.
#[track_caller]
fn check(first: &str, second: &str, expected: &str) {
    assert_eq!(Cluster::with(first).refresh(second), expected);
}

fn node(id: i32) -> NodeId {
    NodeId::from_wire(id).unwrap()
}

fn topic_id(id: u8) -> Uuid {
    Uuid::from_bytes([id; 16])
}

fn broker(node_id: i32, host: &str, port: i32) -> MetadataResponseBroker {
    MetadataResponseBroker { node_id, host: host.into(), port, ..MetadataResponseBroker::default() }
}

/// An answer of three brokers that describes the topics of `text`.
fn response(text: &str) -> MetadataResponse {
    let brokers = (1..=3).map(|id| broker(id, &format!("h{id}"), 9092));
    let topics = text.split(", ").filter(|topic| !topic.is_empty());
    MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some("ours".into()),
        controller_id: 1,
        topics: topics.map(read_topic).collect(),
        ..MetadataResponse::default()
    }
}

fn read_topic(text: &str) -> MetadataResponseTopic {
    let mut words = text.split(' ');
    let (name, id) = words.next().unwrap().split_once('#').unwrap_or((text, ""));
    let mut topic = MetadataResponseTopic {
        name: Some(name.split(' ').next().unwrap().into()),
        topic_id: id.parse().map_or(Uuid::ZERO, topic_id),
        ..MetadataResponseTopic::default()
    };
    for (index, word) in words.enumerate() {
        if let Some(code) = word.strip_prefix('!') {
            topic.error_code = code.parse().unwrap();
            break;
        }
        let (leader, epoch) = word.split_once('@').unwrap();
        topic.partitions.push(MetadataResponsePartition {
            partition_index: i32::try_from(index).unwrap(),
            leader_id: leader.parse().unwrap_or(-1),
            leader_epoch: epoch.parse().unwrap_or(-1),
            ..MetadataResponsePartition::default()
        });
    }
    topic
}

fn show(snapshot: &ClusterSnapshot) -> String {
    let topics: Vec<String> = snapshot.topics.values().map(|topic| show_topic(topic)).collect();
    topics.join(", ")
}

fn show_topic(topic: &TopicInfo) -> String {
    let id = topic.id.map_or(String::new(), |id| format!("#{}", id.as_bytes()[0]));
    if let Some(error) = topic.error {
        return format!("{}{id} !{}", topic.name, error.code());
    }
    let partitions = topic.partitions.iter().map(|partition| {
        let leader = partition.leader.map_or_else(|| "-".into(), |it| it.to_string());
        let epoch = partition.leader_epoch.map_or_else(|| "?".into(), |it| it.to_string());
        format!(" {leader}@{epoch}")
    });
    format!("{}{id}{}", topic.name, partitions.collect::<String>())
}
