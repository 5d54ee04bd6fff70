//! What is dropped, and what panics.

use std::time::Duration;

use ottla_producer::{TransactionError, Undelivered};

use super::bed::{both, one};

/// What the closures of these tests return.
#[derive(Debug)]
enum Failed {
    Own,
    Send,
    Transaction(TransactionError),
}

impl From<TransactionError> for Failed {
    fn from(error: TransactionError) -> Self {
        Self::Transaction(error)
    }
}

impl From<Undelivered> for Failed {
    fn from(_: Undelivered) -> Self {
        Self::Send
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_transaction_is_aborted() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("dropped")).await.unwrap();
        drop(transaction);
        let transaction = producer.begin().await.unwrap();
        assert_eq!(bed.state(), "CompleteAbort");
        transaction.send(one("kept")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!((bed.one(), bed.written()), (vec!["kept".to_owned()], 2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_commit_goes_on_to_its_end() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.post(one("once")).await.unwrap();
        tokio::time::timeout(Duration::ZERO, transaction.commit()).await.unwrap_err();
        producer.settle().await.unwrap();
        assert_eq!(bed.one(), ["once"]);
        let transaction = producer.begin().await.unwrap();
        transaction.abort().await.unwrap();
        assert_eq!(bed.one(), ["once"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_was_never_polled_aborts() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("x")).await.unwrap();
        drop(transaction.commit());
        let _next = producer.begin().await.unwrap();
        assert_eq!(bed.one(), [""; 0]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_begin_has_begun_nothing() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("x")).await.unwrap();
        drop(transaction);
        tokio::time::timeout(Duration::ZERO, producer.begin()).await.unwrap_err();
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("y")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["y"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_transaction_is_aborted_by_the_next() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("forgotten")).await.unwrap();
        std::mem::forget(transaction);
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("kept")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["kept"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn work_that_is_done_is_committed_and_work_that_fails_is_not() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let committed = producer.transaction(async |transaction| {
            transaction.send(one("done")).await?;
            Ok::<_, Failed>(7)
        });
        assert_eq!(committed.await.unwrap(), 7);
        let mut runs = 0;
        let failed = producer.transaction(async |transaction| {
            runs += 1;
            transaction.send(one("failed")).await?;
            Err::<(), _>(Failed::Own)
        });
        assert!(matches!(failed.await.unwrap_err(), Failed::Own));
        assert_eq!((runs, bed.one()), (1, vec!["done".to_owned()]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn work_whose_transaction_failed_is_run_again_a_few_times() {
    use ottla_core::types::ErrorCode;
    use ottla_protocol::ApiKey;
    both(async |bed| {
        let mut producer = bed.producer().await;
        bed.answers(ApiKey::Produce, ErrorCode::TransactionAbortable, 3);
        let mut runs = 0;
        let done = producer.transaction(async |transaction| {
            runs += 1;
            transaction.send(one(runs)).await?;
            Ok::<_, Failed>(())
        });
        done.await.unwrap();
        assert_eq!((runs, bed.one()), (4, vec!["4".to_owned()]));
        bed.answers(ApiKey::Produce, ErrorCode::TransactionAbortable, u32::MAX);
        runs = 0;
        let failed = producer.transaction(async |transaction| {
            runs += 1;
            transaction.post(one("x")).await?;
            Ok::<_, Failed>(())
        });
        let Failed::Transaction(error) = failed.await.unwrap_err() else { panic!("its own") };
        assert!(error.requires_abort(), "{error}");
        assert_eq!(runs, 5);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_the_work_aborts() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let panics = producer.transaction(async |transaction| {
            transaction.send(one("x")).await?;
            if bed.written() > 0 {
                panic!("as work does");
            }
            Ok::<_, Failed>(())
        });
        let panics = std::panic::AssertUnwindSafe(panics);
        assert!(CatchUnwind(Box::pin(panics)).await.is_err());
        let transaction = producer.begin().await.unwrap();
        assert_eq!((bed.state(), bed.one()), ("CompleteAbort", vec![]));
        transaction.send(one("y")).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(bed.one(), ["y"]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn closing_aborts_what_is_open_and_ends_what_is_committed() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.post(one("committed")).await.unwrap();
        tokio::time::timeout(Duration::ZERO, transaction.commit()).await.unwrap_err();
        let report = producer.close(Duration::from_secs(5)).await.unwrap();
        assert_eq!((report.delivered, report.undelivered.len()), (1, 0));
        assert_eq!(bed.one(), ["committed"]);
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("open")).await.unwrap();
        std::mem::forget(transaction);
        drop(producer.close(Duration::from_secs(5)).await.unwrap());
        assert_eq!((bed.state(), bed.one()), ("CompleteAbort", vec!["committed".to_owned()]));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn closing_waits_for_nobody_longer_than_it_may() {
    use ottla_broker::fault::{Act, Rule};
    use ottla_protocol::ApiKey;
    both(async |bed| {
        let mut producer = bed.producer().await;
        let _ = bed.cluster.fault(Rule::new(ApiKey::EndTxn, Act::DropBefore));
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("x")).await.unwrap();
        drop(transaction);
        let begun = bed.now();
        drop(producer.close(Duration::from_secs(2)).await.unwrap());
        assert_eq!(bed.passed(begun), Duration::from_secs(2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_dropped_producer_aborts_what_is_open_in_the_background() {
    both(async |bed| {
        let mut producer = bed.producer().await;
        let transaction = producer.begin().await.unwrap();
        transaction.send(one("x")).await.unwrap();
        drop(transaction);
        drop(producer);
        bed.sleep(Duration::from_millis(200)).await;
        assert_eq!(bed.state(), "CompleteAbort");
    })
    .await;
}

/// Catches a panic of a future.
struct CatchUnwind<F>(std::pin::Pin<Box<std::panic::AssertUnwindSafe<F>>>);

impl<F: Future> Future for CatchUnwind<F> {
    type Output = std::thread::Result<F::Output>;

    fn poll(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        let polled = std::panic::AssertUnwindSafe(|| self.0.as_mut().poll(cx));
        match std::panic::catch_unwind(polled) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => std::task::Poll::Ready(Err(panic)),
        }
    }
}
