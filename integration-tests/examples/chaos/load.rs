//! A steady stream of numbered records, and what became of each.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_core::error::Certainty;
use ottla_producer::{Delivery, Producer, Record};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// Records on their way, as many in each partition.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    sending: JoinHandle<()>,
    collecting: Vec<JoinHandle<Vec<Sent>>>,
}

/// What became of one record. Its number is its position among those of its partition.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    /// When that was known.
    pub(crate) at: Instant,
    pub(crate) outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Acknowledged { offset: Option<i64> },
    Failed(Certainty),
}

impl Load {
    /// Sends `per_tick` records to each partition every 30 ms.
    pub(crate) fn start(producer: &Producer, topic: &str, partitions: i32, per_tick: u32) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (senders, collecting) = (0..partitions)
            .map(|_| {
                let (sender, deliveries) = unbounded_channel();
                (sender, tokio::spawn(collect(deliveries)))
            })
            .unzip();
        let sending =
            send(producer.clone(), topic.to_owned(), senders, per_tick, Arc::clone(&stop));
        Self { stop, sending: tokio::spawn(sending), collecting }
    }

    /// Ends the stream, and waits until every record is settled. By partition, in the order sent.
    pub(crate) async fn stop(self) -> Vec<Vec<Sent>> {
        self.stop.store(true, Ordering::Relaxed);
        self.sending.await.expect("sending does not panic");
        let mut sent = Vec::new();
        for partition in self.collecting {
            sent.push(partition.await.expect("collecting does not panic"));
        }
        sent
    }
}

async fn send(
    producer: Producer,
    topic: String,
    senders: Vec<UnboundedSender<Delivery>>,
    per_tick: u32,
    stop: Arc<AtomicBool>,
) {
    let mut ticks = interval(TICK);
    // Behind, it sends no faster: the rate is what a patient application would offer.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        for _ in 0..per_tick {
            for (partition, sender) in (0..).zip(&senders) {
                let record = Record::to(&*topic).partition(partition).value(value(number));
                let delivery = producer.enqueue(record).await.expect("64 MiB hold the load");
                sender.send(delivery).expect("the collector lives as long as its sender");
            }
            number += 1;
        }
    }
}

async fn collect(mut deliveries: UnboundedReceiver<Delivery>) -> Vec<Sent> {
    let mut sent = Vec::new();
    while let Some(delivery) = deliveries.recv().await {
        let outcome = match delivery.await {
            Ok(metadata) => Outcome::Acknowledged { offset: metadata.offset.known() },
            Err(failed) => Outcome::Failed(failed.error().certainty()),
        };
        sent.push(Sent { at: Instant::now(), outcome });
    }
    sent
}

/// A hundred bytes that begin with the number.
fn value(number: u64) -> String {
    format!("{number:<100}")
}

/// The number in a value.
pub(crate) fn number(value: &[u8]) -> usize {
    let text = std::str::from_utf8(value).expect("the value is text");
    text.trim_end().parse().expect("the value is a number")
}

const TICK: Duration = Duration::from_millis(30);
