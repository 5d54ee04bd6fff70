//! The tables of settings: those of Apache Kafka 4.4.0 that clients read and write.

/// One setting.
#[derive(Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// Kafka's default.
    pub default: &'static str,
    /// Which values it takes.
    pub check: Check,
    /// For a topic setting: the broker settings that stand in for it, the strongest first, with
    /// the number to multiply their value by.
    pub broker_names: &'static [(&'static str, i64)],
}

/// The type of a setting, by the numbers of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`.
    Boolean = 1,
    /// Any text.
    String = 2,
    /// 32 bits.
    Int = 3,
    /// 16 bits.
    Short = 4,
    /// 64 bits.
    Long = 5,
    /// A fraction.
    Double = 6,
    /// Texts with commas between them.
    List = 7,
}

/// Which values of its type a setting takes.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// All.
    Any,
    /// Numbers from this on.
    AtLeast(i64),
    /// Numbers from the first up to the second, both included.
    Between(i64, i64),
    /// The levels of gzip, and −1 for its own default.
    GzipLevel,
    /// Fractions from 0 up to 1, both included.
    Ratio,
    /// Replicas to throttle, each as `partition:broker`; `*` for all.
    Throttled,
    /// These texts.
    OneOf(&'static [&'static str]),
}

const fn key(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    check: Check,
    broker_names: &'static [(&'static str, i64)],
) -> Key {
    Key { name, kind, default, check, broker_names }
}

/// The `replica.selector.class` that sends consumers to replicas in their rack.
pub const RACK_AWARE: &str = "org.apache.kafka.common.replica.RackAwareReplicaSelector";

use Check::{Any, AtLeast, Between, GzipLevel, OneOf, Ratio, Throttled};
use Kind::{Boolean, Double, Int, List, Long, Short, String};

/// Kafka's default of a setting that follows from others unless it is set.
const NULL: &str = "";
const FOREVER: &str = "9223372036854775807";
/// The longest array that every Java has.
const MAX_ARRAY: i64 = 2_147_483_639;
const CODECS: &[&str] = &["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"];
const POLICIES: &[&str] = &["compact", "delete"];
const SELECTORS: &[&str] = &["", "org.apache.kafka.common.replica.LeaderSelector", RACK_AWARE];
const TIMES: &[&str] = &["CreateTime", "LogAppendTime"];

/// The settings of a topic, by name.
#[rustfmt::skip]
pub const TOPIC_KEYS: &[Key] = &[
    key("cleanup.policy", List, "delete", OneOf(POLICIES), &[("log.cleanup.policy", 1)]),
    key("compression.gzip.level", Int, "-1", GzipLevel, &[("compression.gzip.level", 1)]),
    key("compression.lz4.level", Int, "9", Between(1, 17), &[("compression.lz4.level", 1)]),
    key("compression.type", String, "producer", OneOf(CODECS), &[("compression.type", 1)]),
    key("compression.zstd.level", Int, "3", Between(-131_072, 22), &[("compression.zstd.level", 1)]),
    key("delete.retention.ms", Long, "86400000", AtLeast(0), &[("log.cleaner.delete.retention.ms", 1)]),
    key("errors.deadletterqueue.group.enable", Boolean, "false", Any, &[]),
    key("file.delete.delay.ms", Long, "60000", AtLeast(0), &[("log.segment.delete.delay.ms", 1)]),
    key("flush.messages", Long, FOREVER, AtLeast(1), &[("log.flush.interval.messages", 1)]),
    key("flush.ms", Long, FOREVER, AtLeast(0), &[("log.flush.interval.ms", 1)]),
    key("follower.replication.throttled.replicas", List, "", Throttled, &[]),
    key("index.interval.bytes", Int, "4096", AtLeast(0), &[("log.index.interval.bytes", 1)]),
    key("leader.replication.throttled.replicas", List, "", Throttled, &[]),
    key("local.retention.bytes", Long, "-2", AtLeast(-2), &[("log.local.retention.bytes", 1)]),
    key("local.retention.ms", Long, "-2", AtLeast(-2), &[("log.local.retention.ms", 1)]),
    key("max.compaction.lag.ms", Long, FOREVER, AtLeast(1), &[("log.cleaner.max.compaction.lag.ms", 1)]),
    key("max.decompressed.message.bytes", Int, "2147483639", Between(1, MAX_ARRAY), &[("max.decompressed.message.bytes", 1)]),
    key("max.message.bytes", Int, "1048588", AtLeast(0), &[("message.max.bytes", 1)]),
    key("message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), &[("log.message.timestamp.after.max.ms", 1)]),
    key("message.timestamp.before.max.ms", Long, FOREVER, AtLeast(0), &[("log.message.timestamp.before.max.ms", 1)]),
    key("message.timestamp.type", String, "CreateTime", OneOf(TIMES), &[("log.message.timestamp.type", 1)]),
    key("min.cleanable.dirty.ratio", Double, "0.5", Ratio, &[("log.cleaner.min.cleanable.ratio", 1)]),
    key("min.compaction.lag.ms", Long, "0", AtLeast(0), &[("log.cleaner.min.compaction.lag.ms", 1)]),
    key("min.insync.replicas", Int, "1", AtLeast(1), &[("min.insync.replicas", 1)]),
    key("preallocate", Boolean, "false", Any, &[("log.preallocate", 1)]),
    key("remote.copy.lag.bytes", Long, "-1", AtLeast(-1), &[("log.remote.copy.lag.bytes", 1)]),
    key("remote.copy.lag.ms", Long, "0", AtLeast(-1), &[("log.remote.copy.lag.ms", 1)]),
    key("remote.log.copy.disable", Boolean, "false", Any, &[]),
    key("remote.log.delete.on.disable", Boolean, "false", Any, &[]),
    key("remote.storage.enable", Boolean, "false", Any, &[]),
    key("retention.bytes", Long, "-1", Any, &[("log.retention.bytes", 1)]),
    key("retention.ms", Long, "604800000", AtLeast(-1), &[("log.retention.ms", 1), ("log.retention.minutes", 60_000), ("log.retention.hours", 3_600_000)]),
    key("segment.bytes", Int, "1073741824", AtLeast(1_048_576), &[("log.segment.bytes", 1)]),
    key("segment.index.bytes", Int, "10485760", AtLeast(4), &[("log.index.size.max.bytes", 1)]),
    key("segment.jitter.ms", Long, "0", AtLeast(0), &[("log.roll.jitter.ms", 1), ("log.roll.jitter.hours", 3_600_000)]),
    key("segment.ms", Long, "604800000", AtLeast(1), &[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)]),
    key("unclean.leader.election.enable", Boolean, "false", Any, &[("unclean.leader.election.enable", 1)]),
];

/// The settings of a broker, by name. Where tests want another default than Kafka's, the builder
/// gives it as if on the command line, so that it is told as such.
#[rustfmt::skip]
pub const BROKER_KEYS: &[Key] = &[
    key("auto.create.topics.enable", Boolean, "true", Any, &[]),
    key("broker.rack", String, "", Any, &[]),
    key("compression.gzip.level", Int, "-1", GzipLevel, &[]),
    key("compression.lz4.level", Int, "9", Between(1, 17), &[]),
    key("compression.type", String, "producer", OneOf(CODECS), &[]),
    key("compression.zstd.level", Int, "3", Between(-131_072, 22), &[]),
    key("connections.max.idle.ms", Long, "600000", Any, &[]),
    key("connections.max.reauth.ms", Long, "0", Any, &[]),
    key("default.replication.factor", Int, "1", AtLeast(1), &[]),
    key("delete.topic.enable", Boolean, "true", Any, &[]),
    key("fetch.max.bytes", Int, "57671680", AtLeast(1024), &[]),
    key("group.consumer.assignors", List, "uniform,range", Any, &[]),
    key("group.consumer.heartbeat.interval.ms", Int, "5000", AtLeast(1), &[]),
    key("group.consumer.max.size", Int, "2147483647", AtLeast(1), &[]),
    key("group.consumer.session.timeout.ms", Int, "45000", AtLeast(1), &[]),
    key("group.initial.rebalance.delay.ms", Int, "3000", Any, &[]),
    key("group.max.session.timeout.ms", Int, "1800000", Any, &[]),
    key("group.max.size", Int, "2147483647", AtLeast(1), &[]),
    key("group.min.session.timeout.ms", Int, "6000", Any, &[]),
    key("log.cleaner.delete.retention.ms", Long, "86400000", AtLeast(0), &[]),
    key("log.cleaner.max.compaction.lag.ms", Long, FOREVER, AtLeast(1), &[]),
    key("log.cleaner.min.cleanable.ratio", Double, "0.5", Ratio, &[]),
    key("log.cleaner.min.compaction.lag.ms", Long, "0", AtLeast(0), &[]),
    key("log.cleanup.policy", List, "delete", OneOf(POLICIES), &[]),
    key("log.flush.interval.messages", Long, FOREVER, AtLeast(1), &[]),
    key("log.flush.interval.ms", Long, NULL, AtLeast(0), &[]),
    key("log.index.interval.bytes", Int, "4096", AtLeast(0), &[]),
    key("log.index.size.max.bytes", Int, "10485760", AtLeast(4), &[]),
    key("log.message.timestamp.after.max.ms", Long, "3600000", AtLeast(0), &[]),
    key("log.message.timestamp.before.max.ms", Long, FOREVER, AtLeast(0), &[]),
    key("log.message.timestamp.type", String, "CreateTime", OneOf(TIMES), &[]),
    key("log.preallocate", Boolean, "false", Any, &[]),
    key("log.retention.bytes", Long, "-1", Any, &[]),
    key("log.retention.check.interval.ms", Long, "300000", AtLeast(1), &[]),
    key("log.retention.hours", Int, "168", Any, &[]),
    key("log.retention.minutes", Int, NULL, Any, &[]),
    key("log.retention.ms", Long, NULL, AtLeast(-1), &[]),
    key("log.roll.hours", Int, "168", AtLeast(1), &[]),
    key("log.roll.jitter.hours", Int, "0", AtLeast(0), &[]),
    key("log.roll.jitter.ms", Long, NULL, AtLeast(0), &[]),
    key("log.roll.ms", Long, NULL, AtLeast(1), &[]),
    key("log.segment.bytes", Int, "1073741824", AtLeast(1_048_576), &[]),
    key("log.segment.delete.delay.ms", Long, "60000", AtLeast(0), &[]),
    key("max.decompressed.message.bytes", Int, "2147483639", Between(1, MAX_ARRAY), &[]),
    key("max.incremental.fetch.session.cache.slots", Int, "1000", AtLeast(0), &[]),
    key("message.max.bytes", Int, "1048588", AtLeast(0), &[]),
    key("min.insync.replicas", Int, "1", AtLeast(1), &[]),
    key("num.partitions", Int, "1", AtLeast(1), &[]),
    key("offset.metadata.max.bytes", Int, "4096", Any, &[]),
    key("offsets.retention.check.interval.ms", Long, "600000", AtLeast(1), &[]),
    key("offsets.retention.minutes", Int, "10080", AtLeast(1), &[]),
    key("offsets.topic.num.partitions", Int, "50", AtLeast(1), &[]),
    key("offsets.topic.replication.factor", Short, "3", AtLeast(1), &[]),
    key("producer.id.expiration.ms", Int, "86400000", AtLeast(1), &[]),
    key("replica.lag.time.max.ms", Long, "30000", Any, &[]),
    key("replica.selector.class", String, "", OneOf(SELECTORS), &[]),
    key("request.timeout.ms", Int, "30000", Any, &[]),
    key("socket.request.max.bytes", Int, "104857600", AtLeast(1), &[]),
    key("transaction.max.timeout.ms", Int, "900000", AtLeast(1), &[]),
    key("transaction.partition.verification.enable", Boolean, "true", Any, &[]),
    key("transaction.state.log.num.partitions", Int, "50", AtLeast(1), &[]),
    key("transaction.state.log.replication.factor", Short, "3", AtLeast(1), &[]),
    key("transaction.two.phase.commit.enable", Boolean, "false", Any, &[]),
    key("transactional.id.expiration.ms", Int, "604800000", AtLeast(1), &[]),
    key("unclean.leader.election.enable", Boolean, "false", Any, &[]),
];

/// Whether a broker setting can be changed while the broker runs: those that topics fall back on
/// under their first names, and a few more.
#[must_use]
pub fn is_dynamic(name: &str) -> bool {
    let stands_in = |key: &Key| key.broker_names.first().is_some_and(|(first, _)| *first == name);
    TOPIC_KEYS.iter().any(stands_in) || OTHER_DYNAMIC.contains(&name)
}

const OTHER_DYNAMIC: &[&str] =
    &["producer.id.expiration.ms", "transaction.partition.verification.enable"];
