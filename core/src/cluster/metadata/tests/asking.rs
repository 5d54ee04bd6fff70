//! When what is asked, and whom.

use super::*;
use std::collections::BTreeSet;

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
fn an_age_of_nothing_asks_as_often_as_failures_do() {
    for (backoff, pause) in [(100, 100), (0, 1)] {
        let mut cluster = Cluster::configured(|config| {
            config.metadata_max_age = Duration::ZERO;
            config.retry_backoff = Duration::from_millis(backoff);
        });
        cluster.poll();
        cluster.answer("");
        assert_eq!((cluster.poll(), cluster.wait()), (None, pause));
        assert!(cluster.poll().is_some());
    }
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
fn an_answer_to_what_was_asked_before_is_not_the_next_refresh() {
    let mut cluster = Cluster::with("a 1@1");
    cluster.machine.request_refresh(cluster.now);
    cluster.poll();
    let wanted = cluster.machine.next_refresh();
    let is_fresh = |cluster: &Cluster| cluster.machine.answered_refresh() >= wanted;
    cluster.machine.request_refresh(cluster.now);
    cluster.answer("a 1@1");
    assert!(!is_fresh(&cluster), "it was under way");
    cluster.use_topic("b");
    cluster.poll();
    cluster.answer("b 1@1");
    assert!(!is_fresh(&cluster), "it was about one topic");
    cluster.pass(100);
    assert_eq!(cluster.poll(), Some("a b".into()));
    cluster.fail();
    assert!(!is_fresh(&cluster), "nobody answered");
    cluster.pass(100);
    assert_eq!(cluster.poll(), Some("a b".into()));
    assert_eq!(cluster.answer("a 1@1, b 1@1"), None);
    assert!(is_fresh(&cluster), "though nothing is new");
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
        for (version, may_create) in (0..=13).flat_map(|it| [(it, false), (it, true)]) {
            let request = refresh.request(version, may_create);
            assert!(request.encode(version).is_ok(), "{version}");
            assert_eq!(request.allow_auto_topic_creation, may_create || version < 4);
        }
    }
}

#[test]
fn an_answer_that_nobody_awaits_is_passed_over() {
    let mut cluster = Cluster::with("a 1@1");
    assert_eq!(cluster.answer("a 2@2"), None);
    assert_eq!(cluster.show(), "a 1@1");
}
