//! Sending to one topic.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

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
    #[inline]
    pub fn enqueue<'a>(
        &'a self,
        key: Option<&'a [u8]>,
        value: Option<&'a [u8]>,
    ) -> impl Future<Output = Result<Delivery, SendError>> + Send + 'a {
        Enqueue { handle: self, key, value, progress: Progress::Unpolled }
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
                    let deadline = self.producer.shared().deadline();
                    self.producer.wait_append(&self.topic, parts, want, bytes, deadline).await
                }
            }
        })
    }
}

/// The future of [`TopicHandle::enqueue`].
///
/// Written by hand, so that a record which there is room for is taken where the future is awaited:
/// what one that the compiler makes gives is stored by a call and loaded behind it in other pieces,
/// for which the processor waits.
struct Enqueue<'a> {
    handle: &'a TopicHandle,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    progress: Progress<'a>,
}

enum Progress<'a> {
    Unpolled,
    /// There was no room.
    Waiting(Waiting<'a>),
    /// Polled again, it takes no second record, and is never ready.
    Done,
}

type Waiting<'a> = Pin<Box<dyn Future<Output = Result<Delivery, Box<SendError>>> + Send + 'a>>;

impl Future for Enqueue<'_> {
    type Output = Result<Delivery, SendError>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if matches!(self.progress, Progress::Unpolled) {
            self.progress = Progress::Done;
            match self.handle.append(self.key, self.value, Want::Ticket) {
                Ok(taken) => return Poll::Ready(taken.delivery()),
                Err(refusal) => self.wait(refusal),
            }
        }
        self.poll_waiting(cx).map(|taken| taken.map_err(|error| *error))
    }
}

impl Enqueue<'_> {
    #[cold]
    fn wait(&mut self, refusal: Refusal) {
        let Self { handle, key, value, .. } = *self;
        self.progress = Progress::Waiting(Box::pin(async move {
            let taken = handle.wait(refusal, key, value, Want::Ticket).await;
            taken.and_then(Taken::delivery).map_err(Box::new)
        }));
    }

    #[cold]
    fn poll_waiting(&mut self, cx: &mut Context<'_>) -> Poll<Result<Delivery, Box<SendError>>> {
        let Progress::Waiting(waiting) = &mut self.progress else { return Poll::Pending };
        let taken = ready!(waiting.as_mut().poll(cx));
        self.progress = Progress::Done;
        Poll::Ready(taken)
    }
}

fn parts<'a>(key: Option<&'a [u8]>, value: Option<&'a [u8]>) -> RecordParts<'a> {
    RecordParts { partition: None, key, value, headers: &[], timestamp: None }
}
