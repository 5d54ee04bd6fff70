//! What a log knows of the producers that wrote to it: a fold over its batches.

use std::collections::{BTreeMap, VecDeque};

use ottla_protocol::ErrorCode;
use ottla_protocol::records::{
    BatchDecoder, BatchHeader, ControlRecordKey, ControlRecordType, EndTransactionMarker,
    ProducerStamp,
};

use super::batch::Batch;

/// Producer state of one log: who wrote what last, which transactions are open, which aborted.
///
/// Nothing else feeds it than the batches of its log, so it follows the log through failover,
/// truncation and restart, and dies with it.
#[derive(Debug, Clone, Default)]
pub struct Producers {
    by_id: BTreeMap<i64, Entry>,
    /// First offset of each open transaction, with its producer.
    open: BTreeMap<i64, i64>,
    /// Transactions that have ended, while their marker is not yet below the high watermark.
    ended: VecDeque<Ended>,
    /// Aborted transactions, in the order of their markers.
    aborted: Vec<Aborted>,
}

/// A transaction that was aborted, as fetchers with `read_committed` are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// Whose it was.
    pub producer_id: i64,
    /// Offset of its first record.
    pub first_offset: i64,
    /// Offset of the marker that ended it.
    pub last_offset: i64,
}

/// What a log knows of one producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerState {
    /// Its id.
    pub id: i64,
    /// Its latest epoch.
    pub epoch: i16,
    /// The last sequence of that epoch; `None` before the first.
    pub last_sequence: Option<i32>,
    /// When it wrote last, in milliseconds since 1970.
    pub last_timestamp: i64,
    /// Of the coordinator that ended its latest transaction here; −1 before.
    pub coordinator_epoch: i32,
    /// First offset of the transaction that it has open.
    pub open_since: Option<i64>,
}

/// What becomes of a batch whose producer state is in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is new: append it.
    Fresh,
    /// The log has it already, at this base offset.
    Duplicate(i64),
}

#[derive(Debug, Clone)]
struct Entry {
    epoch: i16,
    recent: VecDeque<Remembered>,
    open_since: Option<i64>,
    /// Of the coordinator that ended its latest transaction here; −1 before.
    coordinator_epoch: i32,
    /// Milliseconds since 1970 of its last append.
    touched: i64,
}

#[derive(Debug, Clone, Copy)]
struct Remembered {
    first_sequence: i32,
    last_sequence: i32,
    base: i64,
}

#[derive(Debug, Clone, Copy)]
struct Ended {
    first_offset: i64,
    marker: i64,
}

impl Producers {
    /// Whether a client's batch may be appended.
    ///
    /// # Errors
    ///
    /// `INVALID_PRODUCER_EPOCH` for an epoch below the log's, `OUT_OF_ORDER_SEQUENCE_NUMBER` for a
    /// gap or a batch too old to be remembered, `INVALID_TXN_STATE` for a batch outside the
    /// transaction that its producer has open here. A producer that the log does not know may
    /// begin at any sequence.
    pub fn check(&self, header: &BatchHeader) -> Result<Verdict, ErrorCode> {
        let stamp = header.producer;
        let Some(entry) = self.by_id.get(&stamp.producer_id).filter(|_| stamp.producer_id >= 0)
        else {
            return Ok(Verdict::Fresh);
        };
        if stamp.producer_epoch < entry.epoch {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if stamp.producer_epoch > entry.epoch {
            let fresh = stamp.base_sequence == 0;
            return if fresh {
                Ok(Verdict::Fresh)
            } else {
                Err(ErrorCode::OutOfOrderSequenceNumber)
            };
        }
        if let Some(base) = entry.find(stamp.base_sequence, last_sequence(header)) {
            return Ok(Verdict::Duplicate(base));
        }
        if stamp.base_sequence != entry.next_sequence() {
            return Err(ErrorCode::OutOfOrderSequenceNumber);
        }
        if entry.open_since.is_some() && !header.attributes.is_transactional() {
            return Err(ErrorCode::InvalidTxnState);
        }
        Ok(Verdict::Fresh)
    }

    /// Whether a marker that comes from outside may be appended.
    ///
    /// # Errors
    ///
    /// `INVALID_PRODUCER_EPOCH` for an epoch below the log's; from `transaction_version` 2 on also
    /// for that of an open transaction, whose end comes with the next epoch (KIP-1228).
    /// `TRANSACTION_COORDINATOR_FENCED` when a later coordinator has been here.
    pub fn check_marker(
        &self,
        producer_id: i64,
        producer_epoch: i16,
        coordinator_epoch: i32,
        transaction_version: i8,
    ) -> Result<(), ErrorCode> {
        let Some(entry) = self.by_id.get(&producer_id) else { return Ok(()) };
        let needs_next = transaction_version >= 2 && entry.open_since.is_some();
        if producer_epoch < entry.epoch || (needs_next && producer_epoch == entry.epoch) {
            return Err(ErrorCode::InvalidProducerEpoch);
        }
        if coordinator_epoch < entry.coordinator_epoch {
            return Err(ErrorCode::TransactionCoordinatorFenced);
        }
        Ok(())
    }

    /// Whether a producer has a transaction open here, in the epoch of this stamp.
    #[must_use]
    pub fn has_open_transaction(&self, stamp: ProducerStamp) -> bool {
        let entry = self.by_id.get(&stamp.producer_id);
        entry.is_some_and(|e| e.epoch == stamp.producer_epoch && e.open_since.is_some())
    }

    /// Whether the log remembers a producer.
    #[must_use]
    pub fn knows(&self, producer_id: i64) -> bool {
        self.by_id.contains_key(&producer_id)
    }

    /// Every producer that the log remembers, by ascending id.
    pub fn iter(&self) -> impl Iterator<Item = ProducerState> {
        self.by_id.iter().map(|(id, entry)| ProducerState {
            id: *id,
            epoch: entry.epoch,
            last_sequence: entry.recent.back().map(|last| last.last_sequence),
            last_timestamp: entry.touched,
            coordinator_epoch: entry.coordinator_epoch,
            open_since: entry.open_since,
        })
    }

    /// Takes an appended batch into account: data or the marker that ends a transaction.
    pub fn apply(&mut self, batch: &Batch) {
        let header = batch.header();
        if header.producer.producer_id < 0 {
            return;
        }
        if header.attributes.is_control() {
            self.apply_marker(batch);
        } else {
            self.apply_data(header);
        }
    }

    fn apply_data(&mut self, header: &BatchHeader) {
        let producer_id = header.producer.producer_id;
        let entry = self.entry(header);
        if entry.recent.len() == REMEMBERED {
            entry.recent.pop_front();
        }
        entry.recent.push_back(Remembered {
            first_sequence: header.producer.base_sequence,
            last_sequence: last_sequence(header),
            base: header.base_offset,
        });
        if header.attributes.is_transactional() && entry.open_since.is_none() {
            entry.open_since = Some(header.base_offset);
            self.open.insert(header.base_offset, producer_id);
        }
    }

    fn apply_marker(&mut self, batch: &Batch) {
        let header = batch.header();
        let marker = read_marker(batch);
        let entry = self.entry(header);
        if let Some((_, coordinator_epoch)) = marker {
            entry.coordinator_epoch = coordinator_epoch;
        }
        let Some(first_offset) = entry.open_since.take() else { return };
        self.open.remove(&first_offset);
        self.ended.push_back(Ended { first_offset, marker: batch.base() });
        if marker.is_some_and(|(kind, _)| kind == ControlRecordType::Abort) {
            let producer_id = header.producer.producer_id;
            self.aborted.push(Aborted { producer_id, first_offset, last_offset: batch.last() });
        }
    }

    /// The producer's entry, moved to the epoch of this batch.
    fn entry(&mut self, header: &BatchHeader) -> &mut Entry {
        let stamp = header.producer;
        let entry = self.by_id.entry(stamp.producer_id).or_insert_with(|| Entry {
            epoch: stamp.producer_epoch,
            recent: VecDeque::new(),
            open_since: None,
            coordinator_epoch: -1,
            touched: 0,
        });
        if entry.epoch != stamp.producer_epoch {
            entry.epoch = stamp.producer_epoch;
            entry.recent.clear();
        }
        entry.touched = header.max_timestamp;
        entry
    }

    /// Forgets the ended transactions whose marker lies below the high watermark.
    pub fn settle(&mut self, high_watermark: i64) {
        self.ended.retain(|ended| ended.marker >= high_watermark);
    }

    /// The last stable offset, given the high watermark: no transaction below it is undecided.
    #[must_use]
    pub fn stable(&self, high_watermark: i64) -> i64 {
        let open = self.open.keys().next().copied();
        let ended = self.ended.iter().map(|ended| ended.first_offset).min();
        [open, ended].into_iter().flatten().fold(high_watermark, i64::min)
    }

    /// The aborted transactions that touch the offsets from `from` up to but excluding `upto`.
    #[must_use]
    pub fn aborted(&self, from: i64, upto: i64) -> Vec<Aborted> {
        let touches = |a: &&Aborted| a.last_offset >= from && a.first_offset < upto;
        self.aborted.iter().filter(touches).copied().collect()
    }

    /// Forgets producers that have not written since `before`, in milliseconds since 1970, and
    /// have no transaction open (`producer.id.expiration.ms`).
    pub fn expire(&mut self, before: i64) {
        self.by_id.retain(|_, entry| entry.open_since.is_some() || entry.touched >= before);
    }

    /// Forgets the aborted transactions that end below the start of the log.
    pub fn trim(&mut self, log_start: i64) {
        self.aborted.retain(|aborted| aborted.last_offset >= log_start);
    }
}

impl Entry {
    fn find(&self, first_sequence: i32, last_sequence: i32) -> Option<i64> {
        let same = |r: &&Remembered| {
            r.first_sequence == first_sequence && r.last_sequence == last_sequence
        };
        self.recent.iter().find(same).map(|remembered| remembered.base)
    }

    fn next_sequence(&self) -> i32 {
        self.recent.back().map_or(0, |last| wrapping_sequence(last.last_sequence, 1))
    }
}

fn last_sequence(header: &BatchHeader) -> i32 {
    wrapping_sequence(header.producer.base_sequence, header.last_offset_delta)
}

/// Sequences go on from 2³¹−1 at 0: they count modulo 2³¹.
fn wrapping_sequence(sequence: i32, more: i32) -> i32 {
    sequence.wrapping_add(more) & i32::MAX
}

/// What a marker says, and the epoch of the coordinator that says it.
fn read_marker(batch: &Batch) -> Option<(ControlRecordType, i32)> {
    let whole = batch.to_record_batch().ok()?;
    let mut decoder = BatchDecoder::new(MARKER_LEN);
    let record = decoder.records(&whole).ok()?.next()?.ok()?;
    let key = ControlRecordKey::parse(&record).ok()?;
    let value = EndTransactionMarker::parse(&record).ok()?;
    Some((key.record_type, value.coordinator_epoch))
}

/// Batches that a log remembers of each producer, to know a retry from a gap (KAFKA-5494).
const REMEMBERED: usize = 5;

/// More than a marker's records ever take, in bytes.
const MARKER_LEN: usize = 1024;
