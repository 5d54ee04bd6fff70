//! The settings of a consumer.

mod choices;
mod duration;
mod problem;
mod table;

pub use choices::{AssignmentStrategy, AutoOffsetReset, IsolationLevel};
pub use problem::{ConfigDoubt, ConsumerConfigProblem};
pub use table::CONSUMER;

use std::time::Duration;

/// The settings of a consumer, beside those of its client.
///
/// Each field is the Kafka property whose name it has, with dots for the underscores; durations are
/// `….ms` there. Where the default is not Java's, the reason stands at the field.
///
/// Kafka's settings grow, and so do these, with minor versions as well: end a literal with
/// `..ConsumerConfig::default()`, and take no value apart field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerConfig {
    /// The group whose member this consumer is, or whose offsets it commits; `None` for neither.
    pub group_id: Option<String>,
    /// The name of a static member, which keeps its partitions over a restart (KIP-345); not empty.
    pub group_instance_id: Option<String>,
    /// How long a member may be silent before the group goes on without it (KIP-735).
    pub session_timeout: Duration,
    /// How often a member says that it is alive; below the session timeout, a third at most is best.
    pub heartbeat_interval: Duration,
    /// How long the application may take between two polls before its member leaves the group; also
    /// how long a rebalance may take.
    pub max_poll_interval: Duration,
    /// Records that one poll lends at most; `None` lends each batch as its producer wrote it. Java's
    /// default is 500: there each record is an object, here cutting a batch gains nothing.
    pub max_poll_records: Option<u32>,
    /// How partitions are given to members, the preferred first; not empty.
    pub partition_assignment_strategy: Vec<AssignmentStrategy>,
    /// Whether the offsets of what was consumed are committed in the background. Without a group
    /// nothing is.
    pub enable_auto_commit: bool,
    /// How often they are.
    pub auto_commit_interval: Duration,
    /// Where to begin without a committed offset, or when it is out of range. Each time it decides,
    /// an event says so.
    pub auto_offset_reset: AutoOffsetReset,
    /// Whether records of transactions that are open or were aborted are seen.
    pub isolation_level: IsolationLevel,
    /// Bytes that a broker waits for before it answers; 1 answers as soon as there is any.
    pub fetch_min_bytes: u32,
    /// Bytes in one answer at most, but for a first batch that is larger alone (KIP-74).
    pub fetch_max_bytes: u32,
    /// Bytes of one partition in one answer at most, but for a first batch that is larger alone.
    pub max_partition_fetch_bytes: u32,
    /// How long a broker waits for the least bytes; below the request timeout.
    pub fetch_max_wait: Duration,
    /// Bytes of fetched and undelivered records at most, over all brokers. Java has no such bound.
    /// A batch that is larger than what is left of it is fetched nevertheless.
    pub fetch_buffer_memory: usize,
    /// Bytes that one batch may unpack to. Java has no such bound; without one, a kilobyte from a
    /// stranger asks for gigabytes.
    pub max_decompressed_batch: usize,
    /// Whether the checksum of each batch is verified.
    pub check_crcs: bool,
    /// Whether a pattern passes over Kafka's own topics, such as `__consumer_offsets`.
    pub exclude_internal_topics: bool,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            group_id: None,
            group_instance_id: None,
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(3),
            max_poll_interval: Duration::from_secs(300),
            max_poll_records: None,
            partition_assignment_strategy: vec![
                AssignmentStrategy::Range,
                AssignmentStrategy::CooperativeSticky,
            ],
            enable_auto_commit: true,
            auto_commit_interval: Duration::from_secs(5),
            auto_offset_reset: AutoOffsetReset::Latest,
            isolation_level: IsolationLevel::ReadUncommitted,
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 << 20,
            max_partition_fetch_bytes: 1 << 20,
            fetch_max_wait: Duration::from_millis(500),
            fetch_buffer_memory: 64 << 20,
            max_decompressed_batch: 128 << 20,
            check_crcs: true,
            exclude_internal_topics: true,
        }
    }
}
