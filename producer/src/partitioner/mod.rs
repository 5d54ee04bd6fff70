//! Which partition a record goes to.
//!
//! A record's own partition comes first, then the partitioner: by the hash of its key, or, without
//! a key, wherever the sticky choice is.

mod hash;
mod sticky;

use std::fmt;

use bytes::Bytes;

use crate::config::PartitionerKind;
use crate::record::{Record, RecordHeader, RecordParts};

pub use hash::{crc32, fnv1a, murmur2};
pub(crate) use sticky::{Candidates, Sticky};

/// Chooses the partitions of records that have none of their own.
///
/// Called on the thread that sends, once a record, under no lock: it must be quick and must not
/// block.
///
/// ```
/// use ottla_producer::Record;
/// use ottla_producer::partitioner::{Partitioner, Unpartitioned};
///
/// /// Keeps the records of one customer together, whatever their keys are.
/// #[derive(Debug)]
/// struct ByCustomer;
///
/// impl Partitioner for ByCustomer {
///     fn partition(&self, record: &Unpartitioned<'_>) -> Option<i32> {
///         let customer = record.headers().iter().find(|header| header.key == "customer")?;
///         let hash = ottla_producer::partitioner::murmur2(customer.value.as_deref()?);
///         i32::try_from(hash & 0x7fff_ffff).ok()?.checked_rem(record.partitions())
///     }
/// }
///
/// let record = Record::to("orders").key("42").header("customer", "7");
/// assert!(ByCustomer.partition(&Unpartitioned::new(&record, 12)).is_some());
/// ```
///
/// # Kafka
///
/// `partitioner.class`; Java's `Partitioner`.
pub trait Partitioner: Send + Sync + fmt::Debug {
    /// The partition of a record, from 0 to [`partitions`](Unpartitioned::partitions) − 1; `None`
    /// leaves it to the sticky choice, as for records without a key. A partition that does not exist
    /// fails the record.
    fn partition(&self, record: &Unpartitioned<'_>) -> Option<i32>;
}

/// A record without a partition, and the topic that it is for, as a [`Partitioner`] sees them.
#[derive(Debug, Clone, Copy)]
pub struct Unpartitioned<'a> {
    topic: &'a str,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
    headers: &'a [RecordHeader],
    partitions: i32,
}

impl<'a> Unpartitioned<'a> {
    /// What a partitioner would see of `record` if its topic had so many partitions: to test one.
    #[must_use]
    pub fn new(record: &'a Record, partitions: i32) -> Self {
        Self::of(record.topic(), &record.parts(), partitions)
    }

    #[inline]
    pub(crate) fn of(topic: &'a str, parts: &RecordParts<'a>, partitions: i32) -> Self {
        let RecordParts { key, value, headers, partition: _, timestamp: _ } = *parts;
        Self { topic, key, value, headers, partitions }
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &'a str {
        self.topic
    }

    /// How many partitions the topic has now.
    #[must_use]
    pub fn partitions(&self) -> i32 {
        self.partitions
    }

    /// The record's key, if it has one.
    #[must_use]
    pub fn key(&self) -> Option<&'a [u8]> {
        self.key
    }

    /// The record's value; `None` for null.
    #[must_use]
    pub fn value(&self) -> Option<&'a [u8]> {
        self.value
    }

    /// The record's headers, in order.
    #[must_use]
    pub fn headers(&self) -> &'a [RecordHeader] {
        self.headers
    }
}

/// How a producer chooses.
#[derive(Debug)]
pub(crate) enum Choice {
    Kind(PartitionerKind),
    Custom(Box<dyn Partitioner>),
}

impl Choice {
    /// The partition that is not for the sticky choice to say. To `ignore_keys` is for those that are
    /// built in, as in Java.
    #[inline]
    pub(crate) fn by_record(
        &self,
        topic: &str,
        parts: &RecordParts<'_>,
        partitions: i32,
        ignore_keys: bool,
    ) -> Option<i32> {
        match self {
            Self::Kind(_) if ignore_keys => None,
            Self::Kind(kind) => kind.by_key(parts.key, partitions),
            Self::Custom(custom) => ask(&**custom, topic, parts, partitions),
        }
    }

    /// Whether the sticky choice goes round instead of drawing.
    pub(crate) fn goes_round(&self) -> bool {
        matches!(self, Self::Kind(PartitionerKind::RoundRobin))
    }
}

/// Apart, so that what a partitioner sees is put together for those alone that a program brings.
#[inline(never)]
fn ask(
    custom: &dyn Partitioner,
    topic: &str,
    parts: &RecordParts<'_>,
    partitions: i32,
) -> Option<i32> {
    custom.partition(&Unpartitioned::of(topic, parts, partitions))
}

impl PartitionerKind {
    fn by_key(self, key: Option<&[u8]>, partitions: i32) -> Option<i32> {
        let key = key?;
        match self {
            Self::Java => positive_remainder(murmur2(key), partitions),
            Self::Crc32 if key.is_empty() => None,
            Self::Crc32 => remainder(crc32(key), partitions),
            Self::Fnv1a => signed_remainder(fnv1a(key), partitions),
            Self::RoundRobin => None,
        }
    }
}

/// Java's `Utils.toPositive(hash) % partitions`: the sign bit is masked, not negated.
fn positive_remainder(hash: u32, partitions: i32) -> Option<i32> {
    let hash = i32::try_from(hash & 0x7fff_ffff).ok()?;
    hash.checked_rem(partitions)
}

fn remainder(hash: u32, partitions: i32) -> Option<i32> {
    let partitions = u32::try_from(partitions).ok()?;
    i32::try_from(hash.checked_rem(partitions)?).ok()
}

/// Sarama's: the hash is read as a signed number, and the remainder's sign dropped.
fn signed_remainder(hash: u32, partitions: i32) -> Option<i32> {
    Some(hash.cast_signed().checked_rem(partitions)?.abs())
}

/// The partition that a key goes to with one of the built-in partitioners; `None` if it goes
/// wherever the sticky choice is.
///
/// Tells where another program's records are, without sending any.
#[must_use]
pub fn partition_for_key(kind: PartitionerKind, key: &Bytes, partitions: i32) -> Option<i32> {
    kind.by_key(Some(key), partitions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(kind: PartitionerKind, key: Option<&[u8]>, expected: Option<i32>) {
        assert_eq!(kind.by_key(key, 100), expected);
    }

    #[test]
    fn javas_partition_masks_the_sign_of_murmur2() {
        // "foobar" hashes to −790332482, of which 1357151166 is left without the sign.
        check(PartitionerKind::Java, Some(b"foobar"), Some(66));
        check(PartitionerKind::Java, Some(b"21"), Some(1_173_551_340 % 100));
    }

    #[test]
    fn an_empty_key_is_hashed_by_java_and_not_by_librdkafka() {
        check(
            PartitionerKind::Java,
            Some(b""),
            Some(positive_remainder(murmur2(b""), 100).unwrap()),
        );
        check(PartitionerKind::Crc32, Some(b""), None);
    }

    #[test]
    fn a_record_without_key_is_for_the_sticky_choice() {
        for kind in [PartitionerKind::Java, PartitionerKind::Crc32, PartitionerKind::Fnv1a] {
            check(kind, None, None);
        }
    }

    #[test]
    fn round_robin_looks_at_no_key() {
        check(PartitionerKind::RoundRobin, Some(b"key"), None);
    }

    #[test]
    fn keys_are_ignored_by_the_partitioners_that_are_built_in() {
        let record = Record::to("t").key("k").value("1");
        let chosen =
            |choice: &Choice, ignore_keys| choice.by_record("t", &record.parts(), 100, ignore_keys);
        let java = Choice::Kind(PartitionerKind::Java);
        assert_eq!(chosen(&java, false), PartitionerKind::Java.by_key(Some(b"k"), 100));
        assert_eq!(chosen(&java, true), None);
        let custom = Choice::Custom(Box::new(ByLen));
        for ignore_keys in [false, true] {
            assert_eq!(chosen(&custom, ignore_keys), Some(2));
        }
    }

    /// Counts the bytes of key and value.
    #[derive(Debug)]
    struct ByLen;

    impl Partitioner for ByLen {
        fn partition(&self, record: &Unpartitioned<'_>) -> Option<i32> {
            i32::try_from(record.key()?.len() + record.value()?.len()).ok()
        }
    }

    #[test]
    fn no_partitions_are_no_partition_and_no_panic() {
        for kind in [PartitionerKind::Java, PartitionerKind::Crc32, PartitionerKind::Fnv1a] {
            assert_eq!(kind.by_key(Some(b"key"), 0), None);
        }
    }

    #[test]
    fn saramas_partition_drops_the_sign_of_the_remainder() {
        for key in [&b"a"[..], b"foobar", b"key-17"] {
            let hash = fnv1a(key).cast_signed();
            check(PartitionerKind::Fnv1a, Some(key), Some((hash % 100).abs()));
        }
    }
}
