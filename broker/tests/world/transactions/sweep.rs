//! Random schedules of transactions and crashes: all of a transaction is seen, or nothing.

use std::collections::BTreeSet;

use super::*;

/// A transaction as its producer remembers it.
#[derive(Debug, Default)]
struct Told {
    /// The records that were sent, as topic and value.
    written: Vec<(&'static str, String)>,
    /// Whether one of them was not acknowledged, so that the transaction can only be aborted.
    doubtful: bool,
    /// The offset that goes with them, if any.
    offset: Option<i64>,
    /// What the coordinator promised; `None` while nobody knows.
    committed: Option<bool>,
}

/// A producer that retries, gives up and is replaced, with all that it was told.
struct Driver {
    producer: Producer,
    current: Option<Told>,
    past: Vec<Told>,
    values: u32,
    /// Whether a sequence may have been used, or not: only another epoch makes that good.
    needs_epoch: bool,
}

const TOPICS: [&str; 2] = ["t", "u"];

#[test]
fn what_a_transaction_wrote_is_seen_whole_or_not_at_all() {
    for seed in 0..150_u64 {
        for protocol in BOTH {
            sweep(seed, protocol);
        }
    }
}

fn sweep(seed: u64, protocol: Protocol) {
    let mut test = Test::without_topics(3, &[]);
    for topic in TOPICS {
        test.topic(topic, &[("min.insync.replicas", "2")]);
    }
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let producer = Producer::new(&mut test, "a", protocol);
    let mut driver =
        Driver { producer, current: None, past: Vec::new(), values: 0, needs_epoch: false };
    for _ in 0..60 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        step(&mut test, &mut driver, random);
        test.pass(Duration::from_millis(100));
        driver.check(&test, seed, false);
    }
    for node in 1..=3 {
        test.world.set_alive(NodeId(node), true, test.now);
    }
    for topic in TOPICS {
        test.world.pause_replication(topic, 0, false, test.now).unwrap();
    }
    test.world.release_markers("a", test.now);
    driver.give_up();
    // Whatever is open still is aborted by time.
    test.pass(Duration::from_secs(120));
    driver.check(&test, seed, true);
    driver.check_offset(&mut test, seed);
    for topic in TOPICS {
        let log = test.partition(topic).leader_log().unwrap();
        assert_eq!(log.stable(), log.end(), "seed {seed}: nothing hangs in {topic}");
    }
}

fn step(test: &mut Test, driver: &mut Driver, random: u64) {
    let node = NodeId(i32::try_from(random >> 8 & 3).unwrap().clamp(1, 3));
    let topic = TOPICS[usize::from(random >> 16 & 1 == 1)];
    if test.world.catalog().alive().is_empty() {
        return test.world.set_alive(node, true, test.now);
    }
    match random % 16 {
        0..=4 => driver.write(test, topic),
        5 => driver.commit_offset(test),
        6..=8 => driver.end(test, random >> 20 & 3 != 0),
        9 => driver.restart(test),
        10 => test.world.set_alive(node, false, test.now),
        11 | 12 => test.world.set_alive(node, true, test.now),
        13 => {
            let paused = random >> 20 & 1 == 1;
            test.world.pause_replication(topic, 0, paused, test.now).unwrap();
        }
        14 => {
            // Not to a node that is down.
            let _ = test.world.move_transaction_coordinator("a", node, test.now);
            let _ = test.world.move_group_coordinator("g", node, test.now);
        }
        _ if random >> 20 & 1 == 1 => test.world.hold_markers("a"),
        _ => test.world.release_markers("a", test.now),
    }
}

impl Driver {
    fn write(&mut self, test: &mut Test, topic: &'static str) {
        if self.needs_epoch && self.current.is_none() {
            self.restart(test);
        }
        if self.needs_epoch || test.partition(topic).leader().is_none() {
            return;
        }
        self.values += 1;
        let value = format!("{}.", self.values);
        let outcome = self.producer.write(test, topic, &value);
        let doubtful = outcome == Err(ErrorCode::RequestTimedOut);
        if outcome.is_ok() || doubtful {
            let current = self.current.get_or_insert_default();
            current.written.push((topic, value));
            current.doubtful |= doubtful;
            self.needs_epoch |= doubtful;
        }
    }

    fn commit_offset(&mut self, test: &mut Test) {
        let offset = i64::from(self.values);
        if self.producer.commit_offset(test, offset) == ErrorCode::None {
            self.current.get_or_insert_default().offset = Some(offset);
        }
    }

    fn end(&mut self, test: &mut Test, committed: bool) {
        let doubtful = self.current.as_ref().is_some_and(|told| told.doubtful);
        let committed = committed && !doubtful;
        if self.producer.end(test, committed).is_err() {
            return;
        }
        self.past.extend(self.current.take().map(|t| Told { committed: Some(committed), ..t }));
    }

    /// Another instance takes over; what the one before had open is aborted.
    fn restart(&mut self, test: &mut Test) {
        if let Ok(next) = test.init("a", None) {
            self.producer.become_producer(next);
            self.needs_epoch = false;
            self.give_up();
        }
    }

    fn give_up(&mut self) {
        self.past.extend(self.current.take().map(|told| Told { committed: Some(false), ..told }));
    }

    /// Nothing of what was aborted or is open is ever seen; what was committed is, in the end.
    #[track_caller]
    fn check(&self, test: &Test, seed: u64, is_end: bool) {
        let mut seen = BTreeSet::new();
        for topic in TOPICS {
            if test.partition(topic).leader().is_some() {
                let visible = test.visible(topic);
                seen.extend(visible.split_inclusive('.').map(|value| (topic, value.to_owned())));
            }
        }
        for told in self.past.iter().chain(&self.current) {
            let of_it = told.written.iter().filter(|record| seen.contains(*record)).count();
            match told.committed {
                Some(true) if is_end => {
                    assert_eq!(of_it, told.written.len(), "seed {seed}: {told:?}, saw {seen:?}");
                }
                Some(true) => {}
                Some(false) | None => assert_eq!(of_it, 0, "seed {seed}: {told:?}, saw {seen:?}"),
            }
        }
    }

    #[track_caller]
    fn check_offset(&self, test: &mut Test, seed: u64) {
        let committed = self.past.iter().filter(|told| told.committed == Some(true));
        let last = committed.filter_map(|told| told.offset).next_back().unwrap_or(-1);
        assert_eq!(test.committed(true), Ok(last), "seed {seed}");
    }
}
