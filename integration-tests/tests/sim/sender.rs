//! An application that writes.

use std::ops::Range;
use std::time::Duration;

use ottla_core::error::Certainty;
use ottla_core::net::Client;
use ottla_producer::config::ProducerConfig;
use ottla_producer::{Delivery, Producer, Record, RecordMetadata, SendError, Undelivered};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::bed::{Bed, FORBIDDEN, Log, PARTITIONS, SLACK, in_limit, patiently};
use crate::draw::Draw;
use crate::hardship::Hardships;
use crate::history::{Event, Stamp};
use crate::nemesis::TOPIC;

/// Sends records, and notes what becomes of each.
pub(crate) struct Sender {
    client: Client,
    config: ProducerConfig,
    producer: Producer,
    /// The number of the producer: others take its place.
    generation: u32,
    /// The number of the next record.
    next: u64,
    log: Log,
    hardships: Hardships,
    /// Draws what only hardships bring.
    whims: Draw,
    waiting: JoinSet<()>,
}

impl Sender {
    pub(crate) async fn begin(bed: &Bed, client: Client, config: ProducerConfig) -> Self {
        Self {
            producer: producer(&client, &config).await,
            client,
            config,
            generation: 0,
            next: 0,
            log: bed.log.clone(),
            hardships: bed.hardships.clone(),
            whims: Draw::new(bed.seed ^ 0x5e4d),
            waiting: JoinSet::new(),
        }
    }

    /// Sends so many records, at a rate that is drawn, and waits for what becomes of them.
    pub(crate) async fn send(&mut self, draw: &mut Draw, counts: Range<u64>) {
        let count = draw.within(counts);
        let burst = draw.within(1..40);
        let pause = Duration::from_millis(draw.within(1..60));
        for number in 0..count {
            if number % burst == 0 {
                sleep(pause).await;
            }
            self.interrupt().await;
            let partition =
                i32::try_from(draw.within(0..PARTITIONS.unsigned_abs().into())).unwrap();
            let filler = usize::try_from(draw.within(0..200)).unwrap();
            self.hand_over(partition, filler).await;
        }
        self.producer.flush().await;
        while let Some(observed) = self.waiting.join_next().await {
            observed.unwrap();
        }
    }

    /// Now that all is well, has each partition take a record.
    pub(crate) async fn prove(&mut self) {
        for partition in 0..PARTITIONS {
            let (mut stamp, log) = (None, self.log.clone());
            let written = async {
                loop {
                    let (next, record) = self.record(partition, 0);
                    stamp = Some(next);
                    let sent = self.producer.send(record).await;
                    stamp = None;
                    let is_there = sent.is_ok();
                    note_outcome(&self.log, next, sent);
                    if is_there {
                        return;
                    }
                    sleep(Duration::from_secs(1)).await;
                }
            };
            if timeout(PROOF, written).await.is_err() {
                stamp.into_iter().for_each(|stamp| log.note(Event::Abandoned(stamp)));
                log.note(Event::Stuck(format!("{partition} took no record in {PROOF:?}")));
            }
        }
    }

    pub(crate) async fn end(self) {
        self.client.close().await;
    }

    /// What comes between two records, now and then.
    async fn interrupt(&mut self) {
        let Hardships { patience, stalls, renewals, .. } = self.hardships;
        if let Some(most) = stalls
            && self.whims.within(0..1_000) < 3
        {
            sleep(self.whims.duration(Duration::ZERO..most)).await;
        }
        if patience.is_some() && self.whims.chance(1) {
            patiently(patience, self.producer.flush()).await;
        }
        if renewals && self.whims.within(0..1_000) < 3 {
            self.renew().await;
        }
    }

    /// Ends the producer with what it has, in one way or another, and begins the next.
    async fn renew(&mut self) {
        let next = producer(&self.client, &self.config).await;
        let old = std::mem::replace(&mut self.producer, next);
        self.generation += 1;
        let time = self.whims.duration(Duration::ZERO..Duration::from_secs(4));
        let early = self.whims.duration(Duration::from_millis(1)..Duration::from_millis(500));
        match self.whims.within(0..4) {
            0 => drop(old),
            1 => {
                patiently(Some(early), old.close(time)).await;
            }
            kind => {
                if kind == 2 {
                    patiently(Some(early), old.close(time)).await;
                }
                let closing = old.close(time);
                let closed = in_limit(&self.log, "closing a producer", time + CODEC, closing).await;
                self.log.note(Event::Fault(format!("closed: {:?}", closed.is_ok())));
            }
        }
    }

    fn record(&mut self, partition: i32, filler: usize) -> (Stamp, Record) {
        let stamp =
            Stamp { producer: self.generation, number: self.next, partition: Some(partition) };
        self.next += 1;
        let filler = "x".repeat(filler);
        let record = Record::to(TOPIC).partition(partition).value(format!("{stamp} {filler}"));
        self.log.note(Event::Sent(stamp));
        (stamp, record)
    }

    async fn hand_over(&mut self, partition: i32, filler: usize) {
        let (stamp, record) = self.record(partition, filler);
        let (log, patience) = (&self.log, self.hardships.patience);
        let whim = patience.map(|_| self.whims.within(0..10));
        if whim == Some(0) {
            match patiently(patience, self.producer.send(record)).await {
                Some(outcome) => note_outcome(log, stamp, outcome),
                None => log.note(Event::Abandoned(stamp)),
            }
            return;
        }
        let enqueuing = patiently(patience, self.producer.enqueue(record));
        match in_limit(log, "enqueue", self.config.max_block, enqueuing).await {
            // Dropped, it was not taken.
            None => log.note(Event::Withdrawn(stamp)),
            Some(Err(refused)) => note_failure(log, stamp, refused.error()),
            Some(Ok(delivery)) if whim == Some(1) => {
                drop(delivery);
                log.note(Event::Abandoned(stamp));
            }
            Some(Ok(delivery)) => {
                let observed = observe(stamp, delivery, log.clone(), self.config.delivery_timeout);
                self.waiting.spawn(observed);
            }
        }
    }

    /// Asks again and again for what is denied, with the producer that others use.
    pub(crate) fn trespass(&self) -> impl Future<Output = ()> + use<> {
        let (producer, log) = (self.producer.clone(), self.log.clone());
        async move {
            for number in 0..TRESPASSES {
                sleep(Duration::from_secs(2)).await;
                let stamp = Stamp { producer: TRESPASSER, number, partition: Some(0) };
                log.note(Event::Sent(stamp));
                let record = Record::to(FORBIDDEN).partition(0).value(stamp.to_string());
                note_outcome(&log, stamp, producer.send(record).await);
            }
        }
    }
}

async fn producer(client: &Client, config: &ProducerConfig) -> Producer {
    Producer::builder(client).config(config.clone()).build().await.unwrap()
}

async fn observe(stamp: Stamp, delivery: Delivery, log: Log, limit: Duration) {
    let outcome = in_limit(&log, "delivery", limit, delivery).await;
    note_outcome(&log, stamp, outcome);
}

fn note_outcome(log: &Log, stamp: Stamp, outcome: Result<RecordMetadata, Undelivered>) {
    match outcome {
        Ok(there) => log.note(Event::Acknowledged {
            stamp,
            partition: there.partition,
            offset: there.offset.known(),
        }),
        Err(failed) => note_failure(log, stamp, failed.error()),
    }
}

fn note_failure(log: &Log, stamp: Stamp, error: &SendError) {
    let certainty: Certainty = error.certainty();
    log.note(Event::Failed { stamp, certainty, error: error.to_string() });
}

/// How long a partition may take for a record once everything is well: a request that was swallowed
/// before is given up, and a denial that is over heard of.
const PROOF: Duration = Duration::from_secs(40);

/// What closing may take beyond its time, for codecs.
const CODEC: Duration = SLACK;

/// How often what is denied is asked for.
const TRESPASSES: u64 = 10;

/// The number that who does so has as a producer.
const TRESPASSER: u32 = 1_000_000;
