//! Which partition a record goes to.
//!
//! A record's own partition comes first, then the partitioner: by the hash of its key, or, without
//! a key, wherever the sticky choice is.

mod hash;
mod sticky;

use std::fmt;

use bytes::Bytes;

use crate::config::PartitionerKind;

pub use hash::{crc32, fnv1a, murmur2};
pub(crate) use sticky::{Candidates, Sticky};

/// Chooses the partitions of records that have none of their own.
///
/// Called on the thread that sends, once a record, under no lock: it must be quick and must not
/// block.
///
/// # Kafka
///
/// `partitioner.class`; Java's `Partitioner`.
pub trait Partitioner: Send + Sync + fmt::Debug {
    /// The partition, from 0 to `partitions` − 1, for a record with this key; `None` leaves it to
    /// the sticky choice, as for records without a key. A partition that does not exist fails the
    /// record.
    fn partition(&self, topic: &str, key: Option<&[u8]>, partitions: i32) -> Option<i32>;
}

/// How a producer chooses.
#[derive(Debug)]
pub(crate) enum Choice {
    Kind(PartitionerKind),
    Custom(Box<dyn Partitioner>),
}

impl Choice {
    /// The partition that the key says; `None` if it is for the sticky choice.
    #[inline]
    pub(crate) fn by_key(&self, topic: &str, key: Option<&[u8]>, partitions: i32) -> Option<i32> {
        match self {
            Self::Kind(kind) => kind.by_key(key, partitions),
            Self::Custom(custom) => custom.partition(topic, key, partitions),
        }
    }

    /// Whether the sticky choice goes round instead of drawing.
    pub(crate) fn goes_round(&self) -> bool {
        matches!(self, Self::Kind(PartitionerKind::RoundRobin))
    }
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

/// The key that a partitioner is shown.
pub(crate) fn visible_key(key: Option<&[u8]>, ignore_keys: bool) -> Option<&[u8]> {
    key.filter(|_| !ignore_keys)
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
