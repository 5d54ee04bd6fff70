//! How the application's rebalance listener is run.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::task::Poll;

use crate::error::ConsumerError;
use crate::listener::{BoxFuture, ListenerError};

/// What a listener panicked with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Panicked(Arc<str>);

/// Runs a method of a listener to its end. A panic in it is an error like any other: the poll that
/// runs it is the application's own, and the group goes on.
pub(super) async fn run<'a>(
    begin: impl FnOnce() -> BoxFuture<'a, Result<(), ListenerError>> + Send,
) -> Result<(), ListenerError> {
    // Nothing of ours is within, and what panicked is not polled again.
    let mut running = catch_unwind(AssertUnwindSafe(begin)).map_err(panicked)?;
    poll_fn(|cx| {
        let polled = catch_unwind(AssertUnwindSafe(|| running.as_mut().poll(cx)));
        polled.unwrap_or_else(|payload| Poll::Ready(Err(panicked(payload))))
    })
    .await
}

/// A listener's failure as an error of the call that ran it.
pub(super) fn failed(source: ListenerError) -> ConsumerError {
    match source.downcast::<Panicked>() {
        Ok(panicked) => ConsumerError::ListenerPanicked { what: panicked.0 },
        Err(source) => ConsumerError::Listener { source: Arc::from(source) },
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as a panic hands it over")]
fn panicked(payload: Box<dyn Any + Send>) -> ListenerError {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| payload.downcast_ref::<&str>().copied());
    Box::new(Panicked(text.unwrap_or("with something that is no text").into()))
}
