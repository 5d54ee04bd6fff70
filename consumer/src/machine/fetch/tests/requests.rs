//! What is asked of brokers, and when.

use std::time::Duration;

use super::super::Lane;
use super::world::{World, name, node};
use crate::machine::Position;

fn partitions(request: &ottla_protocol::messages::FetchRequest) -> Vec<(i32, i64)> {
    let partitions = request.topics.iter().flat_map(|topic| &topic.partitions);
    partitions.map(|partition| (partition.partition, partition.fetch_offset)).collect()
}

/// Both partitions are led by broker 1.
fn together() -> World {
    let mut world = World::begun(|_| {});
    world.elect(1, 1, 0);
    world.refresh();
    world
}

#[test]
fn a_session_is_told_only_what_has_changed() {
    let mut world = together();
    world.append(0, 1);
    let first = world.send(1).unwrap();
    assert_eq!((first.session_id, first.session_epoch), (0, 0));
    assert_eq!(partitions(&first), [(0, 0), (1, 0)]);
    world.receive(1);
    let second = world.send(1).unwrap();
    assert_eq!(partitions(&second), [(0, 1)]);
    assert_eq!(second.session_epoch, 1);
    world.receive(1);
    assert_eq!(partitions(&world.send(1).unwrap()), []);
}

#[test]
fn the_next_fetch_leaves_before_anything_is_delivered() {
    let mut world = together();
    world.append(0, 10);
    world.fetch(1);
    assert_eq!(partitions(&world.send(1).unwrap()), [(0, 3)]);
    assert!(world.fetcher.is_ready());
}

#[test]
fn a_partition_that_left_is_forgotten() {
    let mut world = together();
    world.fetch(1);
    world.fetcher.remove(&name(0), world.now);
    let request = world.send(1).unwrap();
    let forgotten: Vec<i32> =
        request.forgotten_topics_data.iter().flat_map(|topic| topic.partitions.to_vec()).collect();
    assert_eq!(forgotten, [0]);
}

#[test]
fn a_paused_partition_is_not_asked_for_and_keeps_what_it_brought() {
    let mut world = together();
    world.append(0, 3);
    world.fetch(1);
    let slot = world.slot(0);
    world.fetcher.pause(slot, world.now);
    assert!(world.fetcher.take(world.now).is_none());
    assert_eq!(partitions(&world.send(1).unwrap()), []);
    world.receive(1);
    world.fetcher.resume(slot, world.now);
    assert_eq!(world.fetcher.take(world.now).unwrap().from, Position::at(0));
}

#[test]
fn a_lost_session_is_made_anew_at_once_with_everything() {
    let mut world = together();
    world.fetch(1);
    world.forget_sessions(1);
    world.fetch(1);
    let anew = world.send(1).unwrap();
    assert_eq!((anew.session_id, anew.session_epoch), (0, 0));
    assert_eq!(partitions(&anew), [(1, 0), (0, 0)], "another partition comes first");
}

#[test]
fn after_a_lost_connection_everything_is_said_again() {
    let mut world = together();
    world.append(0, 1);
    world.fetch(1);
    world.send(1);
    world.lose(1);
    let anew = world.send(1).unwrap();
    assert_eq!(anew.session_epoch, 0);
    assert_eq!(partitions(&anew), [(1, 0), (0, 1)]);
}

#[test]
fn each_session_ends_with_its_number_and_nothing_else() {
    let mut world = World::begun(|_| {});
    world.fetch(1);
    world.send(1);
    let ends = world.fetcher.close_sessions();
    let [(to, request)] = ends.as_slice() else { panic!("{ends:?}") };
    assert_eq!((*to, request.session_id, request.session_epoch), (node(1), 100, -1));
    assert!(request.topics.is_empty() && request.max_wait_ms == 0);
    assert!(world.fetcher.close_sessions().is_empty(), "once");
}

#[test]
fn one_budget_bounds_what_is_fetched_and_not_delivered() {
    let mut world = World::begun(|config| {
        config.fetch_buffer_memory = 1_000;
        config.max_partition_fetch_bytes = 400;
    });
    world.append(0, 100);
    world.append(1, 100);
    for _ in 0..50 {
        for broker in [1, 2] {
            world.fetch(broker);
        }
        // A broker goes beyond what it was asked for by a batch at most; ours by two.
        assert!(world.fetcher.buffered() <= 1_000 + 300, "{}", world.fetcher.buffered());
    }
    assert!(world.send(1).is_none() && world.send(2).is_none());
    while world.fetcher.take(world.now).is_some() {}
    assert!(world.send(1).is_some() && world.send(2).is_some());
}

/// A world in which three batches take all the room there is.
fn with_room_for_three() -> World {
    World::begun(|config| {
        config.fetch_buffer_memory = 300;
        config.max_partition_fetch_bytes = 300;
    })
}

#[test]
fn paused_partitions_make_room_for_others() {
    let mut world = with_room_for_three();
    world.append(0, 100);
    world.fetch(1);
    let slot = world.slot(0);
    world.fetcher.pause(slot, world.now);
    assert!(world.send(2).is_some(), "what the paused one brought has made room");
    world.receive(2);
    world.fetcher.resume(slot, world.now);
    world.fetch(1);
    assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, 0, "and comes again");
}

/// Partition 0 is paused with three batches, of which `taken` were taken, that broker 1 sent; broker 2
/// leads it now and is being asked what of that it has.
fn paused_while_a_leader_is_asked(taken: usize) -> World {
    let mut world = with_room_for_three();
    world.append(0, 100);
    world.fetch(1);
    for _ in 0..taken {
        assert!(world.fetcher.take(world.now).is_some());
    }
    let slot = world.slot(0);
    world.fetcher.pause(slot, world.now);
    world.elect(0, 2, 3);
    world.refresh();
    assert_eq!(world.ask(), 1);
    world
}

#[test]
fn a_partition_that_made_room_while_a_leader_was_asked_is_read_on() {
    for (taken, first) in [(0, 0), (1, 1)] {
        let mut world = paused_while_a_leader_is_asked(taken);
        world.append(0, 1);
        assert_eq!(partitions(&world.send(2).unwrap()), [(1, 0)]);
        world.receive(2);
        world.answer();
        let slot = world.slot(0);
        world.fetcher.resume(slot, world.now);
        world.look_up();
        assert_eq!(partitions(&world.send(2).unwrap()), [(0, first)]);
        world.receive(2);
        assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, first);
    }
}

#[test]
fn partitions_without_a_leader_make_room_for_others() {
    let mut world = with_room_for_three();
    world.append(0, 100);
    world.fetch(1);
    world.elect(0, -1, 3);
    world.refresh();
    assert!(world.fetcher.take(world.now).is_none(), "nobody says whether it is still there");
    assert!(world.send(2).is_some());
    world.receive(2);
    world.elect(0, 1, 3);
    world.refresh();
    world.look_up();
    world.fetch(1);
    assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, 0);
}

#[test]
fn a_partition_that_nobody_reads_keeps_nothing_and_is_not_asked_for() {
    let mut world = World::begun(|_| {});
    world.append(0, 10);
    world.fetch(1);
    assert!(world.fetcher.take(world.now).is_some());
    world.send(1);
    let slot = world.slot(0);
    let tenure = world.fetcher.tenure(slot).unwrap();
    world.fetcher.abandon(slot, tenure, world.now);
    world.receive(1);
    assert_eq!(world.fetcher.buffered(), 0, "neither what was there nor what comes");
    assert!(world.fetcher.take(world.now).is_none() && world.send(1).is_none());
    assert_eq!(world.fetcher.position(slot).map(|at| at.offset), Some(1), "it stays known");
}

#[test]
fn a_partition_that_is_assigned_again_is_read_although_it_was_not_before() {
    let mut world = World::begun(|_| {});
    let former = world.fetcher.tenure(world.slot(0)).unwrap();
    world.fetcher.remove(&name(0), world.now);
    let slot = world.fetcher.add(name(0));
    world.refresh();
    world.fetcher.begin(slot, Some(Position::at(0)), world.now);
    world.fetcher.abandon(slot, former, world.now);
    assert!(world.send(1).is_some());
}

#[test]
fn others_are_asked_without_waiting_while_a_partition_is_full() {
    let mut world = together();
    world.fetcher.config.max_partition_bytes = 200;
    world.append(0, 100);
    world.fetch(1);
    let request = world.send(1).unwrap();
    assert_eq!((request.max_wait_ms, partitions(&request)), (0, vec![]));
    world.receive(1);
    assert!(world.send(1).is_none(), "nothing came: not at once again");
    assert_eq!(
        world.fetcher.next_fetch(node(1), Lane::Session),
        Some(world.now + Duration::from_millis(100))
    );
    while world.fetcher.take(world.now).is_some() {}
    assert_eq!(world.fetcher.poll_wake(), Some((node(1), Lane::Session)));
    let request = world.send(1).unwrap();
    assert_eq!((request.max_wait_ms, partitions(&request)), (500, vec![(0, 3)]));
}

/// Partition 1 is read from 0 on, while a request that only knows partition 0 waits.
fn late() -> World {
    let mut world = together();
    let slot = world.slot(1);
    world.fetcher.pause(slot, world.now);
    world.send(1);
    while world.fetcher.poll_wake().is_some() {}
    world.fetcher.resume(slot, world.now);
    world
}

#[test]
fn a_partition_that_comes_while_a_request_waits_is_asked_for_beside_it() {
    let mut world = late();
    assert_eq!(world.fetcher.poll_wake(), Some((node(1), Lane::Late)));
    assert!(world.fetcher.wants_connection(node(1), Lane::Late));
    world.append(1, 4);
    let (token, request) = world.send_late(1).unwrap();
    assert_eq!((request.max_wait_ms, partitions(&request)), (0, vec![(1, 0)]));
    assert!(world.send_late(1).is_none(), "one is under way");
    world.receive_late(1, (token, request));
    assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, 0);
    let (_, request) = world.send_late(1).unwrap();
    assert_eq!(partitions(&request), [(1, 3)], "and goes on");
}

#[test]
fn a_latecomer_with_nothing_to_bring_waits_beside_the_others_and_not_for_them() {
    let mut world = late();
    let first = world.send_late(1).unwrap();
    world.receive_late(1, first);
    let (token, request) = world.send_late(1).unwrap();
    assert_eq!(request.max_wait_ms, 100);
    world.wait(450);
    world.receive_late(1, (token, request));
    assert_eq!(world.send_late(1).unwrap().1.max_wait_ms, 50, "no longer than they do");
}

#[test]
fn the_next_request_of_the_session_knows_latecomers() {
    let mut world = late();
    world.receive(1);
    assert!(world.send_late(1).is_none());
    assert!(!world.fetcher.wants_connection(node(1), Lane::Late));
    assert_eq!(partitions(&world.send(1).unwrap()), [(1, 0)]);
    assert!(world.send_late(1).is_none());
}

#[test]
fn what_both_requests_bring_is_delivered_once() {
    for late_first in [true, false] {
        let mut world = late();
        world.append(1, 3);
        let request = world.send_late(1).unwrap();
        world.receive(1);
        world.send(1);
        if late_first {
            world.receive_late(1, request);
            world.receive(1);
        } else {
            world.receive(1);
            world.receive_late(1, request);
        }
        let taken = std::iter::from_fn(|| world.fetcher.take(world.now));
        assert_eq!(taken.map(|taken| taken.from.offset).collect::<Vec<_>>(), [0, 1, 2]);
    }
}

#[test]
fn what_both_requests_say_of_an_offset_is_heard_once() {
    let mut world = late();
    world.append(1, 10);
    let request = world.send_late(1).unwrap();
    world.receive_late(1, request);
    world.log(1).start = 8;
    let request = world.send_late(1).unwrap();
    assert_eq!(partitions(&request.1), [(1, 3)]);
    world.receive(1);
    assert_eq!(partitions(&world.send(1).unwrap()), [(1, 3)]);
    world.receive_late(1, request);
    world.receive(1);
    world.log(1).start = 0;
    world.elect(1, 2, 10);
    world.refresh();
    world.look_up();
    assert_eq!(partitions(&world.send(2).unwrap()), [(1, 3)], "the next leader may have it");
}

#[test]
fn a_seek_makes_the_answer_to_a_latecomer_stale() {
    let mut world = late();
    world.append(1, 3);
    let request = world.send_late(1).unwrap();
    let slot = world.slot(1);
    world.fetcher.seek(slot, Position::at(2), world.now);
    world.receive_late(1, request);
    assert!(world.fetcher.take(world.now).is_none());
    assert_eq!(partitions(&world.send_late(1).unwrap().1), [(1, 2)]);
}

#[test]
fn latecomers_wait_with_the_others_where_they_cannot_be_asked_for() {
    let mut world = late();
    let (token, _) = world.send_late(1).unwrap();
    world.fetcher.handle_fetch_failure(node(1), token, world.now);
    world.fetcher.handle_disconnected(node(1), Lane::Late, world.now);
    assert!(!world.fetcher.wants_connection(node(1), Lane::Late));
    assert!(!world.fetcher.poll_refresh(), "the other connection knows better");
    world.receive(1);
    let request = world.send(1).unwrap();
    assert_eq!((request.session_epoch, partitions(&request)), (1, vec![(1, 0)]));
}

#[test]
fn an_answer_of_the_old_leader_is_stale() {
    let mut world = World::begun(|_| {});
    world.append(0, 3);
    world.send(1);
    world.elect(0, 2, 3);
    world.refresh();
    world.receive(1);
    assert!(world.fetcher.take(world.now).is_none());
    assert_eq!(
        partitions(&world.send(2).unwrap()),
        [(1, 0), (0, 0)].into_iter().rev().collect::<Vec<_>>()
    );
    world.receive(2);
    assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, 0);
}

#[test]
fn a_broker_that_leads_no_more_is_not_asked_before_the_metadata_says_who_does() {
    let mut world = World::begun(|_| {});
    world.elect(0, 2, 0);
    world.fetch(1);
    assert!(world.fetcher.poll_refresh());
    assert!(world.send(1).is_none(), "it backs off");
    world.refresh();
    assert_eq!(partitions(&world.send(2).unwrap()), [(0, 0), (1, 0)]);
}

#[test]
fn a_snapshot_that_comes_after_a_newer_one_says_nothing_of_leaders() {
    let mut world = World::begun(|_| {});
    let older = world.snapshot();
    world.elect(0, 2, 0);
    world.refresh();
    world.show(&older);
    assert_eq!(partitions(&world.send(2).unwrap()), [(0, 0), (1, 0)]);
    assert!(world.send(1).is_none());
}

#[test]
fn an_epoch_that_went_back_is_the_one_that_brokers_are_told() {
    let mut world = World::begun(|_| {});
    world.log(0).epoch = 7;
    world.refresh();
    world.log(0).epoch = 3;
    world.refresh();
    let request = world.send(1).unwrap();
    assert_eq!(request.topics[0].partitions[0].current_leader_epoch, 3);
}

#[test]
fn what_is_read_under_an_epoch_that_went_back_is_asked_about() {
    let mut world = World::begun(|_| {});
    world.log(0).epoch = 7;
    world.refresh();
    world.append(0, 3);
    world.fetch(1);
    while world.fetcher.take(world.now).is_some() {}
    world.log(0).epoch = 3;
    world.refresh();
    assert_eq!(world.look_up(), 1);
}

#[test]
fn times_without_end_do_not_overflow() {
    let mut world = World::begun(|config| config.fetch_max_wait = Duration::MAX);
    world.fetcher.config.preferred_for = Duration::MAX;
    world.append(0, 3);
    world.fetch(1);
    assert!(world.fetcher.take(world.now).is_some() && world.send(1).is_some());
}

/// What a broker says of a partition that a nearer replica has, too.
fn nearer(world: &mut World, at: i32) {
    let (_, response) = world.answers.get_mut(&node(1)).unwrap();
    let row = &mut response.responses[0].partitions;
    row.clear();
    row.push(ottla_protocol::messages::fetch::PartitionData {
        preferred_read_replica: at,
        high_watermark: 0,
        ..Default::default()
    });
}

#[test]
fn a_nearer_replica_is_read_until_its_time_is_over() {
    let mut world = World::begun(|_| {});
    world.send(1);
    nearer(&mut world, 2);
    world.receive(1);
    assert!(world.send(1).is_none());
    assert_eq!(partitions(&world.send(2).unwrap()), [(0, 0), (1, 0)]);
    world.answers.get_mut(&node(2)).unwrap().1.responses.clear();
    world.receive(2);
    world.wait(301_000);
    world.append(0, 1);
    world.send(2);
    assert!(world.send(1).is_some(), "the leader may know better by now");
    world.receive(1);
    assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, 0);
}

#[test]
fn a_nearer_replica_that_is_lost_gives_way_to_the_leader() {
    for answers in [true, false] {
        let mut world = World::begun(|_| {});
        world.send(1);
        nearer(&mut world, 2);
        world.receive(1);
        if answers {
            world.send(2);
        }
        world.lose(2);
        assert!(world.send(1).is_some(), "answers were outstanding: {answers}");
    }
}

#[test]
fn an_offset_that_a_nearer_replica_does_not_have_is_asked_of_the_leader() {
    let mut world = World::begun(|_| {});
    world.send(1);
    nearer(&mut world, 2);
    world.receive(1);
    world.send(2);
    let (_, response) = world.answers.get_mut(&node(2)).unwrap();
    let rows = &mut response.responses[0].partitions;
    rows[0].error_code = ottla_protocol::ErrorCode::OffsetOutOfRange.code();
    world.receive(2);
    assert!(world.send(1).is_some());
    assert_eq!((world.fetcher.poll_event(), world.look_up()), (None, 0));
}
