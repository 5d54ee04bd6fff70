//! Where reading goes on when the offset says nothing, or is wrong.

use super::super::{FetchEvent, ResetCause};
use super::world::{World, name};
use crate::config::AutoOffsetReset;
use crate::error::FetchError;
use crate::machine::{OffsetSpec, Position};
use ottla_core::types::LeaderEpoch;

fn reset(from: Option<i64>, to: i64, cause: ResetCause) -> Option<FetchEvent> {
    Some(FetchEvent::Reset { partition: name(0), from, to, cause })
}

#[track_caller]
fn check_begin(policy: AutoOffsetReset, to: i64) {
    let mut world = World::new(|config| config.auto_offset_reset = policy);
    world.append(0, 10);
    world.log(0).start = 4;
    let slot = world.slot(0);
    world.fetcher.begin(slot, None, world.now);
    assert_eq!(world.look_up(), 1);
    assert_eq!(world.fetcher.position(slot), Some(Position::at(to)));
    assert_eq!(world.fetcher.poll_event(), reset(None, to, ResetCause::NoCommittedOffset));
}

#[test]
fn without_a_committed_offset_the_policy_decides() {
    check_begin(AutoOffsetReset::Earliest, 4);
    check_begin(AutoOffsetReset::Latest, 10);
}

#[test]
fn without_a_policy_it_is_an_error_and_a_seek_goes_on() {
    let mut world = World::new(|config| config.auto_offset_reset = AutoOffsetReset::None);
    let slot = world.slot(0);
    world.fetcher.begin(slot, None, world.now);
    assert_eq!(world.fetcher.poll_error(), Some(FetchError::NoOffset { partition: name(0) }));
    assert!(world.send(1).is_none());
    world.fetcher.seek(slot, Position::at(0), world.now);
    assert!(world.send(1).is_some());
}

#[test]
fn a_seek_beats_the_committed_offset_that_comes_later() {
    let mut world = World::new(|_| {});
    let slot = world.slot(0);
    world.fetcher.seek(slot, Position::at(5), world.now);
    world.fetcher.begin(slot, Some(Position::at(1)), world.now);
    assert_eq!(world.fetcher.position(slot), Some(Position::at(5)));
}

#[test]
fn a_seek_undoes_a_lookup_that_is_under_way() {
    let mut world = World::new(|_| {});
    let slot = world.slot(0);
    world.fetcher.seek_to(slot, OffsetSpec::Latest, world.now);
    let lookup = world.fetcher.poll_lookups(0).remove(0);
    world.fetcher.seek(slot, Position::at(5), world.now);
    world.fetcher.handle_offset(&lookup.items[0], Ok(Some(Position::at(9))), world.now);
    assert_eq!(world.fetcher.position(slot), Some(Position::at(5)));
    assert_eq!(world.fetcher.poll_event(), None);
}

#[test]
fn an_offset_out_of_range_is_reset_and_reported() {
    let mut world = World::begun(|config| config.auto_offset_reset = AutoOffsetReset::Earliest);
    world.append(0, 10);
    world.log(0).start = 4;
    world.fetch(1);
    world.look_up();
    assert_eq!(world.fetcher.poll_event(), reset(Some(0), 4, ResetCause::OutOfRange));
    world.fetch(1);
    assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, 4);
}

/// Records 0 to 2 were fetched, and then the leader had none before 8.
fn read_to_where_nothing_is_left() -> World {
    let mut world = World::begun(|config| config.auto_offset_reset = AutoOffsetReset::Earliest);
    world.append(0, 10);
    world.fetch(1);
    world.log(0).start = 8;
    world.fetch(1);
    world
}

#[test]
fn what_was_fetched_before_the_offset_was_out_of_range_is_delivered_first() {
    let mut world = read_to_where_nothing_is_left();
    assert!(world.send(1).is_none(), "all that it would say is known");
    let taken = std::iter::from_fn(|| world.fetcher.take(world.now));
    assert_eq!(taken.map(|taken| taken.from.offset).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!(world.look_up(), 1);
    assert_eq!(world.fetcher.poll_event(), reset(Some(3), 8, ResetCause::OutOfRange));
}

#[test]
fn what_one_leader_does_not_have_is_asked_of_the_next() {
    let mut world = read_to_where_nothing_is_left();
    world.log(0).start = 0;
    world.elect(0, 2, 10);
    world.refresh();
    world.look_up();
    world.fetch(2);
    let taken = std::iter::from_fn(|| world.fetcher.take(world.now));
    assert_eq!(taken.map(|taken| taken.from.offset).collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5]);
    assert_eq!(world.fetcher.poll_event(), None);
}

#[test]
fn a_leader_that_does_not_know_its_own_end_is_asked_again_with_backoff() {
    let mut world = World::new(|_| {});
    let slot = world.slot(0);
    world.fetcher.seek_to(slot, OffsetSpec::Timestamp(5), world.now);
    for waits in [0, 0, 200] {
        world.wait(waits);
        let lookup = world.fetcher.poll_lookups(0).remove(0);
        world.fetcher.handle_offset(&lookup.items[0], Ok(None), world.now);
    }
    assert_eq!(world.look_up(), 0, "not at once");
}

#[test]
fn a_lookup_without_an_answer_is_made_again_with_backoff() {
    let mut world = World::new(|_| {});
    let slot = world.slot(0);
    world.fetcher.seek_to(slot, OffsetSpec::Latest, world.now);
    let lookup = world.fetcher.poll_lookups(0).remove(0);
    world.fetcher.handle_lookup_failure(&lookup, world.now);
    assert_eq!(world.look_up(), 0);
    world.wait(200);
    assert_eq!(world.look_up(), 1);
    assert_eq!(world.fetcher.position(slot), Some(Position::at(0)));
}

#[test]
fn a_truncated_log_is_found_out_and_reported() {
    let mut world = World::begun(|_| {});
    world.append(0, 3);
    world.fetch(1);
    while world.fetcher.take(world.now).is_some() {}
    world.elect(0, 2, 1);
    world.append(0, 5);
    world.refresh();
    assert_eq!(world.look_up(), 1);
    let truncated = FetchEvent::Truncated { partition: name(0), from: 3, to: 1 };
    assert_eq!(world.fetcher.poll_event(), Some(truncated));
    world.fetch(2);
    let taken = world.fetcher.take(world.now).unwrap();
    assert_eq!((taken.from.offset, taken.next.leader_epoch), (1, LeaderEpoch::from_wire(2)));
}

#[test]
fn a_truncated_log_is_an_error_without_a_policy() {
    let mut world = World::begun(|config| config.auto_offset_reset = AutoOffsetReset::None);
    world.append(0, 3);
    world.fetch(1);
    while world.fetcher.take(world.now).is_some() {}
    world.elect(0, 2, 1);
    world.refresh();
    world.look_up();
    let truncated = FetchError::Truncated { partition: name(0), offset: 3, diverging: Some(1) };
    assert_eq!(world.fetcher.poll_error(), Some(truncated));
}

#[test]
fn what_was_fetched_and_truncated_before_it_was_delivered_is_no_news() {
    let mut world = World::begun(|_| {});
    world.append(0, 3);
    world.fetch(1);
    assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, 0);
    world.elect(0, 2, 2);
    world.append(0, 5);
    world.refresh();
    assert!(world.fetcher.take(world.now).is_none(), "not before it is known what is still there");
    while world.look_up() > 0 {}
    assert_eq!(world.fetcher.poll_event(), None);
    world.fetch(2);
    assert_eq!(world.fetcher.take(world.now).unwrap().from.offset, 1);
}

#[test]
fn a_topic_that_was_made_again_is_read_from_where_the_policy_says() {
    let mut world = World::begun(|config| config.auto_offset_reset = AutoOffsetReset::Earliest);
    world.append(0, 3);
    world.fetch(1);
    while world.fetcher.take(world.now).is_some() {}
    world.topic_id = 10;
    world.logs[0].epochs.clear();
    world.append(0, 1);
    world.refresh();
    world.look_up();
    assert_eq!(world.fetcher.poll_event(), reset(Some(3), 0, ResetCause::TopicRecreated));
}
