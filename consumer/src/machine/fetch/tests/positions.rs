//! Whatever happens in whatever order, records come one after the other, none twice, none left out.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::super::FetchEvent;
use super::world::{World, name};
use crate::config::AutoOffsetReset;
use crate::machine::Position;

#[derive(Debug, Clone, Copy)]
enum Step {
    Append(i32, usize),
    Mark(i32),
    Trim(i32, i64),
    Send(i32),
    Receive(i32),
    Lose(i32),
    ForgetSessions(i32),
    Take,
    Seek(i32, i64),
    Pause(i32),
    Resume(i32),
    Revoke(i32),
    Assign(i32),
    Elect(i32, i32, i64),
    Refresh,
    Ask,
    Answer,
    LoseAnswer,
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Step> {
    let (partition, broker) = (0..2_i32, 1..3_i32);
    prop_oneof![
        3 => (partition.clone(), 1..5_usize).prop_map(|(p, n)| Step::Append(p, n)),
        1 => partition.clone().prop_map(Step::Mark),
        1 => (partition.clone(), 1..4_i64).prop_map(|(p, n)| Step::Trim(p, n)),
        5 => broker.clone().prop_map(Step::Send),
        5 => broker.clone().prop_map(Step::Receive),
        1 => broker.clone().prop_map(Step::Lose),
        1 => broker.clone().prop_map(Step::ForgetSessions),
        6 => Just(Step::Take),
        1 => (partition.clone(), 0..12_i64).prop_map(|(p, o)| Step::Seek(p, o)),
        1 => partition.clone().prop_map(Step::Pause),
        1 => partition.clone().prop_map(Step::Resume),
        1 => partition.clone().prop_map(Step::Revoke),
        1 => partition.clone().prop_map(Step::Assign),
        1 => (partition, broker, 0..12_i64).prop_map(|(p, b, o)| Step::Elect(p, b, o)),
        2 => Just(Step::Refresh),
        2 => Just(Step::Ask),
        2 => Just(Step::Answer),
        1 => Just(Step::LoseAnswer),
        2 => (1..400_u64).prop_map(Step::Wait),
    ]
}

/// A world, and what must come next of each partition that is assigned.
struct Checked {
    world: World,
    next: BTreeMap<i32, i64>,
    /// All markers that there ever were: a position may pass them without a word.
    markers: BTreeSet<(i32, i64)>,
}

impl Checked {
    fn step(&mut self, step: Step) {
        let Self { world, next, markers } = self;
        let (now, slot) = (world.now, |p| world.fetcher.slot("t", p));
        match step {
            Step::Append(p, count) => world.append(p, count),
            Step::Mark(p) => {
                markers.insert((p, world.log(p).end()));
                world.mark(p);
            }
            Step::Trim(p, count) => {
                let log = world.log(p);
                log.start = log.end().min(log.start + count);
            }
            Step::Send(to) => drop(world.send(to)),
            Step::Receive(from) => drop(world.receive(from)),
            Step::Lose(from) => world.lose(from),
            Step::ForgetSessions(of) => world.forget_sessions(of),
            Step::Take => drop(self.take()),
            Step::Seek(p, offset) => {
                if let Some(slot) = slot(p) {
                    world.fetcher.seek(slot, Position::at(offset), now);
                    next.insert(p, offset);
                }
            }
            Step::Pause(p) => {
                if let Some(slot) = slot(p) {
                    world.fetcher.pause(slot, now);
                }
            }
            Step::Resume(p) => {
                if let Some(slot) = slot(p) {
                    world.fetcher.resume(slot, now);
                }
            }
            Step::Revoke(p) => {
                world.fetcher.remove(&name(p), now);
                next.remove(&p);
            }
            Step::Assign(p) => {
                if slot(p).is_none() {
                    let slot = world.fetcher.add(name(p));
                    world.refresh();
                    world.fetcher.begin(slot, Some(Position::at(0)), now);
                    next.insert(p, 0);
                }
            }
            Step::Elect(p, broker, end) => {
                let start = world.log(p).start;
                world.elect(p, broker, end.max(start));
            }
            Step::Refresh => world.refresh(),
            Step::Ask => drop(world.ask()),
            Step::Answer => drop(world.answer()),
            Step::LoseAnswer => world.lose_answer(),
            Step::Wait(millis) => world.wait(millis),
        }
        self.follow_events();
    }

    /// Resets and truncations move the position, and say so.
    fn follow_events(&mut self) {
        while let Some(event) = self.world.fetcher.poll_event() {
            let (partition, from, to) = match event {
                FetchEvent::Reset { partition, from, to, .. } => (partition, from, to),
                FetchEvent::Truncated { partition, from, to } => (partition, Some(from), to),
            };
            let partition = partition.partition;
            if self.next.contains_key(&partition) {
                from.inspect(|from| self.check_next(partition, *from));
                self.next.insert(partition, to);
            }
        }
    }

    /// Between what was delivered last and `at` is nothing that an application would see.
    #[track_caller]
    fn check_next(&self, partition: i32, at: i64) {
        let next = self.next[&partition];
        let hidden = (next..at).all(|offset| self.markers.contains(&(partition, offset)));
        assert!(at >= next && hidden, "partition {partition} is at {at}, and {next} was next");
    }

    fn take(&mut self) -> bool {
        self.follow_events();
        let Some(taken) = self.world.fetcher.take(self.world.now) else { return false };
        let partition = taken.partition.partition;
        assert!(!self.world.fetcher.is_paused(taken.slot), "{partition} is paused");
        self.check_next(partition, taken.from.offset);
        self.next.insert(partition, taken.next.offset);
        true
    }

    /// Lets everything come to rest: all that is in the logs must have come by then.
    fn rest(&mut self) {
        for partition in 0..2 {
            self.step(Step::Resume(partition));
        }
        for _ in 0..60 {
            for broker in [1, 2] {
                self.step(Step::Send(broker));
                self.step(Step::Receive(broker));
            }
            self.step(Step::Refresh);
            self.step(Step::Ask);
            for _ in 0..4 {
                self.step(Step::Answer);
            }
            self.step(Step::Wait(1_500));
            while self.take() {}
        }
        for partition in self.next.keys().copied() {
            let slot = self.world.slot(partition);
            let (at, end) = (self.world.fetcher.position(slot), self.world.log(partition).end());
            assert_eq!(at.map(|at| at.offset), Some(end), "partition {partition} stands still");
            self.check_next(partition, end);
        }
        assert_eq!(self.world.fetcher.buffered(), 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn records_come_one_after_the_other_and_all_of_them(
        steps in prop::collection::vec(steps(), 1..120),
    ) {
        let world = World::begun(|config| {
            config.auto_offset_reset = AutoOffsetReset::Earliest;
            config.max_partition_fetch_bytes = 250;
            config.fetch_buffer_memory = 600;
        });
        let next = BTreeMap::from([(0, 0), (1, 0)]);
        let mut checked = Checked { world, next, markers: BTreeSet::new() };
        for step in steps {
            checked.step(step);
        }
        checked.rest();
    }
}
