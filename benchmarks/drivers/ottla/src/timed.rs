//! Records on a schedule: until they are acknowledged, and until they are read again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bench_driver::{Failure, Latencies, Options, Payload, Schedule, Usage, time_in_order};
use bytes::Bytes;
use ottla::{Consumer, Delivery, Producer, Record, RecordMetadata, TopicPartition, Undelivered};

/// Times each record until it is acknowledged.
pub async fn acknowledge(options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let producer = crate::connect(options).await?.producer().build().await?;
    time(&producer, options, payload, options.warmup).await?;
    let from = Usage::now()?;
    let latencies = time(&producer, options, payload, options.records).await?;
    crate::report_with(from, options, &latencies.figures())
}

async fn time(
    producer: &Producer,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<Latencies, Failure> {
    match options.mode.as_str() {
        "awaited" => time_awaited(producer, options, payload, count).await,
        "callback" => time_callbacks(producer, options, payload, count).await,
        _ => Err(options.no_such_mode("awaited, callback for latency")),
    }
}

async fn time_awaited(
    producer: &Producer,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<Latencies, Failure> {
    let topic = producer.topic(options.topic.as_str()).await?;
    let send = async |index| Ok(topic.enqueue(None, Some(payload.value(index))).await?);
    let acknowledge = |delivery: Delivery| async { Ok(delivery.await.map(drop)?) };
    time_in_order(options.rate, count, send, acknowledge).await
}

async fn time_callbacks(
    producer: &Producer,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<Latencies, Failure> {
    // What is not loaded yet refuses the first record.
    drop(producer.topic(options.topic.as_str()).await?);
    let seen = Arc::new(Mutex::new((Latencies::of(count), 0)));
    let schedule = Schedule::begin(options.rate);
    for index in 0..count {
        let due = schedule.wait_for(index);
        let value = Bytes::from_static(payload.value(index));
        let seen = Arc::clone(&seen);
        let called = move |outcome: Result<RecordMetadata, Undelivered>| {
            let (latencies, failed) = &mut *lock(&seen);
            match outcome {
                Ok(_) => latencies.add(due),
                Err(_) => *failed += 1,
            }
        };
        producer.try_enqueue_with(Record::to(options.topic.as_str()).value(value), called)?;
    }
    producer.flush().await;
    // A batch counts as settled just before its callbacks are called.
    loop {
        let (latencies, failed) = &mut *lock(&seen);
        match (latencies.len() + *failed == count, *failed) {
            (true, 0) => return Ok(std::mem::take(latencies)),
            (true, failed) => return Err(format!("{failed} were not acknowledged").into()),
            (false, _) => std::thread::yield_now(),
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Times each record until it is read again, in this process.
pub async fn end_to_end(options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let kafka = crate::connect(options).await?;
    let producer = kafka.producer().build().await?;
    let topic = producer.topic(options.topic.as_str()).await?;
    let assigned = [TopicPartition::new(options.topic.as_str(), 0)];
    let consumer = kafka.standalone_consumer().assign(assigned).build().await?;
    let mut consumer = Some(consumer);
    let mut from = Usage::now()?;
    let mut latencies = Latencies::default();
    for count in [options.warmup, options.records] {
        let Some(reader) = consumer.take() else { break };
        from = Usage::now()?;
        let schedule = Schedule::begin(options.rate);
        let reader = tokio::spawn(read(reader, options.clone(), schedule, count));
        for index in 0..count {
            if options.rate != 0 {
                let _ = schedule.wait_for(index);
            }
            let value = Some(payload.value(index));
            match topic.try_post(None, value) {
                Err(error) if error.would_wait() => topic.post(None, value).await?,
                posted => posted?,
            }
        }
        let (again, measured) = reader.await??;
        (consumer, latencies) = (Some(again), measured);
    }
    match options.rate {
        0 => crate::report(from, options),
        _ => crate::report_with(from, options, &latencies.figures()),
    }
}

async fn read(
    mut consumer: Consumer,
    options: Options,
    schedule: Schedule,
    count: u64,
) -> Result<(Consumer, Latencies), Failure> {
    let mut latencies = Latencies::of(count);
    while latencies.len() < count {
        let batch = consumer.poll().await?.ok_or("the consumer ended")?;
        for record in &batch {
            options.look_at(record.value())?;
            latencies.add(schedule.due(latencies.len()));
        }
    }
    Ok((consumer, latencies))
}
