//! Flushing and closing.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use ottla_core::error::{Error, ErrorClass, ErrorKind};

use super::shared::Shared;
use crate::error::Undelivered;
use crate::machine::delivery::BatchDone;

/// What a producer leaves behind.
#[derive(Debug)]
#[must_use = "it says what was not delivered"]
#[non_exhaustive]
pub struct CloseReport {
    /// Records acknowledged in the producer's life.
    pub delivered: u64,
    /// Records that were given up on because the time to close was over, with the record and
    /// whether it may be written, those of one partition in order.
    pub undelivered: Vec<Undelivered>,
}

/// The producer was closed before, or another call is closing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the producer is closed already, or another call is closing it")]
pub struct AlreadyClosed;

impl From<AlreadyClosed> for Error {
    fn from(error: AlreadyClosed) -> Self {
        let class = ErrorClass::ApplicationRecoverable;
        Self::of_operation(ErrorKind::Closed, class, error).build()
    }
}

impl Shared {
    /// Waits until all that was taken before is settled.
    pub(super) async fn flush(&self) {
        let pending = self.accumulator.pending();
        self.accumulator.hurry_all();
        settled(pending).await;
    }

    /// Ends everything now; returns what was not settled before.
    fn end(&self) -> Vec<Arc<BatchDone>> {
        let pending = self.accumulator.pending();
        self.accumulator.fail_all();
        for task in self.tasks.lock().drain(..) {
            task.stop();
        }
        let links = std::mem::take(&mut *self.signals.links.lock());
        drop(links);
        pending
    }
}

/// The right to end a producer, which one caller has at a time. Dropped before it has, it is there for
/// the next: a call that was given up must not leave tasks and connections behind for good.
#[derive(Debug)]
pub(super) struct Closing {
    shared: Arc<Shared>,
    has_ended: bool,
}

impl Drop for Closing {
    fn drop(&mut self) {
        if !self.has_ended {
            self.shared.lay_down_closing();
        }
    }
}

impl Closing {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, has_ended: false }
    }

    /// Waits up to `timeout` until all that was taken is settled, and gives up on the rest.
    pub(super) async fn finish(mut self, timeout: Duration) -> Vec<Undelivered> {
        let runtime = self.shared.client.runtime().clone();
        let late = runtime.sleep(timeout);
        let all = async {
            self.shared.end_transaction().await;
            self.shared.flush().await;
        };
        tokio::select! {
            biased;
            () = all => {}
            () = late => {}
        }
        let pending = self.shared.end();
        self.has_ended = true;
        // What a codec has comes back soon, and with it the records; a slow one is not waited for.
        let late = runtime.sleep(CODEC);
        tokio::select! {
            biased;
            () = settled(pending.clone()) => {}
            () = late => {}
        }
        let mut undelivered = Vec::new();
        for done in pending {
            done.collect_failures(&mut undelivered);
        }
        undelivered
    }
}

/// Waits until it is known what became of all of these, and of the parts of those that are split.
async fn settled(mut pending: Vec<Arc<BatchDone>>) {
    while let Some(done) = pending.pop() {
        poll_fn(|cx| if done.poll_resolved(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        pending.extend(done.parts().iter().map(|(_, part)| Arc::clone(part)));
    }
}

/// How long codecs may take, beyond the time to close, for what they have to be reported.
const CODEC: Duration = Duration::from_secs(1);
