//! Records as an application gets them: lent or its own.

use std::fmt;

use bytes::Bytes;
use ottla_core::types::{LeaderEpoch, TopicPartition};
use ottla_protocol::records::{Headers, OwnedRecord, Record, TimestampType};

use crate::batch::Section;

/// A record lent by its [`Batch`](crate::Batch).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordRef<'a>(pub(crate) Record<'a>);

impl<'a> RecordRef<'a> {
    /// Its offset in the partition.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.0.offset
    }

    /// Milliseconds since 1970, set by the producer or, with LogAppendTime, by the broker; −1 when
    /// there is none.
    #[must_use]
    pub fn timestamp(&self) -> i64 {
        self.0.timestamp
    }

    /// Its key; null and empty are different.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.0.key
    }

    /// Its value; null is a tombstone in a compacted topic, empty is not.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.0.value
    }

    /// Its headers, in the producer's order.
    #[must_use]
    pub fn headers(&self) -> Headers<'a> {
        self.0.headers
    }
}

/// A record that is its own: it can be kept, sent to other tasks, and acknowledged there.
///
/// It costs one refcount, and keeps the batch that it came in alive.
#[derive(Clone, PartialEq, Eq)]
pub struct ConsumerRecord(pub(crate) OwnedRecord<Section>);

impl ConsumerRecord {
    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic_partition().topic
    }

    /// Its partition.
    #[must_use]
    pub fn partition(&self) -> i32 {
        self.topic_partition().partition
    }

    /// Its topic and partition.
    #[must_use]
    pub fn topic_partition(&self) -> &TopicPartition {
        self.0.section().topic_partition()
    }

    /// Its offset in the partition.
    #[must_use]
    pub fn offset(&self) -> i64 {
        self.0.offset()
    }

    /// The epoch of the leader that appended it (KIP-320); `None` in logs older than epochs.
    #[must_use]
    pub fn leader_epoch(&self) -> Option<LeaderEpoch> {
        self.0.section().leader_epoch()
    }

    /// As [`RecordRef::timestamp`].
    #[must_use]
    pub fn timestamp(&self) -> i64 {
        self.0.timestamp()
    }

    /// Who set the timestamp.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        self.0.section().timestamp_type()
    }

    /// As [`RecordRef::key`].
    #[must_use]
    pub fn key(&self) -> Option<&[u8]> {
        self.0.key()
    }

    /// As [`RecordRef::value`].
    #[must_use]
    pub fn value(&self) -> Option<&[u8]> {
        self.0.value()
    }

    /// As [`RecordRef::headers`].
    #[must_use]
    pub fn headers(&self) -> Headers<'_> {
        self.0.headers()
    }

    /// Marks it as processed. What is committed is the contiguous prefix of what was marked, so one
    /// that failed, and all behind it, is read again by whoever takes over.
    ///
    /// Nothing happens where the consumer does not count acknowledgements: see
    /// [`ConsumerBuilder::explicit_acks`](crate::ConsumerBuilder::explicit_acks) and
    /// [`Consumer::into_stream`](crate::Consumer::into_stream).
    pub fn ack(&self) {
        self.0.section().acknowledge(self.offset());
    }

    /// Its key as bytes that can be kept and sent on: one more refcount, no copy.
    #[must_use]
    pub fn key_bytes(&self) -> Option<Bytes> {
        self.0.key_bytes()
    }

    /// As [`key_bytes`](Self::key_bytes), for the value.
    #[must_use]
    pub fn value_bytes(&self) -> Option<Bytes> {
        self.0.value_bytes()
    }
}

/// Shows where it is, never what it says.
impl fmt::Debug for ConsumerRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConsumerRecord({} @ {})", self.topic_partition(), self.offset())
    }
}
