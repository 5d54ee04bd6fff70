//! The records of a consumer as a `Stream`.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;

use crate::batch::Batch;
use crate::consumer::Consumer;
use crate::error::ConsumerError;
use crate::record::ConsumerRecord;

/// The records of a consumer, one after the other; made by
/// [`Consumer::into_stream`](crate::Consumer::into_stream).
///
/// It ends when the consumer is [shut down](crate::Consumer::shutdown_handle): once what was given is
/// acknowledged, or after ten seconds, with a last commit. Errors do not end it, unless the consumer
/// cannot go on.
#[must_use = "nothing is read before it is polled"]
pub struct ConsumerStream {
    state: State,
}

enum State {
    /// Records of a batch are there, perhaps.
    Giving(Box<Consumer>),
    Waiting(Pin<Box<dyn Future<Output = Arrival> + Send>>),
    Ended,
}

/// The consumer back, and what came; no batch at the end.
type Arrival = (Box<Consumer>, Result<Option<Batch>, ConsumerError>);

impl ConsumerStream {
    pub(crate) fn new(consumer: Consumer) -> Self {
        Self { state: State::Giving(Box::new(consumer)) }
    }

    fn give(&mut self) -> Option<Result<ConsumerRecord, ConsumerError>> {
        let State::Giving(consumer) = &mut self.state else { return None };
        consumer.next_of_current().transpose()
    }

    /// Begins to wait for another batch, unless that has begun.
    fn wait(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Ended) {
            State::Giving(consumer) => State::Waiting(Box::pin(arrival(consumer))),
            state @ (State::Waiting(_) | State::Ended) => state,
        };
    }
}

impl Stream for ConsumerStream {
    type Item = Result<ConsumerRecord, ConsumerError>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<ConsumerRecord, ConsumerError>>> {
        loop {
            if let Some(record) = self.give() {
                return Poll::Ready(Some(record));
            }
            self.wait();
            let State::Waiting(waiting) = &mut self.state else { return Poll::Ready(None) };
            let (mut consumer, arrived) = ready!(waiting.as_mut().poll(cx));
            match arrived {
                Ok(Some(batch)) => {
                    consumer.put_current(batch);
                    self.state = State::Giving(consumer);
                }
                Ok(None) => {
                    self.state = State::Ended;
                    return Poll::Ready(None);
                }
                Err(error) => {
                    let goes_on = consumer.goes_on_after(&error);
                    self.state = if goes_on { State::Giving(consumer) } else { State::Ended };
                    return Poll::Ready(Some(Err(error)));
                }
            }
        }
    }
}

impl fmt::Debug for ConsumerStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ConsumerStream")
    }
}

async fn arrival(mut consumer: Box<Consumer>) -> Arrival {
    let arrived = match consumer.poll().await {
        // The last commit is part of the stream: who reads to the end knows that it happened.
        Ok(None) => consumer.finish(LAST_ACKS).await.map(|()| None),
        arrived => arrived,
    };
    (consumer, arrived)
}

/// How long what was given may take to be acknowledged when the stream ends.
const LAST_ACKS: Duration = Duration::from_secs(10);
