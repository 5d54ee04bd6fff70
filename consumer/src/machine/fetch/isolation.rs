//! What a reader of committed records may see of an answer.

use std::collections::BTreeSet;

use ottla_protocol::messages::fetch::AbortedTransaction;
use ottla_protocol::records::{BatchHeader, ControlRecordType};

use crate::config::IsolationLevel;

/// Tells the batches of one partition's answer, in the order of their offsets, that may be delivered
/// from those that may not: control batches for nobody, aborted transactions for readers of
/// committed records.
///
/// # Kafka
///
/// KIP-98; Java's `CompletedFetch`.
#[derive(Debug)]
pub struct Filter {
    /// Of transactions that have not begun yet, the next one last; empty for readers of everything,
    /// whatever the broker sent.
    aborted: Vec<AbortedTransaction>,
    /// Producers within an aborted transaction.
    aborting: BTreeSet<i64>,
}

impl Filter {
    /// A filter before the first batch. The aborted transactions may come in any order.
    pub fn new(level: IsolationLevel, aborted: impl Iterator<Item = AbortedTransaction>) -> Self {
        let mut aborted: Vec<_> = match level {
            IsolationLevel::ReadUncommitted => Vec::new(),
            IsolationLevel::ReadCommitted => aborted.collect(),
        };
        // Apache Kafka sorts them; Redpanda does not.
        aborted.sort_unstable_by_key(|transaction| std::cmp::Reverse(transaction.first_offset));
        Self { aborted, aborting: BTreeSet::new() }
    }

    /// Whether a batch of records may be delivered.
    pub fn admits(&mut self, batch: &BatchHeader) -> bool {
        self.begin_up_to(batch.last_offset());
        !(batch.attributes.is_transactional()
            && self.aborting.contains(&batch.producer.producer_id))
    }

    /// Takes note of a control batch. Only an abort ends an aborted transaction: a commit of the
    /// same producer is of one before.
    pub fn handle_control(&mut self, batch: &BatchHeader, marker: Option<ControlRecordType>) {
        self.begin_up_to(batch.last_offset());
        if marker == Some(ControlRecordType::Abort) {
            self.aborting.remove(&batch.producer.producer_id);
        }
    }

    fn begin_up_to(&mut self, offset: i64) {
        while let Some(begun) = self.aborted.pop_if(|next| next.first_offset <= offset) {
            self.aborting.insert(begun.producer_id);
        }
    }
}

#[cfg(test)]
mod tests {
    use ottla_protocol::records::{Attributes, ProducerStamp};
    use proptest::prelude::*;

    use super::*;

    /// One batch of one record: who wrote it, in a transaction or not, or how one ended.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Entry {
        Plain,
        Data(i64),
        Commit(i64),
        Abort(i64),
    }
    use Entry::{Abort, Commit, Data, Plain};

    #[test]
    fn an_aborted_transaction_is_not_seen() {
        check(&[Data(1), Plain, Data(1), Abort(1), Data(1), Commit(1)], &[1, 4]);
    }

    #[test]
    fn a_commit_does_not_end_an_aborted_transaction() {
        // The list says that 1 aborts from offset 0 on; the marker at 1 is of a transaction before.
        let log = [Data(1), Commit(1), Data(1), Abort(1), Data(1)];
        let aborted = [transaction(1, 0)];
        assert_eq!(seen(IsolationLevel::ReadCommitted, &log, &aborted), [4]);
    }

    #[test]
    fn a_transaction_that_began_before_the_answer_is_not_seen() {
        assert_eq!(
            seen(IsolationLevel::ReadCommitted, &[Data(7), Abort(7)], &[transaction(7, -5)]),
            []
        );
    }

    #[test]
    fn readers_of_everything_see_aborted_records_and_no_markers() {
        let log = [Data(1), Abort(1), Plain];
        assert_eq!(seen(IsolationLevel::ReadUncommitted, &log, &[transaction(1, 0)]), [0, 2]);
    }

    proptest! {
        #[test]
        fn it_sees_what_a_look_at_the_whole_log_sees(
            log in prop::collection::vec(entries(), 0..60),
            shuffle in any::<u64>(),
        ) {
            let mut aborted = aborted_in(&log);
            let turn = usize::try_from(shuffle).unwrap_or(0) % aborted.len().max(1);
            aborted.rotate_left(turn);
            if shuffle % 2 == 0 {
                aborted.reverse();
            }
            prop_assert_eq!(seen(IsolationLevel::ReadCommitted, &log, &aborted), reference(&log));
        }
    }

    fn entries() -> impl Strategy<Value = Entry> {
        prop_oneof![
            Just(Plain),
            (0..4_i64).prop_map(Data),
            (0..4_i64).prop_map(Data),
            (0..4_i64).prop_map(Commit),
            (0..4_i64).prop_map(Abort),
        ]
    }

    #[track_caller]
    fn check(log: &[Entry], expected: &[i64]) {
        assert_eq!(reference(log), expected);
        assert_eq!(seen(IsolationLevel::ReadCommitted, log, &aborted_in(log)), expected);
    }

    /// For each record, looks ahead for how its transaction ends.
    fn reference(log: &[Entry]) -> Vec<i64> {
        let ends = |at: usize, who: i64| {
            log[at..].iter().find(|entry| matches!(entry, Commit(p) | Abort(p) if *p == who))
        };
        let visible = |(at, entry): &(usize, &Entry)| match entry {
            Plain => true,
            Data(who) => !matches!(ends(*at, *who), Some(Abort(_))),
            Commit(_) | Abort(_) => false,
        };
        let offsets = (0..).zip(log.iter().enumerate());
        offsets.filter(|(_, entry)| visible(entry)).map(|(offset, _)| offset).collect()
    }

    /// What a broker says of a log: each aborted transaction with its first record.
    fn aborted_in(log: &[Entry]) -> Vec<AbortedTransaction> {
        let mut open = std::collections::BTreeMap::new();
        let mut aborted = Vec::new();
        for (at, entry) in (0..).zip(log) {
            match entry {
                Plain => {}
                Data(who) => {
                    open.entry(*who).or_insert(at);
                }
                Commit(who) => {
                    open.remove(who);
                }
                Abort(who) => {
                    aborted.extend(open.remove(who).map(|first| transaction(*who, first)));
                }
            }
        }
        aborted
    }

    fn transaction(producer_id: i64, first_offset: i64) -> AbortedTransaction {
        AbortedTransaction { producer_id, first_offset, ..Default::default() }
    }

    fn seen(level: IsolationLevel, log: &[Entry], aborted: &[AbortedTransaction]) -> Vec<i64> {
        let mut filter = Filter::new(level, aborted.iter().cloned());
        let mut seen = Vec::new();
        for (offset, entry) in (0..).zip(log) {
            match entry {
                Plain => seen.extend(filter.admits(&header(offset, -1, 0)).then_some(offset)),
                Data(who) => {
                    seen.extend(
                        filter.admits(&header(offset, *who, TRANSACTIONAL)).then_some(offset),
                    );
                }
                Commit(who) => {
                    filter.handle_control(
                        &header(offset, *who, MARKER),
                        Some(ControlRecordType::Commit),
                    );
                }
                Abort(who) => {
                    filter.handle_control(
                        &header(offset, *who, MARKER),
                        Some(ControlRecordType::Abort),
                    );
                }
            }
        }
        seen
    }

    const TRANSACTIONAL: i16 = 1 << 4;
    const MARKER: i16 = TRANSACTIONAL | 1 << 5;

    fn header(base_offset: i64, producer_id: i64, bits: i16) -> BatchHeader {
        BatchHeader {
            base_offset,
            batch_length: 49,
            partition_leader_epoch: 0,
            crc: 0,
            attributes: Attributes::from_bits(bits),
            last_offset_delta: 0,
            base_timestamp: 0,
            max_timestamp: 0,
            producer: ProducerStamp { producer_id, ..ProducerStamp::NONE },
            record_count: 1,
        }
    }
}
