//! A timer for deadlines that move.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::time::Sleep;

/// A timer that is moved at once when it would fire too late, and when it would fire too early only
/// once half its time has passed.
///
/// Deadlines move forward with every answer, and each move takes the runtime's lock, so a busy link
/// must not follow all of them; but a link that waits would wake for nothing if it followed none. So
/// a deadline that keeps moving costs two moves in the time it is ahead, and never fires.
#[derive(Debug, Default)]
pub(super) struct Timer {
    armed: Option<Armed>,
}

#[derive(Debug)]
struct Armed {
    sleep: Pin<Box<Sleep>>,
    /// When half the time is over for which it was set.
    half: Instant,
}

impl Timer {
    /// Ready when `at` has come, or a time before it that was asked for earlier.
    pub(super) fn poll(
        &mut self,
        at: Option<Instant>,
        now: Instant,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        let Some(at) = at else { return Poll::Pending };
        let armed = self.armed.get_or_insert_with(|| Armed::set(at, now));
        if armed.is_to_move(at, now) {
            armed.move_to(at, now);
        }
        let fired = armed.sleep.as_mut().poll(cx);
        if fired.is_ready() {
            self.armed = None;
        }
        fired
    }
}

impl Armed {
    fn set(at: Instant, now: Instant) -> Self {
        Self { sleep: Box::pin(tokio::time::sleep_until(at.into())), half: middle(now, at) }
    }

    fn is_to_move(&self, at: Instant, now: Instant) -> bool {
        let set = self.sleep.deadline().into_std();
        at < set || (at > set && self.half <= now)
    }

    /// Not by [`Sleep::reset`]: that leaves a later deadline where the earlier one was, so that the
    /// runtime wakes to find nothing due.
    fn move_to(&mut self, at: Instant, now: Instant) {
        self.sleep.set(tokio::time::sleep_until(at.into()));
        self.half = middle(now, at);
    }
}

fn middle(from: Instant, to: Instant) -> Instant {
    from + to.saturating_duration_since(from) / 2
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::net::Runtime;

    #[tokio::test(start_paused = true)]
    async fn a_deadline_that_keeps_moving_never_fires() {
        let (fired, moves) = follow(Duration::from_millis(1_500), Duration::from_millis(500)).await;
        assert_eq!((fired, moves), (0, 10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_busy_link_moves_its_deadline_twice_in_the_time_it_is_ahead() {
        let (fired, moves) = follow(Duration::from_millis(1_000), Duration::from_millis(1)).await;
        assert_eq!((fired, moves), (0, 20));
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_is_kept() {
        let mut timer = Timer::default();
        assert!(poll(&mut timer, Duration::from_secs(60)).is_pending());
        let begun = now();
        let at = begun + Duration::from_secs(1);
        std::future::poll_fn(|cx| timer.poll(Some(at), now(), cx)).await;
        assert_eq!(now() - begun, Duration::from_secs(1));
    }

    /// Moves a deadline `ahead` of now after every `step`, for ten seconds. How often it fired, and
    /// how often it was set anew.
    async fn follow(ahead: Duration, step: Duration) -> (usize, usize) {
        let (mut timer, mut fired, mut moves, mut last) = (Timer::default(), 0, 0, None);
        let end = now() + Duration::from_secs(10);
        while now() <= end {
            fired += usize::from(poll(&mut timer, ahead).is_ready());
            let half = timer.armed.as_ref().map(|armed| armed.half);
            moves += usize::from(last.is_some() && half != last);
            last = half;
            tokio::time::advance(step).await;
        }
        (fired, moves)
    }

    fn poll(timer: &mut Timer, ahead: Duration) -> Poll<()> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        timer.poll(Some(now() + ahead), now(), &mut cx)
    }

    fn now() -> Instant {
        Runtime::tokio().now()
    }
}
