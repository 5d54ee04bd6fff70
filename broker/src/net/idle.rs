//! When a connection is closed because nobody uses it.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use crate::clock::Clock;

/// How long a connection has not been used (`connections.max.idle.ms`).
///
/// Its timer is looked at when it goes off, and only then set anew: a request that comes before that
/// costs none.
pub(super) struct Idle {
    clock: Clock,
    /// `None` for ever.
    limit: Option<Duration>,
    /// When it was used last.
    used: Duration,
    timer: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl Idle {
    /// Of a connection that is made now.
    pub(super) fn new(clock: Clock, limit: Option<Duration>) -> Self {
        let used = clock.now().mono;
        let timer = Box::pin(clock.sleep_until(limit.map(|limit| used.saturating_add(limit))));
        Self { clock, limit, used, timer }
    }

    /// Bytes came or went.
    pub(super) fn note_use(&mut self, now: Duration) {
        self.used = self.used.max(now);
    }

    /// Waits until it has not been used for too long.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: the timer stays.
    pub(super) async fn passed(&mut self) {
        loop {
            self.timer.as_mut().await;
            let until = self.limit.map(|limit| self.used.saturating_add(limit));
            if until.is_some_and(|until| until <= self.clock.now().mono) {
                return;
            }
            self.timer = Box::pin(self.clock.sleep_until(until));
        }
    }
}
