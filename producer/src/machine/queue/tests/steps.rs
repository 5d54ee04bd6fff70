//! One step after the other.

use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use ottla_core::error::ErrorCode;
use ottla_core::types::{ProducerEpoch, ProducerId};
use ottla_protocol::records::{ProducerStamp, RecordBatch};

use super::super::*;
use crate::config::ProducerConfig;
use crate::machine::batch::Sealed;
use crate::machine::budget::ByteBudget;
use crate::machine::delivery::Delivery;
use crate::machine::identity::IdentityCell;
use crate::record::Record;

pub(super) fn terms(config: &ProducerConfig) -> Arc<Terms> {
    Arc::new(Terms::new(config))
}

pub(super) fn identity() -> IdentityCell {
    let cell = IdentityCell::new();
    cell.set(Identity {
        id: ProducerId::from_wire(9).unwrap(),
        epoch: ProducerEpoch::from_wire(0).unwrap(),
    });
    cell
}

#[expect(clippy::disallowed_methods, reason = "any instant will do, and there is no other")]
pub(super) fn start() -> Instant {
    Instant::now()
}

/// Appends a record as the accumulator does.
pub(super) fn append(
    queue: &mut PartitionQueue,
    record: &Record,
    timestamp: i64,
    now: Instant,
    effects: &mut Effects,
) -> Result<Appended, AppendFault> {
    let parts = record.parts();
    let bound = parts.len_bound();
    match queue.append_quietly(&parts, bound, timestamp, true) {
        Some(appended) => Ok(appended),
        None => queue.append(&parts, bound, timestamp, true, &mut None, || now, effects),
    }
}

/// One queue, with a clock and an identity.
pub(super) struct Fixture {
    pub(super) queue: PartitionQueue,
    identity: IdentityCell,
    pub(super) budget: Arc<ByteBudget>,
    pub(super) memory: isize,
    pub(super) now: Instant,
}

impl Fixture {
    pub(super) fn new(config: &ProducerConfig) -> Self {
        let terms = terms(config);
        let budget = Arc::clone(&terms.budget);
        Self {
            queue: PartitionQueue::new(terms, "t".into(), 0),
            identity: identity(),
            memory: budget.free(),
            budget,
            now: start(),
        }
    }

    /// A queue whose batches hold one record each, and which has proven its sequences.
    pub(super) fn proven() -> Self {
        let mut fixture = Self::new(&single());
        let first = fixture.append("first");
        let sending = fixture.send().unwrap();
        fixture.acknowledge(sending.attempt, 0);
        assert!(fixture.is_acknowledged(&first));
        fixture
    }

    pub(super) fn append(&mut self, value: &'static str) -> (Arc<BatchDone>, u32) {
        let (record, mut effects) = (Record::to("t").value(value), Effects::default());
        let appended = append(&mut self.queue, &record, 5, self.now, &mut effects).unwrap();
        self.run(effects);
        (appended.done.unwrap(), appended.index)
    }

    pub(super) fn run(&mut self, effects: Effects) {
        for finished in effects.finished {
            assert!(finished.done.resolve(finished.outcome), "told twice");
        }
        for id in effects.unsealed {
            if let Some(work) = self.queue.begin_seal(id) {
                self.seal(work);
            }
        }
    }

    /// Has a codec seal a batch.
    pub(super) fn seal(&mut self, work: SealWork) {
        let (id, sealed) = work.run(&Arc::clone(&self.queue.terms));
        self.finish_seal(id, sealed);
    }

    pub(super) fn finish_seal(&mut self, id: u64, sealed: Sealed) {
        let mut effects = Effects::default();
        self.queue.finish_seal(id, sealed, &mut effects);
        self.run(effects);
    }

    pub(super) fn next(&mut self) -> NextSend {
        let mut effects = Effects::default();
        let next = self.queue.next_send(self.now, &self.identity, 1 << 20, &mut effects);
        self.run(effects);
        next
    }

    pub(super) fn send(&mut self) -> Option<Sending> {
        match self.next() {
            NextSend::Batch(sending) => Some(sending),
            _ => None,
        }
    }

    pub(super) fn send_all(&mut self) -> Vec<Sending> {
        std::iter::from_fn(|| self.send()).collect()
    }

    pub(super) fn answer(&mut self, attempt: u64, answered: Answered) {
        let mut effects = Effects::default();
        self.queue.handle_answer(self.now, attempt, answered, 20, &mut effects);
        self.run(effects);
    }

    pub(super) fn acknowledge(&mut self, attempt: u64, base_offset: i64) {
        let base_offset = Some(base_offset);
        self.answer(attempt, Answered::Acknowledged { base_offset, log_append_time: None });
    }

    pub(super) fn retry(&mut self, attempt: u64, certainty: Certainty) {
        let trouble = Trouble::Code(ErrorCode::NotEnoughReplicas);
        self.answer(attempt, Answered::Retry { certainty, trouble });
    }

    pub(super) fn out_of_order(&mut self, attempt: u64) {
        let trouble = Trouble::Code(ErrorCode::OutOfOrderSequenceNumber);
        self.answer(attempt, Answered::OutOfOrder { trouble });
    }

    pub(super) fn refuse(&mut self, attempt: u64) {
        let certainty = Certainty::NotWritten;
        let error = SendError::Refused {
            partition: self.queue.place(),
            code: ErrorCode::TopicAuthorizationFailed,
            message: None,
            certainty,
        };
        let failure = BatchFailure { error, refused: Default::default(), body: None };
        self.answer(attempt, Answered::Refused { failure, certainty });
    }

    pub(super) fn expire(&mut self) {
        let mut effects = Effects::default();
        self.queue.expire(self.now, &mut effects);
        self.run(effects);
    }

    pub(super) fn move_leader(&mut self) {
        let mut effects = Effects::default();
        self.queue.handle_moved(&mut effects);
        self.run(effects);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now += time;
    }

    pub(super) fn is_acknowledged(&self, (done, index): &(Arc<BatchDone>, u32)) -> bool {
        matches!(result(done, *index), Some(Ok(_)))
    }

    pub(super) fn error(&self, (done, index): &(Arc<BatchDone>, u32)) -> Option<SendError> {
        result(done, *index)?.err().map(|undelivered| undelivered.error().clone())
    }
}

pub(super) fn result(
    done: &Arc<BatchDone>,
    index: u32,
) -> Option<Result<crate::RecordMetadata, crate::Undelivered>> {
    match Pin::new(&mut Delivery::new(Arc::clone(done), index, 0))
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

/// Settings with which each record is a batch of its own, sent at once.
pub(super) fn single() -> ProducerConfig {
    ProducerConfig { linger: Duration::ZERO, batch_size: 1, ..ProducerConfig::default() }
}

fn stamp(sending: &Sending) -> ProducerStamp {
    RecordBatch::parse(sending.bytes.clone()).unwrap().header().producer
}

pub(super) fn sequences(sendings: &[Sending]) -> Vec<(i16, i32)> {
    let stamps = sendings.iter().map(stamp);
    stamps.map(|stamp| (stamp.producer_epoch, stamp.base_sequence)).collect()
}

#[test]
fn records_wait_for_one_another_until_the_linger_is_over() {
    let mut fixture = Fixture::new(&ProducerConfig::default());
    fixture.append("a");
    fixture.append("b");
    assert!(fixture.send().is_none());
    fixture.pass(Duration::from_millis(5));
    let sending = fixture.send().unwrap();
    assert_eq!(RecordBatch::parse(sending.bytes).unwrap().header().record_count, 2);
}

#[test]
fn somebody_who_waits_ends_the_linger() {
    let mut fixture = Fixture::new(&ProducerConfig::default());
    fixture.append("a");
    let mut effects = Effects::default();
    fixture.queue.hurry(&mut effects);
    assert!(effects.ready && fixture.send().is_some());
}

#[test]
fn a_full_batch_does_not_linger() {
    let config = ProducerConfig { batch_size: 300, ..ProducerConfig::default() };
    let mut fixture = Fixture::new(&config);
    for _ in 0..10 {
        fixture.append("a value of some length, so that few of them fill it");
    }
    let sending = fixture.send().unwrap();
    let count = RecordBatch::parse(sending.bytes).unwrap().header().record_count;
    assert!((2..6).contains(&count), "{count}");
}

#[test]
fn short_memory_ends_the_linger() {
    let config = ProducerConfig { linger: Duration::from_secs(3_600), ..ProducerConfig::default() };
    let mut fixture = Fixture::new(&config);
    fixture.append("a");
    assert!(fixture.send().is_none());
    let waiting = fixture.budget.wait(64 << 20);
    assert!(fixture.send().is_some());
    drop(waiting);
}

#[test]
fn a_batch_moves_to_larger_buffers_as_it_grows() {
    let mut fixture = Fixture::new(&ProducerConfig::default());
    fixture.append("x");
    assert_eq!(fixture.memory - fixture.budget.free(), 1 << 10);
    for _ in 0..40 {
        fixture.append("a value of some length, so that forty of them need the next class");
    }
    assert_eq!(fixture.memory - fixture.budget.free(), 4 << 10);
}

#[test]
fn without_memory_a_record_is_not_taken_and_says_how_much_it_needs() {
    let config = ProducerConfig { buffer_memory: 5 << 10, ..ProducerConfig::default() };
    let mut fixture = Fixture::new(&config);
    let big = Record::to("t").value(vec![0; 3_000]);
    append(&mut fixture.queue, &big, 5, fixture.now, &mut Effects::default()).unwrap();
    let (parts, mut effects) = (big.parts(), Effects::default());
    let now = fixture.now;
    let bound = parts.len_bound();
    let taken = fixture.queue.append(&parts, bound, 0, true, &mut None, || now, &mut effects);
    assert_eq!(taken.unwrap_err(), AppendFault::NoRoom(4 << 10));
    assert!(effects.ready, "what is there must go, or there will never be room");
}

#[test]
fn one_batch_is_under_way_until_the_first_is_acknowledged_and_then_five() {
    let mut fixture = Fixture::new(&single());
    for value in ["a", "b", "c", "d", "e", "f", "g"] {
        fixture.append(value);
    }
    let first = fixture.send_all();
    assert_eq!(sequences(&first), [(0, 0)]);
    fixture.acknowledge(first[0].attempt, 0);
    assert_eq!(sequences(&fixture.send_all()), [(0, 1), (0, 2), (0, 3), (0, 4), (0, 5)]);
}

#[test]
fn without_idempotence_nothing_is_stamped_and_the_window_is_open_at_once() {
    let config = ProducerConfig { enable_idempotence: false, ..single() };
    let mut fixture = Fixture::new(&config);
    fixture.append("a");
    fixture.append("b");
    assert_eq!(sequences(&fixture.send_all()), [(-1, -1), (-1, -1)]);
}

#[test]
fn nothing_idempotent_is_sent_without_a_producer_id() {
    let mut fixture = Fixture::new(&single());
    fixture.identity = IdentityCell::new();
    fixture.append("a");
    assert!(matches!(fixture.next(), NextSend::NoIdentity));
}

#[test]
fn a_failed_batch_goes_again_in_order_once_all_is_answered() {
    let mut fixture = Fixture::proven();
    for value in ["a", "b", "c"] {
        fixture.append(value);
    }
    let sent = fixture.send_all();
    fixture.retry(sent[0].attempt, Certainty::NotWritten);
    fixture.pass(Duration::from_secs(1));
    assert!(fixture.send().is_none(), "b and c are not answered");
    fixture.out_of_order(sent[1].attempt);
    fixture.out_of_order(sent[2].attempt);
    fixture.pass(Duration::from_secs(1));
    let again = fixture.send_all();
    assert_eq!(sequences(&again), [(0, 1), (0, 2), (0, 3)]);
    for (before, after) in sent.iter().zip(&again) {
        assert_eq!(before.bytes, after.bytes, "byte for byte");
    }
}

#[test]
fn a_retry_waits_for_its_backoff() {
    let mut fixture = Fixture::proven();
    fixture.append("a");
    let sent = fixture.send().unwrap();
    fixture.retry(sent.attempt, Certainty::NotWritten);
    let expected = fixture.now + Duration::from_millis(100);
    assert!(matches!(fixture.next(), NextSend::NotBefore(at) if at == expected));
}

#[test]
fn a_refused_batch_leaves_a_gap_and_what_follows_begins_a_new_epoch() {
    let mut fixture = Fixture::proven();
    let (a, b) = (fixture.append("a"), fixture.append("b"));
    let sent = fixture.send_all();
    fixture.refuse(sent[0].attempt);
    assert_eq!(fixture.error(&a).unwrap().certainty(), Certainty::NotWritten);
    fixture.out_of_order(sent[1].attempt);
    fixture.pass(Duration::from_secs(1));
    let again = fixture.send_all();
    assert_eq!(sequences(&again), [(1, 0)]);
    fixture.acknowledge(again[0].attempt, 1);
    assert!(fixture.is_acknowledged(&b));
}

#[test]
fn nothing_new_is_stamped_before_a_gap_is_closed() {
    let mut fixture = Fixture::proven();
    fixture.append("a");
    fixture.append("b");
    let sent = fixture.send_all();
    fixture.append("c");
    fixture.refuse(sent[0].attempt);
    assert!(fixture.send().is_none(), "b is not answered");
    fixture.out_of_order(sent[1].attempt);
    fixture.pass(Duration::from_secs(1));
    assert_eq!(sequences(&fixture.send_all()), [(1, 0)]);
}

#[test]
fn out_of_order_at_the_oldest_batch_is_a_gap_and_elsewhere_it_is_not() {
    let mut fixture = Fixture::proven();
    fixture.append("a");
    fixture.append("b");
    let sent = fixture.send_all();
    fixture.retry(sent[0].attempt, Certainty::NotWritten);
    fixture.out_of_order(sent[1].attempt);
    fixture.pass(Duration::from_secs(1));
    let again = fixture.send_all();
    assert_eq!(sequences(&again), [(0, 1), (0, 2)], "b was early");
    fixture.out_of_order(again[0].attempt);
    fixture.out_of_order(again[1].attempt);
    fixture.pass(Duration::from_secs(1));
    let restarted = fixture.send().unwrap();
    assert_eq!(sequences(&[restarted]), [(1, 0)], "a was next");
}

#[test]
fn a_batch_that_expires_under_way_is_possibly_written_and_its_sequence_spent() {
    let mut fixture = Fixture::proven();
    let a = fixture.append("a");
    let sent = fixture.send().unwrap();
    fixture.pass(Duration::from_secs(120));
    fixture.expire();
    assert_eq!(fixture.error(&a).unwrap().certainty(), Certainty::PossiblyWritten);
    fixture.retry(sent.attempt, Certainty::PossiblyWritten);
    fixture.append("b");
    fixture.pass(Duration::from_secs(1));
    assert_eq!(sequences(&fixture.send_all()), [(1, 0)]);
}

#[test]
fn trouble_that_is_over_is_not_told_of_a_later_batch() {
    let mut fixture = Fixture::proven();
    fixture.append("a");
    let sent = fixture.send().unwrap();
    fixture.retry(sent.attempt, Certainty::NotWritten);
    fixture.pass(Duration::from_secs(1));
    let again = fixture.send().unwrap();
    fixture.acknowledge(again.attempt, 1);
    let b = fixture.append("b");
    fixture.pass(Duration::from_secs(120));
    fixture.expire();
    let error = fixture.error(&b);
    assert!(matches!(error, Some(SendError::DeliveryTimeout { last: None, .. })), "{error:?}");
}

#[test]
fn an_expired_batch_that_turns_out_to_be_written_leaves_no_gap() {
    let mut fixture = Fixture::proven();
    fixture.append("a");
    let sent = fixture.send().unwrap();
    fixture.pass(Duration::from_secs(120));
    fixture.expire();
    fixture.append("b");
    fixture.acknowledge(sent.attempt, 1);
    assert_eq!(sequences(&fixture.send_all()), [(0, 2)]);
}

#[test]
fn a_batch_that_may_be_written_is_asked_for_before_a_new_epoch_begins() {
    let mut fixture = Fixture::proven();
    fixture.append("a");
    fixture.pass(Duration::from_secs(59));
    let b = fixture.append("b");
    let sent = fixture.send_all();
    fixture.retry(sent[0].attempt, Certainty::PossiblyWritten);
    fixture.retry(sent[1].attempt, Certainty::PossiblyWritten);
    fixture.pass(Duration::from_secs(61));
    fixture.expire();
    let probe = fixture.send_all();
    assert_eq!(sequences(&probe), [(0, 2)], "b as it was");
    fixture.acknowledge(probe[0].attempt, 2);
    assert!(fixture.is_acknowledged(&b));
    fixture.append("c");
    assert_eq!(sequences(&fixture.send_all()), [(0, 3)], "a was written after all");
}

#[test]
fn no_sixth_batch_is_sent_while_the_first_is_not_settled() {
    let mut fixture = Fixture::proven();
    for value in ["a", "b", "c", "d", "e", "f"] {
        fixture.append(value);
    }
    let sent = fixture.send_all();
    fixture.retry(sent[0].attempt, Certainty::PossiblyWritten);
    for (offset, later) in (2..).zip(&sent[1..]) {
        fixture.acknowledge(later.attempt, offset);
    }
    fixture.pass(Duration::from_secs(1));
    let again = fixture.send_all();
    assert_eq!(sequences(&again), [(0, 1)], "the leader knows it again only among the last five");
    fixture.acknowledge(again[0].attempt, 1);
    assert_eq!(sequences(&fixture.send_all()), [(0, 6)]);
}

#[test]
fn a_batch_that_a_later_one_proves_written_cannot_fail_any_more() {
    let mut fixture = Fixture::proven();
    let a = fixture.append("a");
    fixture.append("b");
    let sent = fixture.send_all();
    fixture.retry(sent[0].attempt, Certainty::PossiblyWritten);
    fixture.acknowledge(sent[1].attempt, 2);
    fixture.pass(Duration::from_secs(120));
    fixture.expire();
    assert!(fixture.is_acknowledged(&a));
    fixture.append("c");
    assert_eq!(sequences(&fixture.send_all()), [(0, 3)], "there is no gap");
}

#[test]
fn a_batch_that_expires_unsent_is_not_written() {
    let mut fixture = Fixture::new(&single());
    fixture.identity = IdentityCell::new();
    let a = fixture.append("a");
    fixture.pass(Duration::from_secs(120));
    fixture.expire();
    assert_eq!(fixture.error(&a).unwrap().certainty(), Certainty::NotWritten);
    assert_eq!(fixture.budget.free(), fixture.memory);
}

#[test]
fn a_batch_under_way_goes_to_the_new_leader_as_it_is_and_a_late_answer_changes_nothing() {
    let mut fixture = Fixture::proven();
    let a = fixture.append("a");
    let old = fixture.send().unwrap();
    fixture.move_leader();
    let new = fixture.send().unwrap();
    assert_eq!(old.bytes, new.bytes);
    fixture.refuse(old.attempt);
    assert!(fixture.error(&a).is_none());
    fixture.acknowledge(new.attempt, 1);
    assert!(fixture.is_acknowledged(&a));
    fixture.acknowledge(old.attempt, 1);
}

#[test]
fn without_idempotence_a_batch_under_way_is_left_with_the_old_leader() {
    let mut fixture = Fixture::new(&ProducerConfig { enable_idempotence: false, ..single() });
    let a = fixture.append("a");
    let old = fixture.send().unwrap();
    fixture.move_leader();
    assert!(fixture.send().is_none());
    fixture.acknowledge(old.attempt, 0);
    assert!(fixture.is_acknowledged(&a));
}

#[test]
fn a_batch_that_is_too_large_is_halved_until_it_fits() {
    let config = ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() };
    let mut fixture = Fixture::new(&config);
    let records = ["a", "b", "c"].map(|value| fixture.append(value));
    let whole = fixture.send().unwrap();
    fixture.answer(whole.attempt, Answered::TooLarge);
    let mut offset = 0;
    while let Some(sending) = fixture.send() {
        let count = RecordBatch::parse(sending.bytes.clone()).unwrap().header().record_count;
        if count > 1 {
            fixture.answer(sending.attempt, Answered::TooLarge);
        } else {
            fixture.acknowledge(sending.attempt, offset);
            offset += 1;
        }
    }
    let offsets = records.map(|(done, index)| result(&done, index).unwrap().unwrap().offset);
    assert_eq!(offsets.map(|offset| offset.known()), [Some(0), Some(1), Some(2)]);
}

#[test]
fn a_single_record_that_is_too_large_for_the_topic_fails_alone() {
    let mut fixture = Fixture::proven();
    let (a, b) = (fixture.append("a"), fixture.append("b"));
    let sent = fixture.send().unwrap();
    fixture.answer(sent.attempt, Answered::TooLarge);
    assert!(matches!(fixture.error(&a), Some(SendError::TooLargeForTopic { .. })));
    let next = fixture.send().unwrap();
    assert_eq!(sequences(std::slice::from_ref(&next)), [(1, 0)]);
    fixture.acknowledge(next.attempt, 1);
    assert!(fixture.is_acknowledged(&b));
}

#[test]
fn a_record_that_failed_comes_back_as_it_was() {
    let mut fixture = Fixture::new(&single());
    let (done, index) = fixture.append("precious");
    fixture.pass(Duration::from_secs(120));
    fixture.expire();
    let record = result(&done, index).unwrap().unwrap_err().into_record().unwrap();
    assert_eq!(record, Record::to("t").partition(0).timestamp(5).value("precious"));
}

#[test]
fn closing_fails_what_is_left_by_what_is_known_of_it() {
    let mut fixture = Fixture::proven();
    let a = fixture.append("a");
    let sent = fixture.send().unwrap();
    let b = fixture.append("b");
    let mut effects = Effects::default();
    fixture.queue.fail_all(&mut effects, |queue, batch| SendError::ClosedBeforeDelivery {
        partition: queue.place(),
        certainty: batch.left_open(),
    });
    fixture.run(effects);
    assert_eq!(fixture.error(&a).unwrap().certainty(), Certainty::PossiblyWritten);
    assert_eq!(fixture.error(&b).unwrap().certainty(), Certainty::NotWritten);
    drop(sent);
    assert!(fixture.queue.is_empty());
    assert_eq!(fixture.budget.free(), fixture.memory);
}

#[test]
fn settings_without_end_do_not_overflow() {
    let config = ProducerConfig {
        linger: Duration::MAX,
        delivery_timeout: Duration::MAX,
        retry_backoff: Duration::MAX,
        retry_backoff_max: Duration::MAX,
        ..ProducerConfig::default()
    };
    let mut fixture = Fixture::new(&config);
    fixture.append("a");
    let mut effects = Effects::default();
    fixture.queue.hurry(&mut effects);
    let sent = fixture.send().unwrap();
    fixture.retry(sent.attempt, Certainty::NotWritten);
    assert!(matches!(fixture.next(), NextSend::NotBefore(_)));
}
