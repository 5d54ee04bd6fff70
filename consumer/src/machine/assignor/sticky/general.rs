//! Where members subscribe to different topics: partitions are moved one by one for as long as a
//! move makes two members more even. The outcome is as balanced as that of Java's
//! `GeneralAssignmentBuilder`: no partition could move to a member with two fewer. What Java finds
//! by comparing every partition with every member, heaps find here, topic by topic.
//!
//! It ends: each move lowers the sum of the squares of all loads.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::table::{Table, Topic};

pub(super) fn assign(table: &Table<'_>) -> Vec<Option<usize>> {
    let mut loads = Loads::new(table);
    let mut order: Vec<usize> = (0..table.topics.len()).collect();
    // Those with the fewest choices first, as in Java.
    order.sort_by_key(|topic| table.topics.get(*topic).map(|topic| topic.subscribers.len()));
    for topic in &order {
        loads.assign_unassigned(*topic);
    }
    // What has no history moves first.
    for movable in [Movable::Fresh, Movable::Any] {
        while order.iter().fold(false, |moved, topic| loads.even_out(*topic, movable) | moved) {}
    }
    loads.owner
}

/// Which partitions may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Movable {
    /// Those that are not where they were.
    Fresh,
    Any,
}

struct Loads<'a> {
    table: &'a Table<'a>,
    owner: Vec<Option<usize>>,
    load: Vec<usize>,
    /// Who holds which partitions, topic by topic.
    held: Vec<BTreeMap<usize, BTreeSet<Held>>>,
}

/// A partition that somebody holds, in the order of moving away: first what it did not have before,
/// and the highest number first.
type Held = (bool, Reverse<usize>);

impl<'a> Loads<'a> {
    /// Everybody keeps what it owns, unless it is in the wrong rack.
    fn new(table: &'a Table<'a>) -> Self {
        let mut loads = Self {
            table,
            owner: vec![None; table.count()],
            load: vec![0; table.members.len()],
            held: vec![BTreeMap::new(); table.topics.len()],
        };
        for (partition, owner) in table.owner.iter().enumerate() {
            if let Some(owner) = owner.filter(|owner| !table.racks_mismatch(*owner, partition)) {
                loads.give(partition, owner);
            }
        }
        loads
    }

    fn load(&self, member: usize) -> usize {
        self.load.get(member).copied().unwrap_or(0)
    }

    fn had(&self, member: usize, partition: usize) -> bool {
        self.table.owner.get(partition) == Some(&Some(member))
    }

    fn give(&mut self, partition: usize, member: usize) {
        self.take(partition);
        let entry = (self.had(member, partition), Reverse(partition));
        let held = self.table.topic_of.get(partition).and_then(|topic| self.held.get_mut(*topic));
        if let (Some(owner), Some(load), Some(held)) =
            (self.owner.get_mut(partition), self.load.get_mut(member), held)
        {
            *owner = Some(member);
            *load += 1;
            held.entry(member).or_default().insert(entry);
        }
    }

    fn take(&mut self, partition: usize) {
        let Some(member) = self.owner.get_mut(partition).and_then(Option::take) else { return };
        let entry = (self.had(member, partition), Reverse(partition));
        if let Some(load) = self.load.get_mut(member) {
            *load = load.saturating_sub(1);
        }
        let held = self.table.topic_of.get(partition).and_then(|topic| self.held.get_mut(*topic));
        let Some(held) = held else { return };
        if let Some(mine) = held.get_mut(&member) {
            mine.remove(&entry);
            if mine.is_empty() {
                held.remove(&member);
            }
        }
    }

    /// Gives the partitions of a topic that nobody has to those who have the least.
    fn assign_unassigned(&mut self, topic: usize) {
        let table = self.table;
        let Some(Topic { first, partitions, subscribers, .. }) = table.topics.get(topic) else {
            return;
        };
        let mut unassigned: Vec<usize> = (*first..*first + partitions.len())
            .filter(|partition| self.owner.get(*partition) == Some(&None))
            .collect();
        if let Some(racks) = &table.racks {
            unassigned.sort_by_key(|partition| racks.choices(*partition));
            unassigned.retain(|partition| {
                let near = subscribers.iter().filter(|member| racks.share(**member, *partition));
                let least = near.copied().min_by_key(|member| (self.load(*member), *member));
                if let Some(member) = least {
                    self.give(*partition, member);
                }
                least.is_none()
            });
        }
        let mut least: BinaryHeap<Reverse<(usize, usize)>> =
            subscribers.iter().map(|member| Reverse((self.load(*member), *member))).collect();
        for partition in unassigned {
            let Some(Reverse((load, member))) = least.pop() else { return };
            self.give(partition, member);
            least.push(Reverse((load + 1, member)));
        }
    }

    /// Moves partitions of one topic from those who have much to those who have at least two fewer.
    /// Whether any moved.
    fn even_out(&mut self, topic: usize, movable: Movable) -> bool {
        let table = self.table;
        let (Some(subscribers), Some(held)) =
            (table.topics.get(topic).map(|topic| &topic.subscribers), self.held.get(topic))
        else {
            return false;
        };
        let least = subscribers.iter().map(|member| self.load(*member)).min().unwrap_or(0);
        let givers = held.keys().filter(|member| self.load(**member) >= least + 2);
        // An entry holds for as long as the load in it is true; every change adds a new one.
        let mut most: BinaryHeap<(usize, Reverse<usize>)> =
            givers.map(|member| (self.load(*member), Reverse(*member))).collect();
        if most.is_empty() {
            return false;
        }
        let mut least: BinaryHeap<Reverse<(usize, usize)>> =
            subscribers.iter().map(|member| Reverse((self.load(*member), *member))).collect();
        let mut moved = false;
        while let Some((load, Reverse(giver))) = most.pop() {
            if self.load(giver) != load {
                continue;
            }
            let Some(taker) = self.least_loaded(&mut least) else { break };
            if self.load(taker) + 2 > load {
                break;
            }
            let Some(partition) = self.pick(topic, giver, taker, movable) else { continue };
            self.give(partition, taker);
            moved = true;
            for member in [giver, taker] {
                most.push((self.load(member), Reverse(member)));
                least.push(Reverse((self.load(member), member)));
            }
        }
        moved
    }

    /// The top of the heap that is still true; it stays there.
    fn least_loaded(&self, least: &mut BinaryHeap<Reverse<(usize, usize)>>) -> Option<usize> {
        while let Some(Reverse((load, member))) = least.peek() {
            if self.load(*member) == *load {
                return Some(*member);
            }
            least.pop();
        }
        None
    }

    /// What moves from one member to the other: what the taker had before, then what the giver did
    /// not have before, then anything; each of them within the taker's rack rather than not. Where
    /// the giver holds very many, only the first of them are weighed.
    fn pick(&self, topic: usize, giver: usize, taker: usize, movable: Movable) -> Option<usize> {
        let held = self.held.get(topic)?.get(&giver)?;
        let may_move = |(had, _): &&Held| movable == Movable::Any || !had;
        let candidates = held.iter().take_while(may_move).take(WEIGHED);
        let best = candidates.min_by_key(|(had, Reverse(partition))| {
            let previous = self.table.previous.get(*partition) == Some(&Some(taker));
            let was_takers = previous || self.had(taker, *partition);
            let near = !self.table.racks_mismatch(taker, *partition);
            (!was_takers, *had, !near, Reverse(*partition))
        });
        best.map(|(_, Reverse(partition))| *partition)
    }
}

/// How many partitions are weighed for one move: without a bound, a member that holds all of a large
/// topic would have it walked once for each partition that leaves.
const WEIGHED: usize = 64;
