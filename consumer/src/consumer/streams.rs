//! Other ways to take records.

use std::collections::VecDeque;
use std::time::Duration;

use super::Consumer;
use crate::error::ConsumerError;
use crate::partitions::{PartitionStream, Partitions};
use crate::stream::ConsumerStream;

impl Consumer {
    /// The records as a `Stream`, for combinators such as `try_for_each_concurrent`.
    ///
    /// From now on a record counts as processed when it is
    /// [acknowledged](crate::ConsumerRecord::ack).
    pub fn into_stream(mut self) -> ConsumerStream {
        self.finish_returned();
        if !self.explicit {
            self.explicit = true;
            for partition in self.assignment() {
                self.track_marks(&partition);
            }
        }
        ConsumerStream::new(self)
    }

    /// A stream of batches for each partition, each of which can go to a task of its own. From now
    /// on, nothing is returned but through them.
    pub fn partitions(&mut self) -> Partitions<'_> {
        self.finish_returned();
        if self.arrived.is_none() {
            let assigned = self.assignment();
            let now = self.shared.now();
            self.shared.with(|fetcher| {
                for partition in &assigned {
                    if let Some(slot) = fetcher.slot(&partition.topic, partition.partition) {
                        fetcher.set_streamed(slot, now);
                    }
                }
            });
            self.arrived = Some(VecDeque::from(assigned));
        }
        Partitions::new(self)
    }

    /// The stream of the next partition that has come.
    pub(crate) async fn next_partition(
        &mut self,
    ) -> Result<Option<PartitionStream>, ConsumerError> {
        self.record_poll();
        loop {
            self.heed_group().await?;
            self.shared.check_open()?;
            if let Some(trouble) = self.shared.take_trouble() {
                return Err(trouble);
            }
            if self.shared.is_stopping() {
                return Ok(None);
            }
            self.shared.place();
            while let Some(partition) = self.arrived.as_mut().and_then(VecDeque::pop_front) {
                let stream = PartitionStream::new(&self.shared, partition, self.explicit);
                if stream.is_some() {
                    return Ok(stream);
                }
            }
            self.arrival_of_partition().await;
        }
    }

    /// Whether anything can come after an error.
    pub(crate) fn goes_on_after(&self, error: &ConsumerError) -> bool {
        !error.is_fatal() && self.shared.is_open()
    }

    /// Waits until what was returned is acknowledged, but no longer than `patience`, and closes.
    pub(crate) async fn finish(&mut self, patience: Duration) -> Result<(), ConsumerError> {
        let runtime = self.shared.client().runtime().clone();
        let until = runtime.now() + patience;
        while self.shared.unacknowledged() > 0 && runtime.now() < until {
            runtime.sleep(LOOK_AGAIN).await;
        }
        let timeout = self.shared.client().config().default_api_timeout;
        self.close(timeout).await
    }
}

/// How often the end of a stream looks whether all is acknowledged.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
