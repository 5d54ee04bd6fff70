//! The workload `produce`: what was acknowledged is there, once, in order.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use ottla_core::error::Certainty;
use ottla_producer::config::{Acks, ProducerConfig};
use ottla_producer::{Delivery, Producer, Record, SendError};
use ottla_protocol::ApiKey;
use ottla_protocol::compression::{Codec, Compression};

use crate::bed::{Bed, Log, PARTITIONS, SLACK};
use crate::check::check;
use crate::draw::Draw;
use crate::history::{Event, History, Stamp};
use crate::nemesis::{Nemesis, TOPIC};
use crate::runs::{each_holds, each_replays, in_time, simulate};
use crate::scene::Scene;

/// The faults that a producer can meet.
const NEMESIS: Nemesis = Nemesis {
    apis: &[ApiKey::Produce, ApiKey::Produce, ApiKey::Metadata, ApiKey::InitProducerId],
    lasts: Duration::from_secs(40),
};

#[test]
fn what_was_acknowledged_is_there_once_and_in_order() {
    each_holds(run);
}

#[test]
fn a_seed_replays_byte_for_byte() {
    each_replays(run);
}

/// The checker must be able to say no: what idempotence prevents happens without it.
#[test]
fn without_idempotence_duplicates_and_reordering_are_found() {
    let loose = |config| ProducerConfig { enable_idempotence: false, ..config };
    let mut found = BTreeSet::new();
    for seed in 0..30 {
        let (bed, deadline) = simulate(play(seed, loose));
        let violations = check(&bed.log.history(), &bed.logs(), deadline);
        found.extend(violations.into_iter().map(|violation| violation.invariant));
    }
    assert!(found.contains("S2") && found.contains("S3"), "{found:?}");
}

async fn run(seed: u64) -> History {
    let (bed, deadline) = in_time(seed, play(seed, |config| config)).await;
    bed.judge(deadline)
}

/// Plays a run to its end, with what `change` makes of the seed's settings.
async fn play(seed: u64, change: impl Fn(ProducerConfig) -> ProducerConfig) -> (Bed, Duration) {
    let bed = Bed::start(seed).await;
    let scene = Scene::begin_with(bed, &NEMESIS, &mut Draw::new(seed), change).await;
    scene.play(300..2_000, async {}).await;
    scene.end().await
}

/// What a seed makes of the settings: rare pairs meet.
pub(crate) fn config(draw: &mut Draw) -> ProducerConfig {
    ProducerConfig {
        acks: Acks::All,
        linger: Duration::from_millis(*draw.pick(&[0, 0, 5, 50])),
        batch_size: *draw.pick(&[200, 1_000, 16_384]),
        buffer_memory: *draw.pick(&[64 << 10, 1 << 20]),
        max_request_size: 48 << 10,
        max_block: Duration::from_secs(20),
        delivery_timeout: Duration::from_secs(*draw.pick(&[15, 40, 120])),
        request_timeout: Duration::from_secs(*draw.pick(&[3, 10])),
        max_in_flight_requests_per_connection: *draw.pick(&[1, 2, 5]),
        compression: *draw.pick(&[Codec::NONE, Codec::new(Compression::Lz4)]),
        ..ProducerConfig::default()
    }
}

/// The time in which each record must have an outcome.
pub(crate) fn deadline(config: &ProducerConfig) -> Duration {
    config.delivery_timeout + config.max_block + SLACK
}

/// Sends so many records, at a rate that is drawn, and notes what becomes of each.
pub(crate) async fn send(producer: &Producer, log: &Log, draw: &mut Draw, counts: Range<u64>) {
    let count = draw.within(counts);
    let burst = draw.within(1..40);
    let pause = Duration::from_millis(draw.within(1..60));
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..count {
        if number % burst == 0 {
            tokio::time::sleep(pause).await;
        }
        let partition = i32::try_from(draw.within(0..PARTITIONS.unsigned_abs().into())).unwrap();
        let stamp = Stamp { producer: 0, number, partition: Some(partition) };
        let filler = "x".repeat(usize::try_from(draw.within(0..200)).unwrap());
        let record = Record::to(TOPIC).partition(partition).value(format!("{stamp} {filler}"));
        log.note(Event::Sent(stamp));
        match producer.enqueue(record).await {
            Ok(delivery) => {
                waiting.spawn(observe(stamp, delivery, log.clone()));
            }
            Err(refused) => note_failure(log, stamp, refused.error()),
        }
    }
    producer.flush().await;
    while let Some(observed) = waiting.join_next().await {
        observed.unwrap();
    }
}

async fn observe(stamp: Stamp, delivery: Delivery, log: Log) {
    match delivery.await {
        Ok(there) => log.note(Event::Acknowledged {
            stamp,
            partition: there.partition,
            offset: there.offset.known(),
        }),
        Err(failed) => note_failure(&log, stamp, failed.error()),
    }
}

fn note_failure(log: &Log, stamp: Stamp, error: &SendError) {
    let certainty: Certainty = error.certainty();
    log.note(Event::Failed { stamp, certainty, error: error.to_string() });
}
