//! The workload `produce`: what was acknowledged is there, once, in order.

use std::collections::BTreeSet;
use std::time::Duration;

use ottla_producer::config::{Acks, ProducerConfig};
use ottla_protocol::ApiKey;
use ottla_protocol::compression::{Codec, Compression};

use crate::bed::{Bed, SLACK};
use crate::check::check;
use crate::draw::Draw;
use crate::hardship::Hardships;
use crate::history::History;
use crate::nemesis::{Nemesis, TOPIC};
use crate::runs::{each_holds, each_replays, in_time, simulate};
use crate::scene::Scene;

/// The faults that a producer can meet.
const NEMESIS: Nemesis = Nemesis {
    apis: &[ApiKey::Produce, ApiKey::Produce, ApiKey::Metadata, ApiKey::InitProducerId],
    lasts: Duration::from_secs(40),
    deniable: &[(ApiKey::Produce, TOPIC), (ApiKey::Produce, TOPIC), (ApiKey::Metadata, TOPIC)],
    unclean: true,
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
        let (bed, deadline) = simulate(play(seed, Hardships::NONE, loose));
        let violations = check(&bed.log.history(), &bed.logs(), deadline);
        found.extend(violations.into_iter().map(|violation| violation.invariant));
    }
    assert!(found.contains("S2") && found.contains("S3"), "{found:?}");
}

async fn run(seed: u64) -> History {
    let hardships = Hardships::draw(seed, &NEMESIS);
    let (bed, deadline) = in_time(seed, play(seed, hardships, |config| config)).await;
    bed.judge(deadline)
}

/// Plays a run to its end, with what `change` makes of the seed's settings.
async fn play(
    seed: u64,
    hardships: Hardships,
    change: impl Fn(ProducerConfig) -> ProducerConfig,
) -> (Bed, Duration) {
    let bed = Bed::start(seed, hardships).await;
    let mut scene = Scene::begin_with(bed, &NEMESIS, &mut Draw::new(seed), change).await;
    scene.play(300..2_000, async |_| {}).await;
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
