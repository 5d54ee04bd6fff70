//! The committed offsets of one group.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_protocol::{ByteString, Uuid};

use super::classic::OffsetExpiry;

/// An offset as a consumer committed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommittedOffset {
    /// The next one to consume. −1 means −1: it deletes nothing.
    pub(crate) offset: i64,
    /// That of the last record consumed; −1 where unknown (KIP-320).
    pub(crate) leader_epoch: i32,
    /// Whatever the consumer wants to find again.
    pub(crate) metadata: ByteString,
    /// The topic that was meant; [`Uuid::ZERO`] where it was named by its name alone.
    pub(crate) topic_id: Uuid,
    /// When it was committed.
    pub(crate) committed_at: Duration,
    /// When it expires, where the commit itself said so (up to version 4).
    pub(crate) expires_at: Option<Duration>,
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TransactionResult {
    /// Its offsets count.
    Commit,
    /// They never were.
    Abort,
}

/// Offsets by topic and partition, and those of transactions that have not ended.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    committed: ByPartition,
    /// By producer id.
    pending: BTreeMap<i64, ByPartition>,
    /// Counts commits of both kinds, so that a transaction that ends late does not overwrite what
    /// was committed after its own.
    commits: u64,
}

type ByPartition = BTreeMap<ByteString, BTreeMap<i32, Entry>>;

#[derive(Debug)]
struct Entry {
    offset: CommittedOffset,
    nth: u64,
}

impl Offsets {
    /// Takes an offset, in place of the one before.
    pub(crate) fn commit(&mut self, topic: &str, partition: i32, offset: CommittedOffset) {
        let entry = self.entry(offset);
        self.committed.entry(topic.into()).or_default().insert(partition, entry);
    }

    /// Takes an offset that counts once the transaction of `producer_id` is committed (KIP-98).
    pub(crate) fn commit_pending(
        &mut self,
        producer_id: i64,
        topic: &str,
        partition: i32,
        offset: CommittedOffset,
    ) {
        let entry = self.entry(offset);
        let pending = self.pending.entry(producer_id).or_default();
        pending.entry(topic.into()).or_default().insert(partition, entry);
    }

    /// The transaction of `producer_id` has ended.
    pub(crate) fn complete(&mut self, producer_id: i64, result: TransactionResult) {
        let pending = self.pending.remove(&producer_id).unwrap_or_default();
        if result == TransactionResult::Abort {
            return;
        }
        for (topic, partitions) in pending {
            let committed = self.committed.entry(topic).or_default();
            for (partition, entry) in partitions {
                if committed.get(&partition).is_none_or(|newest| newest.nth < entry.nth) {
                    committed.insert(partition, entry);
                }
            }
        }
    }

    /// The offset committed for a partition.
    pub(crate) fn committed(&self, topic: &str, partition: i32) -> Option<&CommittedOffset> {
        self.committed.get(topic)?.get(&partition).map(|entry| &entry.offset)
    }

    /// Whether a transaction that has not ended may still change the offset (KIP-447).
    pub(crate) fn is_unstable(&self, topic: &str, partition: i32) -> bool {
        let has = |pending: &ByPartition| {
            pending.get(topic).is_some_and(|partitions| partitions.contains_key(&partition))
        };
        self.pending.values().any(has)
    }

    /// Every topic, by ascending name, with the partitions that have an offset.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (&ByteString, Vec<i32>)> {
        self.committed
            .iter()
            .map(|(topic, partitions)| (topic, partitions.keys().copied().collect()))
    }

    /// Forgets the offset of a partition, the pending ones too.
    pub(crate) fn delete(&mut self, topic: &str, partition: i32) {
        self.retain(|other, index, _| *other != *topic || index != partition);
    }

    /// Forgets the offsets of a topic, the pending ones too.
    pub(crate) fn delete_topic(&mut self, topic: &str) {
        self.retain(|other, _, _| *other != *topic);
    }

    /// Forgets what is of no use for `retention`, but for the topics that the group consumes.
    pub(crate) fn expire(
        &mut self,
        expiry: OffsetExpiry,
        is_subscribed_to: impl Fn(&str) -> bool,
        retention: Duration,
        now: Duration,
    ) {
        let pending = std::mem::take(&mut self.pending);
        let is_pending = |topic: &str, partition| {
            let of = |pending: &ByPartition| pending.get(topic)?.get(&partition).map(|_| ());
            pending.values().any(|pending| of(pending).is_some())
        };
        self.retain(|topic, partition, offset| {
            is_subscribed_to(topic)
                || is_pending(topic, partition)
                || !is_expired(offset, expiry, retention, now)
        });
        self.pending = pending;
    }

    /// Whether there is nothing to keep the group for.
    pub(crate) fn is_empty(&self) -> bool {
        self.committed.is_empty() && self.pending.is_empty()
    }

    /// With texts of its own: those of a request are slices of the whole request.
    fn entry(&mut self, offset: CommittedOffset) -> Entry {
        self.commits += 1;
        let metadata = ByteString::from(&*offset.metadata);
        Entry { offset: CommittedOffset { metadata, ..offset }, nth: self.commits }
    }

    fn retain(&mut self, keep: impl Fn(&ByteString, i32, &CommittedOffset) -> bool) {
        let prune = |by_partition: &mut ByPartition| {
            by_partition.retain(|topic, partitions| {
                partitions.retain(|partition, entry| keep(topic, *partition, &entry.offset));
                !partitions.is_empty()
            });
            !by_partition.is_empty()
        };
        prune(&mut self.committed);
        self.pending.retain(|_, pending| prune(pending));
    }
}

fn is_expired(
    offset: &CommittedOffset,
    expiry: OffsetExpiry,
    retention: Duration,
    now: Duration,
) -> bool {
    let unused_since = match expiry {
        OffsetExpiry::Never => return false,
        OffsetExpiry::SinceCommit => offset.committed_at,
        OffsetExpiry::Since(since) => since,
    };
    now >= offset.expires_at.unwrap_or_else(|| unused_since.saturating_add(retention))
}
