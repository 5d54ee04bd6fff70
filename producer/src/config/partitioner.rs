//! Which partitioner.

/// How a record without a partition of its own gets one: `partitioner.class`, librdkafka's
/// `partitioner`.
///
/// Two producers put the same key into the same partition only if they hash alike: choose the one
/// that the topic's other producers use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PartitionerKind {
    /// Java's: the key's murmur2; records without a key stay on one partition until about
    /// `batch.size` bytes went there, then move to one with a short queue (KIP-480, KIP-794).
    #[default]
    Java,
    /// librdkafka's default, `consistent_random`: the key's CRC32; records whose key is null or
    /// empty as with [`Java`](Self::Java).
    Crc32,
    /// 32-bit FNV-1a of the key, as Sarama and franz-go's `SaramaCompatHasher` use it; records
    /// without a key as with [`Java`](Self::Java).
    Fnv1a,
    /// One partition after the other, batch by batch, keys or not.
    RoundRobin,
}
