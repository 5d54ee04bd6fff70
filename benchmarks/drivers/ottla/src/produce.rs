//! Three ways to learn what became of a record, and two to hand it over.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bench_driver::{Failure, HEADERS, Options, Payload, Usage, key};
use bytes::Bytes;
use ottla::{Delivery, Producer, Record, RecordMetadata, TopicHandle, Undelivered};

pub async fn produce(options: &Options) -> Result<(), Failure> {
    let mode = match options.mode.as_str() {
        "awaited" => Mode::Awaited,
        "dropped" => Mode::Dropped,
        "callback" => Mode::Callback,
        _ => return Err(options.no_such_mode("awaited, dropped, callback to produce")),
    };
    let payload = options.read_payload()?;
    let chosen = Chosen::default();
    let mut builder = crate::connect(options).await?.producer();
    if options.partitions > 1 {
        builder = builder.custom_partitioner(chosen.clone());
    }
    let producer = builder.build().await?;
    let topic = producer.topic(options.topic.as_str()).await?;
    let sender = Sender { producer, topic, chosen, options, payload };
    sender.send(mode, options.warmup).await?;
    let from = Usage::now()?;
    sender.send(mode, options.records).await?;
    crate::report(from, options)
}

/// How the application learns what became of its records.
#[derive(Debug, Clone, Copy)]
enum Mode {
    /// It awaits each.
    Awaited,
    /// It asks for all of them together, in the end.
    Dropped,
    /// It is called back.
    Callback,
}

struct Sender<'a> {
    producer: Producer,
    topic: TopicHandle,
    chosen: Chosen,
    options: &'a Options,
    payload: Payload,
}

impl Sender<'_> {
    /// Returns when every record is acknowledged.
    async fn send(&self, mode: Mode, count: u64) -> Result<(), Failure> {
        let before = self.producer.delivered();
        match mode {
            Mode::Awaited => self.send_awaited(count).await?,
            Mode::Dropped => self.send_dropped(count).await?,
            Mode::Callback => self.send_with_callback(count).await?,
        }
        match self.producer.delivered() - before {
            delivered if delivered == count => Ok(()),
            delivered => Err(format!("{delivered} of {count} records were acknowledged").into()),
        }
    }

    async fn send_awaited(&self, count: u64) -> Result<(), Failure> {
        let partitions = usize::try_from(self.options.partitions)?;
        let most = OUTSTANDING.max(OUTSTANDING_EACH * partitions);
        let mut outstanding: VecDeque<Delivery> = VecDeque::with_capacity(most);
        for index in 0..count {
            // Written out where it is awaited: another future around it would move what it gives.
            outstanding.push_back(if self.options.keyed {
                self.producer.enqueue(self.record(index)).await?
            } else {
                self.chosen.set(self.options.partition(index));
                self.topic.enqueue(None, Some(self.payload.value(index))).await?
            });
            if outstanding.len() == most
                && let Some(oldest) = outstanding.pop_front()
            {
                oldest.await?;
            }
        }
        for delivery in outstanding {
            delivery.await?;
        }
        Ok(())
    }

    async fn send_dropped(&self, count: u64) -> Result<(), Failure> {
        for index in 0..count {
            if self.options.keyed {
                drop(self.producer.enqueue(self.record(index)).await?);
            } else {
                self.post(index).await?;
            }
        }
        self.producer.flush().await;
        Ok(())
    }

    async fn post(&self, index: u64) -> Result<(), Failure> {
        let value = Some(self.payload.value(index));
        self.chosen.set(self.options.partition(index));
        match self.topic.try_post(None, value) {
            Err(error) if error.would_wait() => self.topic.post(None, value).await?,
            posted => posted?,
        }
        Ok(())
    }

    async fn send_with_callback(&self, count: u64) -> Result<(), Failure> {
        let called_before = CALLED.load(Ordering::Acquire);
        // Those that there was no room for at first: one each time that the buffer is full.
        let mut waited = Vec::new();
        for index in 0..count {
            let Err(refused) = self.producer.try_enqueue_with(self.record(index), call) else {
                continue;
            };
            let (error, record) = refused.into_parts();
            match record {
                Some(record) if error.would_wait() => {
                    waited.push(self.producer.enqueue(record).await?);
                }
                _ => return Err(error.into()),
            }
        }
        self.producer.flush().await;
        let with_callback = count - waited.len() as u64;
        for delivery in waited {
            delivery.await?;
        }
        // A batch counts as settled just before its callbacks are called.
        while CALLED.load(Ordering::Acquire) - called_before < with_callback {
            tokio::task::yield_now().await;
        }
        FAILURE.get().map_or(Ok(()), |failure| Err(failure.to_string().into()))
    }

    /// What cannot be lent through a [`TopicHandle`].
    fn record(&self, index: u64) -> Record {
        let mut record = Record::to(self.topic.name().clone())
            .partition(self.options.partition(index))
            .value(Bytes::from_static(self.payload.value(index)));
        if self.options.keyed {
            record = record.key(key(index));
            for (key, value) in HEADERS {
                record = record.header(key, value);
            }
        }
        record
    }
}

/// Deliveries that are kept before the oldest is awaited, as in the drivers of other clients.
const OUTSTANDING: usize = 50_000;

/// As many for each partition at least, or the driver would cut batches of 16 KiB short.
const OUTSTANDING_EACH: usize = 200;

/// Callbacks that were called.
static CALLED: AtomicU64 = AtomicU64::new(0);

/// What the first callback that heard of a failure was told.
static FAILURE: OnceLock<Undelivered> = OnceLock::new();

fn call(outcome: Result<RecordMetadata, Undelivered>) {
    if let Err(undelivered) = outcome {
        FAILURE.get_or_init(|| undelivered);
    }
    CALLED.fetch_add(1, Ordering::Release);
}

/// Sends a record where its application has just said, for records that are lent through a
/// [`TopicHandle`].
#[derive(Debug, Clone, Default)]
struct Chosen(Arc<AtomicI32>);

impl Chosen {
    fn set(&self, partition: i32) {
        self.0.store(partition, Ordering::Relaxed);
    }
}

impl ottla::Partitioner for Chosen {
    fn partition(&self, _record: &ottla::Unpartitioned<'_>) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed))
    }
}
