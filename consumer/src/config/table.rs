//! The properties of a consumer.

use std::time::Duration;

use ottla_core::config::value::{
    boolean, choice, harmless, list, millis, only, optional, wire_millis, within,
};
use ottla_core::config::{
    Alias, Checked, ClientConfig, ConfigError, Importance, Parsed, Properties, Property, Table,
};
use ottla_core::set_field;

use super::duration::iso_duration;
use super::problem::is_legal_name;
use super::{AssignmentStrategy, AutoOffsetReset, ConsumerConfig, IsolationLevel};
use Importance::{High, Low, Medium};

/// The properties of a consumer, beside those of every client.
pub static CONSUMER: Table<ConsumerConfig> = Table { role: "consumer", properties: PROPERTIES };

impl ConsumerConfig {
    /// Reads the settings of a consumer, and checks them together and with those of its client.
    #[must_use]
    pub fn parse(properties: &Properties, client: &ClientConfig) -> Parsed<Self> {
        let mut parsed = CONSUMER.read(properties);
        if parsed.config.group_id.is_none() && !parsed.is_set("enable.auto.commit") {
            parsed.config.enable_auto_commit = false;
        }
        parsed.refuse(
            parsed.config.enable_auto_commit && parsed.config.group_id.is_none(),
            "enable.auto.commit=true needs a group.id to commit for",
        );
        for problem in parsed.config.problems(client) {
            parsed.refuse(true, problem.to_string());
        }
        for doubt in parsed.config.doubts() {
            parsed.warn(true, doubt.name, doubt.why);
        }
        parsed
    }

    /// Reads the settings of a consumer.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], with everything that is wrong with them.
    pub fn from_properties(
        properties: &Properties,
        client: &ClientConfig,
    ) -> Result<Checked<Self>, ConfigError> {
        Self::parse(properties, client).finish()
    }
}

type Setting = Property<ConsumerConfig>;

const PROPERTIES: &[Setting] = &[
    Setting::new(
        "group.id",
        "",
        High,
        "The group whose member this consumer is, or whose offsets it commits.",
        |config, text| {
            config.group_id = optional(text);
            Ok(())
        },
    ),
    Setting::new(
        "group.instance.id",
        "",
        Medium,
        "The name of a static member, which keeps its partitions over a restart.",
        set_field!(group_instance_id, instance_id),
    )
    .kip(345),
    Setting::new(
        "group.protocol",
        "classic",
        High,
        "How members and brokers agree on who has which partition. This version speaks `classic` \
         only.",
        |_, text| only(text, "classic"),
    )
    .kip(848),
    Setting::new(
        "session.timeout.ms",
        "45000",
        High,
        "How long a member may be silent before the group goes on without it.",
        set_field!(session_timeout, wire_millis),
    )
    .kip(735),
    Setting::new(
        "heartbeat.interval.ms",
        "3000",
        High,
        "How often a member says that it is alive; a third of the session timeout at most is best.",
        set_field!(heartbeat_interval, wire_millis),
    ),
    Setting::new(
        "max.poll.interval.ms",
        "300000",
        Medium,
        "How long the application may take between two polls before its member leaves the group.",
        set_field!(max_poll_interval, wire_millis),
    )
    .kip(62),
    Setting::new(
        "max.poll.records",
        "",
        Medium,
        "Records that one poll lends at most; without it, each batch comes as its producer wrote \
         it. Java's default is 500: there each record is an object.",
        set_field!(max_poll_records, records),
    )
    .kip(41),
    Setting::new(
        "partition.assignment.strategy",
        "range,cooperative-sticky",
        Medium,
        "How partitions are given to members, the preferred first: `range`, `roundrobin`, `sticky`, \
         `cooperative-sticky`, or Java's classes for them.",
        set_field!(partition_assignment_strategy, strategies),
    ),
    Setting::new(
        "enable.auto.commit",
        "true",
        Medium,
        "Whether the offsets of what was consumed are committed in the background. Without a \
         `group.id` nothing is.",
        set_field!(enable_auto_commit, boolean),
    )
    .alias(&[Alias::of("auto.commit.enable")]),
    Setting::new(
        "auto.commit.interval.ms",
        "5000",
        Low,
        "How often they are, 10 at least.",
        set_field!(auto_commit_interval, millis),
    ),
    Setting::new(
        "auto.offset.reset",
        "latest",
        Medium,
        "Where to begin without a committed offset, or when it is out of range: `earliest`, \
         `latest`, `by_duration:` and an ISO 8601 duration, or `none` for an error. With `latest`, \
         records written to a new partition before the first poll are passed over.",
        set_field!(auto_offset_reset, reset),
    )
    .kip(1106),
    Setting::new(
        "isolation.level",
        "read_uncommitted",
        Medium,
        "Whether records of transactions that are open or were aborted are seen: \
         `read_uncommitted` or `read_committed`, which is librdkafka's default.",
        set_field!(isolation_level, isolation),
    )
    .kip(98),
    Setting::new(
        "fetch.min.bytes",
        "1",
        High,
        "Bytes that a broker waits for before it answers.",
        set_field!(fetch_min_bytes, bytes),
    ),
    Setting::new(
        "fetch.max.bytes",
        "52428800",
        Medium,
        "Bytes in one answer at most, but for a first batch that is larger alone.",
        set_field!(fetch_max_bytes, bytes),
    )
    .kip(74),
    Setting::new(
        "max.partition.fetch.bytes",
        "1048576",
        High,
        "Bytes of one partition in one answer at most, but for a first batch that is larger alone.",
        set_field!(max_partition_fetch_bytes, bytes),
    )
    .alias(&[Alias::of("fetch.message.max.bytes")]),
    Setting::new(
        "fetch.max.wait.ms",
        "500",
        Low,
        "How long a broker waits for `fetch.min.bytes`; below `request.timeout.ms`.",
        set_field!(fetch_max_wait, wait),
    )
    .alias(&[Alias::of("fetch.wait.max.ms")]),
    Setting::new(
        "fetch.buffer.memory",
        "67108864",
        Medium,
        "Bytes of fetched and undelivered records at most, over all brokers. Java has no such bound.",
        set_field!(fetch_buffer_memory, memory),
    )
    .alias(&[Alias::kilobytes("queued.max.messages.kbytes")]),
    Setting::new(
        "max.decompressed.batch.bytes",
        "134217728",
        Medium,
        "Bytes that one batch may unpack to. Java has no such bound; without one, a kilobyte from a \
         stranger asks for gigabytes.",
        set_field!(max_decompressed_batch, memory),
    ),
    Setting::new(
        "check.crcs",
        "true",
        Low,
        "Whether the checksum of each batch is verified.",
        set_field!(check_crcs, boolean),
    ),
    Setting::new(
        "exclude.internal.topics",
        "true",
        Medium,
        "Whether a pattern passes over Kafka's own topics, such as `__consumer_offsets`.",
        set_field!(exclude_internal_topics, boolean),
    ),
    Setting::refused("group.remote.assignor", "only with group.protocol=consumer"),
    Setting::refused("share.acknowledgement.mode", SHARE),
    Setting::refused("share.acquire.mode", SHARE),
    Setting::ignored("key.deserializer", BYTES),
    Setting::ignored("value.deserializer", BYTES),
    Setting::new(
        "enable.partition.eof",
        "false",
        Low,
        "Whether the end of a partition is an event. It is none in this version.",
        |_, text| {
            let why = "the end of a partition is no event; compare the position with the end offset";
            harmless(text, "false", why)
        },
    ),
    Setting::new(
        "enable.auto.offset.store",
        "true",
        Low,
        "Whether a record counts as processed when the next is asked for. Only `true`; with \
         `explicit_acks` of the builder, records count once they are acknowledged.",
        |_, text| {
            let why = "build the consumer with explicit_acks(), and acknowledge each record that \
                       was processed";
            harmless(text, "true", why)
        },
    ),
    Setting::new(
        "offset.store.method",
        "broker",
        Low,
        "Where offsets are kept. Only `broker`.",
        |_, text| harmless(text, "broker", "offsets are kept by the brokers"),
    ),
    Setting::ignored("offset.store.path", "offsets are kept by the brokers"),
    Setting::ignored("offset.store.sync.interval.ms", "offsets are kept by the brokers"),
    Setting::ignored("queued.min.messages", "fetch.buffer.memory bounds what is fetched ahead"),
    Setting::ignored("fetch.error.backoff.ms", "retry.backoff.ms is the wait after an error"),
    Setting::ignored("fetch.queue.backoff.ms", "fetching goes on as soon as there is room"),
    Setting::ignored("coordinator.query.interval.ms", "it is looked up when it is needed"),
    Setting::ignored("group.protocol.type", "it is always `consumer`"),
    Setting::ignored("consume.callback.max.messages", "max.poll.records bounds one poll"),
];

const BYTES: &str = "records hold bytes; decode them after they are received";
const SHARE: &str = "this version has no share groups";

fn instance_id(text: &str) -> Result<Option<String>, String> {
    if !is_legal_name(text) {
        return Err("must be 1 to 249 letters, digits, dots, underscores or dashes".into());
    }
    Ok(Some(text.to_owned()))
}

fn records(text: &str) -> Result<Option<u32>, String> {
    within(text, 1..=i32::MAX.unsigned_abs(), "records").map(Some)
}

fn bytes(text: &str) -> Result<u32, String> {
    within(text, 0..=i32::MAX.unsigned_abs(), "bytes")
}

fn memory(text: &str) -> Result<usize, String> {
    within(text, 1..=isize::MAX.unsigned_abs(), "bytes")
}

/// It may be nothing, unlike other durations that requests hold.
fn wait(text: &str) -> Result<Duration, String> {
    within(text, 0..=u64::from(i32::MAX.unsigned_abs()), "milliseconds").map(Duration::from_millis)
}

fn isolation(text: &str) -> Result<IsolationLevel, String> {
    let choices = [
        ("read_uncommitted", IsolationLevel::ReadUncommitted),
        ("read_committed", IsolationLevel::ReadCommitted),
    ];
    choice(text, &choices)
}

fn reset(text: &str) -> Result<AutoOffsetReset, String> {
    if let Some(duration) = text.strip_prefix("by_duration:") {
        return iso_duration(duration)
            .map(AutoOffsetReset::ByDuration)
            .ok_or_else(|| "is not by_duration: with a duration such as P3DT12H30M".into());
    }
    choice(
        text,
        &[
            ("latest", AutoOffsetReset::Latest),
            ("earliest", AutoOffsetReset::Earliest),
            ("none", AutoOffsetReset::None),
            ("largest", AutoOffsetReset::Latest),
            ("end", AutoOffsetReset::Latest),
            ("smallest", AutoOffsetReset::Earliest),
            ("beginning", AutoOffsetReset::Earliest),
            ("error", AutoOffsetReset::None),
        ],
    )
}

fn strategies(text: &str) -> Result<Vec<AssignmentStrategy>, String> {
    let mut strategies = Vec::new();
    for item in list(text) {
        let name = item.strip_prefix("org.apache.kafka.clients.consumer.").unwrap_or(item);
        let strategy = strategy(name)?;
        if !strategies.contains(&strategy) {
            strategies.push(strategy);
        }
    }
    if strategies.is_empty() { Err("names no strategy".into()) } else { Ok(strategies) }
}

fn strategy(name: &str) -> Result<AssignmentStrategy, String> {
    choice(
        name,
        &[
            ("range", AssignmentStrategy::Range),
            ("roundrobin", AssignmentStrategy::RoundRobin),
            ("sticky", AssignmentStrategy::Sticky),
            ("cooperative-sticky", AssignmentStrategy::CooperativeSticky),
            ("RangeAssignor", AssignmentStrategy::Range),
            ("RoundRobinAssignor", AssignmentStrategy::RoundRobin),
            ("StickyAssignor", AssignmentStrategy::Sticky),
            ("CooperativeStickyAssignor", AssignmentStrategy::CooperativeSticky),
        ],
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_without_a_group_commits_nothing() {
        assert!(!read("").unwrap().config.enable_auto_commit);
        assert!(read("group.id=billing").unwrap().config.enable_auto_commit);
        check("enable.auto.commit=true", "enable.auto.commit=true needs a group.id to commit for");
    }

    #[test]
    fn strategies_have_the_names_of_java_and_librdkafka() {
        let text = "partition.assignment.strategy=roundrobin,\\\n\
                    org.apache.kafka.clients.consumer.CooperativeStickyAssignor";
        assert_eq!(
            read(text).unwrap().config.partition_assignment_strategy,
            [AssignmentStrategy::RoundRobin, AssignmentStrategy::CooperativeSticky]
        );
    }

    #[test]
    fn a_reset_can_be_a_duration() {
        let reset = |text: &str| read(text).map(|it| it.config.auto_offset_reset);
        assert_eq!(
            reset("auto.offset.reset=by_duration:PT1H").unwrap(),
            AutoOffsetReset::ByDuration(Duration::from_secs(3_600))
        );
        assert_eq!(reset("auto.offset.reset=smallest").unwrap(), AutoOffsetReset::Earliest);
        assert!(reset("auto.offset.reset=by_duration:1h").is_err());
    }

    #[test]
    fn conflicts_are_told_together() {
        check(
            "group.instance.id=a\nheartbeat.interval.ms=45000\nfetch.max.wait.ms=30000\n\
             fetch.max.bytes=104857601\nfetch.min.bytes=104857602",
            "group.instance.id needs a group.id\n\
             heartbeat.interval.ms=45000 must be below session.timeout.ms=45000; a third is best\n\
             fetch.max.wait.ms=30000 must be below request.timeout.ms=30000\n\
             fetch.min.bytes=104857602 must not exceed fetch.max.bytes=104857601\n\
             fetch.max.bytes=104857601 must not exceed receive.message.max.bytes=104857600",
        );
    }

    #[test]
    fn what_is_unwise_is_warned_of() {
        let text = "heartbeat.interval.ms=20000\nmax.poll.interval.ms=40000\n\
                    max.partition.fetch.bytes=60000000";
        let warnings = read(text).unwrap().warnings;
        let names: Vec<&str> = warnings.iter().map(|warning| &*warning.name).collect();
        assert_eq!(
            names,
            ["heartbeat.interval.ms", "max.poll.interval.ms", "max.partition.fetch.bytes"]
        );
    }

    #[test]
    fn what_asks_for_nothing_that_is_missing_is_no_mistake() {
        let text = "enable.partition.eof=false\nenable.auto.offset.store=true\n\
                    offset.store.method=broker";
        assert_eq!(read(text).unwrap().warnings, []);
        check(
            "enable.auto.offset.store=false",
            "enable.auto.offset.store=false is not supported: build the consumer with \
             explicit_acks(), and acknowledge each record that was processed (f:1)",
        );
    }

    #[test]
    fn a_fetch_that_never_waits_is_warned_of() {
        let warnings = read("fetch.max.wait.ms=0\nfetch.min.bytes=0").unwrap().warnings;
        let names: Vec<&str> = warnings.iter().map(|warning| &*warning.name).collect();
        assert_eq!(names, ["fetch.max.wait.ms", "fetch.min.bytes"]);
    }

    #[test]
    fn a_protocol_that_is_not_there_yet_is_told_apart() {
        check(
            "group.protocol=consumer",
            "group.protocol=consumer is not in this version; only classic is (f:1)",
        );
    }

    #[test]
    fn names_of_static_members_are_legal() {
        for name in ["", "a b", "é"] {
            assert!(read(&format!("group.id=g\ngroup.instance.id={name}")).is_err(), "{name}");
        }
    }

    fn read(text: &str) -> Result<Checked<ConsumerConfig>, ConfigError> {
        let mut properties = Properties::new();
        properties.read_str("f", text).unwrap();
        ConsumerConfig::from_properties(&properties, &ClientConfig::default())
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        assert_eq!(format!("{:#}", read(text).unwrap_err()), expected);
    }
}
