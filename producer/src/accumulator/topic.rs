//! A topic and its partitions.

use std::iter;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use ottla_core::cluster::TopicInfo;
use ottla_core::types::{TopicName, Uuid};
use parking_lot::Mutex;

use super::common::Common;
use super::partition::Partition;
use crate::error::SendError;
use crate::partitioner::{Candidates, Sticky};
use crate::record::RecordParts;

/// A topic and its partitions. Partitions are only ever added, so finding one takes no lock and
/// counts no reference.
#[derive(Debug)]
pub(crate) struct Topic {
    shared: Arc<TopicShared>,
    first: Segment,
}

/// What the partitions of a topic have in common.
#[derive(Debug)]
pub(super) struct TopicShared {
    pub(super) name: TopicName,
    /// Tells the topics of a producer apart.
    pub(super) number: usize,
    /// How many partitions there are now.
    count: AtomicI32,
    sticky: Sticky,
    id: Mutex<Option<Uuid>>,
    /// What was learnt last, to see whether there is news.
    last: Mutex<Option<TopicInfo>>,
}

/// The partitions that were there at first, and those that were added later.
#[derive(Debug)]
struct Segment {
    partitions: Box<[Arc<Partition>]>,
    next: OnceLock<Box<Self>>,
}

impl Topic {
    pub(super) fn new(info: &TopicInfo, number: usize, common: &Common) -> Self {
        let shared = Arc::new(TopicShared {
            name: info.name.clone(),
            number,
            count: AtomicI32::new(0),
            sticky: Sticky::new(),
            id: Mutex::new(None),
            last: Mutex::new(None),
        });
        let first = Segment::new(&shared, 0, info.partitions.len(), common);
        Self { shared, first }
    }

    pub(crate) fn name(&self) -> &TopicName {
        &self.shared.name
    }

    /// How many partitions there are now.
    pub(crate) fn count(&self) -> i32 {
        // With what was stored before it: a partition that is counted can be found.
        self.shared.count.load(Ordering::Acquire)
    }

    /// All partitions that there ever were, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Partition>> {
        let segments =
            iter::successors(Some(&self.first), |segment| segment.next.get().map(|next| &**next));
        segments.flat_map(|segment| segment.partitions.iter())
    }

    #[inline]
    pub(super) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        let mut index = usize::try_from(index).ok()?;
        let mut segment = &self.first;
        loop {
            if let Some(partition) = segment.partitions.get(index) {
                return Some(partition);
            }
            index -= segment.partitions.len();
            segment = segment.next.get()?;
        }
    }

    /// The partition that a record goes to.
    #[inline]
    pub(super) fn choose(
        &self,
        common: &Common,
        parts: &RecordParts<'_>,
    ) -> Result<&Arc<Partition>, SendError> {
        let count = self.count();
        let by_record = || {
            let ignore_keys = common.config.partitioner_ignore_keys;
            common.choice.by_record(self.name(), parts, count, ignore_keys)
        };
        let wanted = parts.partition.or_else(by_record);
        let index = wanted.unwrap_or_else(|| self.stick(common, count));
        let chosen = self.partition(index).filter(|_| index < count);
        chosen.ok_or_else(|| SendError::NoSuchPartition {
            topic: self.name().clone(),
            partition: index,
            partitions: count,
        })
    }

    #[inline]
    fn stick(&self, common: &Common, count: i32) -> i32 {
        // A topic that was made anew may have fewer partitions than when the choice was made.
        let current = self.shared.sticky.current().filter(|current| *current < count);
        current.unwrap_or_else(|| self.stick_anew(common))
    }

    #[cold]
    fn stick_anew(&self, common: &Common) -> i32 {
        let sticky = &self.shared.sticky;
        let candidates = Seen { topic: self, common };
        if common.choice.goes_round() {
            return sticky.advance(&candidates);
        }
        let adaptive = common.config.partitioner_adaptive_partitioning_enable;
        sticky.draw(&candidates, common.host.random(), adaptive)
    }

    /// Whether `info` says anything new.
    pub(super) fn is_news(&self, info: &TopicInfo) -> bool {
        self.shared.last.lock().as_ref() != Some(info)
    }

    /// Takes what is new, but for the leaders. Whether this is another topic of the same name.
    pub(super) fn update(&self, info: &TopicInfo, common: &Common) -> bool {
        *self.shared.last.lock() = Some(info.clone());
        if info.partitions.is_empty() {
            // It is being made, or cannot be described now: what is known may still be true.
            return false;
        }
        let former = std::mem::replace(&mut *self.shared.id.lock(), info.id);
        self.grow(info.partitions.len(), common);
        let count = i32::try_from(info.partitions.len()).unwrap_or(i32::MAX);
        self.shared.count.store(count, Ordering::Release);
        former.is_some() && former != info.id
    }

    fn grow(&self, wanted: usize, common: &Common) {
        let mut known = 0;
        let mut segment = &self.first;
        loop {
            known += segment.partitions.len();
            match segment.next.get() {
                Some(next) => segment = next,
                None if known >= wanted => return,
                None => {
                    let more = Segment::new(&self.shared, known, wanted - known, common);
                    // Only one snapshot is taken at a time: nobody else has added any.
                    segment.next.get_or_init(|| Box::new(more));
                    return;
                }
            }
        }
    }
}

impl Segment {
    fn new(shared: &Arc<TopicShared>, first: usize, count: usize, common: &Common) -> Self {
        let indices = (first..first + count).filter_map(|index| i32::try_from(index).ok());
        let partitions = indices.map(|index| Partition::new(shared, index, common)).collect();
        Self { partitions, next: OnceLock::new() }
    }
}

impl TopicShared {
    pub(super) fn id(&self) -> Option<Uuid> {
        *self.id.lock()
    }

    /// Counts a sealed batch: once enough went to one partition, the next record without a key
    /// chooses anew.
    pub(super) fn count_sealed(&self, partition: i32, bytes: usize, common: &Common) {
        let enough = if common.choice.goes_round() { 1 } else { common.config.batch_size };
        self.sticky.count_sealed(partition, bytes, enough);
    }
}

/// A topic's partitions, as the sticky choice sees them.
struct Seen<'a> {
    topic: &'a Topic,
    common: &'a Common,
}

impl Candidates for Seen<'_> {
    fn count(&self) -> i32 {
        self.topic.count()
    }

    fn queue_len(&self, partition: i32) -> Option<usize> {
        self.topic.partition(partition)?.availability(self.common)
    }
}
