//! Three brokers of either protocol, and a client.

use std::time::{Duration, Instant};

use ottla_broker::cluster::{Cluster, TopicSpec};
use ottla_broker::fault::{Act, Rule};
use ottla_core::config::ClientConfig;
use ottla_core::net::{Client, Runtime};
use ottla_core::types::{ErrorCode, HostPort};
use ottla_producer::{Producer, Record, TransactionalProducer, TransactionalProducerBuilder};
use ottla_protocol::ApiKey;

/// The transactional id of most tests.
pub(crate) const ID: &str = "billing-1";

/// The time at which all tests begin, for brokers and clients alike: retention looks at it.
const EPOCH_MS: i64 = 1_800_000_000_000;

pub(crate) struct Bed {
    pub(crate) cluster: Cluster,
    pub(crate) client: Client,
    /// The level of `transaction.version`: the protocol.
    pub(crate) level: i16,
}

/// Runs a test with protocol 1 and with protocol 2.
#[expect(clippy::future_not_send, reason = "each test has a runtime of one thread")]
pub(crate) async fn both(test: impl AsyncFn(Bed)) {
    for level in [1, 2] {
        test(Bed::start(level).await).await;
    }
}

impl Bed {
    /// A cluster with topic `t` of three partitions and topic `one` of one, everywhere replicated.
    pub(crate) async fn start(level: i16) -> Self {
        let cluster = Cluster::builder()
            .brokers(3)
            .auto_create(false)
            .epoch_ms(EPOCH_MS)
            .transaction_version(level)
            .keep_requests(10_000)
            .topic(TopicSpec::new("t").partitions(3).replicas(3))
            .topic(TopicSpec::new("one").partitions(1).replicas(3));
        let cluster = cluster.start().await.unwrap();
        let client = connect(&cluster).await;
        Self { cluster, client, level }
    }

    pub(crate) fn builder(&self) -> TransactionalProducerBuilder {
        Producer::builder(&self.client).transactional(ID)
    }

    pub(crate) async fn producer(&self) -> TransactionalProducer {
        self.builder().build().await.unwrap()
    }

    /// Has the broker answer so.
    pub(crate) fn answers(&self, api: ApiKey, code: ErrorCode, times: u32) {
        let _ = self.cluster.fault(Rule::new(api, Act::Respond(code)).times(times));
    }

    /// The values that somebody reads who reads committed.
    pub(crate) fn committed(&self, topic: &str, partition: i32) -> Vec<String> {
        let records = self.cluster.partition(topic, partition).read_committed();
        let text = |value: &[u8]| String::from_utf8(value.to_vec()).unwrap();
        records.iter().map(|record| text(record.value().unwrap_or_default())).collect()
    }

    /// What is committed of `one`.
    pub(crate) fn one(&self) -> Vec<String> {
        self.committed("one", 0)
    }

    /// How many records lie in `one`, whoever sees them.
    pub(crate) fn written(&self) -> usize {
        self.cluster.partition("one", 0).records().len()
    }

    pub(crate) fn state(&self) -> &'static str {
        self.cluster.transaction(ID).state().unwrap()
    }

    /// How many requests of an API there were.
    pub(crate) fn count(&self, api: ApiKey) -> usize {
        self.cluster.requests().iter().filter(|seen| seen.api == api).count()
    }

    pub(crate) fn now(&self) -> Instant {
        self.client.runtime().now()
    }

    pub(crate) fn passed(&self, since: Instant) -> Duration {
        self.now() - since
    }

    pub(crate) async fn sleep(&self, time: Duration) {
        self.client.runtime().sleep(time).await;
    }
}

/// A record for the only partition of `one`.
pub(crate) fn one(value: impl ToString) -> Record {
    Record::to("one").value(value.to_string())
}

async fn connect(cluster: &Cluster) -> Client {
    let servers = cluster.bootstrap();
    let config = ClientConfig {
        bootstrap_servers: servers.iter().map(|server| server.parse().unwrap()).collect(),
        ..ClientConfig::default()
    };
    let connector = cluster.connector();
    let dial = move |to: HostPort| connector.connect(&to.host, to.port);
    let runtime = Runtime::builder().dial_with(dial).wall_clock(EPOCH_MS).seed(7).build();
    Client::connect(config, runtime).await.unwrap()
}
