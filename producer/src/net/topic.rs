//! Sending to one topic.

use std::pin::Pin;
use std::sync::Arc;

use ottla_core::types::TopicName;

use super::producer::Producer;
use crate::accumulator::{Refusal, Taken, Topic, Want};
use crate::error::SendError;
use crate::machine::delivery::Delivery;
use crate::record::{RecordMetadata, RecordParts};

/// Sends to one topic, whose partitions it knows. Cheap to clone.
///
/// Keys and values are lent: they are copied once, into the batch. Where a record needs headers, a
/// timestamp or a partition of its own, use the producer and a [`Record`](crate::Record).
#[derive(Debug, Clone)]
pub struct TopicHandle {
    producer: Producer,
    topic: Arc<Topic>,
}

impl TopicHandle {
    pub(super) fn new(producer: Producer, topic: Arc<Topic>) -> Self {
        Self { producer, topic }
    }

    /// The topic.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        self.topic.name()
    }

    /// How many partitions the topic has now.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.topic.count()
    }

    /// As [`Producer::send`].
    ///
    /// # Errors
    ///
    /// [`SendError`]; after an acknowledgement was awaited, that of the delivery.
    ///
    /// # Cancel safety
    ///
    /// As [`Producer::send`].
    pub async fn send(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<RecordMetadata, SendError> {
        let delivery = match self.append(key, value, Want::Soon) {
            Ok(taken) => taken.delivery()?,
            Err(refusal) => self.wait(refusal, key, value, Want::Soon).await?.delivery()?,
        };
        delivery.await.map_err(|undelivered| undelivered.into_parts().0)
    }

    /// As [`Producer::enqueue`].
    ///
    /// # Errors
    ///
    /// [`SendError`], when the record was not taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the record was not taken.
    pub async fn enqueue(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Delivery, SendError> {
        match self.append(key, value, Want::Ticket) {
            Ok(taken) => taken.delivery(),
            Err(refusal) => self.wait(refusal, key, value, Want::Ticket).await?.delivery(),
        }
    }

    /// As [`Producer::try_enqueue`].
    ///
    /// # Errors
    ///
    /// [`SendError`], when the record was not taken.
    #[inline]
    pub fn try_enqueue(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<Delivery, SendError> {
        self.producer.try_append(&self.topic, &parts(key, value), Want::Ticket)?.delivery()
    }

    /// Takes a record if there is room, and gives nothing to await: the least that a record can
    /// cost. Failures reach `on_failure` and the count of failed records.
    ///
    /// # Errors
    ///
    /// [`SendError`], when the record was not taken.
    #[inline]
    pub fn try_post(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), SendError> {
        self.producer.try_append(&self.topic, &parts(key, value), Want::Nothing).map(drop)
    }

    /// As [`try_post`](Self::try_post), and waits until there is room.
    ///
    /// # Errors
    ///
    /// [`SendError`], when the record was not taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the record was not taken.
    pub async fn post(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), SendError> {
        match self.append(key, value, Want::Nothing) {
            Ok(_) => Ok(()),
            Err(refusal) => self.wait(refusal, key, value, Want::Nothing).await.map(drop),
        }
    }

    #[inline]
    fn append(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        want: Want,
    ) -> Result<Taken<'_>, Refusal> {
        self.producer.append(&self.topic, &parts(key, value), want)
    }

    /// Takes a record that was refused once there is room, if that is why. Boxed, as a future is
    /// moved to where it is awaited, with all that it may become, and this is seldom awaited.
    #[cold]
    fn wait<'a>(
        &'a self,
        refusal: Refusal,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
        want: Want,
    ) -> Pin<Box<impl Future<Output = Result<Taken<'a>, SendError>>>> {
        Box::pin(async move {
            match refusal {
                Refusal::Error(error) => Err(error),
                Refusal::NoRoom(bytes) => {
                    let parts = parts(key, value);
                    self.producer.wait_append(&self.topic, parts, want, bytes).await
                }
            }
        })
    }
}

fn parts<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> RecordParts<'a> {
    RecordParts { partition: None, key, value, headers: &[], timestamp: None }
}
