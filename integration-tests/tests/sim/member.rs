//! An application that reads as a member of a group.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_consumer::config::ConsumerConfig;
use ottla_consumer::error::ConsumerError;
use ottla_consumer::listener::{Assigned, ListenerError, Lost, RebalanceListener, Revoking};
use ottla_consumer::machine::fetch::FetchEvent;
use ottla_consumer::{Batch, Consumer, ConsumerBuilder, ConsumerEvent, ConsumerRecord};
use ottla_core::net::Client;
use ottla_core::types::TopicPartition;
use tokio::sync::watch;
use tokio::time::sleep;

use crate::bed::{FORBIDDEN, Log, in_limit, patiently};
use crate::draw::Draw;
use crate::hardship::Hardships;
use crate::history::{Commit, Event, Stamp};
use crate::nemesis::{GROUP, TOPIC};

/// Reads, notes and commits until it is told to stop.
pub(crate) struct Member {
    number: u32,
    consumer: Consumer,
    log: Log,
    hardships: Hardships,
    /// Draws what only hardships bring.
    whims: Draw,
    /// How often it will stand still.
    stalls: u32,
    taken: Taken,
}

/// By partition: the offset behind what was given, while that is not committed and not given up.
type Taken = Arc<Mutex<BTreeMap<i32, i64>>>;

/// What a member is given.
enum Given {
    Batch(Batch),
    Record(ConsumerRecord),
}

impl Member {
    pub(crate) async fn join(
        number: u32,
        client: Client,
        config: ConsumerConfig,
        log: Log,
        (hardships, whims): (Hardships, Draw),
    ) -> Self {
        let taken = Taken::default();
        let tell = Tell { number, log: log.clone(), taken: taken.clone() };
        let topics: &[&str] = match hardships.forbidden {
            Some(_) => &[TOPIC, FORBIDDEN],
            None => &[TOPIC],
        };
        let builder = ConsumerBuilder::new(client).config(config).group(GROUP);
        let builder = builder.subscribe(topics.iter().copied()).configure(|config| {
            if let Some(interval) = hardships.auto_commit {
                (config.enable_auto_commit, config.auto_commit_interval) = (true, interval);
            }
        });
        let consumer = builder.on_rebalance(tell).build().await.unwrap();
        Self { number, consumer, log, hardships, whims, stalls: 2, taken }
    }

    pub(crate) async fn run(mut self, mut stop: watch::Receiver<bool>) {
        loop {
            let polled = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                polled = self.take() => polled,
            };
            note_events(self.number, &mut self.consumer, &self.log);
            match polled {
                Ok(Some(Given::Batch(batch))) => self.process_batch(&batch).await,
                Ok(Some(Given::Record(record))) => self.process_record(&record).await,
                Ok(None) => return,
                Err(error) => {
                    self.log.note(Event::Fault(format!("member {}: {error}", self.number)));
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
        self.close().await;
    }

    /// Waits for what comes next, and drops the future as often as its patience has it.
    async fn take(&mut self) -> Result<Option<Given>, ConsumerError> {
        self.finish();
        loop {
            let (consumer, patience) = (&mut self.consumer, self.hardships.patience);
            let taken = if self.hardships.by_record {
                let taken = patiently(patience, consumer.recv()).await;
                taken.map(|taken| taken.map(|record| record.map(Given::Record)))
            } else {
                let taken = patiently(patience, consumer.poll()).await;
                taken.map(|taken| taken.map(|batch| batch.map(Given::Batch)))
            };
            if let Some(taken) = taken {
                return taken;
            }
        }
    }

    /// With the next call, what was given counts as processed: automatic commits may have it.
    fn finish(&self) -> Vec<Commit> {
        if self.hardships.auto_commit.is_none() {
            return Vec::new();
        }
        let commits = self.commits();
        commits.iter().for_each(|commit| self.log.note(Event::Committing(*commit)));
        commits
    }

    fn commits(&self) -> Vec<Commit> {
        let consumer = self.number;
        let commit = |(partition, offset): (&i32, &i64)| {
            let (partition, offset) = (*partition, *offset);
            Commit { consumer, partition, offset }
        };
        self.taken.lock().unwrap().iter().map(commit).collect()
    }

    async fn process_batch(&mut self, batch: &Batch) {
        if batch.topic() != TOPIC {
            return;
        }
        let partition = batch.partition();
        for record in batch {
            self.note_delivered(partition, record.offset(), record.value());
        }
        self.stall().await;
        if self.hardships.auto_commit.is_some() {
            self.taken.lock().unwrap().insert(partition, batch.next_offset());
            return;
        }
        let commit = Commit { consumer: self.number, partition, offset: batch.next_offset() };
        self.log.note(Event::Committing(commit));
        let committing = patiently(self.hardships.patience, batch.commit());
        let committed = in_limit(&self.log, "commit", COMMIT, committing).await;
        self.note_committed(&[commit], matches!(committed, Some(Ok(()))));
    }

    async fn process_record(&mut self, record: &ConsumerRecord) {
        if record.topic() != TOPIC {
            return;
        }
        let (partition, offset) = (record.partition(), record.offset());
        self.note_delivered(partition, offset, record.value());
        self.taken.lock().unwrap().insert(partition, offset + 1);
        self.stall().await;
        if self.hardships.auto_commit.is_some() || !self.whims.chance(10) {
            return;
        }
        let commits = self.commits();
        commits.iter().for_each(|commit| self.log.note(Event::Committing(*commit)));
        let committing = patiently(self.hardships.patience, self.consumer.commit());
        let committed = in_limit(&self.log, "commit", COMMIT, committing).await;
        self.note_committed(&commits, matches!(committed, Some(Ok(()))));
    }

    fn note_delivered(&self, partition: i32, offset: i64, value: Option<&[u8]>) {
        let value = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
        let stamp: Stamp = value.parse().unwrap();
        self.log.note(Event::Delivered { consumer: self.number, partition, offset, stamp });
    }

    fn note_committed(&self, commits: &[Commit], is_done: bool) {
        for commit in commits {
            self.log.note(match is_done {
                true => Event::Committed(*commit),
                false => Event::CommitFailed(*commit),
            });
        }
    }

    /// Stands still, as an application does that is stopped or waits for something else.
    async fn stall(&mut self) {
        let Some(most) = self.hardships.stalls else { return };
        if self.stalls > 0 && self.whims.chance(1) {
            self.stalls -= 1;
            sleep(self.whims.duration(Duration::ZERO..most)).await;
        }
    }

    /// Closes, now and then not at the first attempt, or not at all.
    async fn close(mut self) {
        let (log, number) = (self.log.clone(), self.number);
        let commits = self.finish();
        let mut is_given_up = false;
        if self.hardships.patience.is_some() && self.whims.chance(50) {
            let early = self.whims.duration(Duration::from_millis(1)..Duration::from_millis(200));
            patiently(Some(early), self.consumer.close(CLOSE)).await;
            is_given_up = self.whims.chance(30);
        }
        if !is_given_up {
            let closed = in_limit(&log, "close", CLOSE, self.consumer.close(CLOSE)).await;
            self.note_committed(&commits, closed.is_ok());
            log.note(Event::Fault(format!("member {number} closed: {closed:?}")));
        }
        log.note(Event::Died { consumer: number });
    }
}

fn note_events(number: u32, consumer: &mut Consumer, log: &Log) {
    let events: Vec<ConsumerEvent> = consumer.events().collect();
    for event in events {
        let ConsumerEvent::Fetch(event) = event else { continue };
        let (FetchEvent::Reset { partition, to, .. } | FetchEvent::Truncated { partition, to, .. }) =
            event
        else {
            continue;
        };
        if *partition.topic == *TOPIC {
            log.note(Event::Reset { consumer: number, partition: partition.partition, to });
        }
    }
}

/// Notes what comes and goes.
pub(crate) struct Tell {
    pub(crate) number: u32,
    pub(crate) log: Log,
    taken: Taken,
}

impl Tell {
    pub(crate) fn new(number: u32, log: Log) -> Self {
        Self { number, log, taken: Taken::default() }
    }

    fn gone(&self, partitions: &[TopicPartition]) {
        for partition in ours(partitions) {
            self.taken.lock().unwrap().remove(&partition);
            self.log.note(Event::Revoked { consumer: self.number, partition });
        }
    }
}

/// The partitions that are judged.
fn ours(partitions: &[TopicPartition]) -> impl Iterator<Item = i32> {
    let ours = partitions.iter().filter(|partition| *partition.topic == *TOPIC);
    ours.map(|partition| partition.partition)
}

impl RebalanceListener for Tell {
    async fn assigned(&self, assigned: &Assigned<'_>) -> Result<(), ListenerError> {
        for partition in ours(assigned.added) {
            self.log.note(Event::Assigned { consumer: self.number, partition });
        }
        Ok(())
    }

    async fn revoking(&self, revoking: &Revoking<'_>) -> Result<(), ListenerError> {
        self.gone(revoking.partitions);
        Ok(())
    }

    async fn lost(&self, lost: &Lost<'_>) -> Result<(), ListenerError> {
        self.gone(lost.partitions);
        Ok(())
    }
}

/// What a commit may take: `default.api.timeout.ms`.
pub(crate) const COMMIT: Duration = Duration::from_secs(60);

/// What closing a member may take.
pub(crate) const CLOSE: Duration = Duration::from_secs(10);
