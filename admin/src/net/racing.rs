//! Futures of which the next to finish counts.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

/// Any number of futures, each of which gives its output when it has one.
///
/// Whoever is woken polls all of them: a call has a future for each broker that it asks and each
/// name that it looks up, and most of those finish together.
pub(super) struct Racing<T>(Vec<Pin<Box<dyn Future<Output = T> + Send>>>);

impl<T> Racing<T> {
    pub(super) fn new() -> Self {
        Self(Vec::new())
    }

    pub(super) fn push(&mut self, future: impl Future<Output = T> + Send + 'static) {
        self.0.push(Box::pin(future));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The output of the next one to finish; never anything while there is none.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: an output that was ready has been returned.
    pub(super) async fn next(&mut self) -> T {
        poll_fn(|cx| {
            let mut futures = self.0.iter_mut().enumerate();
            let finished = futures.find_map(|(index, future)| match future.as_mut().poll(cx) {
                Poll::Ready(output) => Some((index, output)),
                Poll::Pending => None,
            });
            let Some((index, output)) = finished else { return Poll::Pending };
            drop(self.0.swap_remove(index));
            Poll::Ready(output)
        })
        .await
    }
}

impl<T> fmt::Debug for Racing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Racing({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_ready_overtakes_what_is_not() {
        let mut racing = Racing::new();
        racing.push(std::future::pending());
        racing.push(async { 2 });
        racing.push(async { 3 });
        let both = [racing.next().await, racing.next().await];
        assert_eq!(both, [2, 3]);
        assert_eq!(format!("{racing:?}"), "Racing(1)");
    }
}
