//! How a source tells its connection that there is something to do.

use std::sync::{Mutex, PoisonError};
use std::task::Waker;

/// Wakes the task that drives a connection.
///
/// A source owns one and calls [`wake`](Self::wake) when it has something to send that it had not
/// before: once a batch, never once a record.
#[derive(Debug, Default)]
pub struct WakeCell(Mutex<Option<Waker>>);

impl WakeCell {
    /// Remembers whom to wake; whoever was to be woken before is not any more.
    pub fn register(&self, waker: &Waker) {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    /// Wakes who has registered since the last time. Nobody is no error: who comes later looks
    /// before it sleeps.
    pub fn wake(&self) {
        let waker = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}
