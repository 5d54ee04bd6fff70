use std::collections::BTreeSet;
use std::time::Duration;

use ottla_broker::log::Log;
use ottla_broker::partition::Partition;
use ottla_broker::world::catalog::TopicKey;

use super::*;

fn look<R>(test: &Test, look: impl FnOnce(&Partition) -> R) -> R {
    let topic = test.world.catalog().topic(TopicKey::Name("t")).unwrap();
    look(topic.partition(0).unwrap())
}

fn in_sync(test: &Test) -> Vec<i32> {
    look(test, |partition| partition.in_sync().iter().map(|node| node.0).collect())
}

fn ends(test: &Test) -> Vec<(i64, i64)> {
    let end = |log: &Log| (log.end(), log.high_watermark());
    look(test, |p| p.replicas().iter().map(|node| end(p.log(*node).unwrap())).collect())
}

#[test]
fn acks_one_can_lose_what_acks_all_keeps() {
    for (acks, kept) in [(1, 0), (-1, 1)] {
        let mut test = Test::without_topics(3, &[]);
        test.topic("t", &[("min.insync.replicas", "2")]);
        test.world.pause_replication("t", 0, true, test.now).unwrap();
        let request = produce_request("t", acks, stamped(9, 0, 0));
        let first = test.send(1, 9, request.clone());
        if acks == 1 {
            assert_eq!(produced(first).error_code, 0, "acknowledged");
        } else {
            parked(first);
        }
        test.world.set_alive(NodeId(1), false, test.now);
        test.world.pause_replication("t", 0, false, test.now).unwrap();
        let leader = test.leader("t");
        assert_ne!(leader, NodeId(1));
        if acks == -1 {
            assert_eq!(produced(test.send(leader.0, 9, request)).error_code, 0, "the retry");
        }
        test.world.set_alive(NodeId(1), true, test.now);
        assert_eq!(ends(&test), [(kept, kept); 3], "acks {acks}");
        assert_eq!(in_sync(&test), [1, 2, 3]);
    }
}

#[test]
fn a_retry_after_failover_is_stored_once() {
    let mut test = Test::new();
    assert_eq!(test.produce(-1, stamped(9, 0, 0)).base_offset, 0);
    test.world.set_alive(NodeId(1), false, test.now);
    let row = test.produce(-1, stamped(9, 0, 0));
    assert_eq!((row.error_code, row.base_offset), (0, 0));
    assert_eq!(test.fetch(0).high_watermark, 1);
}

#[test]
fn producer_state_follows_truncation() {
    let mut test = Test::new();
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    test.produce(1, stamped(9, 0, 0));
    test.world.move_leader("t", 0, NodeId(2), test.now).unwrap();
    test.world.pause_replication("t", 0, false, test.now).unwrap();
    test.world.move_leader("t", 0, NodeId(1), test.now).unwrap();
    let row = test.produce(-1, stamped(9, 0, 0));
    assert_eq!((row.error_code, row.base_offset), (0, 0));
    assert_eq!(ends(&test), [(1, 1); 3]);
}

#[test]
fn a_follower_that_lags_leaves_the_in_sync_replicas() {
    let mut test = Test::new();
    test.produce(-1, batch(&["a"]));
    test.world.pause_replication("t", 0, true, test.now).unwrap();
    test.produce(1, batch(&["b"]));
    test.pass(Duration::from_secs(31));
    assert_eq!(in_sync(&test), [1]);
    assert_eq!(test.fetch(0).high_watermark, 2, "committed, now that one is all");
    test.world.pause_replication("t", 0, false, test.now).unwrap();
    assert_eq!(in_sync(&test), [1, 2, 3]);
}

#[test]
fn followers_of_what_nobody_wrote_to_stay_in_sync_when_others_lag() {
    let mut test = Test::new();
    test.topic("busy", &[]);
    test.world.pause_replication("busy", 0, true, test.now).unwrap();
    let leader = test.leader("busy").0;
    let written = test.send(leader, 9, produce_request("busy", 1, batch(&["a"])));
    assert_eq!(produced(written).error_code, 0);
    test.pass(Duration::from_secs(31));
    assert_eq!(in_sync(&test), [1, 2, 3]);
}

#[test]
fn the_last_in_sync_replica_stays_one_and_leads_again() {
    let mut test = Test::new();
    for node in [2, 3, 1] {
        test.world.set_alive(NodeId(node), false, test.now);
    }
    assert_eq!(in_sync(&test), [1]);
    assert_eq!(look(&test, Partition::leader), None);
    test.world.set_alive(NodeId(2), true, test.now);
    assert_eq!(look(&test, Partition::leader), None, "node 2 may lack what was committed");
    test.world.set_alive(NodeId(1), true, test.now);
    assert_eq!(look(&test, Partition::leader), Some(NodeId(1)));
    assert_eq!(in_sync(&test), [1, 2]);
}

#[test]
fn an_unclean_election_takes_whoever_is_there() {
    let mut test = Test::without_topics(2, &[]);
    test.topic("t", &[("unclean.leader.election.enable", "true")]);
    test.world.set_alive(NodeId(2), false, test.now);
    test.produce(1, batch(&["lost"]));
    test.world.set_alive(NodeId(1), false, test.now);
    test.world.set_alive(NodeId(2), true, test.now);
    assert_eq!(look(&test, Partition::leader), Some(NodeId(2)));
    test.world.set_alive(NodeId(1), true, test.now);
    assert_eq!(ends(&test), [(0, 0); 2]);
}

/// Broker.md §3.6's model check: random schedules of appends, pulls and crashes never lose what
/// was below a high watermark, and end in equal logs.
#[test]
fn clean_elections_never_lose_what_was_committed() {
    for seed in 0..400_u64 {
        let mut test = Test::without_topics(3, &[]);
        test.topic("t", &[("min.insync.replicas", "2")]);
        let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut committed: Vec<String> = Vec::new();
        for step in 0..40 {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            act(&mut test, random, step);
            check_committed(&test, &mut committed, seed);
        }
        for node in 1..=3 {
            test.world.set_alive(NodeId(node), true, test.now);
        }
        test.world.pause_replication("t", 0, false, test.now).unwrap();
        check_committed(&test, &mut committed, seed);
        let distinct: BTreeSet<_> = ends(&test).into_iter().collect();
        assert_eq!(distinct.len(), 1, "seed {seed}: {distinct:?}");
        assert!(distinct.iter().all(|(end, committed)| end == committed), "seed {seed}");
    }
}

fn act(test: &mut Test, random: u64, step: u64) {
    let node = NodeId(i32::try_from(random >> 8 & 3).unwrap().clamp(1, 3));
    match random % 8 {
        0..=2 => {
            if let Some(leader) = look(test, Partition::leader) {
                let request = produce_request("t", 1, batch(&[&step.to_string()]));
                assert!(matches!(test.send(leader.0, 9, request), Flow::Reply(_)));
            }
        }
        3 => test.world.pause_replication("t", 0, true, test.now).unwrap(),
        4 => test.world.pause_replication("t", 0, false, test.now).unwrap(),
        5 => test.world.set_alive(node, false, test.now),
        6 => test.world.set_alive(node, true, test.now),
        _ => drop(test.world.move_leader("t", 0, node, test.now)),
    }
}

/// What was committed once is there under every later leader, unchanged.
fn check_committed(test: &Test, committed: &mut Vec<String>, seed: u64) {
    let now: Vec<String> = look(test, |partition| {
        if partition.leader().is_none() {
            return Vec::new();
        }
        partition.committed().map(|b| format!("{:?}", (b.base(), b.header().crc))).collect()
    });
    let log: Vec<String> = look(test, |partition| {
        let log = partition.leader_log().into_iter().flat_map(Log::batches);
        log.map(|b| format!("{:?}", (b.base(), b.header().crc))).collect()
    });
    if look(test, |partition| partition.leader().is_some()) {
        assert!(log.starts_with(committed), "seed {seed}: {committed:?} became {log:?}");
    }
    if now.len() > committed.len() {
        *committed = now;
    }
}
