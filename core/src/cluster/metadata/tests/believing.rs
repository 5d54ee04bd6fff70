//! What is believed of the answers.

use super::*;
use crate::cluster::metadata::answer::read_brokers;
use proptest::prelude::*;

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
    for wait in [100, 0] {
        cluster.use_topic("a");
        assert!(cluster.machine.is_waiting("a"));
        assert_eq!(cluster.wait(), wait, "not as often as there are users");
    }
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
