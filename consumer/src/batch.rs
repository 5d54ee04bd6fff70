//! A batch of records, as an application gets it.

mod open;

use std::fmt;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Instant;

use bytes::Bytes;
use ottla_core::retry::Deadline;
use ottla_core::types::{ConsumerGroupMetadata, LeaderEpoch, Offsets, Progress, TopicPartition};
use ottla_protocol::ErrorCode;
use ottla_protocol::records::{
    self, Batch as Stored, BatchHeader, OwnedRecords, Records, RecordsError, TimestampType,
};

use crate::driver::Shared;
use crate::error::ConsumerError;
use crate::machine::Position;
use crate::machine::commit::{CommitError, MarkedPartition, Offset};
use crate::machine::fetch::{FetchedBatch, Generation, Origin, Slot};
use crate::record::{ConsumerRecord, RecordRef};

pub(crate) use open::Opener;
use open::Rest;

/// Records of one partition that lie together in its log, lent to the application.
///
/// Its checksum is verified and it is decompressed by the call that returned it; its records are read
/// where they lie, while they are iterated.
///
/// A batch whose checksum is right and whose records are not ends early, at the first that cannot be
/// read: [`next_offset`](Self::next_offset) is there then, and the next poll says what is wrong.
pub struct Batch {
    header: BatchHeader,
    section: Arc<Section>,
    from: i64,
    /// The first record that was put back, if any were.
    until: i64,
    next: Position,
    /// The batch as it was fetched, for as long as a part of it may be put back.
    stored: Stored,
}

/// What the records of a batch share.
pub(crate) struct Section {
    bytes: Bytes,
    partition: TopicPartition,
    leader_epoch: Option<LeaderEpoch>,
    timestamp_type: TimestampType,
    slot: Slot,
    generation: Generation,
    /// The assignment of the partition that it was read in.
    tenure: Generation,
    /// Weak, so that a record which is kept does not keep the consumer's connections.
    shared: Weak<Shared>,
    /// Who read it, for which group.
    reader: Option<ConsumerGroupMetadata>,
    /// Where its records note that they are acknowledged.
    marks: Option<Arc<MarkedPartition>>,
    /// Behind its last offset, which its records may lie beyond.
    end: i64,
    /// The first offset that cannot be read, once somebody has come to it.
    fault: OnceLock<i64>,
}

impl Batch {
    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.section.partition.topic
    }

    /// The partition's number.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.section.partition.partition
    }

    /// The topic and the partition.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        &self.section.partition
    }

    /// The offset to commit once all of its records are processed: behind its last record, and
    /// behind what follows it and no application sees, such as transaction markers.
    #[must_use]
    pub fn next_offset(&self) -> i64 {
        self.section.fault.get().copied().unwrap_or(self.next.offset)
    }

    /// The epoch of the leader that appended it (KIP-320); `None` in logs older than epochs.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.section.leader_epoch
    }

    /// Who set the timestamps of its records.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        self.section.timestamp_type
    }

    /// Its records, lent, in the order of their offsets. There may be none: compaction can take all
    /// that were left.
    ///
    /// # Kafka
    ///
    /// As in Java, a record whose offset is not above that of the record before is passed over, and
    /// one beyond the batch's last offset is given. Clients that wrote such offsets were wrong, but
    /// brokers have taken them.
    #[must_use]
    pub fn records(&self) -> BatchRecords<'_> {
        let records = Records::over(&self.header, &self.section.bytes);
        let (from, until) = (self.from, self.until);
        // Checked when the batch was opened.
        BatchRecords { records: records.ok(), section: &self.section, from, until }
    }

    /// Its records as values of their own, each of one refcount.
    #[must_use]
    pub fn into_records(self) -> OwnedBatchRecords {
        let records = OwnedRecords::over(&self.header, Arc::clone(&self.section));
        let (from, until) = (self.from, self.until);
        OwnedBatchRecords { records: records.ok(), section: self.section, from, until }
    }

    /// Commits it: whoever takes over begins behind it.
    ///
    /// # Errors
    ///
    /// [`ConsumerError::Commit`], such as that the partition was given up meanwhile;
    /// [`ConsumerError::NoGroup`] without a group id; [`ConsumerError::Closed`].
    ///
    /// # Cancel safety
    ///
    /// A dropped future takes nothing back: the commit goes on.
    pub async fn commit(&self) -> Result<(), ConsumerError> {
        let shared = self.section.shared.upgrade().ok_or(ConsumerError::Closed)?;
        shared.check_open()?;
        let group = shared.group().ok_or(ConsumerError::NoGroup)?;
        let Section { tenure, generation, ref partition, .. } = *self.section;
        // Not that of the slot, which the partition may have left: assigned anew, it may be in another.
        let now = shared.look(|fetcher| {
            let slot = fetcher.slot(&partition.topic, partition.partition)?;
            Some((fetcher.tenure(slot)?, fetcher.is_past(slot, generation)))
        });
        if let Some((now, is_past)) = now {
            let partition = || partition.clone();
            // Assigned anew: somebody else may have had it between, and committed more than this.
            if now != tenure {
                return Err(CommitError::NotOwned { partition: partition() }.into());
            }
            if is_past {
                let code = ErrorCode::UnknownTopicId;
                return Err(CommitError::Partition { partition: partition(), code }.into());
            }
        }
        let budget = shared.client().config().default_api_timeout;
        let deadline = Deadline::after(shared.now(), budget);
        let committing = group.commit(self.offsets(), deadline);
        // Not held while the commit is under way: a dropped consumer leaves its group.
        drop((group, shared));
        Ok(committing.await?)
    }

    /// Marks all of its records as processed, where the consumer counts acknowledgements.
    pub fn ack(&self) {
        if self.section.marks.is_some() {
            self.records().for_each(|record| self.section.acknowledge(record.offset()));
        }
    }

    /// Notes all of its records as handed out, where the consumer counts acknowledgements.
    pub(crate) fn hand_out(&self) {
        let section = &self.section;
        if let Some(marks) = &section.marks {
            let mark = |record: RecordRef<'_>| section.mark_of(record.offset());
            marks.hand_out(self.records().map(|record| (mark(record), section.leader_epoch)));
        }
    }

    /// What it was taken from, and the position in front of it.
    pub(crate) fn origin(&self) -> (Origin, Position) {
        let Section { slot, generation, tenure, leader_epoch, .. } = *self.section;
        let origin = Origin { slot, generation, tenure };
        (origin, Position { offset: self.from, leader_epoch })
    }

    /// The offset that its records begin at, or behind.
    pub(crate) fn first_offset(&self) -> i64 {
        self.from
    }

    /// Leaves at most `most` records in it, and puts the others back to be taken next. Returns what
    /// those are in, so that whoever takes them need not go through the records before them.
    fn cut(&mut self, most: u32, shared: &Arc<Shared>, now: Instant) -> Option<Rest> {
        let mut records = self.records();
        records.nth(most.max(1) as usize - 1)?;
        let (left, bytes) = records.records.as_ref()?.rest()?;
        let first = records.next()?.offset();
        if first >= self.section.end {
            // Beyond the batch's last offset: no fetch from there would bring it again.
            return None;
        }
        let header = BatchHeader { record_count: i32::try_from(left).ok()?, ..self.header };
        // A section too short for them is read from its start again: that tells where it ends.
        let rest = Records::over(&header, bytes).is_ok().then(|| Rest {
            origin: self.origin().0,
            from: first,
            end: self.section.end,
            header,
            bytes: self.section.bytes.slice_ref(bytes),
        });
        let at = Position { offset: first, leader_epoch: self.section.leader_epoch };
        let batch = FetchedBatch { batch: self.stored.clone(), next: self.next };
        shared.with(|fetcher| fetcher.put_back(self.origin().0, batch, at, now));
        (self.until, self.next) = (first, at);
        rest
    }

    /// Where to go on after it.
    pub(crate) fn next(&self) -> Position {
        Position { offset: self.next_offset(), ..self.next }
    }
}

impl Progress for Batch {
    fn group(&self) -> Option<ConsumerGroupMetadata> {
        self.section.reader.clone()
    }

    fn offsets(&self) -> Offsets {
        let offset = Offset::new(self.next_offset()).with_leader_epoch(self.next.leader_epoch);
        [(self.section.partition.clone(), offset)].into()
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { section, from, next, .. } = self;
        write!(f, "Batch({} @ {from}..{})", section.partition, next.offset)
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = RecordRef<'a>;
    type IntoIter = BatchRecords<'a>;

    fn into_iter(self) -> BatchRecords<'a> {
        self.records()
    }
}

impl IntoIterator for Batch {
    type Item = ConsumerRecord;
    type IntoIter = OwnedBatchRecords;

    fn into_iter(self) -> OwnedBatchRecords {
        self.into_records()
    }
}

/// Lends the records of a [`Batch`].
#[derive(Clone)]
pub struct BatchRecords<'a> {
    records: Option<Records<'a>>,
    section: &'a Section,
    /// The next offset that is wanted.
    from: i64,
    /// The first one that is not.
    until: i64,
}

impl<'a> Iterator for BatchRecords<'a> {
    type Item = RecordRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<RecordRef<'a>> {
        loop {
            match self.records.as_mut()?.next()? {
                // A fetch from within a batch brings all of it.
                Ok(record) if record.offset < self.from => {}
                Ok(record) if record.offset >= self.until => self.records = None,
                Ok(record) => {
                    self.from = record.offset.saturating_add(1);
                    return Some(RecordRef(record));
                }
                Err(fault) => {
                    self.records = None;
                    self.section.fail(self.from, fault);
                }
            }
        }
    }
}

impl std::iter::FusedIterator for BatchRecords<'_> {}

impl fmt::Debug for BatchRecords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BatchRecords({} @ {})", self.section.partition, self.from)
    }
}

/// Gives the records of a [`Batch`] as values of their own.
pub struct OwnedBatchRecords {
    records: Option<OwnedRecords<Section>>,
    section: Arc<Section>,
    /// The next offset that is wanted.
    from: i64,
    /// The first one that is not.
    until: i64,
}

impl Iterator for OwnedBatchRecords {
    type Item = ConsumerRecord;

    #[inline(always)]
    fn next(&mut self) -> Option<ConsumerRecord> {
        match self.records.as_mut()?.next_in(self.from..self.until)? {
            Ok(record) => {
                self.from = record.offset().saturating_add(1);
                Some(ConsumerRecord(record))
            }
            Err(fault) => {
                self.section.fail(self.from, fault);
                None
            }
        }
    }
}

impl std::iter::FusedIterator for OwnedBatchRecords {}

impl fmt::Debug for OwnedBatchRecords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedBatchRecords({} @ {})", self.section.partition, self.from)
    }
}

impl Section {
    pub(crate) fn topic_partition(&self) -> &TopicPartition {
        &self.partition
    }

    pub(crate) fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.leader_epoch
    }

    pub(crate) fn timestamp_type(&self) -> TimestampType {
        self.timestamp_type
    }

    pub(crate) fn acknowledge(&self, offset: i64) {
        if let Some(marks) = &self.marks {
            marks.acknowledge(self.mark_of(offset), self.leader_epoch);
        }
    }

    /// Where a record is marked: beyond the batch's last offset are the records of the next.
    fn mark_of(&self, offset: i64) -> i64 {
        offset.min(self.end.saturating_sub(1))
    }

    /// Takes note that the record at `offset` cannot be read: whoever polls next is told.
    #[cold]
    fn fail(&self, offset: i64, fault: RecordsError) {
        let offset = offset.min(self.end);
        if self.fault.set(offset).is_ok()
            && let Some(shared) = self.shared.upgrade()
        {
            let Self { slot, generation, tenure, .. } = *self;
            let (origin, now) = (Origin { slot, generation, tenure }, shared.now());
            let at = Position { offset, leader_epoch: self.leader_epoch };
            shared.with(|fetcher| fetcher.fail(origin, at, fault, now));
        }
    }
}

impl records::Section for Section {
    fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Section({}, {} bytes)", self.partition, self.bytes.len())
    }
}
