//! How a consumer is made.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ottla_core::net::Client;
use ottla_core::retry::Deadline;
use ottla_core::types::{TopicName, TopicPartition};
use ottla_protocol::{ErrorClass, ErrorCode};

use crate::config::{
    AssignmentStrategy, AutoOffsetReset, ConfigDoubt, ConsumerConfig, ConsumerConfigProblem,
    IsolationLevel,
};
use crate::consumer::Consumer;
use crate::driver::Shared;
use crate::driver::group::GroupHandle;
use crate::error::ConsumerError;
use crate::listener::{AnyListener, RebalanceListener};
use crate::machine::assignor::{
    Assignor, CooperativeStickyAssignor, RangeAssignor, RoundRobinAssignor, StickyAssignor,
};
use crate::machine::membership::GroupConfig;
use crate::machine::subscription::Subscription;

/// A [`Consumer`] in the making.
#[must_use = "nothing happens before `build`"]
pub struct ConsumerBuilder {
    client: Client,
    config: ConsumerConfig,
    source: Source,
    listener: Option<Arc<dyn AnyListener>>,
    assignors: Vec<Arc<dyn Assignor>>,
    explicit: bool,
}

/// What is read.
#[derive(Debug)]
enum Source {
    Nothing,
    Partitions(Vec<TopicPartition>),
    Topics(Vec<TopicName>),
}

impl ConsumerBuilder {
    /// A consumer over `client`'s connections and metadata.
    pub fn new(client: Client) -> Self {
        Self {
            client,
            config: ConsumerConfig::default(),
            source: Source::Nothing,
            listener: None,
            assignors: Vec::new(),
            explicit: false,
        }
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

    /// The group that it is a member of, or commits for: `group.id`.
    pub fn group(self, group_id: impl Into<String>) -> Self {
        self.configure(|config| config.group_id = Some(group_id.into()))
    }

    /// Reads the partitions that the group gives it, of these topics. What begins with `^` is a
    /// pattern; see [`Subscription`]. Needs a group.
    pub fn subscribe<T: Into<TopicName>>(self, topics: impl IntoIterator<Item = T>) -> Self {
        let topics = topics.into_iter().map(Into::into).collect();
        Self { source: Source::Topics(topics), ..self }
    }

    /// Reads these partitions, and no others. With a group id, begins at the committed offsets and
    /// can commit, but is no member: others may read the same.
    pub fn assign<P: Into<TopicPartition>>(self, partitions: impl IntoIterator<Item = P>) -> Self {
        let partitions = partitions.into_iter().map(Into::into).collect();
        Self { source: Source::Partitions(partitions), ..self }
    }

    /// Is told when partitions come and go.
    pub fn on_rebalance(self, listener: impl RebalanceListener) -> Self {
        Self { listener: Some(Arc::new(listener)), ..self }
    }

    /// Adds an assignor of the application's own, preferred to those of
    /// `partition.assignment.strategy`. All members must have one in common.
    pub fn assignor(mut self, assignor: Arc<dyn Assignor>) -> Self {
        self.assignors.push(assignor);
        self
    }

    /// Commits only when told to: `enable.auto.commit=false`.
    pub fn manual_commit(self) -> Self {
        self.configure(|config| config.enable_auto_commit = false)
    }

    /// Where a partition is read from while no offset is committed: `auto.offset.reset`.
    pub fn start_at(self, start: AutoOffsetReset) -> Self {
        self.configure(|config| config.auto_offset_reset = start)
    }

    /// Sees only what was committed: `isolation.level=read_committed`.
    pub fn read_committed(self) -> Self {
        self.configure(|config| config.isolation_level = IsolationLevel::ReadCommitted)
    }

    /// Counts a record as processed when it is acknowledged
    /// ([`ConsumerRecord::ack`](crate::ConsumerRecord::ack)), not when the next one is asked for.
    /// What is committed is the contiguous prefix, so records may be processed in any order.
    pub fn explicit_acks(self) -> Self {
        Self { explicit: true, ..self }
    }

    /// Makes the consumer. A subscription joins its group in the background.
    ///
    /// # Errors
    ///
    /// [`ConsumerError`], when settings do not fit one another, there is nothing to read, what is to be read does not exist, or the
    /// committed offsets cannot be looked up.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: what was begun ends.
    pub async fn build(self) -> Result<Consumer, ConsumerError> {
        let Self { client, config, source, listener, assignors, explicit } = self;
        check_settings(&config, &client, &assignors)?;
        let group = group_config(&client, &config, assignors)
            .map(|config| GroupHandle::start(&client, config));
        match source {
            Source::Partitions(partitions) if !partitions.is_empty() => {
                let budget = client.config().default_api_timeout;
                let deadline = Deadline::after(client.runtime().now(), budget);
                check_partitions(&client, partitions.iter(), deadline).await?;
                let shared = Shared::start(client, config, group.clone());
                let mut consumer = Consumer::new(shared, group, listener, explicit);
                consumer.assign(partitions).await?;
                Ok(consumer)
            }
            Source::Topics(topics) if !topics.is_empty() => {
                let subscription = Subscription::new(topics)?;
                let group = Some(group.ok_or(ConsumerError::NoGroup)?);
                let shared = Shared::start(client, config, group.clone());
                let mut consumer = Consumer::new(shared, group, listener, explicit);
                consumer.subscribe_to(subscription);
                Ok(consumer)
            }
            Source::Nothing | Source::Partitions(_) | Source::Topics(_) => {
                Err(ConsumerError::NothingAssigned)
            }
        }
    }
}

impl fmt::Debug for ConsumerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConsumerBuilder")
            .field("config", &self.config)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

/// Whether the settings fit one another, however they were set.
fn check_settings(
    config: &ConsumerConfig,
    client: &Client,
    assignors: &[Arc<dyn Assignor>],
) -> Result<(), ConsumerError> {
    let mut problems = config.problems(client.config());
    if config.partition_assignment_strategy.is_empty() && assignors.is_empty() {
        problems.push(ConsumerConfigProblem::NoStrategy);
    }
    if !problems.is_empty() {
        return Err(ConsumerError::Config { problems });
    }
    for ConfigDoubt { name, why } in config.doubts() {
        tracing::warn!("{name}: {why}");
    }
    Ok(())
}

/// How the consumer is a member of its group; `None` without one.
fn group_config(
    client: &Client,
    config: &ConsumerConfig,
    mut assignors: Vec<Arc<dyn Assignor>>,
) -> Option<GroupConfig> {
    let group_id = config.group_id.as_deref()?.into();
    assignors
        .extend(config.partition_assignment_strategy.iter().map(|strategy| assignor(*strategy)));
    Some(GroupConfig {
        group_id,
        group_instance_id: config.group_instance_id.as_deref().map(Into::into),
        session_timeout: config.session_timeout,
        heartbeat_interval: config.heartbeat_interval,
        max_poll_interval: config.max_poll_interval,
        assignors,
        client_rack: client.config().client_rack.as_deref().map(Into::into),
        auto_commit_interval: config
            .enable_auto_commit
            .then_some(config.auto_commit_interval.max(LEAST_AUTO_COMMIT)),
    })
}

/// Shorter intervals are this one: a task that is always due would do nothing else. In Java, 0 commits
/// in every poll.
const LEAST_AUTO_COMMIT: Duration = Duration::from_millis(10);

fn assignor(strategy: AssignmentStrategy) -> Arc<dyn Assignor> {
    match strategy {
        AssignmentStrategy::Range => Arc::new(RangeAssignor),
        AssignmentStrategy::RoundRobin => Arc::new(RoundRobinAssignor),
        AssignmentStrategy::Sticky => Arc::new(StickyAssignor),
        AssignmentStrategy::CooperativeSticky => Arc::new(CooperativeStickyAssignor),
    }
}

/// Looks whether the partitions are there.
pub(crate) async fn check_partitions(
    client: &Client,
    partitions: impl Iterator<Item = &TopicPartition> + Send,
    deadline: Deadline,
) -> Result<(), ConsumerError> {
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
