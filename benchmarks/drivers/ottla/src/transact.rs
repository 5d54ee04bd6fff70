//! Records in transactions of equal size.

use bench_driver::{Failure, Options, Payload, Usage, settled};
use ottla::TransactionalProducer;

pub async fn transact(options: &Options) -> Result<(), Failure> {
    let payload = options.read_payload()?;
    let kafka = crate::connect(options).await?;
    let mut producer = kafka.producer().transactional("bench").build().await?;
    commit(&mut producer, options, payload, options.warmup).await?;
    settled();
    let from = Usage::now()?;
    commit(&mut producer, options, payload, options.records).await?;
    crate::report(from, options)?;
    match producer.delivered() {
        delivered if delivered == options.warmup + options.records => Ok(()),
        delivered => Err(format!("{delivered} records were acknowledged").into()),
    }
}

async fn commit(
    producer: &mut TransactionalProducer,
    options: &Options,
    payload: Payload,
    count: u64,
) -> Result<(), Failure> {
    let mut index = 0;
    while index < count {
        let transaction = producer.begin().await?;
        let topic = transaction.topic(options.topic.as_str()).await?;
        let end = count.min(index + options.transaction);
        for index in index..end {
            let value = Some(payload.value(index));
            match topic.try_post(None, value) {
                Err(error) if error.would_wait() => topic.post(None, value).await?,
                posted => posted?,
            }
        }
        transaction.commit().await?;
        index = end;
    }
    Ok(())
}
