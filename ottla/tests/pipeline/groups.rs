//! Members that come and go.

use std::time::Duration;

use ottla::{ErrorKind, Pipeline};

use super::bed::{GROUP, both, copy};

#[tokio::test(start_paused = true)]
async fn each_record_is_copied_once_and_in_order() {
    both(async |bed| {
        bed.fill(0..200).await;
        let copier = bed.copier("a").await.start();
        bed.until_copied(200).await;
        bed.fill(200..300).await;
        bed.until_copied(300).await;
        copier.stop().await.unwrap();
        bed.check(300);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn members_that_come_and_go_copy_nothing_twice() {
    both(async |bed| {
        bed.fill(0..400).await;
        let first = bed.copier("a").await.start();
        bed.until_copied(50).await;
        let second = bed.copier("b").await.start();
        bed.until_copied(200).await;
        first.stop().await.unwrap();
        bed.fill(400..800).await;
        let third = bed.copier("c").await.start();
        bed.until_copied(800).await;
        second.stop().await.unwrap();
        third.stop().await.unwrap();
        bed.sleep(Duration::from_secs(5)).await;
        bed.check(800);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_copier_that_is_killed_is_followed_by_one_that_goes_on_where_it_committed() {
    both(async |bed| {
        bed.fill(0..300).await;
        for round in 1..=5 {
            let copier = bed.copier("a").await.start();
            bed.until_copied(round * 40).await;
            copier.kill();
        }
        let copier = bed.copier("a").await.start();
        bed.until_copied(300).await;
        copier.stop().await.unwrap();
        bed.check(300);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_consumer_that_would_process_twice_is_refused_before_it_reads() {
    both(async |bed| {
        let mut producer = bed.kafka.producer().transactional("a").build().await.unwrap();
        let mut consumer = bed.kafka.consumer(GROUP).subscribe(["input"]).build().await.unwrap();
        let pipeline = Pipeline::new(&mut consumer, &mut producer);
        let refused = pipeline.run(copy).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Config);
        for setting in ["enable.auto.commit", "isolation.level"] {
            assert!(refused.to_string().contains(setting), "{refused}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
#[expect(clippy::disallowed_methods, reason = "whether that can be done is the question")]
async fn a_transaction_can_be_run_in_a_task_of_its_own() {
    both(async |bed| {
        bed.fill(0..20).await;
        let mut copier = bed.copier("a").await;
        let task = tokio::spawn(async move {
            let batch = copier.consumer.poll().await.unwrap().unwrap();
            let written: Result<usize, ottla::Error> = copier
                .producer
                .transaction(async move |transaction| {
                    copy(transaction, std::slice::from_ref(&batch)).await?;
                    transaction.commit_offsets(&batch).await?;
                    Ok(batch.records().count())
                })
                .await;
            written.unwrap()
        });
        assert_eq!(task.await.unwrap(), bed.copied());
    })
    .await;
}
