//! Apache Kafka's image, and the environment that makes a member of a cluster of it.

use std::borrow::Cow;

use ottla_broker::world::config::RACK_AWARE;
use testcontainers::Image;
use testcontainers::core::WaitFor;

use crate::rack_of;

/// A member of a cluster.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) id: i32,
    /// Where it is reached on this host.
    pub(crate) port: u16,
    /// Its name on the network of the cluster, and that of its container.
    pub(crate) host: String,
}

/// The image with all that one member needs to know.
#[derive(Debug)]
pub(crate) struct Kafka {
    name: String,
    tag: String,
    env: Vec<(&'static str, String)>,
}

impl Kafka {
    pub(crate) fn new(name: &str, tag: &str, member: &Member, members: &[Member]) -> Self {
        Self { name: name.to_owned(), tag: tag.to_owned(), env: environment(member, members) }
    }
}

impl Image for Kafka {
    fn name(&self) -> &str {
        &self.name
    }

    fn tag(&self) -> &str {
        &self.tag
    }

    /// None: a member is ready when the others are, and is asked as a client would ask.
    fn ready_conditions(&self) -> Vec<WaitFor> {
        Vec::new()
    }

    fn env_vars(
        &self,
    ) -> impl IntoIterator<Item = (impl Into<Cow<'_, str>>, impl Into<Cow<'_, str>>)> {
        self.env.iter().map(|(name, value)| (*name, value.as_str()))
    }
}

/// One variable switches all of the image's own settings off, so this is the whole set.
fn environment(member: &Member, members: &[Member]) -> Vec<(&'static str, String)> {
    let Member { id, port, host } = member;
    let voter = |member: &Member| format!("{}@{}:9093", member.id, member.host);
    let voters: Vec<String> = members.iter().map(voter).collect();
    let replicas = members.len().min(3);
    let own = [
        ("KAFKA_NODE_ID", id.to_string()),
        ("KAFKA_BROKER_RACK", rack_of(*id)),
        ("KAFKA_CONTROLLER_QUORUM_VOTERS", voters.join(",")),
        ("KAFKA_LISTENERS", format!("EXTERNAL://:{port},INTERNAL://:9092,CONTROLLER://:9093")),
        (
            "KAFKA_ADVERTISED_LISTENERS",
            format!("EXTERNAL://localhost:{port},INTERNAL://{host}:9092"),
        ),
        ("KAFKA_DEFAULT_REPLICATION_FACTOR", replicas.to_string()),
        ("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", replicas.to_string()),
        ("KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR", replicas.to_string()),
        ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR", replicas.to_string()),
    ];
    let common = COMMON.iter().map(|(name, value)| (*name, (*value).to_owned()));
    own.into_iter().chain(common).collect()
}

const COMMON: &[(&str, &str)] = &[
    ("KAFKA_PROCESS_ROLES", "broker,controller"),
    ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", PLAINTEXT),
    ("KAFKA_INTER_BROKER_LISTENER_NAME", "INTERNAL"),
    ("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER"),
    ("KAFKA_TRANSACTION_STATE_LOG_MIN_ISR", "1"),
    ("KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR", "1"),
    ("KAFKA_REPLICA_SELECTOR_CLASS", RACK_AWARE),
    // Fifty, Kafka's default, are slow to create.
    ("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "5"),
    ("KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS", "5"),
    // As the embedded broker has it: a topic is there when a test made it, and a group begins at
    // once and notices soon who is gone.
    ("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false"),
    ("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0"),
    ("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "100"),
];

const PLAINTEXT: &str = "CONTROLLER:PLAINTEXT,EXTERNAL:PLAINTEXT,INTERNAL:PLAINTEXT";
