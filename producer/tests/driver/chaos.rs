//! Everything at once, by seed.

use std::time::Duration;

use ottla_broker::fault::{Act, Rule};
use ottla_core::error::Certainty;
use ottla_core::types::ErrorCode;
use ottla_producer::{Producer, Record, RecordMetadata, Undelivered};
use ottla_protocol::ApiKey;

use super::bed::Bed;

/// xorshift: the same seed, the same run.
struct Random(u64);

impl Random {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % most
    }
}

/// Puts one fault after the other into the cluster.
async fn trouble(bed: &Bed, random: &mut Random) {
    for _ in 0..12 {
        bed.sleep(Duration::from_millis(200 + random.below(800))).await;
        // Not those about sequences: no broker says them of a batch that it has.
        let code = match random.below(4) {
            0 => ErrorCode::NotLeaderOrFollower,
            1 => ErrorCode::NotEnoughReplicas,
            2 => ErrorCode::KafkaStorageError,
            _ => ErrorCode::RequestTimedOut,
        };
        let act = match random.below(8) {
            0 => Act::DropBefore,
            1 => Act::ApplyThenDrop,
            2 => Act::ApplyThenDelay(Duration::from_millis(random.below(4_000))),
            3 => Act::Delay(Duration::from_millis(random.below(4_000))),
            4 => Act::CutAfter(5),
            5 | 6 => Act::Respond(code),
            _ => Act::Throttle(Duration::from_millis(random.below(500))),
        };
        let _fault = bed.cluster.fault(Rule::new(ApiKey::Produce, act).times(3));
        let index = i32::try_from(random.below(3)).unwrap();
        let to = i32::try_from(random.below(3)).unwrap() + 1;
        if random.below(2) == 0 && bed.leader("t", index) != to {
            // Refused where that replica is behind, which is as good.
            let _moved = bed.cluster.partition("t", index).move_leader(to);
        }
    }
}

/// What became of the records of one partition, in their order.
type Outcomes = Vec<Result<RecordMetadata, Undelivered>>;

async fn load(bed: &Bed, producer: &Producer, partition: i32, pause: u64) -> Outcomes {
    let mut deliveries = Vec::new();
    for number in 0..300 {
        let record = Record::to("t").partition(partition).value(number.to_string());
        deliveries.push(producer.enqueue(record).await.unwrap());
        if number % 7 == 0 {
            bed.sleep(Duration::from_millis(pause)).await;
        }
    }
    let mut outcomes = Vec::new();
    for delivery in deliveries {
        outcomes.push(delivery.await);
    }
    outcomes
}

fn check(bed: &Bed, partition: i32, outcomes: &Outcomes) {
    let stored: Vec<usize> =
        bed.values("t", partition).iter().map(|value| value.parse().unwrap()).collect();
    assert!(stored.is_sorted_by(|a, b| a < b), "doubled or reordered: {stored:?}");
    for (number, outcome) in outcomes.iter().enumerate() {
        let place = stored.binary_search(&number).ok();
        match outcome {
            Ok(metadata) => {
                let offset = metadata.offset.known().map(|it| usize::try_from(it).unwrap());
                assert!(place.is_some(), "{number} was acknowledged");
                assert!(offset.is_none() || offset == place, "{number} at {offset:?}");
            }
            Err(undelivered) if undelivered.error().certainty() == Certainty::NotWritten => {
                assert_eq!(place, None, "{number}: {undelivered}");
            }
            Err(_) => {}
        }
    }
}

async fn run(seed: u64) {
    let bed = Bed::start().await;
    let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let producer = bed.builder().batch_size(200).build().await.unwrap();
    let (a, b, c, ()) = tokio::join!(
        load(&bed, &producer, 0, 20),
        load(&bed, &producer, 1, 90),
        load(&bed, &producer, 2, 200),
        trouble(&bed, &mut random),
    );
    for (partition, outcomes) in (0..).zip([a, b, c]) {
        check(&bed, partition, &outcomes);
    }
    drop(producer.close(Duration::from_secs(1)).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn whatever_happens_nothing_is_lost_doubled_or_reordered() {
    for seed in 0..25 {
        // The last one printed is the one that failed.
        println!("seed {seed}");
        Box::pin(run(seed)).await;
    }
}
