//! What transactions promise to those who read committed.

use std::time::Duration;

use ottla_consumer::{Batch, Consumer};
use ottla_core::net::Client;
use ottla_integration_tests::TestCluster;
use ottla_producer::{Producer, Record, Transaction, TransactionError, TransactionalProducer};

use crate::clients::connect;
use crate::consume::{from_the_beginning, number, receive};
use crate::groups::member;
use crate::produce::enqueue_all;

pub(crate) async fn what_is_committed_is_read_and_what_is_aborted_is_not(cluster: &TestCluster) {
    let topic = cluster.create_topic("decided", 1).await;
    let client = connect(cluster).await;
    let mut producer = transactional(&client, &cluster.unique("decider")).await;
    for round in 0..10 {
        let transaction = producer.begin().await.expect("the one before has ended");
        for record in 0..10 {
            let number = round * 10 + record;
            transaction.post(numbered(&topic, number)).await.expect("there is room");
        }
        if round % 2 == 0 {
            transaction.commit().await.expect("it is committed");
        } else {
            transaction.abort().await.expect("it is aborted");
        }
    }
    let mut consumer = reader(&client, &topic).await;
    for round in (0..10).step_by(2) {
        for record in 0..10 {
            assert_eq!(number(&receive(&mut consumer).await), round * 10 + record);
        }
    }
    client.close().await;
}

pub(crate) async fn a_newer_producer_of_an_id_fences_the_older_at_once(cluster: &TestCluster) {
    let topic = cluster.create_topic("owned", 1).await;
    let client = connect(cluster).await;
    let id = cluster.unique("owner");
    let mut older = transactional(&client, &id).await;
    let transaction = older.begin().await.expect("nothing is open");
    transaction.send(numbered(&topic, 1)).await.expect("it is written");
    let begun = tokio::time::Instant::now();
    let mut newer = transactional(&client, &id).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let error = transaction.commit().await.expect_err("it is fenced");
    assert!(error.is_fenced(), "{error}");
    let transaction = newer.begin().await.expect("nothing is open");
    transaction.send(numbered(&topic, 2)).await.expect("it is written");
    transaction.commit().await.expect("it is committed");
    let error = older.begin().await.expect_err("it is fenced");
    assert!(error.is_fenced(), "{error}");
    assert_eq!(number(&receive(&mut reader(&client, &topic).await).await), 2);
    client.close().await;
}

pub(crate) async fn a_group_goes_on_where_transactions_committed(cluster: &TestCluster) {
    let (input, output) =
        (cluster.create_topic("read", 2).await, cluster.create_topic("written", 2).await);
    let client = connect(cluster).await;
    let plain = crate::clients::producer(&client, |builder| builder).await;
    enqueue_all(&plain, &input, 0..200).await;
    let (group, id) = (cluster.unique("copiers"), cluster.unique("copier"));
    let mut copied = 0;
    while copied < 200 {
        // Each is killed in the middle of a transaction, but for the last.
        let mut producer = transactional(&client, &id).await;
        let mut consumer = member(&client, &group, &input)
            .read_committed()
            .manual_commit()
            .configure(|config| config.max_poll_records = Some(20))
            .build()
            .await
            .expect("it is built");
        let mut copy = async |transaction: &Transaction<'_>, batch: &Batch| {
            for record in batch {
                let value = record.value().unwrap_or_default().to_vec();
                let record = Record::to(&*output).partition(batch.partition()).value(value);
                transaction.post(record).await.expect("there is room");
            }
            Ok::<_, TransactionError>(batch.records().count())
        };
        for _ in 0..3 {
            let batch = next(&mut consumer).await;
            copied += producer.transaction_over(&batch, &mut copy).await.expect("it is committed");
            if copied == 200 {
                break;
            }
        }
        if copied < 200 {
            let batch = next(&mut consumer).await;
            let transaction = producer.begin().await.expect("nothing is open");
            copy(&transaction, &batch).await.expect("it is taken");
            transaction.commit_offsets(&batch).await.expect("it is the only member");
            std::mem::forget(transaction);
        }
        consumer.close(Duration::from_secs(10)).await.expect("it leaves");
        std::mem::forget(producer);
    }
    let mut consumer = reader(&client, &output).await;
    let mut found = Vec::new();
    for _ in 0..200 {
        found.push(number(&receive(&mut consumer).await));
    }
    found.sort_unstable();
    assert_eq!(found, (0..200).collect::<Vec<u32>>());
    client.close().await;
}

pub(crate) async fn a_transaction_that_takes_too_long_is_aborted_and_the_next_goes(
    cluster: &TestCluster,
) {
    let topic = cluster.create_topic("slow", 1).await;
    let client = connect(cluster).await;
    let builder = Producer::builder(&client).transactional(cluster.unique("slow"));
    let built = builder.transaction_timeout(Duration::from_secs(1)).build().await;
    let mut producer = built.expect("the coordinator answers");
    let transaction = producer.begin().await.expect("nothing is open");
    transaction.send(numbered(&topic, 1)).await.expect("it is written");
    // Kafka looks every ten seconds.
    tokio::time::sleep(Duration::from_secs(13)).await;
    let error = transaction.commit().await.expect_err("its time is over");
    assert!(error.may_run_again(), "{error}");
    let transaction = producer.begin().await.expect("it is initialised anew");
    transaction.send(numbered(&topic, 2)).await.expect("it is written");
    transaction.commit().await.expect("it is committed");
    assert_eq!(number(&receive(&mut reader(&client, &topic).await).await), 2);
    client.close().await;
}

async fn transactional(client: &Client, id: &str) -> TransactionalProducer {
    let built = Producer::builder(client).transactional(id.to_owned()).build().await;
    built.expect("the coordinator answers")
}

/// Reads what is committed of all partitions.
async fn reader(client: &Client, topic: &str) -> Consumer {
    let group = format!("{topic}-readers");
    let reader = from_the_beginning(client).group(group).subscribe([topic]).read_committed();
    reader.build().await.expect("it is built")
}

async fn next(consumer: &mut Consumer) -> Batch {
    let next = tokio::time::timeout(Duration::from_secs(30), consumer.poll()).await;
    next.expect("there is one").expect("it can be read").expect("it is not shut down")
}

fn numbered(topic: &str, number: u32) -> Record {
    Record::to(topic).value(number.to_string())
}
