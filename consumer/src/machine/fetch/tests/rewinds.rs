//! What is said of a batch after something happened to its partition.

use ottla_protocol::records::RecordsError;

use super::super::{FetchedBatch, Taken};
use super::world::World;
use crate::config::AutoOffsetReset;

#[test]
fn what_is_rewound_is_read_again_whatever_happened_to_its_leader() {
    let (mut world, taken) = taken_before_the_leader_moved();
    assert!(world.fetcher.rewind(taken.origin(), taken.from, world.now));
    assert_eq!(next(&mut world).from, taken.from);
}

#[test]
fn what_is_put_back_is_read_again_whatever_happened_to_its_leader() {
    let (mut world, taken) = taken_before_the_leader_moved();
    let (origin, rest) = (taken.origin(), FetchedBatch { batch: taken.batch, next: taken.next });
    world.fetcher.put_back(origin, rest, taken.from, world.now);
    assert_eq!(next(&mut world).from, taken.from);
}

#[test]
fn what_is_put_back_is_taken_before_what_others_have() {
    for more_of_its_own in [0, 3] {
        let mut world = World::begun(|_| {});
        world.append(0, 1 + more_of_its_own);
        world.append(1, 2);
        world.fetch(1);
        world.fetch(2);
        let taken = world.fetcher.take(world.now).unwrap();
        let (origin, from) = (taken.origin(), taken.from);
        for _ in 0..3 {
            let rest = FetchedBatch { batch: taken.batch.clone(), next: taken.next };
            world.fetcher.put_back(origin, rest, from, world.now);
            let again = world.fetcher.take(world.now).unwrap();
            assert_eq!((again.slot, again.from), (taken.slot, from));
        }
        let other = world.fetcher.take(world.now).unwrap();
        assert_ne!(other.slot, taken.slot, "and then it is their turn");
    }
}

#[test]
fn a_batch_that_cannot_be_read_is_fetched_again_from_a_new_leader() {
    let (mut world, taken) = taken_before_the_leader_moved();
    let fault = RecordsError::CrcMismatch { base_offset: 0, stored: 1, computed: 2 };
    world.fetcher.fail(taken.origin(), taken.from, fault, world.now);
    assert!(world.fetcher.poll_error().is_none());
    assert_eq!(next(&mut world).from, taken.from);
}

#[test]
fn what_was_read_of_a_topic_is_no_place_to_go_back_to_in_the_next_of_its_name() {
    for policy in [AutoOffsetReset::Earliest, AutoOffsetReset::Latest, AutoOffsetReset::None] {
        let mut world = World::begun(|config| config.auto_offset_reset = policy);
        world.append(0, 3);
        world.fetch(1);
        let taken: Vec<_> = std::iter::from_fn(|| world.fetcher.take(world.now)).collect();
        let (origin, from) = (taken[1].origin(), taken[1].from);
        world.topic_id = 10;
        world.refresh();
        assert!(!world.fetcher.rewind(origin, from, world.now), "{policy:?} decides");
        world.look_up();
        assert!(!world.fetcher.rewind(origin, from, world.now), "{policy:?} has decided");
    }
}

#[test]
fn a_position_does_not_stop_before_a_marker_that_comes_late() {
    let mut world = World::begun(|_| {});
    world.append(0, 1);
    world.fetch(1);
    world.mark(0);
    world.fetch(1);
    let taken = world.fetcher.take(world.now).unwrap();
    assert_eq!(taken.next.offset, 2, "behind the marker");
    assert_at_end(&world);
}

#[test]
fn a_position_does_not_stop_before_a_marker_because_of_what_was_put_back() {
    let mut world = World::begun(|_| {});
    world.append(0, 1);
    world.fetch(1);
    let taken = world.fetcher.take(world.now).unwrap();
    world.mark(0);
    world.fetch(1);
    assert_at_end(&world);
    let (origin, rest) = (taken.origin(), FetchedBatch { batch: taken.batch, next: taken.next });
    world.fetcher.put_back(origin, rest, taken.from, world.now);
    assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, 0);
    assert_at_end(&world);
}

#[track_caller]
fn assert_at_end(world: &World) {
    let slot = world.slot(0);
    assert_eq!(world.fetcher.position(slot).map(|at| at.offset), Some(world.logs[0].end()));
    assert_eq!(world.fetcher.lag(slot), Some(0));
}

/// A batch of partition 0 that broker 1 sent, which leads it no more.
fn taken_before_the_leader_moved() -> (World, Taken) {
    let mut world = World::begun(|_| {});
    world.append(0, 3);
    world.fetch(1);
    let taken = world.fetcher.take(world.now).unwrap();
    world.elect(0, 2, 3);
    world.refresh();
    world.look_up();
    (world, taken)
}

/// The next batch, from broker 2.
fn next(world: &mut World) -> Taken {
    world.look_up();
    world.fetch(2);
    world.fetcher.take(world.now).unwrap()
}
