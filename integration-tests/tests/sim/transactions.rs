//! The workload `read-process-write`: members of a group copy what a producer writes, each batch in a
//! transaction, while members, brokers and transactions die.

use std::time::Duration;

use ottla_consumer::config::AutoOffsetReset;
use ottla_consumer::error::ConsumerError;
use ottla_consumer::{Batch, Consumer, ConsumerBuilder};
use ottla_core::cluster::CoordinatorKind;
use ottla_core::net::{Client, Target};
use ottla_core::retry::Deadline;
use ottla_core::types::{Progress, TopicPartition};
use ottla_producer::{
    Producer, Record, Transaction, TransactionError, TransactionOutcome, TransactionalProducer,
};
use ottla_protocol::ApiKey;
use ottla_protocol::messages::LeaveGroupRequest;
use ottla_protocol::messages::leave_group::MemberIdentity;
use tokio::sync::watch;

use crate::actor::{Actor, spawn};
use crate::bed::{Bed, Log, MAX_POLL_INTERVAL, OUTPUT, PARTITIONS, in_limit, patiently};
use crate::check::{Violation, check, check_copies};
use crate::consume::note_commits;
use crate::draw::Draw;
use crate::hardship::Hardships;
use crate::history::{Attempt, Ended, Event, History, Stamp};
use crate::member::Tell;
use crate::nemesis::{GROUP, Nemesis, TOPIC, silence_ends};
use crate::planted::{Ordeal, Trial};
use crate::runs::{each_holds, each_replays, in_time, simulate};
use crate::scene::Scene;

/// The faults that a copier can meet.
pub(crate) const NEMESIS: Nemesis = Nemesis {
    apis: &[
        ApiKey::Produce,
        ApiKey::Produce,
        ApiKey::EndTxn,
        ApiKey::EndTxn,
        ApiKey::TxnOffsetCommit,
        ApiKey::AddPartitionsToTxn,
        ApiKey::AddOffsetsToTxn,
        ApiKey::InitProducerId,
        ApiKey::FindCoordinator,
        ApiKey::Fetch,
        ApiKey::Metadata,
        ApiKey::JoinGroup,
        ApiKey::SyncGroup,
        ApiKey::Heartbeat,
        ApiKey::OffsetFetch,
    ],
    lasts: Duration::from_secs(30),
    deniable: &[
        (ApiKey::Fetch, TOPIC),
        (ApiKey::Metadata, TOPIC),
        (ApiKey::TxnOffsetCommit, TOPIC),
        (ApiKey::Produce, OUTPUT),
        (ApiKey::AddPartitionsToTxn, OUTPUT),
        (ApiKey::Metadata, OUTPUT),
    ],
    unclean: false,
};

#[test]
fn each_record_is_copied_once_and_in_order() {
    each_holds(run);
}

#[test]
fn a_seed_replays_byte_for_byte() {
    each_replays(run);
}

/// 29: a partition that was assigned again was forgotten in its fetch session. 183: a rewind passed a
/// partition over whose leader had moved.
#[test]
fn seeds_that_once_failed_stay_well() {
    for seed in [29, 183] {
        simulate(run_with(seed, Hardships::NONE));
    }
}

async fn run(seed: u64) -> History {
    run_with(seed, Hardships::draw(seed, &NEMESIS)).await
}

async fn run_with(seed: u64, hardships: Hardships) -> History {
    let (bed, found) = in_time(seed, play(seed, Trial::NONE, hardships)).await;
    bed.judge_found(&found)
}

/// Plays a run to its end, with copiers that are on trial, and says what was broken.
pub(crate) async fn play(seed: u64, trial: Trial, hardships: Hardships) -> (Bed, Vec<Violation>) {
    let mut draw = Draw::new(seed ^ 0x70);
    let patience = hardships.patience;
    let bed = Bed::start_with(seed, hardships, *draw.pick(&[0, 1, 2, 2, 2])).await;
    let mut scene = Scene::begin(bed, &NEMESIS, &mut draw).await;
    let bed = &scene.bed;
    let reading = spawn(read_back(bed.client(2).await, bed.log.clone(), trial, patience));
    let mut copiers = Copiers::begin(bed, seed, trial, &mut draw).await;
    let meanwhile = async |bed: &Bed| {
        let ordeal = async {
            if trial.ordeal == Ordeal::SilentEnds {
                silence_ends(&bed.cluster, NEMESIS.lasts).await;
            }
        };
        tokio::join!(copiers.churn(bed, &mut draw), ordeal);
    };
    scene.play(100..500, meanwhile).await;
    let bed = &scene.bed;
    copied(bed).await;
    copiers.end().await;
    note_commits(bed).await;
    read_through(bed).await;
    reading.abort();
    let (bed, deadline) = scene.end().await;
    let (history, input) = (bed.log.history(), bed.logs());
    let mut found = check(&history, &input, deadline);
    found.extend(check_copies(&history, &input, &bed.output(), &bed.open_transactions()));
    (bed, found)
}

/// Waits until there are as many copies as records.
async fn copied(bed: &Bed) {
    let written: usize = bed.logs().values().map(|log| log.records.len()).sum();
    for _ in 0..DRAIN_SECONDS {
        let there: usize = bed.output().values().map(|log| log.records.len()).sum();
        if there >= written {
            return;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Waits until the reader was given as many copies as can be read, as it must within the time that
/// it waits for an answer: the last fault may have swallowed its fetch.
async fn read_through(bed: &Bed) {
    let there: usize = bed.output().values().map(|log| log.records.len()).sum();
    for _ in 0..READ_SECONDS {
        // A moment, too, in which it would be given too much.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let history = bed.log.history();
        let read = history.events().filter(|(_, event)| matches!(event, Event::ReadBack { .. }));
        if read.count() >= there {
            return;
        }
    }
}

/// The copiers, which come and go. A slot has a transactional id, as a process that is restarted
/// has.
struct Copiers {
    seed: u64,
    trial: Trial,
    running: Vec<Running>,
    next: u32,
}

struct Running {
    slot: u32,
    actor: Actor,
}

impl Copiers {
    async fn begin(bed: &Bed, seed: u64, trial: Trial, draw: &mut Draw) -> Self {
        let mut copiers = Self { seed, trial, running: Vec::new(), next: 1 };
        for slot in 0..u32::try_from(draw.within(1..4)).unwrap() {
            copiers.join(bed, slot).await;
        }
        copiers
    }

    async fn join(&mut self, bed: &Bed, slot: u32) {
        let number = self.next;
        self.next += 1;
        let client = bed.client(100 + u64::from(number)).await;
        let copier = Copier {
            number,
            id: transactional_id(slot),
            client: client.clone(),
            log: bed.log.clone(),
            draw: Draw::new(self.seed.wrapping_mul(1_000).wrapping_add(number.into())),
            hardships: bed.hardships.clone(),
            whims: Draw::new(self.seed.wrapping_mul(1_000).wrapping_sub(number.into())),
            attempts: 0,
            trial: self.trial,
        };
        self.running.push(Running { slot, actor: Actor::begin(client, |stop| copier.run(stop)) });
    }

    /// Kills copiers and starts them again, some so late that their transactions time out, and some
    /// so early that there are two of them for a while.
    async fn churn(&mut self, bed: &Bed, draw: &mut Draw) {
        for _ in 0..draw.within(0..6) {
            tokio::time::sleep(draw.duration(Duration::from_secs(1)..Duration::from_secs(8))).await;
            let at = usize::try_from(draw.within(0..self.running.len() as u64)).unwrap();
            let slot = self.running[at].slot;
            if draw.chance(30) {
                self.join(bed, slot).await;
            }
            let gone = self.running.remove(at).actor;
            if draw.chance(70) {
                gone.kill().await;
            } else {
                gone.drop_task();
            }
            if draw.chance(40) {
                tokio::time::sleep(draw.duration(TIMEOUT / 2..TIMEOUT * 2)).await;
            }
            if self.running.iter().all(|running| running.slot != slot) {
                self.join(bed, slot).await;
            }
        }
    }

    async fn end(self) {
        for running in self.running {
            running.actor.stop().await.close().await;
        }
    }
}

/// One copier.
struct Copier {
    number: u32,
    id: String,
    client: Client,
    log: Log,
    draw: Draw,
    hardships: Hardships,
    /// Draws what only hardships bring.
    whims: Draw,
    attempts: u32,
    trial: Trial,
}

/// Why the work was given up.
#[derive(Debug)]
enum Failed {
    Work,
    Transaction(TransactionError),
}

impl From<TransactionError> for Failed {
    fn from(error: TransactionError) -> Self {
        Self::Transaction(error)
    }
}

impl Copier {
    /// Copies until it is told to stop, with a new producer and a new consumer where it must.
    async fn run(mut self, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            let producer = Producer::builder(&self.client).transactional(self.id.as_str());
            let producer = producer.transaction_timeout(TIMEOUT).delivery_timeout(TIMEOUT);
            let producer = producer.request_timeout(Duration::from_secs(3));
            let producer = match self.hardships.codec {
                Some(codec) => producer.compression(codec),
                None => producer,
            };
            let producer = match self.trial.ordeal {
                Ordeal::SilentEnds => producer.max_block(IMPATIENT),
                Ordeal::None | Ordeal::Expulsions => producer,
            };
            match producer.build().await {
                Ok(producer) => Box::pin(self.copy(producer, &mut stop)).await,
                Err(error) => self.note(Event::Fault(format!("{}: {error}", self.id))),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn note(&self, event: Event) {
        self.log.note(event);
    }

    async fn consumer(&self) -> Consumer {
        let builder = ConsumerBuilder::new(self.client.clone()).group(GROUP).subscribe([TOPIC]);
        let builder = builder.read_committed().manual_commit().configure(|config| {
            config.auto_offset_reset = AutoOffsetReset::Earliest;
            config.session_timeout = Duration::from_secs(6);
            config.heartbeat_interval = Duration::from_secs(1);
            config.max_poll_interval = MAX_POLL_INTERVAL;
            config.max_poll_records = Some(7);
        });
        let tell = Tell::new(self.number, self.log.clone());
        builder.on_rebalance(tell).build().await.unwrap()
    }

    async fn copy(
        &mut self,
        mut producer: TransactionalProducer,
        stop: &mut watch::Receiver<bool>,
    ) {
        let mut consumer = self.consumer().await;
        loop {
            let polled = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => break,
                polled = poll(&mut consumer, self.hardships.patience) => polled,
            };
            let batches = match polled {
                Ok(Some(first)) => more(&mut consumer, first),
                Ok(None) => break,
                Err(error) => {
                    self.note(Event::Fault(format!("copier {}: {error}", self.number)));
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            if !self.copy_batches(&mut producer, &mut consumer, &batches).await {
                break;
            }
        }
        let log = self.log.clone();
        let _left = in_limit(&log, "close", CLOSE, consumer.close(CLOSE)).await;
        let _closed = in_limit(&log, "close", CLOSE, producer.close(CLOSE)).await;
    }

    /// Copies some batches in a transaction; whether the producer can be used on.
    async fn copy_batches(
        &mut self,
        producer: &mut TransactionalProducer,
        consumer: &mut Consumer,
        batches: &[Batch],
    ) -> bool {
        self.trial.defect.before(consumer).await;
        let (log, before, patience) = (self.log.clone(), self.attempts, self.patience());
        let transacting = patiently(patience, self.transact(producer, batches));
        let outcome = match in_limit(&log, "transaction", TRANSACTION, transacting).await {
            // Dropped before anything was begun.
            None if self.attempts == before => {
                consumer.rewind(batches);
                return true;
            }
            // It is aborted, or goes on to be committed.
            None => settle(producer).await,
            Some(Ok(())) => Ended::Committed,
            Some(Err(Failed::Transaction(error))) if error.is_outcome_unknown() => {
                self.note(Event::Fault(format!("copier {}: {error}", self.number)));
                if self.trial.defect.gives_unknown_up() {
                    Ended::Aborted
                } else {
                    settle(producer).await
                }
            }
            Some(Err(error)) => {
                self.note(Event::Fault(format!("copier {}: {error:?}", self.number)));
                let fatal = matches!(&error, Failed::Transaction(error) if error.is_fatal());
                if fatal {
                    return false;
                }
                Ended::Aborted
            }
        };
        let attempt = Attempt { copier: self.number, number: self.attempts };
        self.note(Event::Ended { attempt, outcome: self.trial.defect.told(outcome) });
        self.trial.defect.after(consumer).await;
        if outcome != Ended::Committed && !self.trial.defect.forgets() {
            consumer.rewind(batches);
        }
        true
    }

    /// How long the next transaction is waited for, where that is not to its end.
    fn patience(&mut self) -> Option<Duration> {
        let is_short = self.hardships.patience.is_some() && self.whims.chance(20);
        let patience = Duration::from_millis(1)..Duration::from_millis(400);
        is_short.then(|| self.whims.duration(patience))
    }

    async fn transact(
        &mut self,
        producer: &mut TransactionalProducer,
        batches: &[Batch],
    ) -> Result<(), Failed> {
        let transaction = producer.begin().await?;
        self.attempts += 1;
        let attempt = Attempt { copier: self.number, number: self.attempts };
        match self.work(&transaction, attempt, batches).await {
            Ok(()) => Ok(transaction.commit().await?),
            Err(error) => {
                transaction.abort().await?;
                Err(error)
            }
        }
    }

    async fn work(
        &mut self,
        transaction: &Transaction<'_>,
        attempt: Attempt,
        batches: &[Batch],
    ) -> Result<(), Failed> {
        let mut records: Vec<(i32, String)> = Vec::new();
        for batch in batches {
            let value = |value: Option<&[u8]>| {
                let text = String::from_utf8_lossy(value.unwrap_or_default()).into_owned();
                text.split(' ').next().unwrap_or_default().to_owned()
            };
            let copies = batch.records().map(|record| value(record.value()));
            records.extend(copies.map(|value| (batch.partition(), value)));
        }
        self.trial.defect.change(&mut records);
        for (at, (partition, stamp)) in records.iter().enumerate() {
            let value = format!("{stamp} {attempt}");
            let stamp: Stamp = stamp.parse().unwrap();
            self.note(Event::Wrote { attempt, stamp });
            let record = Record::to(OUTPUT).partition(*partition).value(value);
            if self.trial.defect.writes_outside(at) {
                let plain = Producer::builder(&self.client).build().await.unwrap();
                drop(plain.send(record).await);
            } else if transaction.post(record).await.is_err() {
                return Err(transaction.failure().map_or(Failed::Work, Failed::Transaction));
            }
        }
        if self.draw.chance(4) {
            // Longer than the coordinator waits, now and then.
            tokio::time::sleep(self.draw.duration(Duration::from_millis(100)..TIMEOUT * 2)).await;
        }
        if self.draw.chance(5) {
            return Err(Failed::Work);
        }
        if self.trial.ordeal == Ordeal::Expulsions && self.draw.chance(20) {
            expel(&self.client, batches).await;
            // The others learn of it by their heartbeats, and begin what this one is at.
            tokio::time::sleep(TIMEOUT / 2).await;
        }
        if self.trial.defect.keeps_offsets() {
            return Ok(());
        }
        Ok(transaction.commit_offsets(&self.trial.defect.progress(batches)).await?)
    }
}

/// What else is there, up to some batches.
fn more(consumer: &mut Consumer, first: Batch) -> Vec<Batch> {
    let mut batches = vec![first];
    while batches.len() < 4
        && let Ok(Some(next)) = consumer.try_poll()
    {
        batches.push(next);
    }
    batches
}

/// Polls, and drops the future as often as the patience of the application has it.
async fn poll(
    consumer: &mut Consumer,
    patience: Option<Duration>,
) -> Result<Option<Batch>, ConsumerError> {
    loop {
        if let Some(polled) = patiently(patience, consumer.poll()).await {
            return polled;
        }
    }
}

/// Asks what became of a transaction until somebody knows.
async fn settle(producer: &mut TransactionalProducer) -> Ended {
    loop {
        match producer.settle().await {
            Ok(TransactionOutcome::Committed) => return Ended::Committed,
            Ok(TransactionOutcome::Aborted) => return Ended::Aborted,
            Err(error) if error.is_outcome_unknown() => {}
            Err(_) => return Ended::Unknown,
        }
    }
}

/// Puts the member that read `batches` out of its group, as an operator does.
async fn expel(client: &Client, batches: &[Batch]) {
    let Some(reader) = batches.group() else { return };
    let member = MemberIdentity { member_id: reader.member_id, ..Default::default() };
    let members = vec![member];
    let request = LeaveGroupRequest { group_id: GROUP.into(), members, ..Default::default() };
    let coordinator = Target::Coordinator(CoordinatorKind::Group, GROUP.into());
    let deadline = Deadline::after(client.runtime().now(), TIMEOUT);
    // One that is put out already is as good.
    drop(client.call(&coordinator, &request, deadline).await);
}

/// Reads the copies as a consumer of committed records is given them.
async fn read_back(client: Client, log: Log, trial: Trial, patience: Option<Duration>) {
    let mut consumer = loop {
        let partitions = (0..PARTITIONS).map(|partition| TopicPartition::new(OUTPUT, partition));
        let builder = ConsumerBuilder::new(client.clone()).assign(partitions);
        let builder = builder.start_at(AutoOffsetReset::Earliest);
        let builder = if trial.defect.reads_all() { builder } else { builder.read_committed() };
        match builder.build().await {
            Ok(consumer) => break consumer,
            // The topic is denied, for a while.
            Err(error) => log.note(Event::Fault(format!("reading back: {error}"))),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    loop {
        match poll(&mut consumer, patience).await {
            Ok(Some(batch)) => {
                for record in &batch {
                    let value = String::from_utf8_lossy(record.value().unwrap_or_default());
                    log.note(Event::ReadBack {
                        partition: batch.partition(),
                        offset: record.offset(),
                        value: value.into_owned(),
                    });
                }
            }
            Ok(None) => return,
            Err(error) => {
                log.note(Event::Fault(format!("reading back: {error}")));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// What a copier of a slot calls itself.
pub(crate) fn transactional_id(slot: u32) -> String {
    format!("copier-{slot}")
}

/// `transaction.timeout.ms`.
const TIMEOUT: Duration = Duration::from_secs(5);

/// `max.block.ms` of a copier that does not wait until a request that was not answered is sent again.
const IMPATIENT: Duration = Duration::from_secs(2);

/// What a transaction may take with all that can go wrong: the work's sleep, `delivery.timeout.ms`, and
/// `max.block.ms` for each of beginning, committing and aborting, and twice for its offsets.
const TRANSACTION: Duration = Duration::from_secs(10 + 5 + 5 * 60);

/// What closing may take.
const CLOSE: Duration = Duration::from_secs(10);

/// How long the reader has for the rest: `request.timeout.ms`, and a little.
const READ_SECONDS: u32 = 40;

/// How long the copiers have to catch up once everything is well.
const DRAIN_SECONDS: u32 = 120;
