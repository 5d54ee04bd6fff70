//! What goes in, and what is known of it once it is written.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use ottla_core::types::TopicName;
use ottla_protocol::records::{Header, NewRecord};

use crate::machine::delivery::BatchDone;

/// A record to send.
///
/// Null and empty are different: a record whose value was never set is a tombstone in a compacted
/// topic. Its bytes are copied once, into the batch it goes with, before the call that takes it
/// returns.
///
/// ```
/// use ottla_producer::Record;
///
/// let record = Record::to("orders").key("42").value("paid").header("source", "web");
/// assert_eq!(record.topic().as_str(), "orders");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    topic: TopicName,
    partition: Option<i32>,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<RecordHeader>,
    timestamp: Option<i64>,
}

/// One header of a record. Order and duplicates are kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordHeader {
    /// Its key.
    pub key: ByteString,
    /// Its value; null and empty are different.
    pub value: Option<Bytes>,
}

impl Record {
    /// A record for `topic`: no key, null as its value, no headers.
    pub fn to(topic: impl Into<TopicName>) -> Self {
        Self {
            topic: topic.into(),
            partition: None,
            key: None,
            value: None,
            headers: Vec::new(),
            timestamp: None,
        }
    }

    /// Sets the key. Records of one key go to one partition, while the number of partitions stays.
    #[must_use]
    pub fn key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = Some(value.into());
        self
    }

    /// Adds a header behind those that are there.
    #[must_use]
    pub fn header(mut self, key: impl Into<ByteString>, value: impl Into<Bytes>) -> Self {
        self.headers.push(RecordHeader { key: key.into(), value: Some(value.into()) });
        self
    }

    /// Adds a header whose value is null.
    #[must_use]
    pub fn null_header(mut self, key: impl Into<ByteString>) -> Self {
        self.headers.push(RecordHeader { key: key.into(), value: None });
        self
    }

    /// Sets the timestamp, in milliseconds since 1970. Without it, the time at which the record is
    /// taken, within a few milliseconds.
    #[must_use]
    pub fn timestamp(mut self, timestamp: i64) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// Chooses the partition, from 0. Without it, the partitioner does.
    #[must_use]
    pub fn partition(mut self, partition: i32) -> Self {
        self.partition = Some(partition);
        self
    }

    /// The partition that was chosen for it; `None` where the partitioner is to choose.
    #[must_use]
    pub fn partition_index(&self) -> Option<i32> {
        self.partition
    }

    /// Its own timestamp, in milliseconds since 1970; `None` where that is when it is taken.
    #[must_use]
    pub fn timestamp_ms(&self) -> Option<i64> {
        self.timestamp
    }

    /// The topic it is for.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Its key, if it has one.
    #[must_use]
    pub fn key_bytes(&self) -> Option<&Bytes> {
        self.key.as_ref()
    }

    /// Its value; `None` for null.
    #[must_use]
    pub fn value_bytes(&self) -> Option<&Bytes> {
        self.value.as_ref()
    }

    /// Its headers, in order.
    #[must_use]
    pub fn headers(&self) -> &[RecordHeader] {
        &self.headers
    }

    /// What is encoded of it.
    pub(crate) fn parts(&self) -> RecordParts<'_> {
        RecordParts {
            partition: self.partition,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &self.headers,
            timestamp: self.timestamp,
        }
    }
}

/// A record whose topic is known, lent for the time that it takes to encode it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RecordParts<'a> {
    pub(crate) partition: Option<i32>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [RecordHeader],
    pub(crate) timestamp: Option<i64>,
}

impl<'a> RecordParts<'a> {
    /// Bytes that the record takes in a batch at most: its lengths are counted as if they were the
    /// longest.
    #[inline]
    pub(crate) fn len_bound(&self) -> usize {
        let payload = self.key.map_or(0, <[u8]>::len) + self.value.map_or(0, <[u8]>::len);
        let headers = self.headers.iter().map(|header| {
            HEADER_OVERHEAD + header.key.len() + header.value.as_ref().map_or(0, Bytes::len)
        });
        RECORD_OVERHEAD + payload + headers.sum::<usize>()
    }

    /// The record as batches take it, with the time that it gets.
    #[inline]
    pub(crate) fn at(
        &self,
        timestamp: i64,
    ) -> NewRecord<'a, impl Iterator<Item = Header<'a>> + Clone + use<'a>> {
        let headers = self
            .headers
            .iter()
            .map(|header| Header { key: header.key.as_bytes(), value: header.value.as_deref() });
        NewRecord { timestamp, key: self.key, value: self.value, headers }
    }
}

/// Length 5, attributes 1, timestamp delta 10, offset delta 5, and three lengths or counts of 5.
const RECORD_OVERHEAD: usize = 36;

/// Two lengths of 5.
const HEADER_OVERHEAD: usize = 10;

/// Where and when a record was written.
#[derive(Clone)]
pub struct RecordMetadata {
    /// Knows the topic. A name of its own would cost each record another reference count.
    batch: Arc<BatchDone>,
    /// The partition, from 0.
    pub partition: i32,
    /// The offset, if it is known.
    pub offset: RecordOffset,
    /// Milliseconds since 1970: the record's own time, or that of the broker where the topic keeps
    /// that instead (`message.timestamp.type=LogAppendTime`).
    pub timestamp: i64,
}

impl RecordMetadata {
    #[inline]
    pub(crate) fn new(batch: Arc<BatchDone>, offset: RecordOffset, timestamp: i64) -> Self {
        let partition = batch.partition_index();
        Self { batch, partition, offset, timestamp }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        self.batch.topic()
    }
}

impl PartialEq for RecordMetadata {
    fn eq(&self, other: &Self) -> bool {
        let numbers = |it: &Self| (it.partition, it.offset, it.timestamp);
        numbers(self) == numbers(other) && self.topic() == other.topic()
    }
}

impl Eq for RecordMetadata {}

impl fmt::Debug for RecordMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RecordMetadata")
            .field("topic", self.topic())
            .field("partition", &self.partition)
            .field("offset", &self.offset)
            .field("timestamp", &self.timestamp)
            .finish()
    }
}

/// The offset of an acknowledged record, if it is known.
///
/// It is not with `acks=0`, and not where a broker had the batch already and has forgotten its
/// place. Shown as the number, or as `unknown`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecordOffset(Option<i64>);

impl RecordOffset {
    pub(crate) fn new(offset: Option<i64>) -> Self {
        Self(offset)
    }

    /// The number, never negative; `None` if it is not known.
    #[must_use]
    pub fn known(self) -> Option<i64> {
        self.0
    }
}

impl PartialEq<i64> for RecordOffset {
    fn eq(&self, other: &i64) -> bool {
        self.0 == Some(*other)
    }
}

impl fmt::Display for RecordOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(offset) => offset.fmt(f),
            None => f.write_str("unknown"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_protocol::records::BatchBuilder;

    #[test]
    fn the_bound_is_no_less_than_what_a_record_takes() {
        let plain = Record::to("t");
        let full = Record::to("t").key("key").value(vec![0; 300]).header("a", "b").null_header("c");
        for record in [plain, full] {
            let parts = record.parts();
            let mut builder = BatchBuilder::new();
            let before = builder.len();
            let first = NewRecord::new(i64::MIN, None, None);
            builder.append(first).unwrap();
            let base = builder.len();
            builder.append(parts.at(i64::MAX)).unwrap();
            assert!(builder.len() - base <= parts.len_bound(), "{record:?} after {before}");
        }
    }

    #[test]
    fn an_offset_is_shown_as_a_number_or_as_unknown() {
        assert_eq!(RecordOffset::new(Some(7)).to_string(), "7");
        assert_eq!(RecordOffset::new(None).to_string(), "unknown");
        assert_eq!(RecordOffset::new(Some(7)), 7);
    }
}
