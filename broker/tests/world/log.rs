use ottla_broker::log::incoming::{Carried, Incoming};
use ottla_broker::log::producers::Aborted;
use ottla_broker::log::{Log, Roll};
use ottla_protocol::ErrorCode;
use ottla_protocol::records::ControlRecordType;

use super::*;

const ROLL: Roll = Roll { bytes: 1000, ms: i64::MAX };

fn append(log: &mut Log, batch: SealedBatch) -> i64 {
    log.append(&Incoming::trusted(batch.freeze()), 0, ROLL, START)
}

/// One record of a transaction.
fn data(log: &mut Log, producer_id: i64, base_sequence: i32) -> i64 {
    let producer = ProducerStamp { producer_id, producer_epoch: 0, base_sequence };
    let options = SealOptions { producer, transactional: true, ..SealOptions::default() };
    append(log, seal(&[(START, "v")], &options))
}

fn marker(log: &mut Log, producer_id: i64, kind: ControlRecordType) -> i64 {
    append(log, SealedBatch::end_transaction(kind, 0, producer_id, 0, START).unwrap())
}

#[test]
fn the_stable_offset_waits_for_the_first_open_transaction() {
    let mut log = Log::default();
    data(&mut log, 1, 0);
    data(&mut log, 2, 0);
    log.raise_high_watermark(log.end());
    assert_eq!(log.stable(), 0);
    marker(&mut log, 1, ControlRecordType::Commit);
    assert_eq!(log.stable(), 0, "the marker is not committed yet");
    log.raise_high_watermark(log.end());
    assert_eq!(log.stable(), 1, "producer 2 is still open");
    marker(&mut log, 2, ControlRecordType::Abort);
    log.raise_high_watermark(log.end());
    assert_eq!(log.stable(), 4);
}

#[test]
fn the_aborted_list_reaches_below_the_fetch_offset() {
    let mut log = Log::default();
    data(&mut log, 1, 0);
    data(&mut log, 1, 1);
    marker(&mut log, 1, ControlRecordType::Abort);
    let aborted = Aborted { producer_id: 1, first_offset: 0, last_offset: 2 };
    for (from, upto, expected) in [(0, 1, true), (1, 2, true), (2, 3, true), (3, 9, false)] {
        let found = log.aborted(from, upto);
        assert_eq!(found, if expected { vec![aborted] } else { Vec::new() }, "{from}..{upto}");
    }
}

#[test]
fn truncation_opens_a_transaction_whose_marker_it_drops() {
    let mut log = Log::default();
    data(&mut log, 1, 0);
    let end = marker(&mut log, 1, ControlRecordType::Abort);
    log.raise_high_watermark(log.end());
    assert_eq!((log.stable(), log.aborted(0, 9).len()), (2, 1));
    log.truncate(end);
    assert_eq!((log.end(), log.stable(), log.aborted(0, 9).len()), (1, 0, 0));
}

#[test]
fn the_stable_offset_never_lies_below_the_start() {
    let mut log = Log::default();
    data(&mut log, 1, 0);
    data(&mut log, 1, 1);
    log.raise_high_watermark(log.end());
    log.raise_start(1);
    assert_eq!((log.start(), log.stable()), (1, 1));
}

#[test]
fn a_marker_from_outside_is_held_against_what_the_log_knows() {
    let mut log = Log::default();
    data(&mut log, 1, 0);
    let check = |log: &Log, epoch, coordinator_epoch, version| {
        log.producers().check_marker(1, epoch, coordinator_epoch, version)
    };
    let stale = Err(ErrorCode::InvalidProducerEpoch);
    assert_eq!(check(&log, -1, 0, 0), stale);
    assert_eq!(check(&log, 0, 0, 0), Ok(()));
    assert_eq!(check(&log, 0, 0, 2), stale, "an end comes with the next epoch");
    assert_eq!(check(&log, 1, 0, 2), Ok(()));
    let end = SealedBatch::end_transaction(ControlRecordType::Abort, 5, 1, 0, START).unwrap();
    append(&mut log, end);
    assert_eq!(check(&log, 0, 5, 2), Ok(()), "nothing is open");
    assert_eq!(check(&log, 0, 4, 0), Err(ErrorCode::TransactionCoordinatorFenced));
    assert_eq!(log.producers().check_marker(2, 0, 0, 2), Ok(()), "who is unknown may begin");
}

#[test]
fn what_a_log_knows_of_its_producers_can_be_told() {
    let mut log = Log::default();
    data(&mut log, 1, 0);
    data(&mut log, 1, 1);
    data(&mut log, 2, 0);
    marker(&mut log, 2, ControlRecordType::Commit);
    let told: Vec<_> = log
        .producers()
        .iter()
        .map(|state| (state.id, state.last_sequence, state.coordinator_epoch, state.open_since))
        .collect();
    assert_eq!(told, [(1, Some(1), -1, Some(0)), (2, Some(0), 0, None)]);
    let stamp = |producer_id, producer_epoch| ProducerStamp {
        producer_id,
        producer_epoch,
        base_sequence: 0,
    };
    let is_open = |id, epoch| log.producers().has_open_transaction(stamp(id, epoch));
    assert_eq!(
        [is_open(1, 0), is_open(1, 1), is_open(2, 0), is_open(3, 0)],
        [true, false, false, false]
    );
}

#[test]
fn segments_roll_and_reads_cross_them() {
    let mut log = Log::default();
    for _ in 0..100 {
        append(&mut log, seal(&[(START, "v"), (START, "w")], &SealOptions::default()));
    }
    log.raise_high_watermark(log.end());
    for from in [0, 1, 77, 198, 199] {
        let read = log.read(from, log.end(), usize::MAX, true);
        assert_eq!(read[0].base(), from / 2 * 2);
        assert_eq!(i64::try_from(read.len()).unwrap(), 100 - from / 2);
    }
    assert!(log.read(200, 200, usize::MAX, true).is_empty());
    log.raise_start(100);
    assert_eq!(log.read(100, 200, usize::MAX, true).len(), 50);
    log.truncate(151);
    assert_eq!(log.end(), 150, "the batch that reaches the offset goes whole");
}

#[test]
fn an_epoch_in_which_nothing_was_written_is_forgotten() {
    let mut log = Log::default();
    log.begin_epoch(0, 0);
    data(&mut log, 1, 0);
    log.begin_epoch(3, 1);
    log.begin_epoch(5, 1);
    assert_eq!(log.epoch_end(3), Some((0, 1)));
    assert_eq!(log.epoch_end(5), Some((5, 1)));
    assert_eq!(log.epoch_at(1), Some(5));
    log.begin_epoch(4, 0);
    assert_eq!(log.epoch_end(5), Some((5, 1)), "an older one does not come back");
}

#[test]
fn who_keeps_no_bytes_keeps_none() {
    let mut log = Log::default();
    append(&mut log, seal(&[(START, "a")], &SealOptions::default()));
    append(&mut log, seal(&[(START, "b")], &SealOptions::default()));
    assert!(!log.retain(None, Some(0), START), "nothing is committed");
    log.raise_high_watermark(2);
    assert!(log.retain(None, Some(0), START));
    assert_eq!((log.start(), log.end(), log.bytes()), (2, 2, 0));
    assert_eq!(append(&mut log, seal(&[(START, "c")], &SealOptions::default())), 2);
}

#[test]
fn a_small_batch_lets_go_of_what_was_received_with_it() {
    for (records, lets_go) in [(1, true), (500, false)] {
        let sent = batch(&vec!["a"; records]).into_bytes();
        // What a connection reads at a time is one piece of memory, of many frames.
        let received = Bytes::from([&sent[..], &[0; 100_000]].concat());
        let carried = Carried::new(Some(received.slice(..sent.len()).into()), 9, sent.len());
        assert_eq!(received.is_unique(), lets_go, "{} bytes", sent.len());
        assert_eq!(carried.batch.unwrap().len(), sent.len());
    }
}
