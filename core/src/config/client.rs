//! Settings of connections and metadata.

use std::time::Duration;

use crate::types::HostPort;

/// What every role needs to know to reach a cluster.
///
/// Each field is the Kafka property whose name it has, with dots for the underscores; durations are
/// `….ms` there. Where the default is not Java's, the reason stands at the field.
///
/// Kafka's settings grow, and so do these, with minor versions as well: end a literal with
/// `..ClientConfig::default()`, and take no value apart field by field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientConfig {
    /// Where the first connections go; not empty.
    pub bootstrap_servers: Vec<HostPort>,
    /// What this client calls itself to brokers.
    pub client_id: String,
    /// The rack of this client (KIP-392).
    pub client_rack: Option<String>,
    /// How long a request may wait for its answer. An unanswered one closes its connection.
    pub request_timeout: Duration,
    /// How long a call may take with all its attempts.
    pub default_api_timeout: Duration,
    /// How long a connection may take to come up: connecting, TLS, first answer. It doubles with
    /// each failure up to the maximum.
    pub socket_connection_setup_timeout: Duration,
    /// The longest that a connection may take to come up.
    pub socket_connection_setup_timeout_max: Duration,
    /// The wait before connecting again to a broker; it doubles with each failure.
    pub reconnect_backoff: Duration,
    /// The longest wait before connecting again.
    pub reconnect_backoff_max: Duration,
    /// The wait before asking again; it doubles with each failure.
    pub retry_backoff: Duration,
    /// The longest wait before asking again.
    pub retry_backoff_max: Duration,
    /// How long a connection may stay unused.
    pub connections_max_idle: Duration,
    /// Whether a topic that does not exist is made by asking for it, where brokers allow it
    /// (`auto.create.topics.enable`). Java's default is yes, which turns a mistyped name into a topic.
    pub allow_auto_create_topics: bool,
    /// How old metadata may become before it is asked for again.
    pub metadata_max_age: Duration,
    /// How long a topic that nobody uses is kept.
    pub metadata_max_idle: Duration,
    /// What to do when no known broker answers (KIP-899).
    pub metadata_recovery_strategy: MetadataRecovery,
    /// How long metadata may stay out of reach before starting over (KIP-1102).
    pub metadata_recovery_rebootstrap_trigger: Duration,
    /// Whether to check on each connection that it reached the right broker of the right cluster,
    /// where brokers can say so (KIP-1242).
    pub metadata_cluster_check_enable: bool,
    /// The socket's send buffer, in bytes; `None` leaves it to the system, which tunes it better
    /// than Java's 128 KiB on long links.
    pub send_buffer: Option<u32>,
    /// The socket's receive buffer, in bytes; `None` leaves it to the system.
    pub receive_buffer: Option<u32>,
    /// The largest answer that is accepted, in bytes. Java has no such bound; without one, four
    /// bytes from a stranger ask for 2 GiB.
    pub max_response: usize,
    /// How connections are secured.
    pub security_protocol: SecurityProtocol,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: Vec::new(),
            client_id: "ottla".into(),
            client_rack: None,
            request_timeout: Duration::from_secs(30),
            default_api_timeout: Duration::from_secs(60),
            socket_connection_setup_timeout: Duration::from_secs(10),
            socket_connection_setup_timeout_max: Duration::from_secs(30),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            connections_max_idle: Duration::from_secs(540),
            allow_auto_create_topics: false,
            metadata_max_age: Duration::from_secs(300),
            metadata_max_idle: Duration::from_secs(300),
            metadata_recovery_strategy: MetadataRecovery::Rebootstrap,
            metadata_recovery_rebootstrap_trigger: Duration::from_secs(300),
            metadata_cluster_check_enable: true,
            send_buffer: None,
            receive_buffer: None,
            max_response: 100 << 20,
            security_protocol: SecurityProtocol::Plaintext,
        }
    }
}

/// What to do when no known broker answers: `metadata.recovery.strategy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MetadataRecovery {
    /// Keep trying the brokers that were known.
    None,
    /// Start over from `bootstrap.servers`.
    Rebootstrap,
}

/// How connections are secured: `security.protocol`. So far, not at all: every other protocol is
/// refused when settings are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecurityProtocol {
    /// No encryption, no authentication.
    Plaintext,
}
