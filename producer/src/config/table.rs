//! The properties of a producer.

use bytestring::ByteString;
use ottla_core::config::value::{
    boolean, choice, decimal_millis, harmless, millis, only, optional, wire_millis, within,
};
use ottla_core::config::{
    Alias, Checked, ConfigError, Importance, Parsed, Properties, Property, Table,
};
use ottla_core::set_field;
use ottla_protocol::compression::{Codec, Compression};

use super::{Acks, PartitionerKind, ProducerConfig};
use Importance::{High, Low, Medium};

/// The properties of a producer, beside those of every client.
pub static PRODUCER: Table<ProducerDraft> = Table { role: "producer", properties: PROPERTIES };

/// Settings of a producer while they are read: a codec and its level are properties of their own,
/// which may come in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerDraft {
    config: ProducerConfig,
    compression: Compression,
    gzip_level: i32,
    lz4_level: i32,
    zstd_level: i32,
}

impl Default for ProducerDraft {
    fn default() -> Self {
        let config = ProducerConfig::default();
        let compression = config.compression.compression();
        Self { config, compression, gzip_level: GZIP_DEFAULT, lz4_level: 9, zstd_level: 3 }
    }
}

impl ProducerDraft {
    fn finish(self) -> ProducerConfig {
        let level = match self.compression {
            Compression::Gzip if self.gzip_level != GZIP_DEFAULT => Some(self.gzip_level),
            Compression::Lz4 => Some(self.lz4_level),
            Compression::Zstd => Some(self.zstd_level),
            Compression::None | Compression::Gzip | Compression::Snappy => None,
        };
        let plain = Codec::new(self.compression);
        // The level was checked when it was read; a codec that is not built is told of later.
        let codec = level.and_then(|level| Codec::with_level(self.compression, level).ok());
        ProducerConfig { compression: codec.unwrap_or(plain), ..self.config }
    }
}

impl ProducerConfig {
    /// Reads the settings of a producer, and checks them together.
    #[must_use]
    pub fn parse(properties: &Properties) -> Parsed<Self> {
        let mut parsed = PRODUCER.read(properties).map(ProducerDraft::finish);
        let least = parsed.config.linger.saturating_add(parsed.config.request_timeout);
        if !parsed.is_set("delivery.timeout.ms") && parsed.config.delivery_timeout < least {
            parsed.config.delivery_timeout = least;
        }
        if !parsed.is_set("retry.backoff.max.ms") {
            let max = parsed.config.retry_backoff_max.max(parsed.config.retry_backoff);
            parsed.config.retry_backoff_max = max;
        }
        for problem in parsed.config.problems() {
            parsed.refuse(true, problem.to_string());
        }
        parsed.warn(
            parsed.config.may_reorder(),
            "max.in.flight.requests.per.connection",
            "without idempotence, a retry may overtake the batch behind it; set it to 1, or \
             enable.idempotence=true",
        );
        parsed
    }

    /// Reads the settings of a producer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with everything that is wrong with them.
    pub fn from_properties(properties: &Properties) -> Result<Checked<Self>, ConfigError> {
        Self::parse(properties).finish()
    }
}

/// Sets a field of the typed settings, or of the draft around them.
macro_rules! set {
    ($field:ident, $parse:expr) => {
        |draft, text| {
            draft.config.$field = $parse(text)?;
            Ok(())
        }
    };
}

type Setting = Property<ProducerDraft>;

const PROPERTIES: &[Setting] = &[
    Setting::new(
        "acks",
        "all",
        Low,
        "Whose acknowledgement a record waits for: `all` replicas in sync, the leader's alone (`1`), \
         or nobody's (`0`).",
        set!(acks, acks),
    )
    .alias(&[Alias::of("request.required.acks")]),
    Setting::new(
        "enable.idempotence",
        "true",
        Low,
        "Whether brokers drop what a retry wrote twice. Needs `acks=all` and at most 5 requests in \
         flight; settings that conflict are an error, never a silent change.",
        set!(enable_idempotence, boolean),
    )
    .kip(98),
    Setting::new(
        "delivery.timeout.ms",
        "120000",
        Medium,
        "How long a record may take from being taken to being acknowledged, all attempts included. \
         At least `linger.ms + request.timeout.ms`.",
        set!(delivery_timeout, millis),
    )
    .alias(&[Alias::of("message.timeout.ms")])
    .kip(91),
    Setting::new(
        "request.timeout.ms",
        "30000",
        Medium,
        "How long one request may wait for its answer.",
        set!(request_timeout, wire_millis),
    )
    .alias(&[Alias::of("socket.timeout.ms")]),
    Setting::new(
        "linger.ms",
        "5",
        Medium,
        "How long a batch waits for more records before it is sent, if it is not full before and \
         nobody waits for it.",
        set!(linger, decimal_millis),
    )
    .alias(&[Alias::of("queue.buffering.max.ms")])
    .kip(1030),
    Setting::new(
        "batch.size",
        "65536",
        Medium,
        "Bytes at which a batch is full, before compression. Java's default is 16384; as memory is \
         taken when records come, a larger batch costs nothing where few come.",
        set!(batch_size, batch_size),
    ),
    Setting::new(
        "buffer.memory",
        "67108864",
        High,
        "Bytes that records may take until they are acknowledged. Java's default is 33554432; \
         larger batches want more.",
        set!(buffer_memory, bytes),
    )
    .alias(&[Alias::kilobytes("queue.buffering.max.kbytes")]),
    Setting::new(
        "max.block.ms",
        "60000",
        Medium,
        "How long a call may wait for metadata and for memory, together.",
        set!(max_block, millis),
    ),
    Setting::new(
        "max.request.size",
        "1048576",
        Medium,
        "Bytes of the largest record, alone in its batch and before compression, and of all batches \
         in one request.",
        set!(max_request_size, bytes),
    )
    .alias(&[Alias::of("message.max.bytes")]),
    Setting::new(
        "max.in.flight.requests.per.connection",
        "5",
        Low,
        "Requests under way on one connection, and batches under way for one partition.",
        set!(max_in_flight_requests_per_connection, in_flight),
    )
    .alias(&[Alias::of("max.in.flight")]),
    Setting::new(
        "compression.type",
        "none",
        High,
        "How batches are compressed: `none`, `gzip`, `snappy`, `lz4` or `zstd`. `lz4` is a good \
         choice for most.",
        set_field!(compression, compression),
    )
    .alias(&[Alias::of("compression.codec")]),
    Setting::new(
        "compression.gzip.level",
        "-1",
        Medium,
        "The level of gzip, 1 to 9; -1 for its default.",
        set_field!(gzip_level, gzip_level),
    )
    .kip(390),
    Setting::new(
        "compression.lz4.level",
        "9",
        Medium,
        "The level of lz4, 1 to 17.",
        set_field!(lz4_level, lz4_level),
    )
    .kip(390),
    Setting::new(
        "compression.zstd.level",
        "3",
        Medium,
        "The level of zstd, -131072 to 22.",
        set_field!(zstd_level, zstd_level),
    )
    .kip(390),
    Setting::new(
        "partitioner.class",
        "murmur2_random",
        Medium,
        "How a record without a partition of its own gets one: `murmur2_random`, as Java does; \
         `consistent_random`, as librdkafka does; `fnv1a_random`, as Sarama does; or `round_robin`.",
        set!(partitioner, partitioner),
    )
    .alias(&[Alias::of("partitioner")]),
    Setting::new(
        "partitioner.adaptive.partitioning.enable",
        "true",
        Low,
        "Whether records without a key prefer partitions whose queue is short.",
        set!(partitioner_adaptive_partitioning_enable, boolean),
    )
    .kip(794),
    Setting::new(
        "partitioner.availability.timeout.ms",
        "0",
        Low,
        "After how long a partition that takes no batch is passed over for records without a key; \
         0 never passes one over.",
        set!(partitioner_availability_timeout, millis),
    )
    .kip(794),
    Setting::new(
        "partitioner.ignore.keys",
        "false",
        Medium,
        "Whether the keys of records have no part in the choice of a partition. A partitioner that \
         the program brings sees them all the same.",
        set!(partitioner_ignore_keys, boolean),
    )
    .kip(794),
    Setting::new(
        "retry.backoff.ms",
        "100",
        Low,
        "The wait before sending a batch again. Doubles with each failure.",
        set!(retry_backoff, millis),
    ),
    Setting::new(
        "retry.backoff.max.ms",
        "1000",
        Low,
        "The longest wait before sending a batch again.",
        set!(retry_backoff_max, millis),
    )
    .kip(580),
    Setting::new(
        "transactional.id",
        "",
        Low,
        "Who this producer is across restarts. Transactions need it.",
        |draft, text| {
            draft.config.transactional_id = optional(text).map(ByteString::from);
            Ok(())
        },
    )
    .kip(98),
    Setting::new(
        "partitioner.rack.aware",
        "false",
        Low,
        "Whether partitions whose leader is in `client.rack` are preferred. Not in this version.",
        |_, text| only(text, "false"),
    )
    .kip(1123),
    Setting::new(
        "transaction.two.phase.commit.enable",
        "false",
        Low,
        "Whether another system decides over transactions. Not in this version.",
        |_, text| only(text, "false"),
    )
    .kip(939),
    Setting::new(
        "transaction.timeout.ms",
        "60000",
        Low,
        "How long a transaction may be open before its coordinator aborts it. At most the brokers' \
         `transaction.max.timeout.ms`.",
        set!(transaction_timeout, wire_millis),
    )
    .kip(98),
    Setting::ignored("key.serializer", BYTES),
    Setting::ignored("value.serializer", BYTES),
    Setting::new(
        "compression.level",
        "-1",
        Low,
        "librdkafka's name for the level of any codec. Only -1, the codec's own: each codec has a \
         property for another one.",
        |_, text| {
            let why = "set compression.gzip.level, compression.lz4.level or compression.zstd.level";
            harmless(text, "-1", why)
        },
    ),
    Setting::new(
        "enable.gapless.guarantee",
        "false",
        Low,
        "Whether a batch that fails stops those behind it. Not in this version.",
        |_, text| {
            let why = "a batch that fails does not stop those behind it; send with acks=all and \
                       look at each delivery";
            harmless(text, "false", why)
        },
    ),
    Setting::new(
        "queuing.strategy",
        "fifo",
        Low,
        "In which order the records of a partition go out. Only `fifo`: as they came in.",
        |_, text| harmless(text, "fifo", "records of a partition go out in the order they came in"),
    ),
    Setting::ignored("batch.num.messages", "batch.size bounds a batch, in bytes"),
    Setting::ignored("queue.buffering.max.messages", "buffer.memory bounds what waits, in bytes"),
    Setting::ignored("queue.buffering.backpressure.threshold", "a batch goes out once it is due"),
    Setting::ignored("sticky.partitioning.linger.ms", "partitions change after batch.size bytes"),
    Setting::ignored("message.copy.max.bytes", "each record is copied once, into its batch"),
    Setting::ignored("delivery.report.only.error", "a delivery that is dropped costs nothing"),
    Setting::ignored("produce.offset.report", "the offset comes with each delivery"),
];

const BYTES: &str = "records hold bytes; encode them before they are sent";

/// Gzip's way to say its default.
const GZIP_DEFAULT: i32 = -1;

fn acks(text: &str) -> Result<Acks, String> {
    let choices = [("all", Acks::All), ("-1", Acks::All), ("1", Acks::Leader), ("0", Acks::None)];
    choice(text, &choices)
}

fn compression(text: &str) -> Result<Compression, String> {
    choice(text, &Compression::ALL.map(|compression| (compression.name(), compression)))
}

fn gzip_level(text: &str) -> Result<i32, String> {
    let level = within(text, GZIP_DEFAULT..=9, "levels")?;
    if level == 0 { Err("must be -1, or from 1 to 9".into()) } else { Ok(level) }
}

fn lz4_level(text: &str) -> Result<i32, String> {
    within(text, 1..=17, "levels")
}

fn zstd_level(text: &str) -> Result<i32, String> {
    within(text, -131_072..=22, "levels")
}

/// Java takes 0 for batches of one record, and so does 1 byte.
fn batch_size(text: &str) -> Result<usize, String> {
    let size: usize = within(text, 0..=LARGEST_FRAME, "bytes")?;
    Ok(size.max(1))
}

fn bytes(text: &str) -> Result<usize, String> {
    within(text, 1..=isize::MAX.unsigned_abs(), "bytes")
}

fn in_flight(text: &str) -> Result<usize, String> {
    within(text, 1..=1_000_000, "requests")
}

fn partitioner(text: &str) -> Result<PartitionerKind, String> {
    choice(
        text,
        &[
            ("murmur2_random", PartitionerKind::Java),
            ("consistent_random", PartitionerKind::Crc32),
            ("fnv1a_random", PartitionerKind::Fnv1a),
            ("round_robin", PartitionerKind::RoundRobin),
            (
                "org.apache.kafka.clients.producer.RoundRobinPartitioner",
                PartitionerKind::RoundRobin,
            ),
        ],
    )
}

/// What four bytes of length can say.
const LARGEST_FRAME: usize = i32::MAX as usize;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_codec_and_its_level_come_in_any_order() {
        for text in [
            "compression.zstd.level=7\ncompression.type=zstd",
            "compression.type=ZSTD\ncompression.zstd.level=7\ncompression.gzip.level=1",
        ] {
            let codec = read(text).unwrap().config.compression;
            assert_eq!((codec.compression(), codec.level()), (Compression::Zstd, 7));
        }
    }

    #[test]
    fn a_delivery_timeout_that_nobody_set_gives_way() {
        let config = read("request.timeout.ms=200000").unwrap().config;
        assert_eq!(config.delivery_timeout, Duration::from_millis(200_005));
        check(
            "request.timeout.ms=200000\ndelivery.timeout.ms=1000",
            "delivery.timeout.ms must be at least linger.ms + request.timeout.ms = 200005; raise \
             it, or lower request.timeout.ms",
        );
    }

    #[test]
    fn conflicts_and_values_are_told_together() {
        check(
            "acks=2\nlinger.ms=-1\nmax.in.flight=6\ncompression.level=3",
            "acks=2 must be one of all, -1, 1, 0 (f:1)\n\
             linger.ms=-1 must be from 0 to 9223372036854775807 milliseconds (f:2)\n\
             compression.level=3 is not supported: set compression.gzip.level, \
             compression.lz4.level or compression.zstd.level (f:4)\n\
             enable.idempotence=true allows at most 5 requests in flight; \
             max.in.flight.requests.per.connection is 6",
        );
    }

    #[test]
    fn what_librdkafka_counts_in_kilobytes_is_bytes_here() {
        let config = read("queue.buffering.max.kbytes=131072").unwrap().config;
        assert_eq!(config.buffer_memory, 128 << 20);
    }

    #[test]
    fn retries_that_may_overtake_are_warned_of() {
        let warnings = read("enable.idempotence=false").unwrap().warnings;
        assert_eq!(warnings.len(), 1);
        let text = "enable.idempotence=false\nmax.in.flight.requests.per.connection=1";
        assert_eq!(read(text).unwrap().warnings, []);
    }

    fn read(text: &str) -> Result<Checked<ProducerConfig>, ConfigError> {
        let mut properties = Properties::new();
        properties.read_str("f", text).unwrap();
        ProducerConfig::from_properties(&properties)
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(format!("{:#}", read(text).unwrap_err()), expected);
    }
}
