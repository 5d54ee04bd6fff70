//! Three ways to take records.

use bench_driver::{Failure, Options, Usage};
use futures::StreamExt;
use ottla::{Consumer, ConsumerStream, TopicPartition};

pub async fn consume(options: &Options) -> Result<(), Failure> {
    let all = (0..options.partitions)
        .map(|partition| TopicPartition::new(options.topic.as_str(), partition));
    let kafka = crate::connect(options).await?;
    let mut consumer = kafka.standalone_consumer().assign(all).build().await?;
    match options.mode.as_str() {
        "lent" => {
            read_lent(&mut consumer, options, options.warmup).await?;
            let from = Usage::now()?;
            read_lent(&mut consumer, options, options.records).await?;
            crate::report(from, options)
        }
        "owned" => {
            read_owned(&mut consumer, options, options.warmup).await?;
            let from = Usage::now()?;
            read_owned(&mut consumer, options, options.records).await?;
            crate::report(from, options)
        }
        "stream" => {
            let mut records = consumer.into_stream();
            read_stream(&mut records, options, options.warmup).await?;
            let from = Usage::now()?;
            read_stream(&mut records, options, options.records).await?;
            crate::report(from, options)
        }
        _ => Err(options.no_such_mode("lent, owned, stream to consume")),
    }
}

async fn read_lent(consumer: &mut Consumer, options: &Options, count: u64) -> Result<(), Failure> {
    let mut seen = 0;
    while seen < count {
        let batch = consumer.poll().await?.ok_or(ENDED)?;
        for record in &batch {
            options.look_at(record.value())?;
            seen += 1;
        }
    }
    Ok(())
}

async fn read_owned(consumer: &mut Consumer, options: &Options, count: u64) -> Result<(), Failure> {
    for _ in 0..count {
        let record = consumer.recv().await?.ok_or(ENDED)?;
        options.look_at(record.value())?;
    }
    Ok(())
}

async fn read_stream(
    records: &mut ConsumerStream,
    options: &Options,
    count: u64,
) -> Result<(), Failure> {
    for _ in 0..count {
        let record = records.next().await.ok_or(ENDED)??;
        options.look_at(record.value())?;
        // A stream counts what was acknowledged; what never is would be remembered for ever.
        record.ack();
    }
    Ok(())
}

const ENDED: &str = "the consumer ended";
