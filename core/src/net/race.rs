//! Several ways to one answer, begun one after the other.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// The first success of `attempts`. The next attempt begins when one has failed, or when none has
/// settled for `patience`; those already begun go on. The first failure if all fail, as that attempt
/// had the most time, and `None` if there are none.
///
/// # Cancel safety
///
/// Cancel safe: the attempts are dropped with it.
pub(super) async fn first_success<F, T, E>(
    attempts: impl ExactSizeIterator<Item = F>,
    patience: Duration,
) -> Result<T, Option<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut attempts = attempts;
    let mut begun: Vec<Pin<Box<F>>> = Vec::new();
    let mut failure = None;
    loop {
        if let Some(attempt) = attempts.next() {
            begun.push(Box::pin(attempt));
        } else if begun.is_empty() {
            return Err(failure);
        }
        let more = attempts.len() > 0;
        match settled(&mut begun, more.then_some(patience)).await {
            Some(Ok(success)) => return Ok(success),
            Some(Err(error)) => failure = failure.or(Some(error)),
            None => {}
        }
    }
}

/// What the first of `begun` to settle came to; `None` when none has within `patience`.
async fn settled<F: Future>(
    begun: &mut Vec<Pin<Box<F>>>,
    patience: Option<Duration>,
) -> Option<F::Output> {
    let mut patience = patience.map(|patience| Box::pin(tokio::time::sleep(patience)));
    poll_fn(|cx| {
        for (index, attempt) in begun.iter_mut().enumerate() {
            if let Poll::Ready(output) = attempt.as_mut().poll(cx) {
                drop(begun.swap_remove(index));
                return Poll::Ready(Some(output));
            }
        }
        match &mut patience {
            Some(patience) => patience.as_mut().poll(cx).map(|()| None),
            None => Poll::Pending,
        }
    })
    .await
}

/// How long a broker is asked alone, where any would do: one that hangs costs this, not its timeout.
pub(super) const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{Pending, Ready, pending, ready};

    type Attempt = futures_test::Attempt;

    mod futures_test {
        use super::*;

        pub(super) enum Attempt {
            Settled(Ready<Result<u32, &'static str>>),
            Never(Pending<Result<u32, &'static str>>),
        }

        impl Future for Attempt {
            type Output = Result<u32, &'static str>;

            fn poll(self: Pin<&mut Self>, cx: &mut std::task::Context<'_>) -> Poll<Self::Output> {
                match self.get_mut() {
                    Self::Settled(ready) => Pin::new(ready).poll(cx),
                    Self::Never(pending) => Pin::new(pending).poll(cx),
                }
            }
        }
    }

    fn settled(outcome: Result<u32, &'static str>) -> Attempt {
        Attempt::Settled(ready(outcome))
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_attempt_is_joined_by_the_next() {
        let attempts = vec![Attempt::Never(pending()), settled(Ok(2))];
        assert_eq!(first_success(attempts.into_iter(), PATIENCE).await, Ok(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_begins_the_next_attempt_at_once() {
        let runtime = crate::net::Runtime::tokio();
        let begun = runtime.now();
        let attempts = vec![settled(Err("one")), settled(Ok(2))];
        assert_eq!(first_success(attempts.into_iter(), PATIENCE).await, Ok(2));
        assert_eq!(runtime.now(), begun);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_failure_is_told() {
        let attempts = vec![settled(Err("one")), settled(Err("two"))];
        assert_eq!(first_success(attempts.into_iter(), PATIENCE).await, Err(Some("one")));
        let none: Vec<Attempt> = Vec::new();
        assert_eq!(first_success(none.into_iter(), PATIENCE).await, Err(None));
    }
}
