//! The checker must be able to say no, and must not say it of honest histories.

use ottla_core::error::Certainty;

use super::*;
use crate::history::Commit;

#[test]
fn an_honest_history_is_accepted() {
    check_that(&[sent(0), acked(0, 0), sent(1), acked(1, 1)], &[0, 1], &[]);
}

#[test]
fn a_lost_record_is_found() {
    check_that(&[sent(0), acked(0, 0)], &[], &["S1"]);
}

#[test]
fn a_duplicate_is_found() {
    check_that(&[sent(0), acked(0, 0)], &[0, 0], &["S2"]);
}

#[test]
fn a_reordering_is_found() {
    check_that(&[sent(0), sent(1), acked(1, 0), acked(0, 1)], &[1, 0], &["S3"]);
}

#[test]
fn a_failure_that_was_written_is_found() {
    check_that(&[sent(0), failed(0, Certainty::NotWritten)], &[0], &["S4"]);
    check_that(&[sent(0), failed(0, Certainty::PossiblyWritten)], &[0], &[]);
}

#[test]
fn a_record_in_the_wrong_partition_is_found() {
    let logs = BTreeMap::from([(1, log(&[0]))]);
    let found = check(&history(&[sent(0), failed(0, MAYBE)]), &logs, DEADLINE);
    assert_eq!(names(&found), ["S6"]);
}

#[test]
fn a_record_without_outcome_is_found() {
    check_that(&[sent(0)], &[], &["A1"]);
}

#[test]
fn a_record_with_two_outcomes_is_found() {
    check_that(&[sent(0), acked(0, 0), failed(0, MAYBE)], &[0], &["A1"]);
}

#[test]
fn a_record_that_was_withdrawn_is_not_there() {
    check_that(&[sent(0), Event::Withdrawn(stamp(0))], &[], &[]);
    check_that(&[sent(0), Event::Withdrawn(stamp(0))], &[0], &["S4"]);
}

#[test]
fn what_becomes_of_an_abandoned_record_is_open() {
    check_that(&[sent(0), Event::Abandoned(stamp(0))], &[], &[]);
    check_that(&[sent(0), Event::Abandoned(stamp(0))], &[0], &[]);
    check_that(&[sent(0), Event::Abandoned(stamp(0))], &[0, 0], &["S2"]);
}

#[test]
fn a_partition_that_makes_no_progress_is_found() {
    check_that(&[Event::Stuck("0 took no record".into())], &[], &["L3"]);
}

#[test]
fn what_an_unclean_election_lost_was_there() {
    let logs = BTreeMap::from([(0, shortened(&[0, 7], &[1, 2]))]);
    let events = [sent(0), acked(0, 0), sent(1), acked(1, 1), sent(7), acked(7, 1)];
    let read = [begin(1), vec![delivered(1, 0), delivered(1, 1), delivered(1, 2)]].concat();
    let back = Event::Reset { consumer: 1, partition: 0, to: 1 };
    let again = Event::Delivered { consumer: 1, partition: 0, offset: 1, stamp: stamp(7) };
    let whole = [&events[..], &read, &[back, again]].concat();
    assert_eq!(names(&check(&history(&whole), &logs, DEADLINE)), [""; 0]);
    // What came instead was never read.
    let missed = [&events[..], &read].concat();
    assert_eq!(names(&check(&history(&missed), &logs, DEADLINE)), ["S11"]);
    // That was never there.
    let other = [sent(3), acked(3, 2)];
    assert_eq!(names(&check(&history(&other), &logs, DEADLINE)), ["S1"]);
}

#[test]
fn a_late_outcome_is_found() {
    let mut history = History::default();
    history.add(Duration::ZERO, sent(0));
    history.add(DEADLINE + Duration::from_millis(1), acked(0, 0));
    let found = check(&history, &BTreeMap::from([(0, log(&[0]))]), DEADLINE);
    assert_eq!(names(&found), ["L1"]);
}

#[test]
fn a_skip_in_what_is_delivered_is_found() {
    check_read(&[delivered(1, 0), delivered(1, 2)], 3, &["S12", "S11"]);
}

#[test]
fn a_gap_in_the_log_is_no_skip() {
    let logs =
        BTreeMap::from([(0, FinalLog { records: vec![at(0), at(5)], ..FinalLog::default() })]);
    let read = [begin(1), vec![delivered(1, 0), delivered(1, 5)]].concat();
    assert_eq!(names(&check(&history(&read), &logs, DEADLINE)), [""; 0]);
}

#[test]
fn a_rewind_is_found() {
    check_read(&[delivered(1, 0), delivered(1, 0)], 1, &["S12"]);
}

#[test]
fn a_partition_is_read_by_its_owner_alone() {
    let died = Event::Died { consumer: 1 };
    check_read(&[delivered(1, 0), died, delivered(1, 1)], 2, &["S13"]);
    check_read(&[delivered(1, 0), revoked(1), delivered(1, 1)], 2, &["S13"]);
    let fenced = [committing(1, 0), assigned(2), delivered(2, 0), delivered(1, 0)];
    check_read(&fenced, 1, &["S13"]);
}

#[test]
fn who_takes_over_goes_on_where_something_was_committed() {
    let first = [delivered(1, 0), committing(1, 1), committed(1, 1), delivered(1, 1), assigned(2)];
    check_read(&[&first[..], &[delivered(2, 1)]].concat(), 2, &[]);
    check_read(&[&first[..], &[delivered(2, 0), delivered(2, 1)]].concat(), 2, &["S16"]);
    let unheard = [delivered(1, 0), committing(1, 1), delivered(1, 1), assigned(2)];
    check_read(&[&unheard[..], &[delivered(2, 1)]].concat(), 2, &[]);
}

#[test]
fn a_reset_of_what_was_committed_is_found() {
    let first = [delivered(1, 0), committing(1, 1), committed(1, 1), assigned(2)];
    check_read(&[&first[..], &[reset(2), delivered(2, 0)]].concat(), 1, &["S16"]);
    check_read(&[delivered(1, 0), reset(1), delivered(1, 0)], 1, &["S16"]);
}

#[test]
fn a_commit_of_what_nobody_saw_is_found() {
    check_read(&[delivered(1, 0), committing(1, 2), delivered(1, 1)], 2, &["S11"]);
}

#[test]
fn a_commit_that_takes_another_back_is_found() {
    let read = [delivered(1, 0), delivered(1, 1), committing(1, 2), committed(1, 2)];
    check_read(&[&read[..], &[committing(1, 1), committed(1, 1)]].concat(), 2, &["S15"]);
    let left = |offset| Event::FinallyCommitted { partition: 0, offset: Some(offset) };
    let earlier = [&read[..1], &[committing(1, 1)], &read[1..], &[left(1)]].concat();
    check_read(&earlier, 2, &["S15"]);
    check_read(&[&read[..], &[left(2)]].concat(), 2, &[]);
    check_read(&[&read[..], &[left(3)]].concat(), 2, &["S11"]);
}

#[test]
fn a_leader_epoch_that_goes_back_is_found() {
    let heard = |client, epoch| Event::Epoch { client, partition: 0, epoch };
    check_that(&[heard(1, 3), heard(1, 4), heard(2, 3)], &[], &[]);
    check_that(&[heard(1, 4), heard(1, 3)], &[], &["S18"]);
}

#[test]
fn a_record_that_reads_differently_is_found() {
    let logs = BTreeMap::from([(0, log(&[5]))]);
    let read = [begin(1), vec![delivered(1, 0)]].concat();
    assert_eq!(names(&check(&history(&read), &logs, DEADLINE)), ["S17"]);
}

/// Consumer 1 begins with nothing committed; the log has so many records.
#[track_caller]
fn check_read(events: &[Event], records: u64, expected: &[&str]) {
    check_that(&[begin(1), events.to_vec()].concat(), &(0..records).collect::<Vec<_>>(), expected);
}

#[track_caller]
fn check_that(events: &[Event], numbers: &[u64], expected: &[&str]) {
    let logs = BTreeMap::from([(0, log(numbers))]);
    assert_eq!(names(&check(&history(events), &logs, DEADLINE)), expected);
}

fn history(events: &[Event]) -> History {
    let mut history = History::default();
    events.iter().for_each(|event| history.add(Duration::ZERO, event.clone()));
    history
}

fn log(numbers: &[u64]) -> FinalLog {
    let records = (0..).zip(numbers.iter().map(|&it| stamp(it).to_string())).collect();
    FinalLog { records, ..FinalLog::default() }
}

/// The log as it is, and as it was behind its first record.
fn shortened(numbers: &[u64], lost: &[u64]) -> FinalLog {
    let lost = (1..).zip(lost.iter().map(|&it| stamp(it).to_string())).collect();
    FinalLog { lost, ..log(numbers) }
}

fn names(found: &[Violation]) -> Vec<&'static str> {
    found.iter().map(|violation| violation.invariant).collect()
}

fn stamp(number: u64) -> Stamp {
    Stamp { producer: 0, number, partition: Some(0) }
}

fn sent(number: u64) -> Event {
    Event::Sent(stamp(number))
}

fn acked(number: u64, offset: i64) -> Event {
    Event::Acknowledged { stamp: stamp(number), partition: 0, offset: Some(offset) }
}

fn failed(number: u64, certainty: Certainty) -> Event {
    Event::Failed { stamp: stamp(number), certainty, error: "late".into() }
}

/// A consumer is given a partition of which nothing is committed.
fn begin(consumer: u32) -> Vec<Event> {
    vec![assigned(consumer), reset(consumer)]
}

fn assigned(consumer: u32) -> Event {
    Event::Assigned { consumer, partition: 0 }
}

fn revoked(consumer: u32) -> Event {
    Event::Revoked { consumer, partition: 0 }
}

fn reset(consumer: u32) -> Event {
    Event::Reset { consumer, partition: 0, to: 0 }
}

fn committing(consumer: u32, offset: i64) -> Event {
    Event::Committing(Commit { consumer, partition: 0, offset })
}

fn committed(consumer: u32, offset: i64) -> Event {
    Event::Committed(Commit { consumer, partition: 0, offset })
}

/// A record where its number is its offset.
fn at(offset: i64) -> (i64, String) {
    (offset, stamp(u64::try_from(offset).unwrap()).to_string())
}

fn delivered(consumer: u32, offset: i64) -> Event {
    let number = u64::try_from(offset).unwrap();
    Event::Delivered { consumer, partition: 0, offset, stamp: stamp(number) }
}

const MAYBE: Certainty = Certainty::PossiblyWritten;
const DEADLINE: Duration = Duration::from_secs(30);
