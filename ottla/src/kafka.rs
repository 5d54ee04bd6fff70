//! The handle that everything is built from.

use std::path::Path;

use ottla_admin::Admin;
use ottla_consumer::ConsumerBuilder;
use ottla_consumer::config::ConsumerConfig;
use ottla_core::config::{ConfigError, Explanation, Properties};
use ottla_core::error::Error;
use ottla_core::net::{Client, Runtime};
use ottla_producer::ProducerBuilder;
use ottla_producer::config::ProducerConfig;

use crate::settings;

/// One cluster. Cheap to clone: producers, consumers and admin calls that are built from one handle
/// share its metadata and its settings.
///
/// ```no_run
/// # async fn run() -> Result<(), ottla::Error> {
/// let kafka = ottla::Kafka::connect("localhost:9092").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Kafka {
    client: Client,
    properties: Properties,
}

impl Kafka {
    /// Connects to the first of `servers` that answers: `host:port`, several with commas between.
    /// What is learnt there leads to the others.
    ///
    /// # Errors
    ///
    /// When an address is none, or no server answers; each was tried once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun ends.
    pub async fn connect(servers: &str) -> Result<Self, Error> {
        Self::builder().set("bootstrap.servers", servers).connect().await
    }

    /// A handle with settings from files, the environment and code.
    pub fn builder() -> KafkaBuilder {
        KafkaBuilder { properties: Properties::new(), runtime: None }
    }

    /// Which value of each property counts, and where it came from.
    #[must_use]
    pub fn explain(&self) -> Vec<Explanation> {
        self.properties.explain(&settings::rows())
    }

    /// A producer in the making, with this handle's settings.
    pub fn producer(&self) -> ProducerBuilder {
        let config = ProducerConfig::parse(&self.properties).config;
        ProducerBuilder::new(&self.client).config(config)
    }

    /// A consumer in the making, that is a member of `group` or commits for it.
    pub fn consumer(&self, group: &str) -> ConsumerBuilder {
        let mut properties = self.properties.clone();
        properties.set("group.id", group);
        self.consumer_of(&properties)
    }

    /// A consumer in the making, that reads the partitions it is assigned and commits nothing,
    /// unless the settings name a group.
    pub fn standalone_consumer(&self) -> ConsumerBuilder {
        self.consumer_of(&self.properties)
    }

    /// Administrative calls.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::new(self.client.clone())
    }

    /// What connections and metadata go through, for those who build on ottla.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Ends all connections. Whatever was built from this handle fails from now on.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: everything ends all the same.
    pub async fn close(self) {
        self.client.close().await;
    }

    /// Names and values were checked when the handle was made; whether they fit one another is for
    /// the builder to say.
    fn consumer_of(&self, properties: &Properties) -> ConsumerBuilder {
        let config = ConsumerConfig::parse(properties, self.client.config()).config;
        ConsumerBuilder::new(self.client.clone()).config(config)
    }
}

/// A [`Kafka`] handle in the making. Settings have the names that Java and librdkafka give them; of
/// several for one property, the last one wins.
///
/// ```no_run
/// # async fn run() -> Result<(), ottla::Error> {
/// let kafka = ottla::Kafka::builder()
///     .properties_file("client.properties")?
///     .env_prefix("KAFKA_")
///     .set("linger.ms", 20)
///     .client_id("orders-api")
///     .connect()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct KafkaBuilder {
    properties: Properties,
    runtime: Option<Runtime>,
}

impl KafkaBuilder {
    /// Where to begin: `host:port`, several with commas between.
    pub fn bootstrap_servers(self, servers: &str) -> Self {
        self.set("bootstrap.servers", servers)
    }

    /// What this application calls itself to brokers, whose logs and quotas know it so.
    pub fn client_id(self, client_id: &str) -> Self {
        self.set("client.id", client_id)
    }

    /// Sets a property of any role. What is wrong with it is told by [`connect`](Self::connect).
    pub fn set(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.properties.set(name, value);
        self
    }

    /// Reads a file in the format of Java's `Properties`.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or a line of it.
    pub fn properties_file(mut self, path: impl AsRef<Path>) -> Result<Self, ConfigError> {
        self.properties.read_file(path)?;
        Ok(self)
    }

    /// Reads the environment: with the prefix `KAFKA_`, `KAFKA_LINGER_MS` is `linger.ms`.
    pub fn env_prefix(mut self, prefix: &str) -> Self {
        self.properties.read_env(prefix);
        self
    }

    /// Takes clocks, randomness and sockets from `runtime`: for tests that have their own.
    pub fn runtime(mut self, runtime: Runtime) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Connects.
    ///
    /// # Errors
    ///
    /// When a setting is wrong, with all that are; or when no server answers: each was tried once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun ends.
    pub async fn connect(self) -> Result<Kafka, Error> {
        let Self { properties, runtime } = self;
        let config = settings::check(&properties)?.logged();
        let runtime = runtime.unwrap_or_else(Runtime::tokio);
        let connected = Client::connect(config, runtime).await;
        let client = connected.map_err(|error| Error::of_request("connect", error).build())?;
        Ok(Kafka { client, properties })
    }
}
