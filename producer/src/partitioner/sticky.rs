//! Where records without a key go.

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// Where records without a key go: one partition until about a batch went there (KIP-480, KIP-794).
///
/// What went there is counted when a batch is sealed, not with each record, so a partition gets up
/// to a batch more than its share before the choice moves on.
#[derive(Debug)]
pub(crate) struct Sticky {
    /// −1 while there is none.
    current: AtomicI32,
    /// The choice before; −1 before the first.
    last: AtomicI32,
    /// Bytes in batches that were sealed since the choice.
    produced: AtomicUsize,
}

/// The partitions of a topic, as the choice sees them.
pub(crate) trait Candidates {
    /// How many there are.
    fn count(&self) -> i32;
    /// Batches that wait in a partition; `None` if it has no leader or takes no batches.
    fn queue_len(&self, partition: i32) -> Option<usize>;
}

impl Sticky {
    pub(crate) fn new() -> Self {
        Self {
            current: AtomicI32::new(-1),
            last: AtomicI32::new(-1),
            produced: AtomicUsize::new(0),
        }
    }

    /// The present choice; `None` when it is time to choose.
    #[inline]
    pub(crate) fn current(&self) -> Option<i32> {
        let current = self.current.load(Ordering::Relaxed);
        (current >= 0).then_some(current)
    }

    /// Counts a sealed batch of `bytes` in `partition`. Once `enough` went there, the choice is over.
    pub(crate) fn count_sealed(&self, partition: i32, bytes: usize, enough: usize) {
        if self.current() != Some(partition) {
            return;
        }
        if self.produced.fetch_add(bytes, Ordering::Relaxed) + bytes >= enough {
            self.last.store(partition, Ordering::Relaxed);
            self.current.store(-1, Ordering::Relaxed);
        }
    }

    /// Chooses anew: of a few partitions drawn by `random`, the one with the shortest queue.
    ///
    /// A few draws approach the weighing of all queues that Java does, and cost the same with ten
    /// thousand partitions. Without `adaptive`, the first that has a leader.
    pub(crate) fn draw(&self, candidates: &dyn Candidates, random: u64, adaptive: bool) -> i32 {
        let count = u64::try_from(candidates.count()).unwrap_or(0).max(1);
        let drawn = Draws(random)
            .take(if adaptive { DRAWS } else { 1 })
            .filter_map(|draw| i32::try_from(draw % count).ok())
            .filter_map(|drawn| Some((candidates.queue_len(drawn)?, drawn)))
            // The first of equals, so that idle partitions are alike.
            .min_by_key(|(queue_len, _)| *queue_len);
        let start = i32::try_from(random % count).unwrap_or(0);
        let choice = drawn.map_or_else(|| self.next_from(candidates, start), |(_, drawn)| drawn);
        self.choose(choice)
    }

    /// Chooses the next one that has a leader.
    pub(crate) fn advance(&self, candidates: &dyn Candidates) -> i32 {
        let next = self.last.load(Ordering::Relaxed).saturating_add(1);
        self.choose(self.next_from(candidates, next))
    }

    /// The first from `start` on that has a leader; `start` itself if none has.
    #[expect(clippy::unused_self, reason = "reads as part of the choice")]
    fn next_from(&self, candidates: &dyn Candidates, start: i32) -> i32 {
        let count = candidates.count().max(1);
        let mut round = (0..count).map(|step| start.wrapping_add(step).rem_euclid(count));
        let led = round.find(|partition| candidates.queue_len(*partition).is_some());
        led.unwrap_or_else(|| start.rem_euclid(count))
    }

    fn choose(&self, partition: i32) -> i32 {
        self.produced.store(0, Ordering::Relaxed);
        self.last.store(partition, Ordering::Relaxed);
        self.current.store(partition, Ordering::Relaxed);
        partition
    }
}

/// Partitions that are drawn at each choice.
const DRAWS: usize = 4;

/// Numbers from one random number (xorshift).
struct Draws(u64);

impl Iterator for Draws {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Some(self.0 >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Candidates for Vec<Option<usize>> {
        fn count(&self) -> i32 {
            i32::try_from(self.len()).unwrap()
        }

        fn queue_len(&self, partition: i32) -> Option<usize> {
            self.get(usize::try_from(partition).unwrap()).copied().flatten()
        }
    }

    /// How often each partition is chosen in many draws.
    fn counts(queues: &Vec<Option<usize>>, adaptive: bool) -> Vec<usize> {
        let sticky = Sticky::new();
        let mut counts = vec![0; queues.len()];
        let seeds = Draws(0x9e37_79b9_7f4a_7c15).take(10_000);
        for random in seeds {
            counts[usize::try_from(sticky.draw(queues, random, adaptive)).unwrap()] += 1;
        }
        counts
    }

    #[test]
    fn the_choice_stays_until_a_batch_went_there() {
        let sticky = Sticky::new();
        let chosen = sticky.draw(&vec![Some(0); 3], 7, true);
        assert_eq!(sticky.current(), Some(chosen));
        sticky.count_sealed(chosen, 999, 1_000);
        assert_eq!(sticky.current(), Some(chosen));
        sticky.count_sealed(chosen, 1, 1_000);
        assert_eq!(sticky.current(), None);
    }

    #[test]
    fn batches_of_other_partitions_do_not_move_the_choice() {
        let sticky = Sticky::new();
        let chosen = sticky.draw(&vec![Some(0); 3], 7, true);
        sticky.count_sealed(chosen + 1, 10_000, 1_000);
        assert_eq!(sticky.current(), Some(chosen));
    }

    #[test]
    fn idle_partitions_get_alike() {
        for adaptive in [true, false] {
            let counts = counts(&vec![Some(0); 4], adaptive);
            assert!(counts.iter().all(|count| (2_200..2_800).contains(count)), "{counts:?}");
        }
    }

    #[test]
    fn a_long_queue_gets_less() {
        let counts = counts(&vec![Some(0), Some(50), Some(0)], true);
        assert!(counts[1] < 500 && counts[0] > 4_000 && counts[2] > 4_000, "{counts:?}");
    }

    #[test]
    fn a_partition_without_leader_gets_nothing_while_another_has_one() {
        for adaptive in [true, false] {
            let counts = counts(&vec![None, Some(3), None], adaptive);
            assert_eq!(counts, [0, 10_000, 0]);
        }
    }

    #[test]
    fn without_any_leader_some_partition_is_chosen() {
        let chosen = Sticky::new().draw(&vec![None, None], 5, true);
        assert!((0..2).contains(&chosen));
    }

    #[test]
    fn going_round_visits_every_partition_that_has_a_leader() {
        let sticky = Sticky::new();
        let queues = vec![Some(0), None, Some(9)];
        let round: Vec<i32> = (0..4).map(|_| sticky.advance(&queues)).collect();
        assert_eq!(round, [0, 2, 0, 2]);
    }
}
