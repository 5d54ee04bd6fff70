//! The `rdkafka` crate under the command line that all drivers share.

use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bench_driver::{
    Failure, HEADERS, Latencies, Op, Options, Payload, Usage, exit, key, settled, time_in_order,
};
use clap::Parser;
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryFuture, FutureProducer, FutureRecord, Producer, ProducerContext,
    ThreadedProducer,
};
use rdkafka::{Offset, TopicPartitionList};

fn main() -> ExitCode {
    exit("rdkafka", run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    match (options.op, options.mode.as_str()) {
        (Op::Latency, "future") => runtime.block_on(time_futures(options)),
        (Op::Transaction, "threaded") => transact(options),
        (Op::Produce, "threaded") => produce_threaded(options),
        (Op::Produce, "future") => runtime.block_on(produce_futures(options)),
        (Op::Consume, "base") => consume_base(options),
        (Op::Consume, "stream") => runtime.block_on(consume_stream(options)),
        _ => Err(options.no_such_mode("threaded, future to produce; base, stream to consume")),
    }
}

fn report(from: Usage, options: &Options) -> Result<(), Failure> {
    report_with(from, options, &[])
}

fn report_with(from: Usage, options: &Options, figures: &[(&str, f64)]) -> Result<(), Failure> {
    let (_, version) = rdkafka::util::get_rdkafka_version();
    let version = format!("0.39.0 on librdkafka {version}");
    from.report_with(&format!("rdkafka-{}", options.mode), &version, options, figures)
}

/// Counts what was acknowledged.
#[derive(Default)]
struct Acknowledged {
    done: AtomicU64,
    failed: AtomicU64,
}

#[derive(Clone, Default)]
struct Counting(Arc<Acknowledged>);

impl ClientContext for Counting {}

impl ProducerContext for Counting {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.failed.fetch_add(1, Ordering::Relaxed);
        }
        self.0.done.fetch_add(1, Ordering::Relaxed);
    }
}

fn produce_threaded(options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let counting = Counting::default();
    let producer: ThreadedProducer<Counting> =
        producer_config(options).create_with_context(counting.clone())?;
    send_threaded(&producer, options, payload, options.warmup)?;
    let from = Usage::now()?;
    send_threaded(&producer, options, payload, options.records)?;
    report(from, options)?;
    match counting.0.failed.load(Ordering::Relaxed) {
        0 => Ok(()),
        failed => Err(format!("{failed} records were not acknowledged").into()),
    }
}

fn send_threaded(
    producer: &ThreadedProducer<Counting>,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<(), Failure> {
    for index in 0..count {
        let key = options.keyed.then(|| key(index));
        let mut record = BaseRecord::<str, [u8], ()>::to(&options.topic)
            .partition(options.partition(index))
            .payload(payload.value(index));
        if let Some(key) = &key {
            record = record.key(key.as_str()).headers(headers());
        }
        loop {
            match producer.send(record) {
                Ok(()) => break,
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                    std::thread::sleep(Duration::from_millis(1));
                    record = again;
                }
                Err((error, _)) => return Err(error.into()),
            }
        }
    }
    Ok(producer.flush(PATIENCE)?)
}

fn transact(options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let counting = Counting::default();
    let producer: ThreadedProducer<Counting> = producer_config(options)
        .set("transactional.id", "bench")
        .create_with_context(counting.clone())?;
    producer.init_transactions(PATIENCE)?;
    commit(&producer, options, payload, options.warmup)?;
    settled();
    let from = Usage::now()?;
    commit(&producer, options, payload, options.records)?;
    report(from, options)
}

fn commit(
    producer: &ThreadedProducer<Counting>,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<(), Failure> {
    for index in 0..count {
        if index % options.transaction == 0 {
            producer.begin_transaction()?;
        }
        let record = BaseRecord::<str, [u8], ()>::to(&options.topic)
            .partition(options.partition(index))
            .payload(payload.value(index));
        producer.send(record).map_err(|(error, _)| error)?;
        if (index + 1) % options.transaction == 0 || index + 1 == count {
            producer.commit_transaction(PATIENCE)?;
        }
    }
    Ok(())
}

const PATIENCE: Duration = Duration::from_secs(60);

/// Times each record until it is acknowledged.
async fn time_futures(options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let producer: FutureProducer = producer_config(options).create()?;
    time(&producer, options, payload, options.warmup).await?;
    let from = Usage::now()?;
    let latencies = time(&producer, options, payload, options.records).await?;
    report_with(from, options, &latencies.figures())
}

async fn time(
    producer: &FutureProducer,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<Latencies, Failure> {
    let send = async |index| {
        let record = FutureRecord::<str, [u8]>::to(&options.topic)
            .partition(options.partition(index))
            .payload(payload.value(index));
        Ok(producer.send_result(record).map_err(|(error, _)| error)?)
    };
    time_in_order(options.rate, count, send, |sent| acknowledged(Some(sent))).await
}

/// As many handles as krafka's driver keeps, awaited in order.
const OUTSTANDING: usize = 50_000;

async fn produce_futures(options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let producer: FutureProducer = producer_config(options).create()?;
    send_futures(&producer, options, payload, options.warmup).await?;
    let from = Usage::now()?;
    send_futures(&producer, options, payload, options.records).await?;
    report(from, options)
}

async fn send_futures(
    producer: &FutureProducer,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<(), Failure> {
    let mut outstanding: VecDeque<DeliveryFuture> = VecDeque::with_capacity(OUTSTANDING);
    for index in 0..count {
        let key = options.keyed.then(|| key(index));
        let mut record = FutureRecord::<str, [u8]>::to(&options.topic)
            .partition(options.partition(index))
            .payload(payload.value(index));
        if let Some(key) = &key {
            record = record.key(key.as_str()).headers(headers());
        }
        let sent = producer.send_result(record).map_err(|(error, _)| error)?;
        outstanding.push_back(sent);
        if outstanding.len() == OUTSTANDING {
            acknowledged(outstanding.pop_front()).await?;
        }
    }
    while !outstanding.is_empty() {
        acknowledged(outstanding.pop_front()).await?;
    }
    Ok(())
}

async fn acknowledged(sent: Option<DeliveryFuture>) -> Result<(), Failure> {
    if let Some(sent) = sent {
        sent.await?.map_err(|(error, _)| error)?;
    }
    Ok(())
}

fn headers() -> OwnedHeaders {
    HEADERS.iter().fold(OwnedHeaders::new_with_capacity(2), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(*value) })
    })
}

fn producer_config(options: &Options) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.bootstrap)
        .set("acks", "all")
        .set("enable.idempotence", "true")
        .set("linger.ms", options.linger_ms.to_string())
        .set("batch.size", options.batch_bytes.to_string())
        .set("batch.num.messages", "1000000")
        .set("queue.buffering.max.messages", "500000")
        .set("queue.buffering.max.kbytes", "65536")
        .set("max.in.flight.requests.per.connection", "5")
        .set("compression.codec", &options.codec);
    config
}

fn consume_base(options: &Options) -> Result<(), Failure> {
    let consumer: BaseConsumer = consumer_config(options).create()?;
    consumer.assign(&assignment(options)?)?;
    receive_base(&consumer, options, options.warmup)?;
    let from = Usage::now()?;
    receive_base(&consumer, options, options.records)?;
    report(from, options)?;
    leave()
}

fn receive_base(consumer: &BaseConsumer, options: &Options, count: u64) -> Result<(), Failure> {
    let mut seen = 0;
    while seen < count {
        if let Some(message) = consumer.poll(Duration::from_secs(1)) {
            options.look_at(message?.payload())?;
            seen += 1;
        }
    }
    Ok(())
}

async fn consume_stream(options: &Options) -> Result<(), Failure> {
    let consumer: StreamConsumer = consumer_config(options).create()?;
    consumer.assign(&assignment(options)?)?;
    receive_stream(&consumer, options, options.warmup).await?;
    let from = Usage::now()?;
    receive_stream(&consumer, options, options.records).await?;
    report(from, options)?;
    leave()
}

async fn receive_stream(
    consumer: &StreamConsumer,
    options: &Options,
    count: u64,
) -> Result<(), Failure> {
    for _ in 0..count {
        options.look_at(consumer.recv().await?.payload())?;
    }
    Ok(())
}

/// Nothing is left behind, and closing drains queues for seconds.
fn leave() -> ! {
    std::process::exit(0)
}

fn assignment(options: &Options) -> Result<TopicPartitionList, Failure> {
    let mut list = TopicPartitionList::new();
    for partition in 0..options.partitions {
        list.add_partition_offset(&options.topic, partition, Offset::Offset(0))?;
    }
    Ok(list)
}

fn consumer_config(options: &Options) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", &options.bootstrap)
        .set("group.id", "bench")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("fetch.message.max.bytes", "1048576")
        .set("fetch.queue.backoff.ms", "1");
    config
}
