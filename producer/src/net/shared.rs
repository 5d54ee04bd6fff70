//! What the clones of a producer and its tasks share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ottla_core::cluster::{ClusterSnapshot, TopicInfo};
use ottla_core::error::{ErrorCode, RequestError};
use ottla_core::net::{Client, SnapshotListener, Target, Task, TopicUse};
use ottla_core::retry::{Backoff, Deadline};
use ottla_core::types::{ProducerEpoch, ProducerId, TopicName};
use ottla_protocol::messages::InitProducerIdRequest;
use parking_lot::Mutex;

use super::close::Closing;
use super::host::Signals;
use super::transaction;
use crate::accumulator::{Accumulator, Topic};
use crate::error::SendError;
use crate::machine::budget::Charge;
use crate::machine::identity::Identity;

/// What the clones of a producer and its tasks share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) accumulator: Accumulator,
    pub(super) client: Client,
    pub(super) signals: Arc<Signals>,
    closed: AtomicBool,
    /// Whether it is ended, or somebody is about that.
    closing: AtomicBool,
    /// Keeps the topics in the metadata that were sent to.
    uses: Mutex<Vec<TopicUse>>,
    pub(super) tasks: Mutex<Vec<Task>>,
}

impl SnapshotListener for Shared {
    fn handle_snapshot(&self, snapshot: &Arc<ClusterSnapshot>, _: Instant) {
        self.accumulator.handle_snapshot(snapshot);
    }
}

impl Shared {
    pub(super) fn new(
        accumulator: Accumulator,
        client: Client,
        signals: Arc<Signals>,
    ) -> Arc<Self> {
        let shared = Arc::new(Self {
            accumulator,
            client,
            signals,
            closed: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            uses: Mutex::default(),
            tasks: Mutex::default(),
        });
        let listener = Arc::downgrade(&shared);
        shared.client.add_listener(listener);
        shared.spawn_tasks();
        shared
    }

    fn spawn_tasks(self: &Arc<Self>) {
        let runtime = self.client.runtime();
        let expire = runtime.spawn("producer-expiries", expire(Arc::clone(self)));
        let identify = runtime.spawn("producer-identity", identify(Arc::clone(self)));
        let follow = runtime.spawn("producer-leaders", follow(Arc::clone(self)));
        self.tasks.lock().extend([expire, identify, follow]);
        if self.accumulator.common.transaction.is_some() {
            let transact = runtime.spawn("transactions", transaction::run(Arc::clone(self)));
            self.tasks.lock().push(transact);
        }
    }

    /// Closes to new records, and gives the right to end what is there; `None` where that was given
    /// and not laid down.
    pub(super) fn close(self: &Arc<Self>) -> Option<Closing> {
        self.closed.store(true, Ordering::Release);
        let taken = self.closing.swap(true, Ordering::AcqRel);
        (!taken).then(|| Closing::new(Arc::clone(self)))
    }

    /// Lets somebody else end it.
    pub(super) fn lay_down_closing(&self) {
        self.closing.store(false, Ordering::Release);
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The deadline of a call that may wait.
    pub(super) fn deadline(&self) -> Deadline {
        let budget = self.accumulator.common.config.max_block;
        Deadline::after(self.client.runtime().now(), budget)
    }

    /// A topic with its partitions, learnt if need be.
    pub(super) async fn topic(
        &self,
        name: &TopicName,
        deadline: Deadline,
    ) -> Result<Arc<Topic>, SendError> {
        if let Some(topic) = self.accumulator.topic(name) {
            return Ok(topic);
        }
        let terms = &self.accumulator.common.terms;
        if terms.idempotent && !terms.transactional {
            // Both are needed, so neither waits for the other.
            self.signals.identity.notify_one();
        }
        let used = self.client.use_topics([name.clone()]);
        let info = self.topic_info(name, deadline).await?;
        self.uses.lock().push(used);
        let topic = self.accumulator.learn_topic(&info);
        // A leader may have moved before the topic was there to be told.
        self.accumulator.handle_snapshot(&self.client.snapshot());
        Ok(topic)
    }

    /// Waits until the topic has partitions, or the cluster says that it has none to send to.
    async fn topic_info(
        &self,
        name: &TopicName,
        deadline: Deadline,
    ) -> Result<Arc<TopicInfo>, SendError> {
        let too_late = |last: RequestError| SendError::NoMetadata {
            topic: name.clone(),
            max_block: self.accumulator.common.config.max_block,
            last: Some(Arc::new(last)),
        };
        loop {
            let seen = self.client.snapshot().version;
            let info = self.client.topic(name, deadline).await.map_err(too_late)?;
            match info.error {
                Some(code) => return Err(SendError::Topic { topic: name.clone(), code }),
                None if !info.partitions.is_empty() => return Ok(info),
                // It is being made.
                None => {
                    self.client.request_refresh();
                    self.client.changed(seen, deadline).await.map_err(too_late)?;
                }
            }
        }
    }

    /// Whether the topic has a partition that it was not known to have. Asked a few times, as a broker
    /// may not have heard yet of one that was added.
    pub(super) async fn finds_partition(
        &self,
        topic: &Topic,
        partition: i32,
        deadline: Deadline,
    ) -> bool {
        let asks = if partition < 0 { 0 } else { DENIALS };
        for _ in 0..asks {
            let Ok(snapshot) = self.client.refreshed(deadline).await else { return false };
            self.accumulator.handle_snapshot(&snapshot);
            if partition < topic.count() {
                return true;
            }
        }
        false
    }

    /// Waits for memory. Whoever lingers goes meanwhile.
    pub(super) async fn room(
        &self,
        topic: &TopicName,
        bytes: usize,
        deadline: Deadline,
    ) -> Result<Charge, SendError> {
        let common = &self.accumulator.common;
        let waiting = common.terms.budget.wait(bytes);
        self.accumulator.wake_links();
        let late = self.client.runtime().sleep_until(Some(deadline.instant()));
        tokio::select! {
            biased;
            charge = waiting => Ok(charge),
            () = late => Err(SendError::NoRoom {
                topic: topic.clone(),
                buffer_memory: common.config.buffer_memory,
                max_block: common.config.max_block,
            }),
        }
    }
}

/// How often a partition is denied before that is believed. With the default backoff that is 1.5 s,
/// in which one that was just added is known everywhere.
const DENIALS: u32 = 5;

/// Gives up on batches that are too old, when they are.
async fn expire(shared: Arc<Shared>) {
    let runtime = shared.client.runtime().clone();
    loop {
        let next = shared.accumulator.expire(runtime.now());
        tokio::select! {
            biased;
            () = shared.signals.expiries.notified() => {}
            () = runtime.sleep_until(next) => {}
        }
    }
}

/// Asks for metadata for as long as records wait for a partition to get its first leader: without
/// one, there is no link that would.
async fn follow(shared: Arc<Shared>) {
    let runtime = shared.client.runtime();
    let wait = shared.accumulator.common.config.retry_backoff_max;
    loop {
        shared.signals.leaders.notified().await;
        while shared.accumulator.waits_for_leader() {
            shared.client.request_refresh();
            runtime.sleep(wait).await;
        }
    }
}

/// Asks for a producer id whenever one is needed.
async fn identify(shared: Arc<Shared>) {
    let common = &shared.accumulator.common;
    let runtime = shared.client.runtime();
    let mut backoff = Backoff::new(common.config.retry_backoff, common.config.retry_backoff_max);
    loop {
        shared.signals.identity.notified().await;
        while common.identity.current().is_none() {
            match ask_identity(&shared).await {
                Ok(identity) => {
                    tracing::info!(?identity, "producer id");
                    backoff.reset();
                    common.identity.set(identity);
                    shared.accumulator.wake_links();
                }
                Err(Refused::Try) => runtime.sleep(backoff.fail(runtime.random())).await,
                Err(Refused::For(code)) => {
                    tracing::warn!(%code, "no producer id");
                    shared.accumulator.fail_identity(code);
                    break;
                }
            }
        }
    }
}

/// Why there is no producer id.
enum Refused {
    /// Another time there may be.
    Try,
    /// There is none for us.
    For(ErrorCode),
}

async fn ask_identity(shared: &Shared) -> Result<Identity, Refused> {
    let config = &shared.accumulator.common.config;
    let deadline = Deadline::after(shared.client.runtime().now(), config.request_timeout);
    let request = InitProducerIdRequest {
        transactional_id: None,
        transaction_timeout_ms: i32::MAX,
        producer_id: -1,
        producer_epoch: -1,
        ..InitProducerIdRequest::default()
    };
    let answer = match shared.client.call(&Target::AnyBroker, &request, deadline).await {
        Ok(answer) => answer,
        Err(RequestError::UnsupportedVersion { .. }) => {
            return Err(Refused::For(ErrorCode::UnsupportedVersion));
        }
        Err(_) => return Err(Refused::Try),
    };
    match ErrorCode::from_code(answer.error_code) {
        ErrorCode::None => {
            let id = ProducerId::from_wire(answer.producer_id);
            let epoch = ProducerEpoch::from_wire(answer.producer_epoch);
            id.zip(epoch).map(|(id, epoch)| Identity { id, epoch }).ok_or(Refused::Try)
        }
        code if code.is_retriable() => Err(Refused::Try),
        code => Err(Refused::For(code)),
    }
}
