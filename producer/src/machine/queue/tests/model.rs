//! Random sends, answers, errors, disconnects, moves and expiries, against a broker of fifty lines.

use std::collections::{BTreeMap, VecDeque};

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Buf;
use ottla_core::error::ErrorCode;
use ottla_protocol::compression::{Codec, Compression};
use ottla_protocol::records::{BatchDecoder, ProducerStamp, RecordBatch};

use super::super::*;
use super::steps::{append, identity, start, terms};
use crate::config::ProducerConfig;
use crate::machine::delivery::Delivery;
use crate::machine::delivery::Outcome;
use crate::machine::identity::IdentityCell;
use crate::record::Record;

/// xorshift: the same seed, the same run.
struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.draw().is_multiple_of(n)
    }
}

/// A partition's log, with the rules by which Kafka accepts batches (`ProducerAppendInfo`).
#[derive(Default)]
struct Log {
    values: Vec<u64>,
    epoch: Option<i16>,
    last_sequence: i32,
    /// The last five batches: first and last sequence, offset.
    recent: VecDeque<(i32, i32, i64)>,
}

impl Log {
    fn append(&mut self, batch: &RecordBatch) -> Result<i64, ErrorCode> {
        let ProducerStamp { producer_epoch, base_sequence, .. } = batch.header().producer;
        let last = base_sequence + batch.header().last_offset_delta;
        if self.epoch == Some(producer_epoch) {
            let known = self.recent.iter().find(|(a, b, _)| (*a, *b) == (base_sequence, last));
            if let Some((_, _, offset)) = known {
                return Ok(*offset);
            }
            if base_sequence != self.last_sequence + 1 {
                return Err(ErrorCode::OutOfOrderSequenceNumber);
            }
        } else if self.epoch.is_some_and(|epoch| producer_epoch < epoch) {
            return Err(ErrorCode::InvalidProducerEpoch);
        } else if self.epoch.is_some() && base_sequence != 0 {
            return Err(ErrorCode::OutOfOrderSequenceNumber);
        } else {
            self.recent.clear();
        }
        self.epoch = Some(producer_epoch);
        self.last_sequence = last;
        let offset = i64::try_from(self.values.len()).unwrap();
        self.recent.push_back((base_sequence, last, offset));
        if self.recent.len() > 5 {
            self.recent.pop_front();
        }
        self.values.extend(values(batch));
        Ok(offset)
    }
}

fn values(batch: &RecordBatch) -> Vec<u64> {
    let mut decoder = BatchDecoder::new(1 << 20);
    let records = decoder.owned_records(batch).unwrap();
    records.map(|record| record.unwrap().value().unwrap().get_u64()).collect()
}

struct Run {
    random: Random,
    queue: PartitionQueue,
    identity: IdentityCell,
    now: Instant,
    log: Log,
    wire: VecDeque<Sending>,
    /// Answers of a leader that is one no more, still to come.
    late: Vec<u64>,
    handles: Vec<(Arc<BatchDone>, u32)>,
    /// What each sequence was used for.
    stamped: BTreeMap<(i16, i32), Vec<u64>>,
    told: usize,
}

impl Run {
    fn new(seed: u64, config: &ProducerConfig) -> Self {
        Self {
            random: Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1),
            queue: PartitionQueue::new(terms(config), "t".into(), 0),
            identity: identity(),
            now: start(),
            log: Log::default(),
            wire: VecDeque::new(),
            late: Vec::new(),
            handles: Vec::new(),
            stamped: BTreeMap::new(),
            told: 0,
        }
    }

    fn step(&mut self) {
        match self.random.draw() % 20 {
            0..7 => self.append(),
            7..12 => self.send(),
            12..17 => self.answer(),
            17 => self.pass(),
            18 if self.random.one_in(3) => self.disconnect(),
            19 if self.random.one_in(3) => self.move_leader(),
            _ => self.late_answer(),
        }
    }

    fn append(&mut self) {
        let counter = u64::try_from(self.handles.len()).unwrap();
        let record = Record::to("t").value(counter.to_be_bytes().to_vec());
        let mut effects = Effects::default();
        let taken = append(&mut self.queue, &record, 0, self.now, &mut effects);
        if let Ok(Appended { index, done }) = taken {
            self.handles.push((done.unwrap(), index));
        }
        self.run(effects);
    }

    fn send(&mut self) {
        let mut effects = Effects::default();
        let next = self.queue.next_send(self.now, &self.identity, 1 << 20, &mut effects);
        self.run(effects);
        let NextSend::Batch(sending) = next else { return };
        let batch = RecordBatch::parse(sending.bytes.clone()).unwrap();
        batch.verify_crc().unwrap();
        let stamp = batch.header().producer;
        let values = values(&batch);
        for (sequence, value) in (stamp.base_sequence..).zip(values) {
            let used = self.stamped.entry((stamp.producer_epoch, sequence)).or_default();
            if !used.contains(&value) {
                used.push(value);
            }
        }
        self.wire.push_back(sending);
    }

    fn answer(&mut self) {
        let Some(sending) = self.wire.pop_front() else { return };
        let batch = RecordBatch::parse(sending.bytes.clone()).unwrap();
        let count = batch.header().record_count;
        let retry = |certainty| Answered::Retry { certainty, trouble: Trouble::NoLeader };
        let answered = match self.random.draw() % 16 {
            0 => retry(Certainty::NotWritten),
            1 => match self.log.append(&batch) {
                Ok(_) => retry(Certainty::PossiblyWritten),
                Err(code) => verdict(code),
            },
            2 if count > 2 && !self.has(&batch) => Answered::TooLarge,
            3 if self.random.one_in(4) && !self.has(&batch) => refused(Certainty::NotWritten),
            _ => match self.log.append(&batch) {
                Ok(offset) => {
                    Answered::Acknowledged { base_offset: Some(offset), log_append_time: None }
                }
                Err(code) => verdict(code),
            },
        };
        self.tell(sending.attempt, answered);
    }

    /// Whether the log has these records: a broker does not refuse what it has.
    fn has(&self, batch: &RecordBatch) -> bool {
        values(batch).iter().any(|value| self.log.values.contains(value))
    }

    fn tell(&mut self, attempt: u64, answered: Answered) {
        let (random, mut effects) = (self.random.draw(), Effects::default());
        self.queue.handle_answer(self.now, attempt, answered, random, &mut effects);
        self.run(effects);
    }

    /// Some of what is under way is processed, in order, but no answer comes.
    fn lose_wire(&mut self) -> Vec<u64> {
        let processed = self.random.draw() % 6;
        let lost: Vec<Sending> = self.wire.drain(..).collect();
        for sending in lost.iter().take(usize::try_from(processed).unwrap()) {
            let batch = RecordBatch::parse(sending.bytes.clone()).unwrap();
            let _unanswered = self.log.append(&batch);
        }
        lost.into_iter().map(|sending| sending.attempt).collect()
    }

    fn disconnect(&mut self) {
        for attempt in self.lose_wire() {
            let certainty = Certainty::PossiblyWritten;
            self.tell(attempt, Answered::Retry { certainty, trouble: Trouble::NoLeader });
        }
    }

    fn move_leader(&mut self) {
        let mut lost = self.lose_wire();
        self.late.append(&mut lost);
        let mut effects = Effects::default();
        self.queue.handle_moved(&mut effects);
        self.run(effects);
    }

    fn late_answer(&mut self) {
        if let Some(attempt) = self.late.pop() {
            let (trouble, certainty) = (Trouble::NoLeader, Certainty::PossiblyWritten);
            self.tell(attempt, Answered::Retry { certainty, trouble });
        }
    }

    fn pass(&mut self) {
        let most = if self.random.one_in(8) { 2_500 } else { 40 };
        self.now += Duration::from_millis(self.random.draw() % most);
        let mut effects = Effects::default();
        self.queue.expire(self.now, &mut effects);
        self.run(effects);
    }

    fn run(&mut self, effects: Effects) {
        for finished in effects.finished {
            if !matches!(finished.outcome, Outcome::Split(_)) {
                self.told += usize::try_from(finished.records).unwrap();
            }
            assert!(finished.done.resolve(finished.outcome), "told twice");
        }
        for id in effects.unsealed {
            let Some(work) = self.queue.begin_seal(id) else { continue };
            let (id, sealed) = work.run(&Arc::clone(&self.queue.terms));
            let mut effects = Effects::default();
            self.queue.finish_seal(id, sealed, &mut effects);
            self.run(effects);
        }
    }

    /// Lets all that is left be answered without trouble.
    fn drain(&mut self) {
        for _ in 0..10_000 {
            self.now += Duration::from_millis(1);
            let mut effects = Effects::default();
            self.queue.hurry(&mut effects);
            self.queue.expire(self.now, &mut effects);
            self.run(effects);
            self.send();
            while let Some(sending) = self.wire.pop_front() {
                let batch = RecordBatch::parse(sending.bytes.clone()).unwrap();
                let answered = match self.log.append(&batch) {
                    Ok(offset) => {
                        Answered::Acknowledged { base_offset: Some(offset), log_append_time: None }
                    }
                    Err(code) => verdict(code),
                };
                self.tell(sending.attempt, answered);
            }
            if self.queue.is_empty() {
                return;
            }
        }
        panic!("never empty: {:?}", self.queue);
    }

    fn check(&self) {
        assert_eq!(self.told, self.handles.len(), "every record has one outcome");
        let ascending = self.log.values.is_sorted_by(|a, b| a < b);
        assert!(ascending, "duplicated or reordered: {:?}", self.log.values);
        for (stamp, used) in &self.stamped {
            assert_eq!(used.len(), 1, "{stamp:?} was used for {used:?}");
        }
        self.check_contiguous();
        for (counter, (done, index)) in self.handles.iter().enumerate() {
            self.check_record(u64::try_from(counter).unwrap(), done, *index);
        }
        let terms = &self.queue.terms;
        let memory = isize::try_from(ProducerConfig::default().buffer_memory).unwrap();
        assert_eq!(terms.budget.free(), memory, "all memory comes back");
    }

    fn check_contiguous(&self) {
        let mut next: BTreeMap<i16, i32> = BTreeMap::new();
        for (epoch, sequence) in self.stamped.keys() {
            let expected = next.entry(*epoch).or_default();
            assert_eq!(sequence, expected, "epoch {epoch}");
            *expected += 1;
        }
    }

    fn check_record(&self, counter: u64, done: &Arc<BatchDone>, index: u32) {
        let place = self.log.values.iter().position(|value| *value == counter);
        match Pin::new(&mut Delivery::new(Arc::clone(done), index, 0))
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Pending => panic!("{counter} has no outcome"),
            Poll::Ready(Ok(metadata)) => {
                let offset = metadata.offset.known().and_then(|it| usize::try_from(it).ok());
                assert!(place.is_some(), "{counter} was acknowledged");
                assert!(offset.is_none() || offset == place, "{counter} is at {offset:?}");
            }
            Poll::Ready(Err(undelivered)) => {
                if undelivered.error().certainty() == Certainty::NotWritten {
                    assert_eq!(place, None, "{counter}: {undelivered}");
                }
                let value = undelivered.record().unwrap().value_bytes().unwrap().clone();
                assert_eq!(value.as_ref().get_u64(), counter);
            }
        }
    }
}

fn verdict(code: ErrorCode) -> Answered {
    let trouble = Trouble::Code(code);
    match code {
        ErrorCode::OutOfOrderSequenceNumber => Answered::OutOfOrder { trouble },
        _ => refused(Certainty::NotWritten),
    }
}

fn refused(certainty: Certainty) -> Answered {
    let error = SendError::Refused {
        partition: TopicPartition::new("t", 0),
        code: ErrorCode::InvalidRecord,
        message: None,
        certainty,
    };
    Answered::Refused {
        failure: BatchFailure { error, refused: BTreeMap::new(), body: None },
        certainty,
    }
}

#[track_caller]
fn check(seeds: std::ops::Range<u64>, config: &ProducerConfig) {
    for seed in seeds {
        let mut run = Run::new(seed, config);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..300 {
                run.step();
            }
            run.drain();
            run.check();
        }));
        assert!(outcome.is_ok(), "seed {seed}");
    }
}

fn config() -> ProducerConfig {
    ProducerConfig {
        linger: Duration::from_millis(5),
        batch_size: 200,
        delivery_timeout: Duration::from_secs(2),
        retry_backoff: Duration::from_millis(10),
        retry_backoff_max: Duration::from_millis(20),
        ..ProducerConfig::default()
    }
}

#[test]
fn whatever_happens_nothing_is_lost_doubled_or_reordered() {
    check(0..1_000, &config());
}

#[test]
fn nor_with_a_codec() {
    let codec = Codec::new(Compression::Lz4);
    check(0..200, &ProducerConfig { compression: codec, ..config() });
}

#[test]
fn an_append_that_nothing_follows_from_is_like_any() {
    let config = ProducerConfig { batch_size: 2_000, ..ProducerConfig::default() };
    let mut quiet_ones = 0;
    for seed in 1..=50 {
        let mut random = Random(seed);
        let now = start();
        let [mut usual, mut quiet] =
            [(); 2].map(|()| PartitionQueue::new(terms(&config), "t".into(), 0));
        for _ in 0..100 {
            let len = if random.one_in(20) { 3_000 } else { random.draw() % 400 };
            let value = vec![b'v'; usize::try_from(len).unwrap()];
            let record = Record::to("t").value(value);
            let (parts, mut told) = (record.parts(), Effects::default());
            let bound = parts.len_bound();
            let expected = usual.append(&parts, bound, 7, true, &mut None, || now, &mut told);
            let expected = expected.unwrap().index;
            let appended = match quiet.append_quietly(&parts, bound, 7, true) {
                Some(appended) => {
                    quiet_ones += 1;
                    assert_eq!(follows(&told), follows(&Effects::default()), "seed {seed}");
                    appended
                }
                None => {
                    let mut also = Effects::default();
                    let appended =
                        quiet.append(&parts, bound, 7, true, &mut None, || now, &mut also);
                    assert_eq!(follows(&told), follows(&also), "seed {seed}");
                    appended.unwrap()
                }
            };
            assert_eq!(appended.index, expected, "seed {seed}");
        }
        assert_eq!(sent(&mut usual, now), sent(&mut quiet, now), "seed {seed}");
    }
    assert!(quiet_ones > 2_000, "{quiet_ones}");
}

fn follows(effects: &Effects) -> (Option<u64>, bool, usize, usize) {
    let opened = effects.opened.map(|(id, _)| id);
    (opened, effects.ready, effects.sealed_bytes, effects.unsealed.len())
}

/// The bytes of all batches, each acknowledged before the next is sent.
fn sent(queue: &mut PartitionQueue, now: Instant) -> Vec<Bytes> {
    let (identity, mut effects) = (identity(), Effects::default());
    queue.hurry(&mut effects);
    let mut sent = Vec::new();
    while let NextSend::Batch(sending) = queue.next_send(now, &identity, 1 << 20, &mut effects) {
        let answered = Answered::Acknowledged { base_offset: Some(0), log_append_time: None };
        queue.handle_answer(now, sending.attempt, answered, 20, &mut effects);
        sent.push(sending.bytes);
    }
    assert!(queue.is_empty() && !sent.is_empty());
    sent
}
