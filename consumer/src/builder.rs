//! How a consumer is made.

use ottla_core::net::Client;
use ottla_core::retry::Deadline;
use ottla_core::types::{TopicName, TopicPartition};
use ottla_protocol::{ErrorClass, ErrorCode};

use crate::config::ConsumerConfig;
use crate::consumer::Consumer;
use crate::driver::Shared;
use crate::error::ConsumerError;

/// A [`Consumer`] in the making.
#[derive(Debug)]
#[must_use = "nothing happens before `build`"]
pub struct ConsumerBuilder {
    client: Client,
    config: ConsumerConfig,
    source: Source,
}

/// What is read.
#[derive(Debug)]
enum Source {
    Nothing,
    Partitions(Vec<TopicPartition>),
}

impl ConsumerBuilder {
    /// A consumer over `client`'s connections and metadata.
    pub fn new(client: Client) -> Self {
        Self { client, config: ConsumerConfig::default(), source: Source::Nothing }
    }

    /// Replaces all settings.
    pub fn config(self, config: ConsumerConfig) -> Self {
        Self { config, ..self }
    }

    /// Changes settings.
    pub fn configure(mut self, change: impl FnOnce(&mut ConsumerConfig)) -> Self {
        change(&mut self.config);
        self
    }

    /// Reads these partitions, and no others. With a group id, begins at the committed offsets and
    /// can commit, but is no member: others may read the same.
    pub fn assign<P: Into<TopicPartition>>(self, partitions: impl IntoIterator<Item = P>) -> Self {
        let partitions = partitions.into_iter().map(Into::into).collect();
        Self { source: Source::Partitions(partitions), ..self }
    }

    /// Makes the consumer.
    ///
    /// # Errors
    ///
    /// [`ConsumerError`], when there is nothing to read, or what is to be read does not exist.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun ends.
    pub async fn build(self) -> Result<Consumer, ConsumerError> {
        let Self { client, config, source } = self;
        let Source::Partitions(partitions) = source else {
            return Err(ConsumerError::NothingAssigned);
        };
        if partitions.is_empty() {
            return Err(ConsumerError::NothingAssigned);
        }
        check(&client, &partitions).await?;
        let mut consumer = Consumer::new(Shared::start(client, config));
        consumer.assign(partitions).await?;
        Ok(consumer)
    }
}

/// Looks whether the partitions are there.
async fn check(client: &Client, partitions: &[TopicPartition]) -> Result<(), ConsumerError> {
    let budget = client.config().default_api_timeout;
    let deadline = Deadline::after(client.runtime().now(), budget);
    for partition in partitions {
        let topic = client.topic(&partition.topic, deadline).await?;
        let refused = |code| refusal(&partition.topic, code);
        if let Some(code) = topic.error.filter(|code| is_final(*code)) {
            return Err(refused(code));
        }
        let known = topic.error.is_some() || topic.partition(partition.partition).is_some();
        if !known {
            return Err(refused(ErrorCode::UnknownTopicOrPartition));
        }
    }
    Ok(())
}

/// Whether waiting will not help. A topic that does not exist is made by somebody, or never.
fn is_final(code: ErrorCode) -> bool {
    code == ErrorCode::UnknownTopicOrPartition || !code.class().is_none_or(ErrorClass::is_retriable)
}

fn refusal(topic: &TopicName, code: ErrorCode) -> ConsumerError {
    ConsumerError::Topic { topic: topic.clone(), code }
}
