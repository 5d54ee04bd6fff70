//! Brokers that fail, and work that does.

use std::time::Duration;

use ottla::{Error, ErrorKind, Pipeline};
use ottla_broker::fault::{Act, Rule};
use ottla_protocol::{ApiKey, ErrorCode};

use super::bed::{both, copy};

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_copy_nothing_twice() {
    both(async |bed| {
        bed.fill(0..300).await;
        for api in [
            ApiKey::EndTxn,
            ApiKey::Produce,
            ApiKey::TxnOffsetCommit,
            ApiKey::AddOffsetsToTxn,
            ApiKey::AddPartitionsToTxn,
        ] {
            let _ = bed.cluster.fault(Rule::new(api, Act::ApplyThenDrop).skip(2).times(3));
        }
        let copier = bed.copier("a").await.start();
        bed.until_copied(300).await;
        copier.stop().await.unwrap();
        bed.check(300);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn transactions_that_must_be_aborted_are_run_again() {
    both(async |bed| {
        bed.fill(0..300).await;
        for api in [ApiKey::Produce, ApiKey::TxnOffsetCommit, ApiKey::EndTxn] {
            let abort = Act::Respond(ErrorCode::TransactionAbortable);
            let _ = bed.cluster.fault(Rule::new(api, abort).skip(3).times(2));
        }
        let copier = bed.copier("a").await.start();
        bed.until_copied(300).await;
        copier.stop().await.unwrap();
        bed.check(300);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn work_that_fails_leaves_the_consumer_in_front_of_its_records() {
    both(async |bed| {
        bed.fill(0..100).await;
        let mut copier = bed.copier("a").await;
        let mut calls = 0;
        loop {
            let stop = copier.consumer.shutdown_handle();
            let done = bed.copied() >= 60;
            let pipeline = Pipeline::new(&mut copier.consumer, &mut copier.producer);
            let ended = pipeline.run(async |transaction, batches| {
                copy(transaction, batches).await?;
                calls += 1;
                if calls % 3 == 0 && !done {
                    return Err(refused());
                }
                if bed.copied() >= 90 {
                    stop.shutdown();
                }
                Ok(())
            });
            if ended.await.is_ok() {
                break;
            }
        }
        // Whoever is shut down is a member still, and has its partitions.
        drop(copier);
        let again = bed.copier("a").await.start();
        bed.until_copied(100).await;
        again.stop().await.unwrap();
        bed.check(100);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn brokers_that_die_and_come_back_copy_nothing_twice() {
    both(async |bed| {
        bed.fill(0..600).await;
        let first = bed.copier("a").await.start();
        let second = bed.copier("b").await.start();
        for round in 0..6 {
            bed.until_copied(60 * (round + 1)).await;
            let node = i32::try_from(round % 3 + 1).unwrap();
            bed.cluster.node(node).kill().await;
            bed.sleep(Duration::from_secs(3)).await;
            bed.cluster.node(node).start().await.unwrap();
            bed.sleep(Duration::from_secs(3)).await;
        }
        bed.until_copied(600).await;
        first.stop().await.unwrap();
        second.stop().await.unwrap();
        bed.check(600);
    })
    .await;
}

fn refused() -> Error {
    let class = ottla::ErrorClass::Fatal;
    Error::builder("copy", ErrorKind::Refused, class, "the work says no").build()
}
