//! Sending to one topic within a transaction.

use ottla_core::types::TopicName;

use super::handle::Transaction;
use crate::error::SendError;
use crate::machine::delivery::Delivery;
use crate::net::topic::TopicHandle;
use crate::record::RecordMetadata;

/// Sends to one topic within a transaction. Keys and values are lent, as with a [`TopicHandle`]: the
/// least that a record can cost.
#[derive(Debug)]
pub struct TransactionTopic<'a> {
    transaction: &'a Transaction<'a>,
    topic: TopicHandle,
}

impl<'a> TransactionTopic<'a> {
    pub(super) fn new(transaction: &'a Transaction<'a>, topic: TopicHandle) -> Self {
        Self { transaction, topic }
    }

    /// The topic.
    #[must_use]
    pub fn name(&self) -> &TopicName {
        self.topic.name()
    }

    /// As [`Transaction::send`].
    ///
    /// # Errors
    ///
    /// [`SendError`].
    ///
    /// # Cancel safety
    ///
    /// As [`Transaction::send`].
    pub async fn send(
        &self,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) -> Result<RecordMetadata, SendError> {
        self.note(self.topic.send(key, value).await)
    }

    /// As [`Transaction::enqueue`].
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
        self.note(self.topic.enqueue(key, value).await)
    }

    /// As [`Transaction::post`].
    ///
    /// # Errors
    ///
    /// [`SendError`], when the record was not taken.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: dropped, the record was not taken.
    pub async fn post(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), SendError> {
        self.note(self.topic.post(key, value).await)
    }

    /// As [`post`](Self::post), if that needs no waiting.
    ///
    /// # Errors
    ///
    /// [`SendError`], when the record was not taken.
    #[inline]
    pub fn try_post(&self, key: Option<&[u8]>, value: Option<&[u8]>) -> Result<(), SendError> {
        self.note(self.topic.try_post(key, value))
    }

    #[inline]
    fn note<T>(&self, outcome: Result<T, SendError>) -> Result<T, SendError> {
        if let Err(error) = &outcome {
            self.transaction.note_error(error);
        }
        outcome
    }
}
