//! Batches that a codec has.

use std::time::Duration;

use ottla_protocol::compression::{Codec, Compression};
use ottla_protocol::records::SealError;

use super::super::*;
use super::steps::{Fixture, append, result, sequences, single};
use crate::config::ProducerConfig;
use crate::machine::batch::Sealed;
use crate::record::Record;

#[test]
fn a_codec_keeps_the_order_of_batches() {
    let (mut fixture, mut works, _) = with_a_codec(["a", "b"]);
    fixture.seal(works.pop().unwrap());
    assert!(fixture.send().is_none(), "the first is not sealed");
    fixture.seal(works.pop().unwrap());
    assert_eq!(sequences(&fixture.send_all()), [(0, 0)]);
}

#[test]
fn a_record_that_was_given_up_on_comes_back_from_its_codec() {
    let (mut fixture, mut works, done) = with_a_codec(["a", "b"]);
    fixture.pass(Duration::from_secs(120));
    fixture.expire();
    assert!(result(&done, 0).is_none(), "a codec has it");
    let mut pending = Vec::new();
    fixture.queue.collect_pending(&mut pending);
    assert_eq!(pending.len(), 2, "whoever closes can wait for them");
    fixture.seal(works.remove(0));
    let error = result(&done, 0).unwrap().unwrap_err();
    assert!(matches!(error.error(), SendError::DeliveryTimeout { .. }));
    let record = error.into_record().unwrap();
    assert_eq!(record, Record::to("t").timestamp(0).partition(0).value("a"));
    assert!(fixture.send().is_none());
}

/// A queue whose codec has the batches of these records, and the first one's completion.
fn with_a_codec<const N: usize>(
    values: [&'static str; N],
) -> (Fixture, Vec<SealWork>, Arc<BatchDone>) {
    let config = ProducerConfig { compression: Codec::new(Compression::Lz4), ..single() };
    let mut fixture = Fixture::new(&config);
    let (mut works, mut done) = (Vec::new(), Vec::new());
    for value in values {
        let record = Record::to("t").value(value);
        let (parts, mut effects, now) = (record.parts(), Effects::default(), fixture.now);
        let bound = parts.len_bound();
        let queue = &mut fixture.queue;
        queue.append(&parts, bound, 0, false, &mut None, || now, &mut effects).unwrap();
        works.extend(effects.unsealed.into_iter().filter_map(|id| queue.begin_seal(id)));
        fixture.queue.collect_pending(&mut done);
    }
    (fixture, works, done.remove(0))
}

#[test]
fn what_is_given_up_before_a_codec_has_time_for_it_is_told_at_once() {
    let compression = Codec::new(Compression::Zstd);
    let mut fixture = Fixture::new(&ProducerConfig { compression, ..single() });
    let (record, mut effects) = (Record::to("t").value("a"), Effects::default());
    let appended = append(&mut fixture.queue, &record, 0, fixture.now, &mut effects).unwrap();
    let (done, id) = (appended.done.unwrap(), effects.unsealed[0]);
    fixture.pass(Duration::from_secs(120));
    fixture.expire();
    let error = result(&done, 0).unwrap().unwrap_err();
    assert!(matches!(error.error(), SendError::DeliveryTimeout { .. }));
    assert_eq!(error.into_record().unwrap(), record.timestamp(0).partition(0));
    assert!(fixture.queue.begin_seal(id).is_none(), "the codec passes over it");
    assert!(fixture.queue.is_empty());
    assert_eq!(fixture.budget.free(), fixture.memory);
}

#[test]
fn what_was_given_up_at_a_codec_is_not_gone_before_it_is_told() {
    let (mut fixture, mut works, done) = with_a_codec(["a"]);
    fixture.pass(Duration::from_secs(120));
    fixture.expire();
    assert!(!fixture.queue.is_empty(), "a transaction would be committed without it");
    fixture.seal(works.remove(0));
    assert!(result(&done, 0).is_some_and(|told| told.is_err()));
    assert!(fixture.queue.is_empty());
}

#[test]
fn a_codec_that_fails_gives_the_records_back() {
    let (mut fixture, mut works, done) = with_a_codec(["a", "b"]);
    let SealWork { id, builder, charge } = works.remove(0);
    let batch = builder.seal(&fixture.queue.terms.seal_options());
    let sealed = Sealed { batch, charge, fault: Some(SealError::TooLarge { len: 0 }) };
    fixture.finish_seal(id, sealed);
    let error = result(&done, 0).unwrap().unwrap_err();
    assert!(matches!(error.error(), SendError::Compression { .. }), "{error}");
    assert_eq!(error.record().unwrap().value_bytes().unwrap(), "a");
    let mut pending = Vec::new();
    fixture.queue.collect_pending(&mut pending);
    assert_eq!(pending.len(), 1, "b goes on");
    fixture.seal(works.remove(0));
    assert_eq!(sequences(&fixture.send_all()), [(0, 0)]);
}

#[test]
fn what_is_charged_for_a_compressed_batch_is_what_holds_it() {
    let compression = Codec::new(Compression::Lz4);
    let config = ProducerConfig { compression, ..ProducerConfig::default() };
    let mut fixture = Fixture::new(&ProducerConfig { batch_size: 1, ..config });
    let record = Record::to("t").value(vec![0; 60_000]);
    let (parts, mut effects, now) = (record.parts(), Effects::default(), fixture.now);
    let bound = parts.len_bound();
    fixture.queue.append(&parts, bound, 0, false, &mut None, || now, &mut effects).unwrap();
    let work = fixture.queue.begin_seal(effects.unsealed[0]).unwrap();
    let (_, sealed) = work.run(&Arc::clone(&fixture.queue.terms));
    assert_eq!(sealed.charge.bytes(), 1 << 10);
    assert_eq!(sealed.batch.into_buffer().capacity(), 1 << 10);
}
