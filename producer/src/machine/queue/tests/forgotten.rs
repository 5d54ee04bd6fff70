//! Leaders that have forgotten, and batches of which it is not known whether they have them.

use std::time::Duration;

use ottla_core::error::ErrorCode;

use super::super::*;
use super::steps::{Fixture, identity, sequences, single};
use crate::config::ProducerConfig;
use crate::error::AbortCause;

#[test]
fn a_batch_that_another_has_overtaken_fails_and_is_not_written_behind_it() {
    let mut fixture = Fixture::proven();
    let (a, b) = (fixture.append("a"), fixture.append("b"));
    let sent = fixture.send_all();
    fixture.retry(sent[0].attempt, Certainty::NotWritten);
    // A leader that knew the producer would have found this out of order.
    fixture.acknowledge(sent[1].attempt, 0);
    assert!(fixture.is_acknowledged(&b));
    let error = fixture.error(&a).unwrap();
    assert_eq!(error.code(), Some(ErrorCode::OutOfOrderSequenceNumber));
    assert_eq!(error.certainty(), Certainty::NotWritten);
    fixture.append("c");
    fixture.pass(Duration::from_secs(1));
    assert_eq!(sequences(&fixture.send_all()), [(1, 0)]);
}

#[test]
fn one_batch_goes_alone_to_a_leader_that_may_know_nothing_of_the_producer() {
    let forget: [fn(&mut Fixture); 3] = [
        Fixture::move_leader,
        |fixture| fixture.queue.doubt_leader(),
        |fixture| fixture.pass(Duration::from_secs(60)),
    ];
    for forget in forget {
        let mut fixture = Fixture::proven();
        forget(&mut fixture);
        for value in ["a", "b", "c"] {
            fixture.append(value);
        }
        let first = fixture.send_all();
        assert_eq!(sequences(&first), [(0, 1)]);
        fixture.acknowledge(first[0].attempt, 1);
        assert_eq!(sequences(&fixture.send_all()), [(0, 2), (0, 3)]);
    }
}

#[test]
fn what_follows_a_split_batch_does_not_keep_its_parts_waiting() {
    let config = ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() };
    let mut fixture = Fixture::new(&config);
    fixture.append("first");
    let first = fixture.send().unwrap();
    fixture.acknowledge(first.attempt, 0);
    let records = ["a", "b"].map(|value| fixture.append(value));
    let whole = fixture.send().unwrap();
    let c = fixture.append("c");
    let behind = fixture.send().unwrap();
    fixture.answer(whole.attempt, Answered::TooLarge);
    fixture.retry(behind.attempt, Certainty::PossiblyWritten);
    fixture.pass(Duration::from_secs(1));
    let asked = fixture.send_all();
    assert_eq!(sequences(&asked), [(0, 3)], "whether it is written, the answer tells");
    fixture.out_of_order(asked[0].attempt);
    let mut offset = 1;
    for _ in 0..3 {
        fixture.pass(Duration::from_secs(1));
        for sending in fixture.send_all() {
            fixture.acknowledge(sending.attempt, offset);
            offset += 1;
        }
    }
    assert!(records.iter().chain([&c]).all(|record| fixture.is_acknowledged(record)));
}

#[test]
fn a_batch_that_is_open_goes_once_a_gap_is_closed() {
    let config = ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() };
    let mut fixture = Fixture::new(&config);
    fixture.append("first");
    let first = fixture.send().unwrap();
    fixture.acknowledge(first.attempt, 0);
    fixture.append("a");
    let sent = fixture.send().unwrap();
    fixture.refuse(sent.attempt);
    assert!(fixture.send().is_none(), "and no identity is asked for while nothing needs one");
    fixture.append("b");
    assert_eq!(sequences(&fixture.send_all()), [(1, 0)]);
}

#[test]
fn what_came_while_a_refused_batch_was_under_way_goes_by_itself() {
    let config = ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() };
    let mut fixture = Fixture::new(&config);
    fixture.append("a");
    let sent = fixture.send().unwrap();
    let b = fixture.append("b");
    fixture.refuse(sent.attempt);
    let next = fixture.send().expect("nobody will look again");
    assert_eq!(sequences(std::slice::from_ref(&next)), [(1, 0)]);
    fixture.acknowledge(next.attempt, 0);
    assert!(fixture.is_acknowledged(&b));
}

#[test]
fn an_answer_of_the_former_topic_says_nothing_about_the_new_one() {
    let mut fixture = Fixture::proven();
    let sent = [fixture.append("a"), fixture.append("b")].map(|_| fixture.send().unwrap());
    fixture.queue.doubt_leader();
    fixture.acknowledge(sent[0].attempt, 1);
    fixture.retry(sent[1].attempt, Certainty::NotWritten);
    fixture.append("c");
    fixture.pass(Duration::from_secs(1));
    assert_eq!(sequences(&fixture.send_all()), [(0, 2)], "b goes alone");
}

#[test]
fn a_batch_that_is_too_large_may_be_written_by_an_attempt_before() {
    let mut fixture = Fixture::proven();
    let a = fixture.append("a");
    let sent = fixture.send().unwrap();
    fixture.retry(sent.attempt, Certainty::PossiblyWritten);
    fixture.pass(Duration::from_secs(1));
    let again = fixture.send().unwrap();
    fixture.answer(again.attempt, Answered::TooLarge);
    let error = fixture.error(&a).unwrap();
    assert_eq!(error.code(), Some(ErrorCode::MessageTooLarge));
    assert_eq!(error.certainty(), Certainty::PossiblyWritten);
}

#[test]
fn a_record_is_not_said_to_be_refused_where_an_attempt_before_may_have_written_it() {
    let mut fixture = Fixture::new(&single());
    let a = fixture.append("a");
    let sent = fixture.send().unwrap();
    fixture.retry(sent.attempt, Certainty::PossiblyWritten);
    fixture.pass(Duration::from_secs(1));
    let again = fixture.send().unwrap();
    let (partition, code) = (fixture.queue.place(), ErrorCode::InvalidRecord);
    let certainty = Certainty::NotWritten;
    let error = SendError::Refused { partition, code, message: None, certainty };
    let failure = BatchFailure { error, refused: [(0, None)].into(), body: None };
    fixture.answer(again.attempt, Answered::Refused { failure, certainty });
    assert_eq!(fixture.error(&a).unwrap().certainty(), Certainty::PossiblyWritten);
}

#[test]
fn a_batch_that_is_too_large_is_given_up_with_its_transaction() {
    let transactional_id = Some("billing".into());
    let config =
        ProducerConfig { linger: Duration::ZERO, transactional_id, ..ProducerConfig::default() };
    let mut fixture = Fixture::new(&config);
    fixture.queue.admit(identity().current().unwrap(), &mut Effects::default());
    fixture.append("first");
    let first = fixture.send().unwrap();
    fixture.acknowledge(first.attempt, 0);
    fixture.append("a");
    let a = fixture.send().unwrap();
    let b = ["b", "c"].map(|value| fixture.append(value));
    let both = fixture.send().unwrap();
    fixture.refuse(a.attempt);
    let (why, mut effects) = (Arc::new(AbortCause::GivenUp), Effects::default());
    fixture.queue.abandon(&Abandonment::Aborted(why), &mut effects);
    fixture.run(effects);
    fixture.answer(both.attempt, Answered::TooLarge);
    assert!(fixture.queue.is_empty(), "nobody would give its parts up");
    for record in b {
        let error = fixture.error(&record).unwrap();
        assert!(matches!(error, SendError::TransactionAborted { .. }), "{error}");
        assert_eq!(error.certainty(), Certainty::NotWritten);
    }
}
